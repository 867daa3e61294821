"""C8: on an Ising model with one strong clique k-Gibbs is fast, and independent parallel decoding is stuck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims import c8_large_cliques as large_cliques
from experiments.claims import c8_parallel as parallel
from experiments.claims.c8_parallel import RELATIVE_ROUNDING, ROUNDING
from experiments.figures import COLOURS, headline, line, marks, name_ends, new_figure, one_scale, readable
from theory.bounds import redraw_probability, right_mode_mass, steps_to_right_mode
from theory.chains import DenseOperator, expected_hitting_times, hitting_probability_within
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, spins, strong_clique
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(8, "sites N", full=10, minimum=2, maximum=12)
    cliques: tuple[int, ...] = parameter(
        (3, 4, 5, 6, 8), "sizes m of the strong clique", full=(3, 4, 5, 6, 7, 8, 10), minimum=2
    )
    couplings: tuple[float, ...] = parameter(
        (0.25, 0.5, 1.0, 1.5), "couplings J inside the clique", full=(0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0), minimum=0.0
    )
    field: float = parameter(0.05, "field h of every site; must be below every coupling", minimum=0.0)
    failure: float = parameter(
        0.05, "probability delta of missing the right mode that is allowed to k-Gibbs", minimum=1e-6, maximum=0.999
    )
    large: tuple[int, ...] = parameter(
        (20, 50, 100),
        "sizes m of large cliques, for independent parallel on the number of + sites",
        full=(20, 50, 100, 200, 500, 1000),
        minimum=2,
        maximum=3000,
    )
    horizon: int = parameter(100, "steps T for which independent parallel is watched", minimum=1)


@dataclass(frozen=True)
class Gibbs:
    """k-Gibbs on its way to the right mode: exact worst case over all starts, beside the bounds."""

    m: int
    coupling: float
    k: int
    right_mass: float
    right_closed: float
    redraw: float
    steps: int
    reached: float
    expected: float


@dataclass(frozen=True)
class Case:
    """One clique, for the reader."""

    m: int = heading("m")
    coupling: float = heading("J")
    steps: int = heading("k-Gibbs, k = m: steps T")
    reached: float = heading("reached within T (worst start)")
    smallest: float = heading("k-Gibbs, k = m: expected steps")
    whole: float = heading("k-Gibbs, k = N: expected steps")
    escape: float = heading("parallel: escape per step (worst)")
    escape_bound: float = heading("Chernoff bound")
    fastest: float = heading("parallel: expected steps to leave (best start)")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`. Everything is exact; the seed is not used."""
    for size in parameters.cliques:
        if size > parameters.sites:
            raise InvalidInput("cliques", size, f"a clique has at most N = {parameters.sites} sites")
    for coupling in parameters.couplings:
        if coupling <= parameters.field:
            raise InvalidInput("couplings", coupling, f"must be above the field, {parameters.field:g}")
    gibbs: list[Gibbs] = []
    escapes: list[parallel.Parallel] = []
    sites, failure = parameters.sites, parameters.failure
    plan = [(m, coupling) for m in parameters.cliques for coupling in parameters.couplings]
    for done, (m, coupling) in enumerate(plan):
        progress(done / len(plan), f"clique of {m}, J = {coupling:g}")
        law = strong_clique(sites, m, coupling, parameters.field)
        total = spins(sites)[:, :m].sum(axis=1)
        gibbs += [_gibbs(law, m, coupling, parameters.field, size, total == m, failure) for size in range(m, sites + 1)]
        escapes.append(parallel.measure(law, m, coupling, total <= -2, parameters))
    large = large_cliques.measure(parameters.large, parameters.couplings, parameters.field)
    by_mask = {(row.m, row.coupling, row.k): row for row in gibbs}
    cases = [_case(row, by_mask[row.m, row.coupling, row.m], by_mask[row.m, row.coupling, sites]) for row in escapes]
    return Findings(
        [*_checks(gibbs), *parallel.checks(escapes), *large_cliques.checks(large)],
        Table.of(cases),
        {
            "gibbs": gibbs,
            "parallel": escapes,
            "large": large,
            "sites": sites,
            "field": parameters.field,
            "failure": failure,
            "horizon": parameters.horizon,
        },
        _learned(cases, escapes, parameters.horizon),
    )


def _case(row: parallel.Parallel, smallest: Gibbs, whole: Gibbs) -> Case:
    chain = (smallest.steps, smallest.reached, smallest.expected, whole.expected)
    return Case(row.m, row.coupling, *chain, row.escape, row.escape_bound, row.fastest)


