"""C1: the Hessian of the masked loss is the second moment of its scores, and predicts the error of learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, MARKERS, new_figure, style
from experiments.statistics import chi_squared_deviation, chi_squared_limits, normal_limit
from theory.errors import InvalidInput
from theory.estimation import (
    MaskedData,
    WeightedPseudolikelihood,
    asymptotic_covariance,
    empirical_law,
    expected_conditional_covariance,
    fit,
    loewner_margin,
    population,
    pseudolikelihood_information,
    sample_pairs,
    whitened_family,
)
from theory.estimation.information import MaskCount
from theory.laws import (
    ExponentialFamily,
    IsingLaw,
    JointLaw,
    ising_family,
    ising_on,
    named_graph,
    random_ising,
)
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw, adaptive, bernoulli, k_uniform, uniform_ratio
from theory.parameters import parameter
from theory.states import block_indices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-10
"""Largest difference of two float64 routes to the same matrix of entries of order 1."""

STENCIL = 0.005
STENCIL_ERROR = 1e-6
"""Step of the fourth-order second difference, and more than its error for curvatures of order 1."""

FALSE_ALARM = 1e-4
"""Probability that one statistical check fails although the estimator has the predicted law."""

REGIME = 0.05
"""Largest tr Γ / n, the squared error of learning in squared log-odds, at which n counts as large: the squared error
then differs from its limit by a fraction of about that size."""


MISFIT_SETS = 400
"""Data sets for that fit, enough to tell the two covariances apart."""

MISFIT = 0.3
"""Coupling of the ferromagnet that independent spins are fitted to; their covariance is wrong by a factor above 2."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N of the random Ising models of the exact checks", full=6, minimum=2, maximum=8)
    scale: float = parameter(0.4, "standard deviation of their fields and couplings", minimum=0.0, maximum=1.5)
    instances: int = parameter(3, "random Ising models of the exact checks", full=10, minimum=1)
    directions: int = parameter(5, "random directions of the finite differences", full=10, minimum=1)
    learned_sites: int = parameter(
        4, "sites of the Ising model that is learned repeatedly", full=5, minimum=2, maximum=6
    )
    masked: int = parameter(1, "sites k that a mask hides from the repeated learner", minimum=1)
    masks_per_sample: int = parameter(3, "masks m for each sequence in the sandwich case", minimum=2)
    samples: tuple[int, ...] = parameter((1000, 20_000), "sequences n", full=(500, 2000, 8000, 32_000), minimum=10)
    repetitions: int = parameter(200, "data sets for each n", full=500, minimum=20)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if parameters.masked > parameters.learned_sites:
        raise InvalidInput("masked", parameters.masked, f"must lie in 1..{parameters.learned_sites} (learned_sites)")
    exact = _exact(parameters, seed, progress)
    learned = _learned(parameters, seed, progress)
    misspecified = _misspecified(parameters, seed)
    last = [case for case in learned if case["samples"] == max(parameters.samples)]
    count = f"{len(exact['mask'])} pairs of a model and a mask law"
    checks = [
        Check.equal(
            "Hessian of L against E[s sᵀ]", exact["hessian_error"], 0.0, ROUNDING, f"largest entry; {count}"
        ).by_algebra(),
        Check.equal(
            "curvature of L by finite differences against vᵀ E[s sᵀ] v",
            exact["curvature"],
            exact["quadratic_form"],
            STENCIL_ERROR,
            "random directions v; the loss is read from tables of conditionals",
        ),
        Check.equal(
            "E[s sᵀ] against E_K E[Cov(T | x_-K)]", exact["covariance_error"], 0.0, ROUNDING, "law of total covariance"
        ).by_algebra(),
        *_misspecified_checks(misspecified),
        Check.at_least(
            "more masks per sequence never hurt, smallest eigenvalue of the difference",
            exact["loewner"],
            0.0,
            ROUNDING,
            "(Γ_m - Γ_m') / tr Γ_m for m, m' = 1, 2, 4, all in turn; coordinates of unit Fisher information",
        ),
    ]
    checks += [_squared_error_check(case, parameters.repetitions) for case in last]
    decided = [case for case in last if not _undecided(case)]
    if decided:
        deviations = np.array([case["deviation"] for case in decided])
        # A relative change of a variance by e moves its standardised value by about e sqrt(R / 2).
        allowance = np.array([[case["second_order"]] for case in decided]) * np.sqrt(parameters.repetitions / 2)
        checks.append(
            Check.at_most(
                "n Var of each parameter against Γ, standardised deviation",
                np.abs(deviations),
                normal_limit(FALSE_ALARM / (2 * deviations.size)),
                allowance,
                f"{deviations.size} variances, false-alarm rate {FALSE_ALARM:g} in all (Bonferroni)",
            )
        )
    columns = ["training", "n", "fits at infinity", "whitened squared error", "lower", "upper", "tr(n Cov)", "tr Γ"]
    names = ("name", "samples", "infinite", "ratio", "ratio_low", "ratio_high")
    rows = [[*(c[name] for name in names), sum(c["measured"]), sum(c["predicted"])] for c in learned]
    takeaway = (
        f"At n = {max(parameters.samples)} the squared error of {len(last)} ways to train is "
        f"{min(case['ratio'] for case in last):.3f} to {max(case['ratio'] for case in last):.3f} of what Γ predicts; "
        f"every mask instead of one for each sequence shrinks tr Γ from {sum(last[0]['predicted']):.3g} to "
        f"{sum(last[2]['predicted']):.3g}."
    )
    return Findings(
        checks, Table(columns, rows), {"exact": exact, "learned": learned, "misspecified": misspecified}, takeaway
    )


