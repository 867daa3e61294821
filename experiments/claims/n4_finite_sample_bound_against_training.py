"""N4: the finite-sample bound beside what training achieves, and by what factor it is loose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from experiments.learned import Learning, new_network, train_network, training_set
from experiments.statistics import normal_limit
from theory.bounds.finite_sample import (
    best_cover_of_box,
    excess_loss_bound,
    smallest_conditional,
    smallest_conditional_in_box,
    total_variation_bound,
)
from theory.bounds.perturbation import stationary_distance_bound
from theory.chains import DenseOperator, stationary_law
from theory.conditionals import ConditionalModel, TableConditionals
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance, empirical_law, fit, population, pseudolikelihood_information
from theory.inequalities import tensorization_upper_bound
from theory.laws import IsingLaw, JointLaw, ising
from theory.masks import MaskLaw, k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs
from theory.states import all_sequences

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulators.gmlm.networks import MaskedNetwork

Array = NDArray[np.float64]

FALSE_ALARM = 1e-3
"""Probability that any of the bounds fails by chance, all trained models together; δ of one is its equal share."""

FIT_ALARM = 1e-4
"""Probability that the check of the minimisers' excess loss fails although its prediction is right."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(3, "sites N of the Ising model", minimum=2, maximum=6)
    box: float = parameter(
        1.0, "half-width of the family's box of parameters; the truth lies in its inner half", minimum=0.01, maximum=2.0
    )
    networks: tuple[str, ...] = parameter(("mlp",), "architectures, beside the family", full=("mlp", "transformer"))
    samples: tuple[int, ...] = parameter(
        (1000, 30_000, 1_000_000), "training sequences n", full=(1000, 10_000, 100_000, 1_000_000), minimum=50
    )
    seeds: int = parameter(3, "data sets and networks for each n", full=5, minimum=2)
    repetitions: int = parameter(60, "data sets for the exact minimisers of each n", full=200, minimum=20)
    steps: int = parameter(300, "training steps", full=1500, minimum=1)
    width: int = parameter(8, "width of the networks", minimum=2)
    floor: float = parameter(0.02, "smallest conditional that the networks can express", minimum=1e-4, maximum=0.4)
    bits: int = parameter(8, "bits to which every parameter of a trained network is rounded", minimum=2, maximum=24)
    reach: float = parameter(4.0, "the rounded parameters lie in [-reach, reach]", minimum=0.1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = _truth(parameters, seed)
    masks = k_uniform(law.sites, 1)
    beta = smallest_conditional([law], masks)
    if parameters.floor > beta:
        raise InvalidInput("floor", parameters.floor, f"must not exceed the truth's smallest conditional, {beta:.3g}")
    truth = _losses(TableConditionals(law))
    kinds = ("family", *parameters.networks)
    cases = [
        (kind, n, index) for kind in kinds for n in sorted(parameters.samples) for index in range(parameters.seeds)
    ]
    delta = FALSE_ALARM / len(cases)
    rows = []
    for done, (kind, n, index) in enumerate(cases):
        progress(0.9 * done / len(cases), f"{kind}, n = {n}, seed {index + 1} of {parameters.seeds}")
        rows.append(_trained(kind, n, 1000 * seed + index, law, masks, truth, delta, parameters))
    progress(0.9, "exact minimisers")
    minimisers = [_minimisers(n, law, masks, truth, parameters, seed) for n in sorted(parameters.samples)]
    checks = [
        Check.at_most(
            "excess loss of the learned conditionals against the bound",
            [row["excess"] for row in rows],
            [row["excess_bound"] for row in rows],
            detail=f"nats; every trained model; false-alarm rate {FALSE_ALARM:g} for all together",
            trivial=[log(1 / row["beta"]) for row in rows],
            wrong=("a bound of a ten-thousandth", [row["excess_bound"] / 1e4 for row in rows]),
        ),
        Check.at_most(
            "total variation of the learned law to p against its bound",
            [row["distance"] for row in rows],
            [row["distance_bound"] for row in rows],
            detail="family: by C_AT of the learned law; networks: by the contraction of the Gibbs sampler; on the "
            f"same event as the excess loss. Of {len(rows)} bounds {sum(row['distance_bound'] < 1 for row in rows)} "
            "are below 1, where they say something",
            trivial=1.0,
            wrong=("a bound of a hundredth", [row["distance_bound"] / 100 for row in rows]),
        ),
        _minimiser_check(minimisers[-1], parameters),
    ]
    looseness = [row["excess_bound"] / row["excess"] for row in rows if row["excess"] > 0]
    takeaway = (
        f"The bound on the excess loss is {min(looseness):.2g} to {max(looseness):.2g} times the loss of the trained "
        f"models; on total variation it says something for {sum(row['distance_bound'] < 1 for row in rows)} of "
        f"{len(rows)} of them."
    )
    return Findings(
        checks,
        _table(rows, kinds),
        {"rows": rows, "minimisers": minimisers, "kinds": kinds, "guessing": log(2) - float(law.probabilities @ truth)},
        takeaway,
    )


def _truth(parameters: Parameters, seed: int) -> IsingLaw:
    """An Ising model whose parameters are uniform over the inner half of the box."""
    generator, sites = np.random.default_rng([seed, 1]), parameters.sites
    upper = np.triu(generator.uniform(-1, 1, size=(sites, sites)), 1) * parameters.box / 2
    return ising(upper + upper.T, generator.uniform(-1, 1, size=sites) * parameters.box / 2)


def _losses(model: ConditionalModel) -> Array:
    """E_K -ln p(x_K | x_{-K}) for single-site masks, for every sequence, [S], in nats."""
    sequences = all_sequences(model.sites, model.symbols)
    taken = np.take_along_axis(model.leave_one_out(), sequences[:, :, None], axis=2)[:, :, 0]
    return np.asarray(-np.log(taken).mean(axis=1))


def _trained(
    kind: str, n: int, seed: int, law: IsingLaw, masks: MaskLaw, truth: Array, delta: float, parameters: Parameters
) -> dict[str, Any]:
    """One model trained on n sequences, put into a class of known size, and its bounds."""
    from simulators.gmlm.energy import ExponentialNetwork
    from simulators.gmlm.induced import induced_conditionals
    from simulators.gmlm.networks import parameter_count

    family = kind == "family"
    floor = 0.0 if family else parameters.floor
    learning = Learning(kind, parameters.width, steps=parameters.steps, batch=128, rate=1e-2, floor=floor)
    network = new_network(law, learning, seed)
    train_network(network, law, masks, learning, seed, n)
    model: ConditionalModel
    if isinstance(network, ExponentialNetwork):
        low, high = -parameters.box, parameters.box
        beta = smallest_conditional_in_box(law.family, low, high, masks)
        epsilon, log_cover = best_cover_of_box(law.family, low, high, n, beta, delta)
        learned = law.family.law(np.clip(np.asarray(network.theta[...], dtype=np.float64), low, high))
        model = TableConditionals(learned)
    else:
        _round(network, parameters.bits, parameters.reach)
        beta, epsilon = parameters.floor, 0.0
        log_cover = parameter_count(network) * parameters.bits * log(2)
        model = induced_conditionals(network)
    surplus = _losses(model) - truth
    seen = empirical_law(training_set(law, seed, n), law.symbols)
    shortfall = max(0.0, float(seen.probabilities @ surplus))
    bound = excess_loss_bound(n, beta, delta, log_cover, epsilon, shortfall)
    result = {
        "kind": kind,
        "samples": n,
        "seed": seed,
        "parameters": parameter_count(network),
        "beta": beta,
        "log_cover": log_cover,
        "shortfall": shortfall,
        "excess": float(law.probabilities @ surplus),
        "excess_bound": bound,
    }
    if family:
        constant = tensorization_upper_bound(learned, masks)
        distance_bound = total_variation_bound(n, beta, delta, constant, log_cover, epsilon, shortfall)
        return result | {"distance": total_variation(learned.table, law.table), "distance_bound": distance_bound}
    chain = DenseOperator(block_gibbs(model, masks).to_dense())
    # TV(p Q, p) <= E_K E TV(learned, true conditional) <= sqrt(excess / 2), by Pinsker and Jensen.
    return result | {
        "distance": total_variation(stationary_law(chain).law, law.probabilities),
        "distance_bound": stationary_distance_bound(chain, sqrt(bound / 2)),
    }


def _round(network: MaskedNetwork, bits: int, reach: float) -> None:
    """Put every parameter on the nearest of 2^bits equally spaced numbers in [-reach, reach]."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    step = 2 * reach / (2**bits - 1)

    def rounded(leaf: jax.Array) -> jax.Array:
        values = np.clip(np.asarray(leaf, dtype=np.float64), -reach, reach)
        return jnp.asarray(np.round((values + reach) / step) * step - reach, dtype=leaf.dtype)

    nnx.update(network, jax.tree.map(rounded, nnx.state(network, nnx.Param)))


def _minimisers(
    n: int, law: IsingLaw, masks: MaskLaw, truth: Array, parameters: Parameters, seed: int
) -> dict[str, Any]:
    """2n times the excess loss of the family's exact minimiser over many data sets, beside its limit."""
    information = pseudolikelihood_information(law.family, law.theta, masks)
    weighted = information @ asymptotic_covariance(law.family, law.theta, masks, "all")
    generator = np.random.default_rng([seed, 2, n])
    values = []
    for _ in range(parameters.repetitions):
        # How often n sequences take each value, without the sequences.
        seen = JointLaw(generator.multinomial(n, law.probabilities).reshape(law.table.shape) / n)
        estimate = fit(law.family, population(seen, masks), start=law.theta)
        if estimate.converged:
            surplus = _losses(TableConditionals(law.family.law(estimate.theta))) - truth
            values.append(2 * n * float(law.probabilities @ surplus))
    return {
        "samples": n,
        "infinite": parameters.repetitions - len(values),
        "mean": float(np.mean(values)) if values else inf,
        # Var z.I z = 2 tr (I Gamma)^2 for z ~ N(0, Gamma).
        "error": float(np.sqrt(2 * np.trace(weighted @ weighted) / max(len(values), 1))),
        "trace": float(np.trace(weighted)),
    }


def _minimiser_check(row: dict[str, Any], parameters: Parameters) -> Check:
    name = "2n E excess loss of the exact minimiser against tr(I Γ), in standard errors"
    limit = normal_limit(FIT_ALARM / 2)
    if row["infinite"]:
        reason = f"{row['infinite']} fits have no finite optimum; raise the number of samples"
        return Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason)
    detail = (
        f"n = {row['samples']}, {parameters.repetitions} data sets; false-alarm rate {FIT_ALARM:g} (normal "
        "approximation), apart from terms of order 1/n"
    )
    check = Check.at_most(name, abs(row["mean"] - row["trace"]) / row["error"], limit, detail=detail)
    rejected = abs(row["mean"] - 2 * row["trace"]) / row["error"] > limit
    return check.against("n in place of 2n", float(rejected))