def _learned(cases: Sequence[Case], escapes: Sequence[parallel.Parallel], horizon: int) -> str:
    hardest = max(cases, key=lambda case: case.fastest)
    return (
        f"With a clique of {hardest.m} at J = {hardest.coupling:g}, k-Gibbs needs {hardest.smallest:.3g} steps to the "
        f"right mode and independent parallel {readable(hardest.fastest)} to leave the wrong one; over {horizon} steps "
        f"the two-stage bound says something in {sum(row.two_stage < 1 for row in escapes)} of {len(escapes)} cases, T "
        f"times the one-step bound in {sum(row.one_stage < 1 for row in escapes)}."
    )


def _gibbs(
    law: JointLaw, m: int, coupling: float, field: float, size: int, right: NDArray[np.bool_], failure: float
) -> Gibbs:
    operator = block_gibbs(TableConditionals(law), k_uniform(law.sites, size))
    chain = DenseOperator(operator.to_dense(), operator.reversible, operator.stationary)
    right_mass = float(law.probabilities[right].sum())
    # Finite: the right mode has mass >= 1/2 for fields >= 0, and N <= 12.
    steps = int(steps_to_right_mode(law.sites, m, size, right_mass, failure))
    return Gibbs(
        m,
        coupling,
        size,
        right_mass,
        right_closed=right_mode_mass(m, coupling, field),
        redraw=redraw_probability(law.sites, m, size, right_mass),
        steps=steps,
        reached=float(hitting_probability_within(chain, right, steps).min()),
        expected=expected_hitting_times(chain, right).worst,
    )


def _checks(gibbs: Sequence[Gibbs]) -> list[Check]:
    g = columns(gibbs)
    # (1 - c)^T, the failure probability that the bound promises, is recomputed from c and T.
    promised, doubled = (np.exp(g["steps"] * np.log1p(-np.minimum(n * g["redraw"], 1 - 1e-16))) for n in (1, 2))
    return [
        Check.at_most(
            "k-Gibbs misses the right mode within T steps with probability at most (1 - c)^T",
            1 - g["reached"],
            promised,
            ROUNDING,
            "worst start; T from the bound, the probability from the exact chain",
            wrong=("a redraw that is twice as likely, 2c", doubled),
        ),
        Check.at_most(
            "expected steps of k-Gibbs to the right mode are at most 1/c",
            g["expected"],
            1 / g["redraw"],
            RELATIVE_ROUNDING / g["redraw"],
            "worst start",
            wrong=("1/(2c)", 0.5 / g["redraw"]),
        ),
        Check.equal(
            "mass of the right mode against its closed form",
            g["right_mass"],
            g["right_closed"],
            ROUNDING,
            "summed over the table of all sequences",
        ).by_algebra(),
    ]


def _nearest(rows: Sequence[Mapping[str, Any]], coupling: float) -> float:
    return float(min({row["coupling"] for row in rows}, key=lambda value: abs(value - coupling)))


def draw_times(data: Mapping[str, Any]) -> Figure:
    """Expected steps against the coupling and against the size of the clique."""
    figure, panels = new_figure(2, 1, 5.0, 6.6)
    cliques = sorted({row["m"] for row in data["parallel"]})
    even = [m for m in cliques if m % 2 == 0] or cliques
    m = ([size for size in even if size < data["sites"]] or even)[-1]
    coupling = _nearest(data["parallel"], 1.0)
    ends = []
    for axes, fixed, name in ((panels[0], {"m": m}, "coupling"), (panels[1], {"coupling": coupling}, "m")):
        stuck = [row for row in select(data["parallel"], **fixed) if row["m"] in even]
        fast = [row for row in select(data["gibbs"], **fixed) if row["m"] in even]
        series = (
            ("parallel", stuck, "fastest", lambda row: row["fastest_bound"]),
            ("k = m", [row for row in fast if row["k"] == row["m"]], "expected", lambda row: 1 / row["redraw"]),
            ("k = N", select(fast, k=data["sites"]), "expected", lambda row: 1 / row["redraw"]),
        )
        ends.append({label: (index, rows[-1][key]) for index, (label, rows, key, _) in enumerate(series)})
        for index, (_, rows, key, bound) in enumerate(series):
            x = [row[name] for row in rows]
            marks(axes, x, [row[key] for row in rows], index)
            line(axes, x, [bound(row) for row in rows], index)
        axes.set(yscale="log", ylabel="expected steps")
    panels[0].set(
        xlabel="coupling J inside the clique",
        title=f"clique of m = {m} among N = {data['sites']}, h = {data['field']:g}",
    )
    panels[1].set(xlabel="clique size m (sites)", xticks=even, title=f"coupling J = {coupling:g}")
    one_scale(panels, "y")
    for axes, names in zip(panels, ends, strict=True):
        name_ends(axes, names)
    last = ends[0]
    headline(
        figure,
        f"Leaving the wrong mode takes independent parallel {readable(last['parallel'][1])} steps where k-Gibbs "
        f"reaches the right one in {last['k = m'][1]:.2g} (marks exact, lines bounds)",
    )
    return figure


