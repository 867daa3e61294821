"""Compiled loops of `theory.samplers.subset_tree`; see there for the definitions.

Legend: ``q`` symbols, ``b`` stride of the site that is summed out, ``u`` and ``p`` tables, ``w`` weights of masks.
A table over some sites is a vector in C order; the entries that differ in one site of stride b are b apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from theory.compiled import compiled


@compiled
def sum_out(source: Any, target: Any, q: int, b: int) -> None:
    """target[a, t] = sum_v source[a, v, t] for t < b."""
    if b >= 8:
        for a in range(target.size // b):
            row = target[a * b : a * b + b]
            base = a * q * b
            first, second = source[base : base + b], source[base + b : base + 2 * b]
            for t in range(b):
                row[t] = first[t] + second[t]
            for v in range(2, q):
                further = source[base + v * b : base + v * b + b]
                for t in range(b):
                    row[t] += further[t]
    else:
        for a in range(target.size // b):
            for t in range(b):
                total = 0.0
                for v in range(q):
                    total += source[(a * q + v) * b + t]
                target[a * b + t] = total


@compiled
def add_back(source: Any, target: Any, q: int, b: int) -> None:
    """target[a, v, t] += source[a, t]: the adjoint of `sum_out`."""
    if b >= 8:
        for a in range(source.size // b):
            row = source[a * b : a * b + b]
            for v in range(q):
                base = (a * q + v) * b
                part = target[base : base + b]
                for t in range(b):
                    part[t] += row[t]
    else:
        for a in range(source.size // b):
            for v in range(q):
                for t in range(b):
                    target[(a * q + v) * b + t] += source[a * b + t]


@compiled
def context_values(u: Any, p: Any, w: float, null: bool, target: Any) -> None:
    """target = w u / p where p > 0, else 0; for ``null`` w u where p = 0, else 0."""
    if w == 0.0:
        target[:] = 0.0
    elif null:
        for t in range(target.size):
            target[t] = 0.0 if p[t] > 0.0 else w * u[t]
    else:
        for t in range(target.size):
            target[t] = w * u[t] / p[t] if p[t] > 0.0 else 0.0


@compiled
def leaf(u: Any, p: Any, target: Any, q: int, b: int, w: float, null: bool, us: Any, ps: Any) -> None:
    """Sum one site out of u and p, turn the sums into context values, and add these back, in one pass."""
    if q == 2 and not null and b >= 8:
        for a in range(u.size // (2 * b)):
            base = 2 * a * b
            u0, u1 = u[base : base + b], u[base + b : base + 2 * b]
            p0, p1 = p[base : base + b], p[base + b : base + 2 * b]
            t0, t1 = target[base : base + b], target[base + b : base + 2 * b]
            for t in range(b):
                total = p0[t] + p1[t]
                value = w * (u0[t] + u1[t]) / total if total > 0.0 else 0.0
                t0[t] += value
                t1[t] += value
    elif q == 2 and not null:
        # Short strides: the views above would cost more than the loop that they are for.
        for a in range(u.size // (2 * b)):
            for t in range(2 * a * b, 2 * a * b + b):
                total = p[t] + p[t + b]
                value = w * (u[t] + u[t + b]) / total if total > 0.0 else 0.0
                target[t] += value
                target[t + b] += value
    else:
        size = u.size // q
        sum_out(u, us[:size], q, b)
        sum_out(p, ps[:size], q, b)
        context_values(us[:size], ps[:size], w, null, us[:size])
        add_back(us[:size], target, q, b)


@compiled
def gather(f: Any, p: Any, weighted: bool, base: int, spread: Any, size: int, u: Any, context: Any) -> None:
    """Sum blocks of ``size`` entries over the leading sites: of p, and of p f (``weighted``) or f."""
    for j in range(spread.size):
        first = (base + spread[j]) * size
        mass, values = p[first : first + size], f[first : first + size]
        if j == 0:
            for t in range(size):
                context[t] = mass[t]
                u[t] = mass[t] * values[t] if weighted else values[t]
        else:
            for t in range(size):
                context[t] += mass[t]
                u[t] += mass[t] * values[t] if weighted else values[t]


@compiled
def walk(
    f: Any,
    p: Any,
    weighted: bool,
    null: bool,
    q: int,
    sites: int,
    base: int,
    spread: Any,
    root_weight: float,
    node_site: Any,
    node_depth: Any,
    node_weight: Any,
    scratch: Any,
    out: Any,
) -> None:
    """One subtree: all masks that continue one choice of leading sites, for one context of the other leading sites.

    ``out`` is the table over the trailing sites 0..sites-1 of the sum over those masks. Nodes come in preorder, the
    trailing sites of a mask in descending order (ascending stride).
    """
    size = out.size
    # offsets of the tables of each depth in the scratch memory: u, p and, below the root, the sum that goes back up
    offset = np.empty(sites + 2, np.int64)
    length = np.empty(sites + 2, np.int64)
    stride = np.ones(sites + 2, np.int64)
    offset[0], length[0] = 0, size
    for depth in range(1, sites + 2):
        offset[depth] = offset[depth - 1] + 3 * length[depth - 1]
        length[depth] = length[depth - 1] // q if depth <= sites else 0

    u, context = scratch[:size], scratch[size : 2 * size]
    gather(f, p, weighted, base, spread, size, u, context)
    context_values(u, context, root_weight, null, out)
    level = 0
    for node in range(node_site.size + 1):
        depth = node_depth[node] if node < node_site.size else 1
        while level >= depth:
            start, count = offset[level], length[level]
            back = scratch[start + 2 * count : start + 3 * count]
            start, count = offset[level - 1], length[level - 1]
            above = out if level == 1 else scratch[start + 2 * count : start + 3 * count]
            add_back(back, above, q, stride[level])
            level -= 1
        if node == node_site.size:
            break
        start, count = offset[level], length[level]
        u, context = scratch[start : start + count], scratch[start + count : start + 2 * count]
        above = out if level == 0 else scratch[start + 2 * count : start + 3 * count]
        b = 1
        for _ in range(sites - 1 - node_site[node] - level):
            b *= q
        start, count = offset[depth], length[depth]
        below_u, below_p = scratch[start : start + count], scratch[start + count : start + 2 * count]
        if node + 1 < node_site.size and node_depth[node + 1] > depth:
            sum_out(u, below_u, q, b)
            sum_out(context, below_p, q, b)
            below = scratch[start + 2 * count : start + 3 * count]
            context_values(below_u, below_p, node_weight[node], null, below)
            stride[depth] = b
            level = depth
        else:
            leaf(u, context, above, q, b, node_weight[node], null, below_u, below_p)


@compiled
def collect(p: Any, times_p: bool, results: Any, rows: Any, target: Any, start: int) -> None:
    """target[start : start + size] += (p times) the sum of the named rows of ``results``, in their order."""
    size = results.shape[1]
    total = results[rows[0]].copy()
    for j in range(1, rows.size):
        row = results[rows[j]]
        for t in range(size):
            total[t] += row[t]
    part, mass = target[start : start + size], p[start : start + size]
    if times_p:
        for t in range(size):
            part[t] += total[t] * mass[t]
    else:
        for t in range(size):
            part[t] += total[t]
