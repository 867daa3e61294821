"""C5: Poincaré and approximate tensorization of entropy for block dynamics, and what weak influences guarantee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims import c5_overlap as overlap
from experiments.figures import DASHES, headline, line, marks, new_figure, one_scale
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


GAP_BOUNDS = {"dobrushin": "Dobrushin", "path_coupling": "path coupling", "curvature": "curvature"}
"""Lower bounds on the absolute gap, by their field of a `Case`."""


@dataclass(frozen=True)
class Case:
    """One law with k-uniform masks: constants, ratios of functions and laws, and bounds on the gap, nan where not made.

    ``slowest`` and ``variance`` are variance ratios of the slowest and of random functions, ``near``, ``random`` and
    ``product`` entropy ratios of laws near q, of random and of product laws.
    """

    sites: int
    gap: float
    absolute_gap: float
    slowest: float
    variance: float
    near: float
    random: float
    product: float
    dobrushin: float
    path_coupling: float
    curvature: float
    kind: str = heading("law")
    coupling: float = heading("coupling J")
    size: int = heading("masked sites k")
    poincare: float = heading("C_P (steps)")
    optimised: float = heading("C_AT, optimised (steps)")
    certified: float = heading("C_AT, certified upper end (steps)")
    bracket: float = heading("bracket (steps)")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    plan = [(*found, size) for found in _laws(parameters, generator) for size in range(1, found[2].sites + 1)]
    cases = []
    for done, (kind, coupling, law, size) in enumerate(plan):
        progress(done / len(plan), f"{law.name}, k = {size}")
        cases.append(_case(kind, coupling, law, size, parameters, generator))
    c = columns(cases)
    looseness = c["certified"] / np.maximum(c["optimised"], c["random"])
    pairs = overlap.measure(parameters.pairs, generator)
    takeaway = (
        f"The largest entropy ratio found lies between C_P and {(c['optimised'] / c['poincare']).max():.3g} C_P; its "
        f"certified upper end is {looseness.min():.3g} to {looseness.max():.3g} times as large; "
        f"{overlap.summary(pairs)}."
    )
    data = {"cases": cases, "ring": parameters.sites, "pairs": pairs}
    return Findings(_checks(cases) + overlap.checks(pairs, ROUNDING), Table.of(cases), data, takeaway)


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


def _case(
    kind: str, coupling: float, law: JointLaw, size: int, parameters: Parameters, generator: np.random.Generator
) -> Case:
    """Every constant and bound for one law and k-uniform masks."""
    masks = k_uniform(law.sites, size)
    kernel = block_gibbs(TableConditionals(law), masks)
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
    return Case(
        sites=law.sites,
        gap=chain.gap,
        absolute_gap=chain.absolute_gap,
        slowest=float(_variance_ratios(law, matrix, slow[None])[0]),
        variance=float(_variance_ratios(law, matrix, functions).max()),
        near=float(_entropy_ratios(law, masks, near).max()),
        random=float(_entropy_ratios(law, masks, _probe_laws(law, parameters, generator)).max()),
        product=_product_ratio(law, masks, generator),
        kind=kind,
        coupling=coupling,
        size=size,
        poincare=poincare,
        optimised=max(witness, entropic.poincare),
        certified=entropic.upper,
        bracket=poincare * complete_graph_factor(law.minimum_mass),
        **_gap_bounds(law, size, kernel, parameters),
    )


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


def _gap_bounds(law: JointLaw, size: int, kernel: TransitionOperator, parameters: Parameters) -> dict[str, float]:
    """Lower bounds on the absolute gap; NaN where a bound is not computed."""
    model = TableConditionals(law)
    curved = law.states <= parameters.curvature_states
    return {
        "dobrushin": dobrushin(model).gap_lower_bound if size == 1 else np.nan,
        "path_coupling": path_coupling(model, k_uniform(law.sites, size)).gap_lower_bound,
        "curvature": ollivier_curvature(kernel, law.sites, law.symbols).gap_lower_bound if curved else np.nan,
    }


def _checks(cases: Sequence[Case]) -> list[Check]:
    """Constants are compared by their quotient, so that the worst place is the worst relative one."""
    c = columns(cases)
    poincare, product = c["poincare"], c["kind"] == "product"
    independent = c["sites"] / c["size"]
    ratios = np.maximum(c["random"], c["optimised"])
    every = ("one site is redrawn, whatever k: N", c["size"][product])
    checks = [
        Check.equal(
            "C_P times the gap of the sampler's own matrix",
            poincare * c["gap"],
            1.0,
            ROUNDING,
            "singular values of the masking channel against the spectrum of block Gibbs",
        ).by_algebra(),
        Check.equal(
            "variance ratio of the slowest eigenfunction over C_P",
            c["slowest"] / poincare,
            1.0,
            ROUNDING,
            "the Poincaré inequality is attained; local variance as Dirichlet form of the sampler's matrix",
        ).by_algebra(),
        Check.at_most(
            "variance ratio of random functions over C_P",
            c["variance"] / poincare,
            1.0,
            ROUNDING,
            "the largest for each law and mask size",
            wrong=("couplings do not matter: C_P = N/k", independent / poincare),
        ),
        Check.at_least(
            "entropy ratio of laws near q over C_P",
            c["near"] / poincare,
            1.0,
            NEARNESS,
            f"lower end of the bracket: q(1 ± eps f), f the slowest function, eps |f| <= {PERTURBATION:g}",
            wrong=("the certified upper end", c["certified"] / poincare),
        ),
        Check.at_most(
            "entropy ratio of any law over the bracket",
            ratios / c["bracket"],
            1.0,
            ROUNDING,
            "random laws of every sharpness, all point masses and the optimised law, context by context",
            wrong=("C_P alone", poincare / c["bracket"]),
        ),
        Check.at_most(
            "entropy ratio of any law over the certified upper end",
            ratios / c["certified"],
            1.0,
            ROUNDING,
            "the least of bracket, full mask, comparison with the product of the marginals and Dobrushin coefficient",
            wrong=("C_P alone", poincare / c["certified"]),
        ),
    ]
    for name, values in (
        ("C_P", poincare),
        ("certified upper end of C_AT", c["certified"]),
        ("entropy ratio of a random product law", c["product"]),
    ):
        quotient = values[product] / independent[product]
        checks.append(Check.equal(f"product laws: {name} over N/k", quotient, 1.0, ROUNDING, wrong=every))
    for field, name in GAP_BOUNDS.items():
        says = c[field] > 0
        if says.any():
            checks.append(
                Check.at_most(
                    f"gap bound by {name} against the exact absolute gap",
                    c[field][says],
                    c["absolute_gap"][says],
                    CURVATURE_ERROR if field == "curvature" else 1e-12,
                    f"1/steps; positive in {int(says.sum())} of {int((~np.isnan(c[field])).sum())} cases",
                    wrong=("half of the gap", c["absolute_gap"][says] / 2),
                )
            )
    return checks


def draw_bracket(data: Mapping[str, Any]) -> Figure:
    """C_P, the optimised ratio and the upper ends, over coupling and over mask size."""
    ring = select(data["cases"], kind="Ising ring")
    couplings = sorted({case["coupling"] for case in ring})
    middle = couplings[len(couplings) // 2]
    figure, panels = new_figure(1, 2)
    for axes, fixed, name in ((panels[0], {"size": 1}, "coupling"), (panels[1], {"coupling": middle}, "size")):
        rows = columns(select(ring, **fixed))
        line(axes, rows[name], rows["poincare"], 0, "lower end $C_P$ = 1/gap")
        line(axes, rows[name], rows["bracket"], 1, "upper end of the bracket", DASHES[1])
        line(axes, rows[name], rows["certified"], 2, "certified upper end", DASHES[2])
        marks(axes, rows[name], rows["optimised"], 4, "entropy ratio, optimised law (numerical)", hollow=True)
        marks(axes, rows[name], rows["random"], 3, "entropy ratio, best random law")
    panels[0].set(xlabel="coupling J", ylabel="constant (steps)", title="single-site masks, k = 1", yscale="log")
    panels[1].set(xlabel="masked sites k", ylabel="constant (steps)", title=f"coupling J = {middle:g}", yscale="log")
    panels[1].set_xticks(sorted({case["size"] for case in ring}))
    one_scale(panels, "y")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    c = columns(ring)
    above, apart = (c["optimised"] / c["poincare"]).max(), (c["certified"] / c["optimised"]).max()
    headline(
        figure,
        f"Ising ring of {data['ring']} sites: the largest entropy ratio found is at most {above:.3g} C$_P$; C$_{{AT}}$ "
        f"lies between it and the certified end, a factor {apart:.2g} apart at most",
    )
    return figure


def draw_gap(data: Mapping[str, Any]) -> Figure:
    """Exact gap against the bounds by influence and coupling."""
    ring = select(data["cases"], kind="Ising ring")
    sizes = sorted({case["size"] for case in ring})[:2]
    figure, panels = new_figure(1, len(sizes))
    shares: list[float] = []
    for axes, size in zip(panels, sizes, strict=True):
        rows = columns(select(ring, size=size))
        marks(axes, rows["coupling"], rows["absolute_gap"], 0, "exact absolute gap")
        for index, (field, name) in enumerate(GAP_BOUNDS.items(), start=1):
            if not np.isnan(rows[field]).all():
                line(axes, rows["coupling"], rows[field], index, f"bound by {name}", DASHES[index])
        best = np.nanmax([rows[field] for field in GAP_BOUNDS], axis=0)
        shares += list(best / rows["absolute_gap"])
        axes.set(xlabel="coupling J", ylabel="spectral gap (1/steps)", title=f"k = {size}")
    one_scale(panels, "y")
    panels[0].set_ylim(bottom=0)
    panels[-1].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    says = [share for share in shares if share > CURVATURE_ERROR]
    headline(
        figure,
        f"Ising ring of {data['ring']} sites: the best bound is {min(says, default=0):.0%} to {max(shares):.0%} of the "
        f"gap, and 0, which says nothing, for {len(shares) - len(says)} of {len(shares)} chains",
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
