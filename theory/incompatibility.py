r"""Incompatibility of conditionals (claim C10): how far they are from having a joint law, and what follows.

**Rectangle test.** For sites i < j, symbols a != a' at i and b != b' at j, and a context z of the other sites, walk
around the four states (a,b) -> (a',b) -> (a',b') -> (a,b') -> (a,b) and multiply the conditional odds of each move:

    rho = ln p_i(a'|b,z)/p_i(a|b,z) + ln p_j(b'|a',z)/p_j(b|a',z)
        + ln p_i(a|b',z)/p_i(a'|b',z) + ln p_j(b|a,z)/p_j(b'|a,z).

If the conditionals come from a joint law p, every term is a difference of ln p and rho = 0. Conversely, positive
single-site conditionals p_i(. | x_{-i}) are those of a (then unique and positive) joint law if every rho is 0:
rectangles and the triangles inside one site, around which odds multiply to 1 by themselves, generate all cycles of the
Hamming graph, and a function on its edges that sums to 0 around every cycle is a difference of potentials. This is
Kolmogorov's criterion for single-site Gibbs sampling. Rectangles in which a conditional is 0 are left out and counted.

**Order of decoding.** p(x_i | x_{-ij}) p(x_j | x_i, x_{-ij}) and the same with i and j exchanged are one law of the
pair for compatible conditionals; their total variation is what the order of unmasking two tokens decides.

**Scan order.** Incompatible conditionals give every sampler its own stationary law. Systematic scans that differ in
nothing but the order of the sites show it plainly: for compatible conditionals they agree exactly.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``O`` orders.
Sources: Arnold and Press, "Compatible conditional distributions", JASA 84 (1989); Kelly, *Reversibility and Stochastic
Networks* (1979), section 1.5; Heckerman et al., "Dependency networks", JMLR 1 (2000); Li et al. 2024
(arXiv:2407.21046).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from theory.chains.iterative import arnoldi_gaps
from theory.chains.operator import DenseOperator
from theory.chains.stationary import stationary_law
from theory.conditionals import ConditionalModel
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.masks import Listed, MaskLaw
from theory.memory import require_memory
from theory.pictures import Pictured
from theory.samplers.block_gibbs import block_gibbs
from theory.samplers.systematic_scan import systematic_scan
from theory.states import check_sites

Array = NDArray[np.float64]

CHUNK = 2**26
"""Bytes of rectangles that are looked at together."""
DENSE_STATES = 2**11
"""Up to this many states a scan's stationary law comes from its matrix, beyond from iteration."""


@dataclass(frozen=True)
class RectangleTest(Pictured):
    """Result of the rectangle test.

    Attributes:
        maximum: the largest |rho|, in nats.
        mean: the mean |rho| over all rectangles (or weighted, see `rectangle_test`).
        rectangles: how many were tested.
        skipped: how many were left out because a conditional is 0.
        sites: the pair (i, j) of the largest.
    """

    maximum: float
    mean: float
    rectangles: int
    skipped: int
    sites: tuple[int, int]


