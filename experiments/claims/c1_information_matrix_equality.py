"""C1: the Hessian of the masked loss is the second moment of its scores, and predicts the error of learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading, select
from experiments.claims import c1_exact as exact
from experiments.claims import c1_misfit as misfit
from experiments.estimation.limit import FALSE_ALARM, too_small
from experiments.figures import headline, marks, new_figure
from experiments.statistics import chi_squared_deviation, chi_squared_limits, chi_squared_power, normal_limit
from theory.errors import InvalidInput
from theory.estimation import MaskedData, asymptotic_covariance, empirical_law, fit, population, sample_pairs
from theory.estimation.information import MaskCount
from theory.laws import IsingLaw, random_ising
from theory.masks import AdaptiveMaskLaw, MaskLaw, k_uniform
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


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


@dataclass(frozen=True)
class Learned:
    """Measured second moments about the truth against the predicted covariance, of one way to train."""

    second_order: float
    measured: list[float]
    measured_low: list[float]
    measured_high: list[float]
    predicted: list[float]
    deviation: list[float]
    name: str = heading("training")
    samples: int = heading("n")
    infinite: int = heading("fits at infinity")
    ratio: float = heading("whitened squared error")
    ratio_low: float = heading("lower")
    ratio_high: float = heading("upper")
    total: float = heading("tr(n Cov)")
    trace: float = heading("tr Γ")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if parameters.masked > parameters.learned_sites:
        raise InvalidInput("masked", parameters.masked, f"must lie in 1..{parameters.learned_sites} (learned_sites)")
    instances = exact.measure(parameters, seed, progress)
    learned = _learned(parameters, seed, progress)
    misspecified = misfit.measure(parameters, seed)
    last = [case for case in learned if case.samples == max(parameters.samples)]
    *equalities, more_masks = exact.checks(instances)
    checks = [*equalities, *misfit.checks(misspecified), more_masks]
    checks += [_squared_error_check(case, parameters.repetitions) for case in last]
    decided = [case for case in last if not _undecided(case, parameters.repetitions)]
    if decided:
        deviations = np.array([case.deviation for case in decided])
        # A relative change of a variance by e moves its standardised value by about e sqrt(R / 2).
        allowance = np.array([[case.second_order] for case in decided]) * np.sqrt(parameters.repetitions / 2)
        tail = FALSE_ALARM / (2 * deviations.size)
        seen = chi_squared_power(parameters.repetitions, tail, 2.0, max(case.second_order for case in decided))
        checks.append(
            Check.at_most(
                "n Var of each parameter against Γ, standardised deviation",
                np.abs(deviations),
                normal_limit(tail),
                allowance,
                f"{deviations.size} variances, false-alarm rate {FALSE_ALARM:g} in all (Bonferroni)",
            ).against("a single variance that is twice that", seen)
        )
    takeaway = (
        f"At n = {max(parameters.samples)} the squared error of {len(last)} ways to train is "
        f"{min(case.ratio for case in last):.3f} to {max(case.ratio for case in last):.3f} of what Γ predicts; "
        f"every mask instead of one for each sequence shrinks tr Γ from {last[0].trace:.3g} to "
        f"{last[2].trace:.3g}."
    )
    data = {"exact": instances, "learned": learned, "misspecified": misspecified}
    return Findings(checks, Table.of(learned), data, takeaway)


def _undecided(case: Learned, repetitions: int) -> str:
    """Why n is too small to compare learning with its limit, or nothing."""
    return too_small(case.samples, case.second_order, case.infinite, repetitions)


def _squared_error_check(case: Learned, repetitions: int) -> Check:
    name = f"mean squared whitened error, {case.name}"
    reason = _undecided(case, repetitions)
    if reason:
        return Check(name, Verdict.INCONCLUSIVE, 0.0, case.ratio, 1.0, "in", 0.0, reason)
    power = chi_squared_power(repetitions * len(case.predicted), FALSE_ALARM / 2, 1.25, case.second_order)
    return Check.interval_contains(
        name,
        (case.ratio_low - case.second_order, case.ratio_high + case.second_order),
        1.0,
        f"n = {case.samples}, {repetitions} data sets; chi-squared interval, false-alarm rate {FALSE_ALARM:g}; "
        f"terms of order 1/n are allowed tr Γ / n = {case.second_order:.2g}",
    ).against("a covariance of 1.25 Γ", power)


def _learned(parameters: Parameters, seed: int, progress: Progress) -> list[Learned]:
    """Repeated learning with one mask, several masks and all masks for each sequence, and with adaptive masks."""
    model = random_ising(parameters.learned_sites, np.random.default_rng([seed, 2]), parameters.scale)
    plain = k_uniform(parameters.learned_sites, parameters.masked)
    aware = exact.attracted(parameters.learned_sites, parameters.masked)
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
        result.append(_compare(name, samples, len(estimates) - len(finite), errors, gamma))
    return result


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


def _compare(name: str, samples: int, infinite: int, errors: Array, gamma: Array) -> Learned:
    """``errors`` [R, d]: sqrt(n) times the errors of the finite fits."""
    repetitions, parameters = errors.shape
    freedom = repetitions * parameters
    ratio = float((errors @ np.linalg.inv(gamma) * errors).sum()) / freedom
    measured = (errors**2).mean(axis=0)
    # Each squared error over its prediction, summed over data sets, is chi-squared with R degrees of freedom.
    sums = repetitions * measured / np.diagonal(gamma)
    below, above = chi_squared_limits(repetitions, 0.025)
    low, high = repetitions / above, repetitions / below
    lowest, highest = chi_squared_limits(freedom, FALSE_ALARM / 2)
    return Learned(
        second_order=float(np.trace(gamma)) / samples,
        measured=measured.tolist(),
        measured_low=(measured * low).tolist(),
        measured_high=(measured * high).tolist(),
        predicted=np.diagonal(gamma).tolist(),
        deviation=chi_squared_deviation(sums, repetitions).tolist(),
        name=name,
        samples=samples,
        infinite=infinite,
        ratio=ratio,
        ratio_low=ratio * freedom / highest,
        ratio_high=ratio * freedom / lowest,
        total=sum(measured.tolist()),
        trace=sum(np.diagonal(gamma).tolist()),
    )


def draw_variances(data: Mapping[str, Any]) -> Figure:
    """n Var of every parameter over the prediction, at the largest n."""
    cases = select(data["learned"], samples=max(case["samples"] for case in data["learned"]))
    figure, (axes,) = new_figure(width=5.0, height=4.4)
    for index, case in enumerate(cases):
        predicted = np.array(case["predicted"])
        ratio, low, high = (np.array(case[key]) / predicted for key in ("measured", "measured_low", "measured_high"))
        marks(axes, predicted, ratio, index, case["name"], interval=(low, high))
    axes.axhline(1.0, color="black", linestyle="--", label="predicted")
    axes.set(xlabel="predicted: diagonal of Γ", ylabel="measured $n$ Var / predicted (bars: 95%)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    inside = [
        low <= predicted <= high
        for case in cases
        for low, predicted, high in zip(case["measured_low"], case["predicted"], case["measured_high"], strict=True)
    ]
    headline(
        figure,
        f"At n = {cases[0]['samples']} {sum(inside)} of {len(inside)} variances have what Γ predicts in their 95% "
        "interval",
    )
    return figure


def draw_convergence(data: Mapping[str, Any]) -> Figure:
    """Mean squared whitened error against n."""
    figure, (axes,) = new_figure(width=5.0, height=4.2)
    for index, name in enumerate(dict.fromkeys(case["name"] for case in data["learned"])):
        cases = select(data["learned"], name=name, infinite=0)
        if cases:
            found = columns(cases)
            # Side by side, so that the bars of the four trainings can be told apart.
            samples = found["samples"] * 1.06 ** (index - 1.5)
            marks(axes, samples, found["ratio"], index, name, interval=(found["ratio_low"], found["ratio_high"]))
    axes.axhline(1.0, color="black", linestyle="--", label="predicted in the limit")
    drawn = sorted({case["samples"] for case in data["learned"]})
    axes.set(xlabel="sequences n", ylabel="squared error / prediction, per parameter", xscale="log")
    axes.set_xticks(drawn, [str(n) for n in drawn])
    axes.minorticks_off()
    axes.set_xlim(drawn[0] / 1.5, drawn[-1] * 1.5)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    last = select(data["learned"], samples=drawn[-1])
    headline(
        figure,
        f"At n = {drawn[-1]} the squared error is {min(c['ratio'] for c in last):.2f} to "
        f"{max(c['ratio'] for c in last):.2f} of what Γ predicts",
    )
    return figure


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
            "Curvature of the loss along random directions by finite differences (measured) less the second moment of "
            "the scores (predicted), for every mask law: size of the difference; dashed: error of the stencil.",
            exact.draw,
        ),
        FigureSpec(
            "variances",
            "n times the variance of each learned parameter over repeated data sets (measured, 95% bars), over the "
            "diagonal of the predicted covariance, predicted to be 1 (dashed).",
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
