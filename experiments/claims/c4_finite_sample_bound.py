"""C4: with enough masked pairs the learned law is close to the truth; violations of the bound are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, style
from experiments.statistics import clopper_pearson
from theory.bounds.finite_sample import (
    best_cover_of_box,
    excess_loss_bound,
    observed_loss_bound,
    smallest_conditional,
    smallest_conditional_in_box,
    total_variation_bound,
    uniform_deviation,
)
from theory.bounds.sample_size import asymptotic_total_variation
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance, best_in_class, fit_in_box, from_counts, pair_losses, sample_counts
from theory.inequalities import tensorization_upper_bound
from theory.laws import IsingLaw, JointLaw, ising, random_ising
from theory.masks import MaskLaw, k_uniform
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Learned = tuple[JointLaw, float]
"""A learned law and a certified upper bound on its C_AT."""

CONFIDENCE = 1e-4
"""Probability that any of the Clopper-Pearson intervals of one class misses its violation probability."""

ROUNDING = 1e-9
"""Rounding allowed in comparisons of divergences, in nats; two orders above what fitting in a box leaves over."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(3, "sites N of the Ising models", minimum=2, maximum=5)
    scale: float = parameter(0.3, "standard deviation of fields and couplings of the truth", minimum=0.0, maximum=2.0)
    laws: int = parameter(30, "laws in the finite class; the first is the truth", full=100, minimum=2)
    spread: float = parameter(
        0.08,
        "standard deviation of each parameter's distance from the truth in the finite class",
        minimum=0.0,
        maximum=2.0,
    )
    box: float = parameter(0.3, "half-width of the box of parameters", minimum=0.01, maximum=2.0)
    masked: tuple[int, ...] = parameter((1, 2), "mask sizes k", full=(1, 2, 3), minimum=1)
    samples: tuple[int, ...] = parameter(
        (1000, 10_000, 100_000),
        "masked pairs n",
        full=(100, 1000, 10_000, 100_000, 1_000_000),
        minimum=1,
    )
    delta: float = parameter(0.1, "probability δ with which the bound may fail", minimum=1e-3, maximum=0.9)
    repetitions: int = parameter(150, "data sets for each k and n", full=600, minimum=10)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if max(parameters.masked) > parameters.sites:
        raise InvalidInput("masked", parameters.masked, f"mask sizes must lie in 1..{parameters.sites}")
    cases = []
    plan = [(build, k) for build in (_finite, _box) for k in parameters.masked]
    for done, (build, size) in enumerate(plan):
        at = build(parameters, size, seed)
        for number, samples in enumerate(sorted(parameters.samples)):
            experiment = at(samples)
            part = (done + number / len(parameters.samples)) / len(plan)
            progress(part, f"{experiment.kind} class, k = {size}, n = {samples}")
            cases.append(_repeat(experiment, samples, parameters, np.random.default_rng([seed, 2, done, number])))
    checks = []
    for kind, name in (("finite", "finite class"), ("box", "box of parameters")):
        chosen = [case for case in cases if case["class"] == kind]
        for event, title in (
            ("distance", "total variation"),
            ("observed", "total variation, by the observed loss,"),
            ("excess", "excess loss"),
            ("deviation", "largest one-sided deviation over the class"),
        ):
            if event in chosen[0]["violations"]:
                checks.append(_violation_check(f"{name}: {title} above its bound", chosen, event, parameters))
        worst = [(case["tensorization_slack"], case["pinsker_slack"]) for case in chosen]
        checks.append(
            Check.at_least(
                f"{name}: C_AT (L(θ̂) - L(p)) - KL(p ‖ p_θ̂) for every data set",
                [slack for slack, _ in worst],
                0.0,
                ROUNDING,
                "nats; the certified upper bound on C_AT of the learned law",
            )
        )
        checks.append(
            Check.at_least(
                f"{name}: KL/2 - TV² for every data set", [slack for _, slack in worst], 0.0, ROUNDING, "Pinsker"
            ).by_algebra()
        )
    columns = [
        "class",
        "k",
        "n",
        "β",
        "violations of TV bound",
        "upper end",
        "TV, mean",
        "TV, 95%",
        "TV bound, median",
        "by the observed loss",
    ]
    names = ("class", "masked", "samples", "beta", "count", "upper", "mean", "quantile", "bound", "observed_bound")
    table = Table(columns, [[case[name] for name in names] for case in cases])
    best = max(cases, key=lambda case: case["quantile"] / case["bound"])
    takeaway = (
        f"No more than {max(case['rate'] for case in cases):.1%} of the data sets break the bound, which may fail for "
        f"{parameters.delta:.0%}; it says something in {sum(case['informative']['distance'] for case in cases)} of "
        f"{len(cases)} settings and is loose by a factor of {best['bound'] / best['quantile']:.2g} at its tightest "
        f"({best['class']} class, k = {best['masked']}, n = {best['samples']}), from the observed loss by "
        f"{min(case['observed_bound'] / case['quantile'] for case in cases if case['quantile'] > 0):.2g}."
    )
    return Findings(checks, table, {"cases": cases, "delta": parameters.delta}, takeaway)


