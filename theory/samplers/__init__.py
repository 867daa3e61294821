"""Samplers of a generative masked language model: from masked-conditionals and a mask law to a Markov operator.

One file per sampler; `SAMPLERS` lists them all with what is known about each, so that the command line, the claims and
the tests treat every sampler alike. Tempered and greedy versions of each come from wrapping the conditionals in
`theory.conditionals.TemperedConditionals`. No operator forms its matrix to act; the compiled loops (`*_kernels.py`) are
loaded when one first acts, and use the threads that `thread_limit` allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.masks import MaskLaw
from theory.samplers.block_gibbs import block_gibbs
from theory.samplers.confidence_remasking import confidence_remasking, least_confident, mask_predict
from theory.samplers.independent_parallel import independent_parallel
from theory.samplers.k_parallel import k_parallel
from theory.samplers.metropolis_hastings import metropolis_hastings
from theory.samplers.product_block_gibbs import k_gibbs_product_spectrum
from theory.samplers.systematic_scan import systematic_scan
from theory.samplers.threads import thread_limit

__all__ = [
    "SAMPLERS",
    "Sampler",
    "block_gibbs",
    "confidence_remasking",
    "independent_parallel",
    "k_gibbs_product_spectrum",
    "k_parallel",
    "least_confident",
    "mask_predict",
    "metropolis_hastings",
    "systematic_scan",
    "thread_limit",
]


@dataclass(frozen=True)
class Sampler:
    """One row of the table of samplers.

    Attributes:
        name: as written on the command line.
        step: one step in words.
        build: from conditionals and a mask law to the operator; ``uses_masks`` says whether the masks matter.
        reversible: whether the chain is reversible with respect to p when the conditionals are exact.
        keeps_target: whether p is stationary when the conditionals are exact.
        uses_masks: ``"law"`` (masks are drawn), ``"order"`` (used one after the other) or ``"none"``.
    """

    name: str
    step: str
    build: Callable[[ConditionalModel, MaskLaw], TransitionOperator]
    reversible: bool
    keeps_target: bool
    uses_masks: str


SAMPLERS: dict[str, Sampler] = {
    sampler.name: sampler
    for sampler in (
        Sampler("k-gibbs", "K ~ P_K, x_K ~ p(. | x_-K) jointly", block_gibbs, True, True, "law"),
        Sampler(
            "systematic-scan",
            "the blocks in a fixed order, each x_K ~ p(. | x_-K)",
            lambda conditionals, masks: systematic_scan(conditionals, masks.masks),
            False,
            True,
            "order",
        ),
        Sampler(
            "independent-parallel",
            "every i at once, x_i' ~ p(. | x_-i)",
            lambda conditionals, masks: independent_parallel(conditionals),
            False,
            False,
            "none",
        ),
        Sampler("k-parallel", "K ~ P_K, each i in K independently from p(x_i | x_-K)", k_parallel, False, False, "law"),
        Sampler(
            "confidence-remasking",
            "mask the k least confident tokens, predict them in parallel",
            confidence_remasking,
            False,
            False,
            "law",
        ),
        Sampler(
            "metropolis-hastings",
            "k-parallel as a proposal, accepted so that p is kept",
            metropolis_hastings,
            True,
            True,
            "law",
        ),
    )
}
