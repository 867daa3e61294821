"""The Poincaré constant of block dynamics.

    C_P = sup_f Var(f) / E Var(f | x_{-K}, K) = 1 / gap,

gap = 1 - lambda_2 the spectral gap of the block dynamics P on the support of the target. P = A* A for the masking
channel A, so in coordinates sqrt(q) it is the Gram matrix B^T B of B = diag(A q)^{-1/2} A diag(q)^{1/2}: symmetric, no
negative eigenvalue, and the eigenfunction of lambda_2 attains the supremum. Where the dynamics falls apart into classes
that it cannot leave, functions constant on each class have local variance 0 and C_P is infinite.

Legend: ``S`` states, ``T`` states in the support, q the target law.
Source: Li et al. 2024, section 3; Levin, Peres and Wilmer, ch. 13.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from theory.chains.gaps import Enclosure, Interval, reciprocal
from theory.chains.iterative import lanczos_gaps
from theory.chains.nonnormal import NEAR_ONE
from theory.chains.operator import TransitionOperator
from theory.chains.slow_modes import NotReversible, slowest_mode
from theory.errors import InvalidInput
from theory.inequalities.masking_channel import MaskingChannel
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.pictures import Pictured

Array = NDArray[np.float64]

DENSE_LIMIT = 1024
"""Up to this many states the Gram matrix is diagonalised densely; above, Lanczos iteration finds its top end."""

ROUNDING = 4.0
"""Error of a dense eigenvalue in units of T eps."""


@dataclass(frozen=True, eq=False)
class PoincareConstant(Pictured):
    """C_P with a function that attains it.

    Attributes:
        value: C_P, infinite where the block dynamics is reducible; NaN where rounding leaves no digit of it.
        gap: 1 / C_P.
        function: extremal f on all states [S], mean 0 and variance 1 under the target, 0 outside its support.
        interval: (low, high) around C_P: certified ends of other constants are made from them.
        reason: why C_P is infinite, empty where it is finite.
    """

    value: float
    gap: float
    function: Array
    interval: Interval
    reason: str = ""


def slowest_functions(channel: MaskingChannel, count: int) -> tuple[Array, Array]:
    """The ``count`` slowest non-constant eigenfunctions of the block dynamics on the support.

    Returns:
        Eigenvalues of P, descending, shape [count]; eigenfunctions of mean 0 and variance 1 under the target, shape
        [count, S]. The numbers are cut to T - 1, all that there are.

    Raises:
        InvalidInput: ``count`` below 1, or a support of one state, on which every function is constant.
    """
    states = len(channel.support)
    if count < 1:
        raise InvalidInput("count", count, "at least 1 eigenfunction")
    if states < 2:
        raise InvalidInput("law", channel.law.name, "the support needs at least 2 states")
    count = min(count, states - 1)
    root = np.sqrt(channel.target)
    factor = (sparse.diags_array(1 / np.sqrt(channel.observed)) @ channel.matrix @ sparse.diags_array(root)).tocsr()
    # The constant function is taken out of the matrix, so that it is not returned even where lambda_2 = 1.
    if states <= max(DENSE_LIMIT, count + 1):
        gram = (factor.T @ factor).toarray() - np.outer(root, root)
        values, vectors = eigh(gram, subset_by_index=[states - count, states - 1])
    else:
        deflated = LinearOperator(
            (states, states), matvec=lambda v: factor.T @ (factor @ v) - root * (root @ v), dtype=np.float64
        )
        start = np.random.default_rng(0).normal(size=states)
        values, vectors = eigsh(deflated, k=count, which="LA", v0=start, tol=1e-12)
    order = np.argsort(values)[::-1]
    functions = vectors[:, order].T / root
    functions -= (functions @ channel.target)[:, None]
    functions /= np.sqrt(functions**2 @ channel.target)[:, None]
    return np.clip(values[order], 0.0, 1.0), channel.extend(functions)


def poincare_constant(law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw) -> PoincareConstant:
    """C_P = 1/gap of block dynamics with target ``law``.

    A small gap is computed to relative accuracy, all slow modes together (`theory.chains.slow_modes`, and above
    `DENSE_LIMIT` states `theory.chains.slow_subspace`).

    Raises:
        InvalidInput: a support of one state, or masks over another number of sites.
    """
    return channel_poincare_constant(MaskingChannel(law, masks))


def channel_poincare_constant(channel: MaskingChannel) -> PoincareConstant:
    """`poincare_constant` of a channel that has been built already."""
    if not channel.irreducible:
        first = (channel.components == 0).astype(np.float64)
        mass = float(first @ channel.target)
        function = channel.extend((first - mass) / np.sqrt(mass * (1 - mass)))
        classes = int(channel.components.max()) + 1
        reason = f"the block dynamics has {classes} classes that it does not leave on the support"
        return PoincareConstant(inf, 0.0, function, (inf, inf), reason)
    gap, function = _gap(channel)
    # The gap of an average of projections is at most 1, which a rounded number may exceed.
    low, high = (min(1.0, end) for end in gap.interval)
    value = gap.value if isnan(gap.value) else min(1.0, gap.value)
    return PoincareConstant(reciprocal(value), value, channel.extend(function), (reciprocal(high), reciprocal(low)))


def _gap(channel: MaskingChannel) -> tuple[Enclosure, Array]:
    """The gap of an irreducible block dynamics and its eigenfunction on the support [T]."""
    if len(channel.support) > DENSE_LIMIT:
        found = lanczos_gaps(BlockDynamics(channel))
        assert found.function is not None
        return Enclosure(found.gap, *found.gap_interval), found.function
    _, functions = slowest_functions(channel, 1)
    value = float(channel.local_variance(functions[0]) / channel.variance(functions[0]))
    rough = Enclosure.around(value, ROUNDING * len(channel.support) * float(np.finfo(np.float64).eps))
    if value >= NEAR_ONE:
        return rough, functions[0, channel.support]
    try:
        return slowest_mode(BlockDynamics(channel).to_dense(), channel.target)
    except (InvalidInput, NotReversible):  # below the range of float64, or masses that are: the quotient is above it
        return Enclosure.between(0.0, rough.high), functions[0, channel.support]


class BlockDynamics(TransitionOperator):
    """The block dynamics A* A of a masking channel, on the support of its target.

    Args:
        channel: the channel A.
    """

    reversible = True
    nonnegative = True

    def __init__(self, channel: MaskingChannel) -> None:
        self.channel = channel
        self.states = len(channel.support)
        self.stationary = channel.target

    def apply(self, function: Array) -> Array:
        columns = function.reshape(self.states, -1)
        means = self.channel.observe((columns * self.channel.target[:, None]).T) / self.channel.observed
        return self.channel.posterior_mean(means).T.reshape(function.shape)

    def propagate(self, law: Array) -> Array:
        return self.channel.target * self.channel.posterior_mean(self.channel.observe(law) / self.channel.observed)

    def dirichlet_form(self, functions: Array) -> Array:
        means = self.channel.observe((functions * self.channel.target[:, None]).T) / self.channel.observed
        pairs = self.channel.matrix.tocoo()
        change = functions[pairs.col] - means.T[pairs.row]
        weights = pairs.data * self.channel.target[pairs.col]
        return np.asarray(change.T @ (weights[:, None] * change))

    def _dense(self) -> Array:
        factor = self.channel.matrix
        back = sparse.diags_array(1 / self.channel.observed) @ factor @ sparse.diags_array(self.channel.target)
        return np.asarray((factor.T @ back).toarray())
