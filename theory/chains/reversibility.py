"""Detailed balance.

A chain is *reversible* with respect to a law pi where pi(x) P(x, y) = pi(y) P(y, x) for all x, y; pi is then
stationary.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, section 1.6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import check_law
from theory.chains.operator import Chain, as_operator
from theory.chains.stationary import stationary_law
from theory.memory import require_memory

Array = NDArray[np.float64]

DETAILED_BALANCE_TOLERANCE = 1e-10
"""Violation, relative to the largest flow, that is taken for rounding."""


def edge_measure(chain: Chain, law: ArrayLike | None = None) -> Array:
    """Q(x, y) = pi(x) P(x, y), [S, S]; pi is the unique stationary law by default."""
    operator = as_operator(chain)
    require_memory(2.0 * operator.dense_bytes, "states", operator.states, "the edge measure")
    masses = stationary_law(operator).law if law is None else check_law(law, operator.states)
    return masses[:, None] * operator.to_dense()


def is_reversible(chain: Chain, law: ArrayLike | None = None, tolerance: float = DETAILED_BALANCE_TOLERANCE) -> bool:
    """Whether detailed balance holds, up to ``tolerance`` times the largest flow between two different states.

    Measured on the matrix, whatever the chain says about itself.
    """
    flow = edge_measure(chain, law)
    violation = float(np.abs(flow - flow.T).max())
    np.fill_diagonal(flow, 0.0)
    return violation <= tolerance * float(flow.max())
