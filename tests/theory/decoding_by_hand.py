"""Tools for decoders written from their published descriptions in plain Python, for tiny sequences.

A partial sequence is a tuple with None where masked. A *network* maps one to ``{hidden site: [probability of each
token]}``. A decoder here is a function of a network that returns ``{full sequence: probability}`` and its expected
calls; it lists every random choice, one after the other, with dictionaries and loops, and shares no code with
`theory.decoding`.

Legend: ``n`` sites, ``q`` tokens, ``steps`` the T that is asked for.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from theory.laws.joint import JointLaw

Partial = tuple[int | None, ...]
TokenLaws = dict[int, list[float]]
Law = dict[tuple[int, ...], float]


class Network:
    """Token laws of the hidden sites, by brute force or made up.

    Attributes:
        n, q: sites and tokens.
        joint: the law that they come from, ``{sequence: probability}``, or None for made-up ones.
    """

    def __init__(self, n: int, q: int, joint: Law | None, answer: Callable[[Partial], TokenLaws]) -> None:
        self.n, self.q, self.joint = n, q, joint
        self._answer = answer
        self._known: dict[Partial, TokenLaws] = {}

    def __call__(self, x: Partial) -> TokenLaws:
        if x not in self._known:
            self._known[x] = self._answer(x)
        return self._known[x]

    def without(self, x: Partial, site: int) -> list[float]:
        """The law of one site when it is masked too."""
        return self(put(x, {site: None}))[site]


def network_of(law: JointLaw) -> Network:
    """The conditionals of a table; a context of probability zero gets uniform laws."""
    joint = {x: float(law.table[x]) for x in itertools.product(range(law.symbols), repeat=law.sites)}

    def answer(x: Partial) -> TokenLaws:
        agree = {y: p for y, p in joint.items() if all(a is None or a == b for a, b in zip(x, y, strict=True))}
        total = sum(agree.values())
        laws = {}
        for i in hidden(x):
            if total == 0:
                laws[i] = [1 / law.symbols] * law.symbols
            else:
                laws[i] = [sum(p for y, p in agree.items() if y[i] == a) / total for a in range(law.symbols)]
        return laws

    return Network(law.sites, law.symbols, joint, answer)


def incompatible_network(n: int, q: int, seed: int) -> Network:
    """Token laws drawn anew for every partial sequence: no joint law has them."""

    def answer(x: Partial) -> TokenLaws:
        generator = np.random.default_rng([seed, *(q if a is None else a for a in x)])
        return {i: generator.dirichlet(np.ones(q)).tolist() for i in hidden(x)}

    return Network(n, q, None, answer)


class PlainPredictor:
    """A network as `theory.decoding.rule.Predictor`, row by row."""

    def __init__(self, network: Network) -> None:
        self.network, self.sites, self.symbols = network, network.n, network.q

    def predict(self, tokens: np.ndarray) -> np.ndarray:
        result = np.zeros((*tokens.shape, self.symbols))
        for row, values in enumerate(tokens.tolist()):
            laws = self.network(tuple(None if a == self.symbols else a for a in values))
            for i, a in enumerate(values):
                if a == self.symbols:
                    result[row, i] = laws[i]
                else:
                    result[row, i, a] = 1.0
        return result


def hidden(x: Partial) -> list[int]:
    return [i for i, a in enumerate(x) if a is None]


def revealed(x: Partial) -> list[int]:
    return [i for i, a in enumerate(x) if a is not None]


def put(x: Partial, changes: dict[int, int | None]) -> Partial:
    return tuple(changes.get(i, a) for i, a in enumerate(x))


def complete(x: Partial) -> tuple[int, ...]:
    assert None not in x
    return tuple(a for a in x if a is not None)


def independent(options: Sequence[Sequence[tuple[object, float]]]) -> Iterator[tuple[tuple, float]]:
    """Every combination of one (outcome, probability) from each list, with its probability."""
    for combination in itertools.product(*options):
        probability = math.prod(p for _, p in combination)
        if probability > 0:
            yield tuple(outcome for outcome, _ in combination), probability


def draws(laws: TokenLaws, sites: Sequence[int]) -> Iterator[tuple[dict[int, int], float]]:
    """Tokens of the sites drawn independently."""
    for tokens, probability in independent([list(enumerate(laws[i])) for i in sites]):
        yield dict(zip(sites, tokens, strict=True)), probability


def plackett_luce(weights: dict[int, float], count: int) -> dict[frozenset[int], float]:
    """Sets of ``count`` sites drawn one by one without replacement, in proportion to positive weights."""
    result: dict[frozenset[int], float] = defaultdict(float)
    for order in itertools.permutations(weights, count):
        probability, left = 1.0, dict(weights)
        for i in order:
            probability *= weights[i] / sum(left.values())
            del left[i]
        result[frozenset(order)] += probability
    return dict(result)


def lowest(scores: dict[int, float], count: int) -> list[int]:
    """The sites of the lowest scores, the lower site first among equals (to 12 decimals)."""
    return sorted(scores, key=lambda i: (round(scores[i], 12), i))[:count]


def highest(scores: dict[int, float], count: int) -> list[int]:
    """The sites of the highest scores, the lower site first among equals (to 12 decimals)."""
    return lowest({i: -score for i, score in scores.items()}, count)


def argmax(law: Sequence[float]) -> int:
    return max(range(len(law)), key=lambda a: (round(law[a], 12), -a))


Moves = Iterator[tuple[Hashable, float, float]]
"""Successors of a state: (state, probability, network calls)."""


def run(start: dict[Hashable, float], steps: Sequence[Callable[[Hashable], Moves]]) -> tuple[dict, float]:
    """The law of the state after all steps, and the expected calls."""
    law, expected = start, 0.0
    for step in steps:
        following: dict[Hashable, float] = defaultdict(float)
        for state, mass in law.items():
            for successor, probability, calls in step(state):
                following[successor] += mass * probability
                expected += mass * probability * calls
        law = dict(following)
    return law, expected
