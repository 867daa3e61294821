"""What claims about translators compare: outputs of trained networks with the exact law, up to the networks' own error.

Let q_i be the laws from which a network draws the tokens of a step, f_i the exact ones at the same input. The rows of
the two product kernels differ by at most d = 1 - prod_i (1 - TV(q_i, f_i)), and the laws of the outputs after t steps
by at most the mean of the sum of that over the inputs that the network really visited:

    |E_network g(Y_t) - E_exact g(Y_t)| <= sum_{s <= t} E_network d(U_s),    0 <= g <= 1,

because Q^t - P^t = sum_s Q^{s-1} (Q - P) P^{t-s}. For one step from where the network came, only the last term counts.
The sum may not be capped at 1 before the mean is taken: a network that errs at first visits other inputs later.
The right side is measured on the network's laws, not on what it draws.

A limit near 1 is met by any chain. So a case *tells* only where it excludes a quarter of the values in [0, 1], and a
check of single steps holds only if half of its cases tell. What the outputs tell apart is shown on named wrong laws,
from which they must be seen to be further than from the exact ones, with the power that an exact network would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiments.claim import Check, Verdict
from experiments.statistics import normal_limit

Array = NDArray[np.float64]

FALSE_ALARM = 1e-4
"""Probability that a check of drawn outputs fails although the network is as near to the law as it says."""

TELLING = 0.25
"""A case tells where it excludes at least this share of the values in [0, 1]."""

SHARE = 0.5
"""A check holds only if at least this share of its cases tells, or rejects the wrong law."""

ROUNDING = 1e-9
"""Expectations that differ by less are the same."""

POWER = 0.9
"""A case can reject a wrong law if a network that follows the exact one would do so with this probability."""


class Case(NamedTuple):
    """Numbers of independent rows, [B] each.

    Attributes:
        label: which network and which step.
        measured: of the outputs, in [0, 1].
        exact: their expectation under the exact law.
        distance: how far the network's laws were from the exact ones, summed over the steps that count.
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
        return min(float(self.distance.mean()), 1.0)

    def sampling_error(self) -> float:
        """Standard error of |deviation| - limit, the larger of both signs."""
        difference = self.measured - self.exact
        spread = max((sign * difference - self.distance).std(ddof=1) for sign in (1, -1))
        return float(spread / np.sqrt(len(difference)))


def within_own_error(name: str, cases: Sequence[Case], share: float = SHARE) -> Check:
    """Every deviation is within the network's own error, up to the draws; inconclusive if less than a share tells."""
    allowed, margins = _margins(cases)
    worst = int(np.argmin(margins))
    excluded = [_excluded(case, limit) for case, limit in zip(cases, allowed, strict=True)]
    telling = sum(share >= TELLING for share in excluded)
    verdict = Verdict.HOLDS if telling >= share * len(cases) else Verdict.INCONCLUSIVE
    return Check(
        name,
        Verdict.VIOLATED if margins[worst] < 0 else verdict,
        margins[worst],
        abs(cases[worst].deviation),
        cases[worst].limit,
        "<=",
        allowed[worst] - cases[worst].limit,
        f"closest: {cases[worst].label}; {telling} of {len(cases)} cases exclude at least {TELLING:.0%} of the "
        f"values in [0, 1] ({np.median(excluded):.0%} in the median), {share:.0%} must; "
        f"false-alarm rate {FALSE_ALARM:g} for all of them (normal approximation)",
        len(cases),
        telling,
        max(abs(case.deviation) / limit for case, limit in zip(cases, allowed, strict=True)) if telling else None,
    )


def nearer(name: str, cases: Sequence[Case], wrong: Sequence[Array], alternative: str) -> Check:
    """A wrong law is rejected: in enough of the cases the outputs are nearer the exact expectation than the wrong one.

    Nearer means beyond the middle between both, by a one-sided test over the rows. A wrong law that is the exact one
    cannot be rejected: such cases are left out, and the check is inconclusive without any.

    Args:
        name: of the check.
        cases: the outputs beside the exact law; the distances are not looked at.
        wrong: expectations under the wrong law, [B] for each case.
        alternative: what the wrong law is, for the record.
    """
    gaps = np.array([float((case.exact - other).mean()) for case, other in zip(cases, wrong, strict=True)])
    different = np.flatnonzero(np.abs(gaps) > ROUNDING).tolist()
    if not different:
        return Check(
            name, Verdict.INCONCLUSIVE, 0.0, 0.0, 0.0, ">=", 0.0, "the wrong law is the exact one", len(cases), 0
        )
    factor = normal_limit(FALSE_ALARM / len(different))
    beyond = [np.sign(gaps[i]) * (cases[i].measured - (cases[i].exact + wrong[i]) / 2) for i in different]
    means = np.array([values.mean() for values in beyond])
    needed = factor * np.array([values.std(ddof=1) / np.sqrt(len(values)) for values in beyond])
    # The power of a network that follows the exact law: it is half the gap beyond the middle.
    powers = ndtr(factor * ((np.abs(gaps[different]) / 2) / np.maximum(needed, ROUNDING) - 1))
    must = int(np.ceil(SHARE * len(different)))
    # The case that decides: as many as must reject are at least as clear.
    place = int(np.argsort(needed - means, kind="stable")[must - 1])
    margin = float(means[place] - needed[place])
    return Check(
        name,
        Verdict.HOLDS if margin > 0 else Verdict.INCONCLUSIVE,
        margin,
        float(means[place]),
        float(needed[place]),
        ">=",
        0.0,
        f"share beyond the middle between both laws; rejected in {(means > needed).sum()} of {len(different)} cases, "
        f"{must} must; decided by: {cases[different[place]].label}; a network that follows the exact law would reject "
        f"with power {powers.min():.2g} to {powers.max():.2g}; false-alarm rate {FALSE_ALARM:g} for all cases (normal "
        "approximation)",
        len(different),
        int((powers >= POWER).sum()),
    ).against(alternative, float(np.sort(powers)[-must]))


def pooled(cases: Sequence[Case], label: str) -> Case:
    """Networks that translated the same rows, as one: their mean for each row."""
    numbers = (np.mean([getattr(case, name) for case in cases], axis=0) for name in Case._fields[1:])
    return Case(label, *numbers)


def _margins(cases: Sequence[Case]) -> tuple[list[float], list[float]]:
    """What each deviation may be, up to the draws, and how far below that it is."""
    factor = normal_limit(FALSE_ALARM / (2 * len(cases)))
    allowed = [case.limit + factor * case.sampling_error() for case in cases]
    return allowed, [limit - abs(case.deviation) for case, limit in zip(cases, allowed, strict=True)]


def _excluded(case: Case, allowed: float) -> float:
    """Share of the values in [0, 1] that a deviation of at most ``allowed`` forbids to the mean of the measured."""
    exact = float(case.exact.mean())
    return 1 - min(1.0, exact + allowed) + max(0.0, exact - allowed)
