"""Block Gibbs of a product law: diagonal in the biased Walsh (Efron-Stein) basis.

Let p(x) = prod_i f_i(x_i) with every f_i(a) > 0 and E_i the average over site i alone. A block update is
prod_{i in K} E_i, so P = E_K prod_{i in K} E_i is diagonal in any product basis whose functions at each site are the
constant and functions of mean zero. A basis function that depends on exactly the sites A has the eigenvalue

    lambda_A = P(K and A are disjoint),       for k-uniform masks C(N - d, k) / C(N, k),  d = |A|,

of multiplicity (q - 1)^d. In particular the gap of k-Gibbs is k/N. The basis used here has, at each site, the constant
and the indicators of all symbols but the likeliest, centred; changing the basis is one pass per site, and the transform
costs O(N q S) both ways.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``d`` degree.
Source: O'Donnell, *Analysis of Boolean Functions*, ch. 8; Efron and Stein, Ann. Statist. 9 (1981).
"""

from __future__ import annotations

from functools import cached_property
from math import comb, log2

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.laws.products import ProductLaw
from theory.masks import MaskLaw
from theory.samplers.block_mixture import CompiledMixture
from theory.samplers.threads import run_tasks, thread_count

Array = NDArray[np.float64]

PIECE_BITS = 14
"""The passes over the trailing sites work on pieces of about 2^14 entries."""
SERIAL_STATES = 2**15
"""Below this many states one thread does it all."""


def is_positive_product(law: JointLaw) -> bool:
    """Whether the law is a product law in whose table every state has positive mass."""
    return isinstance(law, ProductLaw) and bool(law.support.all())


def k_gibbs_product_spectrum(sites: int, symbols: int, size: int) -> tuple[Array, list[int]]:
    """Eigenvalues C(N - d, k) / C(N, k) of k-Gibbs on a product law, d = 0..N, with multiplicities C(N, d) (q-1)^d.

    Raises:
        InvalidInput: ``size`` outside 0..N.
    """
    if not 0 <= size <= sites:
        raise InvalidInput("size", size, f"the mask size must lie in 0..{sites}")
    values = np.array([comb(sites - degree, size) / comb(sites, size) for degree in range(sites + 1)])
    return values, [comb(sites, degree) * (symbols - 1) ** degree for degree in range(sites + 1)]


def avoidance_probabilities(masks: MaskLaw) -> Array:
    """P(K and A are disjoint) for every set A of sites, shape (2,)*N: index 1 at the sites of A."""
    weights = np.zeros((2,) * masks.sites)
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        weights[tuple(int(site in mask) for site in range(masks.sites))] += probability
    # Sum over all K inside the complement of A, one site after the other.
    for site in range(masks.sites):
        allowed, forbidden = np.moveaxis(weights, site, 0)
        weights = np.stack([allowed + forbidden, allowed], axis=site)
    return weights


class ProductBlockGibbs(CompiledMixture):
    """Block Gibbs of a positive product law.

    Args:
        law: a `ProductLaw` with positive table.
        masks: any law over masks that does not look at the sequence.

    Raises:
        InvalidInput: not a positive product law.
    """

    def __init__(self, law: JointLaw, masks: MaskLaw) -> None:
        if not isinstance(law, ProductLaw) or not is_positive_product(law):
            raise InvalidInput("law", law, "a product law with a positive table is needed")
        super().__init__(
            law.symbols,
            masks,
            lambda mask: law.conditional(mask)[:, None, :],
            reversible=True,
            stationary=law.probabilities,
        )
        self.law: ProductLaw = law
        self._mask_law = masks
        self.one_class = bool((masks.inclusion > 0).all())

    def spectrum(self) -> tuple[Array, list[int]]:
        """Eigenvalues, descending, and multiplicities: one entry per degree for k-uniform masks, else per set A."""
        masks = self._mask_law
        if masks.uniform_size is not None:
            return k_gibbs_product_spectrum(self.sites, self.symbols, masks.uniform_size)
        values = avoidance_probabilities(masks).reshape(-1)
        order = np.argsort(-values, kind="stable")
        return values[order], [(self.symbols - 1) ** int(number).bit_count() for number in order]

    @cached_property
    def _basis(self) -> tuple[Array, Array]:
        """Change to the basis and back at each site, [N, q, q]; the constant sits at the likeliest symbol."""
        q = self.symbols
        there, back = np.zeros((2, self.sites, q, q))
        for site, factor in enumerate(self.law.factors):
            likeliest = int(factor.argmax())
            others = [a for a in range(q) if a != likeliest]
            there[site] = np.eye(q) - factor  # g_a - E g
            there[site, likeliest] = factor
            back[site] = np.eye(q)
            back[site, :, likeliest] = 1.0
            back[site, likeliest, others] = -factor[others] / factor[likeliest]
        return there, back

    @cached_property
    def _eigenvalues(self) -> Array:
        """Eigenvalue of each basis function, [S]."""
        masks = self._mask_law
        if masks.uniform_size is not None:
            by_degree = k_gibbs_product_spectrum(self.sites, self.symbols, masks.uniform_size)[0]
            degree = np.zeros((1,), dtype=np.int8)
            for factor in self.law.factors:
                degree = np.add.outer(degree, np.arange(self.symbols) != factor.argmax()).reshape(-1).astype(np.int8)
            return by_degree[degree]
        values = avoidance_probabilities(masks)
        for site, factor in enumerate(self.law.factors):
            values = np.take(values, (np.arange(self.symbols) != factor.argmax()).astype(int), axis=site)
        return values.reshape(-1)

    def _act(self, vector: Array, there: Array, back: Array) -> Array:
        from theory.samplers.axis_kernels import along_trailing, scale_in_basis  # compiled on first use, not on import

        trailing = max(1, min(self.sites, int(PIECE_BITS / log2(self.symbols))))
        leading = self.sites - trailing
        piece = self.symbols**trailing
        table = vector.copy().reshape(-1, piece)
        factors = self._eigenvalues.reshape(-1, piece)
        threads = thread_count() if self.states >= SERIAL_STATES else 1
        width = min(piece, max(16, 2**PIECE_BITS // len(table)))

        def change(index: int, thread: int) -> None:
            along_trailing(table[index], there[leading:])

        def scale(index: int, thread: int) -> None:
            start = index * width
            scale_in_basis(table, factors, there[:leading], back[:leading], start, min(start + width, piece))

        def change_back(index: int, thread: int) -> None:
            along_trailing(table[index], back[leading:])

        run_tasks(change, len(table), threads)
        run_tasks(scale, -(-piece // width), threads)
        run_tasks(change_back, len(table), threads)
        return table.reshape(-1)

    def _apply_vector(self, function: Array) -> Array:
        return self._act(function, *self._basis)

    def _propagate_vector(self, law: Array) -> Array:
        there, back = (np.ascontiguousarray(matrices.transpose(0, 2, 1)) for matrices in self._basis)
        return self._act(law, back, there)