def _undecided(case: Mapping[str, Any]) -> bool:
    """Whether n is too small to compare learning with its limit."""
    return bool(case["infinite"] > 0 or case["second_order"] > REGIME)


def _squared_error_check(case: Mapping[str, Any], repetitions: int) -> Check:
    name = f"mean squared whitened error, {case['name']}"
    if _undecided(case):
        reason = (
            f"n = {case['samples']} is too small for the limit: tr Γ / n = {case['second_order']:.3g} (at most "
            f"{REGIME:g} is needed) and {case['infinite']} of {repetitions} fits have no finite optimum; raise samples"
        )
        return Check(name, Verdict.INCONCLUSIVE, 0.0, case["ratio"], 1.0, "in", 0.0, reason)
    return Check.interval_contains(
        name,
        (case["ratio_low"] - case["second_order"], case["ratio_high"] + case["second_order"]),
        1.0,
        f"n = {case['samples']}, {repetitions} data sets; chi-squared interval, false-alarm rate {FALSE_ALARM:g}; "
        f"terms of order 1/n are allowed tr Γ / n = {case['second_order']:.2g}",
    )


def attracted(sites: int, size: int) -> AdaptiveMaskLaw:
    """Adaptive masks of ``size`` sites: P(K | x) grows with the number of spins +1 under the mask."""

    def weight(x: NDArray[np.int64], mask: Mask) -> Array:
        return np.asarray(0.25 + x[:, list(mask)].sum(axis=1), dtype=np.float64)

    return adaptive(sites, 2, k_uniform(sites, size).masks, weight, f"adaptive, k = {size}")


def _exact(parameters: Parameters, seed: int, progress: Progress) -> dict[str, list[Any]]:
    sites = parameters.sites
    laws: list[MaskLaw | AdaptiveMaskLaw] = [k_uniform(sites, k) for k in range(1, sites + 1)]
    laws += [bernoulli(sites, 0.3), uniform_ratio(sites), attracted(sites, 1), attracted(sites, 2)]
    names = ("mask", "hessian_error", "covariance_error", "curvature", "quadratic_form", "loewner")
    result: dict[str, list[Any]] = {name: [] for name in names}
    for instance in range(parameters.instances):
        generator = np.random.default_rng([seed, 1, instance])
        model = random_ising(sites, generator, parameters.scale)
        family, theta = model.family, model.theta
        whitened, zero = whitened_family(model), np.zeros(family.parameters)
        for number, masks in enumerate(laws):
            done = (instance + number / len(laws)) / parameters.instances
            progress(0.3 * done, f"information matrices, {masks.name}")
            information = pseudolikelihood_information(family, theta, masks)
            hessian = WeightedPseudolikelihood(family, population(model, masks)).hessian(theta)
            covariance = expected_conditional_covariance(family, theta, masks)
            directions = generator.normal(size=(parameters.directions, family.parameters))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            gammas = [asymptotic_covariance(whitened, zero, masks, m) for m in (1, 2, 4, "all")]
            result["mask"].append(masks.name)
            result["hessian_error"].append(float(np.abs(hessian - information).max()))
            result["covariance_error"].append(float(np.abs(covariance - information).max()))
            result["curvature"].append([_curvature(model, masks, v) for v in directions])
            result["quadratic_form"].append([float(v @ information @ v) for v in directions])
            result["loewner"].append([loewner_margin(a, b) / float(np.trace(a)) for a, b in pairwise(gammas)])
    return result


