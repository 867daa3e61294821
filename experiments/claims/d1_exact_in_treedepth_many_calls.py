"""D1: laws that are Markov on a graph are decoded exactly in treedepth many calls; laws with a latent never are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, headline, logarithmic, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    n = parameters.sites
    cases: list[tuple[JointLaw, Schedule]] = []
    for order in (1, 2, 3):
        cases += [(_chain_table(order, n, generator), chain_schedule(n, order)) for _ in range(parameters.laws)]
    cases.append((ising_on(named_graph("cycle", n), 0.7, 0.2), halving_ring(n)))
    cases.append((ising_on(named_graph("star", n), 0.7, 0.2), star(n)))
    rows: list[list[Any]] = []
    errors, short = [], []
    for done, (law, schedule) in enumerate(cases):
        progress(0.6 * done / len(cases), law.name)
        errors.append(total_variation(output_law(TableConditionals(law), schedule).table, law.table))
        rows.append([law.name, n, schedule.length, errors[-1]])
        if law.name == "chain of order 1":
            short.append(float(optimal_schedules(law).errors[schedule.length - 2]))
    emits = np.array([[0.8, 0.2], [0.3, 0.7]])
    latent = hidden_markov_sequence([0.5, 0.5], [[0.8, 0.2], [0.2, 0.8]], emits, n)
    hidden = optimal_schedules(latent).errors
    progress(0.7, "a chain at length")
    long = MarkovLaw(
        generator.dirichlet(np.full(parameters.symbols, 0.3), size=parameters.symbols), parameters.long_sites
    )
    levels = chain_schedule(long.sites)
    least = least_costs(long, levels.length)
    at_length = float(schedule_costs(long, levels).sum())
    rows.append(["chain of order 1", long.sites, levels.length, at_length])
    checks = [
        Check.at_most(
            "treedepth schedules: total variation to p",
            errors,
            0.0,
            ROUNDING,
            f"{len(cases)} laws of {n} sites: chains of order 1 to 3, a ring, a star; by enumeration",
        ),
        Check.at_most(
            "the same at length: KL(p‖q)", at_length, 0.0, ROUNDING * long.sites, f"nats; {long.sites} sites"
        ),
        Check.equal(
            "a chain of order 1 takes ceil(log2(N + 1)) calls",
            [chain_schedule(n).length, levels.length],
            [ceil(log2(n + 1)), ceil(log2(long.sites + 1))],
            0.0,
        ),
        Check.at_least(
            "one call fewer: the best of all schedules is not exact",
            short,
            CLEARLY,
            0.0,
            "nats; random chains of order 1; by the recursion over subsets",
        ),
        Check.at_least(
            "hidden Markov: the best schedule of N - 1 calls is not exact",
            hidden[-2],
            CLEARLY,
            0.0,
            "nats; the latent is never revealed",
        ),
    ]
    data = {
        "chain": {"sites": long.sites, "least": least},
        "short chain": {"sites": n, "least": optimal_schedules(cases[0][0]).errors},
        "hidden Markov": {"sites": n, "least": hidden},
    }
    learned = (
        f"{len(cases)} laws that are Markov on a graph come out within a total variation of {max(errors):.1g} in "
        f"treedepth many calls, and a chain of {long.sites} sites within {abs(at_length):.1g} nats in {levels.length}; "
        f"one call fewer leaves {min(short):.2g} nats or more on short chains, and {n - 1} calls leave "
        f"{hidden[-2]:.2g} nats on a hidden Markov law of {n} sites."
    )
    return Findings(checks, Table(["law", "sites N", "calls", "TV to p, or KL at length (nats)"], rows), data, learned)


def _small_from(curve: Mapping[str, Any], treedepth: bool) -> str:
    """From how many calls on a law is decoded with at most `SMALLEST_DRAWN` nats."""
    small = np.flatnonzero(np.array(curve["least"], dtype=float) <= SMALLEST_DRAWN)
    calls = f"from {small[0] + 1} calls on" if small.size else f"not in {len(curve['least'])} calls"
    return f"{calls} (treedepth {ceil(log2(curve['sites'] + 1))})" if treedepth else calls


def draw_least(data: Mapping[str, Any]) -> Figure:
    """The least error by calls, with the treedepth of a chain of that length."""
    with style():
        figure, (axes,) = new_figure(width=5.4, height=4.2)
        places = logarithmic(axes, *(curve["least"] for curve in data.values()), floor=SMALLEST_DRAWN)
        for index, (name, curve) in enumerate(data.items()):
            least = places(curve["least"])
            label = f"{name}, N = {curve['sites']}"
            axes.plot(
                np.arange(1, len(least) + 1),
                least,
                MARKERS[index],
                linestyle=DASHES[index],
                color=COLOURS[index],
                label=label,
            )
            if name != "hidden Markov":
                axes.axvline(ceil(log2(curve["sites"] + 1)), color=COLOURS[index], linestyle=DASHES[index], alpha=0.5)
        axes.set(
            xlabel="network calls",
            ylabel="least KL(p‖q) of all fixed schedules (nats)",
        )
        axes.legend(title="vertical: treedepth of the chain")
        parts = [
            f"{name} of {curve['sites']} sites {_small_from(curve, name != 'hidden Markov')}"
            for name, curve in data.items()
        ]
        headline(figure, f"At most {SMALLEST_DRAWN:g} nats: " + ", ".join(parts))
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
