r"""Training a masked network by weighted pseudolikelihood.

The loss of a batch of sequences x and masks K is the mean over the batch of

    weighting "token":   -ln p_theta(x_K | x_{-K})           (every masked token counts one),
    weighting "mask":    -ln p_theta(x_K | x_{-K}) / |K|     (every mask counts one; an empty mask counts 0).

A network predicts the tokens of a mask independently of each other given the visible ones, so for it
-ln p_theta(x_K | x_{-K}) = sum_{i in K} -ln p_theta(x_i | x_{-K}). The first weighting is then the weighted
pseudolikelihood of Li et al. 2024, section 2, over product conditionals, the second that of BERT; with masks of one
size they differ by the constant 1/|K|.

Everything that is random is a function of the seed and the step: batch and masks of step t come from the generator
seeded with (seed, t), so that a checkpoint of step t (parameters, optimiser, losses) is all that is needed to go on as
if nothing had happened.

Legend: ``B`` batch, ``N`` sites.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from numpy.typing import NDArray

from simulators.gmlm.data import DataSource
from simulators.gmlm.networks import MaskedNetwork
from simulators.snapshots import load_snapshot, read_plain, require_same, save_snapshot
from theory.errors import InvalidInput
from theory.masks import AdaptiveMaskLaw, MaskLaw

Report = Callable[[int, float], None]
"""Called with the number of steps that are done and the mean loss since the last call."""

CHECKPOINT = "checkpoint.safetensors"
"""Name of the file in the training folder."""


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        steps: optimiser steps.
        batch_size: sequences of each step, with one mask each.
        learning_rate: the largest; it rises linearly over ``warmup_steps`` and then falls.
        warmup_steps: steps of the rise.
        schedule: "cosine" falls to zero, "constant" stays.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        weighting: "token" or "mask", see the module's description.
        seed: of batches and masks.
    """

    steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    weighting: Literal["token", "mask"] = "token"
    seed: int = 0

    @property
    def step(self) -> StepSettings:
        """What a compiled step depends on."""
        return StepSettings(self.weighting, self.weight_decay, self.clip)

    def __post_init__(self) -> None:
        for name, lowest in (("steps", 1), ("batch_size", 1), ("warmup_steps", 0), ("seed", 0)):
            if getattr(self, name) < lowest:
                raise InvalidInput(name, getattr(self, name), f"at least {lowest} is needed")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < np.inf:
                raise InvalidInput(name, getattr(self, name), "a positive finite number is needed")
        if not 0 <= self.weight_decay < np.inf:
            raise InvalidInput("weight_decay", self.weight_decay, "a finite number >= 0 is needed")
        for name, allowed in (("schedule", ("cosine", "constant")), ("weighting", ("token", "mask"))):
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, getattr(self, name), "one of " + ", ".join(allowed))


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What training leaves beside the trained network.

    Attributes:
        losses: loss of every step, [steps].
        started_at: the step from which this run went on; 0 unless it found a checkpoint.
    """

    losses: NDArray[np.float32]
    started_at: int


def masked_loss(network: MaskedNetwork, tokens: jax.Array, masked: jax.Array, weighting: str) -> jax.Array:
    """The loss of sequences [B, N] under masks [B, N]; see the module's description."""
    losses = -network.block_log_likelihood(tokens, masked)
    if weighting == "mask":
        losses = losses / jnp.maximum(masked.sum(axis=1, dtype=losses.dtype), 1)
    return losses.mean()


@dataclass(frozen=True)
class StepSettings:
    """The part of the settings that a compiled step depends on."""

    weighting: str
    weight_decay: float
    clip: float


def learning_rate(settings: TrainingSettings, step: int) -> np.float32:
    """The learning rate of a step (the first is 0): a linear rise, then the schedule."""
    if step < settings.warmup_steps:
        return np.float32(settings.learning_rate * (step + 1) / (settings.warmup_steps + 1))
    if settings.schedule == "constant":
        return np.float32(settings.learning_rate)
    progress = (step - settings.warmup_steps) / max(settings.steps - settings.warmup_steps, 1)
    return np.float32(settings.learning_rate * (1 + np.cos(np.pi * progress)) / 2)


