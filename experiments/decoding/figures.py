"""The frontier of decoders: network calls against divergence, drawn from the record of ``gmlm decode``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR = 1e-6
"""Nats a site: smaller divergences, exact zeros among them, are drawn here."""

REFERENCE = "optimal"
"""The decoder that is drawn as the line nobody without tokens gets below."""

SIGNS = {"exact": "", "unbiased": "", "upper": " (at most)", "lower": " (at least)"}


def draw_frontier(record: Mapping[str, Any]) -> Figure:
    """KL(p || q) a site against expected calls, both logarithmic; bars are intervals.

    Decoders are named at their last mark, in an order that follows their height, so that names do not overlap.
    """
    series = _series(record)
    figure, (axes,) = new_figure(width=5.2, height=max(4.6, 1.6 + 0.26 * len(series)))
    with style():
        for number, (name, points) in enumerate(series.items()):
            reference = name == REFERENCE
            colour = "black" if reference else COLOURS[1 + number % (len(COLOURS) - 1)]
            calls = [point["expected_calls"] for point in points]
            values = [point["kl"] / record["sites"] for point in points]
            low = [max(point["low"] / record["sites"], FLOOR) for point in points]
            high = [max(point["high"] / record["sites"], FLOOR) for point in points]
            drawn = [max(value, FLOOR) for value in values]
            axes.errorbar(
                calls,
                drawn,
                yerr=[[d - min(a, d) for d, a in zip(drawn, low, strict=True)],
                      [max(b, d) - d for d, b in zip(drawn, high, strict=True)]],
                color=colour,
                linestyle="-" if reference else DASHES[number % len(DASHES)],
                linewidth=2.2 if reference else 1.2,
                marker="_" if reference else MARKERS[number % len(MARKERS)],
                markersize=6,
                capsize=2,
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({point["calls"] for points in series.values() for point in points})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.set_xlabel("expected network calls for a sequence")
        axes.set_ylabel("KL(p‖q) (nats a site)")
        axes.set_title(f"{record['law']}, N = {record['sites']}", loc="left")
        _name_series(axes, series, record["sites"])
        if any(point["kl"] / record["sites"] <= FLOOR for points in series.values() for point in points):
            axes.axhline(FLOOR, color="0.6", linewidth=0.8)
            axes.annotate("zero, or below", (0, FLOOR), (3, 3), xycoords=("axes fraction", "data"),
                          textcoords="offset points", fontsize=8, color="0.35")  # fmt: skip
    return figure


def _series(record: Mapping[str, Any]) -> dict[str, list[dict[str, float]]]:
    """The marks of each decoder that has a finite number, the worst first; names of bounds say so."""
    series: dict[str, list[dict[str, float]]] = {}
    kinds: dict[str, str] = {}
    for row in record["decoders"]:
        found = row["kl"]
        if found is None or not math.isfinite(float(found["value"])):
            continue
        low, high = (float(end) for end in found["interval"])
        mark = {"calls": row["calls"], "expected_calls": row["expected_calls"], "kl": float(found["value"])}
        marks = series.setdefault(row["decoder"], [])
        if not any(math.isclose(other["expected_calls"], mark["expected_calls"]) for other in marks):
            marks.append({**mark, "low": low, "high": high if math.isfinite(high) else mark["kl"]})
        kinds[row["decoder"]] = found["kind"]
    ranked = sorted(series, key=lambda name: -series[name][-1]["kl"])
    return {name + SIGNS[kinds[name]]: sorted(series[name], key=lambda mark: mark["expected_calls"]) for name in ranked}


def _name_series(axes: Any, series: Mapping[str, list[dict[str, float]]], sites: int) -> None:
    """Names right of the axes, each joined to its last mark, spread so that none overlap."""
    bottom, top = (math.log10(limit) for limit in axes.get_ylim())
    wanted = [
        (math.log10(max(points[-1]["kl"] / sites, FLOOR)) - bottom) / (top - bottom) for points in series.values()
    ]
    gap = min(0.055, 1.0 / max(len(wanted), 1))
    places: list[float] = []
    for place in wanted:  # from the top
        places.append(min(place, places[-1] - gap if places else 1.0))
    shift = max(0.0, -min(places, default=0.0))
    places = [min(place + shift, 1.0 - gap * index) for index, place in enumerate(places)]
    for (name, points), place in zip(series.items(), places, strict=True):
        last = points[-1]
        axes.annotate(
            name,
            xy=(last["expected_calls"], max(last["kl"] / sites, FLOOR)),
            xytext=(1.03, place),
            textcoords="axes fraction",
            annotation_clip=False,
            fontsize=8.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3},
        )
