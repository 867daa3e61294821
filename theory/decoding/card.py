"""A decoder's card: what a rule does on a table small enough to see it.

The table is a stationary Markov chain of four sites over three symbols, sticky and not symmetric: every symbol and site
behaves differently, so that no choice of the rule is a tie. Ties are shown on two fair pairs of copies, where every
site and token ties and the wrong pair of sites costs ln 2.

Legend: ``N`` sites, ``q`` symbols, ``T`` calls asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from theory.decoding.chain_steps import Followed
from theory.decoding.enumeration import decode, divergences
from theory.decoding.rule import Rule
from theory.decoding.tables import KnownLaw
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.laws.sequences import markov_sequence

SITES = 4

TRANSITION = ((0.8, 0.15, 0.05), (0.2, 0.6, 0.2), (0.1, 0.3, 0.6))

TEMPERATURES = (0.0, 0.5, 0.7, 1.0, 1.5)

SHOWN = 3
"""Sequences shown that the rule puts out too often, and too rarely."""

EXACT = 1e-9
"""Nats below which an output law is p."""


@dataclass(frozen=True)
class AtCalls:
    """The rule asked for T calls: expected and worst calls, divergences in nats, total variation."""

    calls: int
    expected_calls: float
    worst_calls: float
    kl: float
    reverse_kl: float
    total_variation: float


@dataclass(frozen=True)
class AtTemperature:
    """The rule at a temperature, asked for N calls: KL(p || q), H(q) in nats, the likeliest output and its mass."""

    temperature: float
    kl: float
    entropy: float
    likeliest: tuple[int, ...]
    mass: float


@dataclass(frozen=True)
class Card:
    """What a rule does on the table.

    Attributes:
        law, entropy: the table's name, H(p) in nats.
        mode: the likeliest sequence of p, and its mass.
        by_calls: for T = 1..N, those that the rule accepts.
        one_a_call: KL(p || q) in nats with as many calls as sites: 0 for a rule that is exact there.
        outputs: sequences with p(x) and q(x), those that come out too often first, then too rarely; N calls.
        temperatures: with N calls.
        ties: KL(p || q) in nats on two fair pairs in two calls, ties to the first and at random.
    """

    law: str
    entropy: float
    mode: tuple[tuple[int, ...], float]
    by_calls: tuple[AtCalls, ...]
    one_a_call: float
    outputs: tuple[tuple[tuple[int, ...], float, float], ...]
    temperatures: tuple[AtTemperature, ...]
    ties: dict[str, float]


def instructive_law() -> JointLaw:
    """The Markov chain of the card."""
    chain = np.array(TRANSITION)
    values, vectors = np.linalg.eig(chain.T)
    start = np.real(vectors[:, int(np.argmax(np.real(values)))])
    law = markov_sequence(start / start.sum(), chain, SITES)
    return JointLaw(law.table, f"Markov chain, N = {SITES}, q = {len(chain)}")


def tied_law() -> JointLaw:
    """Sites 0 and 1 are copies of a fair coin, sites 2 and 3 of another."""
    pair = np.eye(2) / 2
    return JointLaw(np.multiply.outer(pair, pair), "two fair pairs of copies")


def with_options(rule: Rule, **options: Any) -> Rule:
    """The rule with some of the options that all rules have; in a rule with chain steps, both parts have them."""
    if isinstance(rule, Followed):
        return Followed(first=with_options(rule.first, **options), then=with_options(rule.then, **options))  # type: ignore[arg-type]
    return replace(rule, **options)


def card_of(rule: Rule) -> Card:
    """The card of a rule with its options.

    Raises:
        InvalidInput: options that fit no number of calls on four sites.
    """
    law, tied = instructive_law(), KnownLaw(tied_law())
    model = KnownLaw(law)
    by_calls, refused = [], None
    for calls in range(1, SITES + 1) if rule.reads_calls else [SITES]:
        try:
            output = decode(model, rule, calls)
        except InvalidInput as error:
            refused = error
            continue
        apart = divergences(law, output.law)
        by_calls.append(
            AtCalls(
                calls,
                output.expected_calls,
                output.worst_calls,
                max(apart.kl, 0.0),
                max(apart.reverse_kl, 0.0),
                apart.total_variation,
            )
        )
    if not by_calls and refused is not None:
        raise refused
    last = decode(model, rule, by_calls[-1].calls)
    temperatures = []
    for temperature in TEMPERATURES:
        cooled = decode(model, with_options(rule, temperature=temperature), by_calls[-1].calls).law
        place = int(np.argmax(cooled.probabilities))
        temperatures.append(
            AtTemperature(
                temperature,
                max(divergences(law, cooled).kl, 0.0),
                abs(cooled.entropy()),
                _sequence(law, place),
                float(cooled.probabilities[place]),
            )
        )
    ties = {}
    for kind in ("first", "random"):
        try:
            ties[kind] = max(divergences(tied.law, decode(tied, with_options(rule, ties=kind), 2).law).kl, 0.0)
        except InvalidInput:
            continue
    p, q = law.probabilities, last.law.probabilities
    order = np.argsort(-(q - p), kind="stable")
    shown = [*order[:SHOWN], *order[::-1][:SHOWN]] if by_calls[-1].kl > EXACT else list(np.argsort(-p)[:SHOWN])
    mode = int(np.argmax(p))
    return Card(
        law=law.name,
        entropy=law.entropy(),
        mode=(_sequence(law, mode), float(p[mode])),
        by_calls=tuple(by_calls),
        one_a_call=by_calls[-1].kl,
        outputs=tuple((_sequence(law, int(place)), float(p[place]), float(q[place])) for place in shown),
        temperatures=tuple(temperatures),
        ties=ties,
    )


def _sequence(law: JointLaw, place: int) -> tuple[int, ...]:
    return tuple(int(token) for token in np.unravel_index(place, law.table.shape))
