"""The figure of a diagnosis: severities as ranked bars on a logarithmic axis, the threshold a line."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from experiments.diagnosis.findings import severity_of, shown
from experiments.figures import COLOURS, headline, new_figure, plain_text, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 1e-2
"""Severities below this are drawn as if they were it."""

BAR = 0.42
"""Height of a bar; its name stands above it."""


def draw_diagnosis(record: Mapping[str, Any]) -> Figure:
    """Bars of the severities, the worst on top, each with its number."""
    with style():
        figure, (axes,) = new_figure(width=6.4, height=1.3 + 0.46 * max(2, len(record["findings"])))
        draw_bars(axes, record)
        headline(figure, plain_text(record["answer"].partition(" Try `")[0]))
    return figure


def draw_bars(axes: Axes, record: Mapping[str, Any]) -> None:
    """The bars on axes: dark where something should be done, hatched where the number is a bound."""
    findings = record["findings"]
    severities = [severity_of(found) for found in findings]
    finite = [value for value in severities if value < float("inf")]
    top = 10.0 ** max(1, ceil(log10(max([1.0, *finite]) * 1.01)))
    end = top * 10 if len(finite) < len(severities) else top
    for place, (found, severity) in enumerate(zip(findings, severities, strict=True)):
        axes.barh(
            place,
            min(max(severity, LEAST * 1.15), end),
            BAR,
            left=0,
            color=COLOURS[1] if found["matters"] else "0.75",
            edgecolor="black",
            linewidth=0.6,
            hatch="//" if found["kind"] in ("upper", "lower") else None,
        )
        number = "without end" if found["never"] else f"{shown(found['number'])} {found['unit']}"
        claims = ", ".join(found["claims"])
        axes.text(
            LEAST * 1.05,
            place - BAR / 2 - 0.06,
            f"{found['mode']} ({claims}): {number}",
            va="bottom",
            fontsize=7.5,
            zorder=3,
        ).set_bbox({"color": "white", "pad": 0.6, "alpha": 0.8})
    axes.axvline(1, color="black", linestyle="--", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xlim(LEAST, end)
    step = max(1, ceil((log10(top) - log10(LEAST)) / 6))
    ticks = {10.0**n: _power(n) for n in range(floor(log10(LEAST)), round(log10(top)) + 1) if n % step == 0}
    ticks[LEAST] = f"≤ {LEAST:g}"
    if end > top:
        ticks[end] = "∞"
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_yticks([])
    axes.set_ylim(len(findings) - 0.4, -0.8)
    axes.grid(axis="y", visible=False)
    bounds = any(found["kind"] in ("upper", "lower") for found in findings)
    axes.set_xlabel("severity: number / threshold (from 1 on it matters)" + (", hatched: a bound" if bounds else ""))


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if -2 <= exponent <= 3 else f"$10^{{{exponent}}}$"
