"""Paths of a chain, drawn from the rows of its matrix.

Legend: ``S`` states, ``B`` paths, ``T`` steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.checks import States, check_law
from theory.chains.operator import Chain, SparseOperator, TransitionOperator, as_operator
from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]


def sample_paths(chain: Chain, steps: int, starts: ArrayLike, generator: np.random.Generator) -> NDArray[np.int64]:
    """Independent paths X_0, ..., X_T, by inversion: each step takes one uniform number a path.

    Args:
        chain: the chain.
        steps: T.
        starts: X_0 of each path, [B] (one number for one path).
        generator: where the uniform numbers come from; a fixed seed gives the same paths.

    Returns:
        States, [B, T + 1]. Probabilities are kept to about S units of 1e-16, and no step has probability 0.

    Raises:
        InvalidInput: ``steps`` < 0, or starts that are no states.
        ExceedsMemory: the matrix or the paths would not fit.
    """
    operator = as_operator(chain)
    if steps < 0 or int(steps) != steps:
        raise InvalidInput("steps", steps, "a whole number >= 0 is needed")
    begin = np.atleast_1d(np.asarray(starts))
    if begin.ndim != 1 or not len(begin) or not np.issubdtype(begin.dtype, np.integer):
        raise InvalidInput("starts", f"shape {begin.shape} of {begin.dtype}", "whole numbers, one for each path")
    if begin.min() < 0 or begin.max() >= operator.states:
        raise InvalidInput("starts", [int(begin.min()), int(begin.max())], f"states are 0..{operator.states - 1}")
    require_memory(8.0 * len(begin) * (int(steps) + 1), "steps", steps, "the paths")
    indptr, indices, cumulative = _rows(operator)
    paths = np.empty((len(begin), int(steps) + 1), dtype=np.int64)
    paths[:, 0] = here = begin.astype(np.int64)
    for step in range(1, int(steps) + 1):
        # Row x lives in (x, x + 1] of one ascending list, so that one search serves all paths.
        found = np.searchsorted(cumulative, here + 1 - generator.random(len(here)), side="left")
        paths[:, step] = here = indices[np.clip(found, indptr[here], indptr[here + 1] - 1)]
    return paths


def sample_states(law: ArrayLike, count: int, generator: np.random.Generator) -> States:
    """Independent draws from a law over the states, [count]: starts of `sample_paths`.

    Raises:
        InvalidInput: no law.
    """
    masses = check_law(law, len(np.atleast_1d(np.asarray(law))))
    return generator.choice(len(masses), size=count, p=masses)


def _rows(operator: TransitionOperator) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The positive entries row by row: where rows begin, their columns, and row number + cumulative probability."""
    matrix = operator.matrix if isinstance(operator, SparseOperator) else SparseOperator(operator.held().matrix).matrix
    totals = np.concatenate([[0.0], np.cumsum(matrix.data)])
    before = np.repeat(totals[matrix.indptr[:-1]], np.diff(matrix.indptr))
    sums = np.repeat(np.diff(totals[matrix.indptr]), np.diff(matrix.indptr))
    numbers = np.repeat(np.arange(operator.states), np.diff(matrix.indptr))
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), numbers + (totals[1:] - before) / sums
