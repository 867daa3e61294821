"""Dobrushin's influence matrix and what it says about random-scan single-site Glauber dynamics.

    R_ij = max TV( p(x_i | x_{-i}), p(x_i | y_{-i}) ) over contexts x_{-i}, y_{-i} that differ only at site j, R_ii = 0.

Where a joint law is known, contexts of probability zero are left out; otherwise all contexts count.

*Bounds.* Run two copies with the same random site and the best coupling of its two conditionals. With
d_i(t) = P(the copies differ at i after t steps), d(t+1) <= M d(t) entry by entry, M = (1 - 1/N) I + R/N, because the
change from one copy's context to the other's can be made one site at a time. That needs intermediate sequences inside
the support (`theory.inequalities.hamming.is_geodesic`; always so for a law with full support). Hence

    TV(nu P^t, p) <= 1^T M^t 1 for every start nu,
    t_mix(eps) <= min{ t : 1^T M^t 1 <= eps } <= N ln(N/eps) / (1 - |R|) in the operator norms 1, 2 and infinity,
    |lambda| <= 1 - (1 - rho(R))/N for every eigenvalue but one, so gap >= (1 - rho(R))/N and C_P <= N/(1 - rho(R)).

Legend: ``N`` sites, ``q`` symbols, ``S`` states, rho the spectral radius.
Sources: Dobrushin 1970; Hayes, *A simple condition implying rapid mixing of single-site dynamics on spin systems*,
FOCS 2006 (norm 2); Dyer, Goldberg and Jerrum, *Matrix norms and rapid mixing for spin systems*, Ann. Appl. Probab. 19
(2009), section 3 (any norm); Wu, *Poincaré and transportation inequalities for Gibbs measures under the Dobrushin
uniqueness condition*, Ann. Probab. 34 (2006) (gap by spectral radius).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf, log, log1p

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.inequalities.hamming import is_geodesic

Array = NDArray[np.float64]

SQUARINGS = 64
"""Gelfand's formula is evaluated at the power 2**64, where the choice of the norm no longer shows in float64."""

