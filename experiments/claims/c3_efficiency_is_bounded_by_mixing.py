"""C3: a mask law whose block dynamics mixes fast also learns efficiently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import headline, marks, new_figure
from theory.chains.spectrum import spectrum
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.estimation import WeightedPseudolikelihood, population, pseudolikelihood_information, whitened_family
from theory.inequalities import poincare_constant
from theory.laws import ExponentialLaw, curie_weiss, ising_on, named_graph, potts, random_ising
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw, adaptive, bernoulli, k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-8
"""Relative rounding allowed in eigenvalues of ratios of matrices."""

POTTS_SITES = 5
"""The Potts model is kept to so many sites: its 3^N states grow faster than the others'."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(5, "sites N of the models", full=6, minimum=3, maximum=8)
    couplings: tuple[float, ...] = parameter(
        (0.0, 0.3, 0.6, 0.9, 1.2),
        "strength: J of the ring and of Potts, β of Curie-Weiss, scale of the random model",
        full=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6),
        minimum=-2.0,
        maximum=3.0,
    )
    field: float = parameter(0.1, "field h of the ring and of Curie-Weiss", minimum=-2.0, maximum=2.0)
    masked: tuple[int, ...] = parameter((1, 2, 4), "mask sizes k", full=(1, 2, 3, 4, 5), minimum=1)


@dataclass(frozen=True)
class Case:
    """A model, a coupling and a mask law: extreme eigenvalues of I Gamma, C_P, and second routes.

    Without couplings C_P is N/k for masks of k sites; nan for other mask laws.
    """

    mixing_by_inequality: float
    route_error: float
    without_coupling: float
    model: str = heading("model")
    sites: int = heading("N")
    coupling: float = heading("coupling")
    masks: str = heading("masks")
    smallest: float = heading("least eigenvalue of IΓ")
    largest: float = heading("largest")
    mixing: float = heading("C_P = 1/gap")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if max(parameters.masked) > parameters.sites:
        raise InvalidInput("masked", parameters.masked, f"mask sizes must lie in 1..{parameters.sites}")
    cases: list[Case] = []
    laws = [(name, c, law) for c in parameters.couplings for name, law in _models(parameters, c, seed)]
    for done, (name, coupling, law) in enumerate(laws):
        progress(done / len(laws), f"{name}, coupling {coupling:g}")
        cases += [_case(name, coupling, law, masks) for masks in _mask_laws(law.sites, law.symbols, parameters.masked)]
    data = columns(cases)
    mixing, largest, smallest = (data[key] for key in ("mixing", "largest", "smallest"))
    independent = data["without_coupling"]
    coupled = np.isfinite(independent) & (data["coupling"] != 0)
    checks = [
        Check.at_least(
            "I⁻¹ ⪯ Γ: smallest eigenvalue of I Γ",
            smallest,
            1.0,
            ROUNDING,
            f"{len(largest)} triples of a model, a coupling and a mask law",
            wrong=("every direction loses what independent sites lose, N/k", np.where(coupled, independent, -np.inf)),
        ),
        Check.at_most(
            "Γ ⪯ C_P I⁻¹: largest eigenvalue of I Γ against C_P",
            largest,
            mixing,
            ROUNDING * mixing,
            "Γ from scores, C_P = 1/gap from the eigenvalues of the sampler's operator",
            wrong=("couplings do not matter: C_P = N/k", np.where(coupled, independent, np.inf)),
        ),
        Check.equal(
            "C_P: 1/gap of the operator against the Poincaré inequality's supremum",
            data["mixing_by_inequality"],
            mixing,
            1e-7 * mixing,
            "local variances of the extremal function",
        ).by_algebra(),
        Check.equal("I_PL from scores against the Hessian of the loss", data["route_error"], 0.0, 1e-10).by_algebra(),
    ]
    free = np.isfinite(independent) & (data["coupling"] == 0)
    if free.any():
        checks.append(
            Check.equal(
                "without couplings both sides are N/k: the bound is attained",
                np.stack([largest[free], mixing[free]], axis=1),
                independent[free, None],
                1e-8,
                "the statistics then contain an extremal function of the Poincaré inequality",
                wrong=("one site is learned from each sequence, whatever k: N", data["sites"][free, None]),
            )
        )
    shares = largest / mixing
    takeaway = (
        f"The least efficient direction needs {largest.min():.3g} to {largest.max():.3g} times the data of maximum "
        f"likelihood where the sampler's relaxation time is {mixing.min():.3g} to {mixing.max():.3g} steps; the bound "
        f"C_P is attained to {shares.max():.0%} at best and {np.median(shares):.0%} in the median."
    )
    return Findings(checks, Table.of(cases), {"cases": cases}, takeaway)


