"""Compiled block updates of k-parallel decoding and of its Metropolis-Hastings correction, one mask at a time.

The contexts of a mask are taken in batches of ``L`` lanes: the block of every context is gathered into a table
[q**k, L], and all arithmetic runs over the lanes. Nothing of size S x S, nor any block kernel [q**k, q**k], is formed.

Legend: ``q`` symbols, ``k`` masked sites, ``b = q**k`` values of the block, ``C`` contexts, ``L`` lanes.
Tables keep all their L lanes, contiguous, so that the loops vectorise; in a last batch with fewer contexts the other
lanes hold finite values that nobody reads.
``offsets`` [b] is what each block value adds to a state's number, ``contexts`` [C] the states with x_K = 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def load(source: Any, offsets: Any, states: Any, block: Any) -> None:
    """block[b, l] = source at context l and block value b."""
    for value in range(offsets.size):
        shift = offsets[value]
        for lane in range(states.size):
            block[value, lane] = source[states[lane] + shift]


@compiled
def tokens_of_table(block: Any, q: int, k: int, tokens: Any, total: Any) -> None:
    """tokens[i q + a, l] = p(x_i = a | context l) from the masses of the block; uniform where they are all 0."""
    values, lanes = block.shape
    tokens[:] = 0.0
    total[:] = 0.0
    stride = values
    for i in range(k):
        stride //= q
        for value in range(values):
            row = i * q + (value // stride) % q
            for lane in range(lanes):
                tokens[row, lane] += block[value, lane]
    for a in range(q):
        for lane in range(lanes):
            total[lane] += tokens[a, lane]
    for row in range(k * q):
        for lane in range(lanes):
            tokens[row, lane] = tokens[row, lane] / total[lane] if total[lane] > 0.0 else 1.0 / q


@compiled
def tokens_given(given: Any, first: int, width: int, tokens: Any) -> None:
    """The same from conditionals [k, C, q] that were computed elsewhere, contexts first, first + 1, ..."""
    k, _, q = given.shape
    for i in range(k):
        for a in range(q):
            for lane in range(width):
                tokens[i * q + a, lane] = given[i, first + lane, a]


@compiled
def expand(block: Any, tokens: Any, q: int, k: int) -> None:
    """block[b, l] = block[0, l] prod_i tokens[i q + b_i, l]."""
    size = 1
    for i in range(k):
        for value in range(size - 1, -1, -1):
            for a in range(q - 1, -1, -1):
                for lane in range(block.shape[1]):
                    block[value * q + a, lane] = block[value, lane] * tokens[i * q + a, lane]
        size *= q


@compiled
def contract(block: Any, tokens: Any, q: int, k: int) -> None:
    """block[0, l] = sum_b block[b, l] prod_i tokens[i q + b_i, l]: the adjoint of `expand`."""
    size = block.shape[0]
    for i in range(k - 1, -1, -1):
        size //= q
        for value in range(size):
            for lane in range(block.shape[1]):
                total = 0.0
                for a in range(q):
                    total += tokens[i * q + a, lane] * block[value * q + a, lane]
                block[value, lane] = total


@compiled
def k_parallel_mask(
    vector: Any, adjoint: bool, weights: Any, table: Any, given: Any, q: int, k: int,
    offsets: Any, contexts: Any, lanes: int, out: Any,
) -> None:  # fmt: skip
    """Add one mask's part of P f (or of nu P where ``adjoint``) to ``out``.

    ``weights`` is P(K | x), [S], or [1] where it does not depend on x. The conditionals come from ``table`` [S] where
    that is not empty, else from ``given`` [k, C, q].
    """
    values = offsets.size
    fixed = weights.size == 1
    part, token, sums = np.zeros((values, lanes)), np.zeros((k * q, lanes)), np.zeros(lanes)
    for first in range(0, contexts.size, lanes):
        states = contexts[first : first + lanes]
        width = states.size
        if table.size:
            load(table, offsets, states, part)
            tokens_of_table(part, q, k, token, sums)
        else:
            tokens_given(given, first, width, token)
        if adjoint:
            sums[:] = 0.0
            for value in range(values):
                for lane in range(width):
                    state = states[lane] + offsets[value]
                    sums[lane] += vector[state] * (weights[0] if fixed else weights[state])
            part[0] = sums
            expand(part, token, q, k)
            for value in range(values):
                for lane in range(width):
                    out[states[lane] + offsets[value]] += part[value, lane]
        else:
            load(vector, offsets, states, part)
            contract(part, token, q, k)
            for value in range(values):
                for lane in range(width):
                    state = states[lane] + offsets[value]
                    out[state] += part[0, lane] * (weights[0] if fixed else weights[state])


@compiled
def metropolis_hastings_mask(
    vector: Any, adjoint: bool, weight: float, target: Any, table: Any, given: Any, q: int, k: int,
    offsets: Any, contexts: Any, lanes: int, out: Any,
) -> None:  # fmt: skip
    """Add one mask's part of P f (or of nu P where ``adjoint``) to ``out``; ``target`` is the law to keep, [S].

    A move from x to y has probability min(g(y), w(y) g(x) / w(x)), w the target's masses; from w(x) = 0 it is g(y).
    """
    values = offsets.size
    mass, propose = np.zeros((values, lanes)), np.zeros((values, lanes))
    before, after = np.zeros((values, lanes)), np.zeros((values, lanes))
    odds, token, total = np.zeros(lanes), np.zeros((k * q, lanes)), np.zeros(lanes)
    for first in range(0, contexts.size, lanes):
        states = contexts[first : first + lanes]
        width = states.size
        if table.size:
            load(table, offsets, states, propose)
            tokens_of_table(propose, q, k, token, total)
        else:
            tokens_given(given, first, width, token)
        propose[0] = 1.0
        expand(propose, token, q, k)
        load(target, offsets, states, mass)
        load(vector, offsets, states, before)
        after[:] = before
        for x in range(values):
            for lane in range(lanes):
                odds[lane] = propose[x, lane] / mass[x, lane] if mass[x, lane] > 0.0 else np.inf
            for y in range(values):
                if y == x:
                    continue
                for lane in range(lanes):
                    # infinite odds times mass 0 is nan, for which the comparison is false: the move is accepted
                    flow = mass[y, lane] * odds[lane]
                    move = flow if flow < propose[y, lane] else propose[y, lane]
                    if adjoint:
                        after[y, lane] += before[x, lane] * move
                        after[x, lane] -= before[x, lane] * move
                    else:
                        after[x, lane] += move * (before[y, lane] - before[x, lane])
        for value in range(values):
            for lane in range(width):
                out[states[lane] + offsets[value]] += weight * after[value, lane]
