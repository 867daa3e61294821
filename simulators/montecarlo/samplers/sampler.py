"""The interface of every simulated sampler: `Sampler.init` makes a state, `Sampler.step` moves all chains one step.

A sampler is built from a model and a mask law by a function that bears the name of its exact twin in
`theory.samplers`; one step of each chain is one step of that Markov kernel.

Legend: ``N`` sites, ``B`` chains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from simulators.montecarlo.models.model import Model
from theory.errors import InvalidInput
from theory.masks import MaskLaw


class State(NamedTuple):
    """Where the chains are: ``position`` int32 [B, N]."""

    position: jax.Array


class Info(NamedTuple):
    """What a step did: ``changed`` tokens that differ [B], ``accepted`` [B] (always True without a correction)."""

    changed: jax.Array
    accepted: jax.Array


Kernel = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
"""One step of one chain: from a key and x [N] to x' [N] and whether a proposal was accepted."""


class Sampler(NamedTuple):
    """A sampler.

    Attributes:
        name: as in `theory.samplers.SAMPLERS`.
        init: from sequences [B, N] (integers 0..q-1) to a state; refuses sequences of probability zero.
        step: from a random key and a state to the next state and what happened; compiled.
    """

    name: str
    init: Callable[[ArrayLike | jax.Array], State]
    step: Callable[[jax.Array, State], tuple[State, Info]]


def over_chains(name: str, model: Model, kernel: Kernel) -> Sampler:
    """The sampler whose chains move independently by a kernel."""

    def init(position: ArrayLike | jax.Array) -> State:
        chosen = np.asarray(position)
        if chosen.ndim != 2 or chosen.shape[1] != model.sites or not np.issubdtype(chosen.dtype, np.integer):
            raise InvalidInput(
                "position", f"{chosen.dtype} of shape {chosen.shape}", f"integers of shape (chains, {model.sites})"
            )
        if chosen.size == 0 or chosen.min() < 0 or chosen.max() >= model.symbols:
            raise InvalidInput("position", chosen, f"at least one chain, symbols 0..{model.symbols - 1}")
        start = jnp.asarray(chosen, dtype=jnp.int32)
        if model.has_law and bool(jnp.isneginf(jax.vmap(model.log_weight)(start)).any()):
            raise InvalidInput("position", chosen, "chains must start where the law is positive")
        return State(start)

    @jax.jit
    def step(key: jax.Array, state: State) -> tuple[State, Info]:
        moved, accepted = jax.vmap(kernel)(jax.random.split(key, state.position.shape[0]), state.position)
        return State(moved), Info((moved != state.position).sum(axis=1, dtype=jnp.int32), accepted)

    return Sampler(name, init, step)


def require_same_sites(model: Model, masks: MaskLaw) -> None:
    """Raise unless masks and model speak of the same sites."""
    if masks.sites != model.sites:
        raise InvalidInput("masks", f"over {masks.sites} sites", f"the model has {model.sites} sites")


def require_target(model: Model, target: Model | None) -> Model:
    """The law that a correction keeps: the target, or that of the model.

    Raises:
        InvalidInput: there is neither, or the target is over other sequences.
    """
    law = model if target is None else target
    if not law.has_law:
        raise InvalidInput("target", None, "these conditionals come from no joint law; name the law to correct towards")
    if (law.sites, law.symbols) != (model.sites, model.symbols):
        raise InvalidInput("target", law, f"a law of {model.sites} sites over {model.symbols} symbols is needed")
    return law


def always() -> jax.Array:
    """The ``accepted`` of a kernel without a correction."""
    return jnp.ones((), dtype=bool)
