r"""C_AT as a contraction coefficient of the masking channel, and two upper ends that follow (claim C5').

Let A be the masking channel x -> (K, x_{-K}). By the chain rule KL(r || q) = KL(A r || A q) + the divergence that
masking hides, so that

    C_AT = 1 / (1 - eta),      eta = sup_r KL(A r || A q) / KL(r || q),

the strong data-processing constant of A at q. Two upper bounds on eta, for mask laws that look at the sequence too:

*Dobrushin.* eta <= eta_TV, the largest total variation between two columns of A, so that

    C_AT <= 1 / min_{x != y in supp q} sum_c min(A(c | x), A(c | y)).

For masks that do not look at the sequence the sum is P(K contains every site where x and y differ).

*Branch and bound.* C is an upper bound on C_AT where F(r) = (1 - 1/C) KL(r || q) - KL(A r || A q) >= 0 on the whole
simplex. For any law c, KL(r || q) = <r, ln(c/q)> + KL(r || c), and the same for the images under A; since
KL(r || c) >= KL(A r || A c) (data processing),

    F(r) >= <r, (1 - 1/C) ln(c/q) - A^T ln(A c / A q)> - (1/C) KL(A r || A c),

a concave function of r. On a cell, the convex hull of laws v_1..v_T, with c their mean, F is at least the smallest
value of the right-hand side at the v_j. Around q both divergences vanish to second order; there, with u = r/q - 1,
|u| <= rho, and g(u) = 2 ((1 + u) ln(1 + u) - u) / u^2, which falls with u,

    KL(r || q) >= g(rho) chi^2(r || q) / 2,   KL(A r || A q) <= g(-rho) (1 - 1/C_P) chi^2(r || q) / 2,

so that F >= 0 wherever |u| <= rho with (1 - 1/C) g(rho) >= (1 - 1/C_P) g(-rho). Cells that neither argument settles
are halved across their longest edge, until all are settled (C is proved) or too many remain (nothing is said).

*Rounding.* A bound on a cell counts only where it exceeds the rounding that its evaluation can have made: the sum of
the sizes of all terms times `UNIT_ROUNDOFF` times the number of operations on the way, which is what directed rounding
would have taken off at most. C_P enters with its own relative error.

*One step.* The step P = A* A is a channel too, and nothing above asks how A came about: `step_branch_and_bound` takes P
in the place of A, whose chi^2 contracts by (1 - 1/C_P)^2, and bounds the largest KL(r P || q) / KL(r || q).

Legend: ``T`` states in the support, ``R`` pairs (K, x_{-K}), ``n`` cells.
Sources: Dobrushin 1956; Cohen, Kemperman and Zbaganu 1998 (eta_KL <= eta_TV); Polyanskiy and Wu, *Strong
data-processing inequalities for channels and Bayesian networks*, 2017; branch and bound: as proved here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from theory.errors import InvalidInput
from theory.inequalities.masking_channel import MaskingChannel, entropy_density
from theory.memory import require_memory

Array = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-53

LARGEST_SUPPORT = 8
"""Branch and bound over more states than this settles nothing in reasonable time."""

POINCARE_ERROR = 1e-9
"""Relative error allowed to C_P where it enters the box around q."""


def smallest_overlap(channel: MaskingChannel) -> float:
    """min_{x != y in the support} sum_c min(A(c | x), A(c | y)): 1 minus the Dobrushin coefficient of masking.

    Raises:
        InvalidInput: a support of one state.
        ExceedsMemory: the table of all pairs of states would not fit.
    """
    columns = channel.matrix.tocsc()
    states = columns.shape[1]
    if states < 2:
        raise InvalidInput("law", channel.law.name, "the support needs at least 2 states")
    require_memory(8.0 * states * states, "law", channel.law.name, f"the overlaps of {states}^2 pairs of states")
    overlaps = np.zeros((states, states))
    rows = channel.matrix
    for row in range(rows.shape[0]):
        # Only the states that can become this (K, x_{-K}) share it.
        begin, end = rows.indptr[row], rows.indptr[row + 1]
        if end - begin > 1:
            members, chances = rows.indices[begin:end], rows.data[begin:end]
            overlaps[np.ix_(members, members)] += np.minimum.outer(chances, chances)
    np.fill_diagonal(overlaps, inf)
    return float(overlaps.min())


def dobrushin_tensorization_bound(channel: MaskingChannel) -> float:
    """1 / `smallest_overlap`, an upper bound on C_AT; infinite where two states never look alike under a mask."""
    overlap = smallest_overlap(channel)
    return 1 / overlap if overlap > 0 else inf


@dataclass(frozen=True)
class Certificate:
    """What branch and bound settled.

    Attributes:
        upper: an upper bound on C_AT that is proved, infinite where none was.
        cells: simplices that were looked at, over all candidates.
    """

    upper: float
    cells: int


def branch_and_bound(
    channel: MaskingChannel, lower: float, poincare: float, tolerance: float = 0.02, cells: int = 400_000
) -> Certificate:
    """An upper bound on C_AT proved over the whole simplex, near ``lower`` where the budget allows it.

    Candidates lower (1 + tolerance)^(1, 2, 4, ...) are tried from the smallest on.

    Args:
        channel: masking at the target.
        lower: a certified lower bound on C_AT.
        poincare: C_P.
        tolerance: relative distance of the first candidate from ``lower``.
        cells: simplices that each candidate may look at.

    Raises:
        InvalidInput: more than `LARGEST_SUPPORT` states, or a tolerance or number of cells that is not positive.
    """
    return _least_candidate(_masking(channel, poincare), lower, tolerance, cells)


def step_branch_and_bound(
    channel: MaskingChannel, lower: float, poincare: float, tolerance: float = 0.02, cells: int = 400_000
) -> Certificate:
    """The same for one step P of the block dynamics: an upper bound on 1/(1 - sup KL(r P || q) / KL(r || q)).

    Args:
        channel, tolerance, cells: as in `branch_and_bound`.
        lower: a certified lower bound on that number.
        poincare: C_P of the block dynamics; chi^2 contracts by (1 - 1/C_P)^2 in a step.

    Raises:
        InvalidInput: as `branch_and_bound`.
    """
    matrix = channel.matrix.toarray()
    kernel = channel.target[:, None] * (matrix.T @ (matrix / channel.observed[:, None]))  # [y, x] = P(x, y)
    remaining = 1 - 1 / poincare if poincare < inf else 1.0
    step = inf if remaining == 1 else 1 / (1 - remaining**2)
    # An entry of the kernel is a sum of as many quotients as there are masks.
    task = _Task(kernel, channel.target, channel.target, step, 2 * len(channel.masks.masks) + 4)
    return _least_candidate(task, lower, tolerance, cells)


@dataclass(frozen=True, eq=False)
class _Task:
    """A channel [R, T] with column sums 1, q, its image, 1/(1 - its chi^2 contraction), and the rounding of entries.

    ``operations`` is the number of roundings in each entry of the matrix.
    """

    matrix: Array
    target: Array
    observed: Array
    poincare: float
    operations: int


def _masking(channel: MaskingChannel, poincare: float) -> _Task:
    return _Task(channel.matrix.toarray(), channel.target, channel.observed, poincare, 0)


def _least_candidate(task: _Task, lower: float, tolerance: float, cells: int) -> Certificate:
    states = len(task.target)
    if states > LARGEST_SUPPORT:
        raise InvalidInput("law", f"{states} states", f"branch and bound is for at most {LARGEST_SUPPORT} states")
    if not 0 < tolerance < inf:
        raise InvalidInput("tolerance", tolerance, "a positive number is needed")
    if cells < 1:
        raise InvalidInput("cells", cells, "at least 1 is needed")
    if not task.poincare < inf:
        return Certificate(inf, 0)
    seen = 0
    for exponent in (1, 2, 4, 8, 16, 32, 64, 128):
        candidate = max(lower, task.poincare) * (1 + tolerance) ** exponent
        proved, looked = _proves(task, candidate, cells)
        seen += looked
        if proved:
            return Certificate(candidate, seen)
    return Certificate(inf, seen)


def _proves(task: _Task, candidate: float, budget: int) -> tuple[bool, int]:
    """Whether F >= 0 is settled on the whole simplex, and the number of cells that were looked at."""
    radius = _box_radius(candidate, task.poincare)
    if radius <= 0:
        return False, 0
    pending = np.eye(len(task.target))[None]  # [n, T vertices, T masses]
    looked = 0
    while len(pending):
        looked += len(pending)
        if looked > budget:
            return False, looked
        settled = _in_box(pending, task.target, radius)
        settled[~settled] = _bounded(pending[~settled], task, candidate)
        pending = _halve(pending[~settled])
    return True, looked


def _box_radius(candidate: float, poincare: float) -> float:
    """The largest rho (to a factor 1 - 1e-6) with (1 - 1/C) g(rho) >= (1 - 1/C_P) g(-rho)."""
    left, right = 1 - 1 / candidate, 1 - 1 / (poincare * (1 + POINCARE_ERROR))
    if not left > right:
        return 0.0

    def fits(rho: float) -> bool:
        around = 2 * entropy_density(np.array([rho, -rho])) / rho**2
        return bool(left * around[0] >= right * around[1] * (1 + 1e-12))

    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low * (1 - 1e-6)


def _in_box(cells: Array, target: Array, radius: float) -> NDArray[np.bool_]:
    """Cells whose vertices all have |r/q - 1| <= rho; the box is convex."""
    return np.asarray((np.abs(cells - target) <= radius * target * (1 - 4 * UNIT_ROUNDOFF)).all(axis=(1, 2)))


def _bounded(cells: Array, task: _Task, candidate: float) -> NDArray[np.bool_]:
    """Cells on which the concave lower bound settles F >= 0, after rounding is taken off."""
    if not len(cells):
        return np.zeros(0, dtype=bool)
    matrix, target, observed = task.matrix, task.target, task.observed
    centre = cells.mean(axis=1)
    seen = centre @ matrix.T
    slope, hidden = np.log(centre / target), np.log(seen / observed) @ matrix
    linear = (1 - 1 / candidate) * slope - hidden
    images = cells @ matrix.T
    divergence = xlogy(images, images / seen[:, None, :])
    bound = (cells @ linear[:, :, None])[:, :, 0] - divergence.sum(axis=2) / candidate
    # The size of everything that was added: logarithms carry a unit for the rounding of their arguments.
    sizes = np.abs(slope) + np.abs(np.log(seen / observed)) @ matrix + 2.0
    size = (cells @ sizes[:, :, None])[:, :, 0] + np.abs(divergence).sum(axis=2) / candidate
    operations = 2 * cells.shape[2] + 2 * seen.shape[1] + 8 + task.operations
    return np.asarray((bound > operations * UNIT_ROUNDOFF * size).all(axis=1))


def _halve(cells: Array) -> Array:
    """Both halves of every cell, cut across the edge that is longest in the metric sum (dr)^2 / c of KL at its mean."""
    if not len(cells):
        return cells
    count, vertices, _ = cells.shape
    first, second = np.triu_indices(vertices, 1)
    scaled = cells / np.sqrt(cells.mean(axis=1))[:, None, :]
    products = scaled @ scaled.transpose(0, 2, 1)
    squares = np.einsum("nii->ni", products)
    longest = (squares[:, first] + squares[:, second] - 2 * products[:, first, second]).argmax(axis=1)
    index = np.arange(count)
    middle = (cells[index, first[longest]] + cells[index, second[longest]]) / 2
    left, right = cells.copy(), cells.copy()
    left[index, first[longest]] = middle
    right[index, second[longest]] = middle
    return np.concatenate([left, right])