@lru_cache
def make_optimiser(settings: StepSettings) -> optax.GradientTransformation:
    """AdamW with a clipped gradient at learning rate 1; the step multiplies its updates by the schedule's rate.

    It works on all parameters as one vector: for small networks that compiles and runs in half the time.
    """
    return optax.flatten(
        optax.chain(optax.clip_by_global_norm(settings.clip), optax.adamw(1.0, weight_decay=settings.weight_decay))
    )


@partial(jax.jit, static_argnums=0)
def initial_moments(settings: StepSettings, parameters: nnx.State) -> optax.OptState:
    """The optimiser's state before the first step."""
    return make_optimiser(settings).init(parameters)


Step = Callable[
    [list[jax.Array], optax.OptState, list[jax.Array], NDArray[np.int32], NDArray[np.bool_], np.float32],
    tuple[list[jax.Array], optax.OptState, jax.Array],
]
"""(parameters, moments, constants, tokens, masks, learning rate) -> (parameters, moments, loss), arrays in lists."""


@lru_cache(maxsize=64)
def compiled_step(
    graph: nnx.GraphDef[MaskedNetwork],
    parameters_form: jax.tree_util.PyTreeDef,
    constants_form: jax.tree_util.PyTreeDef,
    settings: StepSettings,
) -> Step:
    """One step of the optimiser. The arguments are compared by value, so that a second network of the same form
    compiles nothing; the step itself takes flat lists, because hashing a network's structure takes as long as a step.
    """

    def step(
        leaves: list[jax.Array],
        moments: optax.OptState,
        constants: list[jax.Array],
        tokens: jax.Array,
        masked: jax.Array,
        rate: jax.Array,
    ) -> tuple[list[jax.Array], optax.OptState, jax.Array]:
        def loss(candidate: list[jax.Array]) -> jax.Array:
            parameters = jax.tree.unflatten(parameters_form, candidate)
            network = nnx.merge(graph, parameters, jax.tree.unflatten(constants_form, constants))
            return masked_loss(network, tokens, masked, settings.weighting)

        value, gradient = jax.value_and_grad(loss)(leaves)
        # What optax computes inside is not ours to be strict about.
        with jax.numpy_dtype_promotion("standard"):
            updates, moments = make_optimiser(settings).update(gradient, moments, leaves)
        updates = [rate * update for update in updates]
        return optax.apply_updates(leaves, updates), moments, value

    return jax.jit(step, donate_argnums=(0, 1))


