"""The masking channel and the local functionals of block dynamics.

Masking is a channel: it sends a sequence x to (K, x_{-K}) with probability P(K | x). Block dynamics with target q
masks and then fills in by Bayes' rule, x_K ~ q(. | x_{-K}, K). Two functionals measure what masking loses; with A the
matrix of the channel, f a function, r a law, E and Var under q:

    variance          E Var(f | K, x_{-K})                             = Var(f) - Var(E[f | K, x_{-K}])
    relative entropy  E_{(K, x_{-K}) ~ A r} KL(r(. | K, x_{-K}) || q(. | K, x_{-K})) = KL(r || q) - KL(A r || A q)

E Ent(f | K, x_{-K}) with Ent(f) = E f ln(f / E f) is E f times the relative entropy of r = q f / E f.
For a mask law that does not look at the sequence, q(. | x_{-K}, K) = q(. | x_{-K}) and A r is P_K times the marginals
of r. The right-hand sides (the chain rule) are one sparse product, but differences of numbers of order 1; the
functionals are therefore summed block by block, over the pairs (x, K), in terms that are not negative: with rho = r/q,
m = E[rho | K, x_{-K}] and v = rho / m - 1 the relative entropy is E m ((1 + v) ln(1 + v) - v).
The variance functional is the Dirichlet form <f, (I - P) f>_q of the block dynamics P = A* A.

Legend: ``N`` sites, ``q`` symbols (and the target law), ``S`` states, ``M`` masks, ``B`` batch, ``T`` states in the
support of the target, ``R`` pairs (K, x_{-K}) of positive probability. Everything happens on the support; values
outside are not looked at. Entropies are in nats. Source: Li et al. 2024, section 3; Cover and Thomas, thm 2.5.3.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from theory.divergences import entropy_density
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.memory import require_memory

Array = NDArray[np.float64]


class MaskingChannel:
    """The channel x -> (K, x_{-K}) on the support of a target law.

    Args:
        law: the target q.
        masks: P_K, or an adaptive P(K | x).

    Attributes:
        support: state numbers of positive mass, [T] ascending.
        target: their masses, [T].
        matrix: A, sparse [R, T], columns sum to 1.
        observed: A q, the law of (K, x_{-K}), [R], positive.

    Raises:
        InvalidInput: law and mask law disagree about the number of sites (or states), or the law has masses so small
            that it holds logarithms.
        ExceedsMemory: M * T entries do not fit.
    """

    def __init__(self, law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> None:
        if masks.sites != law.sites:
            raise InvalidInput("masks.sites", masks.sites, f"the law has {law.sites} sites")
        if isinstance(masks, AdaptiveMaskLaw) and masks.probabilities.shape[1] != law.states:
            raise InvalidInput("masks", f"{masks.probabilities.shape[1]} states", f"the law has {law.states} states")
        if law.has_tiny_masses:
            raise InvalidInput("law", law.name, "entropies and variances need masses of at least 1e-287")
        self.law = law
        self.masks = masks
        self.support: NDArray[np.int64] = np.flatnonzero(law.support)
        self.target: Array = law.probabilities[self.support]
        self.matrix: sparse.csr_array = self._build()
        self.observed: Array = np.asarray(self.matrix @ self.target)

    def _build(self) -> sparse.csr_array:
        states, masks = len(self.support), len(self.masks.masks)
        require_memory(
            48.0 * states * masks, "masks", self.masks.name, f"the channel of {masks} masks x {states} states"
        )
        digits = np.unravel_index(self.support, self.law.table.shape)
        rows = np.empty((masks, states), dtype=np.int64)
        offset = 0
        for number, mask in enumerate(self.masks.masks):
            context = np.zeros(states, dtype=np.int64)
            for site in range(self.law.sites):
                if site not in mask:
                    context = context * self.law.symbols + digits[site]
            seen, position = np.unique(context, return_inverse=True)
            rows[number] = offset + position
            offset += len(seen)
        weights = self.masks.probabilities
        entries = weights[:, self.support] if weights.ndim == 2 else np.repeat(weights[:, None], states, axis=1)
        columns = np.broadcast_to(np.arange(states), (masks, states))
        matrix = sparse.coo_array((entries.ravel(), (rows.ravel(), columns.ravel())), shape=(offset, states)).tocsr()
        matrix.eliminate_zeros()
        return matrix[np.flatnonzero(np.diff(matrix.indptr))]

    @cached_property
    def components(self) -> NDArray[np.int64]:
        """Communicating class of each state of the support under the block dynamics, numbered from 0, shape [T]."""
        graph = sparse.block_array([[None, self.matrix.T], [self.matrix, None]], format="csr")
        _, labels = connected_components(graph, directed=False)
        return np.unique(labels[: len(self.support)], return_inverse=True)[1].astype(np.int64)

    @property
    def irreducible(self) -> bool:
        """Whether the block dynamics reaches every state of the support from every other."""
        return int(self.components.max()) == 0

    def extend(self, values: Array) -> Array:
        """Values on the support [..., T] -> on all states [..., S], zero outside."""
        result = np.zeros((*values.shape[:-1], self.law.states))
        result[..., self.support] = values
        return result

    def observe(self, masses: Array) -> Array:
        """A r, the law of (K, x_{-K}) under r, for masses on the support [T] or [B, T]: shape [R] or [B, R]."""
        return np.asarray((self.matrix @ masses.T).T)

    def posterior_mean(self, values: Array) -> Array:
        """E[v(K, x_{-K}) | x] on the support for v of shape [R] or [B, R]: shape [T] or [B, T]."""
        return np.asarray((self.matrix.T @ values.T).T)

    def variance(self, function: ArrayLike) -> Array:
        """Var(f) for f of shape [S] or [B, S]: shape [] or [B]."""
        return np.asarray(self._centred(function) ** 2 @ self.target)

    def local_variance(self, function: ArrayLike) -> Array:
        """E Var(f | K, x_{-K}) for f of shape [S] or [B, S]: shape [] or [B].

        Summed as squares, pair by pair of (x, K), so that a small local variance under a large total one is accurate.
        """
        centred = self._centred(function)
        means = self.observe(self.target * centred) / self.observed
        pairs = self.matrix.tocoo()
        weights = pairs.data * self.target[pairs.col]
        rows = zip(np.atleast_2d(centred), np.atleast_2d(means), strict=True)
        values = [weights @ (row[pairs.col] - mean[pairs.row]) ** 2 for row, mean in rows]
        return np.asarray(values).reshape(centred.shape[:-1])

    def relative_entropy(self, law: ArrayLike) -> Array:
        """KL(r || q) for laws r of shape [S] or [B, S]; infinite where r has mass outside the support."""
        _, excess = self._likelihood(law)
        return np.asarray(np.where(self._inadmissible(law), np.inf, entropy_density(excess) @ self.target))

    def local_relative_entropy(self, law: ArrayLike) -> Array:
        """E_{(K, x_{-K}) ~ r} KL(r(. | K, x_{-K}) || q(. | K, x_{-K})) for laws r of shape [S] or [B, S].

        Infinite where r has mass outside the support of the target.
        """
        return np.asarray(np.where(self._inadmissible(law), np.inf, self._local_divergence(*self._likelihood(law))))

    def _inside(self, values: ArrayLike, argument: str) -> Array:
        full = np.asarray(values, dtype=np.float64)
        if full.ndim not in (1, 2) or full.shape[-1] != self.law.states:
            raise InvalidInput(argument, f"shape {full.shape}", f"shape [S] or [B, S] with S = {self.law.states}")
        inside = full[..., self.support]
        if not np.isfinite(inside).all():
            raise InvalidInput(argument, "NaN or infinity", "values on the support must be finite")
        return inside

    def _inadmissible(self, law: ArrayLike) -> NDArray[np.bool_]:
        outside = np.delete(np.asarray(law, dtype=np.float64), self.support, axis=-1)
        return np.asarray((outside > 0).any(axis=-1))

    def _centred(self, function: ArrayLike) -> Array:
        inside = self._inside(function, "function")
        return inside - (inside @ self.target)[..., None]

    def _likelihood(self, law: ArrayLike) -> tuple[Array, Array]:
        """r / q and r / q - 1 on the support."""
        inside = self._inside(law, "law")
        if inside.min() < 0:
            raise InvalidInput("law", float(inside.min()), "masses must be >= 0")
        return inside / self.target, (inside - self.target) / self.target

    def _local_divergence(self, density: Array, excess: Array) -> Array:
        """The relative-entropy functional of r = q rho, of rho and rho - 1."""
        rows = zip(np.atleast_2d(density), np.atleast_2d(excess), strict=True)
        values = [weights @ entropy_density(v) for weights, v, _ in (self.within_blocks(*row) for row in rows)]
        return np.asarray(values).reshape(density.shape[:-1])

    def within_blocks(self, density: Array, excess: Array) -> tuple[Array, Array, Array]:
        """How rho = r / q varies inside the blocks, one entry for each pair (x, K, x_{-K}) of positive probability.

        Args:
            density: rho on the support, [T].
            excess: rho - 1, [T]; keeps the digits of a law that is near to the target.

        Returns:
            q(x) P(K | x) m, with m the mean of rho in the block, v = rho(x) / m - 1, and ln(1 + v).
        """
        pairs = self.matrix.tocoo()
        means = (self.observe(self.target * density) / self.observed)[pairs.row]
        mean_excess = (self.observe(self.target * excess) / self.observed)[pairs.row]
        change = np.where(
            np.abs(mean_excess) < 0.5, excess[pairs.col] - mean_excess, density[pairs.col] - means
        )  # whichever loses nothing
        within = np.maximum(np.divide(change, means, out=np.zeros_like(change), where=means > 0), -1.0)
        ratio = np.divide(density[pairs.col], means, out=np.ones_like(change), where=means > 0)
        with np.errstate(divide="ignore"):
            logarithm = np.where(np.abs(within) < 0.5, np.log1p(within), np.log(ratio))
        return pairs.data * self.target[pairs.col] * means, within, logarithm
