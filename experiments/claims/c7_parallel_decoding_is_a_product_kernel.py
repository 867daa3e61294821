"""C7: parallel decoding is a product kernel; a Transformer realises every one, and none replaces a block update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import headline, line, logarithmic, marks, name_ends, new_figure
from theory.blas import one_blas_thread
from theory.conditionals import TableConditionals
from theory.laws import JointLaw, ising_on, named_graph
from theory.masks import MaskLaw, k_uniform
from theory.parallel_decoding import (
    ProductKernel,
    block_update,
    block_update_gap,
    conditional_total_correlation,
    parallel_update,
    product_divergence,
    random_product_kernel,
    transformer_for,
    transformer_parameters,
)
from theory.parameters import parameter
from theory.states import state_count

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Imitation = Callable[[ProductKernel], ProductKernel]

REALISATION_ERROR = 1e-12
"""Total variation that "to float precision" allows in a row of the kernel."""

ROUNDING = 1e-10
"""Rounding allowed between two float64 routes to the same number of nats."""

OPTIMISER_ERROR = 1e-6
"""How close, in nats, the numerical optimiser must come to the loss that is predicted to be the least."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: tuple[int, ...] = parameter(
        (1, 2, 3, 4, 5), "sites N of the random kernels", full=(1, 2, 3, 4, 5, 6, 7, 8), minimum=1
    )
    symbols: tuple[int, ...] = parameter((2, 3), "symbols q of the random kernels", full=(2, 3, 4, 5), minimum=2)
    largest: int = parameter(128, "pairs (N, q) with more states q^N are left out", full=625, minimum=2)
    kernels: int = parameter(3, "random kernels for each N, q and concentration", full=5, minimum=1)
    concentrations: tuple[float, ...] = parameter(
        (0.05, 1.0), "Dirichlet concentrations of the factors; small ones give probabilities near 0", minimum=1e-3
    )
    ring: int = parameter(4, "sites of the Ising ring that is updated in blocks", full=6, minimum=3, maximum=9)
    couplings: tuple[float, ...] = parameter((0.0, 0.25, 0.5, 1.0), "couplings J of the Ising ring")
    field: float = parameter(0.1, "field h of the Ising ring")
    starts: int = parameter(3, "starting points of the numerical optimiser for each mask", full=3, minimum=1)


@dataclass(frozen=True)
class Realised:
    """Constructed Transformers for one (N, q): the worst error, the weights and the free numbers of a kernel.

    ``single`` is the worst error of the kernels themselves in single precision.
    """

    sites: int
    symbols: int
    states: int
    error: float
    single: float
    weights: int
    formula: int
    free: int


