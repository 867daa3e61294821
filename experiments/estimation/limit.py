"""When repeated learning may be compared with its limit, the law that asymptotic covariances predict.

The squared error of learning differs from its limit by a fraction of about tr Gamma / n, in squared log-odds.
"""

from __future__ import annotations

FALSE_ALARM = 1e-4
"""Probability that one statistical check fails although the estimator has the predicted law."""

REGIME = 0.05
"""Largest tr Gamma / n at which n counts as large."""


def too_small(samples: int, second_order: float, infinite: int, fits: int) -> str:
    """Why n is too small for the limit, or nothing.

    Args:
        samples: n.
        second_order: tr Gamma / n.
        infinite: how many fits have no finite optimum.
        fits: how many there are.
    """
    if not infinite and second_order <= REGIME:
        return ""
    return (
        f"n = {samples} is too small for the limit: tr Γ / n is up to {second_order:.3g} (at most {REGIME:g} is "
        f"needed) and {infinite} of {fits} fits have no finite optimum; raise samples"
    )
