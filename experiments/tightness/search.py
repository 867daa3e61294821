"""The search for the tightest instance of a bound: local ascent from many seeded starts, without derivatives.

Mixing times are integers, so the ratio is a step function in places; Nelder and Mead's simplex needs no more than its
values. What is found is a lower bound on the supremum of the ratio, and the record keeps the instance that attains it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from experiments.claim import Progress, no_progress
from experiments.tightness.bound import Array, Bound
from theory.errors import InvalidInput

ATTAINED = 1e-6
"""A ratio within this of 1 counts as attained."""

BROKEN = 1e-7
"""A ratio that exceeds 1 by more than this is no rounding: the exact values behind it carry eight digits at least."""

SCALES = (0.3, 1.0, 2.5)
"""Standard deviations of the starts, in turn: near the uniform law, ordinary, peaked."""


def tighten(
    bound: Bound, starts: int = 12, evaluations: int = 300, seed: int = 0, progress: Progress = no_progress
) -> dict[str, Any]:
    """The tightest instance that is found.

    Args:
        bound: what is searched.
        starts: local searches, from random points.
        evaluations: of the ratio, for each start.
        seed: of the starts.

    Returns:
        plain data: ``bound``, ``claim``, ``statement``; ``ratio``, the largest that was found; ``verdict``: "broken",
        "attained" (within 1e-6) or "not attained"; ``instance``; ``random``, the median ratio of the starts themselves;
        ``starts``, the ratio that each search reached; ``evaluations`` and ``seed``.

    Raises:
        InvalidInput: no starts or evaluations, or no start at which the bound says anything.
    """
    for argument, value in (("starts", starts), ("evaluations", evaluations)):
        if value < 1:
            raise InvalidInput(argument, value, "at least 1 is needed")
    generator = np.random.default_rng(seed)
    ratio = _ratio(bound)
    reached: list[float] = []
    first: list[float] = []
    best, place = -np.inf, np.zeros(bound.dimension)
    for number in range(starts):
        progress(number / starts, f"{bound.name}: {best:.4g} so far" if reached else bound.name)
        start = SCALES[number % len(SCALES)] * generator.normal(size=bound.dimension)
        first.append(ratio(start))
        end = minimize(
            lambda theta: -ratio(theta),
            start,
            method="Nelder-Mead",
            options={"maxfev": evaluations, "xatol": 1e-9, "fatol": 1e-12, "adaptive": bound.dimension > 4},
        )
        reached.append(-float(end.fun))
        if reached[-1] > best:
            best, place = reached[-1], end.x
    if best == -np.inf:
        raise InvalidInput("starts", starts, f"the bound {bound.name} says nothing at any of them; more are needed")
    verdict = "broken" if best > 1 + BROKEN else "attained" if best >= 1 - ATTAINED else "not attained"
    told = [value for value in first if value > -np.inf]
    return {
        "bound": bound.name,
        "claim": bound.claim,
        "statement": bound.statement,
        "ratio": best,
        "verdict": verdict,
        "instance": bound.plain(bound.instance(place)),
        "random": float(np.median(told)) if told else None,
        "starts": [value if value > -np.inf else None for value in reached],
        "evaluations": evaluations,
        "seed": seed,
    }


def _ratio(bound: Bound) -> Callable[[Array], float]:
    def ratio(theta: Array) -> float:
        instance = bound.instance(theta)
        if instance is None:
            return -np.inf
        value = bound.ratio(instance)
        return float(value) if np.isfinite(value) else -np.inf

    return ratio
