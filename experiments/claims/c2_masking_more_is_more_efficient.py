"""C2: hiding more tokens at a time never makes the masked loss a worse estimator; hiding all is maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading
from experiments.estimation.limit import FALSE_ALARM, too_small
from experiments.figures import headline, line, marks, new_figure
from experiments.statistics import chi_squared_deviation, chi_squared_power, normal_limit, quadratic_form_freedom
from theory.estimation import (
    WeightedPseudolikelihood,
    asymptotic_covariance,
    fit,
    from_counts,
    loewner_margin,
    population,
    sample_counts,
    whitened_family,
)
from theory.laws import ExponentialFamily, IsingLaw, ising_family, random_ising
from theory.masks import k_uniform
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-9
"""Relative rounding allowed in eigenvalues of covariances and of ratios of information matrices."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(6, "sites N of the random Ising models; N (N + 1) / 2 parameters", minimum=2, maximum=9)
    scale: float = parameter(0.4, "standard deviation of fields and couplings", minimum=0.0, maximum=1.5)
    instances: int = parameter(4, "random Ising models", full=20, minimum=1)
    samples: int = parameter(100_000, "pairs (x, K) in each simulated data set", full=1_000_000, minimum=100)
    repetitions: int = parameter(100, "simulated data sets for each k, first model only", full=400, minimum=20)


@dataclass(frozen=True)
class Model:
    """Covariances of one model for k = 1..N, and the differences from k to k + 1.

    ``margin`` and ``reverse`` are the smallest eigenvalues of G_k - G_(k+1) and of its negative over tr G_k, ``ratio``
    and ``least`` the extreme eigenvalues of the information at k relative to that at k + 1.
    """

    trace: list[float]
    optimum: float
    margin: list[float]
    reverse: list[float]
    ratio: list[float]
    least: list[float]
    efficiency: list[float]
    independent: list[float]
    independent_formula: list[float]


@dataclass(frozen=True)
class Simulated:
    """n E |theta_hat - theta*|^2 of the first model by repeated learning."""

    k: int
    measured: float
    error: float
    predicted: float
    freedom: float
    infinite: int


@dataclass(frozen=True)
class Size:
    """One mask size on one model, for the reader."""

    model: int = heading("model")
    k: int = heading("k")
    trace: float = heading("tr Γ_k")
    over_optimum: float = heading("over the optimum")
    simulated: float | None = heading("n E|error|² simulated")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    models = [_exact(parameters, seed, instance, progress) for instance in range(parameters.instances)]
    exact = columns(models)
    simulated = [_simulated(parameters, seed, k, progress) for k in range(1, parameters.sites + 1)]
    steps = f"{parameters.instances} models, k = 1..{parameters.sites}"
    checks = [
        Check.at_least(
            "Γ_k - Γ_(k+1), smallest eigenvalue over tr Γ_k",
            exact["margin"],
            0.0,
            ROUNDING,
            f"{steps}; covariances from the scores of every pair, in coordinates in which the Fisher information is 1",
        ).against("the reversed order", float((exact["reverse"] < -ROUNDING).mean())),
        Check.at_most(
            "largest ratio of information I_k against I_(k+1)",
            exact["ratio"],
            1.0,
            ROUNDING,
            "largest generalised eigenvalue; information from the Hessian of the loss",
        ).against("the reversed order", float((exact["least"] < 1 - ROUNDING).mean())),
        Check.equal(
            "Γ_N against the inverse Fisher information, eigenvalues of I Γ_N",
            exact["efficiency"],
            1.0,
            ROUNDING,
            "Fisher information is Cov(T), without any mask",
        ).by_algebra(),
        Check.equal(
            "tr Γ_k of independent spins against (N / k) Σ cosh² h",
            exact["independent"],
            exact["independent_formula"],
            1e-9 * np.abs(exact["independent_formula"]),
            "closed form",
        ).by_algebra(),
        _simulation_check(simulated, parameters),
    ]
    sizes = [
        Size(instance, k + 1, trace, trace / model.trace[-1], simulated[k].measured if instance == 0 else None)
        for instance, model in enumerate(models)
        for k, trace in enumerate(model.trace)
    ]
    traces = models[0].trace
    takeaway = (
        f"Masking {parameters.sites} of {parameters.sites} sites instead of 1 needs {traces[0] / traces[-1]:.2g} times "
        f"less data on the first model (tr Γ {traces[0]:.4g} against {traces[-1]:.4g}); masking half of them already "
        f"{traces[0] / traces[(parameters.sites - 1) // 2]:.2g} times less."
    )
    data = {"models": models, "simulated": simulated, "samples": parameters.samples}
    return Findings(checks, Table.of(sizes), data, takeaway)


