"""Exact costs and best schedules on a stationary Markov chain of order 1, at any length.

With h(d) = H(x_d | x_0), h(inf) = H(x_0), and nearest revealed l < i < r,
    H(x_i | x_A) = h(i - l) + h(r - i) - h(r - l),
a missing side standing at infinite distance; and H(x_A) = h(inf) + sum of h over neighbouring sites of A. So
    KL(p || q_S) = sum_t [sum_{i in S_t} H(x_i | x_{S_<t}) - H(x_{S_t} | x_{S_<t})]
for every schedule that does not look at tokens (`schedule_costs`). The average entropy of n sites is
    c(n) = h(inf) + sum_{d=1}^{N-n+1} h(d) (N - d) C(N - d - 1, n - 2) / C(N, n),   n >= 2,
since (N - d) C(N - d - 1, n - 2) of the C(N, n) sets have a neighbouring pair at distance d (`information_curve`).

Best fixed schedule: gaps between revealed sites are independent given their ends, so
    V_t(ends, g) = min over D of TC(D | ends) + sum over the subgaps of V_{t-1},
the minimum over D by a shortest path; O(T N^3) in all (`best_schedule`).

Legend: ``N`` sites, ``T`` steps, ``g`` hidden sites in a gap.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from theory.decoding.schedules import Schedule
from theory.errors import InvalidInput
from theory.laws.length.markov import MarkovLaw
from theory.memory import require_memory

Array = NDArray[np.float64]


def schedule_costs(law: MarkovLaw, schedule: Schedule) -> Array:
    """TC(x_{S_t} | x_{S_<t}) of every step in nats, [T]; their sum is KL(p || q_S). O(N log N) a step.

    Raises:
        InvalidInput: another number of sites, or a chain of higher order.
    """
    gaps, single = law.gap_entropies, law.first_entropy
    if schedule.sites != law.sites:
        raise InvalidInput("schedule", f"{schedule.sites} sites", f"{law.sites} sites are needed")

    def between(left: Array, right: Array) -> Array:
        """h(right - left); an end that is not finite is infinitely far away."""
        distance = right - left
        near = np.isfinite(distance)
        return np.where(near, gaps[np.where(near, distance, 0).astype(np.int64)], single)

    costs = []
    revealed = np.array([-np.inf, np.inf])
    for step in schedule.steps:
        sites = np.array(step, dtype=np.float64)
        place = np.searchsorted(revealed, sites)
        left, right = revealed[place - 1], revealed[place]
        alone = between(left, sites) + between(sites, right) - between(left, right)
        merged = np.insert(revealed, place, sites)
        together = between(merged[:-1], merged[1:]).sum() - between(revealed[:-1], revealed[1:]).sum()
        costs.append(alone.sum() - together)
        revealed = merged
    return np.array(costs)


def information_curve(law: MarkovLaw) -> Array:
    """c(n), the average entropy of n sites in nats, [N + 1].

    Raises:
        InvalidInput: a chain of higher order.
    """
    gaps, sites = law.gap_entropies, law.sites
    n = np.arange(2, sites + 1)[:, None]
    d = np.arange(1, sites)[None, :]
    allowed = d <= sites - n + 1
    rest = np.where(allowed, sites - d - 1, n - 2)
    logs = _log_choose(rest, n - 2) - _log_choose(np.full_like(n, sites), n) + np.log(sites - d)
    shares = np.where(allowed, np.exp(logs), 0.0)
    curve = np.zeros(sites + 1)
    curve[1] = law.first_entropy
    if sites > 1:
        curve[2:] = law.first_entropy + shares @ gaps[1:sites]
    return curve


def best_schedule(law: MarkovLaw, steps: int) -> Schedule:
    """A schedule of at most T steps with the least KL(p || q_S) among all that do not look at tokens.

    Raises:
        InvalidInput: a chain of higher order, or a number of steps outside 1..N.
        ExceedsMemory: the values of the gaps do not fit.
    """
    from theory.decoding.optimal_kernels import path_sites

    gaps, values = _gap_values(law, steps)
    shortest = np.empty(law.sites + 2)
    found: list[list[int]] = [[] for _ in range(steps)]
    # Gaps still to be filled: steps left, revealed ends, hidden sites, first site, reflected (its one end is right).
    pending = [(steps, 0, law.sites, 0, False)]
    while pending:
        left, ends, g, first, reflected = pending.pop()
        if g == 0:
            continue
        chosen = np.zeros(g + 1, dtype=bool)
        if g < 1 << min(left, 62):
            chosen[(g + 1) // 2] = True
        else:
            path_sites(gaps, values[left - 1], ends, g, shortest, chosen)
        inner = np.flatnonzero(chosen).tolist()
        if not inner:
            pending.append((left - 1, ends, g, first, reflected))
            continue
        if reflected:
            inner = [g + 1 - j for j in reversed(inner)]
        found[steps - left] += [first + j - 1 for j in inner]
        left_end, right_end = ends == 2 or (ends == 1 and not reflected), ends == 2 or (ends == 1 and reflected)
        pending.append((left - 1, 1 + left_end, inner[0] - 1, first, not left_end))
        pending.append((left - 1, 1 + right_end, g - inner[-1], first + inner[-1], False))
        for j, k in pairwise(inner):
            pending.append((left - 1, 2, k - j - 1, first + j, False))
    return Schedule(law.sites, tuple(tuple(sorted(sites)) for sites in found if sites))


def least_costs(law: MarkovLaw, steps: int) -> Array:
    """min KL(p || q_S) over the fixed schedules of at most t steps, for t = 1..T, in nats, [T].

    Raises:
        InvalidInput, ExceedsMemory: as `best_schedule`.
    """
    return _gap_values(law, steps)[1][1:, 0, law.sites].copy()


def _gap_values(law: MarkovLaw, steps: int) -> tuple[Array, Array]:
    from theory.decoding.optimal_kernels import gap_values

    if not 1 <= steps <= law.sites:
        raise InvalidInput("steps", steps, f"1 to {law.sites}: each reveals at least one site")
    require_memory(24.0 * (steps + 1) * (law.sites + 1), "sites", law.sites, "the values of the gaps")
    gaps = np.append(law.gap_entropies, law.first_entropy)
    values = np.empty((steps + 1, 3, law.sites + 1))
    gap_values(gaps, values, steps)
    return gaps, values


def _log_choose(n: NDArray[np.integer], k: NDArray[np.integer]) -> Array:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