@dataclass(frozen=True)
class Experiment:
    """One setting of the theorem.

    Attributes:
        kind: ``"finite"`` or ``"box"``.
        truth, masks: what the pairs are drawn from.
        beta, log_cover_size, epsilon: of the class.
        learn: from counts [M, S] of masks and sequences to the learned law and its C_AT.
        class_losses: loss of every law of a finite class, [laws, M, S], else None.
        asymptotic: lim sqrt(n) E TV of the unrestricted estimator, None for a finite class.
    """

    kind: str
    truth: JointLaw
    masks: MaskLaw
    beta: float
    log_cover_size: float
    epsilon: float
    learn: Callable[[Array], Learned]
    class_losses: Array | None
    asymptotic: float | None


def _finite(parameters: Parameters, size: int, seed: int) -> Callable[[int], Experiment]:
    """The setting with a finite class around the truth, for every n."""
    generator = np.random.default_rng([seed, 1])
    masks = k_uniform(parameters.sites, size)
    truth = random_ising(parameters.sites, generator, parameters.scale)
    steps = parameters.spread * generator.normal(size=(parameters.laws - 1, truth.family.parameters))
    laws = [truth, *(truth.family.law(truth.theta + step) for step in steps)]
    losses = np.array([pair_losses(law, masks) for law in laws])
    beta = smallest_conditional(laws, masks)

    @cache
    def constant(chosen: int) -> float:
        return tensorization_upper_bound(laws[chosen], masks)

    def learn(counts: Array) -> Learned:
        chosen = best_in_class(losses, counts)
        return laws[chosen], constant(chosen)

    return lambda samples: Experiment("finite", truth, masks, beta, log(len(laws)), 0.0, learn, losses, None)


def _box(parameters: Parameters, size: int, seed: int) -> Callable[[int], Experiment]:
    """The setting with a box of parameters around the truth, for every n."""
    truth = _truth_in_box(parameters, seed)
    masks = k_uniform(parameters.sites, size)
    low, high = -parameters.box, parameters.box
    beta = smallest_conditional_in_box(truth.family, low, high, masks)
    covariance = asymptotic_covariance(truth.family, truth.theta, masks)
    asymptotic = asymptotic_total_variation(truth.family, truth.theta, covariance)

    def learn(counts: Array) -> Learned:
        data = from_counts(counts, masks, 2)
        law = truth.family.law(fit_in_box(truth.family, data, low, high))
        return law, tensorization_upper_bound(law, masks)

    def at(samples: int) -> Experiment:
        epsilon, log_cover = best_cover_of_box(truth.family, low, high, samples, beta, parameters.delta)
        return Experiment("box", truth, masks, beta, log_cover, epsilon, learn, None, asymptotic)

    return at


def _truth_in_box(parameters: Parameters, seed: int) -> IsingLaw:
    """An Ising model whose parameters are uniform over the inner half of the box."""
    sites, generator = parameters.sites, np.random.default_rng([seed, 3])
    upper = np.triu(generator.uniform(-1, 1, size=(sites, sites)), 1) * parameters.box / 2
    return ising(upper + upper.T, generator.uniform(-1, 1, size=sites) * parameters.box / 2)