def rectangle_test(conditionals: ConditionalModel, weights: Array | None = None) -> RectangleTest:
    """The rectangle test on every rectangle.

    Args:
        conditionals: any model with N >= 2 sites; only its single-site conditionals enter.
        weights: a law on the states, [S]; rectangles then count in the mean by the mass of their four states.

    Raises:
        InvalidInput: fewer than 2 sites, weights of a wrong shape, or no rectangle with positive conditionals only.
    """
    sites, symbols = conditionals.sites, conditionals.symbols
    if sites < 2:
        raise InvalidInput("sites", sites, "a rectangle needs 2 sites")
    shape = (symbols,) * sites
    if weights is not None and weights.shape != (symbols**sites,):
        raise InvalidInput("weights", f"shape {weights.shape}", f"one per state, shape ({symbols**sites},), is needed")
    states = symbols**sites
    require_memory(8.0 * states * (2 * sites + 4) + 4.0 * CHUNK, "sites", sites, "the rectangle test")
    logs = [_own_log_conditionals(conditionals, site) for site in range(sites)]
    masses = None if weights is None else weights.reshape(shape)
    upper = np.triu_indices(symbols, 1)
    largest, where = -1.0, (0, 1)
    total = mass = 0.0
    tested = skipped = 0
    step = max(1, CHUNK // (8 * len(upper[0]) ** 2))
    for i, j in combinations(range(sites), 2):
        # Axes to the order (x_i, x_j, context); ln p_i around the rectangle enters with sign +, ln p_j with sign -.
        difference = np.moveaxis(_subtract(logs[i], logs[j]), (i, j), (0, 1)).reshape(symbols, symbols, -1)
        grouped = None if masses is None else np.moveaxis(masses, (i, j), (0, 1)).reshape(symbols, symbols, -1)
        for first in range(0, difference.shape[2], step):
            contexts = slice(first, first + step)
            rho = _rectangles(difference[:, :, contexts], upper)
            finite = np.isfinite(rho)
            if grouped is None:
                weight = finite.astype(np.float64)
            else:
                weight = np.where(finite, _corner_sum(grouped[:, :, contexts], upper), 0.0)
            sizes = np.abs(np.where(finite, rho, 0.0))
            total += float((weight * sizes).sum())
            mass += float(weight.sum())
            tested += int(finite.sum())
            skipped += int((~finite).sum())
            if finite.any() and sizes.max() > largest:
                largest, where = float(sizes.max()), (i, j)
    if tested == 0 or mass == 0:
        raise InvalidInput("conditionals", "zeros in every rectangle", "some rectangle must have positive conditionals")
    return RectangleTest(largest, total / mass, tested, skipped, where)


def decoding_order_gap(conditionals: ConditionalModel, pair: tuple[int, int]) -> Array:
    """TV between the two orders of unmasking a pair of sites, for every context of the others, shape [q**(N-2)].

    Raises:
        InvalidInput: not two different sites of the model.
    """
    chosen = check_sites(pair, conditionals.sites, "pair")
    if len(chosen) != 2:
        raise InvalidInput("pair", pair, "two different sites are needed")
    i, j = chosen
    q = conditionals.symbols
    first, second = conditionals.token_conditionals(chosen)
    others = [site for site in range(conditionals.sites) if site not in chosen]

    def given(site: int, other: int) -> Array:
        """p(x_site | x_other, z), shape [contexts z, x_other, x_site]."""
        token = conditionals.token_conditionals((site,))[0].reshape((q,) * conditionals.sites)
        visible = sorted([*others, other])
        return np.moveaxis(token, visible.index(other), -2).reshape(-1, q, q)

    forward = first[:, :, None] * given(j, i)
    backward = (second[:, :, None] * given(i, j)).transpose(0, 2, 1)
    return np.asarray(0.5 * np.abs(forward - backward).sum(axis=(1, 2)))


def scan_order_laws(conditionals: ConditionalModel, orders: Sequence[Sequence[int]]) -> Array:
    """Stationary law of the systematic scan in each order of the sites, shape [O, S].

    Raises:
        InvalidInput: an order that is not a permutation of the sites, or a scan with several closed classes.
    """
    found: dict[tuple[int, ...], Array] = {}
    for order in (tuple(order) for order in orders):
        if sorted(order) != list(range(conditionals.sites)):
            raise InvalidInput("orders", order, f"each must be a permutation of 0..{conditionals.sites - 1}")
        if order in found:
            continue
        law = found[order] = _scan_law(conditionals, order)
        # Where pi is stationary for the order (a, b, ..., z), pi P_a is so for (b, ..., z, a).
        for turn in range(1, len(order)):
            law = block_gibbs(conditionals, _always(conditionals.sites, order[turn - 1])).propagate(law)
            found[order[turn:] + order[:turn]] = law
    return np.array([found[tuple(order)] for order in orders])


def _always(sites: int, site: int) -> MaskLaw:
    return Listed(sites, ((site,),), np.ones(1), f"site {site}")


def scan_order_gap(laws: Array) -> float:
    """Largest total variation between any two laws of `scan_order_laws`."""
    return max((total_variation(left, right) for left, right in combinations(laws, 2)), default=0.0)


def _scan_law(conditionals: ConditionalModel, order: Sequence[int]) -> Array:
    scan = systematic_scan(conditionals, [(site,) for site in order])
    # From the steps, also where the conditionals have a joint law: the comparison shall not be a matter of course.
    if scan.states <= DENSE_STATES:
        return stationary_law(DenseOperator(scan.to_dense())).law
    return arnoldi_gaps(scan)[0].law


def _own_log_conditionals(conditionals: ConditionalModel, site: int) -> Array:
    """ln p_i(x_i | x_{-i}) of every state, shape [q, ..., q]."""
    token = conditionals.token_conditionals((site,))[0].reshape((conditionals.symbols,) * conditionals.sites)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.moveaxis(token, -1, site)))


def _subtract(left: Array, right: Array) -> Array:
    with np.errstate(invalid="ignore"):  # -inf - -inf: a rectangle that is left out
        return np.asarray(left - right)


def _rectangles(values: Array, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Array:
    """v(a',b) - v(a,b) + v(a,b') - v(a',b') for a < a', b < b', shape [pairs, pairs, contexts]."""
    low, high = pairs
    columns = _subtract(values[high], values[low])
    return _subtract(columns[:, low], columns[:, high])


def _corner_sum(values: Array, pairs: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Array:
    low, high = pairs
    columns = values[high] + values[low]
    return np.asarray(columns[:, low] + columns[:, high])
