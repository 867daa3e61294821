"""The samplers of a window: stationary law, gap, mixing times, modes, each as plain data.

Up to `DENSE_STATES` states everything is read from the matrix; beyond, nothing but products is used, and the worst
mixing time is proved by covering as long as that is affordable (`PROVED_STATES`), else it is the longest one found
from the starts where the slow modes are largest: a lower bound, and said to be one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.cached_conditionals import CachedConditionals
from theory.chains import NotConverged, TransitionOperator, arnoldi_gaps, geometric_times, mixing_time
from theory.chains.leading_modes import Distances, LeadingModes, escape_time, leading_modes, slow_sets, slow_starts
from theory.masks import k_uniform
from theory.samplers import block_gibbs, systematic_scan

Array = NDArray[np.float64]

EPSILON = 0.25
"""Total variation that counts as mixed."""
DENSE_STATES = 1024
PROVED_STATES = 10_000
PROVED_STEPS = 1_000
"""Beyond so many states, or steps of mixing, the worst start is not proved to be the worst."""
FEWEST_STATES = 16
"""Below this many states there are no modes to speak of."""
SLOW = 50.0
"""Relaxation time, in steps, from which a slow eigenvalue is taken for a mode's."""
LEAST_MASS = 1e-3
"""Sets of less stationary mass are traps, not modes."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """One sampler on a window.

    Attributes:
        record: plain data for the window's record.
        law: its stationary law [S].
        curve: times, distances from the worst start found and from the native sequence (or None), for a figure.
    """

    record: dict[str, Any]
    law: Array
    curve: dict[str, Any]


def gibbs(conditionals: CachedConditionals, size: int) -> TransitionOperator:
    """Random-scan Gibbs with blocks of ``size`` sites."""
    return block_gibbs(conditionals, k_uniform(conditionals.sites, size))


def scan(conditionals: CachedConditionals) -> TransitionOperator:
    """The sites one after the other, from left to right; a step is a sweep."""
    return systematic_scan(conditionals)


def analyse(chain: TransitionOperator, native: int | None, text: Any) -> Sampled:
    """What a window's record says of one sampler.

    Args:
        chain: the sampler.
        native: state of the sequence itself, where the alphabet has it.
        text: from the number of a state to the window's text.
    """
    if chain.states < FEWEST_STATES:
        return _small(chain, native)
    modes = leading_modes(chain, min(6, chain.states - 3))
    gaps = modes.gaps
    if gaps is None:
        found = arnoldi_gaps(chain)[1]
        gaps = found.gap, found.absolute_gap
    chain.stationary = modes.law
    starts = slow_starts(modes)
    followed = {int(start): Distances(chain, modes, int(start)) for start in starts}
    times = {start: curve.mixing_time(EPSILON) for start, curve in followed.items()}
    worst = max(times, key=lambda start: (times[start], followed[start].at(max(times[start] - 1, 0))))
    steps, proved = times[worst], False
    if chain.states <= DENSE_STATES or (chain.states <= PROVED_STATES and steps <= PROVED_STEPS):
        exact = (
            mixing_time(chain, EPSILON)
            if chain.states <= DENSE_STATES
            else mixing_time(chain, EPSILON, alike=np.arange(chain.states))
        )
        proved = exact.certain
        if exact.worst_start is not None and int(exact.steps) >= steps:
            steps, worst = int(exact.steps), int(exact.worst_start)
            followed[worst] = Distances(chain, modes, worst)
    own = None if native is None else Distances(chain, modes, native)
    record = {
        "gap": gaps[0],
        "absolute_gap": gaps[1],
        "relaxation_time": 1 / gaps[1] if gaps[1] > 0 else None,
        "mixing_time": steps,
        "mixing_time_is": "exact" if proved else "a lower bound: the longest from the starts that were tried",
        "worst_start": text(worst),
        "mixing_time_native": None if own is None else own.mixing_time(EPSILON),
        "distance_error": max(curve.error_bound for curve in followed.values()),
        **_sets(chain, modes, text),
    }
    moments = geometric_times(max(2 * steps, 4), 40)
    curve = {
        "times": moments.tolist(),
        "worst": [followed[worst].at(int(time)) for time in moments],
        "native": None if own is None else [own.at(int(time)) for time in moments],
    }
    return Sampled(record, modes.law, curve)


def redraw(law: Array, text: Any, native: int | None) -> Sampled:
    """The block of all sites: every step is a fresh draw."""
    worst = int(law.argmin())
    record: dict[str, Any] = {
        "gap": 1.0,
        "absolute_gap": 1.0,
        "relaxation_time": 1.0,
        "mixing_time": 1,
        "mixing_time_is": "exact",
        "worst_start": text(worst),
        "mixing_time_native": None if native is None else int(law[native] < 1 - EPSILON),
        "distance_error": 0.0,
        "modes": [],
        "traps": 0,
    }
    far = [1 - float(law[worst]), 0.0]
    near = None if native is None else [1 - float(law[native]), 0.0]
    return Sampled(record, law, {"times": [0, 1], "worst": far, "native": near})


def _sets(chain: TransitionOperator, modes: LeadingModes, text: Any) -> dict[str, Any]:
    """Modes with their basins and escape times; what holds the chain but not the law is counted as a trap."""
    law = modes.law
    listed, traps = [], 0
    sets = slow_sets(modes, SLOW)
    for inside in sets:
        mass = float(law[inside].sum())
        if mass < LEAST_MASS:
            traps += 1
            continue
        top = int(inside[law[inside].argmax()])
        try:
            escape = escape_time(chain, law, inside) if len(sets) > 1 else None
        except NotConverged:
            escape = None
        listed.append(
            {
                "sequence": text(top),
                "probability": float(law[top]),
                "mass": mass,
                "states": len(inside),
                "escape_time": escape,
            }
        )
    return {"modes": listed, "traps": traps}


def _small(chain: TransitionOperator, native: int | None) -> Sampled:
    from theory.chains import spectrum, stationary_law, total_variation_curve

    law, found, mixing = stationary_law(chain).law, spectrum(chain), mixing_time(chain, EPSILON)
    finite = np.isfinite(mixing.steps)
    own = None if native is None else mixing_time(chain, EPSILON, starts=[native]).steps
    record: dict[str, Any] = {
        "gap": found.gap,
        "absolute_gap": found.absolute_gap,
        "relaxation_time": found.relaxation_time if np.isfinite(found.relaxation_time) else None,
        "mixing_time": int(mixing.steps) if finite else None,
        "mixing_time_is": "exact",
        "worst_start": None,
        "mixing_time_native": int(own) if own is not None and np.isfinite(own) else None,
        "distance_error": mixing.error_bound,
        "modes": [],
        "traps": 0,
    }
    moments = geometric_times(max(2 * int(mixing.steps), 4) if finite else 64, 40)
    curve = total_variation_curve(chain, moments.tolist())
    near = None if native is None else curve.distances[:, native].tolist()
    return Sampled(record, law, {"times": moments.tolist(), "worst": curve.worst.tolist(), "native": near})