def _table(rows: list[dict[str, Any]], kinds: tuple[str, ...]) -> Table:
    columns = [
        "model",
        "parameters",
        "n",
        "excess loss (nats, mean)",
        "s.d. over seeds",
        "bound (mean)",
        "loose by a factor of",
        "of the bound: training short of p",
        "TV to p (mean)",
        "TV bound (mean)",
    ]
    table = []
    for kind in kinds:
        for n in sorted({row["samples"] for row in rows}):
            chosen = [row for row in rows if (row["kind"], row["samples"]) == (kind, n)]
            means = {
                name: float(np.mean([row[name] for row in chosen]))
                for name in ("excess", "excess_bound", "shortfall", "distance", "distance_bound")
            }
            spread = float(np.std([row["excess"] for row in chosen], ddof=1))
            loose = means["excess_bound"] / means["excess"]
            cells = [means["excess"], spread, means["excess_bound"], loose, means["shortfall"]]
            table.append([kind, chosen[0]["parameters"], n, *cells, means["distance"], means["distance_bound"]])
    return Table(columns, table)


LABELS = {"family": "Ising family", "mlp": "MLP", "transformer": "Transformer"}


def draw_excess(data: Mapping[str, Any]) -> Figure:
    """Excess loss and its bound, and their ratio, against n."""
    counts = [row["samples"] for row in data["minimisers"]]
    with style():
        figure, (left, right) = new_figure(1, 2, width=10.4, height=4.2)
        for index, kind in enumerate(data["kinds"]):
            groups = [[r for r in data["rows"] if (r["kind"], r["samples"]) == (kind, n)] for n in counts]
            colour, marker, label = COLOURS[index], MARKERS[index], LABELS[kind]
            bounds = [np.mean([row["excess_bound"] for row in group]) for group in groups]
            left.plot(counts, bounds, linestyle=DASHES[index], color=colour, label=f"bound, {label}")
            for place, group in enumerate(groups):
                marks: dict[str, Any] = {"color": colour, "linestyle": "none", "marker": marker, "alpha": 0.7}
                name = f"trained {label}" if place == 0 else None
                left.plot([counts[place]] * len(group), [row["excess"] for row in group], label=name, **marks)
                ratios = [row["excess_bound"] / row["excess"] for row in group]
                right.plot([counts[place]] * len(group), ratios, label=name, **marks)
            if kind == "family":
                predicted = np.array([row["trace"] / (2 * row["samples"]) for row in data["minimisers"]])
                right.plot(counts, bounds / predicted, "-", color=colour, label="predicted for the exact minimiser")
        left.plot(counts, predicted, ":", color="0.35", label="predicted for the exact minimiser: tr(I Γ) / 2n")
        means = [row["mean"] / (2 * row["samples"]) for row in data["minimisers"]]
        left.plot(counts, means, "x", color="0.35", markersize=7, label="exact minimisers (mean)")
        left.axhline(data["guessing"], color="0.6", linewidth=0.9, label="guessing uniformly")
        left.set(ylabel="excess loss L(θ) - L(p) (nats)")
        right.set(ylabel="bound / excess loss")
        right.axhline(1.0, color="0.6", linewidth=0.9)
        for axes in (left, right):
            axes.set(xscale="log", yscale="log", xlabel="training sequences n")
        left.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        right.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        ratios = [row["excess_bound"] / row["excess"] for row in data["rows"]]
        headline(
            figure,
            f"The bound on the excess loss is {min(ratios):.3g} to {max(ratios):.3g} times that of trained networks",
        )
    return figure


