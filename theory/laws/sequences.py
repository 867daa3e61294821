"""Laws of sequences: Markov chains and hidden Markov models seen as joint laws of their first N symbols.

Markov: p(x) = a(x_0) prod_t A(x_{t-1}, x_t). Hidden Markov: states z follow a Markov chain and emit x_t ~ B(z_t, .).

Legend: ``N`` sites (the length), ``q`` symbols, ``H`` hidden states.
Source: Rabiner, "A tutorial on hidden Markov models", Proc. IEEE 77 (1989): the forward recursion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.laws.joint import LOG_TINY, JointLaw, logarithms
from theory.laws.products import smallest_product, stochastic
from theory.states import require_states

Array = NDArray[np.float64]


def markov_sequence(initial: ArrayLike, transition: ArrayLike, length: int) -> JointLaw:
    """The first ``length`` symbols of a Markov chain.

    Args:
        initial: a, shape [q].
        transition: A, shape [q, q], rows summing to 1.
        length: N.

    Raises:
        InvalidInput: wrong shapes, or rows that are no laws.
    """
    start, matrix = _chain(initial, transition)
    require_states(length, len(start), 24.0, "the Markov sequence")
    name = f"Markov sequence of {length}"
    if smallest_product(start[None]) + (length - 1) * smallest_product(matrix[:, None]) < LOG_TINY:
        log_table = logarithms(start)
        for _ in range(length - 1):
            log_table = log_table[..., None] + logarithms(matrix)
        return JointLaw.from_log_weights(log_table, name)
    table = start
    for _ in range(length - 1):
        table = table[..., None] * matrix
    return JointLaw(table, name)


def hidden_markov_sequence(initial: ArrayLike, transition: ArrayLike, emission: ArrayLike, length: int) -> JointLaw:
    """The first ``length`` emissions of a hidden Markov model.

    Args:
        initial: a, shape [H].
        transition: A, shape [H, H], rows summing to 1.
        emission: B, shape [H, q], rows summing to 1.
        length: N.

    Raises:
        InvalidInput: wrong shapes, or rows that are no laws.
    """
    start, matrix = _chain(initial, transition)
    emits = stochastic(emission, "emission", 2)
    if len(emits) != len(start):
        raise InvalidInput("emission", f"an array of shape {emits.shape}", f"shape ({len(start)}, q) is needed")
    require_states(length, emits.shape[1], 16.0 * len(start) + 8, "the hidden Markov sequence")
    name = f"hidden Markov sequence of {length}"
    steps = smallest_product(matrix[:, None]) + smallest_product(emits[:, None])
    # forward[x_0, ..., x_t, z] = p(x_0..x_t, z_t = z)
    if smallest_product(start[None]) + length * steps < LOG_TINY:
        log_matrix, log_emits = logarithms(matrix), logarithms(emits)
        logs = log_emits.T + logarithms(start)
        for _ in range(length - 1):
            logs = np.logaddexp.reduce(logs[..., None] + log_matrix, axis=-2)[..., None, :] + log_emits.T
        return JointLaw.from_log_weights(np.logaddexp.reduce(logs, axis=-1), name)
    forward = emits.T * start
    for _ in range(length - 1):
        forward = (forward @ matrix)[..., None, :] * emits.T
    return JointLaw(forward.sum(axis=-1), name)


def _chain(initial: ArrayLike, transition: ArrayLike) -> tuple[Array, Array]:
    start = stochastic(initial, "initial", 1)
    matrix = stochastic(transition, "transition", 2)
    if matrix.shape != (len(start), len(start)):
        raise InvalidInput(
            "transition", f"an array of shape {matrix.shape}", f"shape ({len(start)}, {len(start)}) is needed"
        )
    return start, matrix
