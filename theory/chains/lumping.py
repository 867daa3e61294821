"""Lumping a chain by a partition of its states, with the test whether the lumped chain is one.

For a partition into blocks A_1, ..., A_R the *strong* test asks whether P(x, A_b) is the same for all x of a block:
then the block of the state is a Markov chain from every start, with the matrix Q(a, b) = P(x, A_b). Where it fails, the
stationary average Q(a, b) = sum_{x in A_a} pi(x) P(x, A_b) / pi(A_a) is the chain that has the same flows between
blocks in stationarity, and the largest deviation says by how much the test fails.

The orbits of a symmetry of the chain (`theory.symmetry.orbits`, whose labels are a partition) always pass. The lumped
chain is then exact for invariant functions and hitting times from every start, and for distances from starts whose law
is invariant; from others the full chain is at least as far from pi, and its gap is at most that of Q.

Legend: ``S`` states, ``R`` blocks. Source: Kemeny and Snell, *Finite Markov Chains*, section 6.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States
from theory.chains.operator import Chain, DenseOperator, as_operator
from theory.chains.stationary import stationary_law
from theory.errors import InvalidInput

Array = NDArray[np.float64]

LUMPABLE = 1e-12
"""Largest difference between probabilities of one block that is taken for rounding."""


@dataclass(frozen=True, eq=False)
class Lumping:
    """A chain seen through a partition.

    Attributes:
        chain: Q on the blocks, numbered by their labels in ascending order.
        blocks: states of each block, ascending.
        deviation: max |P(x, A_b) - P(x', A_b)| over x, x' of one block.
        lumpable: whether the block is a Markov chain from every start: the deviation is rounding.
    """

    chain: DenseOperator
    blocks: tuple[States, ...]
    deviation: float
    lumpable: bool


def lump(chain: Chain, partition: ArrayLike, tolerance: float = LUMPABLE) -> Lumping:
    """Test a partition and lump by it.

    Args:
        chain: P.
        partition: a label for every state, whole numbers [S].
        tolerance: largest deviation that counts as rounding.

    Raises:
        InvalidInput: another number of labels than of states; or the test fails and a block has no stationary mass (or
            there is no unique stationary law), so that there is no average to take.
        ExceedsMemory: the matrix would not fit.
    """
    operator = as_operator(chain)
    labels = np.asarray(partition)
    if labels.shape != (operator.states,) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput("partition", f"shape {labels.shape} of {labels.dtype}", f"{operator.states} whole numbers")
    _, member = np.unique(labels, return_inverse=True)
    count = int(member.max()) + 1
    indicator = np.zeros((operator.states, count))
    indicator[np.arange(operator.states), member] = 1.0
    into = operator.apply(indicator)  # P(x, A_b)
    blocks = tuple(np.flatnonzero(member == block) for block in range(count))
    spread = np.array([np.ptp(into[states], axis=0).max() for states in blocks])
    deviation = float(spread.max())
    if deviation <= tolerance:
        rows = np.array([into[states].mean(axis=0) for states in blocks])
        return Lumping(_stochastic(rows), blocks, deviation, True)
    law = stationary_law(operator).law
    masses = np.bincount(member, weights=law, minlength=count)
    if masses.min() == 0:
        raise InvalidInput(
            "partition", f"block {int(masses.argmin())}", "a block without stationary mass has no average"
        )
    rows = np.array([law[states] @ into[states] for states in blocks]) / masses[:, None]
    return Lumping(_stochastic(rows), blocks, deviation, False)


def _stochastic(rows: Array) -> DenseOperator:
    return DenseOperator(rows / rows.sum(axis=1, keepdims=True))
