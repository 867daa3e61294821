"""C2: hiding more tokens at a time never makes the masked loss a worse estimator; hiding all is maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.statistics import chi_squared_deviation, normal_limit, quadratic_form_freedom
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

FALSE_ALARM = 1e-4
"""Probability that the simulation check fails although the predicted covariances are right."""

REGIME = 0.05
"""Largest tr Γ / n, the squared error of learning in squared log-odds, at which n counts as large: the squared error
then differs from its limit by a fraction of about that size."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(6, "sites N of the random Ising models; N (N + 1) / 2 parameters", minimum=2, maximum=9)
    scale: float = parameter(0.4, "standard deviation of fields and couplings", minimum=0.0, maximum=1.5)
    instances: int = parameter(4, "random Ising models", full=20, minimum=1)
    samples: int = parameter(100_000, "pairs (x, K) in each simulated data set", full=1_000_000, minimum=100)
    repetitions: int = parameter(100, "simulated data sets for each k, first model only", full=400, minimum=20)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    exact = _exact(parameters, seed, progress)
    simulated = _simulated(parameters, seed, progress)
    steps = f"{parameters.instances} models, k = 1..{parameters.sites}"
    checks = [
        Check.at_least(
            "Γ_k - Γ_(k+1), smallest eigenvalue over tr Γ_k",
            exact["margin"],
            0.0,
            ROUNDING,
            f"{steps}; covariances from the scores of every pair, in coordinates in which the Fisher information is 1",
        ),
        Check.at_most(
            "largest ratio of information I_k against I_(k+1)",
            exact["ratio"],
            1.0,
            ROUNDING,
            "largest generalised eigenvalue; information from the Hessian of the loss",
        ),
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
    columns = ["model", "k", "tr Γ_k", "over the optimum", "n E|error|² simulated"]
    rows = [
        [instance, k + 1, trace, trace / traces[-1], simulated["measured"][k] if instance == 0 else None]
        for instance, traces in enumerate(exact["trace"])
        for k, trace in enumerate(traces)
    ]
    data = {"exact": exact, "simulated": simulated, "samples": parameters.samples}
    traces = exact["trace"][0]
    takeaway = (
        f"Masking {parameters.sites} of {parameters.sites} sites instead of 1 needs {traces[0] / traces[-1]:.2g} times "
        f"less data on the first model (tr Γ {traces[0]:.4g} against {traces[-1]:.4g}); masking half of them already "
        f"{traces[0] / traces[(parameters.sites - 1) // 2]:.2g} times less."
    )
    return Findings(checks, Table(columns, rows), data, takeaway)


def _exact(parameters: Parameters, seed: int, progress: Progress) -> dict[str, list[Any]]:
    names = ("trace", "optimum", "margin", "ratio", "efficiency", "independent", "independent_formula")
    result: dict[str, list[Any]] = {name: [] for name in names}
    sizes = range(1, parameters.sites + 1)
    for instance in range(parameters.instances):
        progress(0.5 * instance / parameters.instances, f"covariances of model {instance + 1}")
        model = _model(parameters, seed, instance)
        laws = [k_uniform(parameters.sites, k) for k in sizes]
        gammas = [asymptotic_covariance(model.family, model.theta, masks) for masks in laws]
        result["trace"].append([float(np.trace(gamma)) for gamma in gammas])
        result["optimum"].append(float(np.trace(np.linalg.inv(model.family.fisher_information(model.theta)))))
        # The order does not depend on coordinates; in whitened ones the Fisher information is the identity.
        family = whitened_family(model)
        zero = np.zeros(family.parameters)
        whitened = [asymptotic_covariance(family, zero, masks) for masks in laws]
        hessians = [WeightedPseudolikelihood(family, population(model, masks)).hessian(zero) for masks in laws]
        result["margin"].append([loewner_margin(a, b) / float(np.trace(a)) for a, b in pairwise(whitened)])
        result["ratio"].append([float(eigh(a, b, eigvals_only=True)[-1]) for a, b in pairwise(hessians)])
        result["efficiency"].append(np.linalg.eigvalsh(whitened[-1]).tolist())
        statistics = ising_family(parameters.sites).statistics[:, : parameters.sites]
        spins = ExponentialFamily(parameters.sites, 2, statistics, name="independent spins")
        fields = model.fields
        for k in sizes:
            gamma = asymptotic_covariance(spins, fields, k_uniform(parameters.sites, k))
            result["independent"].append(float(np.trace(gamma)))
            result["independent_formula"].append(float(parameters.sites / k * (np.cosh(fields) ** 2).sum()))
    return result


def _model(parameters: Parameters, seed: int, instance: int) -> IsingLaw:
    return random_ising(parameters.sites, np.random.default_rng([seed, 1, instance]), parameters.scale)


def _simulated(parameters: Parameters, seed: int, progress: Progress) -> dict[str, list[Any]]:
    """n E |theta_hat - theta*|^2 of the first model by repeated learning, for every k."""
    model = _model(parameters, seed, 0)
    result: dict[str, list[Any]] = {name: [] for name in ("k", "measured", "error", "predicted", "freedom", "infinite")}
    for k in range(1, parameters.sites + 1):
        progress(0.5 + 0.5 * (k - 1) / parameters.sites, f"repeated learning, k = {k}")
        masks, generator = k_uniform(parameters.sites, k), np.random.default_rng([seed, 2, k])
        squares = []
        for _ in range(parameters.repetitions):
            data = from_counts(sample_counts(model, masks, parameters.samples, generator), masks, 2)
            estimate = fit(model.family, data, start=model.theta)
            if estimate.converged:
                squares.append(parameters.samples * float(((estimate.theta - model.theta) ** 2).sum()))
        gamma = asymptotic_covariance(model.family, model.theta, masks)
        result["k"].append(k)
        result["measured"].append(float(np.mean(squares)) if squares else float("nan"))
        # The variance of |z|^2 for z ~ N(0, Gamma) is 2 tr Gamma^2.
        result["error"].append(float(np.sqrt(2 * np.trace(gamma @ gamma) / max(len(squares), 1))))
        result["predicted"].append(float(np.trace(gamma)))
        result["freedom"].append(max(len(squares), 1) * quadratic_form_freedom(gamma))
        result["infinite"].append(parameters.repetitions - len(squares))
    return result


def _simulation_check(simulated: Mapping[str, Any], parameters: Parameters) -> Check:
    name = "n E|θ̂ - θ*|² against tr Γ_k, in standard errors"
    measured, predicted, freedom = (np.array(simulated[key]) for key in ("measured", "predicted", "freedom"))
    deviation = np.abs(chi_squared_deviation(freedom * measured / predicted, freedom))
    limit = normal_limit(FALSE_ALARM / (2 * len(deviation)))
    second_order = predicted / parameters.samples
    if any(simulated["infinite"]) or second_order.max() > REGIME:
        reason = (
            f"n = {parameters.samples} is too small for the limit: tr Γ / n is up to {second_order.max():.3g} (at most "
            f"{REGIME:g} is needed) and {sum(simulated['infinite'])} fits have no finite optimum; raise samples"
        )
        return Check(name, Verdict.INCONCLUSIVE, 0.0, float(deviation.max()), limit, "<=", 0.0, reason)
    detail = (
        f"n = {parameters.samples}, {parameters.repetitions} data sets for each k; false-alarm rate {FALSE_ALARM:g} "
        "(Satterthwaite's approximation of a mean of quadratic forms); terms of order 1/n are allowed tr Γ / n of tr Γ"
    )
    return Check.at_most(name, deviation, limit, second_order * np.sqrt(freedom / 2), detail)


def draw_efficiency(data: Mapping[str, Any]) -> Figure:
    """Asymptotic and simulated squared error against k."""
    exact, simulated = data["exact"], data["simulated"]
    sizes = np.arange(1, len(exact["trace"][0]) + 1)
    with style():
        figure, (left, right) = new_figure(1, 2)
        left.plot(sizes, simulated["predicted"], "-", color=COLOURS[0], label="predicted: tr Γ$_k$")
        left.errorbar(
            simulated["k"],
            simulated["measured"],
            yerr=2 * np.array(simulated["error"]),
            fmt=MARKERS[1],
            color=COLOURS[1],
            capsize=2,
            label=f"measured by repeated learning, n = {data['samples']}",
        )
        left.axhline(exact["optimum"][0], linestyle=":", color="black", label="maximum likelihood")
        left.set(ylabel="n E$|\\hat\\theta - \\theta^*|^2$ (bars: 2 s.e.)", title="first model")
        for index, (trace, optimum) in enumerate(zip(exact["trace"], exact["optimum"], strict=True)):
            right.plot(
                sizes,
                np.array(trace) / optimum,
                color=COLOURS[index % 8],
                linestyle=DASHES[index % 8],
                marker=MARKERS[index % 8],
            )
        right.axhline(1.0, linestyle=":", color="black", label="predicted at k = N, and the least possible")
        right.set(ylabel="tr Γ$_k$ over its optimum", title=f"{len(exact['trace'])} models")
        for axes in (left, right):
            axes.set_xlabel("masked sites k")
            axes.set_xticks(sizes)
            axes.legend()
    return figure


def draw_order(data: Mapping[str, Any]) -> Figure:
    """Smallest and largest eigenvalue of the change from k to k + 1."""
    exact = data["exact"]
    with style():
        figure, (axes,) = new_figure(width=5.2, height=3.6)
        sizes = np.arange(1, len(exact["trace"][0]))
        for index, ratio in enumerate(exact["ratio"]):
            axes.plot(
                sizes,
                ratio,
                MARKERS[index % 8],
                color=COLOURS[index % 8],
                label="measured, one marker for each model" if index == 0 else None,
            )
        axes.axhline(1.0, linestyle="--", color="black", label="predicted upper bound")
        axes.set(
            xlabel="masked sites k",
            ylabel="largest eigenvalue of $I_{k+1}^{-1} I_k$",
            title="information in every direction grows with k",
        )
        axes.set_xticks(sizes)
        axes.legend()
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
            "Left: squared error of learning times n (markers, measured) and tr Γ_k (line, predicted) against the "
            "number of masked sites. Right: tr Γ_k relative to maximum likelihood (markers) and its limit (dotted).",
            draw_efficiency,
        ),
        FigureSpec(
            "order",
            "Largest eigenvalue of the information at k relative to that at k + 1 (markers, measured); the claim is "
            "that none exceeds 1 (dashed).",
            draw_order,
        ),
    ),
)