def draw_masks(data: Mapping[str, Any]) -> Figure:
    """k-Gibbs: steps to the right mode against the mask size."""
    figure, (axes,) = new_figure(1, 1, 5.0, 4.0)
    coupling = _nearest(data["gibbs"], 1.0)
    largest = (0.0, 0.0, 0)
    for index, m in enumerate(sorted({row["m"] for row in data["gibbs"]})[:6]):
        rows = columns(select(data["gibbs"], m=m, coupling=coupling))
        marks(axes, rows["k"], rows["expected"], index)
        line(axes, rows["k"], 1 / rows["redraw"], index)
        # Each is named at its slow end, left of its line: with all sites masked they meet.
        place: Any = {"xytext": (-5, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axes.annotate(f"m = {m}", (rows["k"][0], rows["expected"][0]), color=COLOURS[index], fontsize=8, **place)
        largest = max(largest, (rows["expected"][0], rows["expected"][-1], m))
    axes.set(
        yscale="log", xlabel=f"mask size k (of N = {data['sites']} sites)", ylabel="expected steps to the right mode"
    )
    headline(
        figure,
        f"Masking all sites instead of the clique's {largest[2]} brings k-Gibbs from {largest[0]:.3g} to "
        f"{largest[1]:.2g} steps at J = {coupling:g} (marks exact, lines 1/c)",
    )
    return figure


CLAIM = Claim(
    id="C8",
    name="strong-clique",
    title="With one strong clique, k-Gibbs is fast and independent parallel is stuck",
    statement=(
        "Let p(x) ∝ exp(Σ h_i x_i + J Σ_{i<j in C} x_i x_j) with a clique C of m sites, S = Σ_{i in C} x_i. "
        "(a) k-Gibbs with k ≥ m is in the right mode {x_C = +1} within T ≥ ln δ / ln(1 − c) steps with probability "
        "at least 1 − δ, from any start, c = C(N−m, k−m)/C(N, k) · p(x_C = +1). "
        "(b) Independent parallel leaves the wrong mode {S ≤ −2} in one step with probability at most sech(J − h)^m "
        "(m even; for m odd exp(−m kl(a‖s)), a = (m−1)/(2m), s = 1/(1+e^{2(2J−h)})), from any of its states, "
        "so it stays for T steps with probability at least 1 − T times that. (c) With b₁ the largest probability to "
        "leave in the first step and b₂ the largest to stay in the first and leave in the second, it leaves within T "
        "steps with probability at most b₁ + (T − 1) b₂."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 3; constants re-derived",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "times",
            "Expected steps until k-Gibbs reaches the right mode (worst start) and until independent parallel leaves "
            "the wrong one (best start). Marks: exact, from the chain on all sequences. Lines: the bounds.",
            draw_times,
        ),
        FigureSpec(
            "escape",
            "Largest probability that independent parallel leaves the wrong mode, in one step (above) and within T "
            "steps (below); even cliques. Marks: exact. Dotted: Chernoff's bound, and T times it. Lines: Chernoff at "
            "the worst state, and the two-stage bound b₁ + (T − 1) b₂. A bound above 1 lies in the grey strip.",
            parallel.draw,
        ),
        FigureSpec(
            "large",
            "Large cliques, exact on the number of + sites. Above: ln of the expected steps until independent parallel "
            "leaves the wrong mode grows like J m². Below: largest escape probability of one step. Dotted: Chernoff.",
            large_cliques.draw,
        ),
        FigureSpec(
            "masks",
            "Expected steps of k-Gibbs to the right mode, worst start, against the number of masked tokens. "
            "Marks: exact. Lines: bound.",
            draw_masks,
        ),
    ),
)
