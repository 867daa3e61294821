"""Speed of the decoder laboratory, each bar beside a plain NumPy prototype of the same thing, paired in one run.

    python benchmarks/decoding.py [--corpus FILE] [--bars twelve,long,sizes,schedule,second] [--peer-rows 4] [--turns 3]

The bars, and what they shall stay below on two cores and in 4 GB:

    twelve    twelve decoders x six numbers of calls, N = 256, q = 27, order 1: intervals below .003 nats a token, 20 s
    long      six decoders x four numbers of calls, N = 1024, q = 65, order 1: intervals below .01, 4 minutes
    sizes     best sizes of random orders for every number of calls, N = 1024: 10 s
    schedule  best fixed schedules for up to 32 calls, N = 256: 2 s
    second    six decoders x four numbers of calls, N = 256, q = 27, order 2: 10 minutes

The peers are prototypes as one writes them first, on one thread: a replay sequence by sequence with powers of the
transition matrix (order 1) or forward-backward over pairs of symbols (order 2), and the recursions over sizes and gaps
as NumPy minima. A replay's peer does the ``confidence`` order on a few of the same sequences, and its -ln q(x) is
compared: the ratio is its processor time for a sequence over ours. Their turns alternate, so that whatever else the
machine does falls on both. Seconds are of the wall; processor seconds are user + sys, all threads. Compilation is not
counted; peak memory is that of the process. Without --corpus the laws are random chains of the same sizes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

TWELVE = (
    *("one-shot", "left-to-right", "random-order", "random-order:sizes=cosine", "strided", "dyadic"),
    *("optimal", "confidence", "entropy", "margin", "threshold:theta=0.6", "entropy-bound:gamma=1"),
)
SIX = ("strided", "random-order", "confidence", "entropy", "margin", "left-to-right")


class Took(NamedTuple):
    """Seconds of the wall, and of all processors."""

    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a text whose characters are the law")
    parser.add_argument("--bars", default="twelve,long,sizes,schedule,second", help="which")
    parser.add_argument("--peer-rows", type=int, default=4, help="sequences that a peer replays in one turn")
    parser.add_argument("--turns", type=int, default=3, help="turns of each side, where they alternate")
    options = parser.parse_args()
    bars = {"twelve": twelve, "long": long, "sizes": sizes, "schedule": schedule, "second": second}
    chosen = options.bars.split(",")
    for name in chosen:
        if name not in bars:
            parser.error(f"--bars {name}: choose from {', '.join(bars)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    source = options.corpus.name if options.corpus else "random chains"
    print(f"{source}; {os.cpu_count()} CPUs, load {load:.1f}, NumPy {np.__version__}")
    for name in chosen:
        bars[name](options)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GB (bar 4)")


def timed(action: Callable[[], Any]) -> tuple[Took, Any]:
    """What an action took and gave."""
    wall, processor = time.perf_counter(), time.process_time()
    result = action()
    return Took(time.perf_counter() - wall, time.process_time() - processor), result


def paired(ours: Callable[[], Any], peer: Callable[[], Any], turns: int) -> tuple[float, float, float]:
    """Median processor seconds of both, and the median of the ratios peer/ours over alternating turns."""
    ours()  # compiles
    times = [(timed(ours)[0].processor, timed(peer)[0].processor) for _ in range(turns)]
    mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return mine, theirs, statistics.median(b / a for a, b in times)


def law_of(options: argparse.Namespace, order: int, sites: int, alphabet: str) -> Any:
    """The characters of the corpus, or a random chain of as many symbols."""
    from theory.laws.length import MarkovLaw, fit_markov, read_text

    if options.corpus:
        return fit_markov(read_text(options.corpus), order, sites, alphabet)
    symbols = 27 if alphabet == "letters" else 65
    return MarkovLaw(np.random.default_rng(0).dirichlet(np.full(symbols, 0.2), size=(symbols,) * order), sites)


class Bar(NamedTuple):
    """What is decoded, and what it shall stay below: seconds, nats a token."""

    name: str
    decoders: tuple[str, ...]
    calls: tuple[int, ...]
    seconds: float
    width: float


def frontier(options: argparse.Namespace, law: Any, bar: Bar) -> None:
    """A bar of decoders and calls, with its peer."""
    from experiments.decoding.record import decode_record
    from theory.decoding.known_sequence import KnownSequence
    from theory.decoding.registry import parse
    from theory.decoding.replay import replay
    from theory.decoding.rule import Setting

    decode_record(law, ("strided", "confidence"), bar.calls[:1], samples=2)  # compiles
    took, record = timed(lambda: decode_record(law, bar.decoders, bar.calls))
    widest = max((row["kl"]["interval"][1] - row["kl"]["interval"][0]) / 2 / law.sites for row in record["decoders"])
    known, rule, asked = KnownSequence(law), parse("confidence"), bar.calls[len(bar.calls) // 2]
    setting, many = Setting.of(known, asked), 8 * options.peer_rows
    x = law.sample(many, np.random.default_rng(1))
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = replay(known, rule, setting, x, np.random.default_rng(2)).log_probability

    def peer() -> None:
        found["peer"] = [plain_replay(law, row, asked) for row in x[: options.peer_rows]]

    mine, theirs, ratio = paired(ours, peer, options.turns)
    apart = float(np.abs(found["ours"][: options.peer_rows] - found["peer"]).max())
    size = f"{len(bar.decoders)} decoders x {len(bar.calls)} calls, N = {law.sites}, q = {law.symbols}"
    print(
        f"{bar.name:9s} {size}, order {law.markov_order}: {took.wall:.1f} s (bar {bar.seconds:g}), "
        f"{took.processor:.1f} processor s, widest interval {widest:.4f} (bar {bar.width:g})\n"
        f"          a sequence, confidence, {asked} calls: ours {1e3 * mine / many:.2f} ms, prototype "
        f"{1e3 * theirs / options.peer_rows:.1f} ms, ratio {ratio * many / options.peer_rows:.1f}; "
        f"-ln q(x) differs by {apart:.1g}"
    )


def twelve(options: argparse.Namespace) -> None:
    bar = Bar("twelve", TWELVE, (4, 8, 16, 32, 64, 128), 20, 0.003)
    frontier(options, law_of(options, 1, 256, "letters"), bar)


def long(options: argparse.Namespace) -> None:
    frontier(options, law_of(options, 1, 1024, "all"), Bar("long", SIX, (8, 16, 32, 64), 240, 0.01))


def second(options: argparse.Namespace) -> None:
    frontier(options, law_of(options, 2, 256, "letters"), Bar("second", SIX, (8, 16, 32, 64), 600, 0.01))


def plain_replay(law: Any, x: np.ndarray, calls: int) -> float:
    """ln q(x) of one sequence under the confidence order with equal sizes, as one writes it first."""
    sites, symbols = law.sites, law.symbols
    conditionals = plain_first_order(law) if law.markov_order == 1 else plain_second_order(law)
    shown, total = np.full(sites, symbols), 0.0
    for step in range(calls):
        count = sites * (step + 1) // calls - sites * step // calls
        laws = conditionals(shown)
        score = np.where(shown == symbols, np.round(laws.max(axis=1), 12), -1.0)
        chosen = np.argsort(-score, kind="stable")[:count]
        total += float(np.log(laws[chosen, x[chosen]]).sum())
        shown[chosen] = x[chosen]
    return total


def plain_first_order(law: Any) -> Callable[[np.ndarray], np.ndarray]:
    """p(x_i | x_A) in proportion to A^(i-l)(x_l, .) A^(r-i)(., x_r), powers made once a law."""
    if not hasattr(law, "plain_powers"):
        powers = [np.eye(law.symbols)]
        for _ in range(law.sites):
            powers.append(powers[-1] @ law.transition)
        law.plain_powers = np.stack(powers)
    powers, start = law.plain_powers, law.stationary

    def conditionals(shown: np.ndarray) -> np.ndarray:
        laws, known = np.empty((law.sites, law.symbols)), np.flatnonzero(shown < law.symbols)
        for i in range(law.sites):
            place = int(np.searchsorted(known, i))
            weights = powers[i - known[place - 1], shown[known[place - 1]]] if place > 0 else start
            if place < len(known):
                weights = weights * powers[known[place] - i][:, shown[known[place]]]
            laws[i] = weights / weights.sum()
        return laws

    return conditionals


def plain_second_order(law: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Forward-backward over pairs of symbols."""
    q = law.symbols
    steps = law.transition.reshape(q, q, q)

    def conditionals(shown: np.ndarray) -> np.ndarray:
        allowed = np.ones((law.sites, q))
        for site in np.flatnonzero(shown < q):
            allowed[site] = np.arange(q) == shown[site]
        forward = [law.stationary.reshape(q, q) * allowed[0][:, None] * allowed[1]]
        for i in range(2, law.sites):
            mass = np.einsum("ab,abc->bc", forward[-1], steps) * allowed[i]
            forward.append(mass / mass.sum())
        backward = np.ones((q, q))
        laws = np.empty((law.sites, q))
        for i in range(law.sites - 1, 0, -1):
            joint = forward[i - 1] * backward
            # The site's own token is no evidence for itself: only masked sites are read.
            laws[i] = joint.sum(axis=0)
            if i == 1:
                laws[0] = joint.sum(axis=1)
            else:
                backward = np.einsum("abc,bc->ab", steps, backward * allowed[i])
                backward /= backward.max()
        return laws / laws.sum(axis=1, keepdims=True)

    return conditionals


