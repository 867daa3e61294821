"""C5': the Dobrushin coefficient of masking as an upper end of C_AT, on small laws and masks that look at the sequence.

    C_AT ≤ 1 / min_{x ≠ y} Σ_c min(A(c | x), A(c | y)),   A the masking channel x -> (K, x_−K)

Random pairs of a law on three bits and a mask law, every other one adaptive: the upper end with and without this bound,
and the ratios that laws show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, columns
from experiments.figures import headline, logarithmic, marks, new_figure
from theory.inequalities import MaskingChannel, tensorization_upper_bounds
from theory.inequalities.poincare import channel_poincare_constant
from theory.laws import JointLaw
from theory.masks import AdaptiveMaskLaw, uniform_ratio

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

SITES, SYMBOLS = 3, 2
STATES = SYMBOLS**SITES

PROBES = 30
"""Random laws r for each pair, besides the point masses."""

SHARE = 0.1
"""Of the pairs at least, on which the new upper end must be strictly better."""

BETTER = 1e-9
"""Relative improvement that is no rounding."""

MASKS = tuple(chain.from_iterable(combinations(range(SITES), size) for size in range(SITES + 1)))


@dataclass(frozen=True)
class Pair:
    """A law and a mask law: upper ends without and with the coefficient, and the largest ratio of the laws tried."""

    adaptive: bool
    old: float
    new: float
    ratio: float


def measure(pairs: int, generator: np.random.Generator) -> list[Pair]:
    """Random pairs whose block dynamics is irreducible, every other one with masks that look at the sequence."""
    return [_measure(number % 2 == 1, generator) for number in range(pairs)]


def _draw(adaptive: bool, generator: np.random.Generator) -> MaskingChannel:
    """A spiky law, half of the time with impossible states; adaptive: every mask, with chances Gamma(2) and unrelated.

    Other masks hide every number of sites equally often.
    """
    table = generator.dirichlet(np.full(STATES, 0.4))
    if generator.random() < 0.5:
        table[generator.choice(STATES, size=STATES // 2 - 1, replace=False)] = 0.0
    law = JointLaw.from_weights(table.reshape((SYMBOLS,) * SITES))
    weights = generator.gamma(2.0, size=(len(MASKS), STATES))
    masks = AdaptiveMaskLaw(SITES, MASKS, weights / weights.sum(axis=0)) if adaptive else uniform_ratio(SITES)
    channel = MaskingChannel(law, masks)
    return channel if channel.irreducible else _draw(adaptive, generator)


def _measure(adaptive: bool, generator: np.random.Generator) -> Pair:
    channel = _draw(adaptive, generator)
    bounds = tensorization_upper_bounds(channel, channel_poincare_constant(channel).interval[1])
    new = min(bounds.values())
    old = min(bound for name, bound in bounds.items() if name != "Dobrushin coefficient")
    inside = np.concatenate(
        [np.eye(len(channel.support)), generator.dirichlet(np.full(len(channel.support), 0.3), size=PROBES)]
    )
    tried = channel.extend(inside)
    ratios = channel.relative_entropy(tried) / channel.local_relative_entropy(tried)
    return Pair(adaptive, old, new, float(ratios.max()))


def checks(pairs: Sequence[Pair], rounding: float) -> list[Check]:
    """Never worse, never below a ratio, strictly better on a share of the pairs."""
    c = columns(pairs)
    better = c["new"] < c["old"] * (1 - BETTER)
    return [
        Check.at_most(
            "C5': entropy ratio of any law over the upper end with the Dobrushin coefficient of masking",
            c["ratio"] / c["new"],
            1.0,
            rounding,
            f"{len(pairs)} random pairs of a law and a mask law, {int(c['adaptive'].sum())} adaptive; {PROBES} random "
            "laws and all point masses for each",
            wrong=("half of that upper end", 0.5),
        ),
        Check.at_most("C5': upper end with the coefficient over that without", c["new"] / c["old"], 1.0).by_algebra(),
        Check.at_least(
            "C5': share of the pairs on which the coefficient gives a strictly smaller upper end",
            float(better.mean()),
            SHARE,
            0.0,
            f"{int(better.sum())} of {len(pairs)}, {int((better & c['adaptive']).sum())} of them adaptive",
        ),
    ]


def summary(pairs: Sequence[Any]) -> str:
    """How often and by how much, for the sentence of the claim."""
    c = columns(pairs)
    better = c["new"] < c["old"] * (1 - BETTER)
    gains = c["old"][better] / c["new"][better]
    if not gains.size:
        return f"the Dobrushin coefficient of masking improves none of {len(pairs)} random upper ends"
    return (
        f"the Dobrushin coefficient of masking improves {int(better.sum())} of {len(pairs)} random upper ends, by "
        f"{np.median(gains):.2g} in the median and at most {gains.max():.2g}"
    )


def draw(data: Mapping[str, Any]) -> Figure:
    """Upper ends over the largest ratio tried, in order, without and with the coefficient."""
    c = columns(data["pairs"])
    figure, panels = new_figure(1, 2, width=8.0, height=3.9)
    for axes, looks, title in zip(panels, (False, True), ("masks that do not look", "adaptive masks"), strict=True):
        chosen = c["adaptive"] == looks
        old, new = (c[name][chosen] / c["ratio"][chosen] for name in ("old", "new"))
        order = np.argsort(old, kind="stable")
        drawn = logarithmic(axes, c["old"] / c["ratio"], c["new"] / c["ratio"], [1.0])
        places = np.arange(1, len(order) + 1)
        marks(axes, places, drawn(old[order]), 0, "without the coefficient", hollow=True)
        better = (new < old * (1 - BETTER))[order]
        marks(axes, places[better], drawn(new[order][better]), 1, "with it, where it is better")
        axes.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
        axes.set(xlabel="random pairs, in order", ylabel="upper end / largest ratio tried", title=title)
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    text = summary(data["pairs"])
    headline(figure, text[:1].upper() + text[1:])
    return figure
