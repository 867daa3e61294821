"""C5: Poincaré and approximate tensorization of entropy for block dynamics, and what weak influences guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.claims import c5_overlap as overlap
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from theory.chains import TransitionOperator, spectrum
from theory.chains.spectrum import symmetric_eigenvectors
from theory.conditionals import TableConditionals
from theory.inequalities import (
    approximate_tensorization,
    complete_graph_factor,
    dobrushin,
    ollivier_curvature,
    path_coupling,
    poincare_constant,
)
from theory.laws import JointLaw, ising_on, named_graph, potts, product_law, random_ising, random_law
from theory.masks import MaskLaw, k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs
from theory.states import block_indices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-8
"""Relative rounding allowed between two float64 routes to the same constant."""

CURVATURE_ERROR = 1e-7
"""Error allowed for the linear programmes behind the curvature."""

PERTURBATION = 1e-4
"""Largest relative change of a mass in the laws q(1 + eps f) that approach q along the slowest function."""

NEARNESS = 1e-4
"""Relative error allowed to the ratio at those laws: their bias, and rounding in divergences of order eps^2."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N of the Ising ring and the random laws", full=5, minimum=3, maximum=8)
    couplings: tuple[float, ...] = parameter(
        (0.0, 0.2, 0.4, 0.7, 1.0), "couplings J of the Ising ring", full=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
    )
    field: float = parameter(0.1, "field h of the Ising ring")
    potts_sites: int = parameter(3, "sites of the three-state Potts path", full=4, minimum=2, maximum=5)
    potts_couplings: tuple[float, ...] = parameter((0.5, 1.5), "couplings of the Potts path")
    random_laws: int = parameter(1, "random laws of each kind (disordered Ising, table, product)", full=4, minimum=1)
    probes: int = parameter(200, "random functions and random laws for each law and mask size", full=1000, minimum=1)
    starts: int = parameter(1, "random starts of each kind in the search for the entropy constant", full=4, minimum=0)
    iterations: int = parameter(60, "iterations of each ascent of that search", full=200, minimum=1)
    pairs: int = parameter(
        200, "random pairs of a law on three bits and a mask law, half of them adaptive", full=1000, minimum=20
    )
    curvature_states: int = parameter(32, "largest law whose exact curvature is computed (states)", full=128, minimum=0)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    laws = _laws(parameters, generator)
    cases = [(kind, value, law, size) for kind, value, law in laws for size in range(1, law.sites + 1)]
    rows = []
    for done, (kind, value, law, size) in enumerate(cases):
        progress(done / len(cases), f"{law.name}, k = {size}")
        rows.append({"kind": kind, "coupling": value, **_case(law, size, parameters, generator)})
    data = {name: [row[name] for row in rows] for name in rows[0]}
    columns = {name: np.array(values) for name, values in data.items() if name != "kind"}
    looseness = columns["certified"] / np.maximum(columns["entropy ratio, optimised"], columns["entropy ratio, random"])
    above = (columns["entropy ratio, optimised"] / columns["C_P"]).max()
    pairs = overlap.measure(parameters.pairs, generator)
    takeaway = (
        f"The largest entropy ratio found lies between C_P and {above:.3g} C_P; its certified upper end is "
        f"{looseness.min():.3g} to {looseness.max():.3g} times as large; {overlap.summary(pairs)}."
    )
    return Findings(
        _checks(columns, np.array(data["kind"])) + overlap.checks(pairs, ROUNDING),
        _table(data),
        {"cases": data, "ring": parameters.sites, "pairs": pairs},
        takeaway,
    )


def _laws(parameters: Parameters, generator: np.random.Generator) -> list[tuple[str, float, JointLaw]]:
    ring, line = named_graph("cycle", parameters.sites), named_graph("path", parameters.potts_sites)
    laws: list[tuple[str, float, JointLaw]] = [
        ("Ising ring", coupling, ising_on(ring, coupling, parameters.field)) for coupling in parameters.couplings
    ]
    laws += [("Potts path", coupling, potts(line, 3, coupling)) for coupling in parameters.potts_couplings]
    for _ in range(parameters.random_laws):
        laws.append(("disordered Ising", 0.6, random_ising(parameters.sites, generator, 0.6)))
        laws.append(("random table", 0.0, random_law(parameters.potts_sites, 3, generator, 0.5)))
        laws.append(("product", 0.0, product_law(generator.dirichlet(np.full(3, 0.7), size=parameters.potts_sites))))
    return laws


