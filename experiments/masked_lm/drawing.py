"""Figures of windows and scans, drawn from their records."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, DASHES, MARKERS, logarithmic, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SEQUENCES = 6
"""Sequences of the picture of modes."""

SMALLEST_DISTANCE = 1e-9
"""Total variation at or below which a decoder's law is drawn as the reference."""

NAMED_DECODERS = 6
"""Decoders, or groups of decoders with the same numbers, that have a name in the picture."""


def draw_window(record: Mapping[str, Any]) -> Figure:
    """Mixing by k and temperature, where the mass is, decoders beside their calls, which sites depend on each other."""
    with style():
        figure, panels = new_figure(2, 2, width=11.5, height=7.6)
        distances_on(panels[0], record)
        _masses(panels[1], record)
        _decoders(panels[2], record)
        _dependence(panels[3], record)
        figure.suptitle(f"Window {record['window']} (sites {', '.join(str(site) for site in record['sites'])})")
    return figure


def distances_on(axes: Axes, record: Mapping[str, Any]) -> None:
    """Distance over time by mask size and temperature, on axes."""
    curves = [curve for curve in record["curves"] if curve["sampler"] == "k-gibbs"]
    temperatures = list(dict.fromkeys(curve["temperature"] for curve in curves))
    for curve in curves:
        axes.plot(
            np.maximum(curve["times"], 0.5),
            curve["worst"],
            linestyle=DASHES[temperatures.index(curve["temperature"]) % len(DASHES)],
            marker=MARKERS[curve["k"] - 1],
            markevery=5,
            color=COLOURS[curve["k"] - 1],
            label=f"k = {curve['k']}, T = {curve['temperature']:g}",
        )
    axes.axhline(0.25, color="0.4", linewidth=0.8)
    axes.set(
        xscale="log",
        ylim=(0, 1.02),
        xlabel="steps of block Gibbs (0 is drawn at 0.5)",
        ylabel="TV to its stationary law",
        title="Distance over time, slowest start found",
    )
    axes.legend()


def _masses(axes: Axes, record: Mapping[str, Any]) -> None:
    """Stationary mass of the sets that each sampler seldom leaves; the likeliest sequence names a set."""
    rows = [row for row in record["samplers"] if row["modes"]]
    names = list(dict.fromkeys(mode["sequence"] for row in rows for mode in row["modes"]))[:MOST_SEQUENCES]
    for place, row in enumerate(rows):
        left = 0.0
        for mode in row["modes"]:
            number = names.index(mode["sequence"]) if mode["sequence"] in names else len(COLOURS) - 1
            axes.barh(
                place,
                mode["mass"],
                left=left,
                height=0.65,
                color=COLOURS[(number + 1) % len(COLOURS)],
                hatch=("", "//", "..", "xx", "\\\\", "++")[number % 6],
                edgecolor="white",
            )
            escape = mode["escape_time"]
            if mode["mass"] > 0.12:
                axes.text(
                    left + mode["mass"] / 2,
                    place,
                    f"{mode['sequence']}" + ("" if escape is None else f"\nleft after {escape:.2g}"),
                    ha="center",
                    va="center",
                    fontsize=7,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85},
                )
            left += mode["mass"]
    axes.set_yticks(
        range(len(rows)),
        [f"{_short(row['sampler'])}, k = {row['k']}, T = {row['temperature']:g}" for row in rows],
    )
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(
        xlim=(0, 1), xlabel="stationary mass (left after: mean steps)", title="Sets that the sampler seldom leaves"
    )


