"""Chains on exchangeable laws, lumped exactly to the number of plus spins (N + 1 states).

The samplers below treat all sites alike and the law is exchangeable, so that the number of plus spins is itself a
Markov chain (strong lumpability, Kemeny and Snell, *Finite Markov Chains*, section 6.3), whatever the start. Built
directly from the increments v of the log-weight, without the 2^N states:

- `single_site`: a uniform site is redrawn; a birth-and-death chain.
- `block_gibbs_counts`: a uniform set K of k sites is redrawn jointly. K holds j plus spins with hypergeometric
  probability; given the r = n - j plus spins outside, K has j' of them with probability proportional to
  C(k, j') exp(w(r + j')). So P = A B with A(n, r) the thinning and B(r, n') the refilling, both banded (width k + 1).
- `log_independent_parallel`: all sites at once; a plus site stays plus with probability a = sigma(v(n - 1)), a minus
  site turns plus with probability b = sigma(v(n)), and n' = Bin(n, a) + Bin(N - n, b).

What the lumped chain says about the full one: expectations and hitting times of anything that depends on n only, from
every start, are exact. Distances are exact from the sequences all minus (n = 0) and all plus (n = N), whose laws stay
exchangeable; from any other sequence the full chain is at least as far from p as the lumped chain is from pi. Its
eigenvalues are eigenvalues of the full chain (those with exchangeable eigenfunctions), so that its gap is an upper
bound on the full gap.

Legend: ``N`` sites, ``n`` plus spins, ``k`` masked sites.
Sources: Levin, Luczak and Peres (2010); Li et al. 2024, section 3 (claim C8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import gammaln, log_expit

from theory.chains.birth_death.chain import BirthDeathChain
from theory.chains.operator import TransitionOperator
from theory.errors import InvalidInput
from theory.laws.exchangeable import ExchangeableLaw, log_binomials, normalised_logarithms, running_sum_parts
from theory.memory import require_memory

Array = NDArray[np.float64]


def single_site(law: ExchangeableLaw) -> BirthDeathChain:
    """Random-scan Glauber dynamics on the counts.

    No eigenvalue is negative: the full chain averages projections (conditional expectations).
    """
    sites = law.sites
    plus = np.arange(sites)
    log_up = np.log((sites - plus) / sites) + log_expit(law.increments)
    log_down = np.log((plus + 1) / sites) + log_expit(-law.increments)
    return BirthDeathChain(log_up, log_down, nonnegative=True)


class BlockGibbsCounts(TransitionOperator):
    """P = A B: thin the plus spins to those outside the mask, then refill the mask.

    Attributes:
        thinning: A, sparse [N+1, N-k+1].
        refilling: B, sparse [N-k+1, N+1].
        log_stationary: ln pi, shape [N+1].
    """

    def __init__(self, law: ExchangeableLaw, block_size: int) -> None:
        sites = law.sites
        if not 1 <= block_size <= sites:
            raise InvalidInput("block_size", block_size, f"the mask size must lie in 1..{sites}")
        outside = sites - block_size
        require_memory(100.0 * (outside + 1) * (block_size + 1), "block_size", block_size, "the banded factors")
        self.states = sites + 1
        self.reversible = True
        self.log_stationary = law.log_masses
        self.stationary: Array = law.masses
        self.block_size = block_size

        kept = np.repeat(np.arange(outside + 1), block_size + 1)
        inside = np.tile(np.arange(block_size + 1), outside + 1)
        count = kept + inside
        # C(N-k, r) C(k, j) / C(N, n) is the hypergeometric probability of j = n - r plus spins in the mask.
        choices = _log_choose(block_size, inside)
        thin = np.exp(_log_choose(outside, kept) + choices - _log_choose(sites, count))
        shape = (outside + 1, block_size + 1)
        high, low = running_sum_parts(law.increments)
        # w(r + j) - w(r), formed part by part: w itself may be in the millions.
        gained = (high[count] - high[kept]) + (low[count] - low[kept])
        log_fill = (choices + gained).reshape(shape)
        fill = np.exp(log_fill - log_fill.max(axis=1, keepdims=True))
        fill /= fill.sum(axis=1, keepdims=True)
        thinning = sparse.csr_array((thin, (count, kept)), shape=(sites + 1, outside + 1))
        self.thinning = sparse.csr_array(sparse.diags_array(1 / thinning.sum(axis=1)) @ thinning)
        self.refilling = sparse.csr_array((fill.ravel(), (kept, count)), shape=(outside + 1, sites + 1))

    def apply(self, function: Array) -> Array:
        return np.asarray(self.thinning @ (self.refilling @ function))

    def propagate(self, law: Array) -> Array:
        return np.asarray((self.refilling.T @ (self.thinning.T @ law.T)).T)

    def _dense(self) -> Array:
        return np.asarray((self.thinning @ self.refilling).toarray())


def block_gibbs_counts(law: ExchangeableLaw, block_size: int) -> BlockGibbsCounts:
    """k-Gibbs with k-uniform masks on the counts.

    Raises:
        InvalidInput: ``block_size`` outside 1..N.
        ExceedsMemory: the banded factors would not fit.
    """
    return BlockGibbsCounts(law, block_size)


def log_parallel_law(law: ExchangeableLaw) -> Array:
    """ln of the stationary law of independent parallel updates, shape [N+1]; pair interactions only.

    Source: Peretto, Biol. Cybern. 50 (1984), for the Little model.

    Raises:
        InvalidInput: the log-weight is not quadratic, so that the chain need not be reversible.
    """
    if not law.is_quadratic:
        raise InvalidInput("law", law.name, "the stationary law is known for quadratic log-weights only")
    sites = law.sites
    counts = np.arange(sites + 1)
    field = float(law.increments.mean()) / 2  # v(n) = 2 J (M + 1) + 2 h averages to 2 h
    doubled_cosh = np.logaddexp(law.increments / 2, -law.increments / 2)
    stay_plus = np.concatenate([[0.0], counts[1:] * doubled_cosh])
    turn_plus = np.concatenate([(sites - counts[:-1]) * doubled_cosh, [0.0]])
    return normalised_logarithms(log_binomials(sites) + field * law.magnetisations + stay_plus + turn_plus)


def log_independent_parallel(law: ExchangeableLaw) -> Array:
    """ln P(n, n') of independent parallel updates, shape [N+1, N+1], to relative accuracy in every entry of P.

    Row n is the coefficient list of (1 + alpha z)^n (1 + beta z)^(N - n) up to a factor, with the odds
    alpha = exp(v(n - 1)) and beta = exp(v(n)). Its logarithmic derivative gives

        (i + 1) G_{i+1} = ((n - i) alpha + (N - n - i) beta) G_i + alpha beta (N - i + 1) G_{i-1},

    whose terms are positive for i below (n alpha + (N - n) beta) / (alpha + beta); above it the recursion from the
    other end, with reciprocal odds, has positive terms. The two meet, so that nothing cancels.

    Raises:
        ExceedsMemory: the matrix would not fit.
    """
    sites = law.sites
    require_memory(24.0 * (sites + 1) ** 2, "sites", sites, "the matrix of independent parallel updates")
    counts = np.arange(sites + 1)
    # The odds of a class without sites do not matter; any finite value does.
    log_alpha = np.append(law.increments[0], law.increments)
    log_beta = np.append(law.increments, law.increments[-1])
    log_rows = _positive_recursion(sites, counts, log_alpha, log_beta)
    weight = 1 / (1 + np.exp(np.clip(log_beta - log_alpha, -700, 700)))
    turn = np.floor(counts * weight + (sites - counts) * (1 - weight)).astype(np.int64)
    upper = _positive_recursion(sites, counts, -log_alpha, -log_beta)[:, ::-1]
    log_rows += _log_none(sites, counts, log_alpha, log_beta)[:, None]
    upper += _log_none(sites, counts, -log_alpha, -log_beta)[:, None]
    np.copyto(log_rows, upper, where=counts[None, :] > turn[:, None])
    return log_rows


def _log_none(sites: int, counts: NDArray[np.int64], log_alpha: Array, log_beta: Array) -> Array:
    """ln P(n, 0): no site is plus, for odds alpha and beta."""
    return np.asarray(-counts * np.logaddexp(0, log_alpha) - (sites - counts) * np.logaddexp(0, log_beta))


def _positive_recursion(sites: int, counts: NDArray[np.int64], log_alpha: Array, log_beta: Array) -> Array:
    """ln G_i for all rows as long as the terms are positive (later columns are not used), shape [N+1, N+1]."""
    scale = np.maximum(log_alpha, log_beta)
    alpha, beta = np.exp(log_alpha - scale), np.exp(log_beta - scale)
    result = np.full((sites + 1, sites + 1), -np.inf).T  # column by column; a row of the transposed is contiguous
    result[0] = 0.0
    before = np.full(sites + 1, -np.inf)
    for i in range(sites):
        slope = np.maximum((counts - i) * alpha + (sites - counts - i) * beta, 0.0)
        with np.errstate(divide="ignore"):
            first = np.log(slope) + scale + result[i]
        second = np.log(sites - i + 1) + log_alpha + log_beta + before
        before = result[i]
        result[i + 1] = np.logaddexp(first, second) - np.log(i + 1)
    return result.T


def _log_choose(total: int, chosen: NDArray[np.int64]) -> Array:
    return np.asarray(gammaln(total + 1.0) - gammaln(chosen + 1.0) - gammaln(total - chosen + 1.0))
