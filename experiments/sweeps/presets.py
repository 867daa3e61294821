"""Figures that come ready, each with the sweep that it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.chains.law_files import ChainFiles
from experiments.decoding.speed_quality import DECODERS
from experiments.figures import (
    COLOURS,
    DASHES,
    MARKERS,
    MOST_SERIES,
    headline,
    line,
    logarithmic,
    marks,
    new_figure,
    one_scale,
    plain_text,
)
from experiments.sweeps.drawing import (
    curve,
    draw_lines,
    label_of,
    median,
    numbers,
    show_value,
    values_of,
)
from experiments.sweeps.results import Row
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput
from theory.parameters import describe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR = 1e-6
"""Errors below this many nats, exact zeros among them, are drawn as zero."""


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


def latest_fitting(preset: Preset, subject: Subject, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows of the latest sweep that the figure can show, and what to say where there are several.

    Rows belong together where all parameters agree that must be fixed. Of the groups in which some free parameter
    varies, or of all where it does in none, the one with the cell that was finished last is taken.
    """
    fixed = [name for name in describe(subject.parameters) if name not in preset.free]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(name) for name in fixed), []).append(row)
    varied = {
        key: mine
        for key, mine in groups.items()
        if any(len({row.get(name) for row in mine}) > 1 for name in preset.free)
    }
    fitting = varied or groups
    chosen = max(fitting, key=lambda key: (max(row["finished"] for row in fitting[key]), len(fitting[key])))
    if len(groups) == 1:
        return fitting[chosen], []
    differ = [place for place in range(len(fixed)) if len({key[place] for key in groups}) > 1]
    words = ", ".join(f"{fixed[place]} = {show_value(chosen[place])}" for place in differ)
    said = f"drawn is the latest of {len(groups)} sweeps that differ in what must be fixed: {words}; --where chooses"
    return fitting[chosen], [said]


def _some(values: Sequence[float], most: int = 6) -> list[float]:
    """At most so many of the values, the ends among them."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [values[place] for place in places]


def _among(rows: Sequence[Row], column: str, values: Sequence[float]) -> list[Row]:
    return [row for row in rows if row[column] in values]


def _ends(rows: Sequence[Row], column: str) -> list[float]:
    """The smallest and the largest value of a column, once where they agree."""
    values = values_of(rows, column)
    return [values[0], values[-1]] if len(values) > 1 else values


def draw_mixing_time(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Mixing time over the coupling, a line for each mask size; and how far the bounds are from it."""
    figure, (left, right) = new_figure(1, 2, 10.5, 4.2)
    few = _among(rows, "k", _some(values_of(rows, "k")))
    draw_lines(left, subject, few, "coupling", "mixing_time", "k", theory=False)
    ratios = []
    for series, k in enumerate(_ends(rows, "k")):
        mine = _among(rows, "k", [k])
        points, steps, _, _ = curve(mine, "coupling", "mixing_time")
        for kind in ("lower", "upper"):
            at, bound, _, _ = curve(mine, "coupling", f"mixing_time_{kind}")
            place = np.isin(at, points)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = bound[place] / steps[np.isin(points, at)]
            ratios.append((series, k, kind, at[place], ratio))
    shown = [ratio[~np.isnan(ratio)] for *_, ratio in ratios]
    drawn = logarithmic(right, *shown, 1.0)
    for series, k, kind, at, ratio in ratios:
        colour, dash = COLOURS[series], {"lower": ":", "upper": "--"}[kind]
        right.plot(at, drawn(ratio), dash, color=colour, marker=MARKERS[series], label=f"{kind} bound, k = {k}")
    right.axhline(1.0, color="0.4", linewidth=0.8)
    right.set_xlabel(left.get_xlabel())
    right.set_ylabel("bound ÷ mixing time; 1 is attained")
    right.legend()
    headline(figure, _mixing_result(rows))
    return figure


