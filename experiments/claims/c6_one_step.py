"""C6 for one step: the largest factor KL(νP ‖ q) / KL(ν ‖ q) that any law ν shows, enclosed by branch and bound.

    (1 − 1/C_P)² ≤ sup_ν KL(νP ‖ q) / KL(ν ‖ q) ≤ 1 − 1/C_AT

with the left side, the factor of χ², reached as ν → q. On laws of two bits both ends are proved, 2% apart in
1/(1 − factor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, columns
from experiments.figures import COLOURS, DASHES, headline, marks, new_figure
from theory.inequalities import MaskingChannel, approximate_tensorization, step_contraction, step_ratio
from theory.laws import random_law
from theory.masks import k_uniform

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PROBES = 200
"""Random laws ν beside the point masses."""

CELLS = 60_000
"""Of branch and bound, for each candidate."""

WIDTH = 1.02**2
"""Largest quotient of both ends of 1/(1 − factor): two steps of the candidates."""


@dataclass(frozen=True)
class Step:
    """One law on two bits, single-site Gibbs.

    ``low`` and ``high`` enclose the largest factor, ``tried`` is the largest of the laws tried, ``chi`` the factor of
    χ², ``entropic`` is 1 − 1/C_AT with the numerical C_AT, ``certified`` with its certified upper end.
    """

    low: float
    high: float
    tried: float
    chi: float
    entropic: float
    certified: float


def measure(laws: int, generator: np.random.Generator) -> list[Step]:
    """Random laws on two bits."""
    return [_measure(generator) for _ in range(laws)]


def _measure(generator: np.random.Generator) -> Step:
    law, masks = random_law(2, 2, generator, 0.5), k_uniform(2, 1)
    channel = MaskingChannel(law, masks)
    found = step_contraction(law, masks, 1, 100, generator, CELLS)
    constant = approximate_tensorization(law, masks, 1, 100, generator)
    tried = [*np.eye(4), *generator.dirichlet(np.full(4, 0.3), size=PROBES)]
    return Step(
        found.lower,
        found.upper,
        max(step_ratio(channel, other) for other in tried),
        (1 - 1 / constant.poincare) ** 2,
        1 - 1 / constant.lower,
        1 - 1 / constant.upper,
    )


def checks(steps: Sequence[Step], rounding: float) -> list[Check]:
    """The laws tried against the enclosure, and its width."""
    c = columns(steps)
    return [
        Check.at_most(
            "two bits: factor of one step, of every law tried, against the enclosed largest one",
            c["tried"],
            c["high"],
            rounding,
            f"point masses and {PROBES} random laws; the upper end by branch and bound over all laws",
            trivial=c["certified"],
            wrong=("(1 − 1/C_P)², the factor of χ²", c["chi"]),
        ),
        Check.at_most(
            "two bits: quotient of both ends of 1/(1 − largest factor)",
            (1 - c["low"]) / (1 - c["high"]),
            WIDTH,
            rounding,
            "the lower end by a law, the upper end proved",
        ),
    ]


def summary(steps: Sequence[Step]) -> str:
    """What is left of a divergence, for the sentence of the claim."""
    worst = max(steps, key=lambda step: step.low)
    return (
        f"{worst.low:.4g} to {worst.high:.4g} of a divergence on the slowest of {len(steps)} laws of two bits "
        f"(enclosed; 1 − 1/C_AT is {worst.entropic:.4g})"
    )


def draw(data: Mapping[str, Any]) -> Figure:
    """The enclosure of every law with what brackets it, in order of the largest factor."""
    steps = sorted(data["steps"], key=lambda row: row["low"])
    c, places = columns(steps), np.arange(1, len(steps) + 1)
    figure, (axes,) = new_figure(width=6.0, height=3.9)
    for series, (name, text) in enumerate(
        (
            ("certified", "1 − 1/C$_{AT}$, certified upper end"),
            ("entropic", "1 − 1/C$_{AT}$, numerical"),
            ("chi", "(1 − 1/C$_P$)², factor of χ²"),
        ),
        1,
    ):
        dash: Any = DASHES[series]
        axes.hlines(c[name], places - 0.3, places + 0.3, COLOURS[series], dash, label=text)
    middle = (c["low"] + c["high"]) / 2
    marks(axes, places, middle, 0, "largest factor (bars: enclosure)", interval=(c["low"], c["high"]))
    axes.plot(places, c["tried"], "s", color=COLOURS[4], fillstyle="none", label="largest of the laws tried")
    axes.set(xlabel="random laws on two bits, in order", ylabel="KL(νP‖q) / KL(ν‖q)", ylim=(0, 1.02), xticks=places)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    left = np.median((1 - c["high"]) / (1 - c["entropic"]))
    headline(figure, f"One step takes {left:.2g} times as much of the divergence as C_AT guarantees, in the median")
    return figure