def sizes(options: argparse.Namespace) -> None:
    from theory.decoding.optimal import optimal_sizes
    from theory.decoding.stationary_chain import information_curve

    law = law_of(options, 1, 1024, "letters")
    curve = information_curve(law)
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = optimal_sizes(curve).errors

    def peer() -> None:
        count = np.arange(law.sites + 1)
        cost = (count[None] - count[:-1, None]) * np.diff(curve)[:, None] - (curve[None] - curve[:-1, None])
        cost[count[None] <= count[:-1, None]] = np.inf
        best = np.where(count == 0, 0.0, np.inf)
        errors = []
        for _ in range(peer_steps):
            best = np.append(np.inf, (best[:-1, None] + cost).min(axis=0)[1:])
            errors.append(best[-1])
        found["peer"] = np.array(errors)

    peer_steps = 64
    mine, theirs, ratio = paired(ours, peer, options.turns)
    apart = float(np.abs(found["ours"][:peer_steps] - found["peer"]).max())
    wall = timed(ours)[0].wall
    print(
        f"sizes     all {law.sites} numbers of calls: {wall:.2f} s (bar 10), {mine:.2f} processor s; prototype "
        f"{theirs * law.sites / peer_steps:.1f} s (from {peer_steps} of them), ratio "
        f"{ratio * law.sites / peer_steps:.0f}; errors differ by {apart:.1g} nats"
    )


