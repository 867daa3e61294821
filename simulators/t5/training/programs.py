"""Compiled programs of T5 training: one gradient for each batch shape, one update.

Legend: ``B`` batch, ``S``, ``L`` lengths of source and target.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import NO_DROPOUT, Dropout
from simulators.t5.network.network import T5
from simulators.t5.training.corpus import Batch
from simulators.t5.training.objective import Losses, losses
from simulators.t5.training.optimiser import make_optimiser
from simulators.t5.training.settings import ObjectiveSettings, OptimiserSettings

Leaves = list[jax.Array]
"""Parameters of a network in the order of its tree."""

PROCESSOR_OPTIONS = {"xla_backend_optimization_level": 1}
"""Compiler options on a processor: half of the time to compile, at the same speed of a step.

Most of that time goes into the random numbers of dropout, which are inlined wherever a mask is used.
"""


class Programs(NamedTuple):
    """Compiled programs of a training.

    Attributes:
        start: parameters -> moments.
        gradient: (parameters, batch, key) -> (gradient, losses); compiled once for each batch shape.
        update: (parameters, moments, gradient) -> (parameters, moments).
        losses: (parameters, batch, key) -> losses without dropout.
    """

    start: Callable[[Leaves], Any]
    gradient: Callable[[Leaves, Batch, jax.Array], tuple[Leaves, Losses]]
    update: Callable[[Leaves, Any, Leaves], tuple[Leaves, Any]]
    losses: Callable[[Leaves, Batch, jax.Array], Losses]


@lru_cache(maxsize=64)
def programs(config: T5Config, objective: ObjectiveSettings, optimiser: OptimiserSettings, steps: int) -> Programs:
    """The programs of every training of this configuration, whatever its data and seed."""
    graph = structure(config)
    form = jax.tree.structure(nnx.split(nnx.eval_shape(lambda: T5(config, nnx.Rngs(0))), nnx.Param)[1])
    transformation = make_optimiser(optimiser, steps)
    options = PROCESSOR_OPTIONS if jax.default_backend() == "cpu" else None

    def losses_of(leaves: Leaves, batch: Batch, key: jax.Array, dropout: Dropout) -> Losses:
        network = nnx.merge(graph, jax.tree.unflatten(form, leaves))
        return losses(network, jnp.asarray(batch.source), jnp.asarray(batch.target), key, objective, dropout)

    def gradient(leaves: Leaves, batch: Batch, key: jax.Array) -> tuple[Leaves, Losses]:
        noise_key, dropout_key = jax.random.split(key)

        def total(candidate: Leaves) -> tuple[jax.Array, Losses]:
            found = losses_of(candidate, batch, noise_key, Dropout(config.dropout_rate, dropout_key))
            return found.total, found

        (_, found), slope = jax.value_and_grad(total, has_aux=True)(leaves)
        return slope, found

    def update(leaves: Leaves, moments: Any, slope: Leaves) -> tuple[Leaves, Any]:
        # What optax computes inside is not ours to be strict about.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = transformation.update(slope, moments, leaves)
        return optax.apply_updates(leaves, updates), moments

    return Programs(
        start=jax.jit(transformation.init),
        gradient=jax.jit(gradient, compiler_options=options),
        update=jax.jit(update, donate_argnums=(0, 1)),
        losses=jax.jit(lambda leaves, batch, key: losses_of(leaves, batch, key, NO_DROPOUT), compiler_options=options),
    )


@partial(jax.jit, donate_argnums=0)
def moved_mean(mean: Leaves, leaves: Leaves, decay: float) -> Leaves:
    """The running mean of the weights after one more step."""
    return [decay * old + (1 - decay) * new for old, new in zip(mean, leaves, strict=True)]


def structure(config: T5Config) -> nnx.GraphDef[T5]:
    """Structure of the networks of a configuration, without their parameters."""
    return nnx.split(nnx.eval_shape(lambda: T5(config, nnx.Rngs(0))), nnx.Param)[0]
