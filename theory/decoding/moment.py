"""The moment sampler: what MaskGIT with constant noise tends to when there are many sites, sites first.

MaskGIT takes token a at site i with intensity p_i(a) p_i(a)^(1/tau): it is drawn, and it then competes with weight
p_i(a)^(1/tau). So sites are drawn by Plackett-Luce with weights sum_a p_i(a)^beta, beta = 1 + 1/tau, and tokens in
proportion to p_i(a)^beta: the noise of MaskGIT's ranking is a temperature of 1/beta.
Source: Hayakawa et al. 2025 (arXiv:2510.04525), of which the abstract was read; the formula is derived above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import temper
from theory.decoding.ranking import SizedRule
from theory.decoding.rule import LooksAt, Setting
from theory.errors import InvalidInput
from theory.parameters import parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moment(SizedRule):
    """Sites by the moments of their laws, then tokens from sharpened laws."""

    name: ClassVar[str] = "moment"
    summary: ClassVar[str] = "sites by sum_a p_i(a)^beta, tokens by p_i^beta, beta = 1 + 1/tau"
    source: ClassVar[str] = "Hayakawa et al. 2025 (arXiv:2510.04525); abstract read, formula derived"

    tau: float = parameter(1.0, "noise of the ranking that is imitated, above 0", minimum=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tau == 0:
            raise InvalidInput("tau", self.tau, "must be above 0")

    @property
    def beta(self) -> float:
        """1 + 1/tau."""
        return 1 + 1 / self.tau

    @property
    def draws_from_network(self) -> bool:
        return False

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        # The logarithm of the moment, of which the largest power is taken out so that none underflows.
        largest = laws.max(axis=-1, keepdims=True)
        return np.asarray(self.beta * np.log(largest[..., 0]) + np.log(((laws / largest) ** self.beta).sum(axis=-1)))

    def noise(self, setting: Setting, number: int) -> float:
        return 1.0

    def step_laws(self, setting: Setting, number: int, laws: Array) -> Array:
        return temper(self.token_laws(laws), 1 / self.beta)
