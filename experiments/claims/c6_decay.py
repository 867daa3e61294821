"""C6 step by step: block dynamics takes from a divergence at least what C_AT guarantees, from every start.

KL(νP ‖ q) ≤ KL(ν ‖ q) − E_K E_ν KL(ν(· | x_−K) ‖ q(· | x_−K)) ≤ (1 − 1/C_AT) KL(ν ‖ q)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, columns, select
from experiments.figures import DASHES, headline, line, logarithmic, marks, new_figure, one_scale
from theory.chains import DenseOperator
from theory.inequalities import MaskingChannel, TensorizationConstant
from theory.laws import JointLaw
from theory.masks import MaskLaw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_DIVERGENCE = 1e-10
"""Divergences below this (nats) are not followed further: what is left of them is rounding."""


@dataclass(frozen=True)
class Decay:
    """Divergences from one target under one mask size, step by step, from all point masses and random laws.

    ``numerical`` and ``certified`` are 1 − 1/C_AT with the optimised C_AT and its upper end, ``chi`` the factor of χ²,
    ``largest`` that of one step found over all laws, ``factor`` the largest of the starts; ``surplus`` is the least of
    what a step takes beyond the local divergence, ``doubled`` beyond twice that, over the divergence before the step;
    ``worst`` and ``median`` are the starts' divergences (nats) after each step.
    """

    kind: str
    coupling: float
    size: int
    minimum_mass: float
    numerical: float
    certified: float
    chi: float
    largest: float
    factor: float
    surplus: float
    doubled: float
    worst: list[float]
    median: list[float]


def measure(
    label: tuple[str, float, int],
    law: JointLaw,
    masks: MaskLaw,
    kernel: DenseOperator,
    constant: TensorizationConstant,
    largest: float,
    random: NDArray[np.float64],
    steps: int,
) -> Decay:
    """Follow all point masses and the ``random`` laws, [R, S], for so many steps.

    Args:
        label: kind, coupling and mask size.
        law, masks, kernel: the target and its block dynamics.
        constant: C_AT.
        largest: factor of one step that was found over all laws.
        random, steps: see above.
    """
    channel = MaskingChannel(law, masks)
    laws = np.concatenate([np.eye(law.states), random])
    divergence = np.asarray(channel.relative_entropy(laws))
    worst, median = [float(divergence.max())], [float(np.median(divergence))]
    factor, surplus, doubled = 0.0, inf, inf
    for _ in range(steps):
        local = channel.local_relative_entropy(laws)
        laws = kernel.propagate(laws)
        laws /= laws.sum(axis=1, keepdims=True)
        after = np.asarray(channel.relative_entropy(laws))
        followed = divergence > SMALLEST_DIVERGENCE
        if not followed.any():
            break
        factor = max(factor, float((after[followed] / divergence[followed]).max()))
        left = [((divergence - after - times * local) / divergence)[followed].min() for times in (1, 2)]
        surplus, doubled = min(surplus, float(left[0])), min(doubled, float(left[1]))
        divergence = after
        worst.append(float(divergence.max()))
        median.append(float(np.median(divergence)))
    numerical, certified = 1 - 1 / constant.lower, 1 - 1 / constant.upper
    factors = (numerical, certified, (1 - 1 / constant.poincare) ** 2, largest, factor)
    return Decay(*label, law.minimum_mass, *factors, surplus, doubled, worst, median)


def checks(decays: Sequence[Decay], rounding: float) -> list[Check]:
    """What one step takes, against the local divergence and against C_AT."""
    c = columns(
        [{name: value for name, value in vars(row).items() if name not in ("worst", "median")} for row in decays]
    )
    starts = "all point masses and random laws, every step, while the divergence is above 1e-10 nats"
    return [
        Check.at_least(
            "divergence lost in a step against the local divergence before it",
            c["surplus"],
            0.0,
            rounding,
            f"difference over the divergence before the step; {starts}",
        ).against("twice the local divergence", float((c["doubled"] < -rounding).mean())),
        Check.at_most(
            "factor by which the divergence shrinks in one step against 1 − 1/C_AT",
            c["factor"],
            c["certified"],
            rounding,
            f"C_AT by its certified upper end; {starts}",
            trivial=1.0,
            wrong=("(1 − 1/C_P)², the factor of χ²", c["chi"]),
        ),
        Check.at_most(
            "largest factor of one step found over all laws against 1 − 1/C_AT",
            c["largest"],
            c["certified"],
            rounding,
            "ascent over laws from many starts; C_AT by its certified upper end",
            trivial=1.0,
            wrong=("(1 − 1/C_P)², the factor of χ²", c["chi"]),
        ),
    ]


def draw(data: Mapping[str, Any]) -> Figure:
    """Divergence from the target against time, and the contraction that C_AT guarantees."""
    ring = select(data["decays"], kind="Ising ring")
    couplings = sorted({row["coupling"] for row in ring})
    middle = couplings[len(couplings) // 2]
    sizes = sorted({1, max(1, max(row["size"] for row in ring) // 2)})
    rows = [select(ring, coupling=middle, size=size)[0] for size in sizes]
    figure, panels = new_figure(1, len(sizes), width=4.6 * max(2, len(sizes)), height=4.0)
    everything = [np.ravel([row["worst"], row["median"]]) for row in rows]
    for axes, row in zip(panels, rows, strict=True):
        drawn = logarithmic(axes, *everything, [2 * np.log(1 / row["minimum_mass"])], floor=SMALLEST_DIVERGENCE)
        steps = np.arange(len(row["worst"]))
        for index, (name, text) in enumerate(
            (("certified", "certified $C_{AT}$"), ("numerical", "optimised $C_{AT}$ (numerical)")), 1
        ):
            bound = np.log(1 / row["minimum_mass"]) * row[name] ** steps
            line(axes, steps, drawn(bound), index, f"bound, {text}", DASHES[index])
        every = slice(None, None, max(1, len(steps) // 20))
        marks(axes, steps[every], drawn(row["worst"])[every], 0, "measured, worst start")
        marks(axes, steps[every], drawn(row["median"])[every], 3, "measured, median start", hollow=True)
        axes.set(xlabel="steps t", ylabel=r"KL$(\nu P^t\,\|\,q)$ (nats)", title=f"k = {row['size']}")
    one_scale(panels, "x")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    last = rows[-1]
    taken, *promised = (f"{100 - 100 * last[name]:.2g}%" for name in ("factor", "numerical", "certified"))
    headline(
        figure,
        f"Ising ring of {data['ring']} sites, J = {middle:g}, k = {last['size']}: every step takes at least {taken} of "
        f"the divergence; the optimised C$_{{AT}}$ promises {promised[0]}, the certified one {promised[1]}",
    )
    return figure
