"""Decoders that hide or change revealed tokens, written from their papers and released code in plain Python.

See `decoding_by_hand` for the conventions. Times run from 1 to 0, alpha(t) = 1 - t is the chance to be revealed.
"""

from __future__ import annotations

import math

from tests.theory.decoding_by_hand import (
    Law,
    Moves,
    Network,
    argmax,
    complete,
    draws,
    hidden,
    highest,
    independent,
    lowest,
    plackett_luce,
    put,
    revealed,
    run,
)

Window = tuple[float, float, float]
"""Of ReMDM's loop: the times at which it starts and ends, the share of revealed sites meanwhile."""


def _finish(network: Network, law: dict, calls: float, drawn: bool) -> tuple[Law, float]:
    """What is still masked takes its most likely token, all at once, as the released code ends; or is drawn."""

    def fill(state: object) -> Moves:
        x = state[0]  # type: ignore[index]
        if not hidden(x):
            yield x, 1.0, 0.0
            return
        laws = network(x)
        if drawn:
            for tokens, p in draws(laws, hidden(x)):
                yield put(x, tokens), p, 1.0
        else:
            yield put(x, {i: argmax(laws[i]) for i in hidden(x)}), 1.0, 1.0

    full, tail = run(law, [fill])
    return {complete(x): p for x, p in full.items()}, calls + tail


def remdm(
    network: Network,
    steps: int,
    schedule: str,
    eta: float,
    window: tuple[float, float, float] = (0.55, 0.05, 0.9),
    drawn: bool = False,
) -> tuple[Law, float]:
    """ReMDM (arXiv:2503.00307); the state is (tokens, probability of each revealed token when it was unmasked)."""
    t_on, t_off, alpha_on = window

    def step(number: int) -> object:
        t, s = 1 - number / steps, 1 - (number + 1) / steps

        def moves(state: tuple) -> Moves:
            x, trust = state
            laws = network(x)
            a_t, a_s = 1 - t, 1 - s
            sigma_max = min(1.0, (1 - a_s) / a_t) if a_t > 0 else 1.0
            sigma = dict.fromkeys(range(network.n), 0.0)
            if schedule == "cap":
                sigma = dict.fromkeys(range(network.n), min(eta, sigma_max))
            elif schedule == "rescale":
                sigma = dict.fromkeys(range(network.n), eta * sigma_max)
            elif schedule == "conf":
                total = sum(math.exp(-trust[i]) for i in revealed(x))
                sigma |= {i: sigma_max * math.exp(-trust[i]) / total for i in revealed(x)}
            elif t > t_on + 1e-9:
                a_t, a_s = (1 - t) * alpha_on / (1 - t_on), (1 - s) * alpha_on / (1 - t_on)
            elif t <= t_off + 1e-9:
                a_t, a_s = 1 - t * (1 - alpha_on) / t_off, 1 - s * (1 - alpha_on) / t_off
            else:
                a_t = a_s = alpha_on
                sigma = dict.fromkeys(range(network.n), eta)
            options = []
            for i in range(network.n):
                if x[i] is None:
                    opened = min(1.0, (a_s - (1 - sigma[i]) * a_t) / (1 - a_t))
                    options.append([(None, 1 - opened), *((a, opened * p) for a, p in enumerate(laws[i]))])
                else:
                    options.append([(None, sigma[i]), (x[i], 1 - sigma[i])])
            for y, p in independent(options):
                if schedule != "conf":
                    yield (y, None), p, y != x
                    continue
                kept = [None if y[i] is None else trust[i] for i in range(network.n)]
                for i in set(hidden(x)) & set(revealed(y)):
                    kept[i] = laws[i][y[i]]
                yield (y, tuple(kept)), p, y != x

        return moves

    nothing = (None,) * network.n
    start = {(nothing, nothing if schedule == "conf" else None): 1.0}
    law, calls = run(start, [step(k) for k in range(steps)])
    return _finish(network, law, calls, drawn)


def forward_backward(network: Network, steps: int, drawn: bool = False) -> tuple[Law, float]:
    """The forward-backward corrector in the code of ReMDM."""

    def step(number: int) -> object:
        t, s = 1 - number / steps, 1 - (number + 1) / steps

        def moves(state: tuple) -> Moves:
            (x,) = state
            a_t, a_s = 1 - t, 1 - s
            sigma = (a_s - a_t) / a_t if number > 0 else 1.0
            # A negative weight of the mask is never drawn: the token is then revealed for sure.
            opened = min(1.0, (a_s - (1 - sigma) * a_t) / (1 - a_t))
            yield from _flip(network, x, opened, min(1.0, sigma))

        return moves

    law, calls = run({((None,) * network.n,): 1.0}, [step(k) for k in range(steps)])
    return _finish(network, law, calls, drawn)


def _flip(network: Network, x: tuple, opened: float, closed: float) -> Moves:
    laws = network(x)
    options = [
        [(None, 1 - opened), *((a, opened * p) for a, p in enumerate(laws[i]))]
        if x[i] is None
        else [(None, closed), (x[i], 1 - closed)]
        for i in range(network.n)
    ]
    for y, p in independent(options):
        yield (y,), p, y != x


def dfm(network: Network, steps: int, eta: float, drawn: bool = False) -> tuple[Law, float]:
    """The discrete-flow-matching corrector in the code of ReMDM: a step as long as both rates allow."""
    t, plan = 1.0, []
    while t > (1 - 1e-5) / steps:
        if t == 1:
            dt, opened, closed = 1 / steps, 1 / steps, 0.0
        else:
            a = eta * t**0.25 * (1 - t) ** 0.25 + 1
            b = a - 1
            dt = min(1 / steps, 1 / (a / t + b / (1 - t)))
            opened, closed = a * dt / t, b * dt / (1 - t)
        plan.append((opened, closed))
        t -= dt

    def step(number: int) -> object:
        opened, closed = plan[number]
        return lambda state: _flip(network, state[0], opened, closed)

    law, calls = run({((None,) * network.n,): 1.0}, [step(k) for k in range(len(plan))])
    return _finish(network, law, calls, drawn)


