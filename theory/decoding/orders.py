"""Orders driven by the model's confidence: the most certain sites first.

Each hidden site gets a *score* from its token law p(. | x_A): the largest probability, minus the entropy, or the
margin between the two most likely tokens. The sites with the highest scores are revealed, as many as the *amount* says:
a size plan, all above a confidence threshold, or as many as an entropy budget allows. `SampledConfidence` is MaskGIT's
variant: tokens of all hidden sites are drawn first and the drawn tokens of highest probability are kept.

Ties: scores that agree to 12 decimals are tied. A tie at the edge of the block is broken by the lowest site number
("first", what top-k selection does in practice) or uniformly at random ("random", invariant under relabelling).

Legend: ``N`` sites, ``q`` symbols, ``k`` hidden sites, ``C`` contexts, ``R`` rows (contexts, or contexts with drawn
tokens).

Sources: confidence: Chang et al. 2022 (arXiv:2202.04200, MaskGIT), Ghazvininejad et al. 2019 (arXiv:1904.09324);
margin: Kim et al. 2025 (arXiv:2502.06768); threshold: Wu et al. 2025 (arXiv:2505.22618, Fast-dLLM);
entropy budget: Ben-Hamu et al. 2025 (arXiv:2505.24857, EB-Sampler).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from theory.decoding.rules import ContentRule, UnmaskingRule
from theory.decoding.schedules import Step, check_sizes
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]
Ties = Literal["first", "random"]

TIE_DECIMALS = 12
"""Scores are compared after rounding to this many decimals, so that rounding errors do not decide."""


def max_probability(tokens: Array) -> Array:
    """max_a p(x_i = a), shape [..., q] -> [...]."""
    return np.asarray(tokens.max(axis=-1))


def negative_entropy(tokens: Array) -> Array:
    """-H(x_i) in nats, shape [..., q] -> [...]."""
    return np.asarray(xlogy(tokens, tokens).sum(axis=-1))


def margin(tokens: Array) -> Array:
    """Probability of the most likely token minus that of the runner-up, shape [..., q] -> [...]."""
    ordered = np.sort(tokens, axis=-1)
    return np.asarray(ordered[..., -1] - ordered[..., -2])


SCORES: dict[str, Callable[[Array], Array]] = {
    "max probability": max_probability,
    "entropy": negative_entropy,
    "margin": margin,
}
"""Named scores: token laws [..., q] -> [...], the higher the more certain."""


class Amount(ABC):
    """How many of the hidden sites are revealed, once they are ranked."""

    name: str

    @abstractmethod
    def horizon(self, sites: int) -> int:
        """Largest number of steps."""

    @abstractmethod
    def counts(self, step: int, ranked: Array) -> NDArray[np.int64]:
        """Sites to reveal for every context, shape [C], each between 1 and k.

        Args:
            step: 0-based number of the step.
            ranked: token laws of the hidden sites, the highest score first, shape [k, C, q].
        """


class Sizes(Amount):
    """n_t sites in step t."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = check_sizes(sum(sizes), sizes)
        self.name = f"sizes {self.sizes}"

    def horizon(self, sites: int) -> int:
        return len(check_sizes(sites, self.sizes))

    def counts(self, step: int, ranked: Array) -> NDArray[np.int64]:
        return np.full(ranked.shape[1], self.sizes[step])


class ConfidenceThreshold(Amount):
    """All sites whose most likely token has probability >= the threshold, at least one.

    Raises:
        InvalidInput: a threshold outside [0, 1].
    """

    def __init__(self, threshold: float) -> None:
        if not 0 <= threshold <= 1:
            raise InvalidInput("threshold", threshold, "a probability in [0, 1] is needed")
        self.threshold = threshold
        self.name = f"confidence >= {threshold:g}"

    def horizon(self, sites: int) -> int:
        return sites

    def counts(self, step: int, ranked: Array) -> NDArray[np.int64]:
        certain = np.round(max_probability(ranked), TIE_DECIMALS) >= round(self.threshold, TIE_DECIMALS)
        return np.maximum(certain.sum(axis=0), 1)


class EntropyBudget(Amount):
    """The longest ranked prefix D with sum_{i in D} H(x_i) - max_{i in D} H(x_i) <= budget, at least one site.

    The left side bounds TC(x_D) from above, since H(x_D) >= max H(x_i): with exact conditionals each step costs at most
    the budget, and the whole of decoding at most the budget times the number of calls expected for x ~ p.

    Raises:
        InvalidInput: a budget that is negative or not finite.
    """

    def __init__(self, budget: float) -> None:
        if not 0 <= budget < np.inf:
            raise InvalidInput("budget", budget, "a finite number of nats >= 0 is needed")
        self.budget = budget
        self.name = f"entropy budget {budget:g}"

    def horizon(self, sites: int) -> int:
        return sites

    def counts(self, step: int, ranked: Array) -> NDArray[np.int64]:
        entropies = -negative_entropy(ranked)
        spent = np.cumsum(entropies, axis=0) - np.maximum.accumulate(entropies, axis=0)
        # Both terms grow along the prefix by amounts whose difference is >= 0, so the prefixes allowed are nested.
        allowed = np.round(spent, TIE_DECIMALS) <= round(self.budget, TIE_DECIMALS)
        return np.asarray(allowed.sum(axis=0))


