"""Transition matrices as they come: lists, arrays of any number type, sparse matrices, printed digits.

Legend: ``S`` states.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse, sparray, spmatrix

from theory.errors import InvalidInput
from theory.rounding import sum_tolerance

Array = NDArray[np.float64]

Matrix: TypeAlias = ArrayLike | sparray | spmatrix

ROW_SUM_TOLERANCE = 1e-9
"""Largest deviation of a row sum from 1 that is taken for rounding in a float64 matrix from outside."""


def read_matrix(matrix: Matrix, normalise: bool = False) -> tuple[Array | csr_array, float]:
    """A row-stochastic matrix from outside, and how far its rows were from it.

    Rows may be off by the rounding of the digits or of the number type in which they were given
    (`theory.rounding.sum_tolerance`). What goes beyond the rounding of a float64 computation is divided away.

    Args:
        matrix: [S, S]; a sparse one stays sparse.
        normalise: divide every row by its sum, whatever that is.

    Returns:
        The matrix in float64, and the largest deviation of a row sum from 1 where rows were divided by their sums
        (else 0).

    Raises:
        InvalidInput: not square, not numbers, negative or non-finite entries, or a row that does not sum to 1.
    """
    given: NDArray[Any] | csr_array = _sparse(matrix) if issparse(matrix) else _dense(matrix)
    if len(given.shape) != 2 or given.shape[0] != given.shape[1] or given.shape[0] == 0:
        raise InvalidInput("matrix", f"an array of shape {given.shape}", "a square [S, S] matrix is needed")
    entries = given.data if isinstance(given, csr_array) else given
    if not np.isfinite(entries).all():
        raise InvalidInput("matrix", "NaN or infinity", "every entry must be finite")
    if entries.size and entries.min() < 0:
        row, column = _position(given, int(entries.argmin()))
        raise InvalidInput(f"matrix[{row}, {column}]", entries.min(), "transition probabilities are >= 0")
    values = given.astype(np.float64, copy=False)
    sums = np.asarray(values.sum(axis=1)).reshape(-1)
    deviations = np.abs(sums - 1)
    worst, deviation = int(deviations.argmax()), float(deviations.max())
    if deviation <= (0.0 if normalise else ROW_SUM_TOLERANCE):
        return values, 0.0
    if normalise:
        if sums.min() == 0:
            raise InvalidInput(f"matrix row {int(sums.argmin())}", "all zeros", "a row of zeros cannot be normalised")
    elif deviation > (allowed := sum_tolerance(_rows(given, values), ROW_SUM_TOLERANCE)):
        raise InvalidInput(
            f"matrix row {worst}",
            f"sum {float(sums[worst])!r}",
            f"each row must sum to 1 (within {allowed:.1g} for the digits given); to divide every row by its sum, "
            "give DenseOperator(matrix, normalise=True)",
        )
    if isinstance(values, csr_array):
        scaled = values.copy()
        scaled.data = values.data / np.repeat(sums, np.diff(values.indptr))
        return scaled, deviation
    return np.asarray(values / sums[:, None]), deviation


def _dense(matrix: Matrix) -> NDArray[Any]:
    try:
        given = np.asarray(matrix)
    except ValueError:
        raise InvalidInput("matrix", "rows of different lengths", "a square [S, S] matrix is needed") from None
    if given.dtype.kind not in "fiub":
        if given.dtype.kind != "O" and given.dtype.kind != "V":
            raise InvalidInput("matrix", f"entries of type {given.dtype}", "transition probabilities are real numbers")
        try:  # fractions, decimals, number types of other packages
            given = given.astype(np.float64)
        except (TypeError, ValueError):
            raise InvalidInput(
                "matrix", "entries that are not numbers", "transition probabilities are needed"
            ) from None
    return given


def _sparse(matrix: Matrix) -> csr_array:
    given = csr_array(matrix)
    if given.dtype.kind not in "fiub":
        raise InvalidInput("matrix", f"entries of type {given.dtype}", "transition probabilities are real numbers")
    given = given.copy()
    given.sum_duplicates()
    given.eliminate_zeros()
    return given


def _rows(given: NDArray[Any] | csr_array, values: Array | csr_array) -> NDArray[Any]:
    """The entries with as many to a row as the fullest row has, for their rounding."""
    if not isinstance(given, csr_array):
        fullest = int(np.count_nonzero(values, axis=1).max())
        return given if fullest == given.shape[1] else np.sort(given, axis=1)[:, -fullest:]
    fullest = max(1, int(np.diff(given.indptr).max()))
    entries = np.zeros(-(-len(given.data) // fullest) * fullest, dtype=given.dtype)
    entries[: len(given.data)] = given.data
    return entries.reshape(-1, fullest)


def _position(given: NDArray[Any] | csr_array, index: int) -> tuple[int, int]:
    """Row and column of an entry."""
    if isinstance(given, csr_array):
        return int(np.searchsorted(given.indptr, index, side="right")) - 1, int(given.indices[index])
    row, column = np.unravel_index(index, given.shape)
    return int(row), int(column)
