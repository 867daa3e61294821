"""Birth-and-death chains: Markov chains on 0..N that move by at most one.

Everything follows from the *rates* up(n) = P(n, n + 1) and down(n) = P(n + 1, n), which are kept as logarithms: chains
at low temperature have rates and masses far below the smallest float. With conductances c(n) = pi(n) up(n):

- detailed balance: pi(n + 1) / pi(n) = up(n) / down(n);
- expected first passage by one step: E_n[tau_{n+1}] = pi({0..n}) / c(n), E_{n+1}[tau_n] = pi({n+1..N}) / c(n).

Every formula adds and multiplies positive numbers only, so that nothing cancels.

Legend: N + 1 states, ``N`` edges (edge n joins n and n + 1).
Source: Levin, Peres, Wilmer, section 2.5; Karlin and McGregor, "Random walks", Illinois J. Math. 3 (1959).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.chains.operator import TransitionOperator
from theory.errors import InvalidInput
from theory.laws.exchangeable import normalised_logarithms, running_sum

Array = NDArray[np.float64]

ROUNDING = 1e-12
"""Excess of up + down over 1 that is taken for rounding."""


class BirthDeathChain(TransitionOperator):
    """A chain on 0..N from the logarithms of its rates.

    Args:
        log_up: ln P(n, n + 1) for n = 0..N-1, shape [N].
        log_down: ln P(n + 1, n) for n = 0..N-1, shape [N].
        nonnegative: True where the builder knows that no eigenvalue is negative (heat-bath and lazy chains).

    Raises:
        InvalidInput: shapes differ, a rate is zero or above 1, or the rates out of a state sum to more than 1.
    """

    def __init__(self, log_up: ArrayLike, log_down: ArrayLike, nonnegative: bool = False) -> None:
        self.log_up = np.array(log_up, dtype=np.float64)
        self.log_down = np.array(log_down, dtype=np.float64)
        if self.log_up.ndim != 1 or len(self.log_up) == 0 or self.log_up.shape != self.log_down.shape:
            shapes = f"shapes {self.log_up.shape} and {self.log_down.shape}"
            raise InvalidInput("log_up, log_down", shapes, "one rate of each kind per edge, both of shape (N,)")
        for argument, values in (("log_up", self.log_up), ("log_down", self.log_down)):
            if not (np.isfinite(values).all() and values.max() <= 0):
                raise InvalidInput(argument, "inf, nan or > 0", "rates must lie in (0, 1]: the chain is irreducible")
        self.states = len(self.log_up) + 1
        self.reversible = True
        self.nonnegative = nonnegative
        self._up = np.append(np.exp(self.log_up), 0.0)
        self._down = np.insert(np.exp(self.log_down), 0, 0.0)
        staying = 1 - self._up - self._down
        if staying.min() < -ROUNDING:
            state = int(staying.argmin())
            raise InvalidInput(f"rates out of state {state}", 1 - staying[state], "must not sum to more than 1")
        self._stay = np.maximum(staying, 0.0)
        self.stationary: Array = np.exp(self.log_stationary)

    @cached_property
    def log_stationary(self) -> Array:
        """ln pi, shape [N+1]."""
        return normalised_logarithms(running_sum(self.log_up - self.log_down))

    @cached_property
    def log_below(self) -> Array:
        """ln pi({0..n}), shape [N+1]."""
        return np.asarray(np.logaddexp.accumulate(self.log_stationary))

    @cached_property
    def log_above(self) -> Array:
        """ln pi({n..N}), shape [N+1]."""
        return np.asarray(np.logaddexp.accumulate(self.log_stationary[::-1])[::-1])

    @cached_property
    def log_conductance(self) -> Array:
        """ln c(n) of every edge, shape [N]."""
        return self.log_stationary[:-1] + self.log_up

    @property
    def is_symmetric(self) -> bool:
        """Whether the mirror image n -> N - n leaves the chain as it is (to the last bit of its rates)."""
        return bool(np.array_equal(self.log_up, self.log_down[::-1]))

    @property
    def bands(self) -> tuple[Array, Array, Array]:
        """P(n, n + 1), P(n, n), P(n, n - 1) for n = 0..N, each of shape [N+1]."""
        return self._up, self._stay, self._down

    def apply(self, function: Array) -> Array:
        up, stay, down = (band.reshape((-1,) + (1,) * (function.ndim - 1)) for band in self.bands)
        result = stay * function
        result[:-1] += up[:-1] * function[1:]
        result[1:] += down[1:] * function[:-1]
        return np.asarray(result)

    def propagate(self, law: Array) -> Array:
        result = law * self._stay
        result[..., 1:] += (law * self._up)[..., :-1]
        result[..., :-1] += (law * self._down)[..., 1:]
        return np.asarray(result)

    def log_passage_times(self) -> tuple[Array, Array]:
        """ln E_n[tau_{n+1}] and ln E_{n+1}[tau_n] for every edge, each of shape [N]."""
        return self.log_below[:-1] - self.log_conductance, self.log_above[1:] - self.log_conductance

    def log_hitting_time(self, start: int, target: int) -> float:
        """ln E_start[tau_target]: the sum of the passage times on the way; -inf where start = target.

        Raises:
            InvalidInput: a state outside 0..N.
        """
        for argument, state in (("start", start), ("target", target)):
            if not 0 <= state < self.states:
                raise InvalidInput(argument, state, f"states are numbered 0..{self.states - 1}")
        upward, downward = self.log_passage_times()
        path = upward[start:target] if start <= target else downward[target:start]
        return float(np.logaddexp.reduce(path)) if len(path) else -np.inf
