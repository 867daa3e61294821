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
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Progress
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
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


def measure(
    coupling: float, field: float, sizes: Sequence[int], masks: Sequence[int], progress: Progress
) -> dict[str, list[Any]]:
    """Columns, one row for each N and each k <= N; "dense" is t_mix over all starts, None where it is too large."""
    cases = [(sites, size) for sites in sorted(set(sizes)) for size in sorted(set(masks)) if size <= sites]
    if not cases:
        raise InvalidInput("ring_masks", masks, f"at least one must be at most N, which is {max(sizes)} at most")
    cost = np.cumsum([0.0, *(float(4.0**sites) for sites, _ in cases)])
    rows: list[dict[str, Any]] = []
    for done, (sites, size) in enumerate(cases):
        progress(cost[done] / cost[-1], f"Ising ring of {sites} sites, k = {size}")
        law = ising_on(named_graph("cycle", sites), coupling, field)
        chain = block_gibbs(TableConditionals(law), k_uniform(sites, size))
        group = symmetry_group(law, graph_symmetries("cycle", sites))
        orbits = symmetric_orbits(chain, group)
        mixing = mixing_time(chain, EPSILON, alike=orbits.labels)
        gaps = lanczos_gaps(chain)
        relaxation = relaxation_time_bounds(gaps.relaxation_interval, law.minimum_mass, EPSILON)
        phi = None if gaps.function is None else sweep_ratio(chain, law.probabilities, gaps.function)
        dense = None
        if sites <= DENSE_SITES:
            dense = mixing_time(DenseOperator(chain.to_dense(), True, law.probabilities), EPSILON).steps
        rows.append(
            {
                "sites": sites,
                "size": size,
                "starts": orbits.count,
                "exact": mixing.steps,
                "uncertainty": 0.0 if mixing.certain else 1.0,
                "relaxation": gaps.relaxation_time,
                "upper": relaxation[1],
                "lower": relaxation[0],
                "bottleneck": 0.0 if phi is None else bottleneck_bounds(phi, EPSILON)[0],
                "dense": dense,
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def checks(columns: Mapping[str, Sequence[Any]]) -> list[Check]:
    """The exact times between the bounds, and some starts against all starts."""
    exact, doubt = np.array(columns["exact"], dtype=float), np.array(columns["uncertainty"])
    upper = np.array(columns["upper"], dtype=float)
    note = f"worst case over all starts, N up to {max(columns['sites'])}; quotient"
    found = [
        Check.at_most(
            "large Ising rings: exact mixing time over the upper bound by relaxation time",
            exact / upper,
            1.0,
            doubt / upper,
            note,
        )
    ]
    for name, text in (("lower", "relaxation time"), ("bottleneck", "bottleneck ratio")):
        bound = np.array(columns[name], dtype=float)
        says = bound > 0
        if says.any():
            title = f"large Ising rings: exact mixing time over the lower bound by {text}"
            found.append(Check.at_least(title, exact[says] / bound[says], 1.0, doubt[says] / bound[says], note))
    both = np.array([value is not None for value in columns["dense"]])
    if both.any():
        every = np.array([value for value in columns["dense"] if value is not None], dtype=float)
        found.append(
            Check.equal(
                "Ising rings: mixing time from the starts that settle the others against all starts",
                exact[both],
                every,
                doubt[both],
                f"matrix-free (from N = 9 on) against powers of the dense matrix, N up to {DENSE_SITES}",
            )
        )
    return found


def draw(data: Mapping[str, Any]) -> Figure:
    """Exact mixing times against N, one panel per mask size, with the bounds."""
    rings = data["large rings"]
    columns = {name: np.array(values) for name, values in rings.items() if name != "dense"}
    sizes = np.unique(columns["size"])
    bounds = (
        ("upper", "upper: relaxation time"),
        ("lower", "lower: relaxation time"),
        ("bottleneck", "lower: bottleneck (level sets of the slowest mode)"),
    )
    with style():
        figure, panels = new_figure(1, len(sizes), width=4.2 * max(1.4, len(sizes)), height=4.2)
        for axes, size in zip(panels, sizes, strict=True):
            chosen = columns["size"] == size
            sites = columns["sites"][chosen].astype(float)
            for index, (name, text) in enumerate(bounds):
                values = np.asarray(columns[name][chosen], dtype=float)
                look: dict[str, Any] = {
                    "color": COLOURS[1 + index],
                    "linestyle": DASHES[index],
                    "marker": MARKERS[1 + index],
                }
                axes.plot(sites, np.where(values > 0, values, np.nan), fillstyle="none", label=text, **look)
            axes.plot(sites, columns["exact"][chosen], "o", color="black", label="exact mixing time (measured)")
            axes.set(xlabel="sites N (2$^N$ states)", ylabel="mixing time at TV = 0.25 (steps)", yscale="log")
            axes.set_title(f"k = {size}")
            axes.set_xticks(sites)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        times = {int(size): columns["exact"][columns["size"] == size][-1] for size in sizes}
        ends = ", ".join(f"{time:.0f} at k = {size}" for size, time in times.items())
        headline(
            figure,
            f"Ising ring of {columns['sites'].max()} sites, J = {rings['coupling']:g}, h = {rings['field']:g}: exact "
            f"mixing times in steps {ends}",
        )
    return figure
