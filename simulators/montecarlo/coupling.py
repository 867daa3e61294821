"""Grand couplings of monotone heat-bath dynamics: upper bounds on mixing times, and perfect samples.

Order configurations of {0, 1}^N site by site. In an attractive (ferromagnetic) model p(x_i = 1 | x_{-i}) grows with x,
so if all chains redraw the same sites with the same uniform numbers, x_i' = 1[u >= p(x_i = 0 | x_{-i})], their order is
kept. Once the chains from the top (all ones) and the bottom (all zeros) meet, all chains have met: with tau that time,

    d(t) <= P(tau > t),   so t_mix(eps) <= min{ t : P(tau > t) <= eps }.

*Coupling from the past* runs the two chains from time -T to 0 with fixed randomness at each time, doubling T until they
meet: where they are at time 0 is then an exact draw from p.

Sources: Levin, Peres and Wilmer, *Markov Chains and Mixing Times*, thm 5.4 and ch. 25; Propp and Wilson, "Exact
sampling with coupled Markov chains", Random Struct. Algorithms 9 (1996).

Legend: ``N`` sites, ``R`` replicas, ``M`` blocks.
"""

from __future__ import annotations

from functools import partial
from math import ceil, log2
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from simulators.montecarlo.draws import draw_with
from simulators.montecarlo.masks import padded
from simulators.montecarlo.models.model import fill
from simulators.montecarlo.models.pairwise import PairwiseModel
from theory.errors import InvalidInput
from theory.masks import MaskLaw


class NotCoalesced(RuntimeError):
    """Coupling from the past did not meet in the time allowed; returning the rest would bias the sample."""


class Coalescence(NamedTuple):
    """Coalescence times of independent replicas of the grand coupling.

    Attributes:
        times: [R]; -1 where top and bottom had not met after ``steps``.
        steps: length of the run.
    """

    times: NDArray[np.int64]
    steps: int

    def tail(self, steps: int) -> float:
        """Estimate of P(tau > t) for t <= ``steps`` of the run: an estimated upper bound on d(t)."""
        return float(((self.times < 0) | (self.times > steps)).mean())

    def mixing_time(self, eps: float = 0.25, error: float = 0.05) -> int | None:
        """A number that is >= t_mix(eps) with probability >= 1 - ``error`` over the replicas.

        An order statistic of the times that is above their (1 - eps)-quantile with that probability, whatever their
        law. None where too few replicas, or too few of them that met, allow no such statement.

        Raises:
            InvalidInput: ``eps`` or ``error`` outside (0, 1).
        """
        for argument, value in (("eps", eps), ("error", error)):
            if not 0 < value < 1:
                raise InvalidInput(argument, value, "a number in (0, 1) is needed")
        replicas = len(self.times)
        # The r-th smallest time is below the quantile only if r or more times are: P(Bin(R, 1 - eps) >= r) <= error.
        rank = int(binom.isf(error, replicas, 1 - eps)) + 1
        if rank > replicas:
            return None
        met = np.sort(np.where(self.times < 0, np.iinfo(np.int64).max, self.times))
        return int(met[rank - 1]) if met[rank - 1] <= self.steps else None


def grand_coupling(
    model: PairwiseModel, key: jax.Array, replicas: int, steps: int, blocks: MaskLaw | None = None
) -> Coalescence:
    """Coalescence times of the chains from top and bottom.

    Args:
        model: an attractive binary model.
        key: a key of `jax.random.key`.
        replicas: R.
        steps: give up after so many.
        blocks: None for random single-site updates (k-Gibbs with k = 1), one site a step; else a law of
            masks without an edge inside: one step is a systematic scan of its list.

    Raises:
        InvalidInput: a model that is not attractive, or blocks whose sites are not independent.
    """
    _require_monotone(model, blocks)
    if replicas < 1 or steps < 1:
        raise InvalidInput("replicas, steps", (replicas, steps), "both must be at least 1")
    listed = None if blocks is None else jnp.asarray(padded(blocks.masks, blocks.sites))
    keys = jax.random.split(key, replicas)
    return Coalescence(np.asarray(_forward(keys, listed, steps, model=model), dtype=np.int64), steps)


