"""D1: laws that are Markov on a graph are decoded exactly in treedepth many calls; laws with a latent never are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, heading
from experiments.figures import COLOURS, DASHES, headline, line, logarithmic, marks, new_figure
from theory.conditionals import TableConditionals
from theory.decoding import Schedule, optimal_schedules, output_law
from theory.decoding.stationary_chain import least_costs, schedule_costs
from theory.decoding.treedepth import chain_schedule, forest_schedule
from theory.divergences import total_variation
from theory.laws import JointLaw, hidden_markov_sequence, ising_on, named_graph
from theory.laws.length import MarkovLaw
from theory.parameters import parameter
from theory.states import all_sequences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-12
"""Total variation, and nats at length, that are taken for rounding."""

CLEARLY = 1e-9
"""Nats that a law which is not decoded exactly must show."""

SMALLEST_DRAWN = 1e-9

FIRST_ORDER = "chain of order 1"

MERGED = "the last two levels come out in one call"


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(7, "sites N of the laws that are enumerated", full=9, minimum=4, maximum=10)
    laws: int = parameter(3, "random chains of each order", full=10, minimum=1)
    long_sites: int = parameter(128, "sites of the chain at length", full=512, minimum=8, maximum=2048)
    symbols: int = parameter(8, "symbols q of the chain at length", full=27, minimum=2, maximum=100)


def _chain_table(order: int, sites: int, generator: np.random.Generator) -> JointLaw:
    law = MarkovLaw(generator.dirichlet(np.full(2, 0.7), size=(2,) * order), sites)
    masses = np.exp(law.log_probability(all_sequences(sites, 2)))
    return JointLaw(masses.reshape((2,) * sites), f"chain of order {order}")


def halving_ring(sites: int) -> Schedule:
    """A ring: one site cut out, then the path of the rest."""
    rest = chain_schedule(sites - 1)
    return Schedule(sites, ((0,), *(tuple(site + 1 for site in step) for step in rest.steps)))


def star(sites: int) -> Schedule:
    """A star: its centre, then all leaves."""
    return forest_schedule([-1] + [0] * (sites - 1), [(0, site) for site in range(1, sites)])


@dataclass(frozen=True)
class Decoded:
    """A law decoded by its treedepth schedule, and with the schedule's last two levels merged."""

    merged: float
    law: str = heading("law")
    sites: int = heading("sites N")
    calls: int = heading("calls")
    error: float = heading("TV to p, or KL at length (nats)")
    fewer: float | None = heading("least KL(p‖q) with one call fewer (nats)")


@dataclass(frozen=True)
class Curve:
    """The least KL(p‖q) of all fixed schedules in nats for 1, 2, ... calls, and the treedepth where the law has one."""

    name: str
    sites: int
    treedepth: int | None
    least: NDArray[np.float64]


def merged(schedule: Schedule) -> Schedule:
    """The last two levels revealed in one call."""
    *rest, first, second = schedule.steps
    return Schedule(schedule.sites, (*rest, first + second))


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    n = parameters.sites
    cases: list[tuple[JointLaw, Schedule]] = []
    for order in (1, 2, 3):
        cases += [(_chain_table(order, n, generator), chain_schedule(n, order)) for _ in range(parameters.laws)]
    cases.append((ising_on(named_graph("cycle", n), 0.7, 0.2), halving_ring(n)))
    cases.append((ising_on(named_graph("star", n), 0.7, 0.2), star(n)))
    rows: list[Decoded] = []
    for done, (law, schedule) in enumerate(cases):
        progress(0.6 * done / len(cases), law.name)
        exact, wrong = (_distance(law, tried) for tried in (schedule, merged(schedule)))
        few = schedule.length - 2
        fewer = float(optimal_schedules(law).errors[few]) if law.name == FIRST_ORDER else None
        rows.append(Decoded(wrong, law.name, n, schedule.length, exact, fewer))
    seen, unseen = (
        optimal_schedules(hidden_markov_sequence([0.5, 0.5], [[0.8, 0.2], [0.2, 0.8]], emits, n)).errors
        for emits in (np.eye(2), np.array([[0.8, 0.2], [0.3, 0.7]]))
    )
    alone = optimal_schedules(hidden_markov_sequence([1.0], [[1.0]], [[0.3, 0.7]], n)).errors
    progress(0.7, "a chain at length")
    long = MarkovLaw(
        generator.dirichlet(np.full(parameters.symbols, 0.3), size=parameters.symbols), parameters.long_sites
    )
    levels = chain_schedule(long.sites)
    at_length, wrong = (float(schedule_costs(long, tried).sum()) for tried in (levels, merged(levels)))
    rows.append(Decoded(wrong, FIRST_ORDER, long.sites, levels.length, at_length, None))
    curves = [
        Curve("chain", long.sites, _levels(long.sites), least_costs(long, levels.length)),
        Curve("chain", n, _levels(n), optimal_schedules(cases[0][0]).errors),
        Curve("hidden Markov", n, None, unseen),
    ]
    short = [row for row in rows if row.fewer is not None]
    fewest = min(row.fewer for row in short if row.fewer is not None)
    learned = (
        f"{len(cases)} laws that are Markov on a graph come out within a total variation of "
        f"{max(row.error for row in rows[:-1]):.1g} in treedepth many calls, and a chain of {long.sites} sites within "
        f"{abs(at_length):.1g} nats in {levels.length}; one call fewer leaves {fewest:.2g} nats or more on short "
        f"chains, and {n - 1} calls leave {unseen[-2]:.2g} nats on a hidden Markov law of {n} sites."
    )
    checks = _checks(rows, short[0], unseen[-2], {"independent": alone, "seen": seen})
    return Findings(checks, Table.of(rows), {"rows": rows, "curves": curves}, learned)


