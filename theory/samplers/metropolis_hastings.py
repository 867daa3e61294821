"""Metropolis-Hastings corrected k-parallel: propose as `k_parallel` does, accept so that p stays stationary.

Given K and the context x_{-K}, the block x_K' ~ g = prod_i p(x_i' | x_{-K}) is proposed and accepted with probability

    min(1, [p(x') P(K | x') g(x_K)] / [p(x) P(K | x) g(x_K')]).

Reversible with respect to p for every mask law, adaptive ones included, because the chain on pairs (x, K) is.
Source: Levin, Peres and Wilmer, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel, TableConditionals
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, Mask, MaskLaw
from theory.samplers.block_mixture import BlockKernel, BlockMixture, CompiledMixture
from theory.samplers.checks import require_same_sites, require_target
from theory.samplers.k_parallel import product_of_tokens
from theory.samplers.mask_sweep import BlockPlan, MaskSweep
from theory.samplers.sampler import Sampler
from theory.samplers.subset_tree import scaled_masses

Array = NDArray[np.float64]


class MetropolisHastings(CompiledMixture):
    """The operator of `metropolis_hastings` for masks that do not look at the sequence; acts mask by mask."""

    def __init__(self, conditionals: ConditionalModel, masks: MaskLaw, law: JointLaw, kernel: BlockKernel) -> None:
        super().__init__(law.symbols, masks, kernel, reversible=True, stationary=law.probabilities)
        self._sweep = MaskSweep(conditionals, masks.masks)
        self._target = scaled_masses(law.probabilities)

    def _act(self, vector: Array, adjoint: bool) -> Array:
        from theory.samplers.token_kernels import metropolis_hastings_mask  # compiled on first use, not on import

        def update(index: int, block: BlockPlan, out: Array) -> None:
            weight = float(self.masks.probabilities[index])
            metropolis_hastings_mask(vector, adjoint, weight, self._target, *block, out)

        return self._sweep.run(update)

    def _apply_vector(self, function: Array) -> Array:
        return self._act(function, adjoint=False)

    def _propagate_vector(self, law: Array) -> Array:
        return self._act(law, adjoint=True)


def metropolis_hastings(
    conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw, target: JointLaw | None = None
) -> BlockMixture:
    """The operator of k-parallel proposals with a Metropolis-Hastings correction.

    Args:
        conditionals: where the proposal's p(x_i | x_{-K}) comes from (tempered or learned ones are fine).
        masks: law over masks.
        target: the law to keep stationary; by default the joint law of the conditionals.

    Raises:
        InvalidInput: no target is known, or sizes differ.
    """
    require_same_sites(conditionals, masks)
    law = require_target(conditionals, target)
    exact = TableConditionals(law)
    position = {mask: index for index, mask in enumerate(masks.masks)}
    shape = (law.symbols,) * law.sites

    def kernel(mask: Mask) -> Array:
        proposal = product_of_tokens(conditionals.token_conditionals(mask))
        wanted = exact.joint_conditional(mask)
        if isinstance(masks, AdaptiveMaskLaw):
            kept = [site for site in range(law.sites) if site not in mask]
            grid = masks.probabilities[position[mask]].reshape(shape)
            wanted = wanted * grid.transpose(kept + list(mask)).reshape(wanted.shape)
        # g(y) min(1, w(y) g(x) / (w(x) g(y))) = min(g(y), w(y) g(x) / w(x)); from w(x) = 0 everything is accepted.
        positive = wanted > 0
        odds = np.where(positive, proposal / np.where(positive, wanted, 1.0), np.inf)
        with np.errstate(invalid="ignore"):
            flow = odds[:, :, None] * wanted[:, None, :]
        moves = np.where(positive[:, :, None], np.minimum(proposal[:, None, :], flow), proposal[:, None, :])
        size = moves.shape[1]
        diagonal = np.arange(size)
        moves[:, diagonal, diagonal] = 0.0
        moves[:, diagonal, diagonal] = np.maximum(1.0 - moves.sum(axis=2), 0.0)
        return moves

    if isinstance(masks, MaskLaw) and not law.has_tiny_masses:
        return MetropolisHastings(conditionals, masks, law, kernel)
    return BlockMixture(law.symbols, masks, kernel, reversible=True, stationary=law.probabilities)


@dataclass(frozen=True)
class CorrectedParallel(Sampler):
    """`metropolis_hastings` by its name."""

    name: ClassVar[str] = "metropolis-hastings"
    step: ClassVar[str] = "k-parallel as a proposal, accepted so that p is kept"
    reversible: ClassVar[bool] = True
    keeps_target: ClassVar[bool] = True
    reads_masked: ClassVar[bool] = True
    needs_law: ClassVar[bool] = True

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return metropolis_hastings(conditionals, masks, target)
