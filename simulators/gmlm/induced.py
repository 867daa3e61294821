"""The conditionals of a trained network, given to the theory: every kernel of `theory.samplers` is exact for them.

For N small every mask is evaluated once and normalised in float64, so that all kernels, orders and mask laws see one
and the same set of conditionals. They are in general incompatible: each sampler then has its own stationary law, and
how far that is from the data is a question for `describe`.

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
from simulators.masked_lm import MaskedLM
from simulators.masked_lm.window import rows_of
from theory.chains.mixing import mixing_time
from theory.chains.operator import TransitionOperator
from theory.chains.stationary import stationary_law
from theory.conditionals import ConditionalModel
from theory.divergences import kullback_leibler, total_variation
from theory.inequalities import TensorizationConstant, approximate_tensorization
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw

Array = NDArray[np.float64]
Predict = Callable[[NDArray[np.integer]], Array]

ROWS_AT_ONCE = 1024
"""Batch size of evaluation; shorter batches are filled up, so that one compiled function serves all."""


@jax.jit
def _forward(network: MaskedNetwork, tokens: jax.Array) -> jax.Array:
    return network(tokens)


def adapter(network: MaskedNetwork, rows_at_once: int = ROWS_AT_ONCE, smallest_batch: int = 1) -> MaskedLM:
    """The network as it is now behind the one face of all networks; further training does not change it."""
    graph, state = nnx.split(network)
    frozen = nnx.merge(graph, jax.tree.map(lambda leaf: jax.numpy.asarray(np.array(leaf), dtype=leaf.dtype), state))
    return MaskedLM(
        lambda tokens: _forward(frozen, tokens.astype(np.int32)),
        mask=network.symbols,
        longest=network.sites,
        rows_at_once=rows_at_once,
        smallest_batch=smallest_batch,
    )


def predictor(network: MaskedNetwork, rows_at_once: int = ROWS_AT_ONCE) -> Predict:
    """Probabilities [B, N, q] of tokens [B, N] (the mask is q) as NumPy arrays, normalised in float64."""
    return adapter(network, rows_at_once).probabilities


def induced_conditionals(network: MaskedNetwork) -> ConditionalModel:
    """The network's conditionals as they are now, one table a mask.

    Raises:
        ExceedsMemory: the tables of all masks would not fit.
    """
    # One shape for every mask: each would otherwise be compiled for itself.
    batch = min(ROWS_AT_ONCE, 1 << (rows_of(network.sites, network.symbols) - 1).bit_length())
    return adapter(network, batch, batch).window([network.symbols] * network.sites, range(network.sites))


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
