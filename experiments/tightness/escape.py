"""Bounds of the strong-clique model (C8): k-Gibbs arrives, independent parallel stays."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.tightness.bound import Array, Bound
from theory.bounds import (
    escape_time_bound,
    log_escape_probability_bound,
    log_escape_probability_exponent,
    log_escape_probability_hoeffding,
    log_two_stage_bound,
    redraw_probability,
    right_mode_mass,
    staying_probability_bound,
    steps_to_right_mode,
)
from theory.chains import DenseOperator, hitting_probability_within
from theory.chains.birth_death import log_exit_probabilities, log_expected_escape_times
from theory.conditionals import TableConditionals
from theory.laws import clique_counts, spins, strong_clique
from theory.masks import k_uniform
from theory.samplers import block_gibbs
from theory.symmetry import log_independent_parallel

CLIQUE, HORIZON = 8, 100
SMALL_CLIQUE, SMALL_SITES, FAILURE = 3, 5, 0.05
"""Of the chains of k-Gibbs, on all sequences; and the chance that the right mode is not reached."""


def strong_coupling(theta: Array) -> tuple[float, float] | None:
    """J in (0, 4) and a field below it, of a clique."""
    coupling = 4 / (1 + exp(-float(np.clip(theta[0], -20, 20))))
    field = coupling * float(np.tanh(theta[1])) * 0.99
    return (coupling, field) if coupling > 1e-3 else None


def _escape(instance: tuple[float, float], log_bound: Callable[[int, float, float], float]) -> float:
    coupling, field = instance
    counts = clique_counts(CLIQUE, coupling, field)
    exact = log_exit_probabilities(log_independent_parallel(counts), counts.magnetisations <= -2).max()
    return float(np.exp(exact - log_bound(CLIQUE, coupling, field)))


def _left(logs: Array, wrong: NDArray[np.bool_]) -> float:
    """The largest chance to leave within `HORIZON` steps."""
    kernel = np.exp(logs)
    leaving, inside = kernel[np.ix_(wrong, ~wrong)].sum(axis=1), kernel[np.ix_(wrong, wrong)]
    left = np.zeros(len(leaving))
    for _ in range(HORIZON):
        left = leaving + inside @ left
    return float(left.max())


def _two_stages(instance: tuple[float, float]) -> float:
    counts = clique_counts(CLIQUE, *instance)
    logs, wrong = log_independent_parallel(counts), counts.magnetisations <= -2
    return _left(logs, wrong) / float(np.exp(log_two_stage_bound(logs, wrong, HORIZON)))


def _staying(instance: tuple[float, float]) -> float:
    counts = clique_counts(CLIQUE, *instance)
    bound = staying_probability_bound(CLIQUE, *instance, HORIZON)
    stays = 1 - _left(log_independent_parallel(counts), counts.magnetisations <= -2)
    return bound / stays if bound > 0 else nan


def _time(instance: tuple[float, float]) -> float:
    counts = clique_counts(CLIQUE, *instance)
    times = log_expected_escape_times(log_independent_parallel(counts), counts.magnetisations <= -2)
    return float(np.exp(log(escape_time_bound(CLIQUE, *instance)) - times.min()))


def _gibbs(instance: tuple[float, float]) -> tuple[Array, Array]:
    """The chain of k-Gibbs, k = m, and which states are in the right mode."""
    law = strong_clique(SMALL_SITES, SMALL_CLIQUE, *instance)
    kernel = block_gibbs(TableConditionals(law), k_uniform(SMALL_SITES, SMALL_CLIQUE)).to_dense()
    return kernel, spins(SMALL_SITES)[:, :SMALL_CLIQUE].sum(axis=1) == SMALL_CLIQUE


def _redraw(instance: tuple[float, float]) -> float:
    kernel, right = _gibbs(instance)
    mass = right_mode_mass(SMALL_CLIQUE, *instance)
    return redraw_probability(SMALL_SITES, SMALL_CLIQUE, SMALL_CLIQUE, mass) / float(kernel[:, right].sum(axis=1).min())


def _arrival(instance: tuple[float, float]) -> float:
    kernel, right = _gibbs(instance)
    mass = right_mode_mass(SMALL_CLIQUE, *instance)
    bound = steps_to_right_mode(SMALL_SITES, SMALL_CLIQUE, SMALL_CLIQUE, mass, FAILURE)
    if not bound <= 10**6:
        return nan
    # The bisection finds the exact number of steps: the chance to have arrived grows with them.
    low, high, chain = 0, int(bound), DenseOperator(kernel)
    while high - low > 1:
        middle = (low + high) // 2
        reached = hitting_probability_within(chain, right, middle).min() >= 1 - FAILURE
        low, high = (low, middle) if reached else (middle, high)
    return high / bound


def _plain_clique(clique: int) -> Callable[[tuple[float, float]], dict[str, Any]]:
    return lambda instance: {"clique": clique, "coupling": instance[0], "field": instance[1]}


def _bound(name: str, statement: str, ratio: Callable[[tuple[float, float]], float], clique: int = CLIQUE) -> Bound:
    return Bound(name, "C8", statement, 2, strong_coupling, ratio, _plain_clique(clique))


BOUNDS = (
    _bound(
        "escape-chernoff",
        "escape probability of a step <= sech(J - h)^m, m = 8",
        lambda instance: _escape(instance, log_escape_probability_bound),
    ),
    _bound(
        "escape-hoeffding",
        "escape probability of a step <= exp(-m tanh(J - h)^2 / 2), m = 8",
        lambda instance: _escape(instance, log_escape_probability_hoeffding),
    ),
    _bound(
        "escape-worst-state",
        "escape probability of a step <= Chernoff's bound at the worst state, m = 8",
        lambda instance: _escape(instance, log_escape_probability_exponent),
    ),
    _bound("escape-two-stages", "escape within 100 steps <= b₁ + 99 b₂, m = 8", _two_stages),
    _bound("staying", "1 - 100 sech(J - h)^m <= probability to stay for 100 steps, m = 8", _staying),
    _bound("escape-time", "cosh(J - h)^m <= expected steps to leave, from the fastest state, m = 8", _time),
    _bound("redraw", "c <= chance that a k-Gibbs step reaches the right mode, N = 5, k = m = 3", _redraw, SMALL_CLIQUE),
    _bound(
        "arrival",
        "steps of k-Gibbs to the right mode with probability 95% <= ln(.05) / ln(1 - c), N = 5, k = m = 3",
        _arrival,
        SMALL_CLIQUE,
    ),
)
