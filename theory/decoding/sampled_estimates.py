"""What samples alone say about a decoder's output law q at real length, where q(x) cannot be computed.

For remasking rules and rules that look at drawn tokens no path gives q(x). Of x ~ q and a known law p there remain

    lower bound   KL(q || p) >= E_q[ln m(x) - ln p(x)] for every normalised m, because KL(q || m) >= 0
    excess        E_q[-ln p(x)] - H(p): how unlikely the output is under p; no divergence, and 0 does not mean q = p.
                  A plain mean, which needs no function here
    windows       sum_a (q_w(a) - p_w(a))^2 over the tokens a of a window w of neighbouring sites, mean over all windows

The family of m mixes, token by token, the truth's own conditional with counts of the output:
m(x) = prod_i [(1 - v) p(x_i | x_{<i}) + v c(x_i | the r sites before)], sites in the order of the truth's sweep. It is
normalised because every factor is, and holds p itself (v = 0). The counts c come from a first part of the samples, r
and v are chosen on a second, and the bound is the mean over a third: with r and v fixed it is unbiased for its own m,
so that its lower confidence limit is one for KL(q || p).

The distance of windows is estimated by a two-sample U-statistic with the kernel "two sequences agree on a window",
x ~ q against y ~ p: unbiased, and near 0 it may be negative.

Legend: ``B`` sequences, ``N`` sites, ``q`` symbols, ``w`` sites of a window, ``W = N - w + 1`` windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from theory.errors import InvalidInput
from theory.laws.length import SequenceLaw
from theory.memory import require_memory

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

ORDERS = (0, 1, 2)
"""Numbers r of earlier sites that the counts look at."""

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Weights v of the counts."""

BACK_OFF = 5.0
"""Observations that the counts of one earlier site less are worth."""

MOST_CELLS = 2**22
"""Counts of more cells are not among the candidates."""

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Estimate:
    """A number from samples.

    Attributes:
        value: the estimate, in nats or, for windows, a squared distance.
        kind: what it is an estimate of: the quantity (unbiased) or a number below it (lower).
        low, high: limits that hold with the given confidence; ``high`` is inf for a lower bound.
    """

    value: float
    kind: Literal["unbiased", "lower"]
    low: float
    high: float


def reverse_divergence_bound(truth: SequenceLaw, sequences: Tokens, confidence: float = 0.95) -> Estimate:
    """A lower bound of KL(q || p) in nats from x ~ q, with its lower confidence limit (one-sided, normal).

    Infinite where a sequence of probability zero came out: then KL(q || p) is.

    Args:
        truth: p.
        sequences: [B, N], independent draws from q.
        confidence: of the limit.

    Raises:
        InvalidInput: fewer than 12 sequences, or a confidence outside (0, 1).
    """
    rows = truth.check(sequences)
    if len(rows) < 12:
        raise InvalidInput("sequences", len(rows), "at least 12 are needed: to count, to choose and to measure")
    given = _in_order(truth, rows)
    if (given == 0).any():
        return Estimate(np.inf, "lower", np.inf, np.inf)
    rows = rows[:, truth.order]
    counting, choosing = len(rows) // 2, len(rows) // 4
    best, best_mean = np.zeros(len(rows) - counting - choosing), 0.0
    for order in ORDERS:
        if (truth.symbols + 1) ** order * truth.symbols > MOST_CELLS or order >= truth.sites:
            break
        counted = _counted(rows[:counting], rows[counting:], truth.symbols, order)
        for weight in WEIGHTS[1:]:
            gains = np.log((1 - weight) + weight * counted / given[counting:]).sum(axis=1)
            mean = float(gains[:choosing].mean())
            if mean > best_mean:
                best, best_mean = gains[choosing:], mean
    error = float(best.std(ddof=1) / np.sqrt(len(best)))
    value = float(best.mean())
    return Estimate(value, "lower", value - _normal(confidence) * error, np.inf)


