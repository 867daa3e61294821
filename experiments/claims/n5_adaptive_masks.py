"""N5: masks that look for surprising tokens, beside uniform masks of the same size: learning, mixing, and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from experiments.learned import Learning, learn, networks_at_most
from experiments.statistics import normal_limit
from theory.bounds.perturbation import stationary_distance_bound
from theory.chains import DenseOperator, mixing_time, stationary_law
from theory.conditionals import ConditionalModel, MaskAwareConditionals, TableConditionals
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance, fit, pair_losses, sample_pairs
from theory.inequalities import poincare_constant
from theory.laws import IsingLaw, JointLaw, random_ising
from theory.masks import AdaptiveMaskLaw, MaskLaw, k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs, k_parallel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-9
"""Rounding allowed in total variations."""

FALSE_ALARM = 1e-4
"""Probability that the check of the fits fails although its prediction is right."""

LEVEL = 0.99
"""Confidence level of each interval."""

UNIFORM, ADAPTIVE = "uniform", "adaptive"


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N of the random Ising models", full=5, minimum=2, maximum=7)
    scale: float = parameter(0.4, "standard deviation of fields and couplings", minimum=0.0, maximum=3.0)
    laws: int = parameter(8, "random models on which the mask laws are compared", full=30, minimum=3)
    sizes: tuple[int, ...] = parameter((1, 2), "mask sizes k", full=(1, 2, 3), minimum=1)
    strengths: tuple[float, ...] = parameter(
        (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0),
        "strengths λ that are drawn; 0 are uniform masks, negative ones avoid surprise",
        full=(-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0),
    )
    strength: float = parameter(0.5, "strength λ that is compared with uniform masks and trained with", minimum=0.0)
    family_samples: int = parameter(4000, "samples n of the exponential family's fits", full=16_000, minimum=50)
    repetitions: int = parameter(
        40, "data sets of the exponential family for each k and mask law", full=150, minimum=20
    )
    samples: tuple[int, ...] = parameter(
        (300, 10_000), "sizes n of the networks' data sets", full=(300, 3000, 30_000), minimum=10
    )
    network: str = parameter("mlp", "architecture", full="transformer", choices=("mlp", "transformer"))
    width: int = parameter(32, "width of the network", minimum=2)
    layers: int = parameter(1, "layers of the network", minimum=1)
    seeds: int = parameter(4, "networks for each n and mask law", full=6, minimum=2)
    steps: int = parameter(300, "training steps", full=1000, minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if max(parameters.sizes) > parameters.sites:
        raise InvalidInput("sizes", parameters.sizes, f"mask sizes must lie in 1..{parameters.sites}")
    laws = [
        random_ising(parameters.sites, np.random.default_rng([seed, 1, index]), parameters.scale)
        for index in range(parameters.laws)
    ]
    law = laws[0]
    progress(0.0, "exact comparison")
    curves = [_exact(law, k, strength) for k in parameters.sizes for strength in sorted(parameters.strengths)]
    gains = [_gains(laws, k, parameters.strength) for k in parameters.sizes]
    fits = []
    for done, k in enumerate(parameters.sizes):
        progress(0.1 + 0.2 * done / len(parameters.sizes), f"fits of the Ising family, k = {k}")
        fits += [_fits(law, k, strength, parameters, seed) for strength in (0.0, parameters.strength)]
    rows = _networks(law, parameters, seed, lambda done, text: progress(0.3 + 0.7 * done, text))
    checks = [
        Check.equal(
            "one step of mask-aware block dynamics from p: total variation to p",
            [curve["moved"] for curve in curves],
            0.0,
            ROUNDING,
            "every k and strength",
        ).by_algebra(),
        _fit_check(fits, parameters),
        *(_gain_check(gain, name, title) for name, title in GAINS.items() for gain in gains),
        Check.at_most(
            "learned stationary law against the exact one of the same masks: at most t TV(πQ, π) / (1 - δ(Q^t))",
            [row["deviation"] for row in rows],
            [row["bound"] for row in rows],
            ROUNDING,
            "every network and pair of mask laws; π: stationary law with the exact conditionals of those masks",
            trivial=1.0,
            wrong=("a bound of a hundredth", [row["bound"] / 100 for row in rows]),
        ),
        *_mismatch_checks(rows, max(parameters.samples)),
    ]
    data = {"curves": curves, "fits": fits, "gains": gains, "networks": rows, "strength": parameters.strength}
    takeaway = "Masks that prefer surprising tokens change, against uniform ones, " + "; ".join(
        f"at k = {gain['k']} tr Γ by a factor {np.exp(np.mean(gain['trace'])):.3g} and the relaxation time by "
        f"{np.exp(np.mean(gain['poincare'])):.3g}"
        for gain in gains
    )
    return Findings(checks, _table(gains, rows), data, takeaway + ".")


def surprise_masks(law: JointLaw, size: int, strength: float) -> MaskLaw | AdaptiveMaskLaw:
    """Masks of ``size`` sites with P(K | x) ∝ p(x_K | x_{-K})^(-strength); uniform masks at 0."""
    uniform = k_uniform(law.sites, size)
    if strength == 0:
        return uniform
    exponents = strength * pair_losses(law, uniform)
    weights = np.exp(exponents - exponents.max(axis=0))
    return AdaptiveMaskLaw(
        law.sites, uniform.masks, weights / weights.sum(axis=0), f"surprise^{strength:g}, k = {size}"
    )


def _exact(law: IsingLaw, k: int, strength: float) -> dict[str, Any]:
    """Efficiency and mixing with masks of one size and strength."""
    masks = surprise_masks(law, k, strength)
    chain = DenseOperator(block_gibbs(TableConditionals(law), masks).to_dense())
    return {
        "k": k,
        "strength": strength,
        "trace": float(np.trace(asymptotic_covariance(law.family, law.theta, masks))),
        "poincare": poincare_constant(law, masks).value,
        "mixing": mixing_time(chain).steps,
        "moved": total_variation(chain.propagate(law.probabilities), law.probabilities),
    }


GAINS = {"trace": "tr Γ", "poincare": "C_P = 1/gap"}
"""What is compared between mask laws; less is better."""


def _gains(laws: Sequence[IsingLaw], k: int, strength: float) -> dict[str, Any]:
    """ln of the ratio of adaptive to uniform masks, for every law."""
    pairs = [(_exact(law, k, strength), _exact(law, k, 0.0)) for law in laws]
    return {"k": k} | {name: [float(np.log(new[name] / old[name])) for new, old in pairs] for name in GAINS}


def _gain_check(gain: dict[str, Any], name: str, title: str) -> Check:
    return networks_at_most(
        f"k = {gain['k']}: ln of {title} with adaptive masks minus ln with uniform ones",
        np.array(gain[name]),
        detail="exact for each random model",
        level=LEVEL,
    )


def _fits(law: IsingLaw, k: int, strength: float, parameters: Parameters, seed: int) -> dict[str, Any]:
    """n times the squared error of repeated fits beside tr Γ."""
    masks, n = surprise_masks(law, k, strength), parameters.family_samples
    gamma = asymptotic_covariance(law.family, law.theta, masks)
    generator = np.random.default_rng([seed, 2, k, int(strength != 0)])
    squares = []
    for _ in range(parameters.repetitions):
        estimate = fit(law.family, sample_pairs(law, masks, n, generator), start=law.theta)
        if estimate.converged:
            squares.append(n * float(((estimate.theta - law.theta) ** 2).sum()))
    return {
        "k": k,
        "strength": strength,
        "infinite": parameters.repetitions - len(squares),
        "mean": float(np.mean(squares)) if squares else np.inf,
        # Var |z|^2 = 2 tr Gamma^2 for z ~ N(0, Gamma).
        "error": float(np.sqrt(2 * np.trace(gamma @ gamma) / max(len(squares), 1))),
        "trace": float(np.trace(gamma)),
    }


def _fit_check(fits: list[dict[str, Any]], parameters: Parameters) -> Check:
    name = "n E|θ̂ - θ*|² with mask-aware conditionals against tr Γ, in standard errors"
    limit = normal_limit(FALSE_ALARM / (2 * len(fits)))
    missing = sum(row["infinite"] for row in fits)
    if missing:
        reason = f"{missing} fits have no finite optimum; raise the number of samples"
        return Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason)
    detail = (
        f"every k, uniform and adaptive masks, n = {parameters.family_samples}, {parameters.repetitions} data sets "
        f"each; false-alarm rate {FALSE_ALARM:g} (normal approximation), apart from terms of order 1/n"
    )
    check = Check.at_most(name, [abs(row["mean"] - row["trace"]) / row["error"] for row in fits], limit, detail=detail)
    # Of the same mask law with another number of masked sites.
    pairs = [(row, other) for row in fits for other in fits if row["k"] != other["k"]]
    rejected = [abs(row["mean"] - other["trace"]) / row["error"] > limit for row, other in pairs]
    return check.against("the trace of another k", float(np.mean(rejected))) if rejected else check


def _networks(law: IsingLaw, parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Networks trained with each mask law and sampled with each, single sites, beside exact conditionals."""
    masks: dict[str, MaskLaw | AdaptiveMaskLaw] = {
        UNIFORM: k_uniform(law.sites, 1),
        ADAPTIVE: surprise_masks(law, 1, parameters.strength),
    }
    exact = _chains({UNIFORM: TableConditionals(law), ADAPTIVE: _aware(law, masks[ADAPTIVE])}, masks)
    targets = {names: stationary_law(chain).law for names, chain in exact.items()}
    learning = Learning(parameters.network, parameters.width, parameters.layers, parameters.steps, 128, 1e-2)
    cases = [(n, index) for n in sorted(parameters.samples) for index in range(parameters.seeds)]
    rows = []
    for done, (n, index) in enumerate(cases):
        progress(done / len(cases), f"networks {index + 1} of {parameters.seeds}, n = {n}")
        models = {name: learn(law, chosen, learning, 1000 * seed + index, n) for name, chosen in masks.items()}
        for names, chain in _chains(models, masks).items():
            found, target = stationary_law(chain).law, targets[names]
            rows.append(
                {
                    "samples": n,
                    "seed": index,
                    "trained": names[0],
                    "sampled": names[1],
                    "distance": total_variation(found, law.probabilities),
                    "exact": total_variation(target, law.probabilities),
                    "deviation": total_variation(found, target),
                    "bound": stationary_distance_bound(chain, total_variation(chain.propagate(target), target)),
                }
            )
    return rows


