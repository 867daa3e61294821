"""Compiled sweeps of hidden Markov models and of trees; see `theory.laws.length.law` for what a sweep is.

Legend: ``B`` rows, ``N`` sites, ``q`` symbols (MASK is q), ``H`` hidden states.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled
from theory.laws.length.kernels import normalise, one_hot


@compiled
def hidden_markov(
    before: Any, after: Any, initial: Any, transition: Any, emission: Any, ending: Any, laws: Any
) -> None:
    """The sweep of a hidden Markov model: normalised forward-backward.

    Args:
        before, after: [B, N].
        initial: [H]; transition: [H, H]; emission: [N, H, q]; ending: [H], weights of the last state.
        laws: [B, N, q], written.
    """
    rows, sites = before.shape
    hidden = initial.size
    q = emission.shape[2]
    backward = np.empty((sites, hidden))
    forward, following = np.empty(hidden), np.empty(hidden)
    for row in range(rows):
        backward[sites - 1] = ending
        for i in range(sites - 2, -1, -1):
            token = before[row, i + 1]
            largest = 0.0
            for g in range(hidden):
                total = 0.0
                for h in range(hidden):
                    seen = emission[i + 1, h, token] if token < q else 1.0
                    total += transition[g, h] * seen * backward[i + 1, h]
                backward[i, g] = total
                largest = max(largest, total)
            if largest > 0.0:
                for g in range(hidden):
                    backward[i, g] /= largest
        forward[:] = initial
        for i in range(sites):
            values = laws[row, i]
            token = before[row, i]
            values[:] = 0.0
            for h in range(hidden):
                mass = forward[h] * backward[i, h]
                if mass > 0.0 and token == q:
                    for a in range(q):
                        values[a] += mass * emission[i, h, a]
            if token < q:
                one_hot(values, token)
            else:
                normalise(values)
            token = after[row, i]
            largest = 0.0
            for h in range(hidden):
                if token < q:
                    forward[h] *= emission[i, h, token]
                largest = max(largest, forward[h])
            following[:] = 0.0
            if largest > 0.0:
                for g in range(hidden):
                    mass = forward[g] / largest
                    if mass > 0.0:
                        for h in range(hidden):
                            following[h] += mass * transition[g, h]
            forward[:] = following


@compiled
def tree(
    before: Any, after: Any, parents: Any, events: Any, starts: Any, children: Any, root: Any, edges: Any, laws: Any
) -> None:
    """The sweep of a law that is Markov on a rooted tree, in the order of a walk around it.

    Args:
        before, after: [B, N].
        parents: [N], -1 at the root.
        events: [2 N], i at the first visit of site i and N + i when its subtree has been seen.
        starts, children: the children of i are children[starts[i]:starts[i + 1]].
        root: [q]; edges: [N, q, q], p(x_i | x_parent) (the root's is not read).
        laws: [B, N, q], written.
    """
    rows, sites = before.shape
    q = root.size
    upward = np.empty((sites, q))
    prior = np.empty((sites, q))
    for row in range(rows):
        for number in range(2 * sites):
            if events[number] >= sites:
                _upward(before[row], events[number] - sites, starts, children, edges, upward)
        for number in range(2 * sites):
            if events[number] >= sites:
                _upward(after[row], events[number] - sites, starts, children, edges, upward)
                continue
            i = events[number]
            parent = parents[i]
            values = laws[row, i]
            if parent < 0:
                prior[i] = root
            else:
                values[:] = prior[parent]
                for n in range(starts[parent], starts[parent + 1]):
                    if children[n] != i:
                        for a in range(q):
                            values[a] *= upward[children[n], a]
                prior[i] = 0.0
                for u in range(q):
                    if values[u] > 0.0 and (after[row, parent] == q or after[row, parent] == u):
                        for a in range(q):
                            prior[i, a] += values[u] * edges[i, u, a]
                normalise(prior[i])
            if before[row, i] < q:
                one_hot(values, before[row, i])
                continue
            values[:] = prior[i]
            for n in range(starts[i], starts[i + 1]):
                for a in range(q):
                    values[a] *= upward[children[n], a]
            normalise(values)


@compiled
def _upward(tokens: Any, i: int, starts: Any, children: Any, edges: Any, upward: Any) -> None:
    """Probability of the revealed tokens of i's subtree for every symbol of its parent, relative."""
    q = edges.shape[1]
    own = np.ones(q)
    for n in range(starts[i], starts[i + 1]):
        for a in range(q):
            own[a] *= upward[children[n], a]
    largest = 0.0
    for u in range(q):
        total = 0.0
        for a in range(q):
            if tokens[i] == q or tokens[i] == a:
                total += edges[i, u, a] * own[a]
        upward[i, u] = total
        largest = max(largest, total)
    if largest > 0.0:
        for u in range(q):
            upward[i, u] /= largest
