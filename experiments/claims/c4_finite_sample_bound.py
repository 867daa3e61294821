"""C4: with enough masked pairs the learned law is close to the truth; violations of the bound are counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims.c4_classes import Experiment, box, finite
from experiments.figures import COLOURS, headline, line, logarithmic, marks, name_ends, new_figure
from experiments.statistics import clopper_pearson, clopper_pearson_power
from theory.bounds.finite_sample import excess_loss_bound, observed_loss_bound, total_variation_bound, uniform_deviation
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.estimation import pair_losses, sample_counts
from theory.laws import JointLaw
from theory.masks import MaskLaw
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
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
    plan = [(build, k) for build in (finite, box) for k in parameters.masked]
    for done, (build, size) in enumerate(plan):
        at = build(parameters, size, seed)
        for number, samples in enumerate(sorted(parameters.samples)):
            experiment = at(samples)
            part = (done + number / len(parameters.samples)) / len(plan)
            progress(part, f"{experiment.kind} class, k = {size}, n = {samples}")
            cases.append(_repeat(experiment, samples, parameters, np.random.default_rng([seed, 2, done, number])))
    checks = []
    for kind, name in (("finite", "finite class"), ("box", "box of parameters")):
        chosen = [case for case in cases if case.kind == kind]
        for event, title in (
            ("distance", "total variation"),
            ("observed", "total variation, by the observed loss,"),
            ("excess", "excess loss"),
            ("deviation", "largest one-sided deviation over the class"),
        ):
            if event in chosen[0].violations:
                checks.append(_violation_check(f"{name}: {title} above its bound", chosen, event, parameters))
        worst = [(case.tensorization_slack, case.pinsker_slack) for case in chosen]
        checks.append(
            Check.at_least(
                f"{name}: C_AT (L(θ̂) - L(p)) - KL(p ‖ p_θ̂) for every data set",
                [slack for slack, _ in worst],
                0.0,
                ROUNDING,
                "nats; the certified upper bound on C_AT of the learned law",
                wrong=("the excess loss without C_AT", [case.tensorization_gain for case in chosen]),
            )
        )
        checks.append(
            Check.at_least(
                f"{name}: KL/2 - TV² for every data set", [slack for _, slack in worst], 0.0, ROUNDING, "Pinsker"
            ).by_algebra()
        )
    best = max(cases, key=lambda case: case.quantile / case.bound)
    takeaway = (
        f"No more than {max(case.rate for case in cases):.1%} of the data sets break the bound, which may fail for "
        f"{parameters.delta:.0%}; it says something in {sum(case.informative['distance'] for case in cases)} of "
        f"{len(cases)} settings and is loose by a factor of {best.bound / best.quantile:.2g} at its tightest "
        f"({best.kind} class, k = {best.masked}, n = {best.samples}), from the observed loss by "
        f"{min(case.observed_bound / case.quantile for case in cases if case.quantile > 0):.2g}."
    )
    return Findings(checks, Table.of(cases), {"cases": cases, "delta": parameters.delta}, takeaway)


@dataclass(frozen=True)
class Case:
    """What repeated learning found in one setting: class, mask size and number of pairs."""

    violations: dict[str, int]
    rate: float
    lower: float
    informative: dict[str, bool]
    asymptotic: float | None
    tensorization_slack: float
    tensorization_gain: float
    pinsker_slack: float
    kind: str = heading("class")
    masked: int = heading("k")
    samples: int = heading("n")
    beta: float = heading("β")
    count: int = heading("violations of TV bound")
    upper: float = heading("upper end")
    mean: float = heading("TV, mean")
    quantile: float = heading("TV, 95%")
    bound: float = heading("TV bound, median")
    observed_bound: float = heading("by the observed loss")


def _repeat(experiment: Experiment, samples: int, parameters: Parameters, generator: np.random.Generator) -> Case:
    """Draw data sets, learn from each, and count how often each bound fails."""
    truth, masks, delta = experiment.truth, experiment.masks, parameters.delta
    joint = masks.probabilities[:, None] * truth.probabilities
    own = float((joint * pair_losses(truth, masks)).sum())
    arguments = (samples, experiment.beta, delta)
    cover = (experiment.log_cover_size, experiment.epsilon)
    excess_bound = excess_loss_bound(*arguments, *cover)
    deviation_bound = uniform_deviation(*arguments, experiment.log_cover_size)
    distances, bounds, observed_bounds, tensorization_slack, tensorization_gain, pinsker_slack = [], [], [], [], [], []
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
        # What C_AT adds, on that data set: without it the slack would have to be larger.
        tensorization_gain.append((constant - 1) * excess)
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
    return Case(
        kind=experiment.kind,
        masked=len(masks.masks[0]),
        samples=samples,
        beta=experiment.beta,
        violations=violations,
        count=violations["distance"],
        rate=violations["distance"] / parameters.repetitions,
        lower=lower,
        upper=upper,
        mean=float(np.mean(distances)),
        quantile=float(np.quantile(distances, 0.95)),
        bound=float(np.median(bounds)),
        observed_bound=float(np.median(observed_bounds)),
        # Below the largest value that the quantity can have whatever is true: 1, or the range of the loss.
        informative={
            "distance": float(np.median(bounds)) < 1,
            "observed": float(np.median(observed_bounds)) < 1,
            "excess": excess_bound < log(1 / experiment.beta),
            "deviation": deviation_bound < log(1 / experiment.beta),
        },
        asymptotic=None if experiment.asymptotic is None else experiment.asymptotic / samples**0.5,
        tensorization_slack=min(tensorization_slack),
        tensorization_gain=tensorization_gain[int(np.argmin(tensorization_slack))],
        pinsker_slack=min(pinsker_slack),
    )


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
    return clopper_pearson(count, parameters.repetitions, _level(parameters))


def _level(parameters: Parameters) -> float:
    return CONFIDENCE / (len(parameters.masked) * len(parameters.samples))


def _violation_check(name: str, cases: Sequence[Case], event: str, parameters: Parameters) -> Check:
    worst = max(cases, key=lambda case: case.violations[event])
    count = worst.violations[event]
    detail = (
        f"worst at k = {worst.masked}, n = {worst.samples}: {count} of {parameters.repetitions} data sets; "
        f"Clopper-Pearson, {1 - CONFIDENCE:.2%} for all {len(cases)} settings together"
    )
    telling = sum(case.informative[event] for case in cases)
    check = Check.interval_at_most(name, _interval(count, parameters), parameters.delta, detail)
    power = clopper_pearson_power(parameters.repetitions, _level(parameters), parameters.delta, 2 * parameters.delta)
    quotients = [case.quantile / case.bound for case in cases if event == "distance" and case.informative[event]]
    return replace(
        check.against("a bound that fails twice as often as δ", power),
        comparisons=len(cases),
        informative=telling,
        tightness=max(quotients, default=None),
    )


def draw_distance(data: Mapping[str, Any]) -> Figure:
    """Measured total variation and its bound against n."""
    cases = sorted(data["cases"], key=lambda case: case["samples"])
    figure, panels = new_figure(2, 1, width=5.0, height=7.6)
    names = ("bound", "observed_bound", "quantile", "mean")
    everything = [case[name] for case in cases for name in names]
    for axes, (kind, title) in zip(panels, (("finite", "finite class"), ("box", "box of parameters")), strict=True):
        drawn = logarithmic(axes, everything)
        axes.axhspan(1.0, axes.get_ylim()[1], color="0.9", zorder=0)
        ends = {}
        for index, size in enumerate(dict.fromkeys(case["masked"] for case in data["cases"])):
            rows = columns(select(cases, kind=kind, masked=size))
            line(axes, rows["samples"], rows["bound"], index)
            line(axes, rows["samples"], rows["observed_bound"], index, dash="--")
            marks(axes, rows["samples"] * 1.08 ** (index - 0.5), drawn(rows["quantile"]), index)
            marks(axes, rows["samples"] * 1.08 ** (index - 0.5), drawn(rows["mean"]), index, hollow=True)
            if kind == "box":
                line(axes, rows["samples"], rows["asymptotic"], index, dash=":")
            ends[f"k = {size}"] = (index, float(rows["bound"][-1]))
        axes.set(xscale="log", xlabel="masked pairs n", ylabel="TV(p, p$_{\\hat\\theta}$)", title=title)
        name_ends(axes, ends)
    for look, label in (
        ("-", "bound (median)"),
        ("--", "from the observed loss"),
        (":", "asymptotic mean, no box"),
        ("o", "measured: 95% quantile"),
    ):
        panels[1].plot([], [], look, color="0.4", label=label)
    panels[1].plot([], [], "o", color="0.4", fillstyle="none", label="measured: mean")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    telling = [case for case in cases if case["bound"] < 1 and case["quantile"] > 0]
    looseness = [case["bound"] / case["quantile"] for case in telling]
    headline(
        figure,
        f"The bound is below 1 in {sum(case['bound'] < 1 for case in cases)} of {len(cases)} settings"
        + (f", {min(looseness):.2g} to {max(looseness):.2g} times what is measured" if telling else "")
        + " (grey: says nothing)",
    )
    return figure


def draw_violations(data: Mapping[str, Any]) -> Figure:
    """How often the bound on the total variation failed."""
    cases = data["cases"]
    figure, (axes,) = new_figure(width=5.0, height=1.6 + 0.22 * len(cases))
    for place, case in enumerate(cases):
        index = ("finite", "box").index(case["kind"])
        axes.plot([case["lower"], case["upper"]], [place, place], color=COLOURS[index])
        marks(axes, [case["rate"]], [place], index)
    labels = [f"{case['kind']}, k = {case['masked']}, n = {case['samples']}" for case in cases]
    axes.set_yticks(range(len(cases)), labels)
    axes.axvline(data["delta"], linestyle="--", color="black")
    axes.text(data["delta"], -0.9, " δ", va="bottom")
    axes.set(xlabel="probability that the bound fails", ylabel="class, mask size, pairs", ylim=(len(cases) - 0.4, -1.0))
    headline(
        figure,
        f"The bound fails for {sum(case['count'] for case in cases)} data sets in all; its failure probability is at "
        f"most {max(case['upper'] for case in cases):.2g}, where δ = {data['delta']:g} is allowed",
    )
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
            "the bound (lines, predicted; the median where C_AT varies; dashed: from the observed loss). Bounds in the "
            "grey strip above 1 say nothing, zero lies in the grey strip below. Dotted: the mean that the asymptotic "
            "covariance predicts, without the box; open markers: measured means.",
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