def _repeat(
    experiment: Experiment, samples: int, parameters: Parameters, generator: np.random.Generator
) -> dict[str, Any]:
    """Draw data sets, learn from each, and count how often each bound fails."""
    truth, masks, delta = experiment.truth, experiment.masks, parameters.delta
    joint = masks.probabilities[:, None] * truth.probabilities
    own = float((joint * pair_losses(truth, masks)).sum())
    arguments = (samples, experiment.beta, delta)
    cover = (experiment.log_cover_size, experiment.epsilon)
    excess_bound = excess_loss_bound(*arguments, *cover)
    deviation_bound = uniform_deviation(*arguments, experiment.log_cover_size)
    distances, bounds, observed_bounds, tensorization_slack, pinsker_slack = [], [], [], [], []
    violations = {"distance": 0, "observed": 0, "excess": 0}
    if experiment.class_losses is not None:
        violations["deviation"] = 0
        expected = (experiment.class_losses * joint).sum(axis=(1, 2))
    for _ in range(parameters.repetitions):
        counts = sample_counts(truth, masks, samples, generator)
        law, constant = experiment.learn(counts)
        distance = total_variation(law.probabilities, truth.probabilities)
        divergence = kullback_leibler(truth.probabilities, law.probabilities)
        losses = pair_losses(law, masks)
        excess = float((joint * losses).sum()) - own
        surplus = float((losses * counts).sum()) / samples - _conditional_entropy(counts, truth, masks)
        observed_bound = observed_loss_bound(samples, 1, truth.states, surplus, *arguments[1:], constant, *cover)
        bound = total_variation_bound(samples, experiment.beta, delta, constant, *cover)
        distances.append(distance)
        bounds.append(bound)
        observed_bounds.append(observed_bound)
        tensorization_slack.append(constant * excess - divergence)
        pinsker_slack.append(divergence / 2 - distance**2)
        violations["distance"] += distance > bound
        violations["observed"] += distance > observed_bound
        violations["excess"] += excess > excess_bound
        if experiment.class_losses is not None:
            empirical = (experiment.class_losses * counts).sum(axis=(1, 2)) / samples
            # The events of the proof: L <= L_n + t over the class, and L_n(p) <= L(p) + t for the truth.
            worst = max(float((expected - empirical).max()), float(empirical[0] - expected[0]))
            violations["deviation"] += worst > deviation_bound
    lower, upper = _interval(violations["distance"], parameters)
    return {
        "class": experiment.kind,
        "masked": masks.uniform_size,
        "samples": samples,
        "beta": experiment.beta,
        "violations": violations,
        "count": violations["distance"],
        "rate": violations["distance"] / parameters.repetitions,
        "lower": lower,
        "upper": upper,
        "mean": float(np.mean(distances)),
        "quantile": float(np.quantile(distances, 0.95)),
        "bound": float(np.median(bounds)),
        "observed_bound": float(np.median(observed_bounds)),
        # Below the largest value that the quantity can have whatever is true: 1, or the range of the loss.
        "informative": {
            "distance": float(np.median(bounds)) < 1,
            "observed": float(np.median(observed_bounds)) < 1,
            "excess": excess_bound < log(1 / experiment.beta),
            "deviation": deviation_bound < log(1 / experiment.beta),
        },
        "asymptotic": None if experiment.asymptotic is None else experiment.asymptotic / samples**0.5,
        "tensorization_slack": min(tensorization_slack),
        "pinsker_slack": min(pinsker_slack),
    }


def _conditional_entropy(counts: Array, truth: JointLaw, masks: MaskLaw) -> float:
    """H~ = E_K H(x_K | x_{-K}) of the empirical law of the sequences, in nats."""
    seen = JointLaw.from_weights(counts.sum(axis=0).reshape(truth.table.shape))
    everything, total = seen.entropy(), 0.0
    for mask, chance in zip(masks.masks, masks.probabilities, strict=True):
        rest = [site for site in range(truth.sites) if site not in mask]
        total += float(chance) * (everything - (seen.entropy(rest) if rest else 0.0))
    return total


def _interval(count: int, parameters: Parameters) -> tuple[float, float]:
    """Confidence interval of a violation probability, at the level shared by all k and n of one class."""
    settings = len(parameters.masked) * len(parameters.samples)
    return clopper_pearson(count, parameters.repetitions, CONFIDENCE / settings)


def _violation_check(name: str, cases: Sequence[Mapping[str, Any]], event: str, parameters: Parameters) -> Check:
    worst = max(cases, key=lambda case: case["violations"][event])
    count = worst["violations"][event]
    detail = (
        f"worst at k = {worst['masked']}, n = {worst['samples']}: {count} of {parameters.repetitions} data sets; "
        f"Clopper-Pearson, {1 - CONFIDENCE:.2%} for all {len(cases)} settings together"
    )
    telling = sum(case["informative"][event] for case in cases)
    check = Check.interval_at_most(name, _interval(count, parameters), parameters.delta, detail)
    return replace(check, comparisons=len(cases), informative=telling)


