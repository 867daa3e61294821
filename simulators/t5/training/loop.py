"""Training of a T5, resumable and the same at every repetition.

Batch, noise and dropout of step t are functions of the seed and t alone, so that a snapshot (parameters, moments of
the optimiser, step) is all that is needed to go on as if nothing had happened; on a CPU to the last bit. The compiled
programs are one gradient for each batch shape and one update; a second training of the same configuration compiles
nothing.

With several devices the rows of a batch are spread over them and the parameters are copied to each.

With an ``average`` a, the running mean m <- a m + (1 - a) w of the weights w is what is validated and kept; after t
steps a is (1 + t) / (10 + t) at most, so that the first weights are soon forgotten.

A training folder is a checkpoint folder (`simulators.t5.files.checkpoints`) of the best weights so far, by
validation, with the snapshot beside them.

Legend: ``B`` batch, ``S``, ``L`` lengths of source and target.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from simulators.interruption import interruption
from simulators.snapshots import load_snapshot, read_plain, require_same, save_snapshot
from simulators.t5.files.checkpoints import save_checkpoint
from simulators.t5.network.network import T5
from simulators.t5.training.corpus import Batch, Batches, Corpus
from simulators.t5.training.objective import Losses
from simulators.t5.training.programs import Leaves, moved_mean, programs, structure
from simulators.t5.training.settings import TrainingSettings
from theory.errors import InvalidInput

SNAPSHOT = "training.safetensors"
"""Name of the snapshot in the training folder."""

AHEAD = 2
"""Steps that may be queued on the device before the first of them is waited for."""


class Entry(NamedTuple):
    """One line of the history of a training.

    Attributes:
        step: steps done.
        loss: mean of what is minimised since the last entry.
        nll: mean -ln p of a gold token since the last entry, nats.
        tokens_per_second: target tokens, padding not counted.
        seconds: of training up to here, over all runs that it took; without validation.
        validation: -ln p of a gold token of the validation corpus, nats; None where it was not measured here.
    """

    step: int
    loss: float
    nll: float
    tokens_per_second: float
    seconds: float
    validation: float | None = None


Report = Callable[[Entry], None]


class TrainingRun(NamedTuple):
    """What training leaves beside the trained network.

    Attributes:
        history: of all runs.
        started_at: the step from which this run went on; 0 unless it found a snapshot.
        best_step: step of the weights that the network and the folder hold.
    """

    history: list[Entry]
    started_at: int
    best_step: int


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the snapshot of the last step was written.

    Attributes:
        step: steps done.
    """

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def fit(
    network: T5,
    corpus: Corpus,
    settings: TrainingSettings,
    *,
    validation: Corpus | None = None,
    folder: Path | None = None,
    check_every: int = 500,
    report: Report | None = None,
    report_every: int = 20,
    description: dict[str, Any] | None = None,
) -> TrainingRun:
    """Train the network in place; at the end it has the weights of the best validation, or without one the last.

    Args:
        network: either decoder.
        corpus: what to train on.
        settings: how to train.
        validation: what to validate on, at every check.
        folder: where to keep the best weights and a snapshot; training goes on from one that is there.
        check_every: steps between checks (validation and snapshot); the last step always is one.
        report: called with every entry of the history.
        report_every: steps between entries.
        description: plain data kept in the snapshot, such as where the first weights came from; must agree on resuming.

    Raises:
        InvalidInput: sentences longer than the decoder knows, a folder whose snapshot was made with other settings or
            data, or a loss that is no longer a number.
        Interrupted: Ctrl-C, after a snapshot.
    """
    for name, every in (("check_every", check_every), ("report_every", report_every)):
        if every < 1:
            raise InvalidInput(name, every, "at least 1 is needed")
    longest, known = int(corpus.targets.lengths.max()), network.config.max_target_length
    if network.config.decoder == "refinement" and longest > known:
        raise InvalidInput("max_target_length", known, f"the corpus has targets of {longest} tokens")
    training = _Training(network, corpus, settings, validation)
    path = None if folder is None else folder / SNAPSHOT
    identity = {
        "settings": dataclasses.asdict(settings),
        "network": dataclasses.asdict(network.config),
        "corpus": corpus.fingerprint,
        "validation": None if validation is None else validation.fingerprint,
        **(description or {}),
    }
    if path is not None and path.exists():
        require_same(path, identity)
        training.resume(path)
    started_at = training.step
    training.compile_ahead()
    with interruption() as interrupted:
        while training.step < settings.steps and not interrupted.is_set():
            training.advance()
            done = training.step
            checking = done % check_every == 0 or done == settings.steps
            if not (checking or done % report_every == 0 or interrupted.is_set()):
                continue
            entry = training.entry(checking)
            if report is not None:
                report(entry)
            if folder is not None and path is not None and (checking or interrupted.is_set()):
                if checking and training.best_step == done:
                    save_checkpoint(training.best_network(), folder)
                training.save(path, identity)
    if training.step < settings.steps:
        raise Interrupted(training.step)
    nnx.update(network, nnx.state(training.best_network(), nnx.Param))
    return TrainingRun(training.history, started_at, training.best_step)


