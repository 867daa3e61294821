"""Compiled sums over the sets that a rule with drawn candidates can keep; see `theory.decoding.candidate_paths`.

Legend: ``R`` rows, ``m`` sites of the window, ``q`` symbols, ``n`` sites kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def beats(hidden: Any, own: Any, keys: Any, laws: Any, rank: Any, below: Any) -> None:
    """below[r, s, j] = P(the candidate of j is worse than the token of s): lower key, or an equal one of later rank.

    Args:
        hidden: [R, m].
        own: [R, m], key of the given token at each site.
        keys, laws: [R, m, q], of every token.
        rank: [R, m], which of sites with equal keys comes first: the lower rank.
        below: [R, m, m], written for hidden s and j.
    """
    rows, sites = own.shape
    q = keys.shape[2]
    cumulative = np.empty(q + 1)
    ranked = np.empty(q)
    for r in range(rows):
        for j in range(sites):
            if not hidden[r, j]:
                continue
            order = np.argsort(keys[r, j])
            cumulative[0] = 0.0
            for a in range(q):
                ranked[a] = keys[r, j, order[a]]
                cumulative[a + 1] = cumulative[a] + laws[r, j, order[a]]
            for s in range(sites):
                if hidden[r, s]:
                    side = (
                        np.searchsorted(ranked, own[r, s])
                        if rank[r, j] <= rank[r, s]
                        else np.searchsorted(ranked, own[r, s], "right")
                    )
                    below[r, s, j] = cumulative[side]


@compiled
def draw_kept(
    hidden: Any, own: Any, chance: Any, below: Any, rank: Any, counts: Any, uniform: Any, logs: Any, chosen: Any
) -> None:
    """ln Z = ln sum_S P(S, x_S | A) over the sets S of n hidden sites, and one S drawn in proportion.

    Z = sum_s w_s(x_s) [z^(n-1)] prod_{j != s} (G_j(key_s) + z w_j(x_j) 1{key_j(x_j) > key_s}), s the worst site kept.
    Given s, the other sites are drawn one by one from the last, by the coefficients of the products over those before.

    Args:
        hidden, own, below, rank: as in `beats`.
        chance: [R, m], w_i(x_i).
        counts: [R], n >= 1.
        uniform: [R, m + 1], uniform numbers.
        logs: [R], written.
        chosen: [R, m], written.
    """
    rows, sites = own.shape
    totals = np.empty(sites)
    for r in range(rows):
        n = counts[r]
        table = np.zeros((sites + 1, n))
        whole = 0.0
        for s in range(sites):
            totals[s] = 0.0
            if hidden[r, s] and chance[r, s] > 0.0:
                totals[s] = chance[r, s] * _coefficients(
                    s, n, hidden[r], own[r], chance[r], below[r, s], rank[r], table
                )
                whole += totals[s]
        logs[r] = np.log(whole)
        chosen[r] = False
        if whole == 0.0:
            continue
        level = uniform[r, sites] * whole
        worst = -1
        for s in range(sites):
            if totals[s] > 0.0:
                worst = s
                level -= totals[s]
                if level < 0.0:
                    break
        _coefficients(worst, n, hidden[r], own[r], chance[r], below[r, worst], rank[r], table)
        chosen[r, worst] = True
        left = n - 1
        for j in range(sites - 1, -1, -1):
            if left == 0:
                break
            if not hidden[r, j] or j == worst or not _better(own[r], rank[r], j, worst):
                continue
            kept = chance[r, j] * table[j, left - 1]
            passed = below[r, worst, j] * table[j, left]
            if uniform[r, j] * (kept + passed) < kept:
                chosen[r, j] = True
                left -= 1


@compiled
def _better(own: Any, rank: Any, j: int, s: int) -> bool:
    return own[j] > own[s] or (own[j] == own[s] and rank[j] < rank[s])


@compiled
def _coefficients(s: int, n: int, hidden: Any, own: Any, chance: Any, below: Any, rank: Any, table: Any) -> float:
    """table[j, k]: coefficient of z^k of the product over the sites before j; returns [z^(n-1)] of the whole."""
    sites = own.size
    table[0] = 0.0
    table[0, 0] = 1.0
    for j in range(sites):
        if not hidden[j] or j == s:
            table[j + 1] = table[j]
            continue
        better = _better(own, rank, j, s)
        for k in range(n):
            value = below[j] * table[j, k]
            if better and k > 0:
                value += chance[j] * table[j, k - 1]
            table[j + 1, k] = value
    return table[sites, n - 1]