@dataclass(frozen=True)
class Loss:
    """Loss of parallel block updates of an Ising ring by several routes, for a coupling and a mask size."""

    transformer: float
    perturbed: float
    coupling: float = heading("coupling J")
    size: int = heading("masked sites k")
    direct: float = heading("loss, direct (nats)")
    entropies: float = heading("conditional TC (nats)")
    optimised: float = heading("optimised (nats)")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    kernels = _realisations(parameters, generator, progress)
    updates = _losses(parameters, generator, progress)
    realised, losses = columns(kernels), columns(updates)
    predicted = losses["entropies"]
    checks = [
        Check.at_most(
            "Transformer against kernel, total variation of the worst row",
            realised["error"],
            REALISATION_ERROR,
            detail=f"{len(kernels)} pairs (N, q), {parameters.kernels} kernels for each concentration, and a "
            "deterministic kernel for zeros",
            trivial=1.0,
        ).against("the kernel in single precision", float((realised["single"] > REALISATION_ERROR).mean())),
        Check.equal(
            "number of weights against its formula", realised["weights"], realised["formula"], 0.0
        ).by_algebra(),
        Check.equal(
            "loss of the best product approximation against conditional total correlation",
            losses["direct"],
            predicted,
            ROUNDING,
            "nats; direct KL between dense kernels against entropies of the joint table",
        ).by_algebra(),
        Check.equal(
            "loss of the constructed Transformer's parallel step against conditional total correlation",
            losses["transformer"],
            predicted,
            ROUNDING,
            "nats; the Transformer is told the mask and its kernel is compared with the block update",
            wrong=("nothing is lost", 0.0),
        ),
        Check.at_least(
            "no product kernel found by optimisation loses less",
            losses["optimised"],
            predicted,
            ROUNDING,
            f"nats; L-BFGS over the logits of all factors, the best of {parameters.starts} starts",
            wrong=("a tenth more is lost", 1.1 * predicted),
        ),
        Check.at_most(
            "optimisation reaches the predicted loss",
            losses["optimised"],
            predicted,
            OPTIMISER_ERROR,
            "nats",
            wrong=("a tenth less is lost", 0.9 * predicted),
        ),
        Check.at_least(
            "no perturbed product kernel loses less",
            losses["perturbed"],
            predicted,
            ROUNDING,
            "nats; the best factors mixed with random ones, weights 1e-4 to 1",
            wrong=("a tenth more is lost", 1.1 * predicted),
        ),
    ]
    worst = max(updates, key=lambda row: row.entropies)
    takeaway = (
        f"A Transformer realises any product kernel to {np.max(realised['error']):.1g} in total variation; the best "
        f"parallel step still loses {worst.entropies:.3g} nats at J = {worst.coupling:g}, k = "
        f"{worst.size}, and no optimisation found a better one."
    )
    data = {"realised": kernels, "losses": updates, "ring": parameters.ring}
    return Findings(checks, Table.of(updates), data, takeaway)


def _shapes(parameters: Parameters) -> list[tuple[int, int]]:
    """(N, q) of the random kernels; the smallest where all are too large."""
    return [
        (n, q) for q in parameters.symbols for n in parameters.sites if state_count(n, q) <= parameters.largest
    ] or [(min(parameters.sites), min(parameters.symbols))]


def _realisations(parameters: Parameters, generator: np.random.Generator, progress: Progress) -> list[Realised]:
    shapes = _shapes(parameters)
    result = []
    for done, (sites, symbols) in enumerate(shapes):
        progress(0.5 * done / len(shapes), f"Transformers for N = {sites}, q = {symbols}")
        kernels = [
            random_product_kernel(sites, symbols, generator, concentration)
            for concentration in parameters.concentrations
            for _ in range(parameters.kernels)
        ]
        states = state_count(sites, symbols)
        kernels.append(ProductKernel(np.eye(symbols)[generator.integers(symbols, size=(states, sites))]))
        networks = [transformer_for(kernel) for kernel in kernels]
        errors = [_worst_row(network.kernel(), kernel) for network, kernel in zip(networks, kernels, strict=True)]
        counts = (networks[0].parameter_count, transformer_parameters(sites, symbols), states * sites * (symbols - 1))
        single = [_worst_row(_single_precision(kernel), kernel) for kernel in kernels]
        result.append(Realised(sites, symbols, states, max(errors), max(single), *counts))
    return result


def _single_precision(kernel: ProductKernel) -> ProductKernel:
    factors = kernel.factors.astype(np.float32).astype(np.float64)
    return ProductKernel(factors / factors.sum(axis=2, keepdims=True))


def _worst_row(left: ProductKernel, right: ProductKernel) -> float:
    return float(0.5 * np.abs(left.to_matrix() - right.to_matrix()).sum(axis=1).max())


def _losses(parameters: Parameters, generator: np.random.Generator, progress: Progress) -> list[Loss]:
    result = []
    cases = [(coupling, size) for coupling in parameters.couplings for size in range(1, parameters.ring + 1)]
    graph = named_graph("cycle", parameters.ring)
    for done, (coupling, size) in enumerate(cases):
        progress(0.5 + 0.5 * done / len(cases), f"block updates for J = {coupling:g}, k = {size}")
        law, masks = ising_on(graph, coupling, parameters.field), k_uniform(parameters.ring, size)
        # Threads only slow down the many tiny steps of the optimiser.
        with one_blas_thread():
            optimised = _optimised_loss(law, masks, parameters.starts, generator)
        weights = (1e-4, 1e-2, 0.1, 1.0)
        result.append(
            Loss(
                transformer=_mean_loss(law, masks, lambda kernel: transformer_for(kernel).kernel()),
                perturbed=min(_mean_loss(law, masks, _perturbed(weight, generator)) for weight in weights),
                coupling=coupling,
                size=size,
                direct=block_update_gap(law, masks),
                entropies=conditional_total_correlation(law, masks),
                optimised=optimised,
            )
        )
    return result


