"""Figures that come ready, each with the sweep that it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.decoding.speed_quality import DECODERS
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure
from experiments.sweeps.design import show
from experiments.sweeps.drawing import curve, draw_heat_map, draw_lines, numbers, values_of
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR = 1e-6
"""Errors below this many nats, exact zeros among them, are drawn here."""


@dataclass(frozen=True)
class Preset:
    """A ready-made figure.

    Attributes:
        title: what it shows.
        subject: whose results it draws.
        free: parameters that may vary; every other one must be fixed.
        sweep: arguments of a sweep that makes good data for it.
        draw: from the subject and its rows to the figure.
    """

    title: str
    subject: str
    free: frozenset[str]
    sweep: tuple[str, ...]
    draw: Callable[[Subject, Sequence[Row]], Figure]


def _some(values: Sequence[float], most: int = 6) -> list[float]:
    """At most so many of the values, the ends among them."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[place] for place in places]


def _among(rows: Sequence[Row], column: str, values: Sequence[float]) -> list[Row]:
    return [row for row in rows if row[column] in values]


def draw_mixing_time(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Mixing time over the coupling, a line for each mask size, and over both."""
    figure, (left, right) = new_figure(1, 2, 10.5, 4.2)
    few = _among(rows, "k", _some(values_of(rows, "k"), 4))
    draw_lines(left, subject, few, "coupling", "mixing_time", "k")
    draw_heat_map(right, subject, rows, "coupling", "k", "mixing_time")
    left.set_title(_law(rows))
    return figure


def draw_escape_time(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Both samplers over the coupling at one clique size, and each over (J, m)."""
    figure, (left, middle, right) = new_figure(1, 3, 14.0, 4.2)
    sizes = values_of(rows, "clique")
    even = [size for size in sizes if size % 2 == 0] or sizes
    # A clique of all sites is redrawn whole in every step: the largest one that is not says more.
    largest = max((size for size in even if size < rows[0]["sites"]), default=even[-1])
    chosen = _among(rows, "clique", [largest])
    for index, (name, label) in enumerate((("parallel", "independent parallel"), ("gibbs", "k-Gibbs"))):
        points, middle_values, _, _ = curve(chosen, "coupling", name)
        left.plot(points, middle_values, MARKERS[index], color=COLOURS[index], label=f"{label}, exact")
        points, bound, _, _ = curve(chosen, "coupling", f"{name}_bound")
        word = "lower bound 1 / Chernoff" if name == "parallel" else "upper bound 1 / c"
        left.plot(points, bound, DASHES[index], color=COLOURS[index], label=word)
    left.set_xlabel("coupling J inside the clique")
    left.set_ylabel("log₁₀ of expected steps")
    masked = f"k = {rows[0]['k']}" if rows[0]["k"] else "k = m"
    left.set_title(f"clique of m = {largest} among N = {show(rows[0]['sites'])} sites, {masked}")
    left.legend()
    # An odd clique leaves {S ≤ -3}, an even one {S ≤ -2}: beside each other they would hide the trend.
    of_a_kind = _among(rows, "clique", even)
    draw_heat_map(middle, subject, of_a_kind, "coupling", "clique", "parallel")
    draw_heat_map(right, subject, of_a_kind, "coupling", "clique", "gibbs")
    return figure


def draw_sample_efficiency(subject: Subject, rows: Sequence[Row]) -> Figure:
    """tr Γ_k over the mask size, a line for each coupling, and over both."""
    figure, (left, right) = new_figure(1, 2, 10.5, 4.2)
    few = _among(rows, "coupling", _some(values_of(rows, "coupling"), 4))
    draw_lines(left, subject, few, "k", "trace_asymptotic_covariance", "coupling", lambda value: f"J = {value:g}")
    left.set_xticks(values_of(rows, "k"))
    draw_heat_map(right, subject, rows, "k", "coupling", "trace_asymptotic_covariance")
    left.set_title(_law(rows))
    return figure


def draw_frontier(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Error against expected network calls, a line for each decoder; the calls T asked for run along it."""
    figure, (axes,) = new_figure(1, 1, 8.6, 4.6)
    present = {row["decoder"] for row in rows}
    texts = [text for text in DECODERS if text in present] + sorted(present - set(DECODERS))
    for index, text in enumerate(texts[: len(MARKERS)]):
        name, mine = DECODERS.get(text, text), [row for row in rows if row["decoder"] == text]
        of_calls = [[row for row in mine if row["calls"] == count] for count in values_of(mine, "calls")]
        calls = [float(np.median(numbers(group, "expected_calls"))) for group in of_calls]
        errors = [np.maximum(numbers(group, "kl"), FLOOR) for group in of_calls]
        middle = [float(np.median(group)) for group in errors]
        axes.plot(calls, middle, MARKERS[index] + "-", color=COLOURS[index], linewidth=0.8, label=name)
        low, high = [group.min() for group in errors], [group.max() for group in errors]
        if low != high:
            axes.fill_between(calls, low, high, color=COLOURS[index], alpha=0.12, linewidth=0)
        for column, line in (("predicted", "--"), ("bound", ":")):
            theory = [float(np.median(numbers(group, column))) for group in of_calls]
            if np.isfinite(theory).any():
                axes.plot(calls, np.maximum(theory, FLOOR), line, color=COLOURS[index])
    axes.plot([], [], "--", color="0.4", label="theory: sum of total correlations")
    axes.plot([], [], ":", color="0.4", label="theory: its mean over orders, a bound")
    if len({row["seed"] for row in rows}) > 1:
        axes.fill_between([], [], [], color="0.4", alpha=0.2, linewidth=0, label="smallest to largest over seeds")
    axes.set_yscale("log")
    axes.set_xlabel("expected network calls")
    axes.set_ylabel(f"error KL(p‖q) (nats); below {FLOOR:g} drawn there")
    axes.set_title(_law(rows))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _law(rows: Sequence[Row]) -> str:
    row = rows[0]
    model = f"{row['model']} on a {row['graph']}" if row["model"] in {"ising", "potts"} else row["model"]
    parts = [row["sampler"]] if "sampler" in row else []
    parts.append(f"{model}, N = {show(row['sites'])}")
    if len({r["field"] for r in rows}) == 1 and row["field"]:
        parts.append(f"h = {show(row['field'])}")
    return ", ".join(parts)


PRESETS = {
    "mixing-time": Preset(
        "Mixing time over coupling J and mask size k",
        "chain",
        frozenset({"coupling", "k"}),
        ("chain", "--set", "coupling=0:1:0.1", "--set", "k=1..5", "--set", "sites=6", "--set", "field=0.1"),
        draw_mixing_time,
    ),
    "escape-time": Preset(
        "Escape time over clique size m and coupling J, k-Gibbs and independent parallel",
        "escape",
        frozenset({"clique", "coupling"}),
        ("escape", "--set", "clique=2..12", "--set", "coupling=0.1:2:0.1", "--set", "sites=12"),
        draw_escape_time,
    ),
    "sample-efficiency": Preset(
        "Asymptotic covariance tr Γ_k over mask size k and coupling J",
        "information",
        frozenset({"coupling", "k"}),
        ("information", "--set", "coupling=0:1:0.1", "--set", "k=1..6", "--set", "sites=6"),
        draw_sample_efficiency,
    ),
    "decoding-frontier": Preset(
        "Network calls against error of decoders",
        "decode",
        frozenset({"decoder", "calls"}),
        (
            "decode",
            "--set",
            "decoder=optimal,left-to-right,random-order,random-order:sizes=cosine,masked-diffusion,entropy,"
            "maskgit:sizes=uniform",
            "--set",
            "calls=1..6",
            "--set",
            "model=random-ising",
            "--set",
            "sites=6",
            "--seeds",
            "5",
        ),
        draw_frontier,
    ),
}
"""The ready-made figures by name."""
