"""Bounds of parallel decoding: product kernels (C7), random orders (C9) and the entropy bound (D4)."""

from __future__ import annotations

from math import nan
from typing import Any

import numpy as np
from scipy.special import rel_entr

from experiments.tightness.bound import STATES, Array, Bound, plain_law, plain_laws, table, two_laws
from theory.conditionals import TableConditionals
from theory.decoding import (
    ConditionalTables,
    Setting,
    decoding_error,
    mean_total_correlation,
    mixture_output_law,
    random_order,
)
from theory.decoding.replay import replay
from theory.decoding.scored import EntropyBound
from theory.laws import JointLaw
from theory.states import all_sequences

SMALLEST = 1e-9
"""Divergences (nats) below this are rounding."""


def law_and_budget(theta: Array) -> tuple[JointLaw, float]:
    """A law and the budget gamma of a call, 0.03 to 3 nats."""
    return table(theta[1:]), float(10 ** (-1.5 + 2 / (1 + np.exp(-np.clip(theta[0], -20, 20)))))


def _product(laws: tuple[JointLaw, JointLaw]) -> float:
    truth, other = laws
    product = np.multiply.outer(other.marginal((0,)), other.marginal((1,))).reshape(-1)
    loss = float(rel_entr(truth.probabilities, product).sum())
    return truth.total_correlation((0, 1), ()) / loss if loss > SMALLEST else nan


def _unmasking(law: JointLaw) -> float:
    schedules = random_order(law.sites, (1, law.sites - 1))
    bound = mean_total_correlation(law, schedules)
    if bound < SMALLEST:
        return nan
    return decoding_error(law, mixture_output_law(TableConditionals(law), schedules)) / bound


def _entropy_bound(instance: tuple[JointLaw, float]) -> float:
    law, gamma = instance
    rows = all_sequences(law.sites, law.symbols)
    setting = Setting(law.sites, law.symbols, law.sites)
    tables = ConditionalTables(TableConditionals(law))
    found = replay(tables, EntropyBound(gamma=gamma), setting, rows, np.random.default_rng(0), None)
    divergence = float(law.probabilities @ (np.log(law.probabilities) - found.log_probability))
    return divergence / (gamma * float(law.probabilities @ found.calls)) if divergence > SMALLEST else nan


def _plain_budget(instance: tuple[JointLaw, float]) -> dict[str, Any]:
    return {**plain_law(instance[0]), "gamma": instance[1]}


BOUNDS = (
    Bound(
        "product-kernel",
        "C7",
        "total correlation <= KL(p‖product) for any product, two bits",
        8,
        two_laws,
        _product,
        plain_laws,
    ),
    Bound(
        "random-order",
        "C9",
        "KL(p‖E_S q_S) <= E_S KL(p‖q_S), one site and then the rest at random",
        STATES,
        table,
        _unmasking,
        plain_law,
    ),
    Bound(
        "entropy-bound",
        "D4",
        "KL(p‖q) <= γ E_p[calls] of the entropy-bound sampler",
        STATES + 1,
        law_and_budget,
        _entropy_bound,
        _plain_budget,
    ),
)
