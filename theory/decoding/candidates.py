"""Rules of released decoders that draw a token at every hidden site and keep the best: MaskGIT, LLaDA, Dream.

A candidate x^_i ~ w_i is drawn at each hidden site, w_i the tempered (and cut) law; the candidates of highest key are
kept, the others are masked again. The kept tokens are those that were drawn *and* are likely, so they are not
distributed as w_i: such a rule favours likely tokens, and is biased even one token at a time.

Keys: MaskGIT ln p_i(x^_i), with Gumbel noise; LLaDA p_i(x^_i), the network's own probability at every temperature;
Dream the probability under the tempered and cut law, or that law's margin or negative entropy.

Legend: ``N`` sites (of the window), ``m`` hidden ones, ``T`` steps, ``t`` the number of the step, 1-based; ``q``.
Sources: read in the released code of each, google-research/maskgit, ML-GSAI/LLaDA, and Dream's as shipped with
NVlabs/Fast-dLLM.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.ranking import RankedRule, size_plan
from theory.decoding.rule import LooksAt, Setting
from theory.decoding.schedules import MASKED_FRACTIONS
from theory.decoding.scored import margin, negative_entropy
from theory.decoding.token_laws import token_laws
from theory.parameters import parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class MaskGIT(RankedRule):
    """The best candidates by ln p_i(x^_i) + tau_t Gumbel noise, tau_t = tau (1 - t/T): Plackett-Luce by p_i^(1/tau_t).

    After step t, max(1, min(m - 1, floor(N gamma(t/T)))) sites are left masked; the last step keeps everything. Ties
    without noise are broken by `ties`; the released code keeps all that are tied at the edge.
    """

    name: ClassVar[str] = "maskgit"
    summary: ClassVar[str] = "draw everywhere, keep the likeliest candidates, with noise that fades"
    source: ClassVar[str] = "Chang et al. 2022 (arXiv:2202.04200); read in maskgit/libml/parallel_decode.py"

    sizes: str = parameter(
        "cosine", "sites left masked after each step: a curve", choices=(*MASKED_FRACTIONS, "optimal")
    )
    tau: float = parameter(0.0, "Gumbel noise in the ranking at the start, falling to 0", minimum=0.0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn"

    def horizon(self, setting: Setting) -> int:
        return len(size_plan(setting, self.sizes))

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(laws)

    def noise(self, setting: Setting, number: int) -> float:
        return self.tau * (1 - (number + 1) / setting.calls)

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        hidden = np.isfinite(keys).sum(axis=1)
        if number == setting.calls - 1:
            return hidden
        if self.sizes == "optimal":
            left = sum(size_plan(setting, self.sizes)[number + 1 :])
        else:
            # The small addition keeps exact integers from being rounded down by floating point.
            fraction = MASKED_FRACTIONS[self.sizes]((number + 1) / setting.calls, setting.sites)
            left = floor(setting.sites * fraction + 1e-9)
        return hidden - np.maximum(1, np.minimum(hidden - 1, left))


@dataclass(frozen=True)
class LLaDA(RankedRule):
    """The candidates of highest p_i(x^_i), untempered: N/T of them, one more in the first N mod T steps.

    With ``remasking=random`` the candidates kept are a random set, which is the same as drawing at random sites only.
    """

    name: ClassVar[str] = "llada"
    summary: ClassVar[str] = "draw everywhere, keep the candidates that the network finds likeliest"
    source: ClassVar[str] = "Nie et al. 2025 (arXiv:2502.09992); read in generate.py of ML-GSAI/LLaDA"

    remasking: str = parameter(
        "low_confidence", "which candidates are masked again", choices=("low_confidence", "random")
    )

    @property
    def looks_at(self) -> LooksAt:
        return "drawn" if self.remasking == "low_confidence" else "nothing"

    def horizon(self, setting: Setting) -> int:
        return len(size_plan(setting, "uniform"))

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return laws if self.remasking == "low_confidence" else np.zeros(laws.shape[:2])

    def noise(self, setting: Setting, number: int) -> float:
        return 0.0 if self.remasking == "low_confidence" else 1.0

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        share, more = divmod(setting.sites, setting.calls)
        return np.full(len(keys), share + (number < more))


LAST_TIME = 1e-3
"""Where the grid of times of Dream ends."""


@dataclass(frozen=True)
class Dream(RankedRule):
    """The surest floor(m (1 - s/t)) sites, the times on T + 1 equal ones from 1 to 1e-3; the last step takes all.

    A step may take no site: a call that is wasted. So it is with T = N, where the first step takes none, since N (1 -
    s) = 0.999, and the last one two: never one token a call. Scores are those of the tempered and cut law:
    ``confidence`` the probability of the candidate, ``margin`` and ``entropy`` of the law. At temperature 0 the
    candidate is the likeliest token, and the law that is scored is untempered. With ``alg_temp`` a > 0 the sites are
    drawn by Plackett-Luce with weights exp(score/a).
    """

    name: ClassVar[str] = "dream"
    summary: ClassVar[str] = "draw everywhere, keep the sites surest under the tempered, cut law"
    source: ClassVar[str] = "Ye et al. 2025, Dream 7B (arXiv:2508.15487); read in generation_utils.py as in Fast-dLLM"

    score: str = parameter("confidence", "what ranks the sites", choices=("confidence", "margin", "entropy"))
    alg_temp: float = parameter(0.0, "temperature of the choice of sites; 0: the best", minimum=0.0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn" if self.score == "confidence" and self.temperature > 0 else "revealed"

    def horizon(self, setting: Setting) -> int:
        return setting.calls

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        scored = token_laws(laws, self.temperature or 1.0, self.top_p, self.ties)
        if self.score == "confidence":
            return scored if self.looks_at == "drawn" else np.asarray(scored.max(axis=-1))
        return margin(scored) if self.score == "margin" else negative_entropy(scored)

    def noise(self, setting: Setting, number: int) -> float:
        return self.alg_temp

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        hidden = np.isfinite(keys).sum(axis=1)
        if number == setting.calls - 1:
            return hidden
        now, later = (1 - (1 - LAST_TIME) * step / setting.calls for step in (number, number + 1))
        return np.floor(hidden * (1 - later / now) + 1e-12).astype(np.int64)
