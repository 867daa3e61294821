"""N1: how the error of a learned law falls with the number of samples, by mask size and mask ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, MARKERS, headline, new_figure, style
from experiments.learned import Learning, law_errors, learn, networks_at_most
from experiments.statistics import normal_limit
from theory.divergences import kullback_leibler
from theory.estimation import asymptotic_covariance, fit, sample_pairs
from theory.laws import IsingLaw, JointLaw, random_ising
from theory.masks import MaskLaw, bernoulli, k_uniform, uniform_ratio
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

FALSE_ALARM = 1e-4
"""Probability that one of the two checks of the exponential family fails although its prediction is right."""

LEVEL = 0.95
"""Confidence level of the interval over data sets."""

MEASURES = ("decoded", "scanned")
"""Total variations to p of `experiments.learned.law_errors`."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N of the random Ising model", full=5, minimum=2, maximum=8)
    scale: float = parameter(0.3, "standard deviation of fields and couplings", minimum=0.0, maximum=3.0)
    family_samples: tuple[int, ...] = parameter(
        (1000, 4000, 16_000),
        "samples n of the exponential family's fits",
        full=(1000, 4000, 16_000),
        minimum=50,
    )
    repetitions: int = parameter(50, "data sets for each k and n of the exponential family", full=200, minimum=20)
    network_samples: tuple[int, ...] = parameter(
        (100, 3000), "samples n of the Transformer's data sets", full=(200, 2000, 20_000), minimum=10
    )
    seeds: int = parameter(3, "Transformers for each mask law and n", full=5, minimum=2)
    ratios: tuple[float, ...] = parameter((0.15, 0.4), "mask ratios, beside the uniform one", minimum=0.01, maximum=1.0)
    steps: int = parameter(300, "training steps", full=600, minimum=1)
    width: int = parameter(16, "width of the Transformer", minimum=2)
    layers: int = parameter(1, "layers of the Transformer", minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = random_ising(parameters.sites, np.random.default_rng([seed, 1]), parameters.scale)
    family = _family(law, parameters, seed, lambda done, text: progress(0.4 * done, text))
    networks = _networks(law, parameters, seed, lambda done, text: progress(0.4 + 0.6 * done, text))
    checks = _family_checks(family, max(parameters.family_samples), parameters)
    few, many = min(parameters.network_samples), max(parameters.network_samples)
    if few < many:
        errors = {n: _by_seed(networks, n, "decoded").mean(axis=0) for n in (few, many)}
        checks.append(
            networks_at_most(
                f"Transformers: mean TV of the decoded law to p at n = {many} minus that at n = {few}",
                errors[many] - errors[few],
                detail="data sets and networks; mean over mask laws, which share a data set",
                level=LEVEL,
            )
        )
    ranking = [row for measure in MEASURES for row in _ranking(networks, many, measure)]
    columns = ["model", "masks", "n", "error", "standard error", "predicted", "measure", "rank (lowest to highest)"]
    rows: list[list[Any]] = [
        [
            "Ising family",
            f"{r['k']}-uniform",
            r["samples"],
            r["parameter"],
            r["parameter_error"],
            r["trace"],
            "n |θ̂-θ|²",
            None,
        ]
        for r in family
    ]
    rows += [
        [
            "Transformer",
            r["masks"],
            many,
            r["mean"],
            r["error"],
            None,
            f"TV {r['measure']}",
            f"{r['rank']:.1f} ({r['best']} to {r['worst']})",
        ]
        for r in ranking
    ]
    decoded = [row for row in ranking if row["measure"] == MEASURES[0]]
    takeaway = (
        f"With n = {many} sequences the decoded law of a small Transformer is at a total variation of "
        f"{decoded[0]['mean']:.2g} (masks {decoded[0]['masks']}) to {decoded[-1]['mean']:.2g} "
        f"({decoded[-1]['masks']}); for the exponential family tr Γ falls from "
        f"{family[0]['trace']:.3g} at k = 1 to {family[-1]['trace']:.3g} at k = {parameters.sites}."
    )
    data = {"family": family, "networks": networks, "ranking": ranking, "level": LEVEL}
    return Findings(checks, Table(columns, rows), data, takeaway)


def _family(law: IsingLaw, parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Repeated learning of the exponential family beside its asymptotic covariance."""
    result = []
    fisher = law.family.fisher_information(law.theta)
    for k in range(1, law.sites + 1):
        masks = k_uniform(law.sites, k)
        gamma = asymptotic_covariance(law.family, law.theta, masks)
        weighted = fisher @ gamma
        for n in parameters.family_samples:
            progress((k - 1) / law.sites, f"Ising family, k = {k}, n = {n}")
            generator = np.random.default_rng([seed, 2, k, n])
            squares, divergences = [], []
            for _ in range(parameters.repetitions):
                estimate = fit(law.family, sample_pairs(law, masks, n, generator), start=law.theta)
                if estimate.converged:
                    squares.append(n * float(((estimate.theta - law.theta) ** 2).sum()))
                    learned = law.family.probabilities(estimate.theta)
                    divergences.append(2 * n * kullback_leibler(law.probabilities, learned))
            count = len(squares)
            result.append(
                {
                    "k": k,
                    "samples": n,
                    "infinite": parameters.repetitions - count,
                    "parameter": float(np.mean(squares)) if count else np.nan,
                    # Var |z|^2 = 2 tr Gamma^2 and Var z.I z = 2 tr (I Gamma)^2 for z ~ N(0, Gamma).
                    "parameter_error": float(np.sqrt(2 * np.trace(gamma @ gamma) / max(count, 1))),
                    "trace": float(np.trace(gamma)),
                    "divergence": float(np.mean(divergences)) if count else np.nan,
                    "divergence_error": float(np.sqrt(2 * np.trace(weighted @ weighted) / max(count, 1))),
                    "divergence_trace": float(np.trace(weighted)),
                }
            )
    return result


def _family_checks(rows: list[dict[str, Any]], samples: int, parameters: Parameters) -> list[Check]:
    largest = [row for row in rows if row["samples"] == samples]
    limit = normal_limit(FALSE_ALARM / (2 * len(largest)))
    missing = sum(row["infinite"] for row in largest)
    checks = []
    for measured, predicted, name in (
        ("parameter", "trace", "n E|θ̂ - θ*|² against tr Γ_k, in standard errors"),
        ("divergence", "divergence_trace", "2n E KL(p || p_θ̂) against tr(I Γ_k), in standard errors"),
    ):
        deviation = np.array([(row[measured] - row[predicted]) / row[f"{measured}_error"] for row in largest])
        if missing:
            reason = f"{missing} fits have no finite optimum; raise the number of samples"
            checks.append(Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason))
        else:
            detail = (
                f"every k, n = {samples}, {parameters.repetitions} data sets each; false-alarm rate {FALSE_ALARM:g} "
                "(normal approximation), apart from terms of order 1/n"
            )
            # What another number of masked sites predicts: the neighbour's, k + 1 or, of the last, k - 1.
            others = [*largest[1:], largest[len(largest) - 2]]
            apart = [
                (row[measured] - other[predicted]) / row[f"{measured}_error"]
                for row, other in zip(largest, others, strict=True)
            ]
            rejected = float((np.abs(apart) > limit).mean()) if len(largest) > 1 else 0.0
            check = Check.at_most(name, np.abs(deviation), limit, detail=detail)
            checks.append(check.against("the trace of another k", rejected))
    return checks


def _mask_laws(parameters: Parameters) -> list[MaskLaw]:
    sites = parameters.sites
    return [
        *(k_uniform(sites, k) for k in range(1, sites + 1)),
        *(bernoulli(sites, ratio) for ratio in parameters.ratios),
        uniform_ratio(sites),
    ]


def _networks(law: JointLaw, parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Transformers trained with every mask law; the same data set for all of them, one for each seed."""
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=parameters.steps)
    cases = [
        (n, masks, index)
        for n in parameters.network_samples
        for masks in _mask_laws(parameters)
        for index in range(parameters.seeds)
    ]
    result = []
    for done, (n, masks, index) in enumerate(cases):
        progress(done / len(cases), f"Transformer, {masks.name}, n = {n}")
        conditionals = learn(law, masks, learning, 1000 * seed + index, n)
        result.append({"samples": n, "masks": masks.name, "seed": index} | law_errors(conditionals, law))
    return result


def _by_seed(networks: list[dict[str, Any]], samples: int, measure: str) -> Array:
    """One measure of every network trained on so many samples, [mask laws, seeds]."""
    names = dict.fromkeys(row["masks"] for row in networks)
    return np.array(
        [[row[measure] for row in networks if (row["masks"], row["samples"]) == (name, samples)] for name in names]
    )


def _ranking(networks: list[dict[str, Any]], samples: int, measure: str) -> list[dict[str, Any]]:
    """Mask laws in the order of their mean error, with its standard error, and their ranks on the single data sets."""
    values = _by_seed(networks, samples, measure)
    ranks = 1 + values.argsort(axis=0).argsort(axis=0)
    rows = [
        {
            "measure": measure,
            "masks": masks,
            "mean": float(found.mean()),
            "error": float(found.std(ddof=1) / np.sqrt(found.size)),
            "rank": float(places.mean()),
            "best": int(places.min()),
            "worst": int(places.max()),
        }
        for masks, found, places in zip(dict.fromkeys(row["masks"] for row in networks), values, ranks, strict=True)
    ]
    return sorted(rows, key=lambda row: row["mean"])


def draw_family(data: Mapping[str, Any]) -> Figure:
    """n times the squared error, and 2n times the divergence, against k."""
    rows = data["family"]
    sizes = sorted({row["k"] for row in rows})
    with style():
        figure, axes = new_figure(1, 2)
        for panel, measured, predicted, label in (
            (axes[0], "parameter", "trace", "tr Γ$_k$"),
            (axes[1], "divergence", "divergence_trace", "tr(I Γ$_k$)"),
        ):
            panel.plot(
                sizes,
                [next(r[predicted] for r in rows if r["k"] == k) for k in sizes],
                "-",
                color=COLOURS[0],
                label=f"predicted: {label}",
            )
            for index, n in enumerate(sorted({row["samples"] for row in rows}), start=1):
                chosen = [row for row in rows if row["samples"] == n]
                panel.errorbar(
                    np.array([row["k"] for row in chosen]) + 0.07 * (index - 2),
                    [row[measured] for row in chosen],
                    yerr=[2 * row[f"{measured}_error"] for row in chosen],
                    fmt=MARKERS[index % 8],
                    color=COLOURS[index % 8],
                    capsize=2,
                    label=f"measured, n = {n} (bars: 2 s.e.)",
                )
            panel.set_xticks(sizes)
            panel.set_xlabel("masked sites k")
            panel.legend()
        axes[0].set_ylabel("n E$|\\hat\\theta - \\theta^*|^2$")
        axes[1].set_ylabel("2n E KL(p || p$_{\\hat\\theta}$) (nats)")
        first, last = (next(row["trace"] for row in rows if row["k"] == k) for k in (sizes[0], sizes[-1]))
        headline(
            figure,
            f"tr Γ$_k$ predicts that masking {sizes[-1]} sites learns {first / last:.1f} times as efficiently "
            f"as masking {sizes[0]}; marks: measured",
        )
    return figure


def draw_networks(data: Mapping[str, Any]) -> Figure:
    """Error of the Transformers' laws for each mask law, with few and with many samples."""
    rows = data["networks"]
    counts = sorted({row["samples"] for row in rows})
    kinds = list(dict.fromkeys(row["masks"] for row in rows))
    with style():
        figure, axes = new_figure(1, 2, width=9.2, height=1.6 + 0.38 * len(kinds))
        means: dict[tuple[str, str], float] = {}
        for panel, key, label in (
            (axes[0], "decoded", "law decoded from left to right"),
            (axes[1], "scanned", "stationary law of the single-site scan"),
        ):
            for index, n in enumerate(counts):
                for place, masks in enumerate(kinds):
                    values = [row[key] for row in rows if row["masks"] == masks and row["samples"] == n]
                    means[key, masks] = float(np.mean(values))
                    panel.errorbar(
                        [means[key, masks]],
                        [place + 0.12 * (index - (len(counts) - 1) / 2)],
                        xerr=[2 * np.std(values, ddof=1) / np.sqrt(len(values))],
                        fmt=MARKERS[index % len(MARKERS)],
                        color=COLOURS[index % len(COLOURS)],
                        capsize=2,
                        label=f"n = {n} (bars: 2 s.e.)" if place == 0 else None,
                    )
            panel.set(xlabel="TV to p", title=label, ylim=(len(kinds) - 0.5, -0.5), xlim=(0, None))
            panel.set_yticks(range(len(kinds)), kinds if panel is axes[0] else [])
        widest = max(panel.get_xlim()[1] for panel in axes)
        for panel in axes:
            panel.set_xlim(0, widest)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(counts))
        ends = {key: min(kinds, key=lambda masks: means[key, masks]) for key in ("decoded", "scanned")}
        headline(
            figure,
            f"With n = {counts[-1]} the law decoded is nearest p after {ends['decoded']} masks "
            f"({means['decoded', ends['decoded']]:.2f}), the law of the scan after {ends['scanned']} "
            f"({means['scanned', ends['scanned']]:.2f})",
        )
    return figure