def _mixing_result(rows: Sequence[Row]) -> str:
    """Which masks mix how fast where the coupling is largest."""
    strongest = values_of(rows, "coupling")[-1]
    steps = {k: float(curve(_among(rows, "k", [k]), "coupling", "mixing_time")[1][-1]) for k in _ends(rows, "k")}
    where = f"{_law(rows)}: at J = {strongest:g}"
    (k, first), *rest = steps.items()
    if not rest:
        return f"{where}, k = {k} mixes in {_steps(first)}"
    ((other, last),) = rest
    times = f", {first / last:.3g} times fewer" if 0 < last < first < np.inf else ""
    return f"{where}, masks of {k} mix in {_steps(first)}, masks of {other} in {_steps(last)}{times}"


def _steps(number: float) -> str:
    return "no number of steps" if np.isposinf(number) else f"{number:g} step{'' if number == 1 else 's'}"


def draw_escape_time(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Both samplers over the coupling at one clique size, and over the clique size at the largest coupling."""
    figure, (left, right) = new_figure(1, 2, 10.5, 4.2)
    sizes = values_of(rows, "clique")
    # An odd clique leaves {S <= -3}, an even one {S <= -2}: beside each other they would hide the trend.
    even = [size for size in sizes if size % 2 == 0] or sizes
    # A clique of all sites is redrawn whole in every step: the largest one that is not says more.
    largest = max((size for size in even if size < rows[0]["sites"]), default=even[-1])
    strongest = values_of(rows, "coupling")[-1]
    at_size, at_coupling = (
        _among(rows, "clique", [largest]),
        _among(_among(rows, "clique", even), "coupling", [strongest]),
    )
    for axes, chosen, x in ((left, at_size, "coupling"), (right, at_coupling, "clique")):
        for index, (name, label) in enumerate((("parallel", "independent parallel"), ("gibbs", "k-Gibbs"))):
            points, exact, _, _ = curve(chosen, x, name)
            marks(axes, points, exact, index, f"{label}, exact")
            points, bound, _, _ = curve(chosen, x, f"{name}_bound")
            word = "lower bound 1 / Chernoff" if name == "parallel" else "upper bound 1 / c"
            line(axes, points, bound, index, word, DASHES[index])
        axes.set_xlabel(label_of(subject, x))
        axes.set_ylabel("log₁₀ of expected steps")
        axes.legend()
    left.set_title(f"clique of m = {largest} sites")
    right.set_title(f"coupling J = {strongest:g}")
    right.set_xticks(even)
    one_scale([left, right], "y")
    masked = f"k = {rows[0]['k']}" if rows[0]["k"] else "k = m"
    parallel, gibbs = (float(curve(at_size, "coupling", name)[1][-1]) for name in ("parallel", "gibbs"))
    headline(
        figure,
        f"At J = {strongest:g} a clique of {largest} among {rows[0]['sites']} sites holds independent parallel for "
        f"10^{parallel:.3g} steps; k-Gibbs with {masked} reaches the right mode in 10^{gibbs:.3g}",
    )
    return figure


def draw_sample_efficiency(subject: Subject, rows: Sequence[Row]) -> Figure:
    """tr Γ_k over the mask size, a line for each coupling; and what is gained by masking more at once."""
    figure, (left, right) = new_figure(1, 2, 10.5, 4.2)
    few = _among(rows, "coupling", _some(values_of(rows, "coupling")))
    draw_lines(
        left, subject, few, "k", "trace_asymptotic_covariance", "coupling", lambda value: f"J = {value:g}", theory=False
    )
    sizes = values_of(rows, "k")
    gains = []
    for series, coupling in enumerate(values_of(few, "coupling")):
        points, traces, _, _ = curve(_among(rows, "coupling", [coupling]), "k", "trace_asymptotic_covariance")
        _, least, _, _ = curve(_among(rows, "coupling", [coupling]), "k", "trace_inverse_fisher")
        marked = MARKERS[series] + "-"
        right.plot(points, traces / least, marked, color=COLOURS[series], linewidth=0.8, label=f"J = {coupling:g}")
        gains.append((coupling, float(traces[0] / traces[-1])))
    right.axhline(1.0, color="0.4", linewidth=0.8)
    right.set_xlabel(left.get_xlabel())
    right.set_ylabel("tr Γ_k ÷ tr I⁻¹; 1 is maximum likelihood")
    right.legend()
    if (legend := left.get_legend()) is not None:
        legend.remove()  # that of the panel beside it hides nothing
    for axes in (left, right):
        axes.set_xticks(sizes)
    coupling, gain = gains[-1]
    headline(
        figure,
        f"{_law(rows)}: at J = {coupling:g} masks of {sizes[-1]} need {gain:.3g} times less data than of {sizes[0]}"
        + (f"; at J = {gains[0][0]:g}, {gains[0][1]:.3g} times" if len(gains) > 1 else ""),
    )
    return figure


def draw_frontier(subject: Subject, rows: Sequence[Row]) -> Figure:
    """Error against expected network calls, a line for each decoder; the calls T asked for run along it."""
    figure, (axes,) = new_figure(1, 1, 8.6, 4.6)
    present = {row["decoder"] for row in rows}
    texts = [text for text in DECODERS if text in present] + sorted(present - set(DECODERS))
    if len(texts) > MOST_SERIES:
        raise InvalidInput(
            "decoder",
            f"{len(texts)} decoders",
            f"cannot be told apart; keep at most {MOST_SERIES} with --where decoder=",
        )
    drawn = logarithmic(axes, *(numbers(rows, column) for column in ("kl", *THEORY)), floor=FLOOR)
    for index, text in enumerate(texts):
        name, mine = DECODERS.get(text, text), [row for row in rows if row["decoder"] == text]
        of_calls = [[row for row in mine if row["calls"] == count] for count in values_of(mine, "calls")]
        calls = [median(numbers(group, "expected_calls")) for group in of_calls]
        errors = [numbers(group, "kl") for group in of_calls]
        middle = [median(group) for group in errors]
        axes.plot(calls, drawn(middle), MARKERS[index] + "-", color=COLOURS[index], linewidth=0.8, label=name)
        low, high = [group.min() for group in errors], [group.max() for group in errors]
        if low != high:
            axes.fill_between(calls, drawn(low), drawn(high), color=COLOURS[index], alpha=0.12, linewidth=0)
        for column, dash in THEORY.items():
            theory = [median(numbers(group, column)) for group in of_calls]
            if np.isfinite(theory).any():
                axes.plot(calls, drawn(theory), dash, color=COLOURS[index])
    axes.plot([], [], "--", color="0.4", label="theory: sum of total correlations")
    axes.plot([], [], ":", color="0.4", label="theory: its mean over orders, a bound")
    if len({row["seed"] for row in rows}) > 1:
        axes.fill_between([], [], [], color="0.4", alpha=0.2, linewidth=0, label="smallest to largest over seeds")
    axes.set_xlabel("expected network calls")
    axes.set_ylabel("error KL(p‖q) (nats)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    headline(figure, _frontier_result(rows))
    return figure


THEORY = {"predicted": "--", "bound": ":"}
"""Columns of the theory's errors, with their dashes."""


def _frontier_result(rows: Sequence[Row]) -> str:
    """The best and the worst decoder at the calls in the middle."""
    counts = values_of(rows, "calls")
    middle = counts[len(counts) // 2]
    here = [row for row in rows if row["calls"] == middle]
    errors = {
        DECODERS.get(text, text): median(numbers([row for row in here if row["decoder"] == text], "kl"))
        for text in values_of(here, "decoder")
    }
    best, worst = min(errors, key=lambda name: errors[name]), max(errors, key=lambda name: errors[name])
    where = f"{_law(rows)}: at T = {middle} calls"
    if best == worst:
        return f"{where} {best} errs by {errors[best]:.3g} nats"
    return f"{where} {best} errs least, by {errors[best]:.3g} nats, {worst} most, by {errors[worst]:.3g}"


def _law(rows: Sequence[Row]) -> str:
    row = rows[0]
    files = [name for name in describe(ChainFiles) if row.get(name) and row[name] is not True]
    model = f"{row['model']} on a {row['graph']}" if row["model"] in {"ising", "potts"} else row["model"]
    parts = [row["sampler"]] if "sampler" in row else []
    parts.append(show_value(row[files[0]]) if files else f"{model}, N = {show_value(row['sites'])}")
    if len({r["field"] for r in rows}) == 1 and row["field"]:
        parts.append(f"h = {show_value(row['field'])}")
    return plain_text(", ".join(parts))


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
            "decoder=optimal,left-to-right,random-order,masked-diffusion,entropy,maskgit:sizes=uniform",
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
