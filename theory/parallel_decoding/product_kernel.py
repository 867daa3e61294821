"""Product kernels: what one parallel step of a network can do, and what it loses against a block update.

A *product kernel* moves every site at once, independently given the present sequence: P(x' | x) = prod_i P_i(x_i' | x).
Among product kernels the closest to a kernel R in forward KL has, row by row, the marginals of R:
    KL(R(. | x) || prod_i Q_i) = TC(R(. | x)) + sum_i KL(R_i(. | x) || Q_i),
so the least loss in a row is the total correlation of that row.

**C7(b).** k-Gibbs draws a mask K and replaces x_K by a draw of p(x_K | x_{-K}). Its best parallel imitation, even one
that is told K, loses in stationarity E_K E_{x~p} KL = E_K TC(x_K | x_{-K}): the conditional total correlation.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states. KL and entropies in nats.
Source: Li et al. 2024 (arXiv:2407.21046), section 4; Cover and Thomas, ch. 2.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

from theory.chains.operator import ROW_SUM_TOLERANCE, TransitionOperator
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import MaskLaw
from theory.memory import require_memory
from theory.states import block_indices, check_sites, require_states, state_count

Array = NDArray[np.float64]


class ProductKernel:
    """P(x' | x) = prod_i P_i(x_i' | x) on Omega^N.

    Args:
        factors: shape [S, N, q], entry [x, i, a] is P_i(a | x).

    Raises:
        InvalidInput: a wrong shape, negative or non-finite entries, or a factor that does not sum to 1.
    """

    def __init__(self, factors: ArrayLike) -> None:
        values = np.array(factors, dtype=np.float64)
        if values.ndim != 3 or values.shape[0] != state_count(values.shape[1], values.shape[2]):
            raise InvalidInput("factors", f"an array of shape {values.shape}", "shape (q**N, N, q) is needed")
        if not np.isfinite(values).all() or values.min() < 0:
            raise InvalidInput("factors", "negative or not finite", "probabilities are finite and >= 0")
        sums = values.sum(axis=2, keepdims=True)
        if np.abs(sums - 1).max() > ROW_SUM_TOLERANCE:
            worst = np.unravel_index(int(np.abs(sums - 1).argmax()), sums.shape)
            place = f"factors[{worst[0]}, {worst[1]}]"
            raise InvalidInput(place, f"sum {float(sums[worst])!r}", "must sum to 1 over the symbols")
        values /= sums
        values.flags.writeable = False
        self.factors: Array = values

    @property
    def states(self) -> int:
        """S."""
        return self.factors.shape[0]

    @property
    def sites(self) -> int:
        """N."""
        return self.factors.shape[1]

    @property
    def symbols(self) -> int:
        """q."""
        return self.factors.shape[2]

    def to_matrix(self) -> Array:
        """The dense matrix, shape [S, S].

        Raises:
            ExceedsMemory: it does not fit.
        """
        require_memory(16.0 * self.states**2, "sites", self.sites, f"the {self.states} x {self.states} matrix")
        matrix = np.ones((self.states, 1))
        for site in range(self.sites):
            matrix = (matrix[:, :, None] * self.factors[:, site, None, :]).reshape(self.states, -1)
        return matrix


def random_product_kernel(
    sites: int, symbols: int, generator: np.random.Generator, concentration: float = 1.0
) -> ProductKernel:
    """Independent Dirichlet(concentration, ..., concentration) factors.

    Raises:
        InvalidInput: a concentration that is not positive and finite.
        ExceedsMemory: the factors do not fit.
    """
    if not 0 < concentration < np.inf:
        raise InvalidInput("concentration", concentration, "a finite number > 0 is needed")
    states = require_states(sites, symbols, 16.0 * sites * symbols, "the factors of a product kernel")
    return ProductKernel(generator.dirichlet(np.full(symbols, concentration), size=(states, sites)))


def parallel_update(model: ConditionalModel, masked: Iterable[int]) -> ProductKernel:
    """One parallel step on a mask: i in K draws from p(x_i | x_{-K}) on its own, the other sites stay."""
    chosen = check_sites(masked, model.sites)
    states = require_states(model.sites, model.symbols, 16.0 * model.sites * model.symbols, "the factors")
    digits = np.stack(np.unravel_index(np.arange(states), (model.symbols,) * model.sites), axis=1)
    factors = np.eye(model.symbols)[digits]
    if chosen:
        tokens = model.token_conditionals(chosen)
        groups = block_indices(model.sites, model.symbols, chosen)
        for position, site in enumerate(chosen):
            factors[groups, site] = tokens[position][:, None, :]
    return ProductKernel(factors)


def block_update(law: JointLaw, masked: Iterable[int]) -> Array:
    """k-Gibbs' update of one mask: R_K(x, x') = p(x'_K | x_{-K}) where x' agrees with x off K, else 0; shape [S, S].

    Raises:
        ExceedsMemory: the matrix does not fit.
    """
    chosen = check_sites(masked, law.sites)
    require_memory(8.0 * law.states**2, "sites", law.sites, f"the {law.states} x {law.states} matrix")
    matrix = np.zeros((law.states, law.states))
    for group, conditional in zip(block_indices(law.sites, law.symbols, chosen), law.conditional(chosen), strict=True):
        matrix[np.ix_(group, group)] = conditional
    return matrix


def best_product_approximation(chain: TransitionOperator | ArrayLike, sites: int, symbols: int) -> ProductKernel:
    """The product kernel closest to a kernel R in forward KL in every row: the marginals of the rows.

    Raises:
        InvalidInput: the kernel does not act on q^N states.
    """
    rows = _rows(chain, sites, symbols)
    return ProductKernel(
        np.stack(
            [rows.sum(axis=tuple(1 + j for j in range(sites) if j != site)) for site in range(sites)],
            axis=1,
        )
    )


def product_divergence(chain: TransitionOperator | ArrayLike, kernel: ProductKernel) -> Array:
    """KL(R(. | x) || P(. | x)) for every x, shape [S], in nats, from the dense matrices; infinite where P misses mass.

    Raises:
        InvalidInput: the kernel R does not act on the states of P.
        ExceedsMemory: the dense matrix of P does not fit.
    """
    rows = _rows(chain, kernel.sites, kernel.symbols).reshape(kernel.states, kernel.states)
    return np.asarray(rel_entr(rows, kernel.to_matrix()).sum(axis=1))


def block_update_gap(law: JointLaw, masks: MaskLaw) -> float:
    """E_K E_{x~p} KL(R_K(. | x) || its best product approximation), in nats, by direct KL between dense kernels.

    Raises:
        InvalidInput: the mask law has another number of sites.
        ExceedsMemory: the dense kernels do not fit.
    """
    _check_masks(law, masks)
    total = 0.0
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        kernel = block_update(law, mask)
        loss = product_divergence(kernel, best_product_approximation(kernel, law.sites, law.symbols))
        total += float(probability) * float(law.probabilities @ loss)
    return total


def conditional_total_correlation(law: JointLaw, masks: MaskLaw) -> float:
    """E_K TC(x_K | x_{-K}) in nats, from entropies of the joint table alone.

    Raises:
        InvalidInput: the mask law has another number of sites.
    """
    _check_masks(law, masks)
    return float(
        sum(
            probability * law.total_correlation(mask, [i for i in range(law.sites) if i not in mask])
            for mask, probability in zip(masks.masks, masks.probabilities, strict=True)
            if mask
        )
    )


def _rows(chain: TransitionOperator | ArrayLike, sites: int, symbols: int) -> Array:
    matrix = chain.to_dense() if isinstance(chain, TransitionOperator) else np.asarray(chain, dtype=np.float64)
    states = state_count(sites, symbols)
    if matrix.shape != (states, states):
        raise InvalidInput("chain", f"a matrix of shape {matrix.shape}", f"shape ({states}, {states}) is needed")
    return matrix.reshape((states,) + (symbols,) * sites)


def _check_masks(law: JointLaw, masks: MaskLaw) -> None:
    if masks.sites != law.sites:
        raise InvalidInput("masks", f"{masks.sites} sites", f"{law.sites} sites are needed")
