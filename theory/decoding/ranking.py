"""Rules that choose sites and draw their tokens: sites first, or candidates for all of them first.

`SiteRule` chooses the sites of a step from (A, x_A) and its own randomness, then draws their tokens independently. For
it the chain rule holds node by node: with the exact conditionals of p,
    KL(p || q) <= E sum_t TC(x_{D_t} | x_{A_t} = its tokens),
the mean over x ~ p and the rule's own randomness, with equality where the sites are a function of (A, x_A).

`RankedRule` gives every hidden site a *key* and reveals the `counts` sites of the highest keys, or, with Gumbel noise
added to keys/noise, a Plackett-Luce set. It is one of two kinds:

    keys [B, N]       read off the token law of the site; the tokens of the sites taken are then drawn. Without noise
                      and with ties to the first the sites are a function of (A, x_A) (`RankedRule.replayable`), so each
                      sequence x has one path and q(x) = prod_t prod_{i in D_t} w_i(x_i | x_{A_t}) at any length
    keys [B, N, q]    of a token at a site: candidates x^_i ~ w_i are drawn at all hidden sites first, and those of
                      highest key are kept (`looks_at` is "drawn"). The kept tokens are no longer distributed as w_i

where w_i = `Rule.token_laws`(p_i). Replay and path sums at any length need no more than `token_laws`, `keys`, `noise`
and `counts`.

Legend: ``B`` rows, ``N`` sites of the window, ``q`` symbols.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices, highest
from theory.decoding.rule import Predictor, Rule, Setting, State, Tokens, windows
from theory.decoding.schedules import SIZE_PLANS
from theory.errors import InvalidInput
from theory.parameters import parameter

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class SiteRule(Rule):
    """A rule that chooses sites without looking at their tokens, then draws the tokens independently."""

    @property
    def draws_from_network(self) -> bool:
        """Whether tokens are drawn from p_i as they are: not tempered, cut or sharpened."""
        return self.temperature == 1 and self.top_p == 1

    @abstractmethod
    def sites(
        self, setting: Setting, number: int, tokens: Tokens, laws: Array, choose: Choices
    ) -> tuple[Integers, Flags]:
        """The sites of a step: rows [R'] of ``choose`` and the sites chosen in each, [R', N], all of them hidden.

        Args:
            number: of the step, 0-based.
            tokens, laws: partial sequences [R, N] and their token laws [R, N, q].
        """

    def step_laws(self, setting: Setting, number: int, laws: Array) -> Array:
        """The laws from which the tokens of this step are drawn, [R, N, q]."""
        return self.token_laws(laws)

    def spent(self, chosen: Flags) -> Array:
        """Calls of a step that reveals these sites, [R]: one, also where nothing is revealed."""
        return np.ones(len(chosen))

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        laws = model.predict(state.tokens)
        rows, chosen = self.sites(setting, number, state.tokens, laws, choose)
        again, drawn = choose.tokens(self.step_laws(setting, number, laws)[rows], chosen)
        chosen = chosen[again]
        return State(np.where(chosen, drawn, state.tokens[rows[again]])), self.spent(chosen)


@dataclass(frozen=True)
class RankedRule(SiteRule):
    """A rule that reveals the sites, or the drawn candidates, of highest key; see the module's definitions."""

    @abstractmethod
    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        """Keys of sites [R, N], or of tokens at sites [R, N, q] where `looks_at` is "drawn"; the highest are taken.

        Args:
            laws: p_i [R, N, q] as from the network; revealed sites are not taken whatever their key.
        """

    @abstractmethod
    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        """How many sites are revealed, [R]; keys [R, N] of the sites or their candidates, -inf where revealed."""

    def noise(self, setting: Setting, number: int) -> float:
        """s of s x Gumbel noise added to the keys; 0: none."""
        return 0.0

    def replayable(self, setting: Setting) -> bool:
        """Whether the sites of every step are a function of (A, x_A)."""
        window = windows(self, setting)[0]
        return self.looks_at != "drawn" and self.ties == "first" and self.noise(window.setting, 0) == 0

    def selected(self, setting: Setting, step: int, tokens: Tokens, laws: Array) -> Flags:
        """The sites that are revealed next, for a replayable rule: whole sequences [B, N], laws [B, N, q] -> [B, N].

        No site in a step in which the rule waits.

        Raises:
            InvalidInput: the sites are not a function of the revealed tokens.
        """
        if not self.replayable(setting):
            raise InvalidInput("decoder", self.name, "its sites are drawn at random, so that x has no single path")
        window = windows(self, setting)[step]
        part = slice(window.start, window.stop)
        hidden = tokens[:, part] == setting.symbols
        keys = np.where(hidden, self.keys(window.setting, window.step, laws[:, part]), -np.inf)
        counts = np.where(hidden.any(axis=1), self.counts(window.setting, window.step, keys), 0)
        chosen = np.zeros(tokens.shape, dtype=bool)
        chosen[:, part] = highest(keys, counts)
        return chosen

    def sites(
        self, setting: Setting, number: int, tokens: Tokens, laws: Array, choose: Choices
    ) -> tuple[Integers, Flags]:
        keys = np.where(tokens == setting.symbols, self.keys(setting, number, laws), -np.inf)
        return self.ranked(setting, number, keys, choose)

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        if self.looks_at != "drawn":
            return super().step(setting, number, state, model, choose)
        laws, hidden = model.predict(state.tokens), state.tokens == setting.symbols
        keys = self.keys(setting, number, laws)
        rows, drawn = choose.tokens(self.step_laws(setting, number, laws), hidden)
        of_drawn = np.take_along_axis(keys[rows], drawn[:, :, None], axis=2)[:, :, 0]
        again, chosen = self.ranked(setting, number, np.where(hidden[rows], of_drawn, -np.inf), choose)
        return State(np.where(chosen, drawn[again], state.tokens[rows[again]])), self.spent(chosen)

    def ranked(self, setting: Setting, number: int, keys: Array, choose: Choices) -> tuple[Integers, Flags]:
        """The sites of highest key: rows [R'] of ``choose`` and the sites chosen in each, [R', N].

        Args:
            keys: [R, N], -inf at sites that cannot be taken.
        """
        counts, noise = self.counts(setting, number, keys), self.noise(setting, number)
        return choose.subset(keys / noise, counts) if noise > 0 else choose.top(keys, counts, self.ties)


@dataclass(frozen=True)
class SizedRule(RankedRule):
    """A ranked rule that reveals n_t sites in step t, by a plan of T steps."""

    sizes: str = parameter(
        "uniform", "sites revealed in each step: a plan of T steps", choices=(*SIZE_PLANS, "optimal")
    )

    def horizon(self, setting: Setting) -> int:
        return len(size_plan(setting, self.sizes))

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        return np.full(len(keys), size_plan(setting, self.sizes)[number])


@lru_cache(maxsize=256)
@lru_cache(maxsize=32)
def size_plan(setting: Setting, sizes: str) -> tuple[int, ...]:
    """The plan (n_1, ..., n_T) of a name: uniform, cosine, geometric, or optimal, the best for random orders.

    Raises:
        InvalidInput: more calls than sites, or ``optimal`` without a known law of the whole sequence.
    """
    if setting.calls > setting.sites:
        raise InvalidInput("calls", setting.calls, f"at most {setting.sites}: each reveals at least one site")
    if sizes != "optimal":
        return SIZE_PLANS[sizes](setting.sites, setting.calls)
    if setting.truth is None:
        raise InvalidInput("sizes", sizes, "the best sizes follow from a known law of the whole sequence")
    return setting.truth.best_sizes(setting.calls)
