"""Estimates from samples against exact laws: bounds lie below, unbiased ones have the right mean, intervals cover.

False alarms: means are compared within 5 standard errors (6e-7 each); coverage of 95% intervals over 200 repetitions
must be at least 88%, which a rate of 95% misses with probability 3e-5.
"""

from __future__ import annotations

import numpy as np
import pytest

from theory.decoding.enumeration import decode
from theory.decoding.registry import parse
from theory.decoding.sampled_estimates import (
    ORDERS,
    _counted,
    reverse_divergence_bound,
    window_distance,
)
from theory.decoding.tables import KnownLaw
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.laws.length import MarkovLaw
from theory.states import all_sequences

REPETITIONS = 200
SEQUENCES = all_sequences(4, 3)


def truth() -> MarkovLaw:
    return MarkovLaw(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]]), 4)


def joint() -> JointLaw:
    return JointLaw(np.exp(truth().log_probability(SEQUENCES)).reshape(3, 3, 3, 3))


def output(text: str, calls: int) -> np.ndarray:
    return decode(KnownLaw(joint()), parse(text), calls).law.probabilities


def drawn(law: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    return SEQUENCES[generator.choice(len(law), size=count, p=law)]


@pytest.mark.parametrize("text", ["p2", "remdm:eta=0.4", "llada", "left-to-right"])
def test_lower_bound_stays_below_the_divergence(text: str) -> None:
    law, p = output(text, 2 if text == "left-to-right" else 4), joint().probabilities
    exact = kullback_leibler(law, p)
    generator = np.random.default_rng(1)
    bounds = [reverse_divergence_bound(truth(), drawn(law, 2000, generator)) for _ in range(REPETITIONS)]
    assert np.mean([bound.low <= exact for bound in bounds]) >= 0.88
    values = np.array([bound.value for bound in bounds])
    assert values.mean() <= exact + 5 * values.std() / np.sqrt(REPETITIONS)
    assert {bound.kind for bound in bounds} == {"lower"}
    if exact > 0.05:
        # Not vacuous: most of the divergence of four sites shows in their pairs.
        assert values.mean() > 0.3 * exact


def test_of_the_truth_itself_the_bound_is_about_zero() -> None:
    generator = np.random.default_rng(2)
    bounds = [reverse_divergence_bound(truth(), truth().sample(600, generator)) for _ in range(50)]
    assert np.mean([bound.low > 0 for bound in bounds]) <= 0.2


@pytest.mark.parametrize("order", ORDERS)
def test_counted_laws_are_normalised(order: int) -> None:
    counting = drawn(joint().probabilities, 50, np.random.default_rng(3))
    masses = _counted(counting, SEQUENCES, 3, order).prod(axis=1)
    assert masses.sum() == pytest.approx(1, abs=1e-12)


def test_impossible_sequences_make_the_divergence_infinite() -> None:
    law = MarkovLaw(np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5]]), 4)
    rows = np.concatenate([law.sample(20, np.random.default_rng(4)), [[0, 2, 1, 0]]])
    assert reverse_divergence_bound(law, rows).low == np.inf


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("text", ["llada", "left-to-right"])
def test_window_distance_is_unbiased(text: str, width: int) -> None:
    law, p = output(text, 4).reshape(3, 3, 3, 3), joint().table
    exact = 0.0
    for first in range(4 - width + 1):
        away = tuple(i for i in range(4) if not first <= i < first + width)
        exact += float(((law.sum(axis=away) - p.sum(axis=away)) ** 2).sum()) / (4 - width + 1)
    generator = np.random.default_rng(7)
    found = [
        window_distance(drawn(law.ravel(), 200, generator), truth().sample(300, generator), 3, width)
        for _ in range(REPETITIONS)
    ]
    values = np.array([one.value for one in found])
    assert abs(values.mean() - exact) < 5 * values.std() / np.sqrt(REPETITIONS)
    assert np.mean([one.low <= exact <= one.high for one in found]) >= 0.88


def test_refusals() -> None:
    rows = truth().sample(20, np.random.default_rng(8))
    with pytest.raises(InvalidInput, match="at least 12"):
        reverse_divergence_bound(truth(), rows[:5])
    with pytest.raises(InvalidInput, match="confidence"):
        reverse_divergence_bound(truth(), rows, 1.0)
    with pytest.raises(InvalidInput, match="width"):
        window_distance(rows, rows, 3, 5)
    with pytest.raises(InvalidInput, match="at least 4"):
        window_distance(rows[:3], rows, 3, 1)
