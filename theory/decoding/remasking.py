"""Decoders in which every site opens and closes on its own: ReMDM and the correctors it was compared with.

With survival alpha(t), alpha_s > alpha_t, one step from t to s treats the sites independently:

    a hidden site   opens with some probability and then draws its token from p(x_i | x_A)
    a revealed site closes (is masked again) with some probability sigma

Masked diffusion never closes and opens with (alpha_s - alpha_t)/(1 - alpha_t). ReMDM closes with sigma and opens with
(alpha_s - (1 - sigma) alpha_t)/(1 - alpha_t), so that a site is open with probability alpha_s afterwards whatever sigma
is; sigma may be at most sigma_max = min(1, (1 - alpha_s)/alpha_t). The correctors of discrete flow matching multiply
the rates: open with a (alpha_s - alpha_t)/(1 - alpha_t), close with (a - 1)(alpha_s/alpha_t - 1).

Here alpha(t) = 1 - t at the times 1, 1 - 1/T, ..., 0. Probabilities above 1, which the formulas give in the last steps
of some schedules, count as 1 (the released code draws by an argmax that never picks a negative weight). The released
code ends by filling in what is still masked, in one more call; `tail` says how.

Calls: the network's answer is kept while the sequence does not change, so one for each step that changes something, and
one for the tail where something is left.

Legend: ``R`` rows, ``N`` sites, ``q`` symbols, ``T`` steps.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.rule import LooksAt, Predictor, Rule, Setting, State
from theory.decoding.token_laws import token_laws
from theory.errors import InvalidInput
from theory.parameters import parameter

Array = NDArray[np.float64]

TIME_TOLERANCE = 1e-9
"""Times that agree to this are equal: k/T is not exact."""

SMALLEST_TIME = 1e-5
"""The released code stops there instead of at 0; it decides how many steps of flow matching there are."""


@dataclass(frozen=True)
class FlipRule(Rule):
    """Sites open and close independently; the subclass says with which probabilities."""

    remasks: ClassVar[bool] = True

    tail: str = parameter("argmax", "how sites still masked at the end are filled", choices=("argmax", "drawn"))

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    def flips(self, setting: Setting) -> int:
        """Steps before the tail."""
        return setting.calls

    @abstractmethod
    def rates(self, setting: Setting, number: int, state: State) -> tuple[Array | float, Array | float]:
        """Probabilities that a hidden site opens and that a revealed one closes, each [R, N] or one number."""

    def leaves_masks(self, setting: Setting) -> bool:
        """Whether sites may still be masked after the last flip."""
        return True

    def horizon(self, setting: Setting) -> int:
        return self.flips(setting) + self.leaves_masks(setting)

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        hidden, laws = state.tokens == setting.symbols, model.predict(state.tokens)
        if number == self.flips(setting):
            final = token_laws(laws, 0.0, 1.0, self.ties) if self.tail == "argmax" else self.token_laws(laws)
            rows, drawn = choose.tokens(final, hidden)
            filled = np.where(hidden[rows], drawn, state.tokens[rows])
            return State(filled), hidden.any(axis=1)[rows].astype(float)
        opens, closes = self.rates(setting, number, state)
        rows, flipped = choose.coins(np.clip(np.where(hidden, opens, closes), 0.0, 1.0))
        again, drawn = choose.tokens(self.token_laws(laws)[rows], flipped & hidden[rows])
        rows, flipped = rows[again], flipped[again]
        opened, closed = flipped & hidden[rows], flipped & ~hidden[rows]
        tokens = np.where(opened, drawn, np.where(closed, setting.symbols, state.tokens[rows]))
        # Laws of all successors, which are many, are put together only where something is remembered of them.
        memory = self.remembered(state.rows(rows), laws[rows], tokens, flipped) if state.memory else {}
        return State(tokens, memory), flipped.any(axis=1).astype(float)

    def remembered(self, before: State, laws: Array, tokens: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Mapping:
        """What is remembered after the step."""
        return {}


@dataclass(frozen=True)
class ReMDM(FlipRule):
    """Masked diffusion that hides revealed tokens again with probability sigma."""

    name: ClassVar[str] = "remdm"
    summary: ClassVar[str] = (
        "masked diffusion that masks revealed tokens again with a probability that its schedule sets"
    )
    source: ClassVar[str] = "Wang et al. 2025 (arXiv:2503.00307); diffusion.py of kuleshov-group/remdm"

    schedule: str = parameter(
        "cap",
        "sigma: cap min(eta, sigma_max), rescale eta sigma_max, conf by confidence, loop eta inside a window of time",
        choices=("cap", "rescale", "conf", "loop"),
    )
    eta: float = parameter(0.2, "strength of remasking (conf does not read it)", minimum=0.0, maximum=1.0)
    t_on: float = parameter(0.55, "loop: time at which remasking starts", minimum=0.0, maximum=1.0)
    t_off: float = parameter(0.05, "loop: time at which remasking ends", minimum=0.0, maximum=1.0)
    alpha_on: float = parameter(0.9, "loop: share of revealed sites meanwhile", minimum=0.0, maximum=1.0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn" if self.schedule == "conf" else "nothing"

    def flips(self, setting: Setting) -> int:
        if self.schedule == "loop":
            if not self.t_off < self.t_on < 1:
                raise InvalidInput("t_on", self.t_on, f"must lie between t_off = {self.t_off:g} and 1")
            if self.alpha_on == 1:
                raise InvalidInput("alpha_on", self.alpha_on, "must be below 1: some sites stay masked in the window")
        return super().flips(setting)

    def leaves_masks(self, setting: Setting) -> bool:
        return self.schedule == "loop"

    def memory(self, setting: Setting, rows: int) -> Mapping[str, NDArray]:
        return {"confidence": np.zeros((rows, setting.sites))} if self.schedule == "conf" else {}

    def remembered(self, before: State, laws: Array, tokens: NDArray[np.int64], flipped: NDArray[np.bool_]) -> Mapping:
        if self.schedule != "conf":
            return {}
        # The probability with which a token was drawn when it was revealed; 0 where masked.
        shown = tokens < laws.shape[2]
        when_drawn = np.take_along_axis(self.token_laws(laws), np.where(shown, tokens, 0)[:, :, None], axis=2)[:, :, 0]
        return {"confidence": np.where(flipped, when_drawn * shown, before.memory["confidence"])}

    def rates(self, setting: Setting, number: int, state: State) -> tuple[Array | float, Array | float]:
        now, then = number / setting.calls, (number + 1) / setting.calls
        sigma: Array | float
        sigma_max = min(1.0, (1 - then) / now) if now > 0 else 1.0
        if self.schedule == "cap":
            sigma = min(self.eta, sigma_max)
        elif self.schedule == "rescale":
            sigma = self.eta * sigma_max
        elif self.schedule == "conf":
            shown = state.tokens < setting.symbols
            weights = np.where(shown, np.exp(-state.memory["confidence"]), 0.0)
            sigma = sigma_max * weights / np.maximum(weights.sum(axis=1, keepdims=True), np.exp(-1.0))
            # The share of each site in the remasking is 0 where it is masked: those open as in masked diffusion.
            return (then - now) / (1 - now), sigma
        elif 1 - now > self.t_on + TIME_TOLERANCE:
            now, then, sigma = now * self.alpha_on / (1 - self.t_on), then * self.alpha_on / (1 - self.t_on), 0.0
        elif 1 - now <= self.t_off + TIME_TOLERANCE:
            slope = (1 - self.alpha_on) / self.t_off
            now, then, sigma = 1 - (1 - now) * slope, 1 - (1 - then) * slope, 0.0
        else:
            now = then = self.alpha_on
            sigma = self.eta
        return (then - (1 - sigma) * now) / (1 - now), sigma


@dataclass(frozen=True)
class ForwardBackward(FlipRule):
    """A step of masked diffusion back and forth: opens at twice the rate and closes at the rate of the noise."""

    name: ClassVar[str] = "forward-backward"
    summary: ClassVar[str] = (
        "predictor and forward-backward corrector in one: opens at twice the rate, closes at the noise's rate"
    )
    source: ClassVar[str] = "Campbell et al. 2022 (arXiv:2205.14987); diffusion.py of kuleshov-group/remdm"

    def leaves_masks(self, setting: Setting) -> bool:
        return setting.calls > 1

    def rates(self, setting: Setting, number: int, state: State) -> tuple[Array | float, Array | float]:
        if number == 0:
            return 1 / setting.calls, 0.0
        return 2 / (setting.calls - number), 1 / number


@dataclass(frozen=True)
class FlowMatching(FlipRule):
    """Discrete flow matching with the corrector schedule of its paper, in steps as long as both rates allow."""

    name: ClassVar[str] = "dfm"
    summary: ClassVar[str] = (
        "discrete flow matching: a corrector of strength 1 + eta (t (1 - t))^(1/4), steps of at most 1/T"
    )
    source: ClassVar[str] = "Gat et al. 2024 (arXiv:2407.15595), appendix D; diffusion.py of kuleshov-group/remdm"

    eta: float = parameter(10.0, "strength of the corrector; 0: masked diffusion", minimum=0.0)

    def flips(self, setting: Setting) -> int:
        return len(_flow_matching_plan(setting.calls, self.eta))

    def rates(self, setting: Setting, number: int, state: State) -> tuple[Array | float, Array | float]:
        return _flow_matching_plan(setting.calls, self.eta)[number]


@lru_cache(maxsize=256)
def _flow_matching_plan(steps: int, eta: float) -> tuple[tuple[float, float], ...]:
    """Probabilities to open and to close in each step; they end at the time 1/T, where the tail takes over."""
    plan, time = [(1 / steps, 0.0)], 1 - 1 / steps
    while time > (1 - SMALLEST_TIME) / steps:
        forward = eta * (time * (1 - time)) ** 0.25 + 1
        opens, closes = forward / time, (forward - 1) / (1 - time)
        length = min(1 / steps, 1 / (opens + closes))
        plan.append((opens * length, closes * length))
        time -= length
    return tuple(plan)