def _mean_loss(law: JointLaw, masks: MaskLaw, imitate: Imitation) -> float:
    """E_K E_{x~p} KL(block update || imitation of its parallel step), in nats."""
    total = 0.0
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        kernel = imitate(parallel_update(TableConditionals(law), mask))
        total += float(probability) * float(law.probabilities @ product_divergence(block_update(law, mask), kernel))
    return total


def _perturbed(weight: float, generator: np.random.Generator) -> Imitation:
    def imitate(kernel: ProductKernel) -> ProductKernel:
        other = random_product_kernel(kernel.sites, kernel.symbols, generator)
        # Sites that the block update keeps must be kept, or the loss is infinite.
        kept = kernel.factors.max(axis=2, keepdims=True) == 1
        return ProductKernel(np.where(kept, kernel.factors, (1 - weight) * kernel.factors + weight * other.factors))

    return imitate


def _optimised_loss(law: JointLaw, masks: MaskLaw, starts: int, generator: np.random.Generator) -> float:
    """E_K of the least E KL(p(x_K | x_{-K}) || product over K) that L-BFGS finds over all factors."""
    total = 0.0
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        conditional, weights = law.conditional(mask), law.context_probabilities(mask)
        shape = (len(weights), len(mask), law.symbols)
        best = min(
            float(
                minimize(
                    _loss_and_gradient,
                    generator.normal(size=shape).ravel(),
                    args=(conditional, weights, shape),
                    jac=True,
                    method="L-BFGS-B",
                    options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-9},
                ).fun
            )
            for _ in range(starts)
        )
        total += float(probability) * best
    return total


def _loss_and_gradient(
    flat: Array, conditional: Array, weights: Array, shape: tuple[int, int, int]
) -> tuple[float, Array]:
    """sum_c p(c) KL(p(. | c) || prod_i softmax(logits_{c,i})), outcome by outcome, and its gradient in the logits."""
    _, count, symbols = shape
    logits = flat.reshape(shape)
    outcomes = np.stack(np.unravel_index(np.arange(symbols**count), (symbols,) * count), axis=1)
    log_factors = log_softmax(logits, axis=2)
    log_product = sum(log_factors[:, i, outcomes[:, i]] for i in range(count))
    weighted = weights[:, None] * conditional
    logs = np.log(conditional, out=np.zeros_like(conditional), where=conditional > 0)
    gradient = weights[:, None, None] * softmax(logits, axis=2)
    for i in range(count):
        for symbol in range(symbols):
            gradient[:, i, symbol] -= weighted[:, outcomes[:, i] == symbol].sum(axis=1)
    return float((weighted * (logs - log_product)).sum()), gradient.ravel()


def draw_realisation(data: Mapping[str, Any]) -> Figure:
    """Errors and sizes of the constructed Transformers."""
    rows = sorted(data["realised"], key=lambda row: row["states"])
    figure, (above, below) = new_figure(2, 1, width=5.0, height=6.6)
    drawn = logarithmic(above, [row["error"] for row in rows], REALISATION_ERROR)
    below.set_yscale("log")
    ends = {}
    for index, symbols in enumerate(sorted({row["symbols"] for row in rows})[:6]):
        found = columns(select(rows, symbols=symbols))
        marks(above, found["states"], drawn(found["error"]), index, f"q = {symbols}", hollow=index % 2 == 1)
        marks(below, found["states"], found["weights"], index, hollow=index % 2 == 1)
        line(below, found["states"], found["formula"], index)
        line(below, found["states"], found["free"], index, dash=":")
        ends[f"q = {symbols}"] = (index, float(found["weights"][-1]))
    above.axhline(REALISATION_ERROR, color="black", linestyle="--", label="allowed")
    above.set(ylabel="total variation, worst row", title="error of the construction")
    above.legend()
    below.set(ylabel="weights", title="size (solid: formula; dotted: free numbers of a kernel)")
    for axes in (above, below):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("states $q^N$")
    name_ends(below, ends)
    share = [row["weights"] / row["free"] for row in rows]
    headline(
        figure,
        f"Explicit weights realise every product kernel to {max(row['error'] for row in rows):.1g}, with "
        f"{min(share):.0f} to {max(share):.0f} weights for each free number",
    )
    return figure


