"""Pictures of constants, estimates and of conditionals that disagree."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from experiments.figures import COLOURS, marks
from experiments.pictures.drawers import drawn_before, draws, look, name_rows
from theory.conditionals import ConditionalModel
from theory.estimation import Estimate
from theory.incompatibility import RectangleTest, decoding_order_gap
from theory.inequalities import PoincareConstant, TensorizationConstant

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@draws(PoincareConstant)
def draw_slowest_functions(axes: Axes, named: Mapping[str, PoincareConstant]) -> None:
    """The slowest function over the states, ascending, with the constant."""
    for series, (name, found) in enumerate(named.items(), drawn_before(axes)):
        values = np.sort(found.function)
        label = f"{name}: C_P = {found.value:.4g}" if name else f"C_P = {found.value:.4g}"
        axes.plot(np.arange(1, len(values) + 1), values, label=label, markevery=max(1, len(values) // 12),
                  **look(series))  # fmt: skip
    axes.set(xlabel="states, by the value of the function", ylabel="slowest function (variance 1)")


@draws(TensorizationConstant)
def draw_tensorization(axes: Axes, named: Mapping[str, TensorizationConstant]) -> None:
    """What is known of C_AT, beside C_P, which it is not below."""
    ends = [end for found in named.values() for end in (found.lower, found.upper, found.poincare) if isfinite(end)]
    right = 1.3 * max([*ends, 1.0])
    labels: tuple[str | None, str | None] = ("C_AT lies here", "C_P")
    for place, found in zip(name_rows(axes, named, "C_AT"), named.values(), strict=True):
        known = found.lower, min(found.upper, right)
        axes.plot(known, [place, place], color="black", marker="|", linewidth=2.0, label=labels[0])
        if not isfinite(found.upper):
            axes.plot([right], [place], ">", color="black")
        if isfinite(found.poincare):
            axes.plot([found.poincare], [place], "s", fillstyle="none", color=COLOURS[1], label=labels[1])
        labels = None, None
    axes.set(xlabel="constant (steps of the block dynamics)")


@draws(Estimate)
def draw_estimates(axes: Axes, named: Mapping[str, Estimate]) -> None:
    """The parameters."""
    start = drawn_before(axes)
    for series, (name, found) in enumerate(named.items(), start):
        marks(axes, np.arange(1, len(found.theta) + 1), found.theta, series, name or found.status,
              hollow=series % 2 == 1)  # fmt: skip
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="parameter", ylabel="estimate (natural parameter)")


@draws(RectangleTest)
def draw_rectangle_tests(axes: Axes, named: Mapping[str, RectangleTest]) -> None:
    """Mean and largest log odds; 0 where conditionals have a joint law."""
    labels: tuple[str | None, str | None] = ("mean", "largest")
    for place, found in zip(name_rows(axes, named, "conditionals"), named.values(), strict=True):
        axes.plot([found.mean, found.maximum], [place, place], color="0.6", zorder=1)
        axes.plot([found.mean], [place], "o", color="black", label=labels[0])
        axes.plot([found.maximum], [place], "s", fillstyle="none", color=COLOURS[1], label=labels[1])
        text = f"sites {found.sites[0]}, {found.sites[1]}"
        axes.annotate(text, (found.maximum, place), (0, 7), textcoords="offset points", ha="center")
        labels = None, None
    axes.set(xlabel="log odds |ρ| around a rectangle (nats)", xlim=(0, None))
    axes.margins(x=0.1)


@draws(ConditionalModel, several=False)
def draw_order_gaps(axes: Axes, named: Mapping[str, ConditionalModel]) -> None:
    """How much the order of unmasking two sites decides: mean over contexts, for every pair of sites."""
    (model,) = named.values()
    sites = model.sites
    gaps = np.full((sites, sites), np.nan)
    for i, j in combinations(range(sites), 2):
        gaps[i, j] = gaps[j, i] = decoding_order_gap(model, (i, j)).mean()
    top = float(np.nanmax(gaps)) if sites > 1 else 0.0
    axes.imshow(gaps, cmap="Greys", vmin=0, vmax=max(top, 1e-12))
    for i, j in np.argwhere(~np.isnan(gaps)):
        axes.text(j, i, f"{gaps[i, j]:.2g}" if gaps[i, j] > 1e-12 else "0", ha="center", va="center", fontsize=8,
                  color="white" if gaps[i, j] > 0.6 * top > 6e-13 else "black")  # fmt: skip
    axes.set_xticks(range(sites))
    axes.set_yticks(range(sites))
    axes.grid(visible=False)
    axes.set(xlabel="site", ylabel="site", title="Order of two sites: mean TV of the pair's two laws")
