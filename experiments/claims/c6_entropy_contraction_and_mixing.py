"""C6: one step of block dynamics contracts entropy, and the exact mixing time lies inside every bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims import c6_curie_weiss_scaling as curie_weiss_scaling
from experiments.claims import c6_decay as decay
from experiments.claims import c6_one_step as one_step
from experiments.claims import c6_ring_mixing as ring_mixing
from experiments.figures import DASHES, headline, line, logarithmic, marks, new_figure
from theory.bounds import bottleneck_bounds, entropy_contraction_bounds, relaxation_time_bounds
from theory.chains import DenseOperator, bottleneck_ratio, mixing_time, spectrum
from theory.conditionals import TableConditionals
from theory.inequalities import (
    TensorizationConstant,
    approximate_tensorization,
    dobrushin,
    path_coupling,
    step_contraction,
)
from theory.laws import JointLaw, curie_weiss, ising_on, named_graph, random_law
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-8
"""Rounding allowed in the factor by which a divergence shrinks in one step."""

SMALL_SHARE = 0.3
"""Part of the progress that the small models are given."""

SMALLEST_DRAWN = 0.1
"""Lower bounds on a mixing time of at most this many steps are drawn as zero."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(6, "sites N of the Ising models", full=7, minimum=3, maximum=9)
    couplings: tuple[float, ...] = parameter(
        (0.0, 0.2, 0.5, 0.8), "couplings J of the Ising ring", full=(0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.2)
    )
    field: float = parameter(0.1, "field h of the Ising models")
    beta: float = parameter(1.2, "inverse temperature of the Curie-Weiss model")
    epsilons: tuple[float, ...] = parameter((0.25, 0.01), "distances eps to be reached", minimum=1e-6, maximum=0.49)
    starts: int = parameter(20, "random starting laws besides all point masses", full=100, minimum=0)
    small_laws: int = parameter(
        6, "random laws on two bits whose largest factor of a step is enclosed", full=24, minimum=1
    )
    steps: int = parameter(60, "steps over which every start is followed", full=200, minimum=1)
    iterations: int = parameter(30, "iterations of each ascent to the numerical C_AT", full=150, minimum=1)
    temperatures: tuple[float, ...] = parameter(
        (0.5, 0.9, 1.0, 1.1, 1.5), "inverse temperatures of the large Curie-Weiss models", minimum=0.0, maximum=3.0
    )
    large_sites: tuple[int, ...] = parameter(
        (100, 200, 500),
        "sites N of the large Curie-Weiss models",
        full=(100, 200, 500, 1000, 2000, 5000, 10_000),
        minimum=2,
        maximum=10_000,
    )
    ring_sites: tuple[int, ...] = parameter(
        (6, 8, 10), "sites N of the large Ising rings", full=(8, 10, 12, 14, 16), minimum=3, maximum=16
    )
    ring_masks: tuple[int, ...] = parameter((1, 2), "masked sites k on the large Ising rings", minimum=1, maximum=16)
    ring_coupling: float = parameter(0.5, "coupling J of the large Ising rings")


UPPER = {
    "entropy_certified": "entropy contraction, C_AT by its certified upper end",
    "relaxation_upper": "relaxation time",
    "path_coupling": "path coupling",
    "dobrushin": "Dobrushin's influence matrix",
}
LOWER = {"relaxation_lower": "relaxation time", "bottleneck": "bottleneck ratio"}
"""Bounds on a mixing time, by their field of a `Mixing`."""