def _curvature(model: IsingLaw, masks: MaskLaw | AdaptiveMaskLaw, direction: Array) -> float:
    """Second derivative of L along a direction at the truth, by a fourth-order central difference."""
    values = [_loss(model, model.family.law(model.theta + step * STENCIL * direction), masks) for step in range(-2, 3)]
    return float(np.dot([-1, 16, -30, 16, -1], values)) / (12 * STENCIL**2)


def _loss(truth: JointLaw, law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> float:
    """E[-ln p_theta(x_K | x_{-K}, K)], from tables: the mask-aware conditional is that of p_theta(x) P(K | x)."""
    total = 0.0
    for mask, chance in zip(masks.masks, masks.probabilities, strict=True):
        aware = JointLaw.from_weights((law.probabilities * chance).reshape(law.table.shape)).conditional(mask)
        weights = (truth.probabilities * chance)[block_indices(law.sites, law.symbols, mask)]
        seen = weights > 0
        total -= float(weights[seen] @ np.log(aware[seen]))
    return total


def _learned(parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Repeated learning with one mask, several masks and all masks for each sequence, and with adaptive masks."""
    model = random_ising(parameters.learned_sites, np.random.default_rng([seed, 2]), parameters.scale)
    plain = k_uniform(parameters.learned_sites, parameters.masked)
    aware = attracted(parameters.learned_sites, parameters.masked)
    trainings: list[tuple[str, MaskLaw | AdaptiveMaskLaw, MaskCount]] = [
        ("one mask", plain, 1),
        (f"{parameters.masks_per_sample} masks", plain, parameters.masks_per_sample),
        ("all masks", plain, "all"),
        ("one adaptive mask", aware, 1),
    ]
    result = []
    cases = [(training, samples) for training in trainings for samples in sorted(parameters.samples)]
    for done, ((name, masks, per_sample), samples) in enumerate(cases):
        progress(0.3 + 0.7 * done / len(cases), f"repeated learning, {name}, n = {samples}")
        gamma = asymptotic_covariance(model.family, model.theta, masks, per_sample)
        generator = np.random.default_rng([seed, 3, done])
        estimates = [
            fit(model.family, _draw(model, masks, per_sample, samples, generator), start=model.theta)
            for _ in range(parameters.repetitions)
        ]
        finite = [estimate.theta for estimate in estimates if estimate.converged]
        reached = np.array(finite) if finite else np.full((1, len(gamma)), np.nan)
        errors = np.sqrt(samples) * (reached - model.theta)
        infinite = len(estimates) - len(finite)
        result.append({"name": name, "samples": samples, "infinite": infinite, **_compare(errors, gamma, samples)})
    return result


def _misspecified(parameters: Parameters, seed: int) -> dict[str, Any]:
    """Independent spins fitted to a ferromagnet: the Hessian H and V = E[s sᵀ] differ, and n Cov is H⁻¹ V H⁻¹.

    Both are compared along the direction in which V exceeds H most. Every site is masked, so that the loss is the
    likelihood and the estimator that of the fields, artanh of the mean spins.
    """
    sites, samples = parameters.learned_sites, max(parameters.samples)
    law = ising_on(named_graph("complete", sites), MISFIT, 0.1)
    family = ExponentialFamily(sites, 2, ising_family(sites).statistics[:, :sites], name="independent spins")
    masks = k_uniform(sites, sites)
    spins = family.statistics
    means = law.probabilities @ spins
    hessian = WeightedPseudolikelihood(family, population(law, masks)).hessian(np.arctanh(means))
    scores = spins - means
    outer = scores.T * law.probabilities @ scores
    values, vectors = eigh(outer, hessian)
    direction = vectors[:, -1]  # H v, on which n Var of the estimator is vᵀ V v by the sandwich, vᵀ H v by the equality
    generator = np.random.default_rng([seed, 4])
    errors = []
    for _ in range(MISFIT_SETS):
        observed = law.sample(samples, generator)
        estimate = fit(family, population(empirical_law(observed, 2), masks), start=np.arctanh(means))
        errors.append(float(direction @ hessian @ (estimate.theta - np.arctanh(means))))
    variance = samples * float(np.mean(np.square(errors)))
    below, above = chi_squared_limits(MISFIT_SETS, FALSE_ALARM / 2)
    return {
        "samples": samples,
        "excess": float(values[-1]),
        "low": variance * MISFIT_SETS / above,
        "high": variance * MISFIT_SETS / below,
    }


def _misspecified_checks(found: Mapping[str, Any]) -> list[Check]:
    detail = (
        f"independent spins fitted to a ferromagnet, n = {found['samples']}, {MISFIT_SETS} data sets; "
        f"chi-squared interval, false-alarm rate {FALSE_ALARM:g}; in units of vᵀ H v"
    )
    return [
        Check.interval_contains(
            "a family that lacks the truth: n Var along the worst direction against the sandwich H⁻¹ V H⁻¹",
            (found["low"], found["high"]),
            found["excess"],
            detail,
        ),
        Check.interval_at_most(
            "there the equality fails: the inverse Hessian alone is rejected as covariance",
            (-found["high"], -found["low"]),
            -1.0,
            detail,
        ),
    ]


def _draw(
    model: IsingLaw,
    masks: MaskLaw | AdaptiveMaskLaw,
    per_sample: MaskCount,
    samples: int,
    generator: np.random.Generator,
) -> MaskedData:
    if per_sample == "all":
        return population(empirical_law(model.sample(samples, generator), 2), masks)
    return sample_pairs(model, masks, samples, generator, per_sample)


def _compare(errors: Array, gamma: Array, samples: int) -> dict[str, Any]:
    """Measured second moments about the truth [R, d] against the predicted covariance."""
    repetitions, parameters = errors.shape
    freedom = repetitions * parameters
    ratio = float((errors @ np.linalg.inv(gamma) * errors).sum()) / freedom
    measured = (errors**2).mean(axis=0)
    # Each squared error over its prediction, summed over data sets, is chi-squared with R degrees of freedom.
    sums = repetitions * measured / np.diagonal(gamma)
    below, above = chi_squared_limits(repetitions, 0.025)
    low, high = repetitions / above, repetitions / below
    lowest, highest = chi_squared_limits(freedom, FALSE_ALARM / 2)
    return {
        "second_order": float(np.trace(gamma)) / samples,
        "ratio": ratio,
        "ratio_low": ratio * freedom / highest,
        "ratio_high": ratio * freedom / lowest,
        "measured": measured.tolist(),
        "measured_low": (measured * low).tolist(),
        "measured_high": (measured * high).tolist(),
        "predicted": np.diagonal(gamma).tolist(),
        "deviation": chi_squared_deviation(sums, repetitions).tolist(),
    }


def draw_curvature(data: Mapping[str, Any]) -> Figure:
    """Curvature of the loss against the second moment of the scores."""
    exact = data["exact"]
    with style():
        figure, (axes,) = new_figure(width=5.2, height=4.0)
        names = list(dict.fromkeys(exact["mask"]))
        for index, name in enumerate(names):
            rows = [i for i, mask in enumerate(exact["mask"]) if mask == name]
            axes.plot(
                [value for i in rows for value in exact["quadratic_form"][i]],
                [value for i in rows for value in exact["curvature"][i]],
                MARKERS[index % 8],
                color=COLOURS[index % 8],
                fillstyle="none" if index >= 8 else "full",
                label=name,
            )
        _diagonal(axes, [value for row in exact["quadratic_form"] for value in row])
        axes.set(
            xlabel="predicted: $v^T E[s s^T] v$ (nats)",
            ylabel="measured: curvature of $L$ along $v$ (nats)",
            title="information-matrix equality",
        )
        axes.legend(ncols=2)
    return figure


def draw_variances(data: Mapping[str, Any]) -> Figure:
    """n Var of every parameter against the prediction, at the largest n."""
    largest = max(case["samples"] for case in data["learned"])
    cases = [case for case in data["learned"] if case["samples"] == largest]
    with style():
        figure, (axes,) = new_figure(width=5.2, height=4.0)
        for index, case in enumerate(cases):
            measured, low, high = (np.array(case[key]) for key in ("measured", "measured_low", "measured_high"))
            axes.errorbar(
                case["predicted"],
                measured,
                yerr=[measured - low, high - measured],
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=2,
                linewidth=0.8,
                label=case["name"],
            )
        _diagonal(axes, [value for case in cases for value in case["predicted"]])
        axes.set(
            xlabel="predicted: diagonal of Γ",
            ylabel="measured: $n$ Var (bars: 95%)",
            title=f"error of learning, n = {largest}",
        )
        axes.legend()
    return figure


def draw_convergence(data: Mapping[str, Any]) -> Figure:
    """Mean squared whitened error against n."""
    with style():
        figure, (axes,) = new_figure(width=5.2, height=3.6)
        for index, name in enumerate(dict.fromkeys(case["name"] for case in data["learned"])):
            cases = [case for case in data["learned"] if case["name"] == name and not case["infinite"]]
            ratio, low, high = (np.array([case[key] for case in cases]) for key in ("ratio", "ratio_low", "ratio_high"))
            # Side by side, so that the bars of the four trainings can be told apart.
            samples = np.array([case["samples"] for case in cases]) * 1.06 ** (index - 1.5)
            axes.errorbar(
                samples,
                ratio,
                yerr=[ratio - low, high - ratio],
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=2,
                label=f"measured, {name}",
            )
        axes.axhline(1.0, color="black", linestyle="--", label="predicted in the limit")
        axes.set(
            xlabel="sequences n", ylabel="squared error / prediction, per parameter", title="convergence to the limit"
        )
        axes.set_xscale("log")
        drawn = [case["samples"] for case in data["learned"]]
        axes.set_xlim(min(drawn) / 1.5, max(drawn) * 1.5)
        axes.legend()
    return figure


def _diagonal(axes: Any, values: Sequence[float]) -> None:
    ends = [min(values), max(values)]
    axes.plot(ends, ends, "--", color="black", label="predicted = measured")


CLAIM = Claim(
    id="C1",
    name="information-matrix-equality",
    title="The curvature of the masked loss is the second moment of its scores, and predicts the error of learning",
    statement=(
        "For p = p_θ* the Hessian of L(θ) = E_x E_K[−ln p_θ(x_K | x_−K)] at θ* equals I_PL = E[s sᵀ], "
        "s = ∇ ln p_θ*(x_K | x_−K); for an exponential family I_PL = E_K E[Cov(T | x_−K)]. Hence √n(θ̂ − θ*) → "
        "N(0, I_PL⁻¹) with one mask per sequence, and with m masks the covariance is I_PL⁻¹ [Cov_x(E_K s) + (1/m) E_x "
        "Cov_K(s)] I_PL⁻¹ ⪯ I_PL⁻¹. The same holds for adaptive masks P(K | x) with the K-aware conditional "
        "p_θ(x_K | x_−K, K) ∝ p_θ(x) P(K | x)."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 2 (generalised information-matrix equality; adaptive masking)",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "curvature",
            "Curvature of the loss along random directions by finite differences (measured) against the second moment "
            "of the scores (predicted), for every mask law; the dashed line is equality.",
            draw_curvature,
        ),
        FigureSpec(
            "variances",
            "n times the variance of each learned parameter over repeated data sets (measured, 95% bars) against the "
            "diagonal of the predicted covariance; the dashed line is equality.",
            draw_variances,
        ),
        FigureSpec(
            "convergence",
            "Squared error of learning in units of its predicted covariance, per parameter (measured, bars at a "
            f"false-alarm rate of {FALSE_ALARM:g}), against the number of sequences; the limit is predicted to be 1.",
            draw_convergence,
        ),
    ),
)
