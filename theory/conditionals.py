"""The conditional model: the one face through which a table or a trained network gives p(x_K | x_{-K}).

A masked network sees the unmasked tokens and returns, in one pass, a law for each masked site separately; it has no
joint law of several masked sites. A joint table has both. Learned conditionals need not be compatible with any joint.

Legend: ``N`` sites, ``q`` symbols, ``k`` masked sites, ``C = q**(N-k)`` contexts (C order of the unmasked sites),
``B`` batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.laws.joint import JointLaw, logarithms
from theory.masks import AdaptiveMaskLaw
from theory.pictures import Pictured
from theory.states import check_sites

Array = NDArray[np.float64]

STOCHASTIC_TOLERANCE = 1e-6
"""Largest deviation from 1 of a conditional's sum that is taken for float32 rounding in a network's output."""


class ConditionalModel(ABC, Pictured):
    """Masked-conditionals over Omega^N.

    Attributes:
        sites, symbols: N and q.
        law: the joint law that all conditionals come from, where there is one, else None.
    """

    sites: int
    symbols: int
    law: JointLaw | None = None

    @abstractmethod
    def token_conditionals(self, masked: Iterable[int]) -> Array:
        """p(x_i = . | x_{-K}) for every i in K (ascending) and every context, shape [k, C, q]."""

    def joint_conditional(self, masked: Iterable[int]) -> Array:
        """p(x_K = . | x_{-K}), shape [C, q**k].

        Without a joint law the block is filled site by site in ascending order, each given those before it: the law
        that a masked network defines when it decodes one token at a time from left to right.
        """
        chosen = check_sites(masked, self.sites)
        kept = tuple(i for i in range(self.sites) if i not in chosen)
        result = np.ones((self.symbols ** len(kept), 1))
        for position in range(len(chosen)):
            known = sorted(kept + chosen[:position])
            token = self.token_conditionals(chosen[position:])[0].reshape(
                (self.symbols,) * len(known) + (self.symbols,)
            )
            # Bring the contexts of this site into the order (unmasked sites, sites filled so far).
            order = [known.index(i) for i in kept] + [known.index(i) for i in chosen[:position]]
            factor = token.transpose([*order, len(known)]).reshape(result.shape[0], result.shape[1], self.symbols)
            result = (result[:, :, None] * factor).reshape(result.shape[0], -1)
        return result

    def leave_one_out(self) -> Array:
        """p(x_i = . | x_{-i}) at every full sequence, shape [S, N, q]."""
        grids = []
        for site in range(self.sites):
            token = self.token_conditionals((site,))[0].reshape((self.symbols,) * (self.sites - 1) + (self.symbols,))
            spread = np.expand_dims(token, site)
            shape = (self.symbols,) * self.sites + (self.symbols,)
            grids.append(np.broadcast_to(spread, shape).reshape(-1, self.symbols))
        return np.stack(grids, axis=1)


class TableConditionals(ConditionalModel):
    """The exact conditionals of a joint law. Contexts of probability zero get the uniform law (see `JointLaw`)."""

    def __init__(self, law: JointLaw) -> None:
        self.law: JointLaw = law
        self.sites = law.sites
        self.symbols = law.symbols

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        chosen = check_sites(masked, self.sites)
        if not chosen:
            return np.zeros((0, self.law.states, self.symbols))
        joint = self.law.conditional(chosen)
        block = joint.reshape((joint.shape[0],) + (self.symbols,) * len(chosen))
        axes = range(1, len(chosen) + 1)
        return np.stack([block.sum(axis=tuple(a for a in axes if a != keep)) for keep in axes])

    def joint_conditional(self, masked: Iterable[int]) -> Array:
        return self.law.conditional(masked)


class MaskAwareConditionals(ConditionalModel):
    """p(x_K | x_{-K}, K) ∝ p(x) P(K | x): what masked training learns where masks look at the sequence.

    A context in which K is never drawn gets the uniform law.

    Args:
        law: p.
        masks: P(K | x).

    Raises:
        InvalidInput: masks for another number of sites or states, or (on use) a mask that is not in the list.
    """

    def __init__(self, law: JointLaw, masks: AdaptiveMaskLaw) -> None:
        if (masks.sites, masks.probabilities.shape[1]) != (law.sites, law.states):
            raise InvalidInput("masks", masks.name, f"masks for {law.sites} sites and {law.states} states are needed")
        self.sites, self.symbols = law.sites, law.symbols
        self._law, self._masks = law, masks

    def _given(self, masked: Iterable[int]) -> TableConditionals:
        chosen = check_sites(masked, self.sites)
        if chosen not in self._masks.masks:
            raise InvalidInput("masked", chosen, "must be a mask of the mask law")
        chance = self._masks.probabilities[self._masks.masks.index(chosen)]
        logs = self._law.log_probabilities + logarithms(chance)
        return TableConditionals(JointLaw.from_log_weights(logs.reshape(self._law.table.shape)))

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        chosen = tuple(masked)
        return self._given(chosen).token_conditionals(chosen)

    def joint_conditional(self, masked: Iterable[int]) -> Array:
        chosen = tuple(masked)
        return self._given(chosen).joint_conditional(chosen)


class FunctionConditionals(ConditionalModel):
    """Conditionals computed by any function, for instance a trained masked network.

    Args:
        sites, symbols: N and q.
        predict: takes tokens [B, N] (integers, the mask symbol is q) and returns probabilities [B, N, q]; only the
            entries at masked sites are read.

    Raises:
        InvalidInput: (on use) the function returns a wrong shape, negative numbers, NaN, or rows that do not sum to 1.
    """

    def __init__(self, sites: int, symbols: int, predict: Callable[[NDArray[np.int64]], NDArray[np.floating]]) -> None:
        self.sites = sites
        self.symbols = symbols
        self._predict = predict

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        chosen = check_sites(masked, self.sites)
        kept = [i for i in range(self.sites) if i not in chosen]
        contexts = self.symbols ** len(kept)
        tokens = np.full((contexts, self.sites), self.symbols, dtype=np.int64)
        if kept:
            tokens[:, kept] = np.stack(np.unravel_index(np.arange(contexts), (self.symbols,) * len(kept)), axis=1)
        predicted = np.asarray(self._predict(tokens), dtype=np.float64)
        expected = (contexts, self.sites, self.symbols)
        if predicted.shape != expected:
            raise InvalidInput("predict", f"an array of shape {predicted.shape}", f"shape {expected} is needed")
        rows = predicted[:, list(chosen), :]
        sums = rows.sum(axis=2, keepdims=True)
        if not (rows >= 0).all() or not (np.abs(sums - 1) <= STOCHASTIC_TOLERANCE).all():
            raise InvalidInput("predict", "its output", "probabilities must be >= 0 and sum to 1 over the symbols")
        return np.ascontiguousarray((rows / sums).transpose(1, 0, 2))


class TemperedConditionals(ConditionalModel):
    """Another model's conditionals to the power 1/T, renormalised; T = 0 puts all mass on the most likely outcome.

    Ties at T = 0 go to the outcome that comes first in state order, so that greedy decoding is a deterministic map.

    Raises:
        InvalidInput: a temperature that is negative or not finite.
    """

    def __init__(self, model: ConditionalModel, temperature: float) -> None:
        if not 0 <= temperature < np.inf:
            raise InvalidInput("temperature", temperature, "a finite number >= 0 is needed")
        self.model = model
        self.temperature = temperature
        self.sites = model.sites
        self.symbols = model.symbols
        self.law = model.law if temperature == 1 else None

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        return temper(self.model.token_conditionals(masked), self.temperature)

    def joint_conditional(self, masked: Iterable[int]) -> Array:
        return temper(self.model.joint_conditional(masked), self.temperature)


def temper(laws: Array, temperature: float) -> Array:
    """Laws along the last axis to the power 1/T, renormalised; T = 0 gives the first most likely outcome.

    Probabilities within 1e-12 (relative) of the largest count as tied, so that rounding does not decide.
    """
    largest = laws.max(axis=-1, keepdims=True)
    if temperature == 0:
        first = np.argmax(laws >= largest * (1 - 1e-12), axis=-1)
        return np.eye(laws.shape[-1])[first]
    powered = (laws / largest) ** (1 / temperature)
    return np.asarray(powered / powered.sum(axis=-1, keepdims=True))
