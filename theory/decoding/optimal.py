"""The best schedule of each length, by dynamic programming.

Total error of a schedule is additive over its steps, sum_t TC(x_{S_t} | x_{S_<t}), and each term depends only on the
revealed set and the step. So with V_t(B) the least error of revealing exactly B in t steps,
    V_{t+1}(B) = min over proper subsets A of B of V_t(A) + TC(x_{B - A} | x_A),
and V_T([N]) is the least KL(p || q_S) over all schedules of T steps. A size plan followed by a uniformly random order
has the same structure over sizes 0..N in place of subsets, with the information curve in place of the entropies.

Legend: ``N`` sites, ``T`` steps, bitmask of a subset as in `theory.decoding.entropies`.
Source: Bellman's principle; the size version: Chen, Cong and Li 2025 (arXiv:2511.04647), Lavenant and Zanella 2025
(arXiv:2510.25544).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.decoding.entropies import SubsetEntropies, subset
from theory.decoding.schedules import Schedule
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory
from theory.pictures import Pictured

Array = NDArray[np.float64]

CONCAVITY_TOLERANCE = 1e-9
"""Growth of the increments of an information curve, relative to the curve, that is taken for rounding."""

MAXIMUM_SITES = 18
"""The recursion over subsets has 3^N transitions for each T: 4e8 for 18 sites."""


@dataclass(frozen=True)
class Frontier(Pictured):
    """The least error that T steps can reach, for T = 1..N, and a schedule that reaches it.

    Attributes:
        errors: shape [N], entry T - 1 is min over schedules of T steps of KL(p || q_S), in nats.
        schedules: a minimiser for each T.
    """

    errors: Array
    schedules: tuple[Schedule, ...]


def optimal_schedules(law: JointLaw | SubsetEntropies) -> Frontier:
    """The least error and a best schedule for every number of steps; 3^N N operations, 12 N 2^N bytes.

    Raises:
        InvalidInput: more than 18 sites.
        ExceedsMemory: the tables do not fit.
    """
    sites = law.sites
    if sites > MAXIMUM_SITES:
        raise InvalidInput("sites", sites, f"3^N transitions are feasible for at most {MAXIMUM_SITES} sites")
    entropies = law if isinstance(law, SubsetEntropies) else SubsetEntropies(law)
    states = 1 << sites
    require_memory(12.0 * states * (sites + 1), "sites", sites, "the table of best partial schedules")
    best = np.full((sites + 1, states), np.inf)
    before = np.zeros((sites + 1, states), dtype=np.int32)
    best[0, 0] = 0.0
    # A proper subset has the smaller bitmask, so each column is final when it is reached.
    for revealed in range(states - 1):
        steps, costs = _step_costs(entropies.values, revealed, sites)
        reached = revealed | steps
        candidates = best[:-1, revealed, None] + costs
        better = candidates < best[1:, reached]
        best[1:, reached] = np.where(better, candidates, best[1:, reached])
        before[1:, reached] = np.where(better, revealed, before[1:, reached])
    schedules = tuple(_trace(before, length, sites) for length in range(1, sites + 1))
    # Each term is >= 0 in exact arithmetic; rounding may leave -1e-16.
    return Frontier(np.maximum(best[1:, -1], 0.0), schedules)


def _step_costs(values: Array, revealed: int, sites: int) -> tuple[NDArray[np.int64], Array]:
    """All non-empty steps D outside the revealed set A, as bitmasks, and TC(x_D | x_A) for each."""
    steps, separate = np.zeros(1, dtype=np.int64), np.zeros(1)
    for site in range(sites):
        if not revealed >> site & 1:
            steps = np.concatenate([steps, steps | 1 << site])
            gain = values[revealed | 1 << site] - values[revealed]
            separate = np.concatenate([separate, separate + gain])
    together = values[revealed | steps] - values[revealed]
    return steps[1:], (separate - together)[1:]


def _trace(before: NDArray[np.int32], length: int, sites: int) -> Schedule:
    steps: list[tuple[int, ...]] = []
    reached = (1 << sites) - 1
    for step in range(length, 0, -1):
        earlier = int(before[step, reached])
        steps.append(subset(reached & ~earlier))
        reached = earlier
    return Schedule(sites, tuple(reversed(steps)))


@dataclass(frozen=True)
class SizeFrontier(Pictured):
    """The least mean error of T steps in uniformly random order, for T = 1..N, and a size plan that reaches it.

    Attributes:
        errors: shape [N], in nats.
        sizes: a best size plan for each T.
    """

    errors: Array
    sizes: tuple[tuple[int, ...], ...]


def optimal_sizes(information_curve: Array) -> SizeFrontier:
    """The best size plan for random orders, for every number of steps, from the information curve h.

    For an exchangeable law all orders are alike, and this is the best schedule outright. O(N^2 log N) operations: the
    increments decrease, so the step cost is Monge (see `theory.decoding.optimal_kernels`).

    Args:
        information_curve: shape [N + 1], h(0) = 0, see `theory.decoding.entropies`.

    Raises:
        InvalidInput: fewer than two entries, entries that are not finite, or increments that grow.
        ExceedsMemory: the table of minimisers does not fit.
    """
    curve = np.asarray(information_curve, dtype=np.float64)
    if curve.ndim != 1 or curve.size < 2 or not np.isfinite(curve).all():
        raise InvalidInput("information_curve", f"shape {curve.shape}", "N + 1 >= 2 finite entries are needed")
    increments = np.diff(curve)
    if (np.diff(increments) > CONCAVITY_TOLERANCE * max(1.0, float(np.abs(curve).max()))).any():
        raise InvalidInput("information_curve", curve.tolist(), "the increments of an information curve decrease")
    from theory.decoding.optimal_kernels import best_sizes

    sites = curve.size - 1
    require_memory(8.0 * (sites + 1) ** 2, "information_curve", f"{sites} sites", "the table of best sizes")
    errors, before = np.empty(sites), np.zeros((sites + 1, sites + 1), dtype=np.int64)
    best_sizes(curve, errors, before)
    return SizeFrontier(errors, tuple(_trace_sizes(before, length, sites) for length in range(1, sites + 1)))


def _trace_sizes(before: NDArray[np.int64], length: int, sites: int) -> tuple[int, ...]:
    sizes: list[int] = []
    reached = sites
    for step in range(length, 0, -1):
        earlier = int(before[step, reached])
        sizes.append(reached - earlier)
        reached = earlier
    return tuple(reversed(sizes))