def _case(law: JointLaw, size: int, parameters: Parameters, generator: np.random.Generator) -> dict[str, float]:
    """Every constant and bound for one law and k-uniform masks."""
    masks = k_uniform(law.sites, size)
    model = TableConditionals(law)
    kernel = block_gibbs(model, masks)
    chain = spectrum(kernel)
    matrix = kernel.to_dense()
    slow = symmetric_eigenvectors(matrix)[1][:, 1] / np.sqrt(law.probabilities)
    poincare = poincare_constant(law, masks).value
    entropic = approximate_tensorization(
        law, masks, parameters.starts, parameters.iterations, np.random.default_rng(generator.integers(2**32))
    )
    functions = generator.normal(size=(parameters.probes, law.states))
    functions[::2] = functions[::2] ** 3
    step = PERTURBATION / np.abs(slow).max()
    near = law.probabilities * (1 + np.outer([step, -step], slow - law.probabilities @ slow))
    witness = float(_entropy_ratios(law, masks, entropic.law[None])[0]) if entropic.law is not None else 0.0
    return {
        "sites": law.sites,
        "size": size,
        "gap": chain.gap,
        "absolute gap": chain.absolute_gap,
        "C_P": poincare,
        "variance ratio, slowest": float(_variance_ratios(law, matrix, slow[None])[0]),
        "variance ratio, random": float(_variance_ratios(law, matrix, functions).max()),
        "entropy ratio, near q": float(_entropy_ratios(law, masks, near).max()),
        "entropy ratio, random": float(_entropy_ratios(law, masks, _probe_laws(law, parameters, generator)).max()),
        "entropy ratio, optimised": max(witness, entropic.poincare),
        "entropy ratio, product": _product_ratio(law, masks, generator),
        "bracket": poincare * complete_graph_factor(law.minimum_mass),
        "certified": entropic.upper,
        **_coupling_bounds(law, size, kernel, parameters),
    }


def _variance_ratios(law: JointLaw, matrix: Array, functions: Array) -> Array:
    """Var(f) / E_K E Var(f | x_{-K}), the latter as the Dirichlet form of the sampler's matrix, for f [B, S]."""
    flow = law.probabilities[:, None] * matrix
    means = functions @ law.probabilities
    variance = (functions - means[:, None]) ** 2 @ law.probabilities
    dirichlet = np.array([0.5 * (flow * np.subtract.outer(f, f) ** 2).sum() for f in functions])
    return np.asarray(variance / dirichlet)


def _entropy_ratios(law: JointLaw, masks: MaskLaw, others: Array) -> Array:
    """KL(r || q) / E_K E_{x_{-K} ~ r} KL(r(. | x_{-K}) || q(. | x_{-K})), context by context, for laws r [B, S]."""
    local = np.zeros(len(others))
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        joint = others[:, block_indices(law.sites, law.symbols, mask)]
        filled = joint.sum(axis=2, keepdims=True) * law.conditional(mask)
        # Mass by mass, so that the differences stay accurate near q; the linear terms sum to zero.
        local += probability * (rel_entr(joint, filled) - joint + filled).sum(axis=(1, 2))
    total = (rel_entr(others, law.probabilities) - others + law.probabilities).sum(axis=1)
    return np.asarray(total / local)