CLAIM = Claim(
    id="N1",
    name="sample-efficiency-of-learned-laws",
    title="The error of a learned law falls with the samples as the information of its masks predicts",
    statement=(
        "An exponential family trained with uniformly random masks of k sites on n samples has n E|θ̂ - θ*|² → tr Γ_k "
        "and 2n E KL(p || p_θ̂) → tr(I Γ_k), for every k = 1..N, with Γ_k the inverse masked information and I the "
        "Fisher information. For a masked Transformer, whose loss sees the tokens of a mask one by one, there is no "
        "such prediction: the error of the law that it decodes falls with n, and the order of the mask laws is "
        "reported with its uncertainty (standard errors, and their ranks on single data sets), whichever way it falls."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 2; van der Vaart 1998, theorem 5.21",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "family",
            "Exponential family: n times the squared error of the parameter, and 2n times the divergence of the law, "
            "measured by repeated learning (markers) and predicted (lines), against the number of masked sites.",
            draw_family,
        ),
        FigureSpec(
            "networks",
            "Transformers: total variation to the data law against the number of training sequences, for every mask "
            "law (measured; means and spread over data sets and networks). The right panel needs single-site "
            "conditionals only, the left one conditionals at every mask size. Where curves level off, the network "
            "and the length of its training set the limit, not the data.",
            draw_networks,
        ),
    ),
)
