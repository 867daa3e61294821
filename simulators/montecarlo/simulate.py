"""Running chains: observables are streamed through the run, configurations are not stored.

An *observable* keeps a fixed-size summary of what all chains have done so far. A *statistic* is a function of one
configuration x [N]; `simulate` can also record statistics as draws [chain, draw], the only thing that grows with time.

Legend: ``N`` sites, ``B`` chains, ``T`` steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from simulators.montecarlo.models.model import Model
from simulators.montecarlo.samplers.sampler import Sampler, State
from theory.errors import InvalidInput

Statistic = Callable[[jax.Array], jax.Array]
"""From one configuration [N] to a number."""


class Observable(NamedTuple):
    """A streamed summary.

    Attributes:
        init: from the positions [B, N] at time 0 to the summary.
        update: from the summary, the time (1 after the first step) and the positions to the summary.
        result: from the summary to what is reported, in NumPy.
    """

    init: Callable[[jax.Array], Any]
    update: Callable[[Any, jax.Array, jax.Array], Any]
    result: Callable[[Any], Any]


class Run(NamedTuple):
    """What a run leaves behind.

    Attributes:
        state: where the chains are now; the next run can go on from it.
        observed: the result of every observable.
        draws: recorded statistics, each [chain, draw]; ``arviz.convert_to_dataset(draws)`` takes them.
    """

    state: State
    observed: dict[str, Any]
    draws: dict[str, NDArray[Any]]


class Moments(NamedTuple):
    """Mean and variance (divisor T - 1) over time of one statistic, each [B]."""

    steps: int
    mean: NDArray[np.floating]
    variance: NDArray[np.floating]


def moments(statistic: Statistic) -> Observable:
    """Mean and variance over time of a statistic, per chain (Welford's recursion, times 1..T)."""

    def init(position: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        zero = jnp.zeros(position.shape[0], dtype=float)
        return jnp.zeros((), dtype=jnp.int32), zero, zero

    def update(summary: tuple[jax.Array, jax.Array, jax.Array], time: jax.Array, position: jax.Array) -> Any:
        count, mean, squares = summary
        value = jax.vmap(statistic)(position).astype(mean.dtype)
        moved = mean + (value - mean) / (count + 1)
        return count + 1, moved, squares + (value - mean) * (value - moved)

    def result(summary: tuple[jax.Array, jax.Array, jax.Array]) -> Moments:
        count, mean, squares = (np.asarray(part) for part in summary)
        return Moments(int(count), mean, squares / max(int(count) - 1, 1))

    return Observable(init, update, result)


def occupancy(mode: Statistic, modes: int) -> Observable:
    """Steps that each chain spent in each mode, int [B, modes] (times 1..T); ``mode`` numbers them from 0."""

    def init(position: jax.Array) -> jax.Array:
        return jnp.zeros((position.shape[0], modes), dtype=jnp.int32)

    def update(counts: jax.Array, time: jax.Array, position: jax.Array) -> jax.Array:
        return counts + (jax.vmap(mode)(position)[:, None] == jnp.arange(modes))

    return Observable(init, update, np.asarray)


def hitting_time(inside: Statistic) -> Observable:
    """First time 0..T at which each chain is in a set, int [B]; -1 where it has not been (censored at T)."""

    def init(position: jax.Array) -> jax.Array:
        return jnp.where(jax.vmap(inside)(position), 0, -1).astype(jnp.int32)

    def update(first: jax.Array, time: jax.Array, position: jax.Array) -> jax.Array:
        return jnp.where((first < 0) & jax.vmap(inside)(position), time.astype(jnp.int32), first)

    return Observable(init, update, np.asarray)


def magnetisation(x: jax.Array) -> jax.Array:
    """Mean spin of a binary configuration, in [-1, 1] (symbol 0 is spin -1)."""
    return 2 * jnp.mean(x, dtype=float) - 1


def energy(model: Model) -> Statistic:
    """-ln p(x) up to a constant."""
    return lambda x: -model.log_weight(x)


def simulate(
    sampler: Sampler,
    state: State,
    key: jax.Array,
    steps: int,
    observables: Mapping[str, Observable] | None = None,
    record: Mapping[str, Statistic] | None = None,
    every: int = 1,
) -> Run:
    """Run all chains.

    The step at time t uses the key ``fold_in(key, t)``, so the same key gives the same run. A second call with the
    same objects and sizes compiles nothing.

    Args:
        sampler: from `simulators.montecarlo.samplers`.
        state: where to start.
        key: a key of `jax.random.key`.
        steps: T, a multiple of ``every``.
        observables: streamed at every step.
        record: statistics to record.
        every: record at times every, 2 every, ..., T.

    Raises:
        InvalidInput: T or ``every`` below 1, or T no multiple of it.
    """
    if every < 1:
        raise InvalidInput("every", every, "at least 1 is needed")
    if steps < 1 or steps % every:
        raise InvalidInput("steps", steps, f"a positive multiple of every = {every} is needed")
    watched, recorded = dict(observables or {}), dict(record or {})
    final, summaries, values = _run(
        state, key, sampler=sampler, steps=steps, every=every,
        watched=tuple(watched.values()), recorded=tuple(recorded.values()),
    )  # fmt: skip
    observed = {name: one.result(summary) for (name, one), summary in zip(watched.items(), summaries, strict=True)}
    draws = {name: np.asarray(value).swapaxes(0, 1) for name, value in zip(recorded, values, strict=True)}
    return Run(final, observed, draws)


@partial(jax.jit, static_argnames=("sampler", "steps", "every", "watched", "recorded"))
def _run(
    state: State,
    key: jax.Array,
    *,
    sampler: Sampler,
    steps: int,
    every: int,
    watched: tuple[Observable, ...],
    recorded: tuple[Statistic, ...],
) -> tuple[State, tuple[Any, ...], tuple[jax.Array, ...]]:
    def one(carry: tuple[State, tuple[Any, ...]], time: jax.Array) -> tuple[tuple[State, tuple[Any, ...]], None]:
        state, summaries = carry
        state, _ = sampler.step(jax.random.fold_in(key, time), state)
        updated = tuple(w.update(s, time, state.position) for w, s in zip(watched, summaries, strict=True))
        return (state, updated), None

    def until_recorded(carry: Any, times: jax.Array) -> tuple[Any, tuple[jax.Array, ...]]:
        carry, _ = jax.lax.scan(one, carry, times)
        return carry, tuple(jax.vmap(statistic)(carry[0].position) for statistic in recorded)

    start = (state, tuple(w.init(state.position) for w in watched))
    times = jnp.arange(1, steps + 1, dtype=jnp.int32).reshape(-1, every)
    (final, summaries), values = jax.lax.scan(until_recorded, start, times)
    return final, summaries, values