def _probe_laws(law: JointLaw, parameters: Parameters, generator: np.random.Generator) -> Array:
    """Laws of every sharpness, and all point masses."""
    batches = [
        generator.dirichlet(np.full(law.states, concentration), size=-(-parameters.probes // 3))
        for concentration in (0.05, 0.5, 5.0)
    ]
    return np.concatenate([np.eye(law.states), *batches])


def _product_ratio(law: JointLaw, masks: MaskLaw, generator: np.random.Generator) -> float:
    """The ratio at a random product law, which is N/k exactly where the target is a product."""
    other = product_law(generator.dirichlet(np.ones(law.symbols), size=law.sites))
    return float(_entropy_ratios(law, masks, other.probabilities[None])[0])


def _coupling_bounds(law: JointLaw, size: int, kernel: TransitionOperator, parameters: Parameters) -> dict[str, float]:
    """Lower bounds on the absolute gap; NaN where a bound is not computed."""
    model = TableConditionals(law)
    curved = law.states <= parameters.curvature_states
    return {
        "Dobrushin": dobrushin(model).gap_lower_bound if size == 1 else np.nan,
        "path coupling": path_coupling(model, k_uniform(law.sites, size)).gap_lower_bound,
        "curvature": ollivier_curvature(kernel, law.sites, law.symbols).gap_lower_bound if curved else np.nan,
    }


def _checks(columns: Mapping[str, Array], kinds: NDArray[np.str_]) -> list[Check]:
    poincare, product = columns["C_P"], kinds == "product"
    known = columns["sites"][product] / columns["size"][product]
    ratios = np.maximum(columns["entropy ratio, random"], columns["entropy ratio, optimised"])
    # Constants are compared by their quotient, so that the worst place is the worst relative one.
    checks = [
        Check.equal(
            "C_P times the gap of the sampler's own matrix",
            poincare * columns["gap"],
            1.0,
            ROUNDING,
            "singular values of the masking channel against the spectrum of block Gibbs",
        ).by_algebra(),
        Check.equal(
            "variance ratio of the slowest eigenfunction over C_P",
            columns["variance ratio, slowest"] / poincare,
            1.0,
            ROUNDING,
            "the Poincaré inequality is attained; local variance as Dirichlet form of the sampler's matrix",
        ).by_algebra(),
        Check.at_most(
            "variance ratio of random functions over C_P",
            columns["variance ratio, random"] / poincare,
            1.0,
            ROUNDING,
            "the largest for each law and mask size",
        ),
        Check.at_least(
            "entropy ratio of laws near q over C_P",
            columns["entropy ratio, near q"] / poincare,
            1.0,
            NEARNESS,
            f"lower end of the bracket: q(1 ± eps f), f the slowest function, eps |f| <= {PERTURBATION:g}",
        ),
        Check.at_most(
            "entropy ratio of any law over the bracket",
            ratios / columns["bracket"],
            1.0,
            ROUNDING,
            "random laws of every sharpness, all point masses and the optimised law, context by context",
            wrong=("C_P alone", poincare / columns["bracket"]),
        ),
        Check.at_most(
            "entropy ratio of any law over the certified upper end",
            ratios / columns["certified"],
            1.0,
            ROUNDING,
            "the least of bracket, full mask, comparison with the product of the marginals and Dobrushin coefficient",
            wrong=("C_P alone", poincare / columns["certified"]),
        ),
        Check.equal("product laws: C_P over N/k", poincare[product] / known, 1.0, ROUNDING),
        Check.equal(
            "product laws: certified upper end of C_AT over N/k", columns["certified"][product] / known, 1.0, ROUNDING
        ),
        Check.equal(
            "product laws: entropy ratio of a random product law over N/k",
            columns["entropy ratio, product"][product] / known,
            1.0,
            ROUNDING,
        ),
    ]
    for name, tolerance in (("Dobrushin", 1e-12), ("path coupling", 1e-12), ("curvature", CURVATURE_ERROR)):
        informative = columns[name] > 0
        if informative.any():
            checks.append(
                Check.at_most(
                    f"gap bound by {name} against the exact absolute gap",
                    columns[name][informative],
                    columns["absolute gap"][informative],
                    tolerance,
                    f"1/steps; positive in {int(informative.sum())} of {int((~np.isnan(columns[name])).sum())} cases",
                )
            )
    return checks


def _table(data: Mapping[str, list[Any]]) -> Table:
    titles = {
        "kind": "law",
        "coupling": "coupling J",
        "size": "masked sites k",
        "C_P": "C_P (steps)",
        "entropy ratio, optimised": "C_AT, optimised (steps)",
        "certified": "C_AT, certified upper end (steps)",
        "bracket": "bracket (steps)",
    }
    return Table(list(titles.values()), [list(row) for row in zip(*(data[name] for name in titles), strict=True)])


def _ring(data: Mapping[str, Any]) -> dict[str, Array]:
    cases = data["cases"]
    chosen = np.array(cases["kind"]) == "Ising ring"
    return {name: np.array(values, dtype=float)[chosen] for name, values in cases.items() if name != "kind"}


def draw_bracket(data: Mapping[str, Any]) -> Figure:
    """C_P, the optimised ratio and the upper ends, over coupling and over mask size."""
    ring = _ring(data)
    couplings = np.unique(ring["coupling"])
    middle = couplings[len(couplings) // 2]
    shown = (
        (ring["size"] == 1, "coupling", "coupling J", "single-site masks, k = 1"),
        (ring["coupling"] == middle, "size", "masked sites k", f"coupling J = {middle:g}"),
    )
    with style():
        figure, panels = new_figure(1, 2)
        for axes, (chosen, variable, label, title) in zip(panels, shown, strict=True):
            part = {name: values[chosen] for name, values in ring.items()}
            x = part[variable]
            for index, (name, text) in enumerate(
                (
                    ("C_P", "lower end $C_P$ = 1/gap"),
                    ("bracket", "bracket, upper end"),
                    ("certified", "certified upper end"),
                )
            ):
                axes.plot(x, part[name], color=COLOURS[index], linestyle=DASHES[index], label=text)
            for index, (name, text) in enumerate(
                (
                    ("variance ratio, slowest", "variance ratio, slowest function"),
                    ("entropy ratio, optimised", "entropy ratio, optimised law (numerical)"),
                    ("entropy ratio, random", "entropy ratio, best random law"),
                )
            ):
                axes.plot(x, part[name], MARKERS[index], color=COLOURS[3 + index], fillstyle="none", label=text)
            axes.set(xlabel=label, ylabel="constant (steps)", title=title, yscale="log")
        panels[1].set_xticks(np.unique(ring["size"]))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        worst = int(np.argmax(ring["certified"] / ring["entropy ratio, optimised"]))
        headline(
            figure,
            f"Ising ring of {data['ring']} sites: C_AT lies between the optimised ratio and the certified end, a "
            f"factor {(ring['certified'] / ring['entropy ratio, optimised'])[worst]:.2g} apart at most",
        )
    return figure


def draw_gap(data: Mapping[str, Any]) -> Figure:
    """Exact gap against the bounds by influence and coupling."""
    ring = _ring(data)
    sizes = np.unique(ring["size"])
    chosen_sizes = (sizes[0], sizes[min(1, len(sizes) - 1)])
    with style():
        figure, panels = new_figure(1, 2)
        for axes, size in zip(panels, chosen_sizes, strict=True):
            chosen = ring["size"] == size
            x = ring["coupling"][chosen]
            axes.plot(x, ring["absolute gap"][chosen], "o", color="black", label="exact absolute gap (measured)")
            for index, name in enumerate(("Dobrushin", "path coupling", "curvature"), start=1):
                bound = ring[name][chosen]
                if not np.isnan(bound).all():
                    axes.plot(x, bound, color=COLOURS[index], linestyle=DASHES[index], label=f"bound by {name}")
            axes.set(xlabel="coupling J", ylabel="spectral gap (1/steps)", title=f"k = {size:g}")
            axes.set_ylim(bottom=0)
            axes.legend()
        best = np.nanmax([ring[name][chosen][-1] for name in ("Dobrushin", "path coupling", "curvature")])
        headline(
            figure,
            f"Ising ring of {data['ring']} sites: at J = {x[-1]:g}, k = {size:g} the gap is "
            f"{ring['absolute gap'][chosen][-1]:.2g}, the best bound on it {best:.2g}; 0 says nothing",
        )
    return figure


CLAIM = Claim(
    id="C5",
    name="functional-inequalities",
    title="Block dynamics: Poincaré constant, entropy constant and the bracket between them",
    statement=(
        "For block dynamics with k-uniform masks and target q: Var(f) ≤ C_P E_K E Var(f | x_−K) with C_P = 1/gap, "
        "attained at the slowest eigenfunction. KL(r ‖ q) ≤ C_AT E_K E_r KL(r(· | x_−K) ‖ q(· | x_−K)) for every law "
        "r, with C_P ≤ C_AT ≤ C_P ln(1/q_min − 1)/(1 − 2 q_min); for product laws C_AT = C_P = N/k. "
        "C5': C_AT ≤ 1 / min Σ_c min(A(c | x), A(c | y)) over x ≠ y, A the masking channel, also for masks that look "
        "at the sequence. With R the "
        "influence matrix, ρ(R) < 1 gives gap ≥ (1 − ρ(R))/N for single-site dynamics, and a path coupling that "
        "contracts by 1 − α between neighbours gives absolute gap ≥ α."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 3; Diaconis, Saloff-Coste 1996; Wu 2006; Bubley, Dyer 1997",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "bracket",
            "Entropy and variance constants of block dynamics on an Ising ring. Lines: C_P and the upper ends "
            "(predicted). Markers: ratios at concrete functions and laws (measured); the optimised one is the "
            "numerical value of C_AT, a lower bound.",
            draw_bracket,
        ),
        FigureSpec(
            "overlap",
            "Certified upper ends of C_AT over the largest ratio among the laws tried, for random laws on three bits "
            "and random mask laws: without the Dobrushin coefficient of masking (open) and, where it is better, with "
            "it (squares). Nothing lies below 1 (dashed).",
            overlap.draw,
        ),
        FigureSpec(
            "gap",
            "Exact absolute spectral gap of block dynamics on an Ising ring (markers) and lower bounds on it by "
            "Dobrushin's influence matrix, path coupling and the exact Ollivier curvature (lines).",
            draw_gap,
        ),
    ),
)
