"""C6: one step of block dynamics contracts entropy, and the exact mixing time lies inside every bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.claims import c6_curie_weiss_scaling as curie_weiss_scaling
from experiments.claims import c6_one_step as one_step
from experiments.claims import c6_ring_mixing as ring_mixing
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from theory.bounds import bottleneck_bounds, entropy_contraction_bounds, relaxation_time_bounds
from theory.chains import DenseOperator, bottleneck_ratio, mixing_time, spectrum
from theory.conditionals import TableConditionals
from theory.inequalities import (
    MaskingChannel,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

SMALLEST_DIVERGENCE = 1e-10
"""Divergences below this (nats) are not followed further: what is left of them is rounding."""

ROUNDING = 1e-8
"""Rounding allowed in the factor by which a divergence shrinks in one step."""

SMALL_SHARE = 0.3
"""Part of the progress that the small models are given."""

SMALLEST_DRAWN = 0.1
"""Lower bounds on a mixing time below this many steps are left out of the figure."""


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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    laws = _laws(parameters, generator)
    cases = [(kind, value, law, size) for kind, value, law in laws for size in range(1, law.sites + 1)]
    rows: list[dict[str, Any]] = []
    decays: list[dict[str, Any]] = []
    for done, (kind, value, law, size) in enumerate(cases):
        progress(SMALL_SHARE * done / len(cases), f"{law.name}, k = {size}")
        kernel = DenseOperator(
            block_gibbs(TableConditionals(law), k_uniform(law.sites, size)).to_dense(), True, law.probabilities
        )
        constant = approximate_tensorization(
            law, k_uniform(law.sites, size), 0, parameters.iterations, np.random.default_rng(generator.integers(2**32))
        )
        decay = _decay(law, size, kernel, parameters, generator)
        one = step_contraction(law, k_uniform(law.sites, size), 0, parameters.iterations)
        label = {"kind": kind, "coupling": value, "sites": law.sites, "size": size}
        shrink = {
            "numerical factor": 1 - 1 / constant.lower,
            "certified factor": 1 - 1 / constant.upper,
            "largest factor": one.lower,
            "factor of chi^2": (1 - 1 / constant.poincare) ** 2,
        }
        decays.append({**label, **shrink, "minimum mass": law.minimum_mass, **decay})
        shared = _shared_quantities(law, size, kernel)
        for epsilon in parameters.epsilons:
            rows.append({**label, **_mixing(law, kernel, constant, epsilon, shared)})
    mixing = {name: [row[name] for row in rows] for name in rows[0]}
    contraction = {name: [decay[name] for decay in decays] for name in decays[0]}
    steps = one_step.measure(parameters.small_laws, generator)
    large = curie_weiss_scaling.measure(
        parameters.temperatures, parameters.large_sites, lambda f, text: progress(SMALL_SHARE + 0.4 * f, text)
    )
    coupling, field = parameters.ring_coupling, parameters.field
    rings = ring_mixing.measure(
        coupling, field, parameters.ring_sites, parameters.ring_masks, lambda f, text: progress(0.7 + 0.3 * f, text)
    )
    checks = _checks(mixing, contraction) + one_step.checks(steps, ROUNDING)
    checks += curie_weiss_scaling.checks(large) + ring_mixing.checks(rings)
    data = {
        "mixing": mixing,
        "contraction": contraction,
        "steps": steps,
        "ring": parameters.sites,
        "Curie-Weiss": large,
        "large rings": {**rings, "coupling": coupling, "field": field},
    }
    slowest = int(np.argmax(mixing["exact"]))
    times = np.array(mixing["exact"], dtype=float)
    looseness = {
        name: np.median(np.array(mixing[name]) / times) for name in ("entropy, certified", "relaxation, upper")
    }
    takeaway = (
        f"The slowest chain ({mixing['kind'][slowest]}, coupling {mixing['coupling'][slowest]:g}, k = "
        f"{mixing['size'][slowest]}) mixes in {mixing['exact'][slowest]:.0f} steps, between the bounds "
        f"{mixing['relaxation, lower'][slowest]:.3g} and {mixing['relaxation, upper'][slowest]:.3g}; in the median the "
        f"entropy bound is {looseness['entropy, certified']:.2g} and the relaxation bound "
        f"{looseness['relaxation, upper']:.2g} times the exact time. One step leaves at most {one_step.summary(steps)}."
    )
    return Findings(checks, _table(mixing), data, takeaway)


def _laws(parameters: Parameters, generator: np.random.Generator) -> list[tuple[str, float, JointLaw]]:
    ring = named_graph("cycle", parameters.sites)
    laws: list[tuple[str, float, JointLaw]] = [
        ("Ising ring", coupling, ising_on(ring, coupling, parameters.field)) for coupling in parameters.couplings
    ]
    laws.append(("Curie-Weiss", parameters.beta, curie_weiss(parameters.sites, parameters.beta, parameters.field)))
    laws.append(("random table", 0.0, random_law(3, 3, generator, 0.5)))
    return laws


def _decay(
    law: JointLaw, size: int, kernel: DenseOperator, parameters: Parameters, generator: np.random.Generator
) -> dict[str, Any]:
    """Divergence from the target, step by step, from all point masses and from random laws."""
    channel = MaskingChannel(law, k_uniform(law.sites, size))
    random = generator.dirichlet(np.full(law.states, 0.3), size=parameters.starts)
    laws = np.concatenate([np.eye(law.states), random])
    divergence = np.asarray(channel.relative_entropy(laws))
    curve, middle = [float(divergence.max())], [float(np.median(divergence))]
    factor, surplus = 0.0, inf
    for _ in range(parameters.steps):
        local = channel.local_relative_entropy(laws)
        laws = kernel.propagate(laws)
        laws /= laws.sum(axis=1, keepdims=True)
        after = np.asarray(channel.relative_entropy(laws))
        followed = divergence > SMALLEST_DIVERGENCE
        if not followed.any():
            break
        factor = max(factor, float((after[followed] / divergence[followed]).max()))
        surplus = min(surplus, float(((divergence - after - local) / divergence)[followed].min()))
        divergence = after
        curve.append(float(divergence.max()))
        middle.append(float(np.median(divergence)))
    return {"worst factor": factor, "least surplus": surplus, "worst start": curve, "median start": middle}


def _shared_quantities(law: JointLaw, size: int, kernel: DenseOperator) -> dict[str, Any]:
    """What the bounds for every eps are made of."""
    model = TableConditionals(law)
    return {
        "relaxation": spectrum(kernel).relaxation_interval,
        "bottleneck": bottleneck_ratio(kernel, law.probabilities).ratio,
        "coupling": path_coupling(model, k_uniform(law.sites, size)),
        "influence": dobrushin(model) if size == 1 else None,
    }


def _mixing(
    law: JointLaw, kernel: DenseOperator, constant: TensorizationConstant, epsilon: float, shared: Mapping[str, Any]
) -> dict[str, float]:
    """The exact worst-case mixing time and every bound on it."""
    exact = mixing_time(kernel, epsilon)
    relaxation = relaxation_time_bounds(shared["relaxation"], law.minimum_mass, epsilon)
    certified, numerical = (
        entropy_contraction_bounds(max(1.0, value), law.minimum_mass, epsilon)[1]
        for value in (constant.upper, constant.lower)
    )
    return {
        "epsilon": epsilon,
        "exact": exact.steps,
        "uncertainty": 0.0 if exact.certain else 1.0,
        "entropy, certified": certified,
        "entropy, numerical": numerical,
        "relaxation, upper": relaxation[1],
        "relaxation, lower": relaxation[0],
        "bottleneck": bottleneck_bounds(shared["bottleneck"], epsilon)[0],
        "path coupling": shared["coupling"].mixing_time_bound(epsilon),
        "Dobrushin": inf if shared["influence"] is None else shared["influence"].mixing_time_bound(epsilon),
    }


def _checks(mixing: Mapping[str, list[Any]], contraction: Mapping[str, list[Any]]) -> list[Check]:
    factor = np.array(contraction["worst factor"])
    exact, doubt = np.array(mixing["exact"], dtype=float), np.array(mixing["uncertainty"])
    starts = "all point masses and random laws, every step, while the divergence is above 1e-10 nats"
    checks = [
        Check.at_least(
            "divergence lost in a step against the local divergence before it",
            contraction["least surplus"],
            0.0,
            ROUNDING,
            f"difference over the divergence before the step; {starts}",
        ),
        Check.at_most(
            "factor by which the divergence shrinks in one step against 1 − 1/C_AT",
            factor,
            contraction["certified factor"],
            ROUNDING,
            f"C_AT by its certified upper end; {starts}",
            trivial=1.0,
        ),
        Check.at_most(
            "largest factor of one step found over all laws against 1 − 1/C_AT",
            contraction["largest factor"],
            contraction["certified factor"],
            ROUNDING,
            "ascent over laws from many starts; C_AT by its certified upper end",
            trivial=1.0,
            wrong=("(1 − 1/C_P)², the factor of χ²", np.array(contraction["factor of chi^2"])),
        ),
    ]
    uncertain = int(doubt.sum())
    note = "worst start over all states" + (f"; {uncertain} integers are known to ±1 only" if uncertain else "")
    upper = {
        "entropy, certified": "entropy contraction, C_AT by its certified upper end",
        "relaxation, upper": "relaxation time",
        "path coupling": "path coupling",
        "Dobrushin": "Dobrushin's influence matrix",
    }
    lower = {"relaxation, lower": "relaxation time", "bottleneck": "bottleneck ratio"}
    # Times are compared by their quotient, so that the worst place is the worst relative one.
    for name, text in (upper | lower).items():
        bound = np.array(mixing[name], dtype=float)
        # No chain that starts at a point mass is mixed before its first step: a lower bound of 1 excludes nothing.
        says = np.isfinite(bound) & (bound > (0 if name in upper else 1))
        if says.any():
            side, check = ("upper", Check.at_most) if name in upper else ("lower", Check.at_least)
            quotient, allowed = exact[says] / bound[says], doubt[says] / bound[says]
            checks.append(check(f"exact mixing time over the {side} bound by {text}", quotient, 1.0, allowed, note))
    return checks


def _table(mixing: Mapping[str, list[Any]]) -> Table:
    titles = {
        "kind": "law",
        "coupling": "coupling",
        "size": "masked sites k",
        "epsilon": "eps (TV)",
        "bottleneck": "bottleneck, lower (steps)",
        "relaxation, lower": "relaxation, lower (steps)",
        "exact": "t_mix, exact (steps)",
        "relaxation, upper": "relaxation, upper (steps)",
        "entropy, numerical": "entropy, numerical C_AT (steps)",
        "entropy, certified": "entropy, certified C_AT (steps)",
    }
    return Table(list(titles.values()), [list(row) for row in zip(*(mixing[name] for name in titles), strict=True)])


def draw_mixing(data: Mapping[str, Any]) -> Figure:
    """Exact mixing time with every bound, over mask size and over coupling, on the Ising ring."""
    mixing = data["mixing"]
    kinds = np.array(mixing["kind"])
    columns = {name: np.array(values, dtype=float) for name, values in mixing.items() if name != "kind"}
    epsilon = columns["epsilon"].max()
    ring = (kinds == "Ising ring") & (columns["epsilon"] == epsilon)
    couplings = np.unique(columns["coupling"][ring])
    middle = couplings[len(couplings) // 2]
    shown = (
        (ring & (columns["coupling"] == middle), "size", "masked sites k", f"coupling J = {middle:g}"),
        (ring & (columns["size"] == 1), "coupling", "coupling J", "single-site masks, k = 1"),
    )
    with style():
        figure, panels = new_figure(1, 2, height=4.3)
        for axes, (chosen, variable, label, title) in zip(panels, shown, strict=True):
            _draw_bounds(axes, {name: values[chosen] for name, values in columns.items()}, variable)
            axes.set(xlabel=label, ylabel=f"mixing time at TV = {epsilon:g} (steps)", title=title, yscale="log")
        panels[0].set_xticks(np.unique(columns["size"][ring]))
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        slow = int(np.argmax(np.where(ring, columns["exact"], 0)))
        headline(
            figure,
            f"Ising ring of {data['ring']} sites, k-Gibbs: at J = {columns['coupling'][slow]:g}, k = "
            f"{columns['size'][slow]:g} it mixes in {columns['exact'][slow]:.0f} steps, between "
            f"{columns['relaxation, lower'][slow]:.3g} and {columns['relaxation, upper'][slow]:.3g}",
        )
    return figure


def _draw_bounds(axes: Axes, part: Mapping[str, Array], variable: str) -> None:
    names = (
        ("entropy, certified", "upper: entropy, certified $C_{AT}$"),
        ("relaxation, upper", "upper: relaxation time"),
        ("path coupling", "upper: path coupling"),
        ("relaxation, lower", "lower: relaxation time"),
        ("bottleneck", "lower: bottleneck"),
    )
    for index, (name, text) in enumerate(names):
        # A logarithmic axis has no place for bounds that say nothing: 0 (up to rounding) or infinity.
        bound = np.where(np.isfinite(part[name]) & (part[name] > SMALLEST_DRAWN), part[name], np.nan)
        if not np.isnan(bound).all():
            marker = "" if np.isfinite(bound).sum() > 1 else "_"
            colour, dash = COLOURS[(index + 1) % 8], DASHES[index % 8]
            axes.plot(part[variable], bound, marker=marker, color=colour, linestyle=dash, label=text)
    axes.plot(part[variable], part["exact"], "o", color="black", label="exact mixing time (measured)")


def draw_decay(data: Mapping[str, Any]) -> Figure:
    """Divergence from the target against time, and the contraction that C_AT guarantees."""
    contraction = data["contraction"]
    kinds, couplings = np.array(contraction["kind"]), np.array(contraction["coupling"], dtype=float)
    sizes = np.array(contraction["size"])
    ring = kinds == "Ising ring"
    values = np.unique(couplings[ring])
    middle = values[len(values) // 2]
    shown = sorted({1, max(1, int(sizes[ring].max()) // 2)})
    with style():
        figure, panels = new_figure(1, len(shown), width=4.6 * max(2, len(shown)), height=4.0)
        for axes, size in zip(panels, shown, strict=True):
            index = int(np.flatnonzero(ring & (couplings == middle) & (sizes == size))[0])
            worst, median = (
                np.array(contraction[name][index], dtype=float) for name in ("worst start", "median start")
            )
            steps = np.arange(len(worst))
            start = np.log(1 / contraction["minimum mass"][index])
            for number, name in enumerate(("certified factor", "numerical factor")):
                text = "certified $C_{AT}$" if number == 0 else "optimised $C_{AT}$ (numerical)"
                bound = start * float(contraction[name][index]) ** steps
                axes.plot(steps, bound, color=COLOURS[1 + number], linestyle=DASHES[number], label=f"bound, {text}")
            every = max(1, len(steps) // 20)
            for number, (curve, text) in enumerate(((worst, "worst start"), (median, "median start"))):
                axes.plot(
                    steps[::every],
                    np.maximum(curve, SMALLEST_DIVERGENCE)[::every],
                    MARKERS[number],
                    color=COLOURS[3 * number],
                    fillstyle="none",
                    label=f"measured, {text}",
                )
            axes.set(xlabel="steps t", ylabel=r"KL$(\nu P^t\,\|\,q)$ (nats)", title=f"k = {size}", yscale="log")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
        headline(
            figure,
            f"Ising ring of {data['ring']} sites, J = {middle:g}: divergence left after {len(steps) - 1} steps "
            f"with k = {size}: {worst[-1]:.2g} nats from the worst start, {bound[-1]:.2g} by the optimised C_AT",
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
            "the coupling, with every upper and lower bound (lines, predicted). The bound from the optimised C_AT is "
            f"not certified, since the search may have missed the largest ratio. Lower bounds below {SMALLEST_DRAWN:g} "
            "steps are not drawn.",
            draw_mixing,
        ),
        FigureSpec(
            "entropy-decay",
            "Divergence from the target step by step (markers, measured: the worst and the median of all point masses "
            "and random starts) and ln(1/q_min) (1 − 1/C_AT)^t (lines, predicted). Divergences below "
            f"{SMALLEST_DIVERGENCE:g} nats are drawn there.",
            draw_decay,
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
            "Exact mixing time (full markers) and relaxation time (open markers) of the Curie-Weiss magnetisation "
            "chain, measured, with the predicted scalings (lines). What the prediction leaves open, c, is fixed at the "
            "largest N; N/(1 − β) leaves nothing open. Below the critical temperature the two times differ by a factor "
            "near ln 2 and their marks may coincide.",
            curie_weiss_scaling.draw,
        ),
        FigureSpec(
            "large-rings",
            "Exact worst-case mixing time of k-Gibbs on Ising rings (full circles, measured from the starts that "
            "settle all the others) against N, with its bounds (open markers, predicted).",
            ring_mixing.draw,
        ),
    ),
)