def _distance(law: JointLaw, schedule: Schedule) -> float:
    return total_variation(output_law(TableConditionals(law), schedule).table, law.table)


def _levels(sites: int) -> int:
    """The treedepth of a path, which is predicted to be the number of calls."""
    return ceil(log2(sites + 1))


def _checks(
    rows: Sequence[Decoded], short: Decoded, hidden: float, others: Mapping[str, NDArray[np.float64]]
) -> list[Check]:
    *tables, long = rows
    few = short.calls - 2
    calls = [_levels(row.sites) for row in (short, long)]
    return [
        Check.at_most(
            "treedepth schedules: total variation to p",
            [row.error for row in tables],
            0.0,
            ROUNDING,
            f"{len(tables)} laws of {short.sites} sites: chains of order 1 to 3, a ring, a star; by enumeration",
        ).against(MERGED, float(np.mean([row.merged > ROUNDING for row in tables]))),
        Check.at_most(
            "the same at length: KL(p‖q)", long.error, 0.0, ROUNDING * long.sites, f"nats; {long.sites} sites"
        ).against(MERGED, float(long.merged > ROUNDING * long.sites)),
        Check.equal(
            "a chain of order 1 takes ceil(log2(N + 1)) calls",
            [short.calls, long.calls],
            calls,
            0.0,
            wrong=("floor(log2(N)) calls", [floor(log2(row.sites)) for row in (short, long)]),
        ),
        Check.at_least(
            "one call fewer: the best of all schedules is not exact",
            [row.fewer for row in tables if row.fewer is not None],
            CLEARLY,
            0.0,
            "nats; random chains of order 1; by the recursion over subsets",
        ).against("the sites are independent", float(others["independent"][few] < CLEARLY)),
        Check.at_least(
            "hidden Markov: the best schedule of N - 1 calls is not exact",
            hidden,
            CLEARLY,
            0.0,
            "nats; the latent is never revealed",
        ).against("the latent is seen", float(others["seen"][-2] < CLEARLY)),
    ]


def _small_from(curve: Mapping[str, Any]) -> str:
    """From how many calls on a law is decoded with at most `SMALLEST_DRAWN` nats."""
    small = np.flatnonzero(np.array(curve["least"], dtype=float) <= SMALLEST_DRAWN)
    calls = f"in {small[0] + 1} calls" if small.size else f"not in {len(curve['least'])} calls"
    known = "" if curve["treedepth"] is None else f" (treedepth {curve['treedepth']})"
    return f"{curve['name']} of {curve['sites']} sites {calls}{known}"


def draw_least(data: Mapping[str, Any]) -> Figure:
    """The least error by calls, with the treedepth of a chain of that length."""
    figure, (axes,) = new_figure(width=5.4, height=4.4)
    drawn = logarithmic(axes, *(curve["least"] for curve in data["curves"]), floor=SMALLEST_DRAWN)
    for series, curve in enumerate(data["curves"]):
        calls, least = np.arange(1, len(curve["least"]) + 1), drawn(curve["least"])
        dash = DASHES[series]
        line(axes, calls, least, series, dash=dash)
        marks(axes, calls, least, series, f"{curve['name']}, N = {curve['sites']}", hollow=series > 0)
        if curve["treedepth"] is not None:
            label = f"treedepth of a chain of {curve['sites']}: {curve['treedepth']}"
            axes.axvline(curve["treedepth"], color=COLOURS[series], linestyle=dash, alpha=0.5, label=label)
    axes.set(xlabel="network calls", ylabel="least KL(p‖q) of all fixed schedules (nats)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    headline(
        figure, f"Decoded to {SMALLEST_DRAWN:g} nats or better: " + ", ".join(_small_from(c) for c in data["curves"])
    )
    return figure


CLAIM = Claim(
    id="D1",
    name="exact-in-treedepth-many-calls",
    title="Exact decoding takes treedepth many calls, and a latent is never decoded exactly in parallel",
    statement=(
        "If p is Markov on a graph G, revealing level k of an elimination forest of G in call k puts out p itself: any "
        "path between two sites of a level passes a common ancestor that is already revealed. A chain of order 1 takes "
        "⌈log₂(N+1)⌉ calls, and no schedule takes fewer; order r reveals separators of r sites, r calls a level. A "
        "hidden Markov model is exact only one token at a time."
    ),
    source="chain rule of relative entropy; treedepth: Nešetřil and Ossona de Mendez 2012, ch. 6",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "least",
            "Least KL(p‖q) over all fixed schedules (computed: by gaps at length, over subsets for few sites) against "
            f"calls; vertical lines: the predicted number of calls at which a chain is exact. Zeros, and what is "
            f"below {SMALLEST_DRAWN:g}, are in the grey strip.",
            draw_least,
        ),
    ),
)
