"""What a decoding rule is: one declaration that is enumerated, replayed and sampled.

A *partial sequence* holds a token or MASK (the symbol q) at every site; the revealed sites are A, the hidden ones M. A
decoder turns a network that gives p_i = p(x_i | x_A) at hidden sites into a law q on full sequences. One *step* of a
rule takes partial sequences to random partial sequences, so decoding is a Markov chain on them (with a memory where the
rule has one), and the rule is known wherever its step is known:

    branches    every successor of a partial sequence with its probability: the exact output law of small tables
    advance     one successor, drawn at random: samples of any network
    block       where the sites chosen are a function of (A, x_A): q(x) of a given x, exactly, at any length

A rule is declared once, in the file of its family, as a frozen dataclass whose fields are its options (made by
`theory.parameters.parameter`); `theory.decoding.registry` lists the rules. A network *call* is one evaluation of the
network on one partial sequence.

Legend: ``B`` rows (partial sequences), ``N`` sites, ``q`` symbols (MASK is q), ``T`` calls asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

TIE_DECIMALS = 12
"""Scores are compared after rounding to this many decimals, so that rounding errors do not decide."""


class Predictor(Protocol):
    """Anything that gives token laws: a table, a law at length, a trained network.

    Attributes:
        sites, symbols: N and q.
    """

    sites: int
    symbols: int

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens) at hidden sites, one-hot at revealed sites; [B, N] -> [B, N, q]."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a rule is asked to do.

    Attributes:
        sites, symbols: N and q.
        calls: T, the calls (of the rule's own counting: steps, for some) that are asked for; rules whose number of
            calls follows from other options do not read it.
    """

    sites: int
    symbols: int
    calls: int


@dataclass(frozen=True, eq=False)
class State:
    """Partial sequences and what the rule remembers of their past.

    Attributes:
        tokens: [B, N], q where masked.
        memory: by name, arrays whose first axis is B. Rows that agree in tokens and memory (to `TIE_DECIMALS`
            decimals) have the same future.
    """

    tokens: Tokens
    memory: Mapping[str, NDArray] = field(default_factory=dict)

    def rows(self, index: NDArray) -> State:
        """The rows of an index or a Boolean mask."""
        return State(self.tokens[index], {name: values[index] for name, values in self.memory.items()})


@dataclass(frozen=True, eq=False)
class Branches:
    """The successors of some partial sequences, as flat arrays of M entries.

    Attributes:
        parent: [M] the row that each came from.
        probability: [M] over the entries of one parent they sum to 1.
        state: M rows.
        calls: [M] network calls that the step took on this branch.
    """

    parent: NDArray[np.int64]
    probability: Array
    state: State
    calls: Array


class Rule(ABC):
    """A decoding rule with its options.

    Attributes:
        name: as written on the command line, in the field's words.
        summary: one line of help.
        source: paper, and where the rule was read.
        looks_at: what the choice of sites depends on: ``"nothing"`` (a schedule, fixed or random), ``"revealed"``
            tokens, or ``"drawn"`` tokens that are not revealed yet.
        remasks: whether a revealed token may be hidden or changed again.
        needs: what the rule asks of a network beyond the laws of hidden sites: nothing, ``"leave-one-out"`` (the law of
            a revealed site when it is masked too; a further call) or ``"noise"`` (scores of sequences under noise,
            which only a known law has).
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    looks_at: ClassVar[Literal["nothing", "revealed", "drawn"]]
    remasks: ClassVar[bool] = False
    needs: ClassVar[Literal["", "leave-one-out", "noise"]] = ""

    @abstractmethod
    def steps(self, setting: Setting) -> int:
        """Number of steps after which every sequence is complete.

        Raises:
            InvalidInput: the options do not fit the setting; the message names the option, its value, what is allowed.
        """

    def start(self, setting: Setting, rows: int) -> State:
        """The state before the first step: everything masked, nothing remembered."""
        return State(np.full((rows, setting.sites), setting.symbols, dtype=np.int64))

    @abstractmethod
    def branches(self, setting: Setting, step: int, state: State, model: Predictor) -> Branches:
        """Every successor of every row after one step (0-based), with its probability.

        Raises:
            ExceedsMemory: too many successors.
        """

    @abstractmethod
    def advance(
        self, setting: Setting, step: int, state: State, model: Predictor, generator: np.random.Generator
    ) -> tuple[State, Array]:
        """One successor of every row, drawn with the probabilities of `branches`; and the calls taken, [B]."""

    def finished(self, setting: Setting, state: State) -> NDArray[np.bool_]:
        """Which rows no further step can change, [B]: those without a masked site, for rules that do not remask."""
        if self.remasks:
            return np.zeros(len(state.tokens), dtype=bool)
        return np.asarray((state.tokens != setting.symbols).all(axis=1))


class BlockRule(Rule):
    """A rule whose block D is a function of (A, x_A); the tokens of D are then drawn independently.

    Each sequence x then has one path, so that q(x) = prod_t prod_{i in D_t} w_i(x_i | x_{A_t}) is exact at any length.
    """

    looks_at = "revealed"

    @abstractmethod
    def block(self, setting: Setting, step: int, tokens: Tokens, laws: Array) -> NDArray[np.bool_]:
        """The sites that are revealed next, [B, N]; laws [B, N, q] as from `Predictor.predict`."""

    def token_laws(self, laws: Array) -> Array:
        """The laws from which tokens are drawn: p_i as they are, or cut and tempered by the rule's options."""
        return laws