def _models(parameters: Parameters, coupling: float, seed: int) -> list[tuple[str, ExponentialLaw]]:
    sites, field = parameters.sites, parameters.field
    generator = np.random.default_rng([seed, 1])
    return [
        ("ring", ising_on(named_graph("cycle", sites), coupling, field)),
        ("Curie-Weiss", curie_weiss(sites, coupling, field)),
        ("random", random_ising(sites, generator, abs(coupling))),
        ("Potts path, q = 3", potts(named_graph("path", min(sites, POTTS_SITES)), 3, coupling)),
    ]


def _mask_laws(sites: int, symbols: int, masked: Sequence[int]) -> list[MaskLaw | AdaptiveMaskLaw]:
    laws: list[MaskLaw | AdaptiveMaskLaw] = [k_uniform(sites, k) for k in sorted(set(masked)) if k <= sites]

    def weight(x: NDArray[np.int64], mask: Mask) -> Array:
        return np.asarray(1.0 + x[:, list(mask)].sum(axis=1), dtype=np.float64)

    return [*laws, bernoulli(sites, 0.4), adaptive(sites, symbols, k_uniform(sites, 2).masks, weight)]


def _case(name: str, coupling: float, law: ExponentialLaw, masks: MaskLaw | AdaptiveMaskLaw) -> Case:
    family = whitened_family(law)
    information = pseudolikelihood_information(family, np.zeros(family.parameters), masks)
    hessian = WeightedPseudolikelihood(family, population(law, masks)).hessian(np.zeros(family.parameters))
    # In whitened coordinates I = 1 and Gamma = I_PL^{-1}.
    values = 1 / eigvalsh(information)
    uniform = isinstance(masks, MaskLaw) and masks.uniform_size
    return Case(
        mixing_by_inequality=poincare_constant(law, masks).value,
        route_error=float(np.abs(information - hessian).max()),
        without_coupling=law.sites / uniform if uniform else float("nan"),
        model=name,
        sites=law.sites,
        coupling=coupling,
        masks=masks.name,
        smallest=float(values.min()),
        largest=float(values.max()),
        mixing=spectrum(block_gibbs(TableConditionals(law), masks)).poincare_interval[1],
    )


def draw_bound(data: Mapping[str, Any]) -> Figure:
    """Largest loss of efficiency as a share of C_P, and the smallest, against C_P."""
    figure, (above, below) = new_figure(2, 1, width=5.0, height=6.8)
    for index, name in enumerate(dict.fromkeys(case["model"] for case in data["cases"])):
        rows = columns(select(data["cases"], model=name))
        marks(above, rows["mixing"], rows["largest"] / rows["mixing"], index, name)
        marks(below, rows["mixing"], rows["smallest"], index, hollow=True)
    above.axhline(1.0, color="black", linestyle="--", label="predicted upper bound")
    above.set(ylabel=r"largest eigenvalue of $I\,\Gamma$ over $C_P$", title="least efficient direction")
    below.axhline(1.0, color="black", linestyle="--")
    below.set(ylabel=r"smallest eigenvalue of $I\,\Gamma$", title="most efficient direction: at least 1")
    for axes in (above, below):
        axes.set(xscale="log", xlabel="$C_P$ = 1/gap of the block dynamics (steps)")
    figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    shares = [case["largest"] / case["mixing"] for case in data["cases"]]
    headline(
        figure,
        f"The least efficient direction loses {min(shares):.0%} to {max(shares):.0%} of C$_P$, over C$_P$ up to "
        f"{max(case['mixing'] for case in data['cases']):.0f} steps",
    )
    return figure


CLAIM = Claim(
    id="C3",
    name="efficiency-is-bounded-by-mixing",
    title="What mixes fast is learned efficiently",
    statement=(
        "Let I be the Fisher information, Γ the asymptotic covariance of the estimator trained with a mask law, and "
        "C_P = 1/gap the Poincaré constant of the block dynamics with the same mask law. Then I⁻¹ ⪯ Γ ⪯ C_P I⁻¹."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 3 (statistical efficiency and mixing time)",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "bound",
            "Extreme eigenvalues of I Γ (markers, measured) against the Poincaré constant of the block dynamics. "
            "Above: the largest over C_P, predicted to be at most 1 (dashed). Below: the smallest, at least 1.",
            draw_bound,
        ),
    ),
)
