"""Systematic scan: redraw the blocks one after the other in a fixed order; one step is one full sweep.

Each block update keeps p stationary, so the sweep does; it is in general not reversible.
Source: Levin, Peres and Wilmer, section 3.3; Dyer, Goldberg and Jerrum, "Systematic scan for sampling colorings",
Ann. Appl. Probab. 16 (2006).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from theory.chains.operator import Composition, TransitionOperator
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import Listed, MaskLaw
from theory.samplers.block_gibbs import block_gibbs
from theory.samplers.sampler import Sampler
from theory.states import check_sites


def systematic_scan(conditionals: ConditionalModel, blocks: Sequence[Iterable[int]] | None = None) -> Composition:
    """The operator of one sweep.

    Args:
        conditionals: where p(x_K | x_{-K}) comes from.
        blocks: the masks in the order in which they are redrawn; by default the single sites 0..N-1. Blocks may
            overlap; a site that none contains never changes.

    Raises:
        InvalidInput: no block, or a site that does not exist.
    """
    sites = conditionals.sites
    chosen = [(site,) for site in range(sites)] if blocks is None else [check_sites(b, sites, "block") for b in blocks]
    if not chosen:
        raise InvalidInput("blocks", "an empty list", "at least one block is needed")
    steps = [block_gibbs(conditionals, Listed(sites, (block,), name=f"block {block}")) for block in chosen]
    law = conditionals.law
    return Composition(
        steps,
        # A single block update is a projection; a longer sweep is its own time reversal only by accident.
        reversible=steps[0].reversible if len(steps) == 1 else None,
        stationary=law.probabilities if law is not None else None,
    )


@dataclass(frozen=True)
class Scan(Sampler):
    """`systematic_scan` by its name, over the masks in the order of their list."""

    name: ClassVar[str] = "systematic-scan"
    step: ClassVar[str] = "the blocks in a fixed order, each x_K ~ p(. | x_-K)"
    keeps_target: ClassVar[bool] = True
    uses_masks: ClassVar[str] = "order"
    redraws: ClassVar[str] = "all"

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return systematic_scan(conditionals, masks.masks)