def perfect_samples(
    model: PairwiseModel, key: jax.Array, count: int, blocks: MaskLaw | None = None, max_steps: int = 2**20
) -> NDArray[np.int32]:
    """Independent exact draws from p by coupling from the past, shape [count, N].

    Args:
        model, key, blocks: as in `grand_coupling`.
        count: number of draws.
        max_steps: largest T tried.

    Raises:
        InvalidInput: as `grand_coupling`.
        NotCoalesced: some replica had not met within ``max_steps``.
    """
    _require_monotone(model, blocks)
    if count < 1 or max_steps < 1:
        raise InvalidInput("count, max_steps", (count, max_steps), "both must be at least 1")
    listed = None if blocks is None else jnp.asarray(padded(blocks.masks, blocks.sites))
    keys = jax.random.split(key, count)
    for doubling in range(ceil(log2(max_steps)) + 1):
        start = min(2**doubling, max_steps)
        lower, upper = _from_the_past(keys, listed, start, model=model)
        # A replica that has met ends in the same place for every larger T, so all may go on together.
        if bool((lower == upper).all()):
            return np.asarray(lower)
    met = int((lower == upper).all(axis=1).sum())
    raise NotCoalesced(f"{count - met} of {count} replicas had not met after {max_steps} steps from the past")


def _require_monotone(model: PairwiseModel, blocks: MaskLaw | None) -> None:
    if not isinstance(model, PairwiseModel) or not model.attractive:
        raise InvalidInput("model", model, "a binary pairwise model with couplings >= 0 is needed")
    if blocks is None:
        return
    if blocks.sites != model.sites:
        raise InvalidInput("blocks", f"over {blocks.sites} sites", f"blocks over {model.sites} sites are needed")
    if not all(model.independent(mask) for mask in blocks.masks):
        raise InvalidInput("blocks", "with an edge inside one", "the sites of a block must be independent")


def _redraw(model: PairwiseModel, x: jax.Array, masked: jax.Array, uniforms: jax.Array) -> jax.Array:
    return fill(x, masked, draw_with(uniforms, model.site_logits(x, masked)))


def _update(model: PairwiseModel, listed: jax.Array | None, key: jax.Array, pair: jax.Array) -> jax.Array:
    """One step of both chains [2, N] with the same randomness."""
    site_key, value_key = jax.random.split(key)
    both = jax.vmap(partial(_redraw, model), in_axes=(0, None, None))
    if listed is None:
        site = jax.random.randint(site_key, (1,), 0, model.sites)
        return both(pair, site, jax.random.uniform(value_key, (1,), dtype=float))
    uniforms = jax.random.uniform(value_key, listed.shape, dtype=float)
    return jax.lax.scan(lambda pair, at: (both(pair, *at), None), pair, (listed, uniforms))[0]


def _extremes(model: PairwiseModel) -> jax.Array:
    return jnp.stack([jnp.zeros(model.sites, dtype=jnp.int32), jnp.ones(model.sites, dtype=jnp.int32)])


@partial(jax.jit, static_argnames=("model",))
def _forward(keys: jax.Array, listed: jax.Array | None, steps: int, *, model: PairwiseModel) -> jax.Array:
    """Time at which each replica coalesces, -1 where later than ``steps``."""

    def one(key: jax.Array) -> jax.Array:
        def going(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
            time, pair = carry
            return (time < steps) & (pair[0] != pair[1]).any()

        def body(carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            time, pair = carry
            return time + 1, _update(model, listed, jax.random.fold_in(key, time), pair)

        time, pair = jax.lax.while_loop(going, body, (jnp.zeros((), dtype=jnp.int32), _extremes(model)))
        return jnp.where((pair[0] == pair[1]).all(), time, -1)

    return jax.vmap(one)(keys)


@partial(jax.jit, static_argnames=("model",))
def _from_the_past(
    keys: jax.Array, listed: jax.Array | None, start: int, *, model: PairwiseModel
) -> tuple[jax.Array, jax.Array]:
    """Both chains at time 0, started at time -``start``; the randomness of time -t is that of ``fold_in(key, t)``."""

    def one(key: jax.Array) -> jax.Array:
        def body(passed: jax.Array, pair: jax.Array) -> jax.Array:
            return _update(model, listed, jax.random.fold_in(key, start - passed), pair)

        return jax.lax.fori_loop(0, start, body, _extremes(model))

    pairs = jax.vmap(one)(keys)
    return pairs[:, 0], pairs[:, 1]