def window_distance(
    sequences: Tokens, reference: Tokens, symbols: int, width: int, confidence: float = 0.95
) -> Estimate:
    """Mean over windows of sum_a (q_w(a) - p_w(a))^2, unbiased, with a two-sided normal interval.

    The variance is that of Hoeffding's decomposition to second order, so that the interval does not collapse where
    q = p and the first order vanishes.

    Args:
        sequences, reference: independent draws from q [B, N] and from p [B', N], at least 4 of each.
        symbols: q.
        width: w.
        confidence: of the interval.

    Raises:
        InvalidInput: a width outside 1..N, too few sequences, or different lengths.
        ExceedsMemory: the counts of all windows do not fit.
    """
    sites = sequences.shape[1]
    if reference.shape[1] != sites:
        raise InvalidInput("reference", f"{reference.shape[1]} sites", f"{sites} are needed, as the sequences have")
    if not 1 <= width <= sites:
        raise InvalidInput("width", width, f"must lie in 1..{sites}")
    if min(len(sequences), len(reference)) < 4:
        raise InvalidInput("sequences", min(len(sequences), len(reference)), "at least 4 of each are needed")
    windows, cells = sites - width + 1, symbols**width
    require_memory(16.0 * windows * cells, "width", width, f"the counts of {cells} words at {windows} places")
    x, y = (_windows(rows, symbols, width) for rows in (sequences, reference))
    place = np.arange(windows)
    count_x, count_y = (_table(codes, cells) for codes in (x, y))
    n, m = len(x), len(y)
    # Agreement of each sequence with the others of its own kind and with those of the other kind, mean over windows.
    own_x = (count_x[place, x] - 1).mean(axis=1) / (n - 1)
    own_y = (count_y[place, y] - 1).mean(axis=1) / (m - 1)
    cross_x, cross_y = count_y[place, x].mean(axis=1) / m, count_x[place, y].mean(axis=1) / n
    value = float(own_x.mean() + own_y.mean() - 2 * cross_x.mean())
    first = 4 * ((own_x - cross_x).var(ddof=1) / n + (own_y - cross_y).var(ddof=1) / m)
    second = 2 * _pair_variance(x) / n**2 + 2 * _pair_variance(y) / m**2 + 4 * _pair_variance(x, y) / (n * m)
    spread = _normal((1 + confidence) / 2) * float(np.sqrt(first + second))
    return Estimate(value, "unbiased", value - spread, value + spread)


def _normal(confidence: float) -> float:
    """The standard normal quantile.

    Raises:
        InvalidInput: a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InvalidInput("confidence", confidence, "must lie in (0, 1)")
    return float(ndtri(confidence))


def _in_order(truth: SequenceLaw, rows: Tokens) -> Array:
    """p(x_i | the sites before i in the truth's order), in that order, [B, N]."""
    result = np.empty(rows.shape)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[first : first + ROWS_AT_ONCE]
        laws = truth.sweep(np.full_like(some, truth.symbols), some)
        result[first : first + ROWS_AT_ONCE] = np.take_along_axis(laws, some[..., None], axis=2)[..., 0]
    return result[:, truth.order]


def _counted(counting: Tokens, rows: Tokens, symbols: int, order: int) -> Array:
    """c(x_i | the ``order`` sites before) of rows [B, N], from the counts of other rows, [B, N]."""
    result = np.full(rows.shape, 1 / symbols)
    for depth in range(order + 1):
        cells = (symbols + 1) ** depth
        there, here = _contexts(counting, symbols, depth), _contexts(rows, symbols, depth)
        seen = np.bincount(there.ravel(), minlength=cells)[here]
        hits = np.bincount((there * symbols + counting).ravel(), minlength=cells * symbols)[here * symbols + rows]
        result = (hits + BACK_OFF * result) / (seen + BACK_OFF)
    return result


def _contexts(rows: Tokens, symbols: int, depth: int) -> Tokens:
    """Numbers of the ``depth`` tokens before each site, the symbol q before the first, [B, N]."""
    padded = np.concatenate([np.full((len(rows), depth), symbols, dtype=np.int64), rows], axis=1)
    context = np.zeros_like(rows)
    for back in range(depth, 0, -1):
        context = context * (symbols + 1) + padded[:, depth - back : padded.shape[1] - back]
    return context


def _windows(rows: Tokens, symbols: int, width: int) -> Tokens:
    """Numbers of the words in all windows, [B, W]."""
    code = np.zeros((len(rows), rows.shape[1] - width + 1), dtype=np.int64)
    for offset in range(width):
        code = code * symbols + rows[:, offset : offset + code.shape[1]]
    return code


def _table(codes: Tokens, cells: int) -> Tokens:
    """How often each word occurs in each window, [W, cells]."""
    windows = codes.shape[1]
    return np.bincount((codes + np.arange(windows) * cells).ravel(), minlength=windows * cells).reshape(windows, cells)


def _pair_variance(x: Tokens, y: Tokens | None = None, shifts: int = 8) -> float:
    """Variance of the share of windows on which two sequences agree, over some pairs of each sequence."""
    other = x if y is None else y
    size = min(len(x), len(other))
    agree = [
        (x[:size] == np.roll(other[:size], shift, axis=0)).mean(axis=1) for shift in range(1, min(shifts, size - 1) + 1)
    ]
    return float(np.concatenate(agree).var())