LONGEST = 40
"""Mixing-time bounds beyond 2**40 steps are reported as infinite: there rounding is no longer told from 1 - rho(R)."""

ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""Rounding of an influence and of a sum of influences, for each site: taken off where a bound needs 1 - |R|."""


def influence_matrix(conditionals: ConditionalModel) -> Array:
    """R, shape [N, N]: R_ij is the influence of site j on site i.

    Contexts of probability zero under a known joint law are left out; an influence without any pair of contexts is 0.
    """
    sites, symbols = conditionals.sites, conditionals.symbols
    result = np.zeros((sites, sites))
    for site in range(sites):
        others = [j for j in range(sites) if j != site]
        token = conditionals.token_conditionals((site,))[0].reshape((symbols,) * len(others) + (symbols,))
        null = None
        if conditionals.law is not None:
            found = conditionals.law.null_contexts((site,)).reshape(token.shape[:-1])
            null = found if found.any() else None
        # Two laws on two symbols differ by as much in the one as in the other.
        token = np.ascontiguousarray(token[..., 0]) if symbols == 2 else token
        for axis, other in enumerate(others):
            by_symbol = np.moveaxis(token, axis, 0)
            # One pair (a, b) of symbols at the changed site at a time keeps the memory at one table.
            for a in range(symbols):
                for b in range(a + 1, symbols):
                    distance = np.abs(by_symbol[a] - by_symbol[b])
                    distance = distance if symbols == 2 else 0.5 * distance.sum(axis=-1)
                    allowed = True
                    if null is not None:
                        allowed = ~(null.take(a, axis=axis) | null.take(b, axis=axis))
                    result[site, other] = max(result[site, other], distance.max(where=allowed, initial=0.0))
    return result


def spectral_radius(matrix: Array) -> float:
    """rho(A) of a non-negative matrix by repeated squaring (Gelfand's formula), from above up to rounding.

    Only sums and products of non-negative numbers occur, so the relative accuracy does not suffer from defective
    eigenvalues as that of an eigenvalue routine does.

    Raises:
        InvalidInput: not square, or an entry that is negative or not finite.
    """
    power = np.array(matrix, dtype=np.float64)
    if power.ndim != 2 or power.shape[0] != power.shape[1] or power.size == 0:
        raise InvalidInput("matrix", f"an array of shape {power.shape}", "a square matrix is needed")
    if not (np.isfinite(power) & (power >= 0)).all():
        raise InvalidInput("matrix", power.tolist(), "entries must be finite and >= 0")
    logarithm = 0.0
    for squaring in range(SQUARINGS):
        norm = float(power.sum(axis=1).max())
        if norm == 0:
            return 0.0
        logarithm += log(norm) / 2.0**squaring
        power = (power / norm) @ (power / norm)
    return float(np.exp(logarithm))


@dataclass(frozen=True, eq=False)
class DobrushinCriterion:
    """The influence matrix with the bounds that follow.

    Attributes:
        matrix: R, [N, N].
        geodesic: whether the support allows the coupling argument; without it no bound is claimed.
    """

    matrix: Array
    geodesic: bool

    @property
    def sites(self) -> int:
        """N."""
        return len(self.matrix)

    @cached_property
    def spectral_radius(self) -> float:
        """rho(R)."""
        return spectral_radius(self.matrix)

    @property
    def is_unique(self) -> bool:
        """Dobrushin's condition in its weakest form: rho(R) < 1 on a support that allows the argument."""
        return self.geodesic and self._distance_from_one > 0

    @property
    def _distance_from_one(self) -> float:
        """1 - rho(R), less its rounding."""
        return 1 - self.spectral_radius - ROUNDING * self.sites

    @property
    def gap_lower_bound(self) -> float:
        """(1 - rho(R))/N, a lower bound on the absolute spectral gap of Glauber dynamics; 0 where it says nothing."""
        return self._distance_from_one / self.sites if self.is_unique else 0.0

    def mixing_time_bound(self, epsilon: float = 0.25) -> float:
        """A t with 1^T M^t 1 <= eps, an upper bound on t_mix(eps); infinite where it says nothing.

        It is the smallest such t wherever the sum decreases with t, which a norm 1 or inf below 1 guarantees.

        Raises:
            InvalidInput: ``epsilon`` outside (0, 1).
        """
        check_epsilon(epsilon)
        if not self.is_unique:
            return inf
        identity = np.eye(self.sites)
        powers = [((1 - 1 / self.sites) * identity + self.matrix / self.sites) * (1 + ROUNDING * self.sites)]
        while powers[-1].sum() > epsilon:
            if len(powers) > LONGEST:
                return inf
            powers.append(powers[-1] @ powers[-1])
        # Binary descent: `reached` keeps a sum above eps, and the power one step further was seen to be at most eps.
        steps, reached = 0, identity
        for exponent in range(len(powers) - 1, -1, -1):
            candidate = powers[exponent] @ reached
            if candidate.sum() > epsilon:
                steps, reached = steps + 2**exponent, candidate
        return float(steps + 1)


def dobrushin(conditionals: ConditionalModel) -> DobrushinCriterion:
    """Influence matrix and bounds for the Glauber dynamics of masked-conditionals.

    Without a joint law (learned conditionals) the bounds speak of the chain on all of Omega^N and imply that it has one
    stationary law.
    """
    law = conditionals.law
    geodesic = law is None or is_geodesic(law.sites, law.symbols, np.flatnonzero(law.support))
    return DobrushinCriterion(influence_matrix(conditionals), geodesic)


def check_epsilon(epsilon: float) -> None:
    """Raise unless 0 < eps < 1."""
    if not 0 < epsilon < 1:
        raise InvalidInput("epsilon", epsilon, "a distance in (0, 1) is needed")


def geometric_mixing_time(diameter: float, rate: float, epsilon: float) -> float:
    """Smallest integer t with diameter (1 - rate)^t <= eps, for a rate in (0, 1]; infinite at rate <= 0."""
    if rate <= 0:
        return inf
    if rate >= 1:
        return 1.0
    return float(max(0, ceil(log(diameter / epsilon) / -log1p(-rate))))
