"""Orders driven by the network's certainty about the hidden sites: the surest first.

The *score* of a site is read off its token law p_i, as the network gives it: the largest probability, minus the
entropy, or the margin between the two likeliest tokens. `Confidence`, `Entropy` and `Margin` reveal as many as a size
plan says; `Threshold`, `Factor` and `EntropyBound` decide themselves how many. With ``candidates=drawn``, `Threshold`
and `Factor` rank by the probability of a token that is drawn first, as the released code does at temperatures above 0.

Legend: ``B`` rows, ``N`` sites, ``q`` symbols; entropies in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from theory.decoding.ranking import RankedRule, SizedRule
from theory.decoding.rule import LooksAt, Setting
from theory.decoding.token_laws import TIE_DECIMALS
from theory.parameters import parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def max_probability(laws: Array) -> Array:
    """max_a p(x_i = a), shape [..., q] -> [...]."""
    return np.asarray(laws.max(axis=-1))


def negative_entropy(laws: Array) -> Array:
    """-H(x_i) in nats, shape [..., q] -> [...]."""
    return np.asarray(xlogy(laws, laws).sum(axis=-1))


def margin(laws: Array) -> Array:
    """Probability of the likeliest token minus that of the runner-up, shape [..., q] -> [...]."""
    ordered = np.partition(laws, -2, axis=-1)
    return np.asarray(ordered[..., -1] - ordered[..., -2])


@dataclass(frozen=True)
class ScoredRule(SizedRule):
    """The sites of highest score, as many as the plan says."""

    score: ClassVar[Callable[[Array], Array]]

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return type(self).score(laws)


@dataclass(frozen=True)
class Confidence(ScoredRule):
    """The largest probability decides."""

    name: ClassVar[str] = "confidence"
    summary: ClassVar[str] = "the sites whose likeliest token is most probable first, N/T a call"
    source: ClassVar[str] = "Chang et al. 2022 (arXiv:2202.04200) without drawing first; Kim et al. 2025"
    score: ClassVar[Callable[[Array], Array]] = staticmethod(max_probability)


@dataclass(frozen=True)
class Entropy(ScoredRule):
    """The least entropy decides."""

    name: ClassVar[str] = "entropy"
    summary: ClassVar[str] = "the sites of least entropy first, N/T a call"
    source: ClassVar[str] = "Ben-Hamu et al. 2025 (arXiv:2505.24857); Dream 7B"
    score: ClassVar[Callable[[Array], Array]] = staticmethod(negative_entropy)


@dataclass(frozen=True)
class Margin(ScoredRule):
    """The margin between the two likeliest tokens decides."""

    name: ClassVar[str] = "margin"
    summary: ClassVar[str] = "the sites of largest margin between the two likeliest tokens first, N/T a call"
    source: ClassVar[str] = "Kim et al. 2025 (arXiv:2502.06768), top probability margin"
    score: ClassVar[Callable[[Array], Array]] = staticmethod(margin)


@dataclass(frozen=True)
class CountingRule(RankedRule):
    """A rule that counts the sites it is sure of, at least one; the calls follow from its level."""

    reads_calls: ClassVar[bool] = False

    candidates: str = parameter(
        "likeliest", "whose probability counts: the likeliest token's, or a drawn one's", choices=("likeliest", "drawn")
    )

    @property
    def looks_at(self) -> LooksAt:
        # At temperature 0 the drawn token is the likeliest one.
        return "drawn" if self.candidates == "drawn" and self.temperature > 0 else "revealed"

    def horizon(self, setting: Setting) -> int:
        return setting.sites

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return laws if self.looks_at == "drawn" else max_probability(laws)


@dataclass(frozen=True)
class Threshold(CountingRule):
    """Every site whose token is at least as probable as the threshold."""

    name: ClassVar[str] = "threshold"
    summary: ClassVar[str] = "every site surer than theta, and always the surest"
    source: ClassVar[str] = "Wu et al. 2025 (arXiv:2505.22618); read in llada/generate.py of NVlabs/Fast-dLLM"

    theta: float = parameter(0.9, "probability from which a site is revealed", minimum=0.0, maximum=1.0)

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        sure = np.round(keys, TIE_DECIMALS) >= round(self.theta, TIE_DECIMALS)
        return np.maximum(sure.sum(axis=1), 1)


@dataclass(frozen=True)
class Factor(CountingRule):
    """The n surest sites as long as the n-th is as probable as 1 - f/(n + 1).

    The released code also takes the last hidden site where it is the only one to fail; here it is left.
    """

    name: ClassVar[str] = "factor"
    summary: ClassVar[str] = "the n surest sites while the n-th is surer than 1 - f/(n + 1), at least one"
    source: ClassVar[str] = "Wu et al. 2025 (arXiv:2505.22618); read in copies of Fast-dLLM's llada/generate.py"

    f: float = parameter(1.0, "the factor", minimum=0.0)

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        ranked = -np.sort(-np.round(keys, TIE_DECIMALS), axis=1)
        needed = np.round(1 - self.f / (np.arange(1, keys.shape[1] + 1) + 1), TIE_DECIMALS)
        run = np.logical_and.accumulate((ranked >= needed) & np.isfinite(ranked), axis=1)
        return np.maximum(run.sum(axis=1), 1)


@dataclass(frozen=True)
class EntropyBound(RankedRule):
    """The longest prefix D in ascending entropy with sum_{i in D} H(x_i) - max_{i in D} H(x_i) <= gamma.

    The left side bounds TC(x_D) from above, since H(x_D) >= max H(x_i): with exact conditionals each step costs at most
    gamma, and the whole of decoding at most gamma times the number of calls expected for x ~ p.
    """

    name: ClassVar[str] = "entropy-bound"
    summary: ClassVar[str] = "sites in ascending entropy while their sum without the largest is at most gamma"
    source: ClassVar[str] = "Ben-Hamu et al. 2025 (arXiv:2505.24857), EB-Sampler"
    reads_calls: ClassVar[bool] = False

    gamma: float = parameter(0.1, "budget of a call (nats)", minimum=0.0)

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    def horizon(self, setting: Setting) -> int:
        return setting.sites

    def keys(self, setting: Setting, number: int, laws: Array) -> Array:
        return negative_entropy(laws)

    def counts(self, setting: Setting, number: int, keys: Array) -> Integers:
        ranked = np.sort(-keys, axis=1)  # ascending entropies, inf where revealed
        hidden = np.isfinite(ranked)
        # The largest of an ascending prefix is its last entry.
        spent = np.cumsum(np.where(hidden, ranked, 0.0), axis=1) - np.where(hidden, ranked, 0.0)
        return ((np.round(spent, TIE_DECIMALS) <= round(self.gamma, TIE_DECIMALS)) & hidden).sum(axis=1)