def draw_batch(
    data: DataSource, masks: MaskLaw | AdaptiveMaskLaw, settings: TrainingSettings, step: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Sequences and masks of one step, a function of (settings.seed, step); shapes [B, N]."""
    generator = np.random.default_rng((settings.seed, step))
    sequences = data.draw(settings.batch_size, generator)
    return sequences, masks.draw(sequences, generator)


def train(
    network: MaskedNetwork,
    data: DataSource,
    masks: MaskLaw | AdaptiveMaskLaw,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    checkpoint_every: int = 200,
    report: Report | None = None,
    report_every: int = 50,
    description: dict[str, Any] | None = None,
) -> TrainingRun:
    """Train the network in place.

    Args:
        network: as made by `simulators.gmlm.build.build`.
        data, masks: where batches come from.
        settings: how to train.
        folder: where to keep a checkpoint; training goes on from one that is there. None keeps nothing.
        checkpoint_every: steps between checkpoints; the last step always makes one.
        report: live loss.
        report_every: steps between reports.
        description: plain data kept in the checkpoint, such as the network's configuration; must agree on resuming.

    Raises:
        InvalidInput: sizes that differ, a folder whose checkpoint was made with other settings or data, or a loss that
            is no longer a number.
    """
    _check_sizes(network, data, masks)
    for name, every in (("checkpoint_every", checkpoint_every), ("report_every", report_every)):
        if every < 1:
            raise InvalidInput(name, every, "at least 1 is needed")
    graph, parameters, *others = nnx.split(network, nnx.Param, ...)
    moments = initial_moments(settings.step, parameters)
    # The step gives its inputs' memory away; the network must not lose its arrays if training is interrupted.
    parameters = _copied(parameters)
    losses = np.zeros(settings.steps, dtype=np.float32)
    identity = {
        "settings": dataclasses.asdict(settings),
        "masks": masks.name,
        "data": data.fingerprint,
        **(description or {}),
    }
    start = 0
    path = None if folder is None else folder / CHECKPOINT
    if path is not None and path.exists():
        require_same(path, identity)
        like = {"parameters": parameters, "moments": moments, "losses": losses}
        tree, plain = load_snapshot(path, like)
        parameters, moments, start = tree["parameters"], tree["moments"], int(plain["step"])
        losses = np.array(tree["losses"])
        nnx.update(network, _copied(parameters))

    leaves, form = jax.tree.flatten(parameters)
    constants, constants_form = jax.tree.flatten(others[0])
    step_once = compiled_step(graph, form, constants_form, settings.step)
    pending: list[jax.Array] = []
    reported = start
    for step in range(start, settings.steps):
        tokens, masked = draw_batch(data, masks, settings, step)
        leaves, moments, loss = step_once(leaves, moments, constants, tokens, masked, learning_rate(settings, step))
        pending.append(loss)
        done = step + 1
        saving = done % checkpoint_every == 0 or done == settings.steps
        reporting = done % report_every == 0 or done == settings.steps
        if not (saving or reporting):
            continue
        losses[done - len(pending) : done] = [np.asarray(loss) for loss in pending]
        pending = []
        if not np.isfinite(losses[:done]).all():
            first = int(np.flatnonzero(~np.isfinite(losses[:done]))[0])
            raise InvalidInput("learning_rate", settings.learning_rate, f"the loss is not finite from step {first} on")
        if saving:
            parameters = jax.tree.unflatten(form, leaves)
            nnx.update(network, _copied(parameters))
            if path is not None:
                tree = {"parameters": parameters, "moments": moments, "losses": losses}
                save_snapshot(path, tree, {"step": done, "identity": identity})
        if reporting and report is not None:
            report(done, float(losses[reported:done].mean()))
            reported = done
    return TrainingRun(losses, start)


def load_parameters(network: MaskedNetwork, folder: Path) -> int:
    """Put the parameters of a folder's checkpoint into the network; returns the step of the checkpoint.

    Raises:
        InvalidInput: there is no checkpoint, or it is one of another network.
    """
    path = folder / CHECKPOINT
    settings = TrainingSettings(**read_plain(path)["identity"]["settings"])
    parameters = nnx.state(network, nnx.Param)
    like = {
        "parameters": parameters,
        "moments": initial_moments(settings.step, parameters),
        "losses": np.zeros(settings.steps, dtype=np.float32),
    }
    tree, plain = load_snapshot(path, like)
    nnx.update(network, tree["parameters"])
    return int(plain["step"])


def _copied(parameters: nnx.State) -> nnx.State:
    # Without a named dtype JAX compiles a copy for every shape.
    return jax.tree.map(lambda leaf: jnp.asarray(np.array(leaf), dtype=leaf.dtype), parameters)


def _check_sizes(network: MaskedNetwork, data: DataSource, masks: MaskLaw | AdaptiveMaskLaw) -> None:
    if (data.sites, data.symbols) != (network.sites, network.symbols):
        raise InvalidInput(
            "data",
            f"sequences of {data.sites} sites over {data.symbols} symbols",
            f"the network has {network.sites} sites over {network.symbols} symbols",
        )
    if masks.sites != network.sites:
        raise InvalidInput("masks", f"over {masks.sites} sites", f"the network has {network.sites} sites")
