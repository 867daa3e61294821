"""Total-variation curves of a chain, at geometric times, and their picture with the bounds on the mixing time."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, plain_text
from theory.chains import TransitionOperator, geometric_times, total_variation_curve
from theory.chains.exact_powers import exact_distances
from theory.chains.mixing import EXACT_STATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

RESOLVED = 2.0**40
"""Longest time that powers in float64 are trusted with for a picture."""
LONGEST = 2.0**60
"""Longest time on the axis of a curve that was not computed by exact powers."""
TIMES = 50
"""Times of a curve."""
DRAWN = 400
"""Points of a drawn bound."""


def distance_curve(
    chain: TransitionOperator,
    steps: float,
    stationary: Array,
    starts: list[int] | None = None,
    labels: tuple[str, str] = ("worst start", "best start"),
) -> dict[str, Any]:
    """Largest and smallest distance over the starts (all by default) until well after the mixing time.

    Args:
        chain: one closed class.
        steps: the mixing time, or about; infinite where there is none.
        stationary: the stationary law.

    Returns:
        Plain data: ``times`` [T], ``worst`` and ``best`` [T], ``labels``, ``stationary_minimum``.

    Raises:
        ExceedsMemory: the powers would not fit.
        TooLong: the exact powers that a long time needs would take too many operations.
    """
    last = min(4.0 * steps + 4, LONGEST) if steps < inf else 1000.0
    if starts is None and last > RESOLVED and chain.states <= EXACT_STATES:
        distances = exact_distances(chain.to_dense(), 1e-3)
        at_once = 1 - stationary  # TV(point mass, pi)
        times = [0, *(1 << level for level in range(len(distances)))]
        distances = np.concatenate([at_once[None, :], distances])
    else:
        found = total_variation_curve(chain, geometric_times(int(last), TIMES), starts)
        times, distances = found.times.tolist(), found.distances
    return {
        "times": times,
        "worst": distances.max(axis=1),
        "best": distances.min(axis=1),
        "labels": labels,
        "stationary_minimum": float(stationary[stationary > 0].min()),
    }


def draw_curve(record: Mapping[str, Any], title: str) -> Figure:
    """The total-variation curve of a record that was made with ``curve``, and the bounds on its mixing time."""
    figure, (axes,) = new_figure(1, 1, 7.0, 4.4)
    curve_on(axes, record)
    axes.set_title(plain_text(title))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def curve_on(axes: Axes, record: Mapping[str, Any]) -> None:
    """The same on axes, without title and legend."""
    curve = record["curve"]
    times = np.maximum(np.array([float(time) for time in curve["times"]]), 0.5)  # step 0 is drawn at the left edge
    axes.plot(times, curve["worst"], MARKERS[0], color=COLOURS[0], label=f"exact, {curve['labels'][0]}")
    best = f"exact, {curve['labels'][1]}"
    axes.plot(times, curve["best"], MARKERS[1], color=COLOURS[7], label=best, markersize=3)
    gap = record["absolute_spectral_gap"]
    if record["reversible"] and gap:
        steps = np.geomspace(0.5, times[-1], DRAWN)
        decay = np.exp(steps * np.log1p(-min(gap, 1 - 1e-15)))
        axes.plot(steps, 0.5 * decay, DASHES[1], color=COLOURS[1], label="lower bound from the gap")
        upper = np.minimum(1.0, 0.5 * decay / np.sqrt(curve["stationary_minimum"]))
        axes.plot(steps, upper, DASHES[2], color=COLOURS[2], label="upper bound from the gap")
    axes.axhline(record["epsilon"], color="0.4", linewidth=0.8)
    if record["mixing_time"] is not None:
        steps = record["mixing_time"]
        axes.axvline(max(steps, 0.5), color="0.4", linewidth=0.8)
        right = steps > times[-1] ** 0.5  # the label stays within the axes
        axes.annotate(
            f"t_mix({record['epsilon']:g}) = {steps if steps < 10**9 else format(float(steps), '.4g')}",
            (max(steps, 0.5), record["epsilon"]),
            xytext=(-5, 5) if right else (5, 5),
            textcoords="offset points",
            horizontalalignment="right" if right else "left",
        )
    for index, (name, (lower, upper)) in enumerate(record["mixing_time_bounds"].items()):
        height = 0.94 - 0.07 * index
        for value, marker in ((lower, ">"), (upper, "<")):
            if value:
                axes.plot([value], [height], marker, color=COLOURS[3 + index], markersize=7)
        low, high = ("0" if not lower else f"{lower:.4g}"), ("∞" if upper is None else f"{upper:.4g}")
        axes.plot([], [], "d", color=COLOURS[3 + index], label=f"{name}: {low} ≤ t_mix ≤ {high}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("steps t")
    axes.set_ylabel("total variation to the stationary law")