def schedule(options: argparse.Namespace) -> None:
    from theory.decoding.stationary_chain import least_costs

    law, small = law_of(options, 1, 256, "letters"), law_of(options, 1, 48, "letters")
    calls, peer_calls = 32, 4
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = least_costs(small, peer_calls)

    def peer() -> None:
        found["peer"] = plain_gaps(small, peer_calls)

    _, theirs, ratio = paired(ours, peer, options.turns)
    took = timed(lambda: least_costs(law, calls))[0]
    apart = float(np.abs(found["ours"] - found["peer"]).max())
    print(
        f"schedule  up to {calls} calls, N = {law.sites}: {took.wall:.2f} s (bar 2), {took.processor:.2f} processor s; "
        f"N = {small.sites}, {peer_calls} calls: prototype {theirs:.2f} s, ratio {ratio:.0f}; costs differ by "
        f"{apart:.1g} nats"
    )


def plain_gaps(law: Any, calls: int) -> np.ndarray:
    """min KL(p || q_S) over schedules of t = 1..T steps by the recursion over gaps, as one writes it first."""
    single = law.first_entropy
    h = np.append(law.gap_entropies, single)
    values = np.zeros((3, law.sites + 1))
    values[:, 1:] = np.inf
    found = []
    for _ in range(calls):
        following = np.zeros_like(values)
        for ends in range(3):
            for g in range(1, law.sites + 1):
                whole = h[g + 1] if ends == 2 else single
                best = values[ends, g]
                reached = np.full(g + 1, np.inf)
                for j in range(1, g + 1):
                    left, right = h[j] if ends else single, h[g + 1 - j] if ends == 2 else single
                    earlier = np.arange(1, j)
                    options = reached[earlier] + values[2, j - earlier - 1] - h[j - earlier]
                    first = values[2 if ends else 1, j - 1] - left
                    reached[j] = min(first, options.min(initial=np.inf)) + left + right - whole
                    closing = whole - right if ends == 2 else 0.0
                    best = min(best, reached[j] + values[2 if ends == 2 else 1, g - j] + closing)
                following[ends, g] = max(best, 0.0)
        values = following
        found.append(values[0, law.sites])
    return np.array(found)


if __name__ == "__main__":
    main()
