"""C3: a mask law whose block dynamics mixes fast also learns efficiently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, MARKERS, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if max(parameters.masked) > parameters.sites:
        raise InvalidInput("masked", parameters.masked, f"mask sizes must lie in 1..{parameters.sites}")
    names = (
        "model",
        "sites",
        "coupling",
        "masks",
        "largest",
        "smallest",
        "mixing",
        "mixing_by_inequality",
        "route_error",
    )
    data: dict[str, list[Any]] = {name: [] for name in names}
    laws = [(name, c, law) for c in parameters.couplings for name, law in _models(parameters, c, seed)]
    for done, (name, coupling, law) in enumerate(laws):
        progress(done / len(laws), f"{name}, coupling {coupling:g}")
        for masks in _mask_laws(law.sites, law.symbols, parameters.masked):
            values = (name, law.sites, coupling, masks.name, *_ratios(law, masks))
            for key, value in zip(names, values, strict=True):
                data[key].append(value)
    mixing, largest, smallest = (np.array(data[key]) for key in ("mixing", "largest", "smallest"))
    checks = [
        Check.at_least(
            "I⁻¹ ⪯ Γ: smallest eigenvalue of I Γ",
            smallest,
            1.0,
            ROUNDING,
            f"{len(largest)} triples of a model, a coupling and a mask law",
        ),
        Check.at_most(
            "Γ ⪯ C_P I⁻¹: largest eigenvalue of I Γ against C_P",
            largest,
            mixing,
            ROUNDING * mixing,
            "Γ from scores, C_P = 1/gap from the eigenvalues of the sampler's operator",
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
    free = [i for i, c in enumerate(data["coupling"]) if c == 0 and data["masks"][i].endswith("-uniform")]
    if free:
        sizes = np.array([int(data["masks"][i].split("-")[0]) for i in free])
        checks.append(
            Check.equal(
                "without couplings both sides are N/k: the bound is attained",
                [[largest[i], mixing[i]] for i in free],
                (np.array(data["sites"])[free] / sizes)[:, None],
                1e-8,
                "the statistics then contain an extremal function of the Poincaré inequality",
            )
        )
    columns = ["model", "N", "coupling", "masks", "least eigenvalue of IΓ", "largest", "C_P = 1/gap"]
    rows = [list(row) for row in zip(*(data[k] for k in (*names[:4], "smallest", "largest", "mixing")), strict=True)]
    shares = largest / mixing
    takeaway = (
        f"The least efficient direction needs {largest.min():.3g} to {largest.max():.3g} times the data of maximum "
        f"likelihood where the sampler's relaxation time is {mixing.min():.3g} to {mixing.max():.3g} steps; the bound "
        f"C_P is attained to {shares.max():.0%} at best and {np.median(shares):.0%} in the median."
    )
    return Findings(checks, Table(columns, rows), data, takeaway)


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


def _ratios(law: ExponentialLaw, masks: MaskLaw | AdaptiveMaskLaw) -> tuple[float, float, float, float, float]:
    """Extreme eigenvalues of I Gamma, C_P by two routes, and the difference of I_PL by two routes."""
    family = whitened_family(law)
    information = pseudolikelihood_information(family, np.zeros(family.parameters), masks)
    hessian = WeightedPseudolikelihood(family, population(law, masks)).hessian(np.zeros(family.parameters))
    # In whitened coordinates I = 1 and Gamma = I_PL^{-1}.
    values = 1 / eigvalsh(information)
    mixing = spectrum(block_gibbs(TableConditionals(law), masks)).poincare_interval[1]
    inequality = poincare_constant(law, masks).value
    return float(values.max()), float(values.min()), mixing, inequality, float(np.abs(information - hessian).max())


def draw_bound(data: Mapping[str, Any]) -> Figure:
    """Largest and smallest loss of efficiency against C_P."""
    mixing = np.array(data["mixing"])
    with style():
        figure, (axes,) = new_figure(width=5.6, height=4.2)
        for index, name in enumerate(dict.fromkeys(data["model"])):
            chosen = np.array([model == name for model in data["model"]])
            colour, marker = COLOURS[index], MARKERS[index]
            axes.plot(mixing[chosen], np.array(data["largest"])[chosen], marker, color=colour, label=f"largest, {name}")
            axes.plot(mixing[chosen], np.array(data["smallest"])[chosen], marker, color=colour, fillstyle="none")
        ends = np.array([1.0, mixing.max()])
        axes.plot(ends, ends, "--", color="black", label="predicted upper bound $C_P$")
        axes.plot(ends, np.ones(2), ":", color="black", label="predicted lower bound 1")
        axes.plot([], [], "o", color="grey", fillstyle="none", label="smallest (open markers)")
        axes.set(
            xlabel="$C_P$ = 1/gap of the block dynamics (steps)",
            ylabel="eigenvalues of $I\\,\\Gamma$ (loss of efficiency)",
            title="efficiency is bounded by mixing",
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.legend()
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
            "Extreme eigenvalues of I Γ (markers, measured: filled the largest, open the smallest) against the "
            "Poincaré constant of the block dynamics; predicted to lie between 1 (dotted) and C_P (dashed).",
            draw_bound,
        ),
    ),
)
