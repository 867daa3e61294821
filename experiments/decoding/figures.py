"""The frontier of decoders: network calls against divergence, drawn from the record of ``gmlm decode``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, plain_text, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Marks = dict[str, list[dict[str, float]]]

FLOOR = 1e-6
"""Nats a site: smaller divergences, exact zeros among them, are drawn here."""

REFERENCE = "optimal"
"""The decoder that is drawn as the line nobody without tokens gets below."""

SIGNS = {"exact": "", "unbiased": "", "upper": " (at most)", "lower": " (at least)"}

LABELS = {"kl": "KL(p‖q) (nats a site)", "loss": "-ln q(x) of held-out sequences (nats a site)"}


def measure(record: Mapping[str, Any]) -> str | None:
    """The number of the record that is drawn: the divergence, or the loss where no law is known."""
    for name in LABELS:
        if any(row[name] is not None and math.isfinite(float(row[name]["value"])) for row in record["decoders"]):
            return name
    return None


def draw_frontier(record: Mapping[str, Any]) -> Figure:
    """KL(p || q) a site (the loss, of a network alone) against expected calls; bars are intervals.

    Decoders are named at their last mark, in an order that follows their height, so that names do not overlap. Where
    the conditionals are learned, filled marks show them and hollow ones the same decoder on the true conditionals.

    Args:
        record: one that `measure` finds something in.
    """
    drawn = measure(record) or "kl"
    figure, (axes,) = new_figure(width=5.2, height=max(4.6, 1.6 + 0.26 * len(_series(record, drawn))))
    with style():
        frontier_on(axes, record)
    return figure


def frontier_on(axes: Axes, record: Mapping[str, Any]) -> None:
    """The same on axes."""
    drawn = measure(record) or "kl"
    series, truths = _series(record, drawn), _series(record, "decoding_error") if record["learned"] else {}
    for number, (name, points) in enumerate(series.items()):
        reference = name == REFERENCE
        look = {
            "color": "black" if reference else COLOURS[1 + number % (len(COLOURS) - 1)],
            "marker": "_" if reference else MARKERS[number % len(MARKERS)],
            "markersize": 6,
            "capsize": 2,
        }
        dash = "-" if reference or truths else DASHES[number % len(DASHES)]
        _draw(axes, points, record["sites"], **look, linestyle=dash, linewidth=2.2 if reference else 1.2)
        for other, marks in truths.items():
            if _bare(other) == _bare(name):
                _draw(axes, marks, record["sites"], **look, linestyle=":", linewidth=1.0, fillstyle="none")
    axes.set_xscale("log", base=2)
    if drawn == "kl":
        axes.set_yscale("log")
    ticks = sorted({point["calls"] for points in series.values() for point in points})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlabel("expected network calls for a sequence")
    axes.set_ylabel(LABELS[drawn])
    axes.set_title(plain_text(f"{record['law']}, N = {record['sites']}"), loc="left")
    if truths:
        for filled, label in (("full", "learned conditionals"), ("none", "true conditionals")):
            line = "-" if filled == "full" else ":"
            axes.plot([], [], color="0.3", marker="o", linestyle=line, fillstyle=filled, label=label)
        axes.legend(loc="best", fontsize=8)
    _name_series(axes, series, record["sites"])
    everything = [point for marks in (series, truths) for points in marks.values() for point in points]
    if drawn == "kl" and any(point["value"] / record["sites"] <= FLOOR for point in everything):
        axes.axhline(FLOOR, color="0.6", linewidth=0.8)
        axes.annotate("zero, or below", (0, FLOOR), (3, 3), xycoords=("axes fraction", "data"),
                      textcoords="offset points", fontsize=8, color="0.35")  # fmt: skip


def _draw(axes: Axes, points: list[dict[str, float]], sites: int, **look: Any) -> None:
    values, low, high = ([max(point[end] / sites, FLOOR) for point in points] for end in ("value", "low", "high"))
    below = [value - min(end, value) for value, end in zip(values, low, strict=True)]
    above = [max(end, value) - value for value, end in zip(values, high, strict=True)]
    axes.errorbar([point["expected_calls"] for point in points], values, yerr=[below, above], **look)


def _series(record: Mapping[str, Any], measured: str) -> Marks:
    """The marks of each decoder that has a finite number, the worst first; names of bounds say so."""
    series: Marks = {}
    kinds: dict[str, str] = {}
    for row in record["decoders"]:
        found = row[measured]
        if found is None or not math.isfinite(float(found["value"])):
            continue
        low, high = (float(end) for end in found["interval"])
        mark = {"calls": row["calls"], "expected_calls": row["expected_calls"], "value": float(found["value"])}
        marks = series.setdefault(row["decoder"], [])
        if not any(math.isclose(other["expected_calls"], mark["expected_calls"]) for other in marks):
            marks.append({**mark, "low": low, "high": high if math.isfinite(high) else mark["value"]})
        kinds[row["decoder"]] = found["kind"]
    ranked = sorted(series, key=lambda name: -series[name][-1]["value"])
    return {name + SIGNS[kinds[name]]: sorted(series[name], key=lambda mark: mark["expected_calls"]) for name in ranked}


def _bare(name: str) -> str:
    """The name of a series without what it says of bounds."""
    for sign in SIGNS.values():
        name = name.removesuffix(sign)
    return name


def _name_series(axes: Axes, series: Marks, sites: int) -> None:
    """Names right of the axes, each joined to its last mark, spread so that none overlap."""
    across = math.log10 if axes.get_yscale() == "log" else float
    bottom, top = (across(limit) for limit in axes.get_ylim())
    ends = [max(points[-1]["value"] / sites, FLOOR) for points in series.values()]
    wanted = [(across(end) - bottom) / (top - bottom) for end in ends]
    gap = min(0.055, 1.0 / max(len(wanted), 1))
    places: list[float] = []
    for place in wanted:  # from the top
        places.append(min(place, places[-1] - gap if places else 1.0))
    shift = max(0.0, -min(places, default=0.0))
    places = [min(place + shift, 1.0 - gap * index) for index, place in enumerate(places)]
    for (name, points), end, place in zip(series.items(), ends, places, strict=True):
        axes.annotate(
            plain_text(name),
            xy=(points[-1]["expected_calls"], end),
            xytext=(1.03, place),
            textcoords="axes fraction",
            annotation_clip=False,
            fontsize=8.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )
