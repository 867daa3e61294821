"""Compiled elimination of a block of states.

Legend: ``b`` states of the block.
"""

from __future__ import annotations

from typing import Any

from theory.compiled import compiled


@compiled
def eliminate_block(inner: Any, leaving: Any) -> int:
    """Remove the states of a block from the last to the first, in place.

    Args:
        inner: [b, b + 1]; column 0 is the probability of going below the block, column 1 + m of going to its state m.
        leaving: [b], written: the probability of leaving each state downward.

    Returns:
        The first state whose way downward underflows to zero, where the elimination stops; -1 where there is none.
    """
    for n in range(inner.shape[0] - 1, -1, -1):
        total = 0.0
        for j in range(n + 1):
            total += inner[n, j]
        leaving[n] = total
        if total == 0.0:
            return n
        for j in range(n + 1):
            inner[n, j] /= total
        for i in range(n):
            weight = inner[i, n + 1]
            for j in range(n + 1):
                inner[i, j] += weight * inner[n, j]
    return -1
