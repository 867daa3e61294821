"""What rules that keep the best drawn candidates (LLaDA, MaskGIT, Dream) do, at length.

A candidate x^_i ~ w_i is drawn at every hidden site, and the n of highest key key_i(x^_i) are kept, ties to the lower
site. Keys are independent across sites, so with theta the least key in S and G_j(theta) = P(key_j < theta),
    P(S, x_S | A) = prod_{i in S} w_i(x_i) prod_{j hidden, not in S} G_j(theta),
    Z_A(x) = sum_S P(S, x_S | A), by the coefficients of a polynomial in O(m^2 n).
A sequence x has many paths (the sets kept in each step), so that q(x) is a sum over paths:

    exact       in a window of at most `WIDEST` sites, by a recursion over the subsets revealed; windows factorise,
                since each ends with all its tokens revealed. Any N, for blocks of at most 12 sites
    weighted    K paths drawn with probability P(S, x_S | A)/Z_A(x) a step: the mean q^ of prod Z over them is unbiased
                for q(x), so E[ln p - ln q^] >= KL(p || q) for x ~ p. For x ~ q with the path that made it among the
                K, 1/q^ has the mean 1/q(x), so E[ln q^ - ln p] >= KL(q || p). Bounds from above: q^ has heavy tails,
                and an interval of q(x) itself would be worth nothing

Gumbel noise on the keys and ties broken at random do not look at tokens: given the *luck* of a step, the noise of each
site and a random ranking of the sites, the rule is one without, with keys key_i + noise_i. So q(x) is the mean over the
luck of all steps of such sums, which has no closed form: a path carries its luck, and the sums are *weighted* ones. In
wide windows the luck of a step is drawn before its set; in narrow ones all sets are summed for each of K draws.

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
from theory.decoding.rule import Predictor, Rule, Setting, Window, windows
from theory.decoding.token_laws import TIE_DECIMALS
from theory.errors import InvalidInput
from theory.laws.length import draw

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


@dataclass(frozen=True, eq=False)
class Luck:
    """What decides beside the tokens: noise that is added to the keys, and which of equal sites comes first, [B, m]."""

    noise: Array
    rank: Tokens

    @staticmethod
    def draw(rule: RankedRule, window: Window, rows: int, generator: np.random.Generator) -> Luck:
        """That of one step in some rows; noise 0 and the order of the sites for a rule without."""
        shape = (rows, window.stop - window.start)
        scale = rule.noise(window.setting, window.step)
        noise = scale * generator.gumbel(size=shape) if scale > 0 else np.zeros(shape)
        order = np.broadcast_to(np.arange(shape[1]), shape)
        return Luck(noise, generator.permuted(order, axis=1) if rule.ties == "random" else np.array(order))

    def row(self, row: int, count: int) -> Luck:
        """That of one row, for ``count`` rows."""
        return Luck(np.tile(self.noise[row], (count, 1)), np.tile(self.rank[row], (count, 1)))


def has_luck(rule: Rule, setting: Setting) -> bool:
    """Whether noise or random ties decide which candidates are kept."""
    assert isinstance(rule, RankedRule)
    return rule.ties != "first" or any(rule.noise(window.setting, window.step) > 0 for window in windows(rule, setting))


def keeps_candidates(rule: Rule, setting: Setting) -> bool:
    """Whether the rule keeps a set number of the best drawn candidates."""
    if not isinstance(rule, RankedRule) or type(rule).step is not RankedRule.step:
        return False
    return rule.looks_at == "drawn" and rule.reads_calls


def path_sums(
    model: Predictor,
    rule: Rule,
    setting: Setting,
    sequences: Tokens | int,
    generator: np.random.Generator,
    paths: int = 8,
) -> PathSums:
    """ln q(x) of given sequences, or of new ones; exact where windows are narrow and there is no luck, else weighted.

    Args:
        model: the network.
        rule: one that `keeps_candidates` allows.
        setting: as the rule is asked.
        sequences: x, [B, N], or the number of sequences to draw from the decoder; then the path that made each, with
            its luck, is one of the K.
        generator: of the paths.
        paths: K.

    Raises:
        InvalidInput: another rule, or fewer than one path.
    """
    if not keeps_candidates(rule, setting):
        raise InvalidInput("decoder", rule.name, "a rule that keeps a set number of the best candidates is needed")
    if paths < 1:
        raise InvalidInput("paths", paths, "at least 1 is needed")
    assert isinstance(rule, RankedRule)
    plan = windows(rule, setting)
    lucky = has_luck(rule, setting)
    rows = sequences if isinstance(sequences, int) else len(sequences)
    made: list[tuple[Flags, Luck]] | None = None
    if isinstance(sequences, int):
        sequences, made = _drawn(model, rule, setting, rows, generator)
    total, exact, step = np.zeros(rows), True, 0
    for steps in (list(group) for _, group in groupby(plan, key=lambda window: window.start)):
        narrow = steps[0].stop - steps[0].start <= WIDEST
        exact = exact and narrow and not lucky
        count = 1 if narrow and not lucky else paths
        weights = np.empty((count, rows))
        for path in range(count):
            luck = [Luck.draw(rule, window, rows, generator) for window in steps]
            forced = None
            if made is not None and path == 0:
                forced = [kept for kept, _ in made[step : step + len(steps)]]
                luck = [drawn for _, drawn in made[step : step + len(steps)]]
            if narrow:
                sums = [_subset_sum(model, rule, setting, steps, x, luck, row) for row, x in enumerate(sequences)]
                weights[path] = sums
            else:
                weights[path] = _one_path(model, rule, setting, steps, sequences, generator, luck, forced)
        total += logsumexp(weights, axis=0) - np.log(count)
        step += len(steps)
    return PathSums(sequences, total, exact, np.full(rows, float(len(plan))))


def _drawn(
    model: Predictor, rule: RankedRule, setting: Setting, rows: int, generator: np.random.Generator
) -> tuple[Tokens, list[tuple[Flags, Luck]]]:
    """Sequences of the decoder, and for each step the sites that it kept, [B, m], and its luck."""
    shown, made = rule.start(setting, rows).tokens, []
    for window in windows(rule, setting):
        part = slice(window.start, window.stop)
        luck = Luck.draw(rule, window, rows, generator)
        predicted, hidden = model.predict(shown)[:, part], shown[:, part] == setting.symbols
        tokens = draw(rule.step_laws(window.setting, window.step, predicted), generator)
        keys = np.take_along_axis(rule.keys(window.setting, window.step, predicted), tokens[:, :, None], axis=2)
        score = np.where(hidden, np.round(keys[:, :, 0], TIE_DECIMALS) + luck.noise, -np.inf)
        place = np.argsort(np.lexsort((luck.rank, -score), axis=1), axis=1)
        kept = place < rule.counts(window.setting, window.step, np.where(hidden, 0.0, -np.inf))[:, None]
        shown[:, part][kept] = tokens[kept]
        made.append((kept, luck))
    return shown, made


def _prepared(
    model: Predictor, rule: RankedRule, setting: Setting, window: Window, shown: Tokens, x: Tokens, luck: Luck
) -> tuple[Any, ...]:
    """What a step looks at: hidden sites, keys of x, w(x), P(candidate worse), n; arrays over the window's sites."""
    from theory.decoding.candidate_kernels import beats

    part = slice(window.start, window.stop)
    predicted = model.predict(shown)[:, part]
    hidden = np.ascontiguousarray(shown[:, part] == setting.symbols)
    keys = np.round(rule.keys(window.setting, window.step, predicted), TIE_DECIMALS) + luck.noise[:, :, None]
    laws = np.ascontiguousarray(rule.step_laws(window.setting, window.step, predicted))
    index = x[:, part, None]
    own = np.take_along_axis(keys, index, axis=2)[:, :, 0]
    chance = np.take_along_axis(laws, index, axis=2)[:, :, 0]
    below = np.zeros((*own.shape, own.shape[1]))
    beats(hidden, own, keys, laws, luck.rank, below)
    counts = rule.counts(window.setting, window.step, np.where(hidden, 0.0, -np.inf))
    return hidden, own, chance, below, counts


