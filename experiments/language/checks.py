"""What claims about translators compare: outputs of trained networks with the exact law, up to the networks' own error.

Let q_i be the laws from which a network draws the tokens of a step, f_i the exact ones at the same input. The rows of
the two product kernels differ by at most sum_i TV(q_i, f_i), and the laws of the outputs after t steps by at most the
mean of
the sum of that over the inputs that the network really visited:

    |E_network g(Y_t) - E_exact g(Y_t)| <= E_network min(1, sum_{s <= t} sum_i TV(q_i, f_i)(U_s)),    0 <= g <= 1,

because Q^t - P^t = sum_s Q^{s-1} (Q - P) P^{t-s}. The right side is measured on the network's laws, not on what it
draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from experiments.claim import Check, Verdict

Array = NDArray[np.float64]

FALSE_ALARM = 1e-4
"""Probability that a check of drawn outputs fails although the network is as near to the law as it says."""

TELLING = 0.5
"""A limit beyond this says next to nothing about a number in [0, 1]."""


class Case(NamedTuple):
    """Numbers of independent rows, [B] each.

    Attributes:
        label: which network and which step.
        measured: of the outputs, in [0, 1].
        exact: their expectation under the exact law.
        distance: how far the network's laws were from the exact ones on the way, in [0, 1].
    """

    label: str
    measured: Array
    exact: Array
    distance: Array

    @property
    def deviation(self) -> float:
        """Mean of measured - exact."""
        return float((self.measured - self.exact).mean())

    @property
    def limit(self) -> float:
        """What the network's own error allows."""
        return float(self.distance.mean())

    def sampling_error(self) -> float:
        """Standard error of |deviation| - limit, the larger of both signs."""
        difference = self.measured - self.exact
        spread = max((sign * difference - self.distance).std(ddof=1) for sign in (1, -1))
        return float(spread / np.sqrt(len(difference)))


def beyond_own_error(name: str, cases: Sequence[Case]) -> Check:
    """A chain that the network does not follow is seen: some deviation from it exceeds the network's own error."""
    allowed, margins = _margins(cases)
    worst = int(np.argmin(margins))
    return Check(
        name,
        Verdict.HOLDS if margins[worst] < 0 else Verdict.INCONCLUSIVE,
        -margins[worst],
        abs(cases[worst].deviation),
        allowed[worst],
        ">=",
        0.0,
        f"clearest: {cases[worst].label}; false-alarm rate {FALSE_ALARM:g} for all {len(cases)} cases "
        "(normal approximation)",
    )


def _margins(cases: Sequence[Case]) -> tuple[list[float], list[float]]:
    """What each deviation may be, up to the draws, and how far below that it is."""
    factor = float(norm.isf(FALSE_ALARM / (2 * len(cases))))
    allowed = [case.limit + factor * case.sampling_error() for case in cases]
    return allowed, [limit - abs(case.deviation) for case, limit in zip(cases, allowed, strict=True)]


def within_own_error(name: str, cases: Sequence[Case]) -> Check:
    """Every deviation is within the network's own error, up to the draws; inconclusive where no limit says anything."""
    allowed, margins = _margins(cases)
    worst = int(np.argmin(margins))
    telling = sum(case.limit <= TELLING for case in cases)
    verdict = Verdict.HOLDS if telling else Verdict.INCONCLUSIVE
    detail = (
        f"closest: {cases[worst].label}; {telling} of {len(cases)} cases have a limit of at most {TELLING:g}; "
        f"false-alarm rate {FALSE_ALARM:g} for all of them (normal approximation)"
    )
    return Check(
        name,
        Verdict.VIOLATED if margins[worst] < 0 else verdict,
        margins[worst],
        abs(cases[worst].deviation),
        cases[worst].limit,
        "<=",
        allowed[worst] - cases[worst].limit,
        detail,
    )
