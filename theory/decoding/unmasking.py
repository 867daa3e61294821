"""The path of one sequence from blanks to text, step by step.

Legend: ``N`` sites, ``q`` symbols (a blank is q), ``T`` steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from theory.decoding.rule import Predictor, Rule, Setting
from theory.errors import InvalidInput
from theory.pictures import Pictured

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, eq=False)
class Unmasking(Pictured):
    """A path.

    Attributes:
        tokens: what stood before the first step and after each, [T + 1, N]; a blank is q.
        calls: network calls that each step took, [T].
        symbols: q.
        alphabet: a letter (or a short word) for each symbol.
    """

    tokens: NDArray[np.int64]
    calls: NDArray[np.float64]
    symbols: int
    alphabet: Sequence[str]

    @property
    def blank(self) -> NDArray[np.bool_]:
        """Which sites are masked, [T + 1, N]."""
        return np.asarray(self.tokens == self.symbols)

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Which sites each step filled, or changed, [T, N]."""
        return np.asarray((self.tokens[1:] != self.tokens[:-1]) & ~self.blank[1:])

    def until(self, step: int) -> Unmasking:
        """The path to its first steps.

        Raises:
            InvalidInput: a step that is not among 0..T.
        """
        if not 0 <= step < len(self.tokens):
            raise InvalidInput("step", step, f"must lie in 0..{len(self.tokens) - 1}")
        return replace(self, tokens=self.tokens[: step + 1], calls=self.calls[:step])

    def letter(self, token: int) -> str:
        """How a token is written; a blank is ``_``."""
        return "_" if token == self.symbols else self.alphabet[token]

    def __str__(self) -> str:
        return "\n".join("".join(self.letter(int(token)) for token in row) for row in self.tokens)


def unmask(
    model: Predictor, rule: Rule, calls: int, generator: np.random.Generator, alphabet: Sequence[str] = DIGITS
) -> Unmasking:
    """Decode one sequence and keep what stood after every step.

    Args:
        model: table or network.
        rule: with its options.
        calls: T asked for.
        generator: of all draws.
        alphabet: a letter (or a short word) for each symbol.

    Raises:
        InvalidInput: the rule does not fit the model, or fewer letters than symbols.
    """
    setting = Setting.of(model, calls)
    if len(alphabet) < model.symbols:
        raise InvalidInput("alphabet", alphabet, f"a letter for each of {model.symbols} symbols is needed")
    state, spent = rule.start(setting, 1), []
    tokens = [state.tokens[0].copy()]
    for step in range(rule.steps(setting)):
        state, taken = rule.advance(setting, step, state, model, generator)
        if not taken[0] and np.array_equal(tokens[-1], state.tokens[0]):
            continue  # finished before the last step
        spent.append(float(taken[0]))
        tokens.append(state.tokens[0].copy())
    return Unmasking(np.array(tokens), np.array(spent), model.symbols, alphabet)