def _exact(parameters: Parameters, seed: int, instance: int, progress: Progress) -> Model:
    progress(0.5 * instance / parameters.instances, f"covariances of model {instance + 1}")
    model = _model(parameters, seed, instance)
    laws = [k_uniform(parameters.sites, k) for k in range(1, parameters.sites + 1)]
    # The order does not depend on coordinates; in whitened ones the Fisher information is the identity.
    family = whitened_family(model)
    zero = np.zeros(family.parameters)
    whitened = [asymptotic_covariance(family, zero, masks) for masks in laws]
    hessians = [WeightedPseudolikelihood(family, population(model, masks)).hessian(zero) for masks in laws]
    ratios = [eigh(a, b, eigvals_only=True) for a, b in pairwise(hessians)]
    statistics = ising_family(parameters.sites).statistics[:, : parameters.sites]
    spins = ExponentialFamily(parameters.sites, 2, statistics, name="independent spins")
    fields, sizes = model.fields, range(1, parameters.sites + 1)
    return Model(
        trace=[float(np.trace(asymptotic_covariance(model.family, model.theta, masks))) for masks in laws],
        optimum=float(np.trace(np.linalg.inv(model.family.fisher_information(model.theta)))),
        margin=[loewner_margin(a, b) / float(np.trace(a)) for a, b in pairwise(whitened)],
        reverse=[loewner_margin(b, a) / float(np.trace(a)) for a, b in pairwise(whitened)],
        ratio=[float(ratio[-1]) for ratio in ratios],
        least=[float(ratio[0]) for ratio in ratios],
        efficiency=np.linalg.eigvalsh(whitened[-1]).tolist(),
        independent=[float(np.trace(asymptotic_covariance(spins, fields, masks))) for masks in laws],
        independent_formula=[float(parameters.sites / k * (np.cosh(fields) ** 2).sum()) for k in sizes],
    )


def _model(parameters: Parameters, seed: int, instance: int) -> IsingLaw:
    return random_ising(parameters.sites, np.random.default_rng([seed, 1, instance]), parameters.scale)


def _simulated(parameters: Parameters, seed: int, k: int, progress: Progress) -> Simulated:
    progress(0.5 + 0.5 * (k - 1) / parameters.sites, f"repeated learning, k = {k}")
    model = _model(parameters, seed, 0)
    masks, generator = k_uniform(parameters.sites, k), np.random.default_rng([seed, 2, k])
    squares = []
    for _ in range(parameters.repetitions):
        data = from_counts(sample_counts(model, masks, parameters.samples, generator), masks, 2)
        estimate = fit(model.family, data, start=model.theta)
        if estimate.converged:
            squares.append(parameters.samples * float(((estimate.theta - model.theta) ** 2).sum()))
    gamma = asymptotic_covariance(model.family, model.theta, masks)
    finite = max(len(squares), 1)
    return Simulated(
        k,
        measured=float(np.mean(squares)) if squares else float("nan"),
        # The variance of |z|^2 for z ~ N(0, Gamma) is 2 tr Gamma^2.
        error=float(np.sqrt(2 * np.trace(gamma @ gamma) / finite)),
        predicted=float(np.trace(gamma)),
        freedom=finite * quadratic_form_freedom(gamma),
        infinite=parameters.repetitions - len(squares),
    )


def _simulation_check(simulated: Sequence[Simulated], parameters: Parameters) -> Check:
    name = "n E|θ̂ - θ*|² against tr Γ_k, in standard errors"
    found = columns(simulated)
    predicted, freedom = found["predicted"], found["freedom"]
    deviation = np.abs(chi_squared_deviation(freedom * found["measured"] / predicted, freedom))
    tail = FALSE_ALARM / (2 * len(deviation))
    second_order = predicted / parameters.samples
    fits = parameters.repetitions * len(simulated)
    reason = too_small(parameters.samples, float(second_order.max()), int(found["infinite"].sum()), fits)
    if reason:
        worst = float(deviation.max())
        return Check(name, Verdict.INCONCLUSIVE, 0.0, worst, normal_limit(tail), "<=", 0.0, reason)
    missed = 1.0
    for k, factor in enumerate(predicted[:-1] / predicted[1:]):
        missed *= 1 - chi_squared_power(freedom[k], tail, factor, second_order[k])
    detail = (
        f"n = {parameters.samples}, {parameters.repetitions} data sets for each k; false-alarm rate {FALSE_ALARM:g} "
        "(Satterthwaite's approximation of a mean of quadratic forms); terms of order 1/n are allowed tr Γ / n of tr Γ"
    )
    check = Check.at_most(name, deviation, normal_limit(tail), second_order * np.sqrt(freedom / 2), detail)
    return check.against("tr Γ of one token more, for every k", 1 - missed)


