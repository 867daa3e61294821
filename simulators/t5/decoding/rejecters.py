"""Rejecters: which predictions of a refinement step are not kept.

With n open positions (those before EOS), steps t = 0..T-1, and confidence ln p of the token that was predicted:

| rejecter | rejects |
|---|---|
| `Passthrough` | nothing |
| `LinearSchedule` | the floor(n (T - t - 1) / T) least confident: nothing at the last step |
| `ConstantSchedule` | the ``count`` least confident, or floor(fraction n) |
| `Stutter` | a token that equals its left neighbour |
| `Learned` | what the network's rejecter head gives a probability of being right below the threshold |

Schedules reject exactly so many, none where that is 0; of equally confident tokens the leftmost go first. Linear
schedule: Ghazvininejad et al. 2019 (arXiv:1904.09324).

Legend: ``R`` rows, ``L`` length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from theory.errors import InvalidInput


class Predictions(NamedTuple):
    """What a rejecter sees.

    Attributes:
        tokens: predicted ids [R, L].
        confidence: ln p of each predicted token [R, L].
        keep: probability that each prediction is right [R, L]; only `Learned` reads it.
        open: positions that are predicted at all [R, L].
        step, steps: t and T.
    """

    tokens: jax.Array
    confidence: jax.Array
    keep: jax.Array
    open: jax.Array
    step: jax.Array
    steps: jax.Array


class Rejecter(ABC):
    """Base of all rejecters.

    Attributes:
        needs_confidence: reads ``confidence``.
        needs_head: reads ``keep``.
        depends_on_step: the same predictions can be judged differently at another step.
    """

    needs_confidence: ClassVar[bool] = False
    needs_head: ClassVar[bool] = False
    depends_on_step: ClassVar[bool] = False

    @abstractmethod
    def reject(self, predictions: Predictions) -> jax.Array:
        """Which open positions are rejected, [R, L]."""


@dataclass(frozen=True)
class Passthrough(Rejecter):
    """Keeps everything."""

    def reject(self, predictions: Predictions) -> jax.Array:
        return jnp.zeros_like(predictions.open)


@dataclass(frozen=True)
class LinearSchedule(Rejecter):
    """Rejects fewer at each step, and none at the last."""

    needs_confidence: ClassVar[bool] = True
    depends_on_step: ClassVar[bool] = True

    def reject(self, predictions: Predictions) -> jax.Array:
        total = predictions.open.sum(axis=1)
        return least_confident(predictions, total * (predictions.steps - predictions.step - 1) // predictions.steps)


@dataclass(frozen=True)
class ConstantSchedule(Rejecter):
    """Rejects the same number, or the same share, at every step.

    Attributes:
        count: how many.
        fraction: or which share of the open positions; one of the two is 0.
    """

    count: int = 0
    fraction: float = 0.0

    needs_confidence: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 0:
            raise InvalidInput("count", self.count, "a whole number >= 0 is needed")
        if not 0 <= self.fraction <= 1:
            raise InvalidInput("fraction", self.fraction, "a number in [0, 1] is needed")
        if self.count and self.fraction:
            raise InvalidInput("fraction", self.fraction, "a count or a fraction, not both")

    def reject(self, predictions: Predictions) -> jax.Array:
        total = predictions.open.sum(axis=1)
        # The fraction in parts per million: products in float32 can fall just short of a whole number.
        share = total * round(self.fraction * 1_000_000) // 1_000_000
        return least_confident(predictions, jnp.minimum(total, self.count) if self.count else share)


@dataclass(frozen=True)
class Stutter(Rejecter):
    """Rejects a token that equals the token before it; the first one has none."""

    def reject(self, predictions: Predictions) -> jax.Array:
        return stutters(predictions.tokens, predictions.open)


@dataclass(frozen=True)
class Learned(Rejecter):
    """Asks the network's rejecter head.

    Attributes:
        threshold: least probability of being right.
    """

    threshold: float = 0.5

    needs_head: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InvalidInput("threshold", self.threshold, "a probability is needed")

    def reject(self, predictions: Predictions) -> jax.Array:
        return predictions.open & (predictions.keep < self.threshold)


def least_confident(predictions: Predictions, count: jax.Array) -> jax.Array:
    """The ``count`` [R] open positions of least confidence, exactly so many, ties from the left, [R, L]."""
    confidence = jnp.where(predictions.open, predictions.confidence, jnp.inf)
    order = jnp.argsort(confidence, axis=1, stable=True)
    rank = jnp.argsort(order, axis=1, stable=True)
    return predictions.open & (rank < count[:, None])


def stutters(tokens: jax.Array, open: jax.Array) -> jax.Array:
    """Open positions whose token equals that of the open position on their left, [R, L]."""
    first = jnp.zeros((tokens.shape[0], 1), bool)
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & open[:, 1:] & open[:, :-1]
    return jnp.concatenate([first, repeats], axis=1)


REJECTERS: dict[str, type[Rejecter]] = {
    "passthrough": Passthrough,
    "linear": LinearSchedule,
    "constant": ConstantSchedule,
    "stutter": Stutter,
    "learned": Learned,
}
"""Rejecters by the names under which options choose them."""
