"""Block Gibbs: draw a mask K, then redraw x_K jointly from p(x_K | x_{-K}).

With k-uniform masks this is *k-Gibbs* (block dynamics); with k = 1 it is random-scan single-site Glauber dynamics.
Reversible with respect to p, and an average of projections, so it has no negative eigenvalue.
Where a joint law is known and the masks do not look at the sequence, the operator acts through `SubsetTree`, or, for a
product law, through `theory.samplers.product_block_gibbs`. Otherwise it goes from mask to mask.
Source: Li et al. 2024, section 3; Levin, Peres and Wilmer, *Markov Chains and Mixing Times*, section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw
from theory.samplers.block_mixture import BlockMixture, CompiledMixture
from theory.samplers.checks import require_same_sites
from theory.samplers.product_block_gibbs import ProductBlockGibbs, is_positive_product
from theory.samplers.sampler import Sampler
from theory.samplers.subset_tree import SubsetTree

Array = NDArray[np.float64]


class TableBlockGibbs(CompiledMixture):
    """Block Gibbs of a joint law with masks that do not look at the sequence: an average of projections.

    Args:
        law: the joint law p.
        masks: law over masks.
    """

    nonnegative = True

    def __init__(self, law: JointLaw, masks: MaskLaw) -> None:
        super().__init__(
            law.symbols,
            masks,
            lambda mask: law.conditional(mask)[:, None, :],
            reversible=True,
            stationary=law.probabilities,
        )
        self.law = law
        self._mask_law = masks
        self.one_class = _one_class(law, masks)

    @cached_property
    def tree(self) -> SubsetTree:
        """The subset tree, built when the operator first acts."""
        return SubsetTree(self.law.table, self._mask_law)

    def _apply_vector(self, function: Array) -> Array:
        return self.tree.apply(function)

    def _propagate_vector(self, law: Array) -> Array:
        return self.tree.propagate(law)


def block_gibbs(conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw) -> BlockMixture:
    """The operator of block Gibbs.

    With adaptive masks the redraw is from the mask-aware conditional p(x_K | x_{-K}, K) ∝ p(x_K | x_{-K}) P(K | x),
    which is what keeps p stationary (Gibbs sampling on pairs (x, K)).

    Args:
        conditionals: where p(x_K | x_{-K}) comes from. Reversibility is claimed only where a joint law is known.
        masks: law over masks.

    Returns:
        Operator on the ``q**N`` sequences.

    Raises:
        InvalidInput: masks over another number of sites.
    """
    require_same_sites(conditionals, masks)
    symbols, law = conditionals.symbols, conditionals.law
    # The subset tree needs every mass as a float; without, the blocks come from the law's logarithms.
    if isinstance(masks, MaskLaw) and law is not None and not (law.has_tiny_masses and not is_positive_product(law)):
        return ProductBlockGibbs(law, masks) if is_positive_product(law) else TableBlockGibbs(law, masks)

    if isinstance(masks, MaskLaw):

        def kernel(mask: Mask) -> Array:
            return conditionals.joint_conditional(mask)[:, None, :]

    else:
        position = {mask: index for index, mask in enumerate(masks.masks)}
        grids = masks.probabilities.reshape((len(masks.masks),) + (symbols,) * masks.sites)

        def kernel(mask: Mask) -> Array:
            kept = [site for site in range(masks.sites) if site not in mask]
            joint = conditionals.joint_conditional(mask)
            aware = joint * grids[position[mask]].transpose(kept + list(mask)).reshape(joint.shape)
            totals = aware.sum(axis=1, keepdims=True)
            # A zero total means that K is never drawn in this context from the support; any stochastic row will do.
            return np.where(totals > 0, aware / np.where(totals > 0, totals, 1.0), joint)[:, None, :]

    chain = BlockMixture(
        symbols,
        masks,
        kernel,
        reversible=True if law is not None else None,
        stationary=law.probabilities if law is not None else None,
    )
    if isinstance(masks, MaskLaw) and law is not None:
        chain.nonnegative, chain.one_class = True, _one_class(law, masks)
    return chain


def _one_class(law: JointLaw, masks: MaskLaw) -> bool:
    """Whether every conditional is positive, and every site redrawn sooner or later, perhaps as it was."""
    return bool(law.support.all() and (masks.inclusion > 0).all())


@dataclass(frozen=True)
class KGibbs(Sampler):
    """`block_gibbs` by its name."""

    name: ClassVar[str] = "k-gibbs"
    step: ClassVar[str] = "K ~ P_K, x_K ~ p(. | x_-K) jointly"
    reversible: ClassVar[bool] = True
    keeps_target: ClassVar[bool] = True

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return block_gibbs(conditionals, masks)
