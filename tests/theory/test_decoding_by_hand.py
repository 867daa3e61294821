"""Every rule against a decision tree in plain Python, written from the published rule and not from the implementation.

A partial sequence is a tuple with None where masked. A hand-written step yields (partial sequence, probability, calls)
for one partial sequence; `tree` runs it to the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations, product
from math import ceil, cos, exp, floor, log, log2, pi, prod

import numpy as np
import pytest

from tests.theory.decoding_laws import random_law
from theory.decoding.enumeration import decode
from theory.decoding.registry import parse
from theory.decoding.tables import KnownLaw
from theory.laws.joint import JointLaw

Partial = tuple[int | None, ...]
Laws = dict[int, list[float]]
Outcomes = Iterator[tuple[Partial, float, int]]
Step = Callable[[int, Partial, Laws], Outcomes]


def token_laws(law: JointLaw, partial: Partial) -> Laws:
    """p(x_i | partial) at every hidden site, by summing the table; uniform where the partial sequence has no mass."""
    result = {}
    for site in (i for i, token in enumerate(partial) if token is None):
        masses = []
        for symbol in range(law.symbols):
            index = tuple(symbol if i == site else (slice(None) if t is None else t) for i, t in enumerate(partial))
            masses.append(float(law.table[index].sum()))
        total = sum(masses)
        result[site] = [m / total for m in masses] if total > 0 else [1 / law.symbols] * law.symbols
    return result


def tree(law: JointLaw, steps: int, step: Step) -> tuple[np.ndarray, float]:
    """Output law and expected calls of a hand-written step."""
    layer: dict[Partial, float] = {(None,) * law.sites: 1.0}
    calls = 0.0
    for number in range(steps):
        following: dict[Partial, float] = defaultdict(float)
        for partial, mass in layer.items():
            if None not in partial:
                following[partial] += mass
                continue
            for after, probability, spent in step(number, partial, token_laws(law, partial)):
                following[after] += mass * probability
                calls += mass * probability * spent
        layer = dict(following)
    table = np.zeros(law.table.shape)
    for partial, mass in layer.items():
        table[partial] += mass
    return table, calls


def filled(partial: Partial, tokens: dict[int, int]) -> Partial:
    return tuple(tokens.get(i, token) for i, token in enumerate(partial))


def draws(laws: Laws, sites: list[int]) -> Iterator[tuple[dict[int, int], float]]:
    """Independent tokens at the sites."""
    for tokens in product(*(range(len(laws[i])) for i in sites)):
        probability = prod(laws[i][a] for i, a in zip(sites, tokens, strict=True))
        if probability > 0:
            yield dict(zip(sites, tokens, strict=True)), probability


def draw_at(partial: Partial, laws: Laws, sites: list[int], probability: float = 1.0) -> Outcomes:
    for tokens, chance in draws(laws, sites):
        yield filled(partial, tokens), probability * chance, 1


def orderings(weights: dict[int, float], count: int) -> Iterator[tuple[tuple[int, ...], float]]:
    """Draws without replacement in proportion to the weights, in order."""
    if count == 0:
        yield (), 1.0
        return
    total = sum(weights.values())
    for site, weight in weights.items():
        rest = {i: w for i, w in weights.items() if i != site}
        for tail, probability in orderings(rest, count - 1):
            yield (site, *tail), weight / total * probability


def best(scores: dict[int, float], count: int) -> list[int]:
    """The sites of highest score, the lower site of equal ones."""
    return sorted(scores, key=lambda i: (-round(scores[i], 12), i))[:count]


def powered(p: list[float], power: float) -> list[float]:
    values = [a**power for a in p]
    return [v / sum(values) for v in values]


def nucleus(p: list[float], mass: float) -> list[float]:
    """The likeliest tokens until the mass before the next one is above the share."""
    kept, before = [0.0] * len(p), 0.0
    for token in sorted(range(len(p)), key=lambda a: (-round(p[a], 12), a)):
        if before > mass + 1e-12:
            break
        kept[token] = p[token]
        before += p[token]
    return [k / sum(kept) for k in kept]


def entropy(p: list[float]) -> float:
    return -sum(a * log(a) for a in p if a > 0)


def gap(p: list[float]) -> float:
    first, second = sorted(p)[-1:-3:-1]
    return first - second


# Fixed schedules, 5 sites.


def follow(*steps: list[int]) -> Step:
    return lambda number, partial, laws: draw_at(partial, laws, steps[number])


FIXED: dict[str, tuple[int, Step]] = {
    "one-shot": (1, follow([0, 1, 2, 3, 4])),
    # Masked after steps 1, 2 of 3: ceil(5 * 2/3) = 4 and ceil(5/3) = 2.
    "left-to-right": (3, follow([0], [1, 2], [3, 4])),
    # ceil(5 cos(pi/6)) = 5 must become 4; ceil(5 cos(pi/3)) = 3.
    "left-to-right:sizes=cosine": (3, follow([0], [1], [2, 3, 4])),
    "strided": (3, follow([0, 3], [1, 4], [2])),
    "dyadic": (3, follow([2], [1, 4], [0, 3])),
    "left-to-right:block=3": (3, follow([0, 1, 2], [3], [4])),  # calls up to sites 3 and 5: floor(9/5) = 1 and 3
    "strided:block=3": (3, follow([0, 1, 2], [3], [4])),
}


@pytest.mark.parametrize("text", FIXED)
@pytest.mark.parametrize("sparse", [False, True])
def test_fixed_schedules(text: str, sparse: bool) -> None:
    law = random_law(5, 5, 2, sparse)
    agrees(law, text, 3, *FIXED[text])


def test_optimal_schedule_is_the_best_of_all() -> None:
    law = random_law(5, 4, 2)
    for calls in range(1, 5):
        best_error = min(
            float((law.table * np.log(law.table / tree(law, calls, follow(*steps))[0])).sum())
            for assignment in product(range(calls), repeat=4)
            if set(assignment) == set(range(calls))
            for steps in [[[i for i in range(4) if assignment[i] == t] for t in range(calls)]]
        )
        decoded = decode(KnownLaw(law), parse("optimal"), calls).law
        assert (law.table * np.log(law.table / decoded.table)).sum() == pytest.approx(best_error, abs=1e-13)


def test_treedepth_is_the_shortest_schedule_that_is_exact() -> None:
    weights = np.random.default_rng(2).dirichlet(np.ones(4), size=3).reshape(3, 2, 2)
    chain = JointLaw.from_weights(np.einsum("ab,bc,cd->abcd", *weights))
    decoded = decode(KnownLaw(chain), parse("treedepth"), 1)
    np.testing.assert_allclose(decoded.law.table, chain.table, atol=1e-15)
    assert decoded.expected_calls == 3
    # Two calls are not enough in any order.
    for assignment in product(range(2), repeat=4):
        steps = [[i for i in range(4) if assignment[i] == t] for t in range(2)]
        if all(steps):
            assert np.abs(tree(chain, 2, follow(*steps))[0] - chain.table).max() > 1e-4


# Rules that draw their sites, or read them off the laws: 4 sites, 3 calls (sizes 1, 1, 2) unless said.

SIZES = (1, 1, 2)


def random_order(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for order, probability in orderings(dict.fromkeys(laws, 1.0), SIZES[number]):
        yield from draw_at(partial, laws, list(order), probability)


def first_hitting(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for site in laws:
        yield from draw_at(partial, laws, [site], 1 / len(laws))


def independent(partial: Partial, laws: Laws, rate: float) -> Outcomes:
    for flags in product((False, True), repeat=len(laws)):
        chosen = [site for site, flag in zip(laws, flags, strict=True) if flag]
        probability = rate ** len(chosen) * (1 - rate) ** (len(laws) - len(chosen))
        for after, chance, _ in draw_at(partial, laws, chosen, probability):
            yield after, chance, int(bool(chosen))


def masked_diffusion(number: int, partial: Partial, laws: Laws) -> Outcomes:
    survival = [0, 1 / 3, 2 / 3, 1]
    rate = (survival[number + 1] - survival[number]) / (1 - survival[number])
    yield from independent(partial, laws, min(rate, 1.0))


def masked_diffusion_released(number: int, partial: Partial, laws: Laws) -> Outcomes:
    if number == 3:
        yield filled(partial, {i: p.index(max(p)) for i, p in laws.items()}), 1.0, 1
        return
    times = np.linspace(1, 1e-5, 4)
    yield from independent(partial, laws, float((times[number] - times[number + 1]) / times[number]))


def ranked(score: Callable[[list[float]], float]) -> Step:
    def step(number: int, partial: Partial, laws: Laws) -> Outcomes:
        yield from draw_at(partial, laws, best({i: score(p) for i, p in laws.items()}, SIZES[number]))

    return step


def threshold(number: int, partial: Partial, laws: Laws) -> Outcomes:
    sure = [i for i, p in laws.items() if max(p) >= 0.6]
    yield from draw_at(partial, laws, sure or best({i: max(p) for i, p in laws.items()}, 1))


def threshold_of_drawn(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for tokens, probability in draws(laws, list(laws)):
        scores = {i: laws[i][a] for i, a in tokens.items()}
        kept = {i for i in scores if scores[i] >= 0.6} | set(best(scores, 1))
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def factor_count(scores: list[float], f: float) -> int:
    count = 0
    for n, score in enumerate(sorted(scores, reverse=True), start=1):
        if score < 1 - f / (n + 1):
            break
        count = n
    return max(count, 1)


def factor(number: int, partial: Partial, laws: Laws) -> Outcomes:
    scores = {i: max(p) for i, p in laws.items()}
    yield from draw_at(partial, laws, best(scores, factor_count(list(scores.values()), 1.2)))


def factor_of_drawn(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for tokens, probability in draws(laws, list(laws)):
        scores = {i: laws[i][a] for i, a in tokens.items()}
        kept = best(scores, factor_count(list(scores.values()), 1.2))
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def entropy_bound(number: int, partial: Partial, laws: Laws) -> Outcomes:
    order = best({i: -entropy(p) for i, p in laws.items()}, len(laws))
    prefix = max(
        n
        for n in range(1, len(order) + 1)
        for values in [[entropy(laws[i]) for i in order[:n]]]
        if sum(values) - max(values) <= 0.5
    )
    yield from draw_at(partial, laws, order[:prefix])


def maskgit_kept(number: int, hidden: int, calls: int, gamma: Callable[[float], float]) -> int:
    left = max(1, min(hidden - 1, floor(4 * gamma((number + 1) / calls) + 1e-12)))
    return hidden if number == calls - 1 else hidden - left


def maskgit(number: int, partial: Partial, laws: Laws) -> Outcomes:
    count = maskgit_kept(number, len(laws), 3, lambda s: cos(pi * s / 2))
    for tokens, probability in draws(laws, list(laws)):
        kept = best({i: laws[i][a] for i, a in tokens.items()}, count)
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def maskgit_with_noise(number: int, partial: Partial, laws: Laws) -> Outcomes:
    count = maskgit_kept(number, len(laws), 3, lambda s: 1 - s)
    noise = 0.8 * (1 - (number + 1) / 3)
    for tokens, probability in draws(laws, list(laws)):
        if noise == 0:
            yield filled(partial, tokens), probability, 1
            continue
        weights = {i: laws[i][a] ** (1 / noise) for i, a in tokens.items()}
        for order, chance in orderings(weights, count):
            yield filled(partial, {i: tokens[i] for i in order}), probability * chance, 1


def llada(number: int, partial: Partial, laws: Laws) -> Outcomes:
    tempered = {i: powered(p, 1 / 0.6) for i, p in laws.items()}
    for tokens, probability in draws(tempered, list(laws)):
        kept = best({i: laws[i][a] for i, a in tokens.items()}, (2, 1, 1)[number])  # 4 = 3 * 1 + 1
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def llada_greedy(number: int, partial: Partial, laws: Laws) -> Outcomes:
    kept = best({i: max(p) for i, p in laws.items()}, (2, 1, 1)[number])
    yield filled(partial, {i: laws[i].index(max(laws[i])) for i in kept}), 1.0, 1


def llada_at_random(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for tokens, probability in draws(laws, list(laws)):
        for order, chance in orderings(dict.fromkeys(laws, 1.0), (2, 1, 1)[number]):
            yield filled(partial, {i: tokens[i] for i in order}), probability * chance, 1


def llada_in_blocks(number: int, partial: Partial, laws: Laws) -> Outcomes:
    """Blocks of 2, two calls each: one token a call, the right block not before the left one is full."""
    block = [i for i in laws if i < 2] if number < 2 else [i for i in laws if i >= 2]
    for tokens, probability in draws(laws, block):
        kept = best({i: laws[i][a] for i, a in tokens.items()}, 1)
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def dream_count(number: int, hidden: int, steps: int) -> int:
    times = np.linspace(1, 1e-3, steps + 1)
    return hidden if number == steps - 1 else int(hidden * (1 - times[number + 1] / times[number]))


def dream(number: int, partial: Partial, laws: Laws) -> Outcomes:
    scored = {i: nucleus(powered(p, 1 / 0.7), 0.8) for i, p in laws.items()}
    for tokens, probability in draws(scored, list(laws)):
        kept = best({i: scored[i][a] for i, a in tokens.items()}, dream_count(number, len(laws), 3))
        yield filled(partial, {i: tokens[i] for i in kept}), probability, 1


def dream_by_entropy_with_noise(number: int, partial: Partial, laws: Laws) -> Outcomes:
    weights = {i: exp(-entropy(p) / 0.3) for i, p in laws.items()}
    for order, chance in orderings(weights, dream_count(number, len(laws), 5)):
        yield from draw_at(partial, laws, list(order), chance)


def dream_greedy_margin(number: int, partial: Partial, laws: Laws) -> Outcomes:
    kept = best({i: gap(nucleus(p, 0.7)) for i, p in laws.items()}, dream_count(number, len(laws), 3))
    yield filled(partial, {i: laws[i].index(max(laws[i])) for i in kept}), 1.0, 1


def moment(number: int, partial: Partial, laws: Laws) -> Outcomes:
    beta = 1 + 1 / 0.5
    sharpened = {i: powered(p, beta) for i, p in laws.items()}
    weights = {i: sum(a**beta for a in p) for i, p in laws.items()}
    for order, chance in orderings(weights, SIZES[number]):
        yield from draw_at(partial, sharpened, list(order), chance)


CHOOSING: dict[str, tuple[int, int, Step]] = {
    # text: calls, steps, step
    "random-order": (3, 3, random_order),
    "first-hitting": (1, 4, first_hitting),
    "masked-diffusion": (3, 3, masked_diffusion),
    "masked-diffusion:tail=argmax": (3, 4, masked_diffusion_released),
    "confidence": (3, 3, ranked(max)),
    "entropy": (3, 3, ranked(lambda p: -entropy(p))),
    "margin": (3, 3, ranked(gap)),
    "threshold:theta=0.6": (1, 4, threshold),
    "threshold:theta=0.6,candidates=drawn": (1, 4, threshold_of_drawn),
    "factor:f=1.2": (1, 4, factor),
    "factor:f=1.2,candidates=drawn": (1, 4, factor_of_drawn),
    "entropy-bound:gamma=0.5": (1, 4, entropy_bound),
    "maskgit": (3, 3, maskgit),
    "maskgit:sizes=uniform,tau=0.8": (3, 3, maskgit_with_noise),
    "llada:temperature=0.6": (3, 3, llada),
    "llada:temperature=0": (3, 3, llada_greedy),
    "llada:remasking=random": (3, 3, llada_at_random),
    "llada:block=2": (4, 4, llada_in_blocks),
    "dream:temperature=0.7,top_p=0.8": (3, 3, dream),
    "dream:score=entropy,alg_temp=0.3": (5, 5, dream_by_entropy_with_noise),
    "dream:score=margin,temperature=0,top_p=0.7": (3, 3, dream_greedy_margin),
    "moment:tau=0.5": (3, 3, moment),
}


@pytest.mark.parametrize("text", CHOOSING)
@pytest.mark.parametrize("sparse", [False, True])
def test_rules_that_choose(text: str, sparse: bool) -> None:
    calls, steps, step = CHOOSING[text]
    agrees(random_law(7, 4, 3, sparse), text, calls, steps, step)


def agrees(law: JointLaw, text: str, calls: int, steps: int, step: Step) -> None:
    table, expected_calls = tree(law, steps, step)
    decoded = decode(KnownLaw(law), parse(text), calls)
    assert decoded.steps == steps
    np.testing.assert_allclose(decoded.law.table, table, atol=1e-13)
    assert decoded.expected_calls == pytest.approx(expected_calls, abs=1e-12)


def test_dyadic_calls() -> None:
    for sites in range(1, 9):
        decoded = decode(KnownLaw(random_law(1, sites, 2)), parse("dyadic"), 1)
        assert decoded.expected_calls == pytest.approx(ceil(log2(sites + 1)))


# Ties at random, on laws in which everything ties.


def tied_law() -> JointLaw:
    """Fair coins that copy each other in pairs: 0 with 1, 2 with 3. Every hidden site is fair or certain."""
    pair = np.array([[0.5, 0], [0, 0.5]])
    return JointLaw(np.einsum("ab,cd->abcd", pair, pair))


def subsets(sites: list[int], count: int) -> list[list[int]]:
    return [list(chosen) for chosen in combinations(sites, count)]


def tied_sets(scores: dict[int, float], count: int) -> list[list[int]]:
    """All sets of the best sites, each as likely: those above the edge, and some of those at it."""
    edge = sorted((round(s, 12) for s in scores.values()), reverse=True)[count - 1]
    above = [i for i, s in scores.items() if round(s, 12) > edge]
    at = [i for i, s in scores.items() if round(s, 12) == edge]
    return [above + chosen for chosen in subsets(at, count - len(above))]


def confidence_with_random_ties(number: int, partial: Partial, laws: Laws) -> Outcomes:
    sets = tied_sets({i: max(p) for i, p in laws.items()}, SIZES[number])
    for sites in sets:
        yield from draw_at(partial, laws, sites, 1 / len(sets))


def llada_with_random_ties(number: int, partial: Partial, laws: Laws) -> Outcomes:
    for tokens, probability in draws(laws, list(laws)):
        sets = tied_sets({i: laws[i][a] for i, a in tokens.items()}, (2, 1, 1)[number])
        for sites in sets:
            yield filled(partial, {i: tokens[i] for i in sites}), probability / len(sets), 1


def threshold_with_random_ties(number: int, partial: Partial, laws: Laws) -> Outcomes:
    scores = {i: max(p) for i, p in laws.items()}
    sure = [i for i, s in scores.items() if s >= 0.9]
    sets = [sure] if sure else tied_sets(scores, 1)
    for sites in sets:
        yield from draw_at(partial, laws, sites, 1 / len(sets))


def greedy_with_random_ties(number: int, partial: Partial, laws: Laws) -> Outcomes:
    """Sites and, at temperature 0, tokens: every likeliest token has the same chance."""
    flat = {i: [(a == max(p)) / p.count(max(p)) for a in p] for i, p in laws.items()}
    sets = tied_sets({i: max(p) for i, p in laws.items()}, SIZES[number])
    for sites in sets:
        yield from draw_at(partial, flat, sites, 1 / len(sets))


TIED: dict[str, tuple[int, Step]] = {
    "confidence:ties=random": (3, confidence_with_random_ties),
    "llada:ties=random": (3, llada_with_random_ties),
    "threshold:theta=0.9,ties=random": (4, threshold_with_random_ties),
    "confidence:temperature=0,ties=random": (3, greedy_with_random_ties),
}


@pytest.mark.parametrize("text", TIED)
def test_ties_at_random(text: str) -> None:
    steps, step = TIED[text]
    agrees(tied_law(), text, 3, steps, step)
    agrees(random_law(7, 4, 3, sparse=True), text, 3, steps, step)