@dataclass(frozen=True)
class Mixing:
    """The exact worst-case mixing time of one chain, known to ``uncertainty``, and every bound on it, in steps."""

    uncertainty: float
    path_coupling: float
    dobrushin: float
    kind: str = heading("law")
    coupling: float = heading("coupling")
    size: int = heading("masked sites k")
    epsilon: float = heading("eps (TV)")
    bottleneck: float = heading("bottleneck, lower (steps)")
    relaxation_lower: float = heading("relaxation, lower (steps)")
    exact: float = heading("t_mix, exact (steps)")
    relaxation_upper: float = heading("relaxation, upper (steps)")
    entropy_numerical: float = heading("entropy, numerical C_AT (steps)")
    entropy_certified: float = heading("entropy, certified C_AT (steps)")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    plan = [(*found, size) for found in _laws(parameters, generator) for size in range(1, found[2].sites + 1)]
    times: list[Mixing] = []
    decays: list[decay.Decay] = []
    for done, (kind, coupling, law, size) in enumerate(plan):
        progress(SMALL_SHARE * done / len(plan), f"{law.name}, k = {size}")
        masks, label = k_uniform(law.sites, size), (kind, coupling, size)
        kernel = DenseOperator(block_gibbs(TableConditionals(law), masks).to_dense(), True, law.probabilities)
        constant = approximate_tensorization(
            law, masks, 0, parameters.iterations, np.random.default_rng(generator.integers(2**32))
        )
        starts = generator.dirichlet(np.full(law.states, 0.3), size=parameters.starts)
        largest = step_contraction(law, masks, 0, parameters.iterations).lower
        decays.append(decay.measure(label, law, masks, kernel, constant, largest, starts, parameters.steps))
        times += _mixing(label, law, kernel, constant, parameters.epsilons)
    steps = one_step.measure(parameters.small_laws, generator)
    large = curie_weiss_scaling.measure(
        parameters.temperatures, parameters.large_sites, lambda f, text: progress(SMALL_SHARE + 0.4 * f, text)
    )
    coupling, field = parameters.ring_coupling, parameters.field
    rings = ring_mixing.measure(
        coupling, field, parameters.ring_sites, parameters.ring_masks, lambda f, text: progress(0.7 + 0.3 * f, text)
    )
    checks = decay.checks(decays, ROUNDING) + _checks(times) + one_step.checks(steps, ROUNDING)
    checks += curie_weiss_scaling.checks(large) + ring_mixing.checks(rings)
    data = {
        "mixing": times,
        "decays": decays,
        "steps": steps,
        "ring": parameters.sites,
        "curie_weiss": large,
        "large_rings": rings,
        "large_coupling": coupling,
        "field": field,
    }
    slowest = max(times, key=lambda row: row.exact)
    entropy, relaxation = (
        np.median([getattr(row, name) / row.exact for row in times])
        for name in ("entropy_certified", "relaxation_upper")
    )
    takeaway = (
        f"The slowest chain ({slowest.kind}, coupling {slowest.coupling:g}, k = {slowest.size}) mixes in "
        f"{slowest.exact:g} steps, between the bounds {slowest.relaxation_lower:.3g} and "
        f"{slowest.relaxation_upper:.3g}; in the median the entropy bound is {entropy:.2g} and the relaxation bound "
        f"{relaxation:.2g} times the exact time. One step leaves at most {one_step.summary(steps)}."
    )
    return Findings(checks, Table.of(times), data, takeaway)


def _laws(parameters: Parameters, generator: np.random.Generator) -> list[tuple[str, float, JointLaw]]:
    ring = named_graph("cycle", parameters.sites)
    laws: list[tuple[str, float, JointLaw]] = [
        ("Ising ring", coupling, ising_on(ring, coupling, parameters.field)) for coupling in parameters.couplings
    ]
    laws.append(("Curie-Weiss", parameters.beta, curie_weiss(parameters.sites, parameters.beta, parameters.field)))
    laws.append(("random table", 0.0, random_law(3, 3, generator, 0.5)))
    return laws


