"""Whether a symmetric matrix is positive definite: proved, refuted or undecided.

Fractions: symmetric elimination. A matrix is positive semidefinite exactly where every pivot is positive, or is 0 with
its whole row 0. Balls: M = [[A, B], [B', C]] is positive definite exactly where A and its Schur complement
C - B' A^{-1} B are, which halves the problem down to single entries.

Source: Haynsworth, *Determination of the inertia of a partitioned Hermitian matrix*, Linear Algebra Appl. 1 (1968).
"""

from __future__ import annotations

from typing import Any

from flint import arb_mat

from theory.certified.arithmetic import Rows

SMALL = 6
"""Below this order elimination entry by entry is quicker than calls for blocks."""


def positive_semidefinite(rows: Rows) -> bool:
    """Decide M ⪰ 0 for a symmetric matrix of fractions."""
    left = [list(row) for row in rows]
    while left:
        pivot, *head = left[0]
        if pivot < 0 or (pivot == 0 and any(entry != 0 for entry in head)):
            return False
        if pivot == 0:
            left = [row[1:] for row in left[1:]]
        else:
            left = [
                [entry - row[0] * across / pivot for entry, across in zip(row[1:], head, strict=True)]
                for row in left[1:]
            ]
    return True


def positive_definite(rows: Rows) -> bool | None:
    """Decide M ≻ 0 for a symmetric matrix of balls; None where a pivot's ball holds 0."""
    order = len(rows)
    if order <= SMALL:
        return _by_elimination(rows)
    half = order // 2
    first = positive_definite([row[:half] for row in rows[:half]])
    if first is not True:
        return first
    try:
        across = arb_mat([row[half:] for row in rows[:half]])
        solved = arb_mat([row[:half] for row in rows[:half]]).solve(across)
    except ZeroDivisionError:
        return None
    corner = arb_mat([row[half:] for row in rows[half:]])
    return positive_definite((corner - across.transpose() * solved).tolist())


def _by_elimination(rows: Rows) -> bool | None:
    left = [list(row) for row in rows]
    while left:
        pivot, *head = left[0]
        if pivot <= 0:
            return False
        if not pivot > 0:
            return None
        left = [
            [entry - row[0] * across / pivot for entry, across in zip(row[1:], head, strict=True)] for row in left[1:]
        ]
    return True


def difference(left: Rows, right: Rows, factor: Any = 1) -> Rows:
    """left - factor * right, entry by entry."""
    return [[a - factor * b for a, b in zip(*rows, strict=True)] for rows in zip(left, right, strict=True)]
