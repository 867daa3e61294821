"""Systematic scan: redraw the blocks one after the other in a fixed order; one step is one full sweep.

Each block update keeps p stationary, so the sweep does; it is in general not reversible.
Source: Levin, Peres and Wilmer, section 3.3; Dyer, Goldberg and Jerrum, "Systematic scan for sampling colorings",
Ann. Appl. Probab. 16 (2006).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from theory.chains.operator import Composition
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.masks import MaskLaw
from theory.samplers.block_gibbs import block_gibbs
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
    steps = [block_gibbs(conditionals, MaskLaw(sites, (block,), np.ones(1), f"block {block}")) for block in chosen]
    law = conditionals.law
    return Composition(
        steps,
        # A single block update is a projection; a longer sweep is its own time reversal only by accident.
        reversible=steps[0].reversible if len(steps) == 1 else None,
        stationary=law.probabilities if law is not None else None,
    )
