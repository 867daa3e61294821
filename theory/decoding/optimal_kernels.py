"""Compiled recursions for the best sizes and the best fixed schedule; see `optimal` and `stationary_chain`.

Legend: ``N`` sites, ``T`` steps, ``g`` hidden sites in a gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def best_sizes(curve: Any, errors: Any, before: Any) -> None:
    """V_t(b) = min_{a < b} V_{t-1}(a) + (b - a)(c(a+1) - c(a)) - (c(b) - c(a)) for every t, by divide and conquer.

    The step cost is Monge where the increments of c decrease, so the least minimiser grows with b, and the b's of one t
    are halved with the range of a that is left for each half.

    Args:
        curve: c, [N + 1].
        errors: [N], written: V_t(N) for t = 1..N.
        before: [N + 1, N + 1], written: the minimiser for each t and b.
    """
    sites = curve.size - 1
    best = np.full(sites + 1, np.inf)
    best[0] = 0.0
    stack = np.empty((64, 4), dtype=np.int64)
    for step in range(1, sites + 1):
        following = np.full(sites + 1, np.inf)
        depth = 1
        stack[0] = (step, sites, step - 1, sites - 1)
        while depth:
            depth -= 1
            low, high, first, last = stack[depth]
            if low > high:
                continue
            middle = (low + high) // 2
            least, chosen = np.inf, first
            for a in range(first, min(last, middle - 1) + 1):
                cost = best[a] + (middle - a) * (curve[a + 1] - curve[a]) - (curve[middle] - curve[a])
                if cost < least:
                    least, chosen = cost, a
            following[middle], before[step, middle] = least, chosen
            stack[depth] = (low, middle - 1, first, chosen)
            stack[depth + 1] = (middle + 1, high, chosen, last)
            depth += 2
        best = following
        errors[step - 1] = max(best[sites], 0.0)


@compiled
def gap_values(gaps: Any, values: Any, steps: int) -> None:
    """V_t(e, g): the least error of revealing a gap of g hidden sites with e revealed ends in at most t steps.

    Args:
        gaps: h(d) for d = 0..N + 1, [N + 2].
        values: [T + 1, 3, N + 1], written for e = 1, 2 and all g, and for e = 0 and g = N.
        steps: T.
    """
    sites = values.shape[2] - 1
    shortest = np.empty(sites + 2)
    values[:] = np.inf
    values[:, :, 0] = 0.0
    for step in range(1, steps + 1):
        for ends in range(3):
            for g in range(1, sites + 1):
                if ends == 0 and g < sites:
                    continue
                # Levels of a balanced elimination tree are independent given those above: no error (S5).
                if step > 62 or g < 1 << step:
                    values[step, ends, g] = 0.0
                else:
                    values[step, ends, g] = shortest_path(gaps, values[step - 1], ends, g, shortest)


@compiled
def shortest_path(gaps: Any, deeper: Any, ends: int, g: int, shortest: Any) -> float:
    """min over the sites D of the gap of TC(D | ends) + sum of the values of the subgaps.

    Sites 1..g, revealed ends at 0 (for e >= 1) and g + 1 (for e = 2). shortest[j] is the least cost of all that lies
    left of j, with j in D.
    """
    single = gaps[gaps.size - 1]
    whole = gaps[g + 1] if ends == 2 else single
    for j in range(1, g + 1):
        left = gaps[j] if ends >= 1 else single
        right = gaps[g + 1 - j] if ends == 2 else single
        alone = left + right - whole
        # j is the first of D: the gap before it has its other end revealed, or none.
        least = deeper[2 if ends >= 1 else 1, j - 1] - left
        for k in range(1, j):
            least = min(least, shortest[k] + deeper[2, j - k - 1] - gaps[j - k])
        shortest[j] = least + alone
    least = deeper[ends, g]
    for j in range(1, g + 1):
        closing = whole - gaps[g + 1 - j] if ends == 2 else 0.0
        least = min(least, shortest[j] + deeper[2 if ends == 2 else 1, g - j] + closing)
    return max(least, 0.0)


@compiled
def path_sites(gaps: Any, deeper: Any, ends: int, g: int, shortest: Any, chosen: Any) -> None:
    """The minimising D of `shortest_path` as flags, [g + 1] (entry 0 unused)."""
    shortest_path(gaps, deeper, ends, g, shortest)
    single = gaps[gaps.size - 1]
    whole = gaps[g + 1] if ends == 2 else single
    chosen[:] = False
    least, current = deeper[ends, g], 0
    for j in range(1, g + 1):
        closing = whole - gaps[g + 1 - j] if ends == 2 else 0.0
        cost = shortest[j] + deeper[2 if ends == 2 else 1, g - j] + closing
        if cost < least:
            least, current = cost, j
    while current > 0:
        chosen[current] = True
        left = gaps[current] if ends >= 1 else single
        least, previous = deeper[2 if ends >= 1 else 1, current - 1] - left, 0
        for k in range(1, current):
            cost = shortest[k] + deeper[2, current - k - 1] - gaps[current - k]
            if cost < least:
                least, previous = cost, k
        current = previous