def draw_distance(data: Mapping[str, Any]) -> Figure:
    """Measured total variation and its bound against n."""
    with style():
        figure, panels = new_figure(1, 2)
        for axes, (kind, title) in zip(panels, (("finite", "finite class"), ("box", "box of parameters")), strict=True):
            chosen = [case for case in data["cases"] if case["class"] == kind]
            for index, size in enumerate(dict.fromkeys(case["masked"] for case in chosen)):
                cases = sorted((c for c in chosen if c["masked"] == size), key=lambda c: c["samples"])
                samples = [case["samples"] for case in cases]
                colour, dash = COLOURS[index % 8], DASHES[index % 8]
                axes.plot(samples, [case["bound"] for case in cases], color=colour, linestyle=dash, label=f"k = {size}")
                observed = [case["observed_bound"] for case in cases]
                axes.plot(samples, observed, color=colour, linestyle=dash, linewidth=0.7)
                axes.plot(samples, [_drawn(case["quantile"]) for case in cases], MARKERS[index % 8], color=colour)
                means = [_drawn(case["mean"]) for case in cases]
                axes.plot(samples, means, MARKERS[index % 8], color=colour, fillstyle="none")
                if kind == "box":
                    axes.plot(samples, [case["asymptotic"] for case in cases], ":", color=colour)
            axes.plot([], [], "-", color="grey", label="predicted: bound (median)")
            axes.plot([], [], "-", color="grey", linewidth=0.7, label="predicted: from the observed loss")
            axes.plot([], [], "o", color="grey", label="measured: 95% quantile")
            axes.plot([], [], "o", color="grey", fillstyle="none", label="measured: mean")
            if kind == "box":
                axes.plot([], [], ":", color="grey", label="predicted: asymptotic mean, no box")
            axes.axhline(1.0, color="black", linewidth=0.8)
            axes.set(xlabel="masked pairs n", ylabel="TV(p, p$_{\\hat\\theta}$)", title=title)
            axes.set_xscale("log")
            axes.set_yscale("log")
        figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _drawn(value: float) -> float:
    """A finite class is often learned exactly; a logarithmic axis leaves such points out."""
    return value if value > 0 else float("nan")


def draw_violations(data: Mapping[str, Any]) -> Figure:
    """How often the bound on the total variation failed."""
    with style():
        figure, (axes,) = new_figure(width=5.6, height=3.6)
        for index, kind in enumerate(("finite", "box")):
            cases = [case for case in data["cases"] if case["class"] == kind]
            rate, upper, lower = (np.array([case[key] for case in cases]) for key in ("rate", "upper", "lower"))
            axes.errorbar(
                np.arange(len(cases)) + 0.2 * index,
                rate,
                yerr=[rate - lower, upper - rate],
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=3,
                label=f"measured, {kind} class (bars: confidence interval)",
            )
            axes.set_xticks(np.arange(len(cases)), [f"{case['masked']}, {case['samples']}" for case in cases])
        axes.tick_params(axis="x", rotation=60)
        axes.axhline(data["delta"], linestyle="--", color="black", label="predicted: at most δ")
        axes.set(xlabel="masked sites k, pairs n", ylabel="probability that the bound fails")
        axes.set_ylim(-0.005, 1.5 * max([data["delta"], *(case["upper"] for case in data["cases"])]))
        axes.legend()
    return figure


CLAIM = Claim(
    id="C4",
    name="finite-sample-bound",
    title="Enough masked pairs guarantee a law that is close to the truth",
    statement=(
        "Let every masked-conditional of a class be at least β on its support, and let the class contain p and have an "
        "ε-cover of size C in the sup-norm of log-conditionals. If θ̂ minimises the masked loss over n independent "
        "pairs (x, K), then with probability at least 1 − δ, TV(p, p_θ̂)² ≤ ½ C_AT(p_θ̂) [2 ln(1/β) √(ln(2C/δ)/(2n)) "
        "+ 2ε], where C_AT(p_θ̂) is the constant of approximate tensorization of entropy for the same mask law. From "
        "the observed loss L^ and the conditional entropy H~ of the n sequences, each masked m times: TV(p, p_θ) ≤ "
        "√(½ C_AT(p_θ) [L^(θ) − H~ + ln(1/β) √(ln(2C/δ)/(2nm)) + 2ε]) + ½ √(q^N/n) + √(ln(2/δ)/(2n)) for every θ of "
        "the class at once, whatever p is."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 3 (finite-sample generalisation); constants as proved here",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "distance",
            "Total variation between truth and learned law, 95% quantile over data sets (markers, measured), against "
            "the bound (lines, predicted; the median where C_AT varies; thin: from the observed loss). Values above 1 "
            "say nothing. "
            "Dotted: the mean that the asymptotic covariance predicts, without the box; open markers: measured means.",
            draw_distance,
        ),
        FigureSpec(
            "violations",
            "How often the bound on the total variation failed (markers, measured; bars: Clopper-Pearson interval), "
            "for every mask size and sample size; the claim is that the probability is at most δ (dashed).",
            draw_violations,
        ),
    ),
)
