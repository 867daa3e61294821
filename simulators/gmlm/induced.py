"""The conditionals of a trained network, given to the theory: every kernel of `theory.samplers` is exact for them.

For N small all (q+1)^N partly masked sequences are evaluated once and normalised in float64, so that all kernels,
orders and mask laws see one and the same set of conditionals. They are in general incompatible: each sampler then has
its own stationary law, and how far that is from the data is a question for `describe`.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from simulators.gmlm.networks import MaskedNetwork
from theory.chains.mixing import mixing_time
from theory.chains.operator import TransitionOperator
from theory.chains.stationary import stationary_law
from theory.conditionals import FunctionConditionals
from theory.divergences import kullback_leibler, total_variation
from theory.inequalities import TensorizationConstant, approximate_tensorization
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.memory import require_memory

Array = NDArray[np.float64]
Predict = Callable[[NDArray[np.integer]], Array]

ROWS_AT_ONCE = 1024
"""Batch size of evaluation; shorter batches are filled up, so that one compiled function serves all."""


@jax.jit
def _forward(network: MaskedNetwork, tokens: jax.Array) -> jax.Array:
    return network(tokens)


def predictor(network: MaskedNetwork, rows_at_once: int = ROWS_AT_ONCE) -> Predict:
    """Probabilities [B, N, q] of tokens [B, N] (the mask is q) as NumPy arrays, normalised in float64."""
    graph, state = nnx.split(network)
    frozen = nnx.merge(graph, jax.tree.map(lambda leaf: jax.numpy.asarray(np.array(leaf), dtype=leaf.dtype), state))

    def predict(tokens: NDArray[np.integer]) -> Array:
        count = len(tokens)
        size = min(rows_at_once, 1 << max(count - 1, 0).bit_length())
        padded = np.zeros((-(-count // size) * size, network.sites), dtype=np.int32)
        padded[:count] = tokens
        logs = [np.asarray(_forward(frozen, padded[i : i + size])) for i in range(0, len(padded), size)]
        values = np.concatenate(logs)[:count].astype(np.float64)
        masses = np.exp(values - values.max(axis=2, keepdims=True))
        return np.asarray(masses / masses.sum(axis=2, keepdims=True))

    return predict


def induced_conditionals(network: MaskedNetwork) -> FunctionConditionals:
    """The network's conditionals as they are now; further training does not change them.

    Raises:
        ExceedsMemory: the table of all partly masked sequences would not fit.
    """
    sites, symbols = network.sites, network.symbols
    patterns = (symbols + 1) ** sites
    require_memory(patterns * sites * (16.0 * symbols + 12), "sites", sites, f"the network at {patterns} sequences")
    every = np.stack(np.unravel_index(np.arange(patterns), (symbols + 1,) * sites), axis=1)
    table = predictor(network)(every)
    stride = (symbols + 1) ** np.arange(sites - 1, -1, -1)
    return FunctionConditionals(sites, symbols, lambda tokens: table[tokens @ stride])


@dataclass(frozen=True, eq=False)
class InducedChain:
    """What a chain built from learned conditionals really samples.

    Attributes:
        stationary: its stationary law, [S].
        total_variation: TV of the stationary law to the data law.
        kullback_leibler: KL(data law || stationary law), nats.
        mixing_time: t_mix in steps, math.inf where it never mixes.
        tensorization: C_AT of block dynamics with that stationary law as its target, certified from both sides: the
            constant of the bounds of C4 and C6 for the law that is really sampled.
    """

    stationary: Array
    total_variation: float
    kullback_leibler: float
    mixing_time: int | float
    tensorization: TensorizationConstant


def describe(
    chain: TransitionOperator, law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw, epsilon: float = 0.25
) -> InducedChain:
    """Stationary law of a sampler with learned conditionals, held against the data law.

    Args:
        chain: any operator of `theory.samplers` over `induced_conditionals`.
        law: the data law.
        masks: the mask law to which the constant C_AT belongs.
        epsilon: of the mixing time.

    Raises:
        InvalidInput: several closed classes, so that there is no one stationary law; or masks of another size.
    """
    found = stationary_law(chain).law
    sampled = JointLaw(found.reshape(law.table.shape), "stationary law")
    return InducedChain(
        found,
        total_variation(found, law.probabilities),
        kullback_leibler(law.probabilities, found),
        mixing_time(chain, epsilon).steps,
        approximate_tensorization(sampled, masks, random_starts=1, iterations=100),
    )