def _mixing(
    label: tuple[str, float, int],
    law: JointLaw,
    kernel: DenseOperator,
    constant: TensorizationConstant,
    epsilons: Sequence[float],
) -> list[Mixing]:
    """The exact worst-case mixing time and every bound on it, to each distance."""
    kind, coupling, size = label
    model = TableConditionals(law)
    interval, phi = spectrum(kernel).relaxation_interval, bottleneck_ratio(kernel, law.probabilities).ratio
    coupled, influence = path_coupling(model, k_uniform(law.sites, size)), dobrushin(model) if size == 1 else None
    rows = []
    for epsilon in epsilons:
        exact = mixing_time(kernel, epsilon)
        lower, upper = relaxation_time_bounds(interval, law.minimum_mass, epsilon)
        certified, numerical = (
            entropy_contraction_bounds(max(1.0, value), law.minimum_mass, epsilon)[1]
            for value in (constant.upper, constant.lower)
        )
        rows.append(
            Mixing(
                uncertainty=0.0 if exact.certain else 1.0,
                path_coupling=coupled.mixing_time_bound(epsilon),
                dobrushin=inf if influence is None else influence.mixing_time_bound(epsilon),
                kind=kind,
                coupling=coupling,
                size=size,
                epsilon=epsilon,
                bottleneck=bottleneck_bounds(phi, epsilon)[0],
                relaxation_lower=lower,
                exact=exact.steps,
                relaxation_upper=upper,
                entropy_numerical=numerical,
                entropy_certified=certified,
            )
        )
    return rows


def _checks(times: Sequence[Mixing]) -> list[Check]:
    """Times are compared by their quotient, so that the worst place is the worst relative one."""
    c = columns(times)
    uncertain = int(c["uncertainty"].sum())
    note = "worst start over all states" + (f"; {uncertain} integers are known to ±1 only" if uncertain else "")
    found = []
    for name, text in (UPPER | LOWER).items():
        bound = c[name]
        # No chain that starts at a point mass is mixed before its first step: a lower bound of 1 excludes nothing.
        says = np.isfinite(bound) & (bound > (0 if name in UPPER else 1))
        if says.any():
            upper = name in UPPER
            side, check = ("upper", Check.at_most) if upper else ("lower", Check.at_least)
            quotient, allowed = c["exact"][says] / bound[says], c["uncertainty"][says] / bound[says]
            wrong = ("a tenth of the bound", 0.1) if upper else ("ten times the bound", 10.0)
            title = f"exact mixing time over the {side} bound by {text}"
            found.append(check(title, quotient, 1.0, allowed, note, wrong=wrong))
    return found


DRAWN = {
    "entropy_certified": "upper: entropy, certified $C_{AT}$",
    "relaxation_upper": "upper: relaxation time",
    "path_coupling": "upper: path coupling",
    "relaxation_lower": "lower: relaxation time",
    "bottleneck": "lower: bottleneck",
}
"""Bounds of the figure."""


