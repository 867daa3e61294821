"""Pictures of what chains do: distances over time, mixing times, spectra, metastable sets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from experiments.figures import COLOURS, marks
from experiments.pictures.drawers import drawn_before, draws, look, name_rows
from theory.chains import MetastablePartition, MixingTime, Spectrum, TotalVariationCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONG = 200
"""Steps from which the axis of time is logarithmic."""
MANY = 64
"""Eigenvalues from which the axis of ranks is logarithmic."""

DISTANCE = "total variation to the stationary law"


@draws(TotalVariationCurve)
def draw_distances(axes: Axes, named: Mapping[str, TotalVariationCurve]) -> None:
    """d(t) of every curve; the best start too where there is one curve."""
    start = drawn_before(axes)
    for series, (name, curve) in enumerate(named.items(), start):
        every = max(1, len(curve.times) // 12)
        axes.plot(curve.times, curve.worst, label=name or "worst start", markevery=every, **look(series))
        if len(named) == 1 and curve.distances.shape[1] > 1:
            best = curve.distances.min(axis=1)
            axes.plot(curve.times, best, label="best start", color=COLOURS[7], linestyle="--")
    axes.axhline(0.25, color="0.4", linestyle=":", linewidth=1.0)
    axes.annotate("1/4", (1, 0.25), (-2, 2), xycoords=("axes fraction", "data"), textcoords="offset points", ha="right")
    longest = max(int(curve.times[-1]) for curve in named.values())
    if longest > LONG:
        axes.set_xscale("symlog", linthresh=1)  # step 0 has a place
        axes.set_xlim(left=0)
    axes.set(xlabel="steps t", ylabel=DISTANCE, ylim=(0, 1.03))


@draws(MixingTime)
def draw_mixing_times(axes: Axes, named: Mapping[str, MixingTime]) -> None:
    """One: the distances just before and at the mixing time. Several: the times."""
    if len(named) > 1:
        finite = {name: float(found.steps) for name, found in named.items() if isfinite(found.steps)}
        ceiling = 4 * max([*finite.values(), 1.0])
        for series, (place, found) in enumerate(zip(name_rows(axes, named, ""), named.values(), strict=True)):
            steps = float(found.steps) if isfinite(found.steps) else ceiling
            axes.plot([steps], [place], look(series)["marker"], color="black", fillstyle=_fill(found))
            axes.annotate(f"{found.steps:g}" if isfinite(found.steps) else "never", (steps, place), (6, 4),
                          textcoords="offset points")  # fmt: skip
        axes.set(xscale="symlog", xlabel=f"mixing time t_mix({_common(named):g}) (steps)")
        axes.margins(x=0.15)
        return
    (found,) = named.values()
    if found.distance is None:
        axes.text(0.5, 0.5, textwrap.fill(f"never mixes: {found.reason}", 50), ha="center", va="center",
                  transform=axes.transAxes)  # fmt: skip
        axes.set(xlabel="steps t", ylabel=DISTANCE, ylim=(0, 1.03))
        return
    points = [(found.steps, found.distance)]
    if found.previous_distance is not None:
        points.insert(0, (found.steps - 1, found.previous_distance))
    x, y = np.array(points, dtype=float).T
    marks(axes, x, y, interval=(y - found.error_bound, y + found.error_bound))
    axes.axhline(found.epsilon, color="0.4", linestyle=":")
    axes.annotate(f"t_mix({found.epsilon:g}) = {found.steps:g}", points[-1], (0, 8), textcoords="offset points",
                  ha="right" if len(points) > 1 else "left")  # fmt: skip
    axes.set_xticks(x, [f"{step:.0f}" for step in x])
    axes.margins(0.4)
    axes.set(xlabel="steps t", ylabel=f"{DISTANCE}, worst start")


def _fill(found: MixingTime) -> str:
    """Hollow where the whole number is not certain."""
    return "full" if found.certain else "none"


def _common(named: Mapping[str, MixingTime]) -> float:
    return next(iter(named.values())).epsilon


@draws(Spectrum)
def draw_spectra(axes: Axes, named: Mapping[str, Spectrum]) -> None:
    """Real eigenvalues by rank; in the unit disc where some are complex."""
    start = drawn_before(axes)
    if all(np.isrealobj(found.eigenvalues) for found in named.values()):
        for series, (name, found) in enumerate(named.items(), start):
            ranks = np.arange(1, len(found.eigenvalues) + 1)
            marks(axes, ranks, found.eigenvalues, series, name or None)
        axes.axhline(0, color="0.6", linewidth=0.8)
        many = max(len(found.eigenvalues) for found in named.values()) > MANY
        axes.set(xlabel="rank", ylabel="eigenvalue", xscale="log" if many else "linear")
    else:
        angle = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=0.8)
        for series, (name, found) in enumerate(named.items(), start):
            values = np.asarray(found.eigenvalues, dtype=complex)
            marks(axes, values.real, values.imag, series, name or None, hollow=True)
        axes.set(xlabel="real part of the eigenvalue", ylabel="imaginary part", aspect="equal")
    if len(named) == 1:
        (found,) = named.values()
        axes.set_title(f"gap {found.gap:.3g}, absolute gap {found.absolute_gap:.3g}", loc="left")


@draws(MetastablePartition, several=False)
def draw_metastable_sets(axes: Axes, named: Mapping[str, MetastablePartition]) -> None:
    """The mass of each set, and how long the chain stays in it."""
    (partition,) = named.values()
    places = name_rows(axes, {f"set {number}": part for number, part in enumerate(partition.sets, 1)}, "")
    axes.barh(places, [part.mass for part in partition.sets], height=0.6, color="0.75", edgecolor="black")
    for place, part in zip(places, partition.sets, strict=True):
        text = f"{len(part.states)} states, left after {part.escape_time:.3g} steps"
        axes.annotate(text, (0.01, place), va="center", fontsize=8)
    axes.set(xlim=(0, 1), xlabel="stationary mass")
