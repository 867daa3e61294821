"""Decoding by a rule that may look at the tokens so far, and its exact output law.

A *rule* says, given the revealed sites A, their tokens x_A and the token conditionals of the hidden sites, which block
D of hidden sites is revealed next and with which tokens. Decoding is then a Markov chain on *partial sequences*
(A, x_A), absorbed at full sequences; its decision tree merges at equal partial sequences, so the exact output law takes
at most (q + 1)^N of them per step and no list of schedules.

A *content rule* chooses D from (A, x_A) and then draws the tokens of D independently from p(x_i | x_A). For it the
chain rule of C9 holds node by node: with the exact conditionals of p,
    KL(p || q) <= E sum_t TC(x_{D_t} | x_{A_t} = its tokens),
the mean over x ~ p and the rule's own randomness, with equality where the block is a function of (A, x_A).

Legend: ``N`` sites, ``q`` symbols, ``k`` hidden sites, ``C = q**(N-k)`` contexts (values of x_A in C order of the
ascending revealed sites).
Source: adaptive schedules as laws: Ben-Hamu et al. 2025 (arXiv:2505.24857), section 3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from theory.conditionals import ConditionalModel, TableConditionals, temper
from theory.decoding.schedules import Step, check_sizes, check_step_weights
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory

Array = NDArray[np.float64]


class UnmaskingRule(ABC):
    """Which sites are revealed next, and with which tokens.

    Attributes:
        name: shown in results.
    """

    name: str

    @abstractmethod
    def horizon(self, sites: int) -> int:
        """Number of steps after which every sequence of N sites is complete.

        Raises:
            InvalidInput: the rule does not fit N sites.
        """

    @abstractmethod
    def transitions(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        """Blocks D and P(D, x_D | x_A) for every context, shape [C, q^|D|].

        Args:
            step: 0-based number of the step.
            hidden: the hidden sites, ascending.
            tokens: p(x_i | x_A) for every hidden site and context, shape [k, C, q].
        """


class ContentRule(UnmaskingRule):
    """A rule whose block depends on the partial sequence only; tokens are then drawn independently.

    Attributes:
        temperature: tokens are drawn from the conditionals to the power 1/T; 0 takes the most likely token (greedy).
            The choice of the block always uses the conditionals as they are.
    """

    temperature: float = 1.0

    @abstractmethod
    def blocks(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        """Blocks D and P(D | x_A) for every context, shape [C]; over the blocks they sum to 1."""

    def transitions(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        drawn = tokens if self.temperature == 1 else temper(tokens, self.temperature)
        for block, probability in self.blocks(step, hidden, tokens):
            weights = probability[:, None]
            for site in block:
                weights = (weights[:, :, None] * drawn[hidden.index(site)][:, None, :]).reshape(len(probability), -1)
            yield block, weights


class RandomOrder(ContentRule):
    """A uniformly random order of the sites cut by a size plan, without listing its schedules."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = check_sizes(sum(sizes), sizes)
        self.name = f"random order, sizes {self.sizes}"

    def horizon(self, sites: int) -> int:
        return len(check_sizes(sites, self.sizes))

    def blocks(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        probability = np.full(tokens.shape[1], 1 / comb(len(hidden), self.sizes[step]))
        for block in combinations(hidden, self.sizes[step]):
            yield block, probability


class MaskedDiffusion(ContentRule):
    """Every hidden site is revealed in step t independently, with probability w_t / (w_t + ... + w_T).

    The block may be empty; such a step changes nothing and counts as no network call.
    """

    def __init__(self, step_weights: ArrayLike) -> None:
        self.weights = check_step_weights(step_weights)
        # Trailing steps of weight zero reveal nothing: everything is out by the last positive one.
        self.weights = self.weights[: int(np.flatnonzero(self.weights)[-1]) + 1]
        self.name = f"masked diffusion, {len(self.weights)} steps"

    def horizon(self, sites: int) -> int:
        return len(self.weights)

    def blocks(self, step: int, hidden: Step, tokens: Array) -> Iterator[tuple[Step, Array]]:
        # Exactly 1 in the last step.
        rate = float(self.weights[step] / self.weights[step:].sum())
        for size in range(len(hidden) + 1):
            probability = rate**size * (1 - rate) ** (len(hidden) - size)
            if probability > 0:
                for block in combinations(hidden, size):
                    yield block, np.full(tokens.shape[1], probability)


@dataclass(frozen=True)
class Decoded:
    """What a rule puts out.

    Attributes:
        law: the law of the finished sequence.
        expected_calls: expected number of network calls, that is of steps that reveal something.
    """

    law: JointLaw
    expected_calls: float


def decode(model: ConditionalModel, rule: UnmaskingRule) -> Decoded:
    """The exact output law and expected number of network calls of a rule.

    Raises:
        InvalidInput: the rule does not fit the model's number of sites.
        ExceedsMemory: the (q + 1)^N partial sequences do not fit.
    """
    sites, symbols = model.sites, model.symbols
    _require_partial_sequences(model)
    layer: dict[Step, Array] = {(): np.ones(())}
    calls = 0.0
    for step in range(rule.horizon(sites)):
        following: dict[Step, Array] = {}
        for revealed, mass in layer.items():
            if len(revealed) == sites:
                _add(following, revealed, mass)
                continue
            hidden = tuple(i for i in range(sites) if i not in revealed)
            for block, weights in rule.transitions(step, hidden, model.token_conditionals(hidden)):
                moved = mass.reshape(-1, 1) * weights
                calls += float(moved.sum()) if block else 0.0
                _add(following, *_merge(revealed, block, moved, symbols))
        layer = following
    return Decoded(JointLaw(layer[tuple(range(sites))], rule.name), calls)


def rule_total_correlation(law: JointLaw, rule: ContentRule) -> float:
    """E sum_t TC(x_{D_t} | x_{A_t} = its tokens) in nats: KL(p || q), or a bound where the rule draws its blocks.

    Works on the law p itself, never on the output law: node (A, x_A) is visited with probability
    p(x_A) P(rule reveals A | x), and contributes the total correlation of its block under p(. | x_A).

    Raises:
        InvalidInput: a temperature other than 1 (the chain rule is about sampled tokens), or another number of sites.
        ExceedsMemory: as `decode`.
    """
    if rule.temperature != 1:
        raise InvalidInput(
            "rule.temperature", rule.temperature, "the chain rule holds for tokens sampled at temperature 1"
        )
    model = TableConditionals(law)
    _require_partial_sequences(model)
    # reach[A]: P(the rule reveals A at this step | x_A), so that a node's mass is p(x_A) reach.
    layer: dict[Step, Array] = {(): np.ones(())}
    total = 0.0
    for step in range(rule.horizon(law.sites)):
        following: dict[Step, Array] = {}
        for revealed, reach in layer.items():
            if len(revealed) == law.sites:
                _add(following, revealed, reach)
                continue
            hidden = tuple(i for i in range(law.sites) if i not in revealed)
            masses = law.context_probabilities(hidden)
            for block, probability in rule.blocks(step, hidden, model.token_conditionals(hidden)):
                passed = reach.reshape(-1) * probability
                if block:
                    total += float((masses * passed) @ _node_total_correlations(law, revealed, block))
                spread = np.repeat(passed[:, None], law.symbols ** len(block), axis=1)
                _add(following, *_merge(revealed, block, spread, law.symbols))
        layer = following
    return total


def _node_total_correlations(law: JointLaw, revealed: Step, block: Step) -> Array:
    """TC(x_D | x_A = c) for every context c, shape [C]; 0 where p(c) = 0."""
    joint = law.marginal(revealed + block)
    kept = sorted(revealed + block)
    joint = joint.transpose([kept.index(i) for i in (*revealed, *block)]).reshape(-1, *(law.symbols,) * len(block))
    totals = joint.reshape(len(joint), -1).sum(axis=1)
    conditional = joint / np.where(totals > 0, totals, 1.0).reshape(-1, *(1,) * len(block))
    axes = tuple(range(1, len(block) + 1))
    separate = np.zeros(len(joint))
    for keep in axes:
        token = conditional.sum(axis=tuple(a for a in axes if a != keep))
        separate -= xlogy(token, token).sum(axis=1)
    return np.asarray(separate + xlogy(conditional, conditional).sum(axis=axes))


def _merge(revealed: Step, block: Step, weights: Array, symbols: int) -> tuple[Step, Array]:
    """Weights over (x_A, x_D) as a table over the ascending sites of A u D."""
    order = (*revealed, *block)
    merged = tuple(sorted(order))
    return merged, weights.reshape((symbols,) * len(order)).transpose([order.index(i) for i in merged])


def _add(layer: dict[Step, Array], revealed: Step, mass: Array) -> None:
    layer[revealed] = layer[revealed] + mass if revealed in layer else mass


def _require_partial_sequences(model: ConditionalModel) -> None:
    # Two layers of partial sequences at most, and the working copies of one block.
    needed = 8.0 * (2 * (model.symbols + 1) ** model.sites + 4 * model.symbols**model.sites * model.sites)
    require_memory(needed, "sites", model.sites, f"the {model.symbols + 1}^{model.sites} partial sequences")
