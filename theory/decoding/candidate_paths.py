"""What rules that keep the best drawn candidates (LLaDA, MaskGIT, Dream) do, at length.

A candidate x^_i ~ w_i is drawn at every hidden site, and the n of highest key (key_i(x^_i), ties to the lower site) are
kept. Keys are independent across sites, so with theta the least key in S and G_j(theta) = P(key_j < theta),
    P(S, x_S | A) = prod_{i in S} w_i(x_i) prod_{j hidden, not in S} G_j(theta),
    Z_A(x) = sum_S P(S, x_S | A), by the coefficients of a polynomial in O(m^2 n).
A sequence x has many paths (the sets kept in each step), so that q(x) is a sum over paths:

    exact       in a window of at most `WIDEST` sites, by a recursion over the subsets revealed; windows factorise,
                since each ends with all its tokens revealed. Any N, for blocks of at most 12 sites
    weighted    K paths drawn with probability P(S, x_S | A)/Z_A(x) a step: the mean q^ of prod Z over them is unbiased
                for q(x), so E[ln p - ln q^] >= KL(p || q) for x ~ p. For x ~ q with the path that made it among the
                K, 1/q^ has the mean 1/q(x), so E[ln q^ - ln p] >= KL(q || p). Bounds from above: q^ has heavy tails,
                and an interval of q(x) itself would be worth nothing

Legend: ``B`` rows, ``N`` sites, ``m`` sites of the window, ``q`` symbols, ``n`` sites kept, ``K`` paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from theory.decoding.ranking import RankedRule
from theory.decoding.rule import Predictor, Rule, Setting, State, Window, windows
from theory.decoding.token_laws import TIE_DECIMALS
from theory.errors import InvalidInput

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Tokens = NDArray[np.int64]

WIDEST = 12
"""Sites of a window whose 2^m subsets are summed over."""


@dataclass(frozen=True, eq=False)
class PathSums:
    """ln q(x), or of an estimate of it.

    Attributes:
        sequences: [B, N], those given, or drawn by the decoder.
        log_probability: [B] in nats.
        exact: whether it is ln q(x) itself.
        calls: [B] calls along the path, which are the same for all.
    """

    sequences: Tokens
    log_probability: Array
    exact: bool
    calls: Array


def keeps_candidates(rule: Rule, setting: Setting) -> bool:
    """Whether the rule keeps a set number of the best drawn candidates, without noise and with ties to the first."""
    if not isinstance(rule, RankedRule) or type(rule).step is not RankedRule.step:
        return False
    if rule.looks_at != "drawn" or rule.ties != "first" or not rule.reads_calls:
        return False
    return all(rule.noise(window.setting, window.step) == 0 for window in windows(rule, setting))


def path_sums(
    model: Predictor,
    rule: Rule,
    setting: Setting,
    sequences: Tokens | int,
    generator: np.random.Generator,
    paths: int = 8,
) -> PathSums:
    """ln q(x) of given sequences, or of new ones; exact where the windows are narrow, else by weighted paths.

    Args:
        model: the network.
        rule: one that `keeps_candidates` allows.
        setting: as the rule is asked.
        sequences: x, [B, N], or the number of sequences to draw from the decoder; then the path that made each is one
            of the K.
        generator: of the paths.
        paths: K.

    Raises:
        InvalidInput: another rule, or fewer than one path.
    """
    if not keeps_candidates(rule, setting):
        raise InvalidInput("decoder", rule.name, "a rule that keeps the best candidates, without noise, is needed")
    if paths < 1:
        raise InvalidInput("paths", paths, "at least 1 is needed")
    assert isinstance(rule, RankedRule)
    plan = windows(rule, setting)
    grouped = [list(group) for _, group in groupby(plan, key=lambda window: window.start)]
    exact = all(steps[0].stop - steps[0].start <= WIDEST for steps in grouped)
    rows = sequences if isinstance(sequences, int) else len(sequences)
    made: list[Flags] | None = None
    if isinstance(sequences, int):
        sequences, made = _drawn(model, rule, setting, rows, generator)
    total = np.zeros(rows)
    step = 0
    for steps in grouped:
        if exact:
            total += np.array([_subset_sum(model, rule, setting, steps, x) for x in sequences])
        else:
            weights = np.empty((paths, rows))
            for path in range(paths):
                forced = made[step : step + len(steps)] if made is not None and path == 0 else None
                weights[path] = _one_path(model, rule, setting, steps, sequences, generator, forced)
            total += logsumexp(weights, axis=0) - np.log(paths)
        step += len(steps)
    return PathSums(sequences, total, exact, np.full(rows, float(len(plan))))


def _drawn(
    model: Predictor, rule: RankedRule, setting: Setting, rows: int, generator: np.random.Generator
) -> tuple[Tokens, list[Flags]]:
    """Sequences of the decoder, and the sites that each step kept, [B, N] a step."""
    state, kept = rule.start(setting, rows), []
    for step in range(rule.steps(setting)):
        before = state.tokens
        state, _ = rule.advance(setting, step, State(before), model, generator)
        kept.append((before == setting.symbols) & (state.tokens != setting.symbols))
    return state.tokens, kept


def _prepared(
    model: Predictor, rule: RankedRule, setting: Setting, window: Window, shown: Tokens, x: Tokens
) -> tuple[Any, ...]:
    """What a step looks at: hidden sites, keys of x, w(x), P(candidate worse), n; arrays over the window's sites."""
    from theory.decoding.candidate_kernels import beats

    part = slice(window.start, window.stop)
    predicted = model.predict(shown)[:, part]
    hidden = np.ascontiguousarray(shown[:, part] == setting.symbols)
    keys = np.round(rule.keys(window.setting, window.step, predicted), TIE_DECIMALS)
    laws = np.ascontiguousarray(rule.step_laws(window.setting, window.step, predicted))
    index = x[:, part, None]
    own = np.take_along_axis(keys, index, axis=2)[:, :, 0]
    chance = np.take_along_axis(laws, index, axis=2)[:, :, 0]
    below = np.zeros((*own.shape, own.shape[1]))
    beats(hidden, own, keys, laws, below)
    counts = rule.counts(window.setting, window.step, np.where(hidden, 0.0, -np.inf))
    return hidden, own, chance, below, counts


