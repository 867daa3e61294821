"""N5: masks that look for surprising tokens, beside uniform masks of the same size: learning, mixing, and training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims import n5_surprise as surprise
from experiments.claims.n5_surprise import ROUNDING
from experiments.figures import COLOURS, DASHES, headline, marks, new_figure
from experiments.learned import Learning, learn, networks_at_most
from theory.bounds.perturbation import stationary_distance_bound
from theory.chains import DenseOperator, stationary_law
from theory.conditionals import ConditionalModel, MaskAwareConditionals, TableConditionals
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import IsingLaw, JointLaw, random_ising
from theory.masks import AdaptiveMaskLaw, MaskLaw, k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs, k_parallel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


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


@dataclass(frozen=True)
class Network:
    """One network, trained with one mask law and sampled with another: its stationary law in total variation.

    ``distance`` and ``exact`` are to p, of the network and with exact conditionals; ``deviation`` is between the two,
    with its bound.
    """

    samples: int
    seed: int
    trained: str
    sampled: str
    distance: float
    exact: float
    deviation: float
    bound: float


@dataclass(frozen=True)
class Row:
    """A comparison, for the reader."""

    what: str = heading("what")
    case: str = heading("case")
    exact: float = heading("exact")
    measured: float | None = heading("measured (mean)")
    spread: float = heading("s.d. over models or networks")


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
    curves = [surprise.exact(law, k, strength) for k in parameters.sizes for strength in sorted(parameters.strengths)]
    gains = [surprise.gains(laws, k, parameters.strength) for k in parameters.sizes]
    fits, sets = [], (parameters.family_samples, parameters.repetitions)
    for done, k in enumerate(parameters.sizes):
        progress(0.1 + 0.2 * done / len(parameters.sizes), f"fits of the Ising family, k = {k}")
        fits += [surprise.fits(law, k, strength, *sets, seed) for strength in (0.0, parameters.strength)]
    networks = _networks(law, parameters, seed, lambda done, text: progress(0.3 + 0.7 * done, text))
    c = columns(networks)
    checks = [
        *surprise.checks(curves, fits, gains, *sets, LEVEL),
        Check.at_most(
            "learned stationary law against the exact one of the same masks: at most t TV(πQ, π) / (1 - δ(Q^t))",
            c["deviation"],
            c["bound"],
            ROUNDING,
            "every network and pair of mask laws; π: stationary law with the exact conditionals of those masks",
            trivial=1.0,
            wrong=("a bound of a hundredth", c["bound"] / 100),
        ),
        *_mismatch_checks(networks, max(parameters.samples)),
    ]
    takeaway = "Masks that prefer surprising tokens change, against uniform ones, " + "; ".join(
        f"at k = {gain.k} tr Γ by a factor {np.exp(np.mean(gain.trace)):.3g} and the relaxation time by "
        f"{np.exp(np.mean(gain.poincare)):.3g}"
        for gain in gains
    )
    data = {"curves": curves, "fits": fits, "gains": gains, "networks": networks, "strength": parameters.strength}
    return Findings(checks, Table.of(_rows(gains, networks)), data, takeaway + ".")


def _networks(law: IsingLaw, parameters: Parameters, seed: int, progress: Progress) -> list[Network]:
    """Networks trained with each mask law and sampled with each, single sites, beside exact conditionals."""
    masks: dict[str, MaskLaw | AdaptiveMaskLaw] = {
        UNIFORM: k_uniform(law.sites, 1),
        ADAPTIVE: surprise.surprise_masks(law, 1, parameters.strength),
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
                Network(
                    n,
                    index,
                    *names,
                    distance=total_variation(found, law.probabilities),
                    exact=total_variation(target, law.probabilities),
                    deviation=total_variation(found, target),
                    bound=stationary_distance_bound(chain, total_variation(chain.propagate(target), target)),
                )
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


def _mismatch_checks(networks: Sequence[Network], n: int) -> list[Check]:
    """With the largest data sets, unequal masks in training and sampling are worse than equal ones."""
    checks = []
    for sampled, other in ((UNIFORM, ADAPTIVE), (ADAPTIVE, UNIFORM)):
        matched, mismatched = (_distances(networks, n, trained, sampled) for trained in (sampled, other))
        checks.append(
            networks_at_most(
                f"sampled with {sampled} masks: TV to p if trained with the same minus if trained with {other} ones",
                matched - mismatched,
                detail=f"n = {n}; networks, paired by data set",
                level=LEVEL,
            )
        )
    return checks


def _distances(networks: Sequence[Network], n: int, trained: str, sampled: str) -> Array:
    wanted = (n, trained, sampled)
    return np.array([row.distance for row in networks if (row.samples, row.trained, row.sampled) == wanted])


def _rows(gains: Sequence[surprise.Gain], networks: Sequence[Network]) -> list[Row]:
    rows = []
    for gain in gains:
        for name, title in surprise.GAINS.items():
            values = np.array(getattr(gain, name))
            ratio, spread = float(np.exp(values.mean())), float(values.std(ddof=1))
            rows.append(Row(f"{title}, adaptive / uniform", f"k = {gain.k}", ratio, None, spread))
    for trained, sampled, n, exact in dict.fromkeys((r.trained, r.sampled, r.samples, r.exact) for r in networks):
        values = _distances(networks, n, trained, sampled)
        case = f"trained {trained}, sampled {sampled}, n = {n}"
        mean, spread = float(values.mean()), float(values.std(ddof=1))
        rows.append(Row("TV of the stationary law to p", case, exact, mean, spread))
    return rows


def draw_training(data: Mapping[str, Any]) -> Figure:
    """Distance of what trained networks sample to the data law, for each pair of mask laws."""
    rows = data["networks"]
    counts = sorted({row["samples"] for row in rows})
    figure, (axes,) = new_figure(width=5.6, height=5.6)
    for index, (trained, sampled) in enumerate(dict.fromkeys((row["trained"], row["sampled"]) for row in rows)):
        chosen = select(rows, trained=trained, sampled=sampled)
        groups = np.array([columns(select(chosen, samples=n))["distance"] for n in counts])
        mean, spread = groups.mean(axis=1), groups.std(axis=1, ddof=1)
        name = f"trained {trained}, sampled {sampled}"
        places = np.array(counts) * 1.06 ** (index - 2)
        marks(axes, places, mean, index, f"measured: {name}", interval=(mean - spread, mean + spread))
        if chosen[0]["exact"] > ROUNDING:
            look: dict[str, Any] = {"linestyle": DASHES[1 + index % 4], "color": COLOURS[index]}
            axes.axhline(chosen[0]["exact"], label=f"exact conditionals: {name}", **look)
    axes.set(xscale="log", xlabel="training sequences n", ylabel="TV of the stationary law to p", ylim=(0, None))
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.minorticks_off()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=7)
    last = columns(select(rows, samples=counts[-1]))
    right, wrong = (last["distance"][(last["exact"] > ROUNDING) == bad].mean() for bad in (False, True))
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
            surprise.draw,
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