def draw_efficiency(data: Mapping[str, Any]) -> Figure:
    """Asymptotic and simulated squared error against k."""
    models, simulated = data["models"], columns(data["simulated"])
    figure, (above, below) = new_figure(2, 1, width=5.0, height=6.6)
    line(above, simulated["k"], simulated["predicted"], 0, "predicted: tr Γ$_k$")
    bars = (simulated["measured"] - 2 * simulated["error"], simulated["measured"] + 2 * simulated["error"])
    learned = f"measured by repeated learning, n = {data['samples']} (bars: 2 s.e.)"
    marks(above, simulated["k"], simulated["measured"], 1, learned, interval=bars)
    above.axhline(models[0]["optimum"], linestyle=":", color="black", label="maximum likelihood")
    above.set(ylabel=r"n E$|\hat\theta - \theta^*|^2$", title="first model")
    for index, model in enumerate(models[:6]):
        marks(below, simulated["k"], np.array(model["trace"]) / model["optimum"], index, hollow=index % 2 == 1)
    below.axhline(1.0, linestyle=":", color="black")
    below.set(ylabel="tr Γ$_k$ over its optimum", title=f"{len(models[:6])} models")
    for axes in (above, below):
        axes.set(xlabel="masked sites k", xticks=simulated["k"])
    above.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    first = [model["trace"][0] / model["optimum"] for model in models]
    headline(
        figure,
        f"Masking one site at a time needs {min(first):.2g} to {max(first):.2g} times the data of masking all "
        f"{len(models[0]['trace'])}",
    )
    return figure


def draw_order(data: Mapping[str, Any]) -> Figure:
    """Smallest and largest eigenvalue of the information at k relative to that at k + 1."""
    figure, (axes,) = new_figure(width=5.0, height=4.0)
    shown = data["models"][:6]
    for index, model in enumerate(shown):
        sizes = np.arange(1, len(model["trace"])) + 0.06 * (index - (len(shown) - 1) / 2)
        axes.vlines(sizes, model["least"], model["ratio"], color="0.7")
        marks(axes, sizes, model["ratio"], index, "largest, one marker for each model" if index == 0 else None)
        marks(axes, sizes, model["least"], index, "smallest" if index == 0 else None, hollow=True)
    axes.axhline(1.0, linestyle="--", color="black", label="predicted upper bound")
    axes.set(
        xlabel="masked sites k", ylabel="eigenvalues of $I_{k+1}^{-1} I_k$", xticks=range(1, len(shown[0]["trace"]))
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    largest = max(value for model in data["models"] for value in model["ratio"])
    headline(
        figure,
        f"When one more site is masked no direction may lose information: the largest eigenvalue of "
        f"{len(data['models'])} models is {largest:.6g}",
    )
    return figure


CLAIM = Claim(
    id="C2",
    name="masking-more-is-more-efficient",
    title="Masking more tokens is statistically better, up to maximum likelihood",
    statement=(
        "Let Γ_k = (I_PL)⁻¹ be the asymptotic covariance of the estimator trained with uniformly random masks of k "
        "sites, one for each sequence. Then Γ_{k+1} ⪯ Γ_k in the Loewner order for every k, and Γ_N is the inverse "
        "Fisher information."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 2 (masking more is statistically better)",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "efficiency",
            "Above: squared error of learning times n (markers, measured) and tr Γ_k (line, predicted) against the "
            "number of masked sites. Below: tr Γ_k relative to maximum likelihood (markers) and its limit (dotted).",
            draw_efficiency,
        ),
        FigureSpec(
            "order",
            "Extreme eigenvalues of the information at k relative to that at k + 1 (markers, measured: filled the "
            "largest, open the smallest); the claim is that none exceeds 1 (dashed). Six models at most.",
            draw_order,
        ),
    ),
)
