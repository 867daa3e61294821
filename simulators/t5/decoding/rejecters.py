"""Rejecters: which predictions of a refinement step are not kept.

With n open positions (those before EOS), steps t = 0..T-1, and confidence ln p of the token that was predicted:

| rejecter | rejects |
|---|---|
| `Passthrough` | nothing |
| `LinearSchedule` | the floor(n (T - t - 1) / T) least confident: nothing at the last step |
| `ConstantSchedule` | the ``count`` least confident, or floor(fraction n) |
| `Threshold` | what is less probable than a threshold, all but the most confident |
| `Stutter` | a token that equals its left neighbour |
| `Learned` | what the network's rejecter head gives a probability of being right below the threshold |

Schedules reject exactly so many, none where that is 0; of equally confident tokens the leftmost go first. Linear
schedule: Ghazvininejad et al. 2019 (arXiv:1904.09324). Threshold: Wu et al. 2025, "Fast-dLLM" (arXiv:2505.22618).

A rejecter is a subclass of `Rejecter` with a name: defining it is all that is needed for options, checks and tests to
know it.

Legend: ``R`` rows, ``L`` length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from theory.parameters import check_all, named, parameter

if TYPE_CHECKING:
    import jax


class Proposal(NamedTuple):
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


REJECTERS: dict[str, type[Rejecter]] = {}
"""Rejecters by the names under which options choose them."""


class Rejecter(ABC):
    """Base of all rejecters: dataclasses whose fields are options, made by `theory.parameters.parameter`.

    Attributes:
        name: under which options choose it; a class without one is not offered.
        needs_confidence: reads ``confidence``.
        needs_head: reads ``keep``, and so needs a network with a rejecter head.
        depends_on_step: the same predictions can be judged differently at another step.
    """

    name: ClassVar[str] = ""
    needs_confidence: ClassVar[bool] = False
    needs_head: ClassVar[bool] = False
    depends_on_step: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            REJECTERS[cls.name] = cls

    def __post_init__(self) -> None:
        check_all(self)

    @abstractmethod
    def reject(self, proposal: Proposal) -> jax.Array:
        """Which open positions are rejected, [R, L]."""


@dataclass(frozen=True)
class Passthrough(Rejecter):
    """Keeps everything."""

    name: ClassVar[str] = "passthrough"

    def reject(self, proposal: Proposal) -> jax.Array:
        return proposal.open & False


@dataclass(frozen=True)
class LinearSchedule(Rejecter):
    """Rejects fewer at each step, and none at the last."""

    name: ClassVar[str] = "linear"
    needs_confidence: ClassVar[bool] = True
    depends_on_step: ClassVar[bool] = True

    def reject(self, proposal: Proposal) -> jax.Array:
        total = proposal.open.sum(axis=1)
        return least_confident(proposal, total * (proposal.steps - proposal.step - 1) // proposal.steps)


@dataclass(frozen=True)
class ConstantSchedule(Rejecter):
    """Rejects the same number, or the same share, at every step."""

    count: int = parameter(1, "how many open positions", minimum=0)
    fraction: float = parameter(
        0.0, "or which share of them, in place of the count where above 0", minimum=0, maximum=1
    )

    name: ClassVar[str] = "constant"
    needs_confidence: ClassVar[bool] = True

    def reject(self, proposal: Proposal) -> jax.Array:
        total = proposal.open.sum(axis=1)
        # The fraction in parts per million: products in float32 can fall just short of a whole number.
        share = total * round(self.fraction * 1_000_000) // 1_000_000
        return least_confident(proposal, share if self.fraction else total.clip(max=self.count))


@dataclass(frozen=True)
class Threshold(Rejecter):
    """Rejects what is less probable than a threshold, but never all: the most confident open position is kept."""

    probability: float = parameter(0.9, "least probability of a token that is kept", minimum=0, maximum=1)

    name: ClassVar[str] = "threshold"
    needs_confidence: ClassVar[bool] = True

    def reject(self, proposal: Proposal) -> jax.Array:
        # Compared as probabilities: ln 0 is no number to compare with.
        import jax.numpy as jnp

        below = (proposal.open & (jnp.exp(proposal.confidence) < self.probability)).sum(axis=1)
        return least_confident(proposal, jnp.minimum(below, jnp.maximum(proposal.open.sum(axis=1) - 1, 0)))


@dataclass(frozen=True)
class Stutter(Rejecter):
    """Rejects a token that equals the token before it; the first one has none."""

    name: ClassVar[str] = "stutter"

    def reject(self, proposal: Proposal) -> jax.Array:
        return stutters(proposal.tokens, proposal.open)


@dataclass(frozen=True)
class Learned(Rejecter):
    """Asks the network's rejecter head."""

    threshold: float = parameter(0.5, "least probability of being right", minimum=0, maximum=1)

    name: ClassVar[str] = "learned"
    needs_head: ClassVar[bool] = True

    def reject(self, proposal: Proposal) -> jax.Array:
        return proposal.open & (proposal.keep < self.threshold)


def least_confident(proposal: Proposal, count: jax.Array) -> jax.Array:
    """The ``count`` [R] open positions of least confidence, exactly so many, ties from the left, [R, L]."""
    import jax.numpy as jnp

    confidence = jnp.where(proposal.open, proposal.confidence, jnp.inf)
    order = jnp.argsort(confidence, axis=1, stable=True)
    rank = jnp.argsort(order, axis=1, stable=True)
    return proposal.open & (rank < count[:, None])


def stutters(tokens: jax.Array, open: jax.Array) -> jax.Array:
    """Open positions whose token equals that of the open position on their left, [R, L]."""
    import jax.numpy as jnp

    first = jnp.zeros((tokens.shape[0], 1), bool)
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & open[:, 1:] & open[:, :-1]
    return jnp.concatenate([first, repeats], axis=1)


def parse_rejecter(text: str) -> Rejecter:
    """A rejecter from its name and options, such as ``linear`` or ``constant:fraction=0.2``.

    Raises:
        InvalidInput: an unknown rejecter or option, or a value that is not allowed.
    """
    found: Rejecter = named(text, REJECTERS, "rejecter")
    return found