def draw_distance(data: Mapping[str, Any]) -> Figure:
    """Total variation of the learned law and its bound against n."""
    counts = [row["samples"] for row in data["minimisers"]]
    with style():
        figure, (axes,) = new_figure(width=5.4, height=3.8)
        for index, kind in enumerate(data["kinds"]):
            groups = [[r for r in data["rows"] if (r["kind"], r["samples"]) == (kind, n)] for n in counts]
            bounds = [np.mean([row["distance_bound"] for row in group]) for group in groups]
            axes.plot(counts, bounds, linestyle=DASHES[index], color=COLOURS[index], label=f"bound, {LABELS[kind]}")
            for place, group in enumerate(groups):
                axes.plot(
                    [counts[place]] * len(group),
                    [row["distance"] for row in group],
                    MARKERS[index],
                    color=COLOURS[index],
                    alpha=0.7,
                    label=f"trained {LABELS[kind]}" if place == 0 else None,
                )
        axes.axhline(1.0, color="0.6", linewidth=0.9)
        axes.set(xscale="log", yscale="log", xlabel="training sequences n", ylabel="TV of the learned law to p")
        axes.legend(fontsize=7)
        worst = max(row["distance"] / row["distance_bound"] for row in data["rows"])
        telling = min(
            (n for n, row in ((r["samples"], r) for r in data["rows"]) if row["distance_bound"] < 1), default=None
        )
        since = f"below 1 from n = {telling:g}" if telling else "above 1 at every n: it excludes nothing"
        headline(figure, f"Learned laws are at most {worst:.2g} of the bound away from p; the bound is {since}")
    return figure


