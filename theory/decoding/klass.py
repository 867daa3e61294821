"""Decoding by the stability of predictions over time (KLASS).

Legend: ``R`` rows, ``N`` sites, ``q`` symbols, ``h`` steps that are remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from theory.decoding.choices import Choices
from theory.decoding.rule import LooksAt, Predictor, Rule, Setting, State
from theory.parameters import parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Klass(Rule):
    """Opens every site that is confident and stable, else the most confident ones by a uniform plan.

    A site is stable if each of its last h divergences KL(p_i now || p_i a step before) is below kappa, and confident if
    max p_i > theta. Where no site is both, the n_s most confident open, n_s = N/T rounded down, one more in the first
    N mod T steps (0 if T > N: a wasted call). Step T opens whatever is left, which the released code would leave masked
    when fewer than n_s sites were ready in a step. The rule remembers the last h partial sequences.
    """

    name: ClassVar[str] = "klass"
    summary: ClassVar[str] = (
        "opens sites that are confident (theta) and whose law moved by less than kappa in each of the last h steps"
    )
    source: ClassVar[str] = "Kim et al. 2025 (KLASS); src/model/llada_klass.py of shkim0116/KLASS"

    theta: float = parameter(0.9, "confidence that a site must exceed", minimum=0.0, maximum=1.0)
    kappa: float = parameter(0.01, "nats that its law may have moved in a step", minimum=0.0)
    h: int = parameter(2, "steps that are looked back", minimum=1)

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    @property
    def chooses_first(self) -> bool:
        return True

    def horizon(self, setting: Setting) -> int:
        return setting.calls

    def memory(self, setting: Setting, rows: int) -> Mapping[str, NDArray]:
        return {"past": np.full((rows, self.h, setting.sites), setting.symbols, dtype=np.int64)}

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        sites, symbols, past = setting.sites, setting.symbols, state.memory["past"]
        hidden = state.tokens == symbols
        # The newest first: laws [R, h + 1, N, q] now, a step before, ...
        seen = np.concatenate([state.tokens[:, None], past], axis=1)
        laws = model.predict(seen.reshape(-1, sites)).reshape(len(seen), self.h + 1, sites, symbols)
        moved = rel_entr(laws[:, :-1], laws[:, 1:]).sum(axis=3)
        confidence = laws[:, 0].max(axis=2)
        ready = hidden & (confidence > self.theta) & (moved < self.kappa).all(axis=1) & (number >= self.h)
        left = hidden.sum(axis=1)
        planned = sites // setting.calls + (number < sites % setting.calls)
        wanted = np.where(ready.any(axis=1), 0, np.minimum(planned, left))
        if number == setting.calls - 1:
            ready, wanted = hidden, np.zeros_like(left)
        rows, best = choose.top(np.where(hidden, confidence, -np.inf), wanted, self.ties)
        opens = ready[rows] | best
        again, drawn = choose.tokens(self.token_laws(laws[:, 0])[rows], opens)
        rows, opens = rows[again], opens[again]
        remembered = np.concatenate([state.tokens[rows, None], past[rows, :-1]], axis=1)
        return State(np.where(opens, drawn, state.tokens[rows]), {"past": remembered}), np.ones(len(rows))