class ScoredOrder(ContentRule):
    """Reveal the hidden sites of highest score.

    Args:
        score: one of `SCORES`.
        amount: how many; `ConfidenceThreshold` goes with the score "max probability".
        ties: see the module's definitions.
        temperature: 1 draws tokens from the conditionals, 0 takes the most likely ones.

    Raises:
        InvalidInput: an unknown score or tie rule, a threshold on another score, a negative temperature.
    """

    def __init__(self, score: str, amount: Amount, ties: Ties = "first", temperature: float = 1.0) -> None:
        if score not in SCORES:
            raise InvalidInput("score", score, f"one of {sorted(SCORES)}")
        if isinstance(amount, ConfidenceThreshold) and score != "max probability":
            raise InvalidInput("score", score, "a confidence threshold ranks by 'max probability'")
        if not 0 <= temperature < np.inf:
            raise InvalidInput("temperature", temperature, "a finite number >= 0 is needed")
        self.score = score
        self.amount = amount
        self.ties = _check_ties(ties)
        self.temperature = temperature
        self.name = f"{score}, {amount.name}"

    def horizon(self, sites: int) -> int:
        return self.amount.horizon(sites)

    def blocks(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        scores = np.round(SCORES[self.score](tokens), TIE_DECIMALS).T
        ranking = np.argsort(-scores, axis=1, kind="stable")
        ranked = np.take_along_axis(tokens, ranking.T[:, :, None], axis=0)
        yield from _top_blocks(hidden, scores, self.amount.counts(step, ranked), self.ties)


class SampledConfidence(UnmaskingRule):
    """MaskGIT's rule: draw tokens at every hidden site, keep the n_t drawn tokens of highest probability.

    The block depends on the drawn tokens, so the kept tokens are no longer distributed as p(x_i | x_A): the rule
    favours likely tokens, and is biased even one token at a time.

    Args:
        sizes: the size plan.
        ties: see the module's definitions.
    """

    def __init__(self, sizes: Sequence[int], ties: Ties = "first") -> None:
        self.sizes = check_sizes(sum(sizes), sizes)
        self.ties = _check_ties(ties)
        self.name = f"sampled confidence, sizes {self.sizes}"

    def horizon(self, sites: int) -> int:
        return len(check_sizes(sites, self.sizes))

    def transitions(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        count, contexts, symbols = tokens.shape
        draws = np.stack(np.unravel_index(np.arange(symbols**count), (symbols,) * count))  # [k, q^k]
        require_memory(8.0 * contexts * draws.size * 4, "sites", count, "the drawn tokens of all hidden sites")
        drawn = np.stack([tokens[i][:, draws[i]] for i in range(count)], axis=-1)  # [C, q^k, k]
        probability = drawn.prod(axis=-1)
        scores = np.round(drawn, TIE_DECIMALS).reshape(-1, count)
        for block, chosen in _top_blocks(hidden, scores, np.full(len(scores), self.sizes[step]), self.ties):
            weights = (probability * chosen.reshape(contexts, -1)).reshape((contexts,) + (symbols,) * count)
            dropped = tuple(1 + a for a, site in enumerate(hidden) if site not in block)
            yield block, weights.sum(axis=dropped).reshape(contexts, -1)


def _top_blocks(hidden: Step, scores: Array, counts: NDArray[np.integer], ties: Ties) -> Iterator[tuple[Step, Array]]:
    """The blocks of the highest scores and P(block) for every row.

    Args:
        hidden: k sites, ascending.
        scores: shape [R, k], ties exactly equal.
        counts: shape [R], sizes of the blocks.
        ties: "first" or "random".
    """
    ranking = np.argsort(-scores, axis=1, kind="stable")
    edge = np.take_along_axis(scores, np.take_along_axis(ranking, counts[:, None] - 1, axis=1), axis=1)
    # 2: certainly in the block, 1: tied at its edge, 0: out.
    status = np.where(scores > edge, 2, np.where(scores == edge, 1, 0))
    blocks: dict[Step, Array] = {}
    patterns, membership = np.unique(np.column_stack([status, counts]), axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = membership.reshape(-1) == number
        inside = [site for site, s in zip(hidden, pattern[:-1], strict=True) if s == 2]
        tied = [site for site, s in zip(hidden, pattern[:-1], strict=True) if s == 1]
        missing = int(pattern[-1]) - len(inside)
        choices = [tuple(tied[:missing])] if ties == "first" else list(combinations(tied, missing))
        share = 1.0 if ties == "first" else 1 / comb(len(tied), missing)
        for choice in choices:
            block = tuple(sorted((*inside, *choice)))
            blocks.setdefault(block, np.zeros(len(scores)))[rows] += share
    yield from blocks.items()


def _check_ties(ties: Ties) -> Ties:
    if ties not in ("first", "random"):
        raise InvalidInput("ties", ties, "'first' or 'random'")
    return ties