def _decoders(axes: Axes, record: Mapping[str, Any]) -> None:
    shown = [row for row in record["decoders"] if row.get("total_variation") is not None]
    # Where rules fall together one mark stands for all of them.
    names = list(dict.fromkeys(row["decoder"] for row in shown))
    groups: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for name in names:
        points = tuple(
            sorted(
                (round(row["calls"], 6), round(row["total_variation"], 9)) for row in shown if row["decoder"] == name
            )
        )
        groups.setdefault(points, []).append(name)
    # The closest ones have names, all others one grey.
    ranked = sorted(groups, key=lambda points: min(distance for _, distance in points))
    places = logarithmic(axes, [distance for points in groups for _, distance in points], floor=SMALLEST_DISTANCE)
    for index, points in enumerate(ranked):
        calls, distances = [calls for calls, _ in points], places([distance for _, distance in points])
        if index < NAMED_DECODERS:
            look: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index], "linestyle": DASHES[index]}
            axes.plot(calls, distances, label=textwrap.fill(", ".join(groups[points]), 34), zorder=3, **look)
        else:
            rest = sum(len(groups[points]) for points in ranked[NAMED_DECODERS:])
            label = f"{rest} others" if index == NAMED_DECODERS else None
            axes.plot(calls, distances, color="0.75", marker=".", linewidth=0.8, label=label)
    reference = record.get("decoders_reference")
    of = "the first sampler's law" if not reference else f"the law of Gibbs, k = {reference['k']}"
    axes.set(
        xlabel="network calls, expected",
        ylabel=f"TV to {of}",
        title="What each decoder's output law costs",
    )
    axes.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def _dependence(axes: Axes, record: Mapping[str, Any]) -> None:
    values = np.array(record["conditional_mutual_information"])
    image = axes.imshow(np.where(np.eye(len(values), dtype=bool), np.nan, values), cmap="Greys", vmin=0)
    labels = [f"{site}" for site in record["sites"]]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.grid(visible=False)
    top = np.nanmax(values) if values.size else 0.0
    for i in range(len(values)):
        for j in range(len(values)):
            if i != j:
                dark = values[i, j] > 0.6 * top
                axes.text(j, i, f"{values[i, j]:.2g}", ha="center", va="center", color="white" if dark else "black")
    axes.set(xlabel="site", ylabel="site", title="Mutual information of two sites given the rest (nats)")
    axes.figure.colorbar(image, ax=axes, shrink=0.8)


def _short(sampler: str) -> str:
    return {"k-gibbs": "Gibbs", "systematic-scan": "scan"}.get(sampler, sampler)


def draw_scan(record: Mapping[str, Any]) -> Figure:
    """Over the sequence: what parallel decoding loses, what the order decides, how incompatible things are."""
    rows = record["windows"]
    middle = np.array([row["start"] for row in rows]) + (record["size"] - 1) / 2
    names = {2: "pair", 3: "triple"}
    with style():
        figure, panels = new_figure(3, 1, width=11.0, height=7.4)
        lines = (
            (
                ("parallel_total_variation", "one parallel call against left to right"),
                ("order_total_variation", "left to right against right to left"),
            ),
            (
                ("total_correlation", "dependence that a parallel call misses"),
                ("order_kl_per_token", "left to right against right to left, a token"),
            ),
            (("largest_log_odds", "largest"), ("weighted_log_odds", "mean, weighted by the law")),
        )
        labels = ("total variation", "nats", "log odds of a rectangle")
        for axes, parts, label in zip(panels, lines, labels, strict=True):
            for index, (name, text) in enumerate(parts):
                axes.plot(
                    middle, [row[name] for row in rows], DASHES[index], color=COLOURS[index], marker=MARKERS[index],
                    markersize=3, label=text,
                )  # fmt: skip
            axes.set(ylabel=label, xlim=(middle.min() - 1, middle.max() + 1))
            axes.legend(loc="upper left")
        for axes, parts in zip(panels[:2], lines[:2], strict=True):
            axes.set_yscale("symlog", linthresh=1e-3)
            axes.set_ylim(0, 1.6 * max(row[name] for row in rows for name, _ in parts) or 1e-3)
        letters = record["sequence"]
        if len(letters) > middle.max() and len(rows) <= 160:
            places = np.arange(int(middle.min()), int(middle.max()) + 1)
            above = panels[0].secondary_xaxis("top")
            above.set_xticks(places, [letters[place] for place in places], fontsize=6)
            above.tick_params(length=0)
        panels[-1].set_xlabel(f"site (middle of each {names[record['size']]}, from 0)")
    return figure