def _one_path(
    model: Predictor,
    rule: RankedRule,
    setting: Setting,
    steps: list[Window],
    x: Tokens,
    generator: np.random.Generator,
    forced: list[Flags] | None,
) -> Array:
    """ln prod Z along one path of each row through a window, [B]; the path is drawn, or forced."""
    from theory.decoding.candidate_kernels import draw_kept

    start, stop = steps[0].start, steps[0].stop
    shown = x.copy()
    shown[:, start:] = setting.symbols
    total = np.zeros(len(x))
    for number, window in enumerate(steps):
        hidden, own, chance, below, counts = _prepared(model, rule, setting, window, shown, x)
        if not counts.any():  # a step that keeps nothing: a call that is wasted
            continue
        logs, chosen = np.empty(len(x)), np.empty(own.shape, dtype=bool)
        uniform = generator.random((len(x), own.shape[1] + 1))
        draw_kept(hidden, own, chance, below, counts, uniform, logs, chosen)
        total += logs
        if forced is not None:
            chosen = forced[number][:, start:stop]
        shown[:, start:stop][chosen] = x[:, start:stop][chosen]
    return total


def _subset_sum(model: Predictor, rule: RankedRule, setting: Setting, steps: list[Window], x: Tokens) -> float:
    """ln of the sum over all paths of one sequence through a window."""
    start, stop = steps[0].start, steps[0].stop
    width = stop - start
    layer = {0: 0.0}
    for window in steps:
        revealed = np.array(list(layer))
        flags = (revealed[:, None] >> np.arange(width)) & 1 == 1
        shown = np.tile(x, (len(revealed), 1))
        shown[:, start:] = np.where(np.pad(flags, ((0, 0), (0, len(x) - stop))), shown[:, start:], setting.symbols)
        hidden, own, chance, below, counts = _prepared(
            model, rule, setting, window, shown, np.broadcast_to(x, shown.shape)
        )
        following: dict[int, float] = {}
        for row, mask in enumerate(layer):
            for kept, probability in _kept_sets(hidden[row], own[row], chance[row], below[row], int(counts[row])):
                if probability > 0:
                    gained = layer[mask] + float(np.log(probability))
                    following[mask | kept] = float(np.logaddexp(following.get(mask | kept, -np.inf), gained))
        if not following:
            return -np.inf
        layer = following
    return layer.get((1 << width) - 1, -np.inf)


def _kept_sets(hidden: Flags, own: Array, chance: Array, below: Array, count: int) -> Iterator[tuple[int, float]]:
    """P(S, x_S | A) for every set of ``count`` hidden sites, as bitmasks."""
    sites = np.flatnonzero(hidden).tolist()
    if count == 0:
        yield 0, 1.0
        return
    for kept in combinations(sites, count):
        worst = min(kept, key=lambda site: (own[site], -site))
        others = [site for site in sites if site not in kept]
        yield sum(1 << site for site in kept), float(chance[list(kept)].prod() * below[worst, others].prod())