def p2(network: Network, steps: int, eta: float) -> tuple[Law, float]:
    """Path planning (arXiv:2502.03540), the network as its own planner: revealed sites are judged when masked alone."""
    n = network.n

    def step(number: int) -> object:
        def moves(x: tuple) -> Moves:
            laws = network(x)
            if eta > 0:
                laws = laws | {i: network.without(x, i) for i in revealed(x)}
            calls = 1.0 + (eta > 0 and bool(revealed(x)))
            for drawn, p in draws(laws, sorted(laws)):
                # Never masked again: above every logarithm.
                score = dict.fromkeys(range(n), 1.0)
                for i, a in drawn.items():
                    score[i] = math.log(laws[i][a]) * (1.0 if x[i] is None else eta)
                kept = highest(score, n - n * (steps - number) // steps)
                yield tuple((drawn[i] if x[i] is None else x[i]) if i in kept else None for i in range(n)), p, calls

        return moves

    law, calls = run({(None,) * n: 1.0}, [step(k) for k in range(1, steps + 1)])
    return {complete(x): p for x, p in law.items()}, calls


def informed(network: Network, steps: int, k: int, tau: float, margin: bool) -> tuple[Law, float]:
    """Informed corrector (arXiv:2407.21243): after each step of masked diffusion, redraw k revealed sites at once."""

    def predict(number: int) -> object:
        def moves(x: tuple) -> Moves:
            if not hidden(x):
                yield x, 1.0, 0.0
                return
            rate = 1 / (steps - number)
            laws = network(x)
            options = [
                [(None, 1 - rate), *((a, rate * p) for a, p in enumerate(laws[i]))] if x[i] is None else [(x[i], 1.0)]
                for i in range(network.n)
            ]
            for y, p in independent(options):
                yield y, p, 1.0

        return moves

    def correct(x: tuple) -> Moves:
        if not revealed(x):
            yield x, 1.0, 0.0
            return
        laws = {i: network.without(x, i) for i in revealed(x)}
        trust = {}
        for i in laws:
            others = max(p for a, p in enumerate(laws[i]) if a != x[i])
            trust[i] = math.log(max(laws[i][x[i]], 1e-12)) - (math.log(max(others, 1e-12)) if margin else 0.0)
        count = min(k, len(trust))
        if tau == 0:
            chosen = {frozenset(lowest(trust, count)): 1.0}
        else:
            chosen = plackett_luce({i: math.exp(-trust[i] / tau) for i in trust}, count)
        for sites, p in chosen.items():
            for tokens, chance in draws(laws, sorted(sites)):
                yield put(x, tokens), p * chance, 1.0

    plan = [step for number in range(steps) for step in (predict(number), correct)]
    law, calls = run({(None,) * network.n: 1.0}, plan)
    return {complete(x): p for x, p in law.items()}, calls


def mask_predict(network: Network, steps: int, greedy: bool) -> tuple[Law, float]:
    """Mask-predict (arXiv:1904.09324): a confidence is kept from the pass in which the token was predicted."""
    n = network.n

    def step(number: int) -> object:
        def moves(state: tuple) -> Moves:
            x, trust = state
            count = n if number == 0 else n * (steps - number) // steps
            masked = sorted(range(n) if number == 0 else lowest(dict(enumerate(trust)), count))
            if not masked:
                yield state, 1.0, 0.0
                return
            laws = network(put(x, dict.fromkeys(masked)))
            options = [({i: argmax(laws[i]) for i in masked}, 1.0)] if greedy else draws(laws, masked)
            for tokens, p in options:
                scores = {i: laws[i][tokens[i]] for i in masked}
                yield (put(x, tokens), tuple(scores.get(i, trust[i]) for i in range(n))), p, 1.0

        return moves

    law, calls = run({((None,) * n, (None,) * n): 1.0}, [step(k) for k in range(steps)])
    result: Law = {}
    for (x, _), p in law.items():
        result[complete(x)] = result.get(complete(x), 0.0) + p
    return result, calls


def edit(network: Network, theta: float, theta_e: float, edits: int, greedy: bool) -> tuple[Law, float]:
    """LLaDA2.1: thresholds and token editing, one block; the state is (tokens, passes after the last mask)."""

    def moves(state: tuple) -> Moves:
        x, passes = state
        open_sites = hidden(x)
        if not open_sites and passes is not None:
            passes += 1
        if passes is None or passes > edits:
            yield (x, None), 1.0, 0.0
            return
        laws = network(x) | {i: network.without(x, i) for i in revealed(x)}
        calls = 1.0 + bool(revealed(x))
        options = [({i: argmax(laws[i]) for i in laws}, 1.0)] if greedy else draws(laws, sorted(laws))
        for tokens, p in options:
            trust = {i: laws[i][tokens[i]] for i in laws}
            sure = [i for i in open_sites if trust[i] > theta]
            if open_sites and not sure:
                sure = highest({i: trust[i] for i in open_sites}, 1)
            edited = [i for i in revealed(x) if trust[i] > theta_e and tokens[i] != x[i]]
            done = not open_sites and not edited
            yield (put(x, {i: tokens[i] for i in sure + edited}), None if done else passes), p, calls

    law, calls = run({((None,) * network.n, 0): 1.0}, [moves] * (network.n + edits))
    result: Law = {}
    for (x, _), p in law.items():
        result[complete(x)] = result.get(complete(x), 0.0) + p
    return result, calls
