"""Exponential families on Omega^N with their exact moments.

A family is p_theta(x) = exp( b(x) + theta . T(x) - A(theta) ), with sufficient statistics T: Omega^N -> R^d, base
log-weights b (0 by default) and log-partition function A. Its mean is grad A = E[T] and its Fisher information is
I(theta) = hess A = Cov(T).

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``d`` parameters.
Source: Wainwright and Jordan, *Graphical Models, Exponential Families, and Variational Inference* (2008), ch. 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.laws.joint import JointLaw, normalised_masses
from theory.states import require_states, state_count

Array = NDArray[np.float64]


def require_statistics(sites: int, symbols: int, parameters: int) -> int:
    """State count, refused before allocation where the [S, d] matrix of statistics would not fit in memory.

    Raises:
        ExceedsMemory: with the amount that would be needed.
    """
    return require_states(sites, symbols, 8.0 * max(parameters, 1), f"{parameters} sufficient statistics")


class ExponentialFamily:
    """The family with given sufficient statistics.

    Args:
        sites, symbols: N and q.
        statistics: T(x) for every state in state order, shape [S, d].
        labels: one name per parameter; ``theta_0``, ``theta_1``, ... by default.
        base_log_weights: b(x), shape [S]; -inf removes a state from the support. 0 by default.
        name: shown in results.

    Raises:
        InvalidInput: wrong shapes, statistics that are not finite, or no state with positive base weight.
    """

    def __init__(
        self,
        sites: int,
        symbols: int,
        statistics: ArrayLike,
        labels: Sequence[str] | None = None,
        base_log_weights: ArrayLike | None = None,
        name: str = "exponential family",
    ) -> None:
        states = state_count(sites, symbols)
        values = np.array(statistics, dtype=np.float64)
        if values.ndim != 2 or values.shape[0] != states or values.shape[1] == 0:
            raise InvalidInput(
                "statistics", f"an array of shape {values.shape}", f"shape ({states}, d) is needed, d >= 1"
            )
        if not np.isfinite(values).all():
            raise InvalidInput("statistics", "NaN or infinity", "every statistic must be finite")
        base = np.zeros(states) if base_log_weights is None else np.array(base_log_weights, dtype=np.float64)
        if base.shape != (states,):
            raise InvalidInput("base_log_weights", f"an array of shape {base.shape}", f"shape ({states},) is needed")
        if np.isnan(base).any() or base.max() == np.inf or base.max() == -np.inf:
            raise InvalidInput("base_log_weights", "nan or inf", "numbers below +inf, not all -inf, are needed")
        names = tuple(f"theta_{i}" for i in range(values.shape[1])) if labels is None else tuple(labels)
        if len(names) != values.shape[1]:
            raise InvalidInput("labels", f"{len(names)} labels", f"one per statistic ({values.shape[1]}) is needed")
        values.flags.writeable = False
        base.flags.writeable = False
        self.sites = sites
        self.symbols = symbols
        self.statistics: Array = values
        self.labels = names
        self.base_log_weights: Array = base
        self.name = name

    def __repr__(self) -> str:
        return f"ExponentialFamily({self.name!r}, sites={self.sites}, symbols={self.symbols}, d={self.parameters})"

    @property
    def parameters(self) -> int:
        """d."""
        return self.statistics.shape[1]

    @property
    def states(self) -> int:
        """S = q**N."""
        return self.statistics.shape[0]

    def check_theta(self, theta: ArrayLike, argument: str = "theta") -> Array:
        """The parameter as a float64 vector [d].

        Raises:
            InvalidInput: a wrong shape, or an entry that is not finite.
        """
        values = np.asarray(theta, dtype=np.float64)
        if values.shape != (self.parameters,):
            raise InvalidInput(argument, f"an array of shape {values.shape}", f"shape ({self.parameters},) is needed")
        if not np.isfinite(values).all():
            raise InvalidInput(argument, values.tolist(), "every parameter must be finite")
        return values

    def log_weights(self, theta: ArrayLike) -> Array:
        """b(x) + theta . T(x), shape [S]."""
        return np.asarray(self.base_log_weights + self.statistics @ self.check_theta(theta))

    def probabilities(self, theta: ArrayLike) -> Array:
        """p_theta in state order, shape [S]."""
        weights = self.log_weights(theta)
        masses = np.exp(weights - weights.max())
        return np.asarray(masses / masses.sum())

    def law(self, theta: ArrayLike, name: str | None = None) -> ExponentialLaw:
        """p_theta as a joint law that knows its family."""
        table, logs = normalised_masses(self.log_weights(theta).reshape((self.symbols,) * self.sites))
        return ExponentialLaw(table, self, self.check_theta(theta), self.name if name is None else name, logs)

    def mean(self, theta: ArrayLike) -> Array:
        """grad A(theta) = E[T], shape [d]."""
        return np.asarray(self.probabilities(theta) @ self.statistics)

    def fisher_information(self, theta: ArrayLike) -> Array:
        """hess A(theta) = Cov(T), shape [d, d]."""
        masses = self.probabilities(theta)
        centred = self.statistics - masses @ self.statistics
        return np.asarray(centred.T @ (masses[:, None] * centred))


class ExponentialLaw(JointLaw):
    """A joint law that is a member of an exponential family.

    Args:
        table: masses, shape (q,)*N.
        family: the family, or a function that builds it; the [S, d] statistics are often far larger than the table,
            so that a law that is only sampled or tabulated need not hold them.
        theta: the parameter of this member, shape [d].
        name, log_table: as for `JointLaw`.
    """

    def __init__(
        self,
        table: ArrayLike,
        family: ExponentialFamily | Callable[[], ExponentialFamily],
        theta: ArrayLike,
        name: str = "exponential family",
        log_table: Array | None = None,
    ) -> None:
        super().__init__(table, name, log_table)
        values = np.array(theta, dtype=np.float64)
        values.flags.writeable = False
        self.theta: Array = values
        self._family = family

    @cached_property
    def family(self) -> ExponentialFamily:
        """The family that this law belongs to."""
        return self._family if isinstance(self._family, ExponentialFamily) else self._family()
