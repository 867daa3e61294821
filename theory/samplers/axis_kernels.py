"""Compiled application of one small matrix along each axis of a table.

Legend: ``q`` symbols, ``b`` stride of an axis in a vector in C order, ``matrices`` [axes, q, q], leading axis first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def along_axis(values: Any, matrix: Any, b: int) -> None:
    """values[a, v, t] = sum_w matrix[v, w] values[a, w, t], in place."""
    q = matrix.shape[0]
    if q == 2:
        m00, m01, m10, m11 = matrix[0, 0], matrix[0, 1], matrix[1, 0], matrix[1, 1]
        if b == 1:
            for a in range(values.size // 2):
                x, y = values[2 * a], values[2 * a + 1]
                values[2 * a], values[2 * a + 1] = m00 * x + m01 * y, m10 * x + m11 * y
            return
        for a in range(values.size // (2 * b)):
            base = 2 * a * b
            first, second = values[base : base + b], values[base + b : base + 2 * b]
            for t in range(b):
                x, y = first[t], second[t]
                first[t], second[t] = m00 * x + m01 * y, m10 * x + m11 * y
        return
    old = np.empty(q)
    for a in range(values.size // (q * b)):
        for t in range(b):
            start = a * q * b + t
            for v in range(q):
                old[v] = values[start + v * b]
            for v in range(q):
                total = 0.0
                for w in range(q):
                    total += matrix[v, w] * old[w]
                values[start + v * b] = total


@compiled
def along_trailing(values: Any, matrices: Any) -> None:
    """One matrix along each axis of a contiguous table."""
    b = 1
    for axis in range(matrices.shape[0] - 1, -1, -1):
        along_axis(values, matrices[axis], b)
        b *= matrices.shape[1]


@compiled
def scale_in_basis(table: Any, factors: Any, there: Any, back: Any, start: int, stop: int) -> None:
    """Columns start..stop-1 of ``table``: transform the leading axes there, multiply by ``factors``, transform back."""
    rows, width = table.shape[0], stop - start
    part = np.empty(rows * width)
    for row in range(rows):
        part[row * width : row * width + width] = table[row, start:stop]
    b = width
    for axis in range(there.shape[0] - 1, -1, -1):
        along_axis(part, there[axis], b)
        b *= there.shape[1]
    for row in range(rows):
        piece, factor = part[row * width : row * width + width], factors[row, start:stop]
        for t in range(width):
            piece[t] *= factor[t]
    b = width
    for axis in range(back.shape[0] - 1, -1, -1):
        along_axis(part, back[axis], b)
        b *= back.shape[1]
    for row in range(rows):
        table[row, start:stop] = part[row * width : row * width + width]
