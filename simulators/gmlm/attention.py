"""What a trained Transformer looks at when it predicts a masked site.

Legend: ``N`` sites, ``H`` heads, ``S = q**N`` states.
"""

from __future__ import annotations

import jax
import numpy as np
from numpy.typing import NDArray

from simulators.gmlm.transformer import Transformer
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory

Array = NDArray[np.float64]


@jax.jit
def _weights(network: Transformer, tokens: jax.Array) -> jax.Array:
    return network.attention(tokens)


def mean_attention(network: Transformer, law: JointLaw) -> Array:
    """Attention of a site that alone is masked, averaged over the data law, shape [layers, H, N, N].

    Entry [l, h, i, j] is E_{x ~ p} of the weight that head h of layer l gives to site j when it predicts the masked
    site i; the rows sum to 1 and the diagonal is what a site gives to itself.

    Raises:
        InvalidInput: the law has other sites or symbols than the network.
        ExceedsMemory: all sequences at once would not fit.
    """
    if (law.sites, law.symbols) != (network.sites, network.symbols):
        raise InvalidInput("law", law, f"{network.sites} sites over {network.symbols} symbols are needed")
    heads = sum(block.attention.heads for block in network.blocks)
    require_memory(8.0 * law.states * heads * law.sites**2, "sites", law.sites, "attention in every sequence")
    rows = []
    for site in range(law.sites):
        tokens = law.sequences.astype(np.int32)
        tokens[:, site] = law.symbols
        weights = np.asarray(_weights(network, tokens), dtype=np.float64)[:, :, :, site]
        rows.append(np.einsum("s,lshj->lhj", law.probabilities, weights))
    return np.stack(rows, axis=2)
