"""Drafting decoders and KLASS, written from their papers and released code in plain Python.

See `decoding_by_hand` for the conventions.
"""

from __future__ import annotations

import math

import numpy as np

from tests.theory.decoding_by_hand import (
    Law,
    Moves,
    Network,
    complete,
    draws,
    hidden,
    highest,
    put,
    run,
)


def speculative(network: Network, k: int) -> tuple[Law, float]:
    """Any-order speculative decoding, left to right: every draft, and every place of its first rejection."""
    n = network.n

    def moves(x: tuple) -> Moves:
        left = hidden(x)
        if not left:
            yield x, 1.0, 0.0
            return
        sites, parallel = left[:k], network(x)
        calls = 1.0 if len(left) == 1 else 2.0
        for draft, p in draws(parallel, sites):
            accepted = p
            for place, i in enumerate(sites):
                before = put(x, {j: draft[j] for j in sites[:place]})
                truth, guess = network(before)[i], parallel[i]
                ratio = min(1.0, truth[draft[i]] / guess[draft[i]])
                excess = [max(g - d, 0.0) for g, d in zip(truth, guess, strict=True)]
                if ratio < 1:
                    for a, e in enumerate(excess):
                        yield put(before, {i: a}), accepted * (1 - ratio) * e / sum(excess), calls
                accepted *= ratio
            yield put(x, draft), accepted, calls

    law, calls = run({(None,) * n: 1.0}, [moves] * n)
    return {complete(x): p for x, p in law.items()}, calls


def adaptive_parallel(network: Network, k: int, w: float, points: int = 4000) -> tuple[Law, float]:
    """Adaptive parallel decoding; the chance that both argmaxes are the same token is integrated numerically.

    With G Gumbel, a wins both iff v_z + G_z < v_a + G_a in both laws; integrated over u = exp(-exp(-G_a)).
    """
    n, q = network.n, network.q
    u = (np.arange(points) + 0.5) / points
    noise = -np.log(-np.log(u))

    def agree(draft: list[float], target: list[float], a: int) -> float:
        chance = np.ones(points)
        for z in range(q):
            if z != a:
                # G_z is below both limits.
                limit = np.minimum(math.log(draft[a] / draft[z]), math.log(target[a] / target[z])) + noise
                chance = chance * np.exp(-np.exp(-limit))
        return float(chance.mean())

    def moves(x: tuple) -> Moves:
        left = hidden(x)
        if not left:
            yield x, 1.0, 0.0
            return
        parallel = network(x)

        def rest(y: tuple, place: int, p: float) -> Moves:
            if place == min(k, len(left)):
                yield y, p, 1.0
                return
            i = left[place]
            guess, truth = parallel[i], network(y)[i]
            mixed = [d**w * g ** (1 - w) for d, g in zip(guess, truth, strict=True)]
            same = list(guess) if place == 0 else [agree(guess, mixed, a) for a in range(q)]
            for a in range(q):
                yield from rest(put(y, {i: a}), place + 1, p * same[a])
            if place > 0:
                yield y, p * (1 - sum(same)), 1.0

        yield from rest(x, 0, 1.0)

    law, calls = run({(None,) * n: 1.0}, [moves] * n)
    return {complete(x): p for x, p in law.items()}, calls


def klass(network: Network, steps: int, theta: float, kappa: float, h: int) -> tuple[Law, float]:
    """KLASS: the state is the list of partial sequences so far."""
    n = network.n
    plan = [n // steps + (t < n % steps) for t in range(steps)]

    def divergence(now: list[float], before: list[float]) -> float:
        return sum(a * math.log(a / b) if b > 0 else math.inf for a, b in zip(now, before, strict=True) if a > 0)

    def step(number: int) -> object:
        def moves(path: tuple) -> Moves:
            x = path[-1]
            if not hidden(x):
                yield (*path, x), 1.0, 0.0
                return
            laws = network(x)
            ready = [
                i
                for i in hidden(x)
                if max(laws[i]) > theta
                and number >= h
                and all(divergence(network(path[-1 - b])[i], network(path[-2 - b])[i]) < kappa for b in range(h))
            ]
            if number == steps - 1:
                ready = hidden(x)
            sites = ready or highest({i: max(laws[i]) for i in hidden(x)}, plan[number])
            for tokens, p in draws(laws, sites):
                yield (*path, put(x, tokens)), p, 1.0

        return moves

    law, calls = run({((None,) * n,): 1.0}, [step(t) for t in range(steps)])
    result: Law = {}
    for path, p in law.items():
        result[complete(path[-1])] = result.get(complete(path[-1]), 0.0) + p
    return result, calls
