"""C8: on an Ising model with one strong clique k-Gibbs is fast, and independent parallel decoding is stuck."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure
from theory.bounds import (
    escape_probability_bound,
    escape_time_bound,
    log_escape_probability_bound,
    log_escape_probability_exponent,
    log_two_stage_bound,
    redraw_probability,
    right_mode_mass,
    steps_to_right_mode,
)
from theory.chains import (
    DenseOperator,
    escape_probability_within,
    expected_escape_times,
    expected_hitting_times,
    hitting_probability_within,
)
from theory.chains.birth_death import log_exit_probabilities, log_expected_escape_times
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, clique_counts, spins, strong_clique
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs, independent_parallel
from theory.symmetry import log_independent_parallel, log_parallel_law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Rounding allowed in a probability that is summed over at most a few thousand states."""

RELATIVE_ROUNDING = 1e-9
"""Relative rounding allowed in an expected time, which may be many orders of magnitude above 1."""

LOG_ROUNDING = 1e-9
"""Rounding allowed in a logarithm, relative to its size where that is above 1."""


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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`. Everything is exact; the seed is not used."""
    for size in parameters.cliques:
        if size > parameters.sites:
            raise InvalidInput("cliques", size, f"a clique has at most N = {parameters.sites} sites")
    for coupling in parameters.couplings:
        if coupling <= parameters.field:
            raise InvalidInput("couplings", coupling, f"must be above the field, {parameters.field:g}")
    gibbs: list[dict[str, Any]] = []
    parallel: list[dict[str, Any]] = []
    cases = [(m, coupling) for m in parameters.cliques for coupling in parameters.couplings]
    for done, (m, coupling) in enumerate(cases):
        progress(done / len(cases), f"clique of {m}, J = {coupling:g}")
        law = strong_clique(parameters.sites, m, coupling, parameters.field)
        total = spins(parameters.sites)[:, :m].sum(axis=1)
        gibbs += [
            _gibbs(law, m, coupling, parameters.field, size, total == m, parameters.failure)
            for size in range(m, parameters.sites + 1)
        ]
        parallel.append(_parallel(law, m, coupling, total <= -2, parameters))
    large = [_large(m, coupling, parameters.field) for m in parameters.large for coupling in parameters.couplings]
    return Findings(
        [*_checks(gibbs, parallel), *_large_checks(large)],
        _table(gibbs, parallel, parameters),
        {
            "gibbs": gibbs,
            "parallel": parallel,
            "large": large,
            "sites": parameters.sites,
            "field": parameters.field,
            "failure": parameters.failure,
            "horizon": parameters.horizon,
        },
        _learned(gibbs, parallel, parameters),
    )


def _learned(gibbs: list[dict[str, Any]], parallel: list[dict[str, Any]], parameters: Parameters) -> str:
    hardest = max(parallel, key=lambda row: row["fastest"])
    m, coupling = hardest["m"], hardest["coupling"]
    fast = next(row for row in gibbs if (row["m"], row["coupling"], row["k"]) == (m, coupling, m))
    tells = sum(row["two_stage"] < 1 for row in parallel)
    before = sum(row["one_stage"] < 1 for row in parallel)
    return (
        f"With a clique of {m} at J = {coupling:g}, k-Gibbs needs {fast['expected']:.3g} steps to the right mode and "
        f"independent parallel {hardest['fastest']:.2g} to leave the wrong one; over {parameters.horizon} steps the "
        f"two-stage bound says something in {tells} of {len(parallel)} cases, T times the one-step bound in {before}."
    )


def _gibbs(
    law: JointLaw, m: int, coupling: float, field: float, size: int, right: NDArray[np.bool_], failure: float
) -> dict[str, Any]:
    """k-Gibbs on its way to the right mode: exact worst case over all starts, beside the bounds."""
    operator = block_gibbs(TableConditionals(law), k_uniform(law.sites, size))
    chain = DenseOperator(operator.to_dense(), operator.reversible, operator.stationary)
    right_mass = float(law.probabilities[right].sum())
    # Finite: the right mode has mass >= 1/2 for fields >= 0, and N <= 12.
    steps = int(steps_to_right_mode(law.sites, m, size, right_mass, failure))
    return {
        "m": m,
        "coupling": coupling,
        "k": size,
        "right_mass": right_mass,
        "right_closed": right_mode_mass(m, coupling, field),
        "redraw": redraw_probability(law.sites, m, size, right_mass),
        "steps": steps,
        "reached": float(hitting_probability_within(chain, right, steps).min()),
        "expected": expected_hitting_times(chain, right).worst,
    }


def _parallel(
    law: JointLaw, m: int, coupling: float, wrong: NDArray[np.bool_], parameters: Parameters
) -> dict[str, Any]:
    """Independent parallel in the wrong mode: exact escape over all starts, beside the bounds."""
    chain = DenseOperator(independent_parallel(TableConditionals(law)).to_dense())
    horizon, field = parameters.horizon, parameters.field
    counts = clique_counts(m, coupling, field)
    lumped_wrong = counts.magnetisations <= -2
    return {
        "m": m,
        "coupling": coupling,
        # Summed over the states outside, not 1 minus the sum inside: small probabilities keep their digits.
        "escape": float(chain.matrix[np.ix_(wrong, ~wrong)].sum(axis=1).max()),
        "escape_bound": escape_probability_bound(m, coupling, field),
        "escape_exponent": float(np.exp(log_escape_probability_exponent(m, coupling, field))),
        "left": float(escape_probability_within(chain, wrong, horizon)[wrong].max()),
        "one_stage": horizon * escape_probability_bound(m, coupling, field),
        # The clique does not hear the other sites, so that its number of + sites is a chain of its own.
        "two_stage": float(np.exp(log_two_stage_bound(log_independent_parallel(counts), lumped_wrong, horizon))),
        "fastest": expected_escape_times(chain, wrong).best,
        "fastest_bound": escape_time_bound(m, coupling, field),
    }


def _large(m: int, coupling: float, field: float) -> dict[str, Any]:
    """Natural logarithms of exact escapes from a clique of any size, lumped to its number of + sites, and of bounds.

    Independent parallel is reversible with respect to a law mu. With A the wrong mode and Q(x, y) = mu(x) P(x, y), the
    escape time averaged over mu on A is at least mu(A) / Q(A, A^c) (Jensen on the spectral measure of P restricted to
    A), and from all minus it is at most mu(A) times the sum of 1/Q along any path out of A (Levin, Peres, Wilmer,
    section 9.4). Neither uses the state reduction that gives the exact times.
    """
    law = clique_counts(m, coupling, field)
    wrong = law.magnetisations <= -2
    size = int(wrong.sum())
    logs = log_independent_parallel(law)
    times = log_expected_escape_times(logs, wrong)
    masses = log_parallel_law(law)
    inside = float(np.logaddexp.reduce(masses[:size]))
    flow = float(np.logaddexp.reduce((masses[:size, None] + logs[:size, size:]).ravel()))
    path = masses[:size] + np.diagonal(logs, 1)[:size]
    return {
        "m": m,
        "coupling": coupling,
        "escape": float(log_exit_probabilities(logs, wrong).max()),
        "escape_bound": log_escape_probability_bound(m, coupling, field),
        "escape_exponent": log_escape_probability_exponent(m, coupling, field),
        "fastest": float(times.min()),
        "average": float(np.logaddexp.reduce(masses[:size] + times)) - inside,
        "from_all_minus": float(times[0]),
        "lower": inside - flow,
        "upper": inside + float(np.logaddexp.reduce(-path)),
    }


def _large_checks(large: list[dict[str, Any]]) -> list[Check]:
    if not large:
        return []
    c = {name: np.array([row[name] for row in large], dtype=float) for name in large[0]}

    def rounding(name: str) -> Array:
        return LOG_ROUNDING * np.maximum(1.0, np.abs(c[name]))

    return [
        Check.at_most(
            "large cliques: ln of the escape probability is at most ln of the Chernoff bound",
            c["escape"],
            c["escape_bound"],
            rounding("escape"),
            "worst wrong-mode state, exact on the number of + sites",
        ),
        Check.at_most(
            "large cliques: ln of the escape probability is at most ln of Chernoff's bound at the worst state",
            c["escape"],
            c["escape_exponent"],
            rounding("escape"),
            "which has the exact exponent: both logarithms agree to their leading order in m",
        ),
        Check.at_least(
            "large cliques: ln of the expected escape time is at least -ln of the Chernoff bound",
            c["fastest"],
            -c["escape_bound"],
            rounding("fastest"),
            "best wrong-mode state",
        ),
        Check.at_least(
            "large cliques: ln of the mean escape time is at least ln mu(A) / Q(A, A^c), which grows like J m^2",
            c["average"],
            c["lower"],
            rounding("average"),
            "start from the stationary law of independent parallel in the wrong mode A",
        ),
        Check.at_most(
            "large cliques: ln of the escape time from all minus is at most the resistance of a path out",
            c["from_all_minus"],
            c["upper"],
            rounding("from_all_minus"),
            "path through 0, 1, 2, ... + sites",
        ),
    ]


def _checks(gibbs: list[dict[str, Any]], parallel: list[dict[str, Any]]) -> list[Check]:
    g = {name: np.array([row[name] for row in gibbs]) for name in gibbs[0]}
    p = {name: np.array([row[name] for row in parallel], dtype=float) for name in parallel[0]}
    failures = 1 - g["reached"]
    # (1 - c)^T, the failure probability that the bound promises, is recomputed from c and T.
    promised = np.exp(g["steps"] * np.log1p(-np.minimum(g["redraw"], 1 - 1e-16)))
    checks = [
        Check.at_most(
            "k-Gibbs misses the right mode within T steps with probability at most (1 - c)^T",
            failures,
            promised,
            ROUNDING,
            "worst start; T from the bound, the probability from the exact chain",
        ),
        Check.at_most(
            "expected steps of k-Gibbs to the right mode are at most 1/c",
            g["expected"],
            1 / g["redraw"],
            RELATIVE_ROUNDING / g["redraw"],
            "worst start",
        ),
        Check.at_most(
            "independent parallel leaves the wrong mode in one step with probability at most the Chernoff bound",
            p["escape"],
            p["escape_bound"],
            ROUNDING,
            "worst wrong-mode state, even and odd cliques",
            trivial=1.0,
        ),
        Check.at_most(
            "the same probability is at most Chernoff's bound at the worst state, which has the exact exponent",
            p["escape"],
            p["escape_exponent"],
            ROUNDING,
            "worst wrong-mode state, even and odd cliques",
            trivial=1.0,
        ),
        Check.at_most(
            "independent parallel has left the wrong mode within T steps with probability at most T times the bound",
            p["left"],
            p["one_stage"],
            ROUNDING,
            "worst wrong-mode state",
            trivial=1.0,
        ),
        Check.at_most(
            "the same probability is at most b₁ + (T − 1) b₂, two stages",
            p["left"],
            p["two_stage"],
            ROUNDING,
            "worst wrong-mode state; left side: the chain on all sequences; b₁, b₂: the number of + sites",
            trivial=1.0,
        ),
        Check.equal(
            "mass of the right mode against its closed form",
            g["right_mass"],
            g["right_closed"],
            ROUNDING,
            "summed over the table of all sequences",
        ).by_algebra(),
        Check.at_least(
            "expected steps of independent parallel until it leaves are at least 1 / bound",
            p["fastest"],
            p["fastest_bound"],
            RELATIVE_ROUNDING * p["fastest_bound"],
            "best wrong-mode state",
        ),
    ]
    return checks


def _table(gibbs: list[dict[str, Any]], parallel: list[dict[str, Any]], parameters: Parameters) -> Table:
    columns = [
        "m",
        "J",
        "k-Gibbs, k = m: steps T",
        "reached within T (worst start)",
        "k-Gibbs, k = m: expected steps",
        "k-Gibbs, k = N: expected steps",
        "parallel: escape per step (worst)",
        "Chernoff bound",
        "parallel: expected steps to leave (best start)",
    ]
    by_case = {(row["m"], row["coupling"], row["k"]): row for row in gibbs}
    rows = []
    for row in parallel:
        small = by_case[row["m"], row["coupling"], row["m"]]
        large = by_case[row["m"], row["coupling"], parameters.sites]
        rows.append(
            [
                row["m"],
                row["coupling"],
                small["steps"],
                small["reached"],
                small["expected"],
                large["expected"],
                row["escape"],
                row["escape_bound"],
                row["fastest"],
            ]
        )
    return Table(columns, rows)


def draw_times(data: Mapping[str, Any]) -> Figure:
    """Expected steps against the coupling and against the size of the clique."""
    figure, (by_coupling, by_size) = new_figure(1, 2)
    cliques = sorted({row["m"] for row in data["parallel"]})
    even = [m for m in cliques if m % 2 == 0] or cliques
    m = ([size for size in even if size < data["sites"]] or even)[-1]
    couplings = sorted({row["coupling"] for row in data["parallel"]})
    coupling = min(couplings, key=lambda value: abs(value - 1.0))
    for axes, fixed, name in ((by_coupling, ("m", m), "coupling"), (by_size, ("coupling", coupling), "m")):
        rows = [row for row in data["parallel"] if row[fixed[0]] == fixed[1] and (name != "m" or row["m"] in even)]
        x = [row[name] for row in rows]
        axes.plot(
            x, [row["fastest"] for row in rows], MARKERS[0], color=COLOURS[0], label="independent parallel, exact"
        )
        axes.plot(
            x, [row["fastest_bound"] for row in rows], DASHES[0], color=COLOURS[0], label="lower bound 1 / Chernoff"
        )
        for style, (label, size) in enumerate((("m", None), ("N", data["sites"])), start=1):
            chosen = [
                row
                for row in data["gibbs"]
                if row[fixed[0]] == fixed[1]
                and row["k"] == (row["m"] if size is None else size)
                and (name != "m" or row["m"] in even)
            ]
            x = [row[name] for row in chosen]
            axes.plot(
                x,
                [row["expected"] for row in chosen],
                MARKERS[style],
                color=COLOURS[style],
                label=f"k-Gibbs, k = {label}, exact",
            )
            axes.plot(
                x, [1 / row["redraw"] for row in chosen], DASHES[style], color=COLOURS[style], label="upper bound 1 / c"
            )
        axes.set_yscale("log")
        axes.set_ylabel("expected steps")
    by_coupling.set_xlabel("coupling J inside the clique")
    by_coupling.set_title(f"clique of m = {m} among N = {data['sites']} sites, field {data['field']:g}")
    by_size.set_xticks(even)
    by_size.set_xlabel("clique size m (sites)")
    by_size.set_title(f"coupling J = {coupling:g}")
    by_coupling.legend()
    return figure


def draw_escape(data: Mapping[str, Any]) -> Figure:
    """Probability that independent parallel leaves the wrong mode, in one step and within T, against the bounds."""
    figure, panels = new_figure(1, 2)
    couplings = sorted({row["coupling"] for row in data["parallel"]})
    shown = [couplings[0], couplings[len(couplings) // 2], couplings[-1]] if len(couplings) > 3 else couplings
    # The bounds for odd cliques have another exponent: one parity keeps the lines apart.
    even = [row for row in data["parallel"] if row["m"] % 2 == 0] or data["parallel"]
    kinds = (
        (panels[0], "escape", (("escape_bound", ":"), ("escape_exponent", "-")), "one step"),
        (panels[1], "left", (("one_stage", ":"), ("two_stage", "-")), f"within T = {data['horizon']} steps"),
    )
    for axes, exact, bounds, title in kinds:
        for style, coupling in enumerate(shown):
            rows = [row for row in even if row["coupling"] == coupling]
            sizes = [row["m"] for row in rows]
            axes.plot(
                sizes, [row[exact] for row in rows], MARKERS[style], color=COLOURS[style], label=f"J = {coupling:g}"
            )
            for name, line in bounds:
                # A probability bound above 1 says nothing; it is drawn at 1.
                axes.plot(sizes, [min(1.0, row[name]) for row in rows], line, color=COLOURS[style])
        axes.set_yscale("log")
        axes.set_xticks(sorted({row["m"] for row in even}))
        axes.set_xlabel("clique size m (sites)")
        axes.set_ylabel("probability to leave the wrong mode")
        axes.set_title(title)
    panels[1].plot([], [], "o", color="0.4", fillstyle="none", label="exact, worst start")
    panels[1].plot([], [], ":", color="0.4", label="Chernoff; T times it")
    panels[1].plot([], [], "-", color="0.4", label="at the worst state; two stages")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_large(data: Mapping[str, Any]) -> Figure:
    """Large cliques: expected escape time against the size, and the escape probability per step."""
    figure, (times, steps) = new_figure(1, 2)
    couplings = sorted({row["coupling"] for row in data["large"]})[: len(COLOURS)]
    for style, coupling in enumerate(couplings):
        rows = sorted((row for row in data["large"] if row["coupling"] == coupling), key=lambda row: row["m"])
        sizes, colour = [row["m"] for row in rows], COLOURS[style]
        exact = [row["from_all_minus"] for row in rows]
        times.plot(sizes, exact, MARKERS[style], color=colour, label=f"J = {coupling:g}")
        times.plot(sizes, [row["lower"] for row in rows], "-", color=colour)
        steps.plot(sizes, [-row["escape"] for row in rows], MARKERS[style], color=colour)
        for parity in (0, 1):  # the bound for odd cliques has a larger exponent
            same = [row for row in rows if row["m"] % 2 == parity]
            for axes in (times, steps):
                axes.plot([row["m"] for row in same], [-row["escape_bound"] for row in same], ".:", color=colour)
    times.plot([], [], "-", color="0.4", label="μ(A) / Q(A, Aᶜ)")
    times.plot([], [], ":", color="0.4", label="Chernoff bound")
    for axes, label in (
        (times, "ln expected steps to leave, from all minus"),
        (steps, "−ln escape probability per step"),
    ):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("clique size m (sites)")
        axes.set_ylabel(label)
    figure.legend(*times.get_legend_handles_labels(), loc="outside right center")
    return figure


def draw_masks(data: Mapping[str, Any]) -> Figure:
    """k-Gibbs: steps to the right mode against the mask size."""
    figure, (axes,) = new_figure(1, 1, 6.0, 4.0)
    coupling = min({row["coupling"] for row in data["gibbs"]}, key=lambda value: abs(value - 1.0))
    for style, m in enumerate(sorted({row["m"] for row in data["gibbs"]})[: len(COLOURS)]):
        rows = [row for row in data["gibbs"] if row["m"] == m and row["coupling"] == coupling]
        sizes = [row["k"] for row in rows]
        axes.plot(
            sizes, [row["expected"] for row in rows], MARKERS[style], color=COLOURS[style], label=f"m = {m}, exact"
        )
        axes.plot(sizes, [1 / row["redraw"] for row in rows], "-", color=COLOURS[style])
    axes.plot([], [], "-", color="0.4", label="upper bound 1 / c")
    axes.set_yscale("log")
    axes.set_xlabel(f"mask size k (of N = {data['sites']} sites)")
    axes.set_ylabel("expected steps to the right mode")
    axes.set_title(f"k-Gibbs, coupling J = {coupling:g}")
    axes.legend()
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
            "Largest probability that independent parallel leaves the wrong mode, in one step (left) and within T "
            "steps (right); even cliques. Marks: exact. Dotted: Chernoff's bound, and T times it. Lines: Chernoff at "
            "the worst state, and the two-stage bound b₁ + (T − 1) b₂. A bound above 1 is drawn at 1.",
            draw_escape,
        ),
        FigureSpec(
            "large",
            "Large cliques, exact on the number of + sites. Left: ln of the expected steps until independent parallel "
            "leaves the wrong mode grows like J m². Right: largest escape probability of one step. Dotted: Chernoff.",
            draw_large,
        ),
        FigureSpec(
            "masks",
            "Expected steps of k-Gibbs to the right mode, worst start, against the number of masked tokens. "
            "Marks: exact. Lines: bound.",
            draw_masks,
        ),
    ),
)