def read_history(folder: Path) -> list[Entry]:
    """The history of a training folder.

    Raises:
        InvalidInput: there is no readable snapshot.
    """
    return [Entry(**entry) for entry in read_plain(folder / SNAPSHOT)["history"]]


class _Training:
    """The moving parts of a training."""

    def __init__(self, network: T5, corpus: Corpus, settings: TrainingSettings, validation: Corpus | None) -> None:
        devices = jax.devices()
        self._rows = NamedSharding(Mesh(np.array(devices), ("data",)), PartitionSpec("data"))
        whole = NamedSharding(self._rows.mesh, PartitionSpec())
        self._batches = Batches(corpus, settings.batch_tokens, len(devices), settings.seed)
        self._validation = None if validation is None else Batches(validation, settings.batch_tokens, len(devices))
        self._config, self._settings = network.config, settings
        _, state = nnx.split(network, nnx.Param)
        leaves, self._form = jax.tree.flatten(state)
        # Copies: updates give the memory of their inputs away, and the network must keep its own.
        self._leaves: Leaves = [jax.device_put(np.array(leaf), whole) for leaf in leaves]
        self._programs = programs(network.config, settings.objective, settings.optimiser, settings.steps)
        self._moments = jax.device_put(self._programs.start(self._leaves), whole)
        self._key = jax.random.key(settings.seed)
        self._pending: list[Losses] = []
        self._tokens = 0
        self._clock, self._seconds = time.perf_counter(), 0.0
        self._mean: Leaves | None = [jnp.copy(leaf) for leaf in self._leaves] if settings.average else None
        self._best: Leaves = [jnp.copy(leaf) for leaf in self._leaves]
        self._best_value = math.inf
        self.step = self.best_step = 0
        self.history: list[Entry] = []

    def _put(self, batch: Batch) -> Batch:
        return Batch(*(jax.device_put(side, self._rows) for side in batch))

    def compile_ahead(self) -> None:
        """Compile the gradient for the shapes of the next epoch, side by side: met later, each would stall a step."""
        ahead = range(self.step, min(self._settings.steps, self.step + self._batches.per_epoch))
        shapes = sorted({self._batches.shape(step) for step in ahead})
        if len(shapes) < 2:
            return

        def once(shape: tuple[int, int]) -> None:
            ids = np.full(shape, self._config.pad_token_id, np.int32)
            jax.block_until_ready(self._programs.gradient(self._leaves, self._put(Batch(ids, ids)), self._key))

        pool = ThreadPoolExecutor(min(len(shapes), os.cpu_count() or 1))
        try:
            list(pool.map(once, shapes))
        finally:
            # After Ctrl-C only what is being compiled is waited for.
            pool.shutdown(wait=False, cancel_futures=True)

    def advance(self) -> None:
        """One step; what it found is waited for later."""
        key = jax.random.fold_in(self._key, self.step)
        batch = self._batches(self.step)
        gradient, found = self._programs.gradient(self._leaves, self._put(batch), key)
        self._leaves, self._moments = self._programs.update(self._leaves, self._moments, gradient)
        if self._mean is not None:
            decay = min(self._settings.average, (1 + self.step) / (10 + self.step))
            self._mean = moved_mean(self._mean, self._leaves, decay)
        self._pending.append(found)
        if len(self._pending) > AHEAD:
            # Steps that are queued cannot be interrupted and hold their batches.
            jax.block_until_ready(self._pending[-AHEAD - 1].total)
        self._tokens += int((batch.target != self._config.pad_token_id).sum())
        self.step += 1

    def entry(self, validate: bool) -> Entry:
        """Close an entry of the history."""
        found = jax.device_get(self._pending)
        passed = time.perf_counter() - self._clock
        self._seconds += passed
        values = [float(each.total) for each in found]
        if not np.isfinite(values).all():
            raise InvalidInput(
                "learning_rate",
                self._settings.optimiser.learning_rate,
                f"the loss is not finite from step {self.step - len(values) + int(np.argmin(np.isfinite(values)))} on",
            )
        tokens = self._tokens
        entry = Entry(
            self.step,
            float(np.mean(values)),
            float(np.mean([float(each.nll) for each in found])),
            tokens / passed,
            self._seconds,
            self.validate() if validate and self._validation is not None else None,
        )
        self._pending, self._tokens = [], 0
        self.history.append(entry)
        if validate and (entry.validation is None or entry.validation < self._best_value):
            self.best_step = self.step
            self._best_value = math.inf if entry.validation is None else entry.validation
            self._best = [jnp.copy(leaf) for leaf in self._kept]
        self._clock = time.perf_counter()
        return entry

    @property
    def _kept(self) -> Leaves:
        """What is validated and kept: the weights, or their running mean."""
        return self._leaves if self._mean is None else self._mean

    def validate(self) -> float:
        """-ln p of a gold token of the validation corpus under the present weights."""
        total = weight = 0.0
        for number, batch in enumerate(self._validation or ()):
            key = jax.random.fold_in(self._key, number)
            found = jax.device_get(self._programs.losses(self._kept, self._put(batch), key))
            total += float(found.nll) * float(found.weight)
            weight += float(found.weight)
        return total / weight

    def best_network(self) -> T5:
        """The network with the best weights."""
        leaves = [jnp.asarray(np.asarray(leaf)) for leaf in self._best]
        return nnx.merge(structure(self._config), jax.tree.unflatten(self._form, leaves))

    def _tree(self) -> dict[str, Any]:
        tree = {"parameters": self._leaves, "moments": self._moments, "best": self._best}
        return tree if self._mean is None else tree | {"mean": self._mean}

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the snapshot."""
        plain = {
            "step": self.step,
            "best_step": self.best_step,
            "best_value": self._best_value if math.isfinite(self._best_value) else None,
            "seconds": self._seconds,
            "history": [entry._asdict() for entry in self.history],
            "identity": identity,
        }
        save_snapshot(path, self._tree(), plain)

    def resume(self, path: Path) -> None:
        """Take the snapshot's place in the training."""
        tree, plain = load_snapshot(path, self._tree())
        placed = jax.device_put(tree, NamedSharding(self._rows.mesh, PartitionSpec()))
        self._leaves, self._moments, self._best = placed["parameters"], placed["moments"], placed["best"]
        self._mean = placed.get("mean")
        self.step, self.best_step, self._seconds = plain["step"], plain["best_step"], plain["seconds"]
        self._best_value = math.inf if plain["best_value"] is None else plain["best_value"]
        self.history = [Entry(**entry) for entry in plain["history"]]
