"""Compiled sweeps of Markov chains at length; see `theory.laws.length.law` for what a sweep is.

Legend: ``B`` rows, ``N`` sites, ``q`` symbols (MASK is q), ``r`` order of a Markov chain, ``S = q**r`` contexts,
``D`` stored powers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def normalise(values: Any) -> None:
    """Scale to sum 1; the uniform law where the sum is 0."""
    total = 0.0
    for a in range(values.size):
        total += values[a]
    for a in range(values.size):
        values[a] = values[a] / total if total > 0.0 else 1.0 / values.size


@compiled
def one_hot(values: Any, token: int) -> None:
    values[:] = 0.0
    values[token] = 1.0


@compiled
def first_order(
    before: Any, after: Any, powers: Any, transposed: Any, stationary: Any, keys: Any, laws: Any, changed: Any
) -> None:
    """p(x_i = a | nearest revealed l < i < r) in proportion to A^(i-l)(x_l, a) A^(r-i)(a, x_r).

    Args:
        before, after: [B, N].
        powers, transposed: [D + 1, q, q], A^d and its transpose; from D on a power is taken for the stationary law.
        stationary: [q].
        keys: [B, N, 2], read and written: what the law at a site was computed from (-1: nothing yet).
        laws: [B, N, q], written where the key has changed.
        changed: [B, N], written.
    """
    rows, sites = before.shape
    q = stationary.size
    last = powers.shape[0] - 1
    right = np.empty(sites, dtype=np.int64)
    for row in range(rows):
        nearest = -1
        for i in range(sites - 1, -1, -1):
            right[i] = nearest
            if before[row, i] < q:
                nearest = i
        nearest = -1
        for i in range(sites):
            token = before[row, i]
            if token < q:
                left_key, right_key = -2, token
            else:
                left_key, right_key = 0, 0
                if nearest >= 0 and i - nearest < last:
                    left_key = 1 + (i - nearest) * q + after[row, nearest]
                if right[i] >= 0 and right[i] - i < last:
                    right_key = 1 + (right[i] - i) * q + before[row, right[i]]
            changed[row, i] = keys[row, i, 0] != left_key or keys[row, i, 1] != right_key
            if changed[row, i]:
                keys[row, i, 0], keys[row, i, 1] = left_key, right_key
                if token < q:
                    one_hot(laws[row, i], token)
                else:
                    if left_key == 0:
                        laws[row, i] = stationary
                    else:
                        laws[row, i] = powers[i - nearest, after[row, nearest]]
                    if right_key > 0:
                        factor = transposed[right[i] - i, before[row, right[i]]]
                        for a in range(q):
                            laws[row, i, a] *= factor[a]
                    normalise(laws[row, i])
            if after[row, i] < q:
                nearest = i


@compiled
def first_order_divergence(
    before: Any,
    chosen: Any,
    laws: Any,
    forward: bool,
    powers: Any,
    transposed: Any,
    logs: Any,
    stationary: Any,
    divergences: Any,
) -> None:
    """KL between p(x_D | x_A) and prod_{i in D} w_i, exactly; see `SequenceLaw.block_divergence`.

    With d_1 < ... < d_m the sites of D in a gap (l, r), f = A^(d_1 - l)(x_l, .) and b = A^(r - d_m)(., x_r),
        ln p(x_D | x_A) = ln f(x_1) + sum_k ln A^(d_k - d_{k-1})(x_{k-1}, x_k) + ln b(x_m) - ln A^(r - l)(x_l, x_r),
    and its mean needs the laws of single sites and of neighbours only, O(|D| q^2).

    Args:
        before, chosen: [B, N].
        laws: w, [M, q] for the chosen sites, row by row.
        forward: the mean under p of ln p - ln w, else the mean under w of ln w - ln p.
        powers, transposed, logs: [D + 1, q, q], A^d, its transpose and its logarithm.
        stationary: [q].
        divergences: [B], written.
    """
    rows, sites = before.shape
    q = stationary.size
    last = powers.shape[0] - 1
    right = np.empty(sites, dtype=np.int64)
    onward, mean, ahead = np.empty(q), np.empty(q), np.empty(q)
    start = np.log(stationary)
    number = 0
    for row in range(rows):
        nearest = -1
        for i in range(sites - 1, -1, -1):
            right[i] = nearest
            if before[row, i] < q:
                nearest = i
        total = 0.0
        left, previous = -1, -1
        for i in range(sites):
            if before[row, i] < q:
                left, previous = i, -1
                continue
            if not chosen[row, i]:
                continue
            w = laws[number]
            r = right[i]
            # onward: b at this site; mean: the law under which logarithms are averaged here.
            if r >= 0:
                onward[:] = transposed[min(r - i, last), before[row, r]]
            else:
                onward[:] = 1.0
            if forward:
                if left >= 0:
                    mean[:] = powers[min(i - left, last), before[row, left]]
                else:
                    mean[:] = stationary
                for a in range(q):
                    mean[a] *= onward[a]
                normalise(mean)
            else:
                mean[:] = w
            gained = 0.0
            for a in range(q):
                if mean[a] > 0.0:
                    gained -= mean[a] * np.log(w[a])
            if previous < 0:
                for a in range(q):
                    if mean[a] > 0.0:
                        known = logs[min(i - left, last), before[row, left], a] if left >= 0 else start[a]
                        gained += mean[a] * known
            else:
                gap = min(i - previous, last)
                pairs, weight = 0.0, 0.0
                for u in range(q):
                    if forward:
                        # Mass of the earlier site times the step times what follows, relative.
                        before_step = ahead[u]
                        if before_step > 0.0:
                            for a in range(q):
                                mass = before_step * powers[gap, u, a] * onward[a]
                                if mass > 0.0:
                                    weight += mass
                                    pairs += mass * logs[gap, u, a]
                    elif ahead[u] > 0.0:
                        weight += ahead[u]
                        for a in range(q):
                            if w[a] > 0.0:
                                pairs += ahead[u] * w[a] * logs[gap, u, a]
                gained += pairs / weight if weight > 0.0 else 0.0
            following = -1
            for j in range(i + 1, sites if r < 0 else r):
                if chosen[row, j]:
                    following = j
                    break
            if following < 0 and r >= 0:
                for a in range(q):
                    if mean[a] > 0.0:
                        gained += mean[a] * logs[min(r - i, last), a, before[row, r]]
                whole = (
                    powers[min(r - left, last), before[row, left], before[row, r]]
                    if left >= 0
                    else stationary[before[row, r]]
                )
                gained -= np.log(whole)
            total += gained
            if not forward:
                ahead[:] = w
            elif left >= 0:
                ahead[:] = powers[min(i - left, last), before[row, left]]
            else:
                ahead[:] = stationary
            previous = i
            number += 1
        divergences[row] = total if forward else -total


@partial(compiled, reorder=True)
def dot(left: Any, right: Any) -> float:
    """sum_a left_a right_a, in an order that vectorises."""
    total = 0.0
    for a in range(left.size):
        total += left[a] * right[a]
    return total


@compiled
def contexts(tokens: Any, stop: int, order: int, q: int, found: Any) -> int:
    """Numbers of the contexts (x_{stop-r+1}, ..., x_stop) that agree with the tokens; how many there are."""
    count = 1
    found[0] = 0
    for site in range(stop - order + 1, stop + 1):
        token = tokens[site]
        if token < q:
            for s in range(count):
                found[s] = found[s] * q + token
        else:
            for s in range(count - 1, -1, -1):
                base = found[s] * q
                for a in range(q - 1, -1, -1):
                    found[s * q + a] = base + a
            count *= q
    return count


@compiled
def higher_order(before: Any, after: Any, transition: Any, stationary: Any, laws: Any) -> None:
    """The sweep of a stationary chain of order r on its contexts of r symbols, N >= r.

    Args:
        before, after: [B, N].
        transition: [S, q].
        stationary: [S], the law of the first r symbols.
        laws: [B, N, q], written.
    """
    rows, sites = before.shape
    size, q = transition.shape
    order, power = 0, 1
    while power < size:
        order, power = order + 1, power * q
    shifted = size // q
    backward = np.empty((sites, size))
    forward, following = np.zeros(size), np.zeros(size)
    found = np.empty(size, dtype=np.int64)
    for row in range(rows):
        # backward[i, s]: probability of the revealed tokens right of i given the context s that ends at i.
        backward[sites - 1] = 1.0
        for i in range(sites - 2, order - 2, -1):
            token = before[row, i + 1]
            count = contexts(before[row], i, order, q, found)
            largest = 0.0
            for n in range(count):
                s = found[n]
                base = (s % shifted) * q
                if token < q:
                    total = transition[s, token] * backward[i + 1, base + token]
                else:
                    total = dot(transition[s], backward[i + 1, base : base + q])
                backward[i, s] = total
                largest = max(largest, total)
            if largest > 0.0:
                for n in range(count):
                    backward[i, found[n]] /= largest
        for i in range(order):
            _first_sites(before[row], after[row], i, order, stationary, backward[order - 1], laws[row, i])
        count = contexts(after[row], order - 1, order, q, found)
        forward[:] = 0.0
        for n in range(count):
            forward[found[n]] = stationary[found[n]]
        for i in range(order, sites):
            following[:] = 0.0
            values = laws[row, i]
            values[:] = 0.0
            token = before[row, i]
            largest = 0.0
            count = contexts(after[row], i - 1, order, q, found)
            for n in range(count):
                s = found[n]
                mass = forward[s]
                if mass > 0.0:
                    base = (s % shifted) * q
                    if token < q:
                        following[base + token] += mass * transition[s, token]
                    else:
                        for a in range(q):
                            following[base + a] += mass * transition[s, a]
            for base in range(0, size, q):
                for a in range(q):
                    values[a] += following[base + a] * backward[i, base + a]
                    largest = max(largest, following[base + a])
            if token < q:
                one_hot(values, token)
            else:
                normalise(values)
            token = after[row, i]
            for s in range(size):
                if largest == 0.0 or (token < q and s % q != token):
                    forward[s] = 0.0
                else:
                    forward[s] = following[s] / largest


@compiled
def _first_sites(before: Any, after: Any, site: int, order: int, stationary: Any, backward: Any, values: Any) -> None:
    """The law of one of the first r sites: contexts that agree with ``after`` left of it and ``before`` from it on."""
    q = values.size
    if before[site] < q:
        one_hot(values, before[site])
        return
    values[:] = 0.0
    for s in range(stationary.size):
        rest, agrees, chosen = s, True, 0
        for i in range(order - 1, -1, -1):
            digit = rest % q
            rest //= q
            token = after[i] if i < site else before[i]
            if i == site:
                chosen = digit
            elif token < q and token != digit:
                agrees = False
        if agrees:
            values[chosen] += stationary[s] * backward[s]
    normalise(values)
