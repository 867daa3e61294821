"""Score decoders and the planner, written from their papers and released code in plain Python.

See `decoding_by_hand` for the conventions. Noised laws are sums over every clean sequence; a token survives to time t
with probability 1 - t.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from tests.theory.decoding_by_hand import (
    Law,
    Moves,
    Network,
    argmax,
    complete,
    draws,
    hidden,
    independent,
    put,
    run,
)


def masked_scores(network: Network, steps: int, jump: Callable[[float], float]) -> tuple[Law, float]:
    """Mask noise: a hidden site takes token z at rate p_i(z)/t; ``jump`` maps rate x length to a probability."""

    def step(number: int) -> object:
        t = 1 - number / steps

        def moves(x: tuple) -> Moves:
            if not hidden(x):
                yield x, 1.0, 0.0
                return
            laws, opened = network(x), jump(1 / steps / t)
            options = [
                [(None, 1 - opened), *((a, opened * p) for a, p in enumerate(laws[i]))] if a is None else [(a, 1.0)]
                for i, a in enumerate(x)
            ]
            for y, p in independent(options):
                yield y, p, y != x

        return moves

    def fill(x: tuple) -> Moves:
        laws = network(x)
        yield put(x, {i: argmax(laws[i]) for i in hidden(x)}), 1.0, bool(hidden(x))

    law, calls = run({(None,) * network.n: 1.0}, [*(step(k) for k in range(steps)), fill])
    return {complete(x): p for x, p in law.items()}, calls


def noised(network: Network, survival: float) -> Law:
    """p after uniform noise, as a sum over clean sequences."""
    assert network.joint is not None
    result = {}
    for x in itertools.product(range(network.q), repeat=network.n):
        result[x] = sum(
            p * math.prod(survival * (a == b) + (1 - survival) / network.q for a, b in zip(x, y, strict=True))
            for y, p in network.joint.items()
        )
    return result


def uniform_scores(network: Network, steps: int, kind: str) -> tuple[Law, float]:
    """Uniform noise, from a uniform sequence; ``kind`` is tweedie, euler or tau-leaping.

    Works at survival alpha + 1e-9 instead of 0 at the first time, where the formulas are infinite.
    """
    n, q = network.n, network.q

    def step(number: int) -> object:
        now, then = max(number / steps, 1e-9), (number + 1) / steps
        law = noised(network, now)

        def site(x: tuple[int, ...], i: int) -> list[float]:
            score = [law[tuple(z if j == i else a for j, a in enumerate(x))] / law[x] for z in range(q)]
            if kind == "tweedie":
                # e^{-dQ} s and e^{dQ}, Q = (all ones)/q - identity, d = sigma_t - sigma_s.
                shrink = now / then
                back = [(shrink - 1) / (q * shrink) * sum(score) + s / shrink for s in score]
                weights = [b * (shrink * (z == x[i]) + (1 - shrink) / q) for z, b in enumerate(back)]
            else:
                # sigma'(t) = 1/alpha; Q(z, x_i) = 1/q.
                rates = [0.0 if z == x[i] else s / now / q / steps for z, s in enumerate(score)]
                if kind == "euler":
                    weights = [max(0.0, 1 - sum(rates)) if z == x[i] else r for z, r in enumerate(rates)]
                else:
                    # Exactly one jump, to z; each number of jumps is Poisson.
                    weights = [
                        r * math.exp(-r) * math.prod(math.exp(-o) for w, o in enumerate(rates) if w != z)
                        for z, r in enumerate(rates)
                    ]
                    weights[x[i]] = 1 - sum(weights)
            return [w / sum(weights) for w in weights]

        def moves(x: tuple) -> Moves:
            for y, p in independent([list(enumerate(site(x, i))) for i in range(n)]):
                yield y, p, 1.0

        return moves

    start = dict.fromkeys(itertools.product(range(q), repeat=n), q ** (-n))
    return run(start, [step(k) for k in range(steps)])


def ddpd(network: Network, steps: int) -> tuple[Law, float]:
    """Planned denoising: which sites are noise is a sum over every set of noisy sites and every clean sequence."""
    n, q = network.n, network.q
    assert network.joint is not None
    subsets = [m for size in range(n + 1) for m in itertools.combinations(range(n), size)]

    def noise(x: tuple[int, ...]) -> list[float]:
        chance, total = [0.0] * n, 0.0
        for m in subsets:
            clean = sum(p for y, p in network.joint.items() if all(x[i] == y[i] for i in range(n) if i not in m))
            # The integral of t^m (1 - t)^(n - m) over (0, 1), and 1/q for each noisy token.
            weight = math.factorial(len(m)) * math.factorial(n - len(m)) / math.factorial(n + 1) * q ** -len(m) * clean
            total += weight
            for i in m:
                chance[i] += weight
        return [c / total for c in chance]

    def masks(chance: list[float], forced: int | None) -> Moves:
        options = [[(True, 1.0)] if i == forced else [(True, c), (False, 1 - c)] for i, c in enumerate(chance)]
        for flags, p in independent(options):
            yield [i for i in range(n) if flags[i]], p, 0.0

    def moves(x: tuple[int, ...]) -> Moves:
        chance = noise(x)
        # The softmax of the log odds; a site that is noise for certain outweighs every other.
        certain = [1 - c < 1e-15 for c in chance]
        weight = [float(c) for c in certain] if any(certain) else [c / (1 - c) for c in chance]
        for i in range(n):
            for masked, p in ((m, p) for m, p, _ in masks(chance, i)):
                law = network(put(x, dict.fromkeys(masked)))[i]
                for a, token in enumerate(law):
                    yield put(x, {i: a}), weight[i] / sum(weight) * p * token, 2.0

    def final(x: tuple[int, ...]) -> Moves:
        for masked, p, _ in masks(noise(x), None):
            laws = network(put(x, dict.fromkeys(masked)))
            for tokens, chance in draws(laws, masked):
                yield put(x, tokens), p * chance, 2.0

    start = dict.fromkeys(itertools.product(range(q), repeat=n), q ** (-n))
    return run(start, [moves] * steps + [final])
