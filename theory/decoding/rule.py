"""What a decoding rule is: one declaration that is enumerated, replayed and sampled.

A *partial sequence* holds a token or MASK (the symbol q) at every site; the revealed sites are A, the hidden ones M. A
decoder turns a network that gives p_i = p(x_i | x_A) at hidden sites into a law q on full sequences. One *step* of a
rule takes partial sequences to random partial sequences, so decoding is a Markov chain on them (with a memory where the
rule has one). A rule writes its step once, as a program that asks `theory.decoding.choices` for every random choice;
from it follow

    branches    every successor of a partial sequence with its probability: the exact output law of small tables
    advance     one successor, drawn at random: samples of any network

and rules of `theory.decoding.ranking` whose sites are a function of (A, x_A) also have the exact q(x) of a given x at
any length.

A rule is declared in the file of its family, as a frozen dataclass whose fields are its options (made by
`theory.parameters.parameter`); `theory.decoding.registry` lists the rules. Options that every rule has are declared
and handled here: `temperature` and `top_p` (`Rule.token_laws`), `ties`, and `block`. With ``block=B`` the rule runs on
the leftmost B sites as if they were the whole sequence, everything right of them masked, then on the next B, and so on
(semi-autoregressive decoding); the T calls are shared among the blocks in proportion to their sites. A rule therefore
sees only its *window*: `Setting.sites` sites and tokens of that width.

A network *call* is one evaluation of the network on one partial sequence; a step counts what the released decoder would
spend.

Legend: ``B`` rows (partial sequences), ``N`` sites, ``q`` symbols (MASK is q), ``T`` calls asked for, ``M`` successors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices, Drawn, Enumerated
from theory.decoding.schedules import Schedule
from theory.decoding.token_laws import TIES, token_laws
from theory.errors import InvalidInput
from theory.parameters import check_all, parameter

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]
LooksAt = Literal["nothing", "revealed", "drawn"]
Needs = Literal["", "leave-one-out", "law", "noise"]


class Predictor(Protocol):
    """Anything that gives token laws: a table, a law at length, a trained network."""

    @property
    def sites(self) -> int:
        """N."""
        ...

    @property
    def symbols(self) -> int:
        """q."""
        ...

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens) at hidden sites, one-hot at revealed sites; [B, N] -> [B, N, q]."""
        ...


@runtime_checkable
class Truth(Protocol):
    """A known law, for what is computed from it before decoding: ``sizes=optimal`` and the rule `optimal`."""

    def information_curve(self) -> Array:
        """h(n), the average entropy of n sites in nats, shape [N + 1]."""
        ...

    def best_sizes(self, calls: int) -> tuple[int, ...]:
        """The sizes of T steps with the least mean KL(p || q) over random orders."""
        ...

    def best_schedule(self, calls: int) -> Schedule:
        """A schedule of T steps with the least KL(p || q)."""
        ...

    def exact_schedule(self) -> Schedule:
        """A schedule of few steps with KL(p || q) = 0, from the graph of the law."""
        ...


@dataclass(frozen=True)
class Setting:
    """What a rule is asked to do.

    Attributes:
        sites, symbols: N and q.
        calls: T, the calls (of the rule's own counting: steps, for some) that are asked for; rules whose number of
            calls follows from other options do not read it.
        truth: the law that the network is exact for, where it is known.

    Raises:
        InvalidInput: fewer than one site or call, fewer than two symbols.
    """

    sites: int
    symbols: int
    calls: int
    truth: Truth | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, least in (("sites", 1), ("symbols", 2), ("calls", 1)):
            if getattr(self, name) < least:
                raise InvalidInput(name, getattr(self, name), f"at least {least} is needed")

    @staticmethod
    def of(model: Predictor, calls: int) -> Setting:
        """The setting of a model; one that is a `Truth` as well is also the known law."""
        return Setting(model.sites, model.symbols, calls, model if isinstance(model, Truth) else None)


