"""N1: how the error of a learned law falls with the number of samples, by mask size and mask ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading, select
from experiments.figures import COLOURS, MARKERS, headline, line, marks, new_figure, one_scale
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


@dataclass(frozen=True)
class Fits:
    """Repeated fits of the exponential family: n |error|² and 2n KL with their standard errors, beside their limits.

    ``infinite`` of them have no finite optimum.
    """

    k: int
    samples: int
    infinite: int
    parameter: float
    parameter_error: float
    trace: float
    divergence: float
    divergence_error: float
    divergence_trace: float


@dataclass(frozen=True)
class Network:
    """One Transformer: total variations to p, the `MEASURES`."""

    samples: int
    masks: str
    seed: int
    decoded: float
    scanned: float


@dataclass(frozen=True)
class Ranked:
    """The mean error after one mask law with its standard error, and its ranks on the single data sets."""

    measure: str
    masks: str
    mean: float
    error: float
    rank: float
    best: int
    worst: int


@dataclass(frozen=True)
class Row:
    """A model and a mask law, for the reader."""

    model: str = heading("model")
    masks: str = heading("masks")
    samples: int = heading("n")
    error: float = heading("error")
    spread: float = heading("standard error")
    predicted: float | None = heading("predicted")
    measure: str = heading("measure")
    rank: str | None = heading("rank (lowest to highest)")


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
    rows = [
        Row("Ising family", f"{r.k}-uniform", r.samples, r.parameter, r.parameter_error, r.trace, "n |θ̂-θ|²", None)
        for r in family
    ]
    rows += [
        Row(
            "Transformer",
            r.masks,
            many,
            r.mean,
            r.error,
            None,
            f"TV {r.measure}",
            f"{r.rank:.1f} ({r.best} to {r.worst})",
        )
        for r in ranking
    ]
    decoded = [row for row in ranking if row.measure == MEASURES[0]]
    takeaway = (
        f"With n = {many} sequences the decoded law of a small Transformer is at a total variation of "
        f"{decoded[0].mean:.2g} (masks {decoded[0].masks}) to {decoded[-1].mean:.2g} "
        f"({decoded[-1].masks}); for the exponential family tr Γ falls from "
        f"{family[0].trace:.3g} at k = 1 to {family[-1].trace:.3g} at k = {parameters.sites}."
    )
    data = {"family": family, "networks": networks, "ranking": ranking, "level": LEVEL}
    return Findings(checks, Table.of(rows), data, takeaway)


def _family(law: IsingLaw, parameters: Parameters, seed: int, progress: Progress) -> list[Fits]:
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
                Fits(
                    k,
                    n,
                    parameters.repetitions - count,
                    parameter=float(np.mean(squares)) if count else np.nan,
                    # Var |z|^2 = 2 tr Gamma^2 and Var z.I z = 2 tr (I Gamma)^2 for z ~ N(0, Gamma).
                    parameter_error=float(np.sqrt(2 * np.trace(gamma @ gamma) / max(count, 1))),
                    trace=float(np.trace(gamma)),
                    divergence=float(np.mean(divergences)) if count else np.nan,
                    divergence_error=float(np.sqrt(2 * np.trace(weighted @ weighted) / max(count, 1))),
                    divergence_trace=float(np.trace(weighted)),
                )
            )
    return result


def _family_checks(rows: Sequence[Fits], samples: int, parameters: Parameters) -> list[Check]:
    c = columns([row for row in rows if row.samples == samples])
    sizes = len(c["k"])
    limit = normal_limit(FALSE_ALARM / (2 * sizes))
    missing = int(c["infinite"].sum())
    # What another number of masked sites predicts: the neighbour's, k + 1 or, of the last, k - 1.
    others = [*range(1, sizes), max(0, sizes - 2)]
    checks = []
    for measured, predicted, name in (
        ("parameter", "trace", "n E|θ̂ - θ*|² against tr Γ_k, in standard errors"),
        ("divergence", "divergence_trace", "2n E KL(p || p_θ̂) against tr(I Γ_k), in standard errors"),
    ):
        if missing:
            reason = f"{missing} fits have no finite optimum; raise the number of samples"
            checks.append(Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason))
            continue
        deviation, apart = (
            np.abs(c[measured] - other) / c[f"{measured}_error"] for other in (c[predicted], c[predicted][others])
        )
        detail = (
            f"every k, n = {samples}, {parameters.repetitions} data sets each; false-alarm rate {FALSE_ALARM:g} "
            "(normal approximation), apart from terms of order 1/n"
        )
        rejected = float((apart > limit).mean()) if sizes > 1 else 0.0
        check = Check.at_most(name, deviation, limit, detail=detail)
        checks.append(check.against("the trace of another k", rejected))
    return checks


def _mask_laws(parameters: Parameters) -> list[MaskLaw]:
    sites = parameters.sites
    return [
        *(k_uniform(sites, k) for k in range(1, sites + 1)),
        *(bernoulli(sites, ratio) for ratio in parameters.ratios),
        uniform_ratio(sites),
    ]


def _networks(law: JointLaw, parameters: Parameters, seed: int, progress: Progress) -> list[Network]:
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
        result.append(Network(n, masks.name, index, **law_errors(conditionals, law)))
    return result


def _by_seed(networks: Sequence[Network], samples: int, measure: str) -> Array:
    """One measure of every network trained on so many samples, [mask laws, seeds]."""
    found: dict[str, list[float]] = {}
    for row in networks:
        if row.samples == samples:
            found.setdefault(row.masks, []).append(getattr(row, measure))
    return np.array(list(found.values()))


def _ranking(networks: Sequence[Network], samples: int, measure: str) -> list[Ranked]:
    """Mask laws in the order of their mean error."""
    values = _by_seed(networks, samples, measure)
    ranks = 1 + values.argsort(axis=0).argsort(axis=0)
    rows = [
        Ranked(
            measure,
            masks,
            float(found.mean()),
            float(found.std(ddof=1) / np.sqrt(found.size)),
            float(places.mean()),
            int(places.min()),
            int(places.max()),
        )
        for masks, found, places in zip(dict.fromkeys(row.masks for row in networks), values, ranks, strict=True)
    ]
    return sorted(rows, key=lambda row: row.mean)


def draw_family(data: Mapping[str, Any]) -> Figure:
    """n times the squared error, and 2n times the divergence, against k."""
    rows = data["family"]
    counts = sorted({row["samples"] for row in rows})
    limits = columns(select(rows, samples=counts[0]))
    figure, panels = new_figure(1, 2, height=3.9)
    for axes, measured, predicted in (
        (panels[0], "parameter", "trace"),
        (panels[1], "divergence", "divergence_trace"),
    ):
        line(axes, limits["k"], limits[predicted], 0, "predicted")
        for index, n in enumerate(counts, start=1):
            c = columns(select(rows, samples=n))
            bars = 2 * c[f"{measured}_error"]
            places = c["k"] + 0.07 * (index - (len(counts) + 1) / 2)
            interval = (c[measured] - bars, c[measured] + bars)
            marks(axes, places, c[measured], index, f"measured, n = {n} (bars: 2 s.e.)", interval=interval)
        axes.set(xlabel="masked sites k", xticks=limits["k"])
    panels[0].set(ylabel="n E$|\\hat\\theta - \\theta^*|^2$", title="predicted: tr Γ$_k$")
    panels[1].set(ylabel="2n E KL(p || p$_{\\hat\\theta}$) (nats)", title="predicted: tr(I Γ$_k$)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    first, last = limits["trace"][0], limits["trace"][-1]
    headline(
        figure,
        f"tr Γ$_k$ predicts that masking {limits['k'][-1]} sites learns {first / last:.1f} times as efficiently as "
        f"masking {limits['k'][0]}; marks: measured",
    )
    return figure


def draw_networks(data: Mapping[str, Any]) -> Figure:
    """Error of the Transformers' laws for each mask law, with few and with many samples."""
    rows = data["networks"]
    counts = sorted({row["samples"] for row in rows})
    kinds = list(dict.fromkeys(row["masks"] for row in rows))
    figure, panels = new_figure(1, 2, width=9.8, height=1.6 + 0.38 * len(kinds))
    nearest = []
    for axes, key, title in zip(
        panels, MEASURES, ("law decoded from left to right", "stationary law of the single-site scan"), strict=True
    ):
        for index, n in enumerate(counts):
            values = np.array([[row[key] for row in select(rows, masks=masks, samples=n)] for masks in kinds])
            means = values.mean(axis=1)
            axes.errorbar(
                means,
                np.arange(len(kinds)) + 0.2 * (index - (len(counts) - 1) / 2),
                xerr=2 * values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]),
                fmt=MARKERS[index],
                color=COLOURS[index],
                capsize=2,
                label=f"n = {n} (bars: 2 s.e.)",
            )
        nearest.append((kinds[int(means.argmin())], means.min()))
        axes.set(xlabel="TV to p", title=title, ylim=(len(kinds) - 0.5, -0.5), xlim=(0, None))
        axes.set_yticks(range(len(kinds)), kinds)
    one_scale(panels, "x")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(counts))
    (decoded, near), (scanned, close) = nearest
    headline(
        figure,
        f"With n = {counts[-1]} the law decoded is nearest p after {decoded} masks ({near:.2f}), the law of the scan "
        f"after {scanned} ({close:.2f})",
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
