"""Exact worst-case mixing times of k-Gibbs on Ising rings with up to 2^16 states, between their bounds.

The operator is never formed. The ring's rotations and reflections commute with k-Gibbs, so that one start per orbit
tells about all of them, and a part of these, run step by step, settles the worst case over all 2^N starts
(`theory.chains.covering`). The relaxation time comes from a
Lanczos iteration, whose residual is added to the gap on the side that makes the bound weaker. The bottleneck ratio is
that of a level set of the slowest mode, the best one found: any set gives a valid lower bound.

Source: Levin, Peres and Wilmer, thms 7.4, 12.4 and 12.5; Boyd, Diaconis, Parrilo and Xiao (2005) for the orbits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Progress, columns, select
from experiments.figures import DASHES, headline, line, marks, new_figure, one_scale
from theory.bounds import bottleneck_bounds, relaxation_time_bounds
from theory.chains import DenseOperator, lanczos_gaps, mixing_time, sweep_ratio
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ising_on, named_graph
from theory.masks import k_uniform
from theory.samplers import block_gibbs
from theory.symmetry import graph_symmetries, symmetric_orbits, symmetry_group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPSILON = 0.25
DENSE_SITES = 10
"""Up to this size the worst case over all starts is computed as well, from the powers of the matrix."""


@dataclass(frozen=True)
class Ring:
    """One ring under masks of ``size`` sites: exact mixing time and bounds, in steps.

    ``starts`` is the number of orbits; ``dense`` the mixing time over all starts, None where it is too large.
    """

    sites: int
    size: int
    starts: int
    exact: float
    uncertainty: float
    relaxation: float
    upper: float
    lower: float
    bottleneck: float
    dense: float | None


def measure(
    coupling: float, field: float, sizes: Sequence[int], masks: Sequence[int], progress: Progress
) -> list[Ring]:
    """Every N with every k <= N.

    Raises:
        InvalidInput: every k is above every N.
    """
    cases = [(sites, size) for sites in sorted(set(sizes)) for size in sorted(set(masks)) if size <= sites]
    if not cases:
        raise InvalidInput("ring_masks", masks, f"at least one must be at most N, which is {max(sizes)} at most")
    cost = np.cumsum([0.0, *(float(4.0**sites) for sites, _ in cases)])
    rows = []
    for done, (sites, size) in enumerate(cases):
        progress(cost[done] / cost[-1], f"Ising ring of {sites} sites, k = {size}")
        law = ising_on(named_graph("cycle", sites), coupling, field)
        chain = block_gibbs(TableConditionals(law), k_uniform(sites, size))
        group = symmetry_group(law, graph_symmetries("cycle", sites))
        orbits = symmetric_orbits(chain, group)
        mixing = mixing_time(chain, EPSILON, alike=orbits.labels)
        gaps = lanczos_gaps(chain)
        lower, upper = relaxation_time_bounds(gaps.relaxation_interval, law.minimum_mass, EPSILON)
        phi = None if gaps.function is None else sweep_ratio(chain, law.probabilities, gaps.function)
        dense = None
        if sites <= DENSE_SITES:
            dense = mixing_time(DenseOperator(chain.to_dense(), True, law.probabilities), EPSILON).steps
        rows.append(
            Ring(
                sites,
                size,
                orbits.count,
                mixing.steps,
                0.0 if mixing.certain else 1.0,
                gaps.relaxation_time,
                upper,
                lower,
                0.0 if phi is None else bottleneck_bounds(phi, EPSILON)[0],
                dense,
            )
        )
    return rows


def checks(rows: Sequence[Ring]) -> list[Check]:
    """The exact times between the bounds, and some starts against all starts."""
    c = columns(rows)
    note = f"worst case over all starts, N up to {c['sites'].max()}; quotient"
    found = []
    for side, name, text in (
        ("upper", "upper", "relaxation time"),
        ("lower", "lower", "relaxation time"),
        ("lower", "bottleneck", "bottleneck ratio"),
    ):
        says = c[name] > 0
        if says.any():
            quotient, allowed = (c[field][says] / c[name][says] for field in ("exact", "uncertainty"))
            check = Check.at_most if side == "upper" else Check.at_least
            wrong = ("a tenth of the bound", 0.1) if side == "upper" else ("ten times the bound", 10.0)
            title = f"large Ising rings: exact mixing time over the {side} bound by {text}"
            found.append(check(title, quotient, 1.0, allowed, note, wrong=wrong))
    both = [row for row in rows if row.dense is not None]
    if both:
        found.append(
            Check.equal(
                "Ising rings: mixing time from the starts that settle the others against all starts",
                [row.exact for row in both],
                [float(row.dense or 0) for row in both],
                [row.uncertainty for row in both],
                f"matrix-free (from N = 9 on) against powers of the dense matrix, N up to {DENSE_SITES}",
            )
        )
    return found


def draw(data: Mapping[str, Any]) -> Figure:
    """Exact mixing times against N, one panel per mask size, with the bounds."""
    rings = data["large_rings"]
    sizes = sorted({row["size"] for row in rings})
    figure, panels = new_figure(1, len(sizes), width=4.2 * max(1.4, len(sizes)), height=4.2)
    for axes, size in zip(panels, sizes, strict=True):
        c = columns(select(rings, size=size))
        for index, (name, text) in enumerate(
            (
                ("upper", "upper: relaxation time"),
                ("lower", "lower: relaxation time"),
                ("bottleneck", "lower: bottleneck (level sets of the slowest mode)"),
            ),
            1,
        ):
            line(axes, c["sites"], np.where(c[name] > 0, c[name], np.nan), index, text, DASHES[index])
        marks(axes, c["sites"], c["exact"], 0, "exact mixing time (measured)")
        axes.set(xlabel="sites N (2$^N$ states)", ylabel="mixing time at TV = 0.25 (steps)", yscale="log")
        axes.set(title=f"k = {size}", xticks=c["sites"])
    one_scale(panels, "y")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    largest = max(row["sites"] for row in rings)
    ends = ", ".join(f"{row['exact']:g} with k = {row['size']}" for row in select(rings, sites=largest))
    headline(
        figure,
        f"The Ising ring of {largest} sites, J = {data['large_coupling']:g}, h = {data['field']:g}, mixes in so many "
        f"steps: {ends}",
    )
    return figure