def draw_mixing(data: Mapping[str, Any]) -> Figure:
    """Exact mixing time with every bound, over mask size and over coupling, on the Ising ring."""
    epsilon = max(row["epsilon"] for row in data["mixing"])
    ring = select(data["mixing"], kind="Ising ring", epsilon=epsilon)
    couplings = sorted({row["coupling"] for row in ring})
    middle = couplings[len(couplings) // 2]
    shown = [
        (select(ring, coupling=middle), "size", "masked sites k", f"coupling J = {middle:g}"),
        (select(ring, size=1), "coupling", "coupling J", "single-site masks, k = 1"),
    ]
    everything = [[row[name] for rows, *_ in shown for row in rows] for name in (*DRAWN, "exact")]
    figure, panels = new_figure(1, 2, height=4.3)
    for axes, (rows, variable, label, title) in zip(panels, shown, strict=True):
        part, drawn = columns(rows), logarithmic(axes, *everything, floor=SMALLEST_DRAWN)
        for index, (name, text) in enumerate(DRAWN.items(), start=1):
            line(axes, part[variable], drawn(part[name]), index, text, DASHES[index])
        marks(axes, part[variable], drawn(part["exact"]), 0, "exact mixing time (measured)")
        axes.set(xlabel=label, ylabel=f"mixing time at TV = {epsilon:g} (steps)", title=title)
    panels[0].set_xticks(sorted({row["size"] for row in ring}))
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    slow = max(ring, key=lambda row: row["exact"])
    headline(
        figure,
        f"Ising ring of {data['ring']} sites, k-Gibbs: at J = {slow['coupling']:g}, k = {slow['size']} it mixes in "
        f"{slow['exact']:g} steps, between {slow['relaxation_lower']:.3g} and {slow['relaxation_upper']:.3g}",
    )
    return figure


CLAIM = Claim(
    id="C6",
    name="entropy-contraction-and-mixing",
    title="Block dynamics contracts entropy at every step, and mixes within every bound",
    statement=(
        "For block dynamics P with target q: KL(νP ‖ q) ≤ KL(ν ‖ q) − E_K E_ν KL(ν(· | x_−K) ‖ q(· | x_−K)) ≤ "
        "(1 − 1/C_AT) KL(ν ‖ q) at every step and from every start; the largest factor of a step lies between "
        "(1 − 1/C_P)² and 1 − 1/C_AT, and is enclosed on two bits. So t_mix(ε) ≤ C_AT (ln ln(1/q_min) + ln(1/(2ε²))) "
        "+ 1. The exact worst-case t_mix(ε) also satisfies (t_rel − 1) ln(1/(2ε)) ≤ t_mix(ε) ≤ "
        "⌈t_rel ln(1/(ε q_min))⌉, t_mix(ε) ≥ (1/2 − ε)/Φ, and the bounds by path coupling and by Dobrushin's "
        "influence matrix. The relaxation-time bounds also hold for the magnetisation chain of the Curie-Weiss model "
        "(single-site updates, N + 1 states), and with Δ(β) the free-energy barrier per site, its t_mix(1/4) is "
        "N ln N/(2(1 − β)) + O(N) for β < 1, of order N^(3/2) at β = 1 and N exp(N Δ(β)) for β > 1; and for k-Gibbs on "
        "Ising rings of up to 2^16 states, with t_mix from the starts that settle all the others."
    ),
    source=(
        "Li et al. 2024 (arXiv:2407.21046), section 3; Levin, Peres, Wilmer, thms 7.4, 12.4, 12.5, 14.6; "
        "Levin, Luczak, Peres 2010, thms 1 to 3"
    ),
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "mixing-time",
            "Exact worst-case mixing time of k-Gibbs on an Ising ring (markers, measured) against the mask size and "
            "the coupling, with upper and lower bounds (lines, predicted). Bounds that say nothing lie in the grey "
            f"strips: up to {SMALLEST_DRAWN:g} steps, and infinite.",
            draw_mixing,
        ),
        FigureSpec(
            "entropy-decay",
            "Divergence from the target step by step (markers, measured: the worst and the median of all point masses "
            "and random starts) and ln(1/q_min) (1 − 1/C_AT)^t (lines, predicted). Divergences below "
            f"{decay.SMALLEST_DIVERGENCE:g} nats lie in the grey strip.",
            decay.draw,
        ),
        FigureSpec(
            "one-step",
            "The largest factor by which one step of single-site Gibbs leaves a divergence (marks; bars: enclosure, "
            "both ends proved) on random laws of two bits, the largest among the laws tried (squares), and what "
            "brackets it (lines): 1 − 1/C_AT from above and the factor of χ² from below.",
            one_step.draw,
        ),
        FigureSpec(
            "curie-weiss-scaling",
            "Exact mixing time of the Curie-Weiss magnetisation chain (markers, measured) with the predicted scalings "
            "(lines). What the prediction leaves open, c, is fixed at the largest N.",
            curie_weiss_scaling.draw,
        ),
        FigureSpec(
            "large-rings",
            "Exact worst-case mixing time of k-Gibbs on Ising rings (markers, measured from the starts that "
            "settle all the others) against N, with its bounds (lines, predicted).",
            ring_mixing.draw,
        ),
    ),
)
