"""k-parallel: draw a mask K, then redraw every masked token *independently* from p(x_i | x_{-K}).

This is what one parallel step of a masked Transformer does. For k = 1 it is Glauber dynamics; for k > 1 p is in
general not stationary. Source: Li et al. 2024, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.samplers.block_mixture import CompiledMixture
from theory.samplers.checks import require_same_sites
from theory.samplers.mask_sweep import BlockPlan, MaskSweep
from theory.samplers.product_block_gibbs import ProductBlockGibbs, is_positive_product
from theory.samplers.sampler import Sampler

Array = NDArray[np.float64]


def product_of_tokens(tokens: Array) -> Array:
    """Product law of independent tokens: [k, C, q] -> [C, q**k]."""
    contexts = tokens.shape[1]
    result = np.ones((contexts, 1))
    for token in tokens:
        result = (result[:, :, None] * token[:, None, :]).reshape(contexts, -1)
    return result


class KParallel(CompiledMixture):
    """The operator of `k_parallel`; acts through compiled updates, mask by mask."""

    def __init__(self, conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw) -> None:
        law = conditionals.law
        single = isinstance(masks, MaskLaw) and all(len(mask) <= 1 for mask in masks.masks)
        exact = single and law is not None
        super().__init__(
            conditionals.symbols,
            masks,
            lambda mask: product_of_tokens(conditionals.token_conditionals(mask))[:, None, :],
            reversible=True if exact else None,
            stationary=law.probabilities if exact and law is not None else None,
        )
        self._sweep = MaskSweep(conditionals, masks.masks)

    def _act(self, vector: Array, adjoint: bool) -> Array:
        from theory.samplers.token_kernels import k_parallel_mask  # compiled on first use, not on import

        probabilities = self.masks.probabilities

        def update(index: int, block: BlockPlan, out: Array) -> None:
            weights = np.atleast_1d(probabilities[index])
            k_parallel_mask(vector, adjoint, weights, *block, out)

        return self._sweep.run(update)

    def _apply_vector(self, function: Array) -> Array:
        return self._act(function, adjoint=False)

    def _propagate_vector(self, law: Array) -> Array:
        return self._act(law, adjoint=True)


def k_parallel(conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw) -> CompiledMixture:
    """The operator of k-parallel decoding steps.

    Args:
        conditionals: where p(x_i | x_{-K}) comes from.
        masks: law over masks. Adaptive masks are not corrected for: the tokens are drawn as if the mask had not
            looked at them.

    Raises:
        InvalidInput: masks over another number of sites.
    """
    require_same_sites(conditionals, masks)
    law = conditionals.law
    if law is not None and isinstance(masks, MaskLaw) and is_positive_product(law):
        return ProductBlockGibbs(law, masks)  # masked tokens are independent anyway
    return KParallel(conditionals, masks)


@dataclass(frozen=True)
class KParallelSteps(Sampler):
    """`k_parallel` by its name."""

    name: ClassVar[str] = "k-parallel"
    step: ClassVar[str] = "K ~ P_K, each i in K independently from p(x_i | x_-K)"

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return k_parallel(conditionals, masks)
