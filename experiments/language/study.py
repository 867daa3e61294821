"""What the claims about translators of the parallel language share: sizes, ways to decode, wrong steps, drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.figures import COLOURS, DASHES, line, marks
from experiments.language.exact import Drawn, Exact, possible
from experiments.language.translators import Rows, Training, small_language
from theory.language.mask_predict import TWIN
from theory.language.parallel_language import ParallelLanguage
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simulators.t5.decoding.settings import RefinementSettings

MASK_PREDICT = "mask-predict"

WRONG_STEPS: dict[str, Drawn] = {"draws all masks together": "together", "draws masks by their marginals": "blindly"}
"""What a step of mask-predict must be seen not to do."""

MOST_STATES = 600
"""Sentences with more combinations of tokens are left out of whole exact decodings by mask-predict."""


@dataclass(frozen=True)
class StudyParameters:
    """Sizes of a study of networks on one language or several."""

    doubling: float = parameter(0.3, "probability that a word becomes two tokens", minimum=0.0, maximum=1.0)
    longest: int = parameter(3, "words of a sentence at most", full=4, minimum=2, maximum=7)
    rows: int = parameter(512, "test sentences", full=2048, minimum=20)
    seeds: int = parameter(3, "networks of each kind", full=5, minimum=2)
    training_steps: int = parameter(1000, "optimiser steps", full=4000, minimum=1)
    pairs: int = parameter(4000, "training pairs", full=20_000, minimum=1)
    width: int = parameter(32, "width of the network", full=64, minimum=8)

    def language(self, weight: float) -> ParallelLanguage:
        """The language of two registers, the first of this weight."""
        return small_language((weight, 1 - weight), self.doubling, longest=self.longest)

    def training(self, **changes: Any) -> Training:
        """How its networks are trained, but for what a claim varies."""
        return Training(width=self.width, steps=self.training_steps, **changes)


@dataclass(frozen=True)
class OneLanguage(StudyParameters):
    """Sizes of a study on one language."""

    weight: float = parameter(0.6, "weight of the first of two registers", minimum=0.0, maximum=1.0)


def redrawing() -> RefinementSettings:
    """Every step draws all positions anew."""
    from simulators.t5.decoding.settings import RefinementSettings, Sampling

    return RefinementSettings(sampling=Sampling(temperature=1.0))


def likeliest() -> RefinementSettings:
    """The likeliest tokens, every step done."""
    from simulators.t5.decoding.settings import RefinementSettings

    return RefinementSettings(early_exit=False)


def mask_predict() -> RefinementSettings:
    """The recommended way: the least confident become masks again, only they are drawn, the others stay as they are."""
    from dataclasses import replace

    from simulators.t5.decoding.rejecters import LinearSchedule

    return replace(redrawing(), rejecter=LinearSchedule(), replacement="initial", update="rejected")


def exact_mask_predict(exact: Exact, rows: Rows, steps: int) -> NDArray[np.float64]:
    """Exact share of translations after mask-predict in so many steps, [B]; NaN for rows too large to list."""
    return exact.decoded(rows, TWIN, steps, possible, MOST_STATES)


def spread(values: ArrayLike) -> tuple[float, float]:
    """Mean over networks, and its standard error."""
    found = np.asarray(values, dtype=float)
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found)))


def draw_networks(
    axes: Axes, x: ArrayLike, values: Any, place: int, label: str, *, shift: float = 0.0, joined: bool = False
) -> None:
    """Means over networks with bars of two standard errors.

    Args:
        axes: to draw on.
        x: one for each column.
        values: of networks, [networks, len(x)].
        place: of the series, for its marker and colour.
        label: of the series.
        shift: along the axis, so that bars of several series can be told apart.
        joined: whether a line joins the means; not where lines are predictions.
    """
    means, errors = np.array([spread(networks) for networks in np.transpose(values)]).T
    places = np.asarray(x) + shift
    marks(axes, places, means, place, label, interval=(means - 2 * errors, means + 2 * errors))
    if joined:
        # Beyond as many series as colours, another dash of the same colour.
        line(axes, places, means, place, dash=DASHES[(place + place // len(COLOURS)) % len(DASHES)])