def _one_path(
    model: Predictor,
    rule: RankedRule,
    setting: Setting,
    steps: list[Window],
    x: Tokens,
    generator: np.random.Generator,
    luck: list[Luck],
    forced: list[Flags] | None,
) -> Array:
    """ln prod Z along one path of each row through a window, [B]; given its luck the path is drawn, or forced."""
    from theory.decoding.candidate_kernels import draw_kept

    start, stop = steps[0].start, steps[0].stop
    shown = x.copy()
    shown[:, start:] = setting.symbols
    total = np.zeros(len(x))
    for number, window in enumerate(steps):
        hidden, own, chance, below, counts = _prepared(model, rule, setting, window, shown, x, luck[number])
        if not counts.any():  # a step that keeps nothing: a call that is wasted
            continue
        logs, chosen = np.empty(len(x)), np.empty(own.shape, dtype=bool)
        uniform = generator.random((len(x), own.shape[1] + 1))
        draw_kept(hidden, own, chance, below, luck[number].rank, counts, uniform, logs, chosen)
        total += logs
        if forced is not None:
            chosen = forced[number]
        shown[:, start:stop][chosen] = x[:, start:stop][chosen]
    return total


def _subset_sum(
    model: Predictor, rule: RankedRule, setting: Setting, steps: list[Window], x: Tokens, luck: list[Luck], row: int
) -> float:
    """ln of the sum over all paths of one sequence through a window, given the luck of its row."""
    start, stop = steps[0].start, steps[0].stop
    width = stop - start
    layer = {0: 0.0}
    for number, window in enumerate(steps):
        revealed = np.array(list(layer))
        flags = (revealed[:, None] >> np.arange(width)) & 1 == 1
        shown = np.tile(x, (len(revealed), 1))
        shown[:, start:] = np.where(np.pad(flags, ((0, 0), (0, len(x) - stop))), shown[:, start:], setting.symbols)
        own_luck = luck[number].row(row, len(revealed))
        hidden, own, chance, below, counts = _prepared(
            model, rule, setting, window, shown, np.broadcast_to(x, shown.shape), own_luck
        )
        following: dict[int, float] = {}
        for place, mask in enumerate(layer):
            ranks = luck[number].rank[row]
            for kept, probability in _kept_sets(
                hidden[place], own[place], chance[place], below[place], ranks, int(counts[place])
            ):
                if probability > 0:
                    gained = layer[mask] + float(np.log(probability))
                    following[mask | kept] = float(np.logaddexp(following.get(mask | kept, -np.inf), gained))
        if not following:
            return -np.inf
        layer = following
    return layer.get((1 << width) - 1, -np.inf)


def _kept_sets(
    hidden: Flags, own: Array, chance: Array, below: Array, rank: Tokens, count: int
) -> Iterator[tuple[int, float]]:
    """P(S, x_S | A) for every set of ``count`` hidden sites, as bitmasks."""
    sites = np.flatnonzero(hidden).tolist()
    if count == 0:
        yield 0, 1.0
        return
    for kept in combinations(sites, count):
        worst = min(kept, key=lambda site: (own[site], -rank[site]))
        others = [site for site in sites if site not in kept]
        yield sum(1 << site for site in kept), float(chance[list(kept)].prod() * below[worst, others].prod())
