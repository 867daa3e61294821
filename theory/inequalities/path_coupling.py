"""Path coupling: contraction between neighbouring sequences, extended along paths.

If two copies of a chain that start at neighbours x ~ y (Hamming distance 1) can be coupled with
E d(X_1, Y_1) <= 1 - alpha, then from any two starts E d(X_t, Y_t) <= (1 - alpha)^t d(X_0, Y_0), so

    t_mix(eps) <= ln(D/eps) / -ln(1 - alpha) <= ln(D/eps) / alpha,      absolute gap >= alpha,

D the diameter (N for the Hamming distance). Two coefficients are computed:

- `path_coupling`, for block dynamics: the same mask K for both copies and the best coupling of the two block
  conditionals; a block that comes out different counts |K| sites, so for x, y that differ at j
      E d(X_1, Y_1) <= P(j not in K) + sum_{K without j} P(K) |K| TV( p(x_K | x_{-K}), p(x_K | y_{-K}) ).
  For single-site masks this is (1 - 1/N) + (1/N) sum_i TV( p(x_i | x_{-i}), p(x_i | y_{-i}) ).
- `ollivier_curvature`, for any chain: the best coupling of the two rows P(x, .) and P(y, .), a transport problem solved
  as a linear programme; this is the sharp value of alpha, the coarse Ricci curvature.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``T`` states of the support, alpha the contraction rate.
Sources: Bubley and Dyer, *Path coupling*, FOCS 1997; Levin, Peres and Wilmer, thm 14.6; Ollivier, *Ricci curvature of
Markov chains on metric spaces*, J. Funct. Anal. 256 (2009); the gap by curvature is Chen 1998 (Levin et al., thm 13.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import linprog

from theory.chains.operator import TransitionOperator, as_operator
from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.inequalities.dobrushin import ROUNDING, check_epsilon, geometric_mixing_time
from theory.inequalities.hamming import check_support, is_geodesic, neighbour_pairs, path_distances
from theory.masks import MaskLaw
from theory.states import require_states, state_count

Array = NDArray[np.float64]

TRANSPORT_ERROR = 1e-9
"""Error of a transport cost, in units of the diameter: the tolerances of the linear programme are 1e-10."""


@dataclass(frozen=True)
class Contraction:
    """A contraction rate with the bounds that follow.

    Attributes:
        rate: alpha; 1 - alpha is the largest mean distance after one step from neighbours.
        diameter: D, the largest distance in the support; infinite where its states are not joined by paths that the
            argument can use, and then nothing follows either.
        pair: state numbers of two neighbours that contract least, None where there are no neighbours.
        error: what alpha may be too large by; nothing follows where ``rate`` does not exceed it.
    """

    rate: float
    diameter: float
    pair: tuple[int, int] | None
    error: float = 0.0

    @property
    def contracts(self) -> bool:
        """Whether the bounds say something."""
        return self.rate > self.error and self.diameter < inf

    @property
    def gap_lower_bound(self) -> float:
        """alpha less its error, a lower bound on the absolute spectral gap; 0 where nothing follows."""
        return self.rate - self.error if self.contracts else 0.0

    def mixing_time_bound(self, epsilon: float = 0.25) -> float:
        """Smallest t with D (1 - alpha)^t <= eps, an upper bound on t_mix(eps); infinite where nothing follows.

        Raises:
            InvalidInput: ``epsilon`` outside (0, 1).
        """
        check_epsilon(epsilon)
        if self.diameter == 0:
            return 0.0
        return geometric_mixing_time(self.diameter, self.rate - self.error, epsilon) if self.contracts else inf


def path_coupling(conditionals: ConditionalModel, masks: MaskLaw) -> Contraction:
    """Contraction of block dynamics under the same mask and the best coupling of the blocks.

    Args:
        conditionals: where p(x_K | x_{-K}) comes from; without a joint law all of Omega^N is the support.
        masks: P_K, for instance `theory.masks.k_uniform`.

    Raises:
        InvalidInput: masks over another number of sites.
    """
    sites, symbols = conditionals.sites, conditionals.symbols
    if masks.sites != sites:
        raise InvalidInput("masks.sites", masks.sites, f"the conditionals have {sites} sites")
    require_states(sites, symbols, 24.0 * symbols, "expected distances of neighbours")
    support = None if conditionals.law is None else np.flatnonzero(conditionals.law.support)
    usable = is_geodesic(sites, symbols, support)
    pairs = neighbour_pairs(sites, symbols, support)
    if len(pairs) == 0:
        single = len(check_support(sites, symbols, support)) == 1
        return Contraction(1.0 if single else 0.0, 0.0 if single else inf, None)
    digits = np.stack(np.unravel_index(pairs, (symbols,) * sites), axis=2)
    changed = np.argmax(digits[:, 0] != digits[:, 1], axis=1)
    distance = 1 - masks.inclusion[changed]
    for mask, probability in zip(masks.masks, masks.probabilities, strict=True):
        kept = [site for site in range(sites) if site not in mask]
        if not mask or not kept:
            continue
        table = conditionals.joint_conditional(mask)
        outside = np.flatnonzero(~np.isin(changed, mask))
        shape = (symbols,) * len(kept)
        context = np.ravel_multi_index(tuple(np.moveaxis(digits[outside][:, :, kept], 2, 0)), shape)
        differing = 0.5 * np.abs(table[context[:, 0]] - table[context[:, 1]]).sum(axis=1)
        distance[outside] += probability * len(mask) * differing
    worst = int(distance.argmax())
    first, second = (int(state) for state in pairs[worst])
    return Contraction(float(1 - distance[worst]), float(sites) if usable else inf, (first, second), ROUNDING * sites)


def ollivier_curvature(
    chain: TransitionOperator | ArrayLike, sites: int, symbols: int, support: NDArray[np.integer] | None = None
) -> Contraction:
    """Sharp contraction of any chain on sequences: min over neighbours of 1 - W_1(P(x, .), P(y, .)), to about 1e-9.

    Distances are lengths of paths inside the support. One small linear programme per pair of neighbours: meant for up
    to a few hundred states.

    Args:
        chain: operator or matrix on the q**N states.
        sites, symbols: N and q.
        support: state numbers of a closed set to which the chain is restricted; all states by default.

    Raises:
        InvalidInput: a chain on another number of states, or a support that the chain leaves.
    """
    operator = as_operator(chain)
    if operator.states != state_count(sites, symbols):
        raise InvalidInput("chain", f"{operator.states} states", f"{symbols}^{sites} states are needed")
    chosen = check_support(sites, symbols, support)
    matrix = operator.to_dense()[np.ix_(chosen, chosen)]
    if np.abs(matrix.sum(axis=1) - 1).max() > 1e-9:
        raise InvalidInput("support", f"{len(chosen)} states", "the chain must not leave the support")
    distances = path_distances(sites, symbols, chosen)
    diameter = float(distances.max())
    if len(chosen) == 1 or not diameter < inf:
        return Contraction(1.0 if len(chosen) == 1 else 0.0, diameter, None)
    pairs = neighbour_pairs(sites, symbols, chosen)
    ends = np.searchsorted(chosen, pairs)
    costs = np.array([wasserstein(matrix[left], matrix[right], distances) for left, right in ends])
    worst = int(costs.argmax())
    pair = (int(pairs[worst, 0]), int(pairs[worst, 1]))
    return Contraction(float(1 - costs[worst]), diameter, pair, TRANSPORT_ERROR * diameter)


def wasserstein(left: Array, right: Array, distances: Array) -> float:
    """W_1 of two laws [T] under a metric [T, T]: least mean distance over all couplings, by linear programming.

    Raises:
        InvalidInput: total masses that differ, or a programme that the solver cannot finish.
    """
    if abs(left.sum() - right.sum()) > 1e-9:
        raise InvalidInput("left", f"mass {left.sum()!r}", f"both laws need the same mass (right has {right.sum()!r})")
    # Under a metric, common mass stays where it is in some optimal coupling.
    surplus, demand = np.maximum(left - right, 0), np.maximum(right - left, 0)
    sources, sinks = np.flatnonzero(surplus > 1e-15), np.flatnonzero(demand > 1e-15)
    if len(sources) == 0 or len(sinks) == 0:
        return 0.0
    moved = float(surplus[sources].sum())
    supply, need = surplus[sources] / moved, demand[sinks] / demand[sinks].sum()
    source, sink = np.indices((len(sources), len(sinks))).reshape(2, -1)
    # The last sink's constraint follows from the others; without it, rounding in the masses cannot make them clash.
    free = np.flatnonzero(sink < len(sinks) - 1)
    rows = np.concatenate([source, len(sources) + sink[free]])
    columns = np.concatenate([np.arange(len(source)), free])
    shape = (len(sources) + len(sinks) - 1, len(source))
    constraints = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
    solution = linprog(
        distances[np.ix_(sources, sinks)].ravel(),
        A_eq=constraints,
        b_eq=np.concatenate([supply, need[:-1]]),
        bounds=(0, None),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if not solution.success:
        raise InvalidInput("left, right", "two laws", f"the transport problem was not solved ({solution.message})")
    return float(moved * solution.fun)
