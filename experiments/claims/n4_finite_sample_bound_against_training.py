"""N4: the finite-sample bound beside what training achieves, and by what factor it is loose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading, select
from experiments.figures import DASHES, headline, line, marks, new_figure, readable
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


@dataclass(frozen=True)
class Trained:
    """One model of a class with conditionals >= ``beta`` and a cover of exp(``log_cover``), on n sequences, in nats.

    ``shortfall`` is by how much its loss on the data set exceeds the truth's; distances are total variations to p.
    """

    kind: str
    samples: int
    seed: int
    parameters: int
    beta: float
    log_cover: float
    shortfall: float
    excess: float
    excess_bound: float
    distance: float
    distance_bound: float


@dataclass(frozen=True)
class Minimisers:
    """2n times the excess loss of exact minimisers: mean over data sets, its standard error, and tr(I Γ).

    ``infinite`` of the fits have no finite optimum.
    """

    samples: int
    infinite: int
    mean: float
    error: float
    trace: float


@dataclass(frozen=True)
class Row:
    """The models of one kind and n, for the reader."""

    kind: str = heading("model")
    parameters: int = heading("parameters")
    samples: int = heading("n")
    excess: float = heading("excess loss (nats, mean)")
    spread: float = heading("s.d. over seeds")
    bound: float = heading("bound (mean)")
    loose: float = heading("loose by a factor of")
    shortfall: float = heading("of the bound: training short of p")
    distance: float = heading("TV to p (mean)")
    distance_bound: float = heading("TV bound (mean)")


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
    models = []
    for done, (kind, n, index) in enumerate(cases):
        progress(0.9 * done / len(cases), f"{kind}, n = {n}, seed {index + 1} of {parameters.seeds}")
        models.append(_trained(kind, n, 1000 * seed + index, law, masks, truth, delta, parameters))
    progress(0.9, "exact minimisers")
    minimisers = [_minimisers(n, law, masks, truth, parameters, seed) for n in sorted(parameters.samples)]
    c = columns(models)
    telling = int((c["distance_bound"] < 1).sum())
    checks = [
        Check.at_most(
            "excess loss of the learned conditionals against the bound",
            c["excess"],
            c["excess_bound"],
            detail=f"nats; every trained model; false-alarm rate {FALSE_ALARM:g} for all together",
            trivial=-np.log(c["beta"]),
            wrong=("a bound of a ten-thousandth", c["excess_bound"] / 1e4),
        ),
        Check.at_most(
            "total variation of the learned law to p against its bound",
            c["distance"],
            c["distance_bound"],
            detail="family: by C_AT of the learned law; networks: by the contraction of the Gibbs sampler; on the "
            f"same event as the excess loss. Of {len(models)} bounds {telling} are below 1, where they say something",
            trivial=1.0,
            wrong=("a bound of a hundredth", c["distance_bound"] / 100),
        ),
        _minimiser_check(minimisers[-1], parameters),
    ]
    looseness = (c["excess_bound"] / c["excess"])[c["excess"] > 0]
    takeaway = (
        f"The bound on the excess loss is {readable(looseness.min())} to {readable(looseness.max())} times the loss of "
        f"the trained models; on total variation it says something for {telling} of {len(models)} of them."
    )
    data = {
        "models": models,
        "minimisers": minimisers,
        "kinds": kinds,
        "guessing": log(2) - float(law.probabilities @ truth),
    }
    return Findings(
        checks, Table.of([_row(models, kind, n) for kind in kinds for n in sorted(parameters.samples)]), data, takeaway
    )


def _row(models: Sequence[Trained], kind: str, samples: int) -> Row:
    c = columns([model for model in models if (model.kind, model.samples) == (kind, samples)])
    excess, bound, shortfall, distance, distance_bound = (
        float(c[name].mean()) for name in ("excess", "excess_bound", "shortfall", "distance", "distance_bound")
    )
    spread, size = float(c["excess"].std(ddof=1)), int(c["parameters"][0])
    return Row(kind, size, samples, excess, spread, bound, bound / excess, shortfall, distance, distance_bound)


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
) -> Trained:
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
    if family:
        constant = tensorization_upper_bound(learned, masks)
        distance = total_variation(learned.table, law.table)
        distance_bound = total_variation_bound(n, beta, delta, constant, log_cover, epsilon, shortfall)
    else:
        chain = DenseOperator(block_gibbs(model, masks).to_dense())
        distance = total_variation(stationary_law(chain).law, law.probabilities)
        # TV(p Q, p) <= E_K E TV(learned, true conditional) <= sqrt(excess / 2), by Pinsker and Jensen.
        distance_bound = stationary_distance_bound(chain, sqrt(bound / 2))
    losses = (shortfall, float(law.probabilities @ surplus), bound, distance, distance_bound)
    return Trained(kind, n, seed, parameter_count(network), beta, log_cover, *losses)


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


def _minimisers(n: int, law: IsingLaw, masks: MaskLaw, truth: Array, parameters: Parameters, seed: int) -> Minimisers:
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
    return Minimisers(
        n,
        parameters.repetitions - len(values),
        mean=float(np.mean(values)) if values else inf,
        # Var z.I z = 2 tr (I Gamma)^2 for z ~ N(0, Gamma).
        error=float(np.sqrt(2 * np.trace(weighted @ weighted) / max(len(values), 1))),
        trace=float(np.trace(weighted)),
    )


def _minimiser_check(row: Minimisers, parameters: Parameters) -> Check:
    name = "2n E excess loss of the exact minimiser against tr(I Γ), in standard errors"
    limit = normal_limit(FIT_ALARM / 2)
    if row.infinite:
        reason = f"{row.infinite} fits have no finite optimum; raise the number of samples"
        return Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason)
    detail = (
        f"n = {row.samples}, {parameters.repetitions} data sets; false-alarm rate {FIT_ALARM:g} (normal "
        "approximation), apart from terms of order 1/n"
    )
    deviation, other = (abs(row.mean - factor * row.trace) / row.error for factor in (1, 2))
    return Check.at_most(name, deviation, limit, detail=detail).against("n in place of 2n", float(other > limit))


LABELS = {"family": "Ising family", "mlp": "MLP", "transformer": "Transformer"}


def draw_excess(data: Mapping[str, Any]) -> Figure:
    """Excess loss and its bound, and their ratio, against n."""
    limit = columns(data["minimisers"])
    counts, predicted = limit["samples"], limit["trace"] / (2 * limit["samples"])
    figure, (left, right) = new_figure(1, 2, width=10.4, height=4.2)
    for index, kind in enumerate(data["kinds"]):
        c = columns(select(data["models"], kind=kind))
        bounds = np.array([c["excess_bound"][c["samples"] == n].mean() for n in counts])
        line(left, counts, bounds, index, f"bound, {LABELS[kind]}", DASHES[index])
        marks(left, c["samples"], c["excess"], index, f"trained {LABELS[kind]}")
        marks(right, c["samples"], c["excess_bound"] / c["excess"], index, f"trained {LABELS[kind]}")
        if kind == "family":
            line(right, counts, bounds / predicted, 7, "predicted for the exact minimiser", ":")
    line(left, counts, predicted, 7, "predicted for the exact minimiser: tr(I Γ) / 2n", ":")
    marks(left, counts, limit["mean"] / (2 * counts), 7, "exact minimisers (mean)")
    left.axhline(data["guessing"], color="0.6", linewidth=0.9, label="guessing uniformly")
    left.set(ylabel="excess loss L(θ) - L(p) (nats)")
    right.set(ylabel="bound / excess loss")
    right.axhline(1.0, color="0.6", linewidth=0.9)
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="training sequences n")
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    c = columns(data["models"])
    ratios = c["excess_bound"] / c["excess"]
    headline(
        figure,
        f"The bound on the excess loss is {readable(ratios.min())} to {readable(ratios.max())} times that of trained "
        "models",
    )
    return figure


def draw_distance(data: Mapping[str, Any]) -> Figure:
    """Total variation of the learned law and its bound against n."""
    counts = [row["samples"] for row in data["minimisers"]]
    figure, (axes,) = new_figure(width=5.4, height=4.4)
    for index, kind in enumerate(data["kinds"]):
        c = columns(select(data["models"], kind=kind))
        bounds = [c["distance_bound"][c["samples"] == n].mean() for n in counts]
        line(axes, counts, bounds, index, f"bound, {LABELS[kind]}", DASHES[index])
        marks(axes, c["samples"], c["distance"], index, f"trained {LABELS[kind]}")
    axes.set(xscale="log", yscale="log", xlabel="training sequences n", ylabel="TV of the learned law to p")
    axes.axhspan(1.0, axes.get_ylim()[1], color="0.9", zorder=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    c = columns(data["models"])
    telling = c["samples"][c["distance_bound"] < 1]
    since = f"says something from n = {readable(telling.min())}" if telling.size else "is above 1 at every n"
    headline(
        figure,
        f"Learned laws are at most {(c['distance'] / c['distance_bound']).max():.2g} of the bound away from p; the "
        f"bound {since} (grey: says nothing)",
    )
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
            "(grey, beside their prediction, dotted) under the bound (lines). Right: bound divided by what was "
            "measured. Above the thin line on the left the bound promises less than guessing uniformly.",
            draw_excess,
        ),
        FigureSpec(
            "distance",
            "Total variation to the data law of the learned law: of the family's member, and of the stationary law of "
            "the network's Gibbs sampler (marks, one for each data set), with the bounds (lines; in the grey they say "
            "nothing).",
            draw_distance,
        ),
    ),
)