CLAIM = Claim(
    id="N4",
    name="finite-sample-bound-against-training",
    title="The finite-sample bound holds for trained models, and by what factor it is loose",
    statement=(
        "For every model θ of a class with conditionals ≥ β and an ε-cover of size C, minimiser or not, with "
        "probability 1 - δ: L(θ) - L(p) ≤ 2 ln(1/β) √(ln(2C/δ)/(2n)) + 2ε + [L_n(θ) - L_n(p)]₊, L the masked loss "
        "with single-site masks and L_n the same on n sequences. What it needs: for the Ising family a box of "
        "parameters; for a network a floor under its predictions and parameters rounded to b bits each, so that "
        "ln C = b d ln 2. The learned law is then near p: TV² ≤ ½ C_AT(p_θ) times the bound for the family; for a "
        "network the stationary law of its Gibbs sampler Q is within t √(bound/2) / (1 - δ(Q^t)) for every t. "
        "Exact minimisers in the family reach tr(I Γ)/(2n), so that the bound is loose by a factor of order √n."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 2 (finite samples); constants as in C4; van der Vaart 1998",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "excess",
            "Left: excess loss of trained models (marks, one for each data set) and of the family's exact minimisers "
            "(crosses, beside their prediction, dotted) under the bound (lines). Right: bound divided by what was "
            "measured. Above the thin line on the left the bound promises less than guessing uniformly.",
            draw_excess,
        ),
        FigureSpec(
            "distance",
            "Total variation to the data law of the learned law: of the family's member, and of the stationary law of "
            "the network's Gibbs sampler (marks, one for each data set), with the bounds (lines; 1 says nothing).",
            draw_distance,
        ),
    ),
)
