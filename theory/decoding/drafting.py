"""Decoders that draft several tokens in parallel and keep those that a sequential pass confirms.

Both go from left to right. After n revealed tokens a *draft* of up to k tokens is drawn independently from the laws
p_i(. | x_{<n}); a second pass gives the *sequential* laws g_i(. | x_{<i}) of the same sites, each given the draft
before it. Here both are the same network's; what is confirmed decides how many tokens are kept.

Legend: ``R`` rows, ``N`` sites, ``q`` symbols.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.rule import LooksAt, Predictor, Rule, Setting, State
from theory.parameters import parameter

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DraftRule(Rule):
    """Keeps drafted tokens one by one until a token is the last; the subclass says with which probabilities."""

    reads_calls: ClassVar[bool] = False

    k: int = parameter(10, "most tokens drafted in a step", minimum=1)

    @abstractmethod
    def outcomes(self, draft: Array, sequential: Array, first: bool) -> tuple[Array, Array]:
        """P(token a is kept and the draft goes on), P(token a is put and the step ends), each [R, q].

        What is missing to 1 is the probability that the step ends without another token.
        """

    @abstractmethod
    def spent(self, setting: Setting, revealed: NDArray[np.int64]) -> Array:
        """Calls of a step that starts with this many revealed tokens, [R]."""

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        sites, symbols = setting.sites, setting.symbols
        tokens, start = state.tokens, (state.tokens != symbols).sum(axis=1)
        drafted = self.token_laws(model.predict(tokens))
        calls, going = self.spent(setting, start), np.ones(len(tokens), dtype=bool)
        rows = np.arange(len(tokens))
        for ahead in range(self.k):
            going &= start + ahead < sites
            if not going.any():
                break
            site = np.minimum(start + ahead, sites - 1)
            sequential = drafted[rows] if ahead == 0 else self.token_laws(model.predict(tokens))
            kept, put = self.outcomes(drafted[rows, site], sequential[np.arange(len(rows)), site], ahead == 0)
            # Columns: go on with token a, end with token a, end without a token.
            table = np.zeros((len(rows), 2 * symbols + 1))
            table[going, :symbols], table[going, symbols:-1] = kept[going], put[going]
            ended = 1 - table.sum(axis=1)
            table[:, -1] = np.where(ended > 1e-12, ended, 0.0)
            again, outcome = choose.index(table)
            tokens, rows, start = tokens[again], rows[again], start[again]
            calls, site = calls[again], site[again]
            placed = np.flatnonzero(outcome < 2 * symbols)
            tokens[placed, site[placed]] = outcome[placed] % symbols
            going = outcome < symbols
        return State(tokens), calls


@dataclass(frozen=True)
class Speculative(DraftRule):
    """Speculative decoding with the network as its own draft: exactly the sequential law, in fewer calls.

    A drafted token a is accepted with probability min(1, g(a)/p(a)); else one is drawn from (g - p)+ and the step ends.
    The first is always accepted. Two calls a step, the draft and the check, and one for the last token alone; the
    check is one call for a network that can give all conditionals of an order at once.
    """

    name: ClassVar[str] = "speculative"
    summary: ClassVar[str] = (
        "any-order speculative decoding: exactly the law of left to right one by one, in fewer calls"
    )
    source: ClassVar[str] = (
        "Guo and Ermon 2025 (arXiv:2504.20456); speculative_decoding.py of gabeguo/any-order-speculative-decoding"
    )

    @property
    def looks_at(self) -> LooksAt:
        # How far a step gets depends on the draft, but not which site is next, nor the law of its token.
        return "nothing"

    def horizon(self, setting: Setting) -> int:
        # The first token is always accepted, and a second is put in every step that drafts two.
        return -(-setting.sites // min(self.k, 2))

    def outcomes(self, draft: Array, sequential: Array, first: bool) -> tuple[Array, Array]:
        return np.minimum(draft, sequential), np.maximum(sequential - draft, 0.0)

    def spent(self, setting: Setting, revealed: NDArray[np.int64]) -> Array:
        return np.where(revealed < setting.sites - 1, 2.0, 1.0)


@dataclass(frozen=True)
class AdaptiveParallel(DraftRule):
    """Keeps the draft's longest prefix that a mixture with the sequential law would have drawn with the same noise.

    The draft is the argmax of ln p_i + Gumbel noise, the target the argmax of w ln p_i + (1 - w) ln g_i + the same
    noise. Both are a with probability 1 / sum_z max(p(z)/p(a), r(z)/r(a)), where r is in proportion to p^w g^(1-w):
    a wins both races iff its exponential clock beats every other in the worse of the two ratios. The first token is
    always kept. Calls count the passes of the drafting network, as the released code does; the verifier's pass, there
    of a small autoregressive model, comes on top.
    """

    name: ClassVar[str] = "adaptive-parallel"
    summary: ClassVar[str] = (
        "drafts in parallel and keeps the prefix that a mixture with the left-to-right law draws from the same noise"
    )
    source: ClassVar[str] = (
        "Israel et al. 2025 (arXiv:2506.00413); dream/generation_utils.py of danielmisrael/apd, at temperature 1"
    )

    w: float = parameter(0.7, "weight of the parallel law in the target; 1 keeps every draft", minimum=0.0, maximum=1.0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn"

    def horizon(self, setting: Setting) -> int:
        return setting.sites

    def outcomes(self, draft: Array, sequential: Array, first: bool) -> tuple[Array, Array]:
        if first:
            return draft, np.zeros_like(draft)
        if self.w in (0, 1):
            target = draft if self.w == 1 else sequential
        else:
            target = draft**self.w * sequential ** (1 - self.w)
        # Sums over z of max(p_z/p_a, r_z/r_a); tokens that one side cannot draw are never agreed on.
        possible = (draft > 0) & (target > 0)
        with np.errstate(over="ignore"):
            worst = np.maximum(
                draft[:, None, :] / np.where(possible, draft, 1.0)[:, :, None],
                target[:, None, :] / np.where(possible, target, 1.0)[:, :, None],
            ).sum(axis=2)
        return np.where(possible, 1 / worst, 0.0), np.zeros_like(draft)

    def spent(self, setting: Setting, revealed: NDArray[np.int64]) -> Array:
        return np.ones(len(revealed))
