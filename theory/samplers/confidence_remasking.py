"""Confidence remasking (mask-predict): remask the tokens that the model trusts least, predict them again in parallel.

The confidence of token i in x is p(x_i | x_{-i}). One step masks the set of the given size with the least total
confidence (ties shared equally) and redraws its tokens independently from p(x_i | x_{-K}). Confidences are recomputed
from the current sequence, so that the step is a Markov kernel on Omega^N; the original keeps each confidence from the
pass in which the token was predicted, and is the decoding rule `theory.decoding.refinement.MaskPredict`. Because the
mask looks at the tokens, p is in general not stationary even for a product law (rare tokens are redrawn, likely ones
kept: the output is sharper than p), and the chain may be reducible.
Source: Ghazvininejad et al. 2019, "Mask-Predict" (arXiv:1904.09324); Li et al. 2024, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw, k_uniform
from theory.samplers.block_mixture import BlockMixture
from theory.samplers.checks import require_same_sites
from theory.samplers.k_parallel import k_parallel, product_of_tokens
from theory.samplers.sampler import Sampler
from theory.states import all_sequences, require_states

Array = NDArray[np.float64]

TIE_TOLERANCE = 1e-12
"""Total confidences closer than this are tied: rounding must not choose the mask."""


def least_confident(conditionals: ConditionalModel, candidates: MaskLaw) -> AdaptiveMaskLaw:
    """The adaptive mask law that picks, for every sequence, the candidate mask of least total confidence.

    Args:
        conditionals: gives the confidences p(x_i | x_{-i}).
        candidates: the masks to choose from, for instance all of size k; their probabilities are not used.

    Raises:
        InvalidInput: masks over another number of sites.
        ExceedsMemory: the table P(K | x) would not fit.
    """
    require_same_sites(conditionals, candidates)
    sites, symbols = conditionals.sites, conditionals.symbols
    require_states(sites, symbols, 24.0 * len(candidates.masks), "the confidence of every mask")
    sequences = all_sequences(sites, symbols)
    confidence = np.take_along_axis(conditionals.leave_one_out(), sequences[:, :, None], axis=2)[:, :, 0]
    totals = np.array([confidence[:, list(mask)].sum(axis=1) for mask in candidates.masks])
    chosen = totals <= totals.min(axis=0) + TIE_TOLERANCE
    return AdaptiveMaskLaw(sites, candidates.masks, chosen / chosen.sum(axis=0), "least confident")


def confidence_remasking(conditionals: ConditionalModel, candidates: MaskLaw) -> BlockMixture:
    """The operator of one remask-and-predict step.

    Args:
        conditionals: where confidences and predictions come from.
        candidates: the masks to choose from (k-uniform: the k least confident tokens).
    """
    return k_parallel(conditionals, least_confident(conditionals, candidates))


def mask_predict(conditionals: ConditionalModel, sizes: list[int]) -> Array:
    """Exact output law of mask-predict with confidences that are recomputed before each pass, shape [S].

    All tokens are predicted from the fully masked sequence; then, for each entry of ``sizes``, that many least
    confident tokens are remasked and predicted again. Ghazvininejad et al. use floor(N (T - t) / T) for t = 1..T-1.

    Raises:
        InvalidInput: a size outside 1..N.
    """
    everything = tuple(range(conditionals.sites))
    law = product_of_tokens(conditionals.token_conditionals(everything))[0]
    for size in sizes:
        if not 1 <= size <= conditionals.sites:
            raise InvalidInput("sizes", size, f"the number of remasked tokens must lie in 1..{conditionals.sites}")
        law = confidence_remasking(conditionals, k_uniform(conditionals.sites, size)).propagate(law)
    return law


@dataclass(frozen=True)
class Remasking(Sampler):
    """`confidence_remasking` by its name; the probabilities of the masks are not used."""

    name: ClassVar[str] = "confidence-remasking"
    step: ClassVar[str] = "mask the k least confident tokens, predict them in parallel"
    one_class: ClassVar[bool] = False
    reads_masked: ClassVar[bool] = True

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return confidence_remasking(conditionals, masks)
