"""Orders drawn at random without looking at tokens: by a size plan, one by one, or by masked diffusion.

Legend: ``N`` sites, ``T`` steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.ranking import RankedRule, SiteRule, SizedRule
from theory.decoding.rule import LooksAt, Setting, Tokens
from theory.parameters import parameter

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class RandomOrder(SizedRule):
    """A uniformly random order of the sites cut by a size plan, without listing its schedules."""

    name: ClassVar[str] = "random-order"
    summary: ClassVar[str] = "uniformly random sites, N/T a call"
    source: ClassVar[str] = "any-order masked models with steps of fixed sizes"

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return np.zeros(laws.shape[:2])

    def noise(self, setting: Setting, number: int) -> float:
        return 1.0


@dataclass(frozen=True)
class FirstHitting(RankedRule):
    """The exact simulation of masked diffusion in continuous time: jumps come one at a time, at uniform sites."""

    name: ClassVar[str] = "first-hitting"
    summary: ClassVar[str] = "one uniformly random site a call: N calls"
    source: ClassVar[str] = "Zheng et al. 2024 (arXiv:2409.02908), first-hitting sampler"
    reads_calls: ClassVar[bool] = False

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    def horizon(self, setting: Setting) -> int:
        return setting.sites

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return np.zeros(laws.shape[:2])

    def noise(self, setting: Setting, number: int) -> float:
        return 1.0

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        return np.ones(len(keys), dtype=np.int64)


LAST_TIME = 1e-5
"""Where the released sampler's grid of times ends."""


@dataclass(frozen=True)
class MaskedDiffusion(SiteRule):
    """Ancestral sampling of masked diffusion with survival alpha = 1 - t: each hidden site comes out independently.

    With tail "none" the times are 1, 1 - 1/T, ..., 0: site i comes out in step t (1-based) with probability
    1/(T - t + 1). With tail "argmax", as released, the times are T + 1 equal ones from 1 to 1e-5, and what is still
    masked then gets its likeliest token in one more call, which is counted where something is left. A step that reveals
    nothing needs no call: the network's answer is kept while the sequence does not change.
    """

    name: ClassVar[str] = "masked-diffusion"
    summary: ClassVar[str] = "each hidden site independently, by the clock of masked diffusion"
    source: ClassVar[str] = "Sahoo et al. 2024 (arXiv:2406.07524); read in diffusion.py of kuleshov-group/mdlm"

    tail: str = parameter(
        "none", "how decoding ends: at time 0, or with the argmax of leftovers", choices=("none", "argmax")
    )

    @property
    def looks_at(self) -> LooksAt:
        return "nothing"

    @property
    def draws_from_network(self) -> bool:
        return super().draws_from_network and self.tail == "none"

    def horizon(self, setting: Setting) -> int:
        return setting.calls + (self.tail == "argmax")

    def rate(self, setting: Setting, number: int) -> float:
        """Probability that a hidden site comes out in a step."""
        if number == setting.calls:
            return 1.0
        last = LAST_TIME if self.tail == "argmax" else 0.0
        now, later = (1 - (1 - last) * step / setting.calls for step in (number, number + 1))
        return 1.0 if later <= last == 0.0 else (now - later) / now

    def sites(
        self, setting: Setting, number: int, tokens: Tokens, laws: Array, choose: Choices
    ) -> tuple[Integers, Flags]:
        return choose.coins(np.where(tokens == setting.symbols, self.rate(setting, number), 0.0))

    def step_laws(self, setting: Setting, number: int, laws: Array) -> Array:
        if number < setting.calls:
            return self.token_laws(laws)
        return replace(self, temperature=0.0).token_laws(laws)

    def spent(self, chosen: Flags) -> Array:
        return np.asarray(chosen.any(axis=1), dtype=np.float64)