@dataclass(frozen=True, eq=False)
class State:
    """Partial sequences and what the rule remembers of their past.

    Attributes:
        tokens: [B, N], q where masked.
        memory: by name, arrays whose first axis is B. Rows that agree in tokens and memory (to 12 decimals) have the
            same future.
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


@dataclass(frozen=True)
class Window:
    """The sites start..stop - 1 on which a rule works, its setting there, and the number of the step within it."""

    start: int
    stop: int
    setting: Setting
    step: int
    last: bool


@dataclass(frozen=True)
class Rule(ABC):
    """A decoding rule with its options.

    Attributes:
        name: as written on the command line, in the field's words.
        summary: one line of help.
        source: paper, and where the rule was read.
        remasks: whether a revealed token may be hidden or changed again.
        reads_calls: whether the number of calls asked for matters.

    Raises:
        InvalidInput: an option outside its limits.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    remasks: ClassVar[bool] = False
    reads_calls: ClassVar[bool] = True

    temperature: float = parameter(1.0, "tokens are drawn from p^(1/T); 0 takes the likeliest", minimum=0.0)
    top_p: float = parameter(
        1.0, "tokens beyond this much of the tempered mass are never drawn", minimum=0.0, maximum=1.0
    )
    block: int = parameter(
        0, "sites of a block, at most N; they are finished from left to right (0: all sites at once)", minimum=0
    )
    ties: str = parameter("first", "which of equal sites and, at temperature 0, tokens comes first", choices=TIES)

    def __post_init__(self) -> None:
        check_all(self)

    # What a rule declares: its sites are those of its window.

    @property
    @abstractmethod
    def looks_at(self) -> LooksAt:
        """What the choice of sites depends on, with these options.

        ``"nothing"`` (a schedule, fixed or random), ``"revealed"`` tokens, or ``"drawn"`` tokens not revealed yet.
        """

    @property
    def needs(self) -> Needs:
        """What the rule, with these options, asks of a network beyond the laws of hidden sites.

        Nothing, ``"leave-one-out"`` (the law of a revealed site when it is masked too; a further call), ``"law"`` (a
        known law, from which the schedule is computed) or ``"noise"`` (scores of sequences under noise, which only a
        known law has).
        """
        return ""

    @property
    def chooses_first(self) -> bool:
        """Whether each step draws once, and every token drawn stands at a site that was chosen without looking at it.

        Not read for a `SiteRule`, which is made so.
        """
        return False

    @abstractmethod
    def horizon(self, setting: Setting) -> int:
        """Number of steps after which every sequence of N sites is complete.

        Raises:
            InvalidInput: the options do not fit the setting; the message names the option, its value, what is allowed.
        """

    @abstractmethod
    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        """One step, and the network calls that it took, [R].

        Every random choice is made by ``choose``, which may multiply the rows; the R rows returned are those of
        ``choose`` at the end. ``model.predict`` is called on one partial sequence for each current row of ``choose``,
        or on k of them for each row (row by row).

        Args:
            number: of the step, 0-based.
            state: unfinished rows.
        """

    def memory(self, setting: Setting, rows: int) -> Mapping[str, NDArray]:
        """What is remembered before the first step, arrays whose first axis is the rows."""
        return {}

    def finished(self, setting: Setting, state: State) -> NDArray[np.bool_]:
        """Which rows no further step can change, [B]: those without a masked site, for rules that do not remask."""
        if self.remasks:
            return np.zeros(len(state.tokens), dtype=bool)
        return np.asarray((state.tokens != setting.symbols).all(axis=1))

    def token_laws(self, laws: Array) -> Array:
        """The laws from which tokens are drawn: p_i tempered, then cut; [..., q] -> [..., q]."""
        return token_laws(laws, self.temperature, self.top_p, self.ties)

    # What enumeration, sampling and replay call: sites are those of the whole sequence.

    def steps(self, setting: Setting) -> int:
        """Number of steps after which every sequence is complete.

        Raises:
            InvalidInput: as `horizon`, or more blocks than calls.
        """
        return len(windows(self, setting))

    def start(self, setting: Setting, rows: int) -> State:
        """The state before the first step: everything masked."""
        return State(np.full((rows, setting.sites), setting.symbols, dtype=np.int64))

    def branches(self, setting: Setting, step: int, state: State, model: Predictor) -> Branches:
        """Every successor of every row after one step (0-based), with its probability.

        Raises:
            ExceedsMemory: too many successors.
        """
        idle = self._idle(setting, step, state)
        active, waiting = np.flatnonzero(~idle), np.flatnonzero(idle)
        choose = Enumerated(len(active))
        moved, calls = self._moved(setting, step, state.rows(active), model, choose)
        return Branches(
            np.concatenate([active[choose.parent], waiting]),
            np.concatenate([choose.probability, np.ones(len(waiting))]),
            _stacked(moved, self._settled(setting, step, state.rows(waiting))),
            np.concatenate([calls, np.zeros(len(waiting))]),
        )

    def advance(
        self, setting: Setting, step: int, state: State, model: Predictor, generator: np.random.Generator
    ) -> tuple[State, Array]:
        """One successor of every row, drawn with the probabilities of `branches`; and the calls taken, [B]."""
        return self.follow(setting, step, state, model, lambda rows: Drawn(len(rows), generator))

    def follow(
        self, setting: Setting, step: int, state: State, model: Predictor, choices: Callable[[NDArray[np.int64]], Drawn]
    ) -> tuple[State, Array]:
        """One successor of every row, with choices made for the rows that are not finished; and the calls taken, [B].

        Args:
            choices: from the numbers of those rows to what chooses for them.
        """
        idle = self._idle(setting, step, state)
        active, waiting = np.flatnonzero(~idle), np.flatnonzero(idle)
        calls = np.zeros(len(idle))
        moved, calls[active] = self._moved(setting, step, state.rows(active), model, choices(active))
        both = _stacked(moved, self._settled(setting, step, state.rows(waiting)))
        return both.rows(np.argsort(np.concatenate([active, waiting]))), calls

    def _idle(self, setting: Setting, step: int, state: State) -> NDArray[np.bool_]:
        window = windows(self, setting)[step]
        return self.finished(window.setting, State(state.tokens[:, window.start : window.stop], state.memory))

    def _moved(
        self, setting: Setting, step: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        """The window's part of the rows, moved by one step and put back."""
        if not len(state.tokens):
            return self._settled(setting, step, state), np.zeros(0)
        window = windows(self, setting)[step]
        memory = self.memory(window.setting, len(state.tokens)) if window.step == 0 else state.memory
        inner = State(state.tokens[:, window.start : window.stop], memory)
        view = model if window.stop - window.start == setting.sites else WindowView(model, window, state.tokens, choose)
        moved, calls = self.step(window.setting, window.step, inner, view, choose)
        tokens = state.tokens[choose.parent]
        tokens[:, window.start : window.stop] = moved.tokens
        return State(tokens, {} if window.last else moved.memory), calls

    def _settled(self, setting: Setting, step: int, state: State) -> State:
        """Rows that wait: what they remember ends with the window, as for those that move."""
        window = windows(self, setting)[step]
        if window.last:
            return State(state.tokens)
        if window.step == 0:
            return State(state.tokens, self.memory(window.setting, len(state.tokens)))
        return state


@dataclass(frozen=True, eq=False)
class WindowView:
    """A model seen through a window: rows of the window's width in, token laws of its sites out.

    The tokens left of the window are those of the rows that the current rows of ``choose`` came from; the sites right
    of it stay as they are (masked, unless the rule started from something else).
    """

    model: Predictor
    window: Window
    tokens: Tokens
    choose: Choices

    @property
    def sites(self) -> int:
        return self.window.setting.sites

    @property
    def symbols(self) -> int:
        return self.window.setting.symbols

    def predict(self, tokens: Tokens) -> Array:
        parent = self.choose.parent
        whole = self.tokens[np.repeat(parent, len(tokens) // max(len(parent), 1))]
        whole[:, self.window.start : self.window.stop] = tokens
        return self.model.predict(whole)[:, self.window.start : self.window.stop]


@lru_cache(maxsize=32)
def windows(rule: Rule, setting: Setting) -> tuple[Window, ...]:
    """The window of every step.

    Raises:
        InvalidInput: as `Rule.horizon`, or a block that is too wide, gets no call, or splits a noised law.
    """
    if rule.block > setting.sites:
        raise InvalidInput("block", rule.block, f"at most {setting.sites}, the number of sites")
    width = rule.block or setting.sites
    if width < setting.sites and rule.needs == "noise":
        raise InvalidInput("block", rule.block, f"0 is needed: {rule.name} follows the noised law of all sites")
    result = []
    for start in range(0, setting.sites, width):
        stop = min(start + width, setting.sites)
        if width == setting.sites:
            inner = setting
        else:
            calls = setting.calls * stop // setting.sites - setting.calls * start // setting.sites
            if calls < 1 and not rule.reads_calls:
                calls = 1
            if calls < 1:
                blocks = -(-setting.sites // width)
                raise InvalidInput("block", rule.block, f"{setting.calls} calls are too few for {blocks} blocks")
            inner = replace(setting, sites=stop - start, calls=calls, truth=None)
        steps = rule.horizon(inner)
        result += [Window(start, stop, inner, step, step == steps - 1) for step in range(steps)]
    return tuple(result)


def _stacked(first: State, second: State) -> State:
    memory = {name: np.concatenate([values, second.memory[name]]) for name, values in first.memory.items()}
    return State(np.concatenate([first.tokens, second.tokens]), memory)