def _aware(law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> ConditionalModel:
    return MaskAwareConditionals(law, masks) if isinstance(masks, AdaptiveMaskLaw) else TableConditionals(law)


def _chains(
    models: Mapping[str, ConditionalModel], masks: Mapping[str, MaskLaw | AdaptiveMaskLaw]
) -> dict[tuple[str, str], DenseOperator]:
    """Draw a site by one mask law, then its token from conditionals that were learned with another (or the same).

    "reweighted" multiplies the conditionals that were learned with uniform masks by P(K | x).
    """
    operators = {
        (trained, sampled): k_parallel(model, chosen)
        for trained, model in models.items()
        for sampled, chosen in masks.items()
    }
    chains = {names: DenseOperator(operator.to_dense()) for names, operator in operators.items()}
    reweighted = block_gibbs(models[UNIFORM], masks[ADAPTIVE])
    return chains | {(UNIFORM, "reweighted"): DenseOperator(reweighted.to_dense())}


def _mismatch_checks(rows: list[dict[str, Any]], n: int) -> list[Check]:
    """With the largest data sets, unequal masks in training and sampling are worse than equal ones."""
    checks = []
    for sampled, other in ((UNIFORM, ADAPTIVE), (ADAPTIVE, UNIFORM)):
        matched, mismatched = (_distances(rows, n, trained, sampled) for trained in (sampled, other))
        checks.append(
            networks_at_most(
                f"sampled with {sampled} masks: TV to p if trained with the same minus if trained with {other} ones",
                matched - mismatched,
                detail=f"n = {n}; networks, paired by data set",
                level=LEVEL,
            )
        )
    return checks


def _distances(rows: list[dict[str, Any]], n: int, trained: str, sampled: str) -> Array:
    wanted = (n, trained, sampled)
    return np.array([r["distance"] for r in rows if (r["samples"], r["trained"], r["sampled"]) == wanted])


def _table(gains: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Table:
    columns = ["what", "case", "exact", "measured (mean)", "s.d. over models or networks"]
    table: list[list[Any]] = []
    for gain in gains:
        for name, title in GAINS.items():
            values = np.array(gain[name])
            ratio, spread = float(np.exp(values.mean())), float(values.std(ddof=1))
            table.append([f"{title}, adaptive / uniform", f"k = {gain['k']}", ratio, None, spread])
    for names, n in dict.fromkeys(((r["trained"], r["sampled"]), r["samples"]) for r in rows):
        values = _distances(rows, n, *names)
        exact = next(r["exact"] for r in rows if (r["trained"], r["sampled"]) == names)
        case = f"trained {names[0]}, sampled {names[1]}, n = {n}"
        table.append(["TV of the stationary law to p", case, exact, float(values.mean()), float(values.std(ddof=1))])
    return Table(columns, table)


def draw_strength(data: Mapping[str, Any]) -> Figure:
    """Efficiency and mixing against the strength of the masks' preference, for the first model."""
    from matplotlib.ticker import LogLocator

    with style():
        figure, (left, right) = new_figure(1, 2, width=9.2, height=4.2)
        for index, k in enumerate(dict.fromkeys(row["k"] for row in data["curves"])):
            curve = [row for row in data["curves"] if row["k"] == k]
            fits = [row for row in data["fits"] if row["k"] == k]
            x = [row["strength"] for row in curve]
            line: dict[str, Any] = {"color": COLOURS[index], "linestyle": DASHES[index]}
            mark: dict[str, Any] = {"color": COLOURS[index], "linestyle": "none", "marker": MARKERS[index]}
            left.plot(x, [row["trace"] for row in curve], label=f"tr Γ, k = {k}", **line)
            left.errorbar(
                [row["strength"] for row in fits],
                [row["mean"] for row in fits],
                yerr=[2 * row["error"] for row in fits],
                capsize=3,
                label=f"measured, k = {k} (bars: 2 s.e.)",
                **mark,
            )
            right.plot(x, [row["poincare"] for row in curve], label=f"$C_P$ = 1/gap, k = {k}", **line)
            right.plot(x, [row["mixing"] for row in curve], label=f"$t_{{mix}}$(1/4), k = {k}", **mark)
        left.set(ylabel="n E$|\\hat\\theta - \\theta^*|^2$", title="learning")
        right.set(ylabel="steps", title="mixing")
        for axes in (left, right):
            axes.set(yscale="log", xlabel="strength λ: P(K | x) ∝ p($x_K$ | $x_{-K}$)$^{-λ}$")
            axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
            axes.axvline(0.0, color="0.6", linewidth=0.9)
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
        single = [row for row in data["curves"] if row["k"] == min(row["k"] for row in data["curves"])]
        best = min(single, key=lambda row: row["trace"])
        fast = min(single, key=lambda row: row["poincare"])
        headline(
            figure,
            f"Masking what is hard to predict: k = {best['k']} learns best at λ = {best['strength']:g} and mixes "
            f"fastest at λ = {fast['strength']:g}",
        )
    return figure


def draw_training(data: Mapping[str, Any]) -> Figure:
    """Distance of what trained networks sample to the data law, for each pair of mask laws."""
    rows = data["networks"]
    counts = sorted({row["samples"] for row in rows})
    with style():
        figure, (axes,) = new_figure(width=5.6, height=5.6)
        for index, names in enumerate(dict.fromkeys((row["trained"], row["sampled"]) for row in rows)):
            chosen = [row for row in rows if (row["trained"], row["sampled"]) == tuple(names)]
            groups = [[row["distance"] for row in chosen if row["samples"] == n] for n in counts]
            axes.errorbar(
                np.array(counts) * 1.06 ** (index - 2),
                [np.mean(group) for group in groups],
                yerr=[np.std(group, ddof=1) for group in groups],
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=3,
                label=f"measured: trained {names[0]}, sampled {names[1]}",
            )
            if chosen[0]["exact"] > ROUNDING:
                axes.axhline(
                    chosen[0]["exact"],
                    linestyle=DASHES[1 + index % 4],
                    color=COLOURS[index],
                    label=f"exact conditionals: trained {names[0]}, sampled {names[1]}",
                )
        axes.set(xscale="log", xlabel="training sequences n", ylabel="TV of the stationary law to p", ylim=(0, None))
        axes.set_xticks(counts, [str(n) for n in counts])
        axes.minorticks_off()
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=7)
        right, wrong = (
            np.mean(
                [row["distance"] for row in rows if row["samples"] == counts[-1] and (row["exact"] > ROUNDING) == bad]
            )
            for bad in (False, True)
        )
        headline(
            figure,
            f"Sampled by the masks that it was trained with, a network of n = {counts[-1]} is {right:.2f} from p; by "
            f"others {wrong:.2f}",
        )
    return figure


CLAIM = Claim(
    id="N5",
    name="adaptive-masks",
    title="Masks that look for surprise learn and mix faster than uniform ones, if sampling uses the same",
    statement=(
        "Masks of k sites with P(K | x) ∝ p(x_K | x_-K)^(-λ). With the mask-aware conditionals p(x_K | x_-K, K) ∝ p(x) "
        "P(K | x) block dynamics keeps p, and n E|θ̂ - θ*|² → tr Γ, Γ the inverse of E Cov(T | x_-K, K). For moderate "
        "λ > 0 both tr Γ and C_P = 1/gap are on average over random Ising models smaller than for uniform masks of the "
        "same size (exact for each model; no theorem). Masked training with adaptive masks learns the mask-aware "
        "conditionals: a sampler that draws its masks uniformly, or one that draws them adaptively with conditionals "
        "learned from uniform masks, has another stationary law than p, by an exactly predicted total variation; "
        "multiplying by P(K | x) mends the second."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 2, adaptive masking; comparison and mismatch derived here",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "strength",
            "One random model. Left: predicted error of learning (lines) and measured by repeated fits (marks), "
            "against the strength of the preference for surprising tokens; 0 are uniform masks. Right: relaxation "
            "time (lines) and worst-case mixing time (marks) of the block dynamics, both exact.",
            draw_strength,
        ),
        FigureSpec(
            "training",
            "Networks trained and sampled with uniform or adaptive single-site masks: total variation of the sampler's "
            "exact stationary law to the data law (marks: mean, bars: standard deviation over networks). Lines: where "
            "unequal masks lead with exact conditionals; equal masks, and reweighting, lead to 0.",
            draw_training,
        ),
    ),
)
