"""Steps of a Markov chain after a decoder: k-Gibbs, k-parallel or Metropolis-Hastings on finished sequences.

Each step masks k uniformly random sites K and fills them again:

    k-gibbs              one by one in ascending order, each given those before it: the block from p(x_K | x_{-K}) where
                         the conditionals come from a law p, which is then stationary. k calls
    k-parallel           at once, each from its own p(x_i | x_{-K}): what one pass of a masked network does. 1 call
    metropolis-hastings  as k-parallel, kept with probability min(1, w(new) g(old) / (w(old) g(new))), where g is the
                         product of the p(x_i | x_{-K}) and w the block's law one by one, as in k-gibbs. 2k - 1 calls

Section 3 of Li et al. 2024 (arXiv:2407.21046); `theory.samplers` has the same kernels as operators on q^N states.

Legend: ``R`` rows, ``N`` sites, ``q`` symbols.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.rule import Branches, LooksAt, Needs, Predictor, Rule, Setting, State
from theory.errors import InvalidInput
from theory.parameters import parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ChainSteps(Rule):
    """Steps of one chain; a rule that starts from finished sequences and therefore only follows another."""

    remasks: ClassVar[bool] = True
    reads_calls: ClassVar[bool] = False

    k: int = parameter(1, "sites masked in a step", minimum=1)
    times: int = parameter(1, "steps", minimum=1)

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    @abstractmethod
    def refill(self, model: Predictor, before: Integers, sites: Integers, choose: Choices) -> tuple[Integers, float]:
        """Tokens [R', N] after the sites [R, k] of full sequences [R, N] were filled again, and the calls."""

    def horizon(self, setting: Setting) -> int:
        if self.k > setting.sites:
            raise InvalidInput("k", self.k, f"at most {setting.sites}, the number of sites")
        return self.times

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        shape = state.tokens.shape
        rows, chosen = choose.subset(np.zeros(shape), np.full(shape[0], self.k))
        sites = np.nonzero(chosen)[1].reshape(len(rows), self.k)
        tokens, calls = self.refill(model, state.tokens[rows], sites, choose)
        return State(tokens), np.full(len(tokens), calls)


def with_tokens(tokens: Integers, sites: Integers, values: Integers | int) -> Integers:
    """A copy of tokens [R, N] with values at the sites [R, m]."""
    result = tokens.copy()
    np.put_along_axis(result, sites, values, axis=1)
    return result


@dataclass(frozen=True)
class GibbsSteps(ChainSteps):
    """Blocks drawn one by one."""

    name: ClassVar[str] = "k-gibbs"
    summary: ClassVar[str] = "then k random sites again, one by one"
    source: ClassVar[str] = "Li et al. 2024 (arXiv:2407.21046), section 3"

    def refill(self, model: Predictor, before: Integers, sites: Integers, choose: Choices) -> tuple[Integers, float]:
        tokens = with_tokens(before, sites, model.symbols)
        for place in range(self.k):
            laws = self.token_laws(model.predict(tokens)[np.arange(len(tokens)), sites[:, place]])
            again, drawn = choose.index(laws)
            tokens, sites = tokens[again], sites[again]
            tokens = with_tokens(tokens, sites[:, [place]], drawn[:, None])
        return tokens, self.k


@dataclass(frozen=True)
class ParallelSteps(ChainSteps):
    """Blocks drawn at once."""

    name: ClassVar[str] = "k-parallel"
    summary: ClassVar[str] = "then k random sites again, at once"
    source: ClassVar[str] = "Li et al. 2024 (arXiv:2407.21046), section 3"

    def refill(self, model: Predictor, before: Integers, sites: Integers, choose: Choices) -> tuple[Integers, float]:
        masked = with_tokens(before, sites, model.symbols)
        hidden = masked == model.symbols
        again, drawn = choose.tokens(self.token_laws(model.predict(masked)), hidden)
        return np.where(hidden[again], drawn, masked[again]), 1.0


@dataclass(frozen=True)
class MetropolisSteps(ChainSteps):
    """Blocks proposed at once, kept so that the law of blocks drawn one by one stays stationary."""

    name: ClassVar[str] = "metropolis-hastings"
    summary: ClassVar[str] = "then k random sites again, proposed at once and kept by Metropolis and Hastings' rule"
    source: ClassVar[str] = "Levin, Peres and Wilmer, section 3.2"

    def refill(self, model: Predictor, before: Integers, sites: Integers, choose: Choices) -> tuple[Integers, float]:
        masked = with_tokens(before, sites, model.symbols)
        proposal = self.token_laws(model.predict(masked))
        again, drawn = choose.tokens(proposal, masked == model.symbols)
        before, masked, sites, proposal = before[again], masked[again], sites[again], proposal[again]
        after = with_tokens(masked, sites, np.take_along_axis(drawn, sites, axis=1))
        proposed = {name: _together(proposal, sites, full) for name, full in (("old", before), ("new", after))}
        wanted = {name: _in_turn(model, masked, sites, full) for name, full in (("old", before), ("new", after))}
        down, up = wanted["old"] * proposed["new"], wanted["new"] * proposed["old"]
        # Where the old block is impossible everything is kept.
        chance = np.where(down > 0, np.minimum(1.0, up / np.where(down > 0, down, 1.0)), 1.0)
        again, kept = choose.coins(chance[:, None])
        return np.where(kept, after[again], before[again]), 2.0 * self.k - 1


def _together(laws: Array, sites: Integers, full: Integers) -> Array:
    """The product of the token laws [R, N, q] over the sites at the tokens of full sequences, [R]."""
    rows = np.arange(len(full))[:, None]
    return np.asarray(laws[rows, sites, np.take_along_axis(full, sites, axis=1)].prod(axis=1))


def _in_turn(model: Predictor, masked: Integers, sites: Integers, full: Integers) -> Array:
    """The law of the block one by one at the tokens of full sequences, [R]."""
    rows, tokens, result = np.arange(len(full)), masked, np.ones(len(full))
    for place in range(sites.shape[1]):
        site = sites[:, place]
        result = result * model.predict(tokens)[rows, site, full[rows, site]]
        tokens = with_tokens(tokens, sites[:, [place]], full[rows, site][:, None])
    return result


@dataclass(frozen=True, kw_only=True)
class Followed(Rule):
    """A decoder, then steps of a chain; written ``maskgit+k-gibbs:k=2,times=3``.

    Attributes:
        first, then: each with its own options; those of `Rule` are not read here.
    """

    name: ClassVar[str] = "followed"
    summary: ClassVar[str] = "a decoder, then steps of a chain"
    source: ClassVar[str] = "Li et al. 2024 (arXiv:2407.21046)"
    remasks: ClassVar[bool] = True

    first: Rule
    then: ChainSteps

    def __post_init__(self) -> None:
        """Its parts have checked their options."""

    @property
    def looks_at(self) -> LooksAt:
        return self.first.looks_at

    @property
    def needs(self) -> Needs:
        return self.first.needs

    def horizon(self, setting: Setting) -> int:
        return self.first.steps(setting) + self.then.steps(setting)

    def start(self, setting: Setting, rows: int) -> State:
        return self.first.start(setting, rows)

    def _part(self, setting: Setting, step: int) -> tuple[Rule, int]:
        """The part that a step belongs to, and its number there."""
        decoding = self.first.steps(setting)
        return (self.first, step) if step < decoding else (self.then, step - decoding)

    def branches(self, setting: Setting, step: int, state: State, model: Predictor) -> Branches:
        part, number = self._part(setting, step)
        return part.branches(setting, number, state, model)

    def advance(
        self, setting: Setting, step: int, state: State, model: Predictor, generator: np.random.Generator
    ) -> tuple[State, Array]:
        part, number = self._part(setting, step)
        return part.advance(setting, number, state, model, generator)

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        part, inner = self._part(setting, number)
        return part.step(setting, inner, state, model, choose)