def draw_loss(data: Mapping[str, Any]) -> Figure:
    """Loss of the best parallel imitation of a block update against the number of masked sites."""
    figure, (axes,) = new_figure(width=5.0, height=4.4)
    ends = {}
    couplings = sorted({row["coupling"] for row in data["losses"]})
    for index, coupling in enumerate(couplings[-6:]):
        found = columns(select(data["losses"], coupling=coupling))
        line(axes, found["size"], found["entropies"], index)
        marks(axes, found["size"], found["direct"], index, hollow=True)
        axes.plot(found["size"], found["optimised"], "+", color="black", markersize=8, zorder=4)
        ends[f"J = {coupling:g}"] = (index, float(found["entropies"][-1]))
    axes.plot([], [], "-", color="0.4", label="predicted: conditional total correlation")
    axes.plot([], [], "o", color="0.4", fillstyle="none", label="direct KL")
    axes.plot([], [], "+", color="black", markersize=8, label="best of a numerical search")
    axes.set(xlabel="masked sites k", ylabel="loss of the best product kernel (nats)")
    axes.set_xticks(sorted({row["size"] for row in data["losses"]}))
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=1)
    name_ends(axes, ends)
    worst = max(data["losses"], key=lambda row: row["entropies"])
    headline(
        figure,
        f"The best parallel step loses {worst['entropies']:.2g} nats of a block update of {worst['size']} of "
        f"{data['ring']} sites at J = {worst['coupling']:g}, nothing of single sites",
    )
    return figure


def memory(parameters: Parameters) -> float:
    """See `Claim`: the networks of one (N, q), which are kept together, and two dense kernels with a working copy."""
    networks = len(parameters.concentrations) * parameters.kernels + 1
    return max(
        8.0 * (networks * transformer_parameters(n, q) + 4.0 * state_count(n, q) ** 2) for n, q in _shapes(parameters)
    )


CLAIM = Claim(
    id="C7",
    name="parallel-decoding-is-a-product-kernel",
    title="Parallel decoding is a product kernel: all of them are possible, and none replaces a block update",
    statement=(
        "One parallel decoding step of a Transformer is a product kernel P(x′ | x) = ∏ᵢ Pᵢ(x′ᵢ | x). "
        "(a) For every product kernel on Ω^N, explicit weights of a one-block Transformer realise it to float "
        "precision. (b) The best product approximation of k-Gibbs' block update, even when told the mask K, loses "
        "exactly the conditional total correlation: min over product kernels of E_K E_x KL(p(x_K | x_−K) ‖ ∏ᵢ Pᵢ) = "
        "E_K TC(x_K | x_−K)."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; construction and exact loss derived here",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "realisation",
            "Above: total variation between the constructed Transformer's parallel step and the kernel it was built "
            "for (markers, measured; zero in the grey strip) and the error that is allowed (dashed). Below: weights "
            "counted (markers), their formula (solid), and free numbers of a product kernel (dotted).",
            draw_realisation,
        ),
        FigureSpec(
            "loss",
            "Loss of the best product approximation of a block update of k sites: predicted by conditional total "
            "correlation (lines), measured by direct KL (markers) and by a search over product kernels (crosses).",
            draw_loss,
        ),
    ),
    memory=memory,
)
