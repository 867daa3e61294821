"""Schedules, size plans and laws over schedules, against enumeration of permutations and assignments."""

from __future__ import annotations

from collections import defaultdict
from itertools import permutations
from math import factorial, prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.decoding import (
    SIZE_PLANS,
    Schedule,
    ScheduleLaw,
    cosine_sizes,
    cut,
    geometric_sizes,
    masked_diffusion_error,
    mixture,
    one_shot,
    random_order,
    sequential,
    uniform_sizes,
)
from theory.errors import ExceedsMemory, InvalidInput


def test_constructors() -> None:
    assert one_shot(3).steps == ((0, 1, 2),)
    assert sequential([2, 0, 1]).steps == ((2,), (0,), (1,))
    assert cut([3, 1, 0, 2], [1, 2, 1]).steps == ((3,), (0, 1), (2,))
    assert cut([3, 1, 0, 2], [1, 2, 1]).sizes == (1, 2, 1)
    assert list(cut([3, 1, 0, 2], [2, 2]).with_revealed()) == [((), (1, 3)), ((1, 3), (0, 2))]


@pytest.mark.parametrize(
    "steps", [((0,), (0, 1, 2)), ((0, 1),), ((0, 1), (), (2,)), ((0, 1, 3),), ((0, 1, -1),), ((0, 0), (1, 2)), ()]
)
def test_schedule_refuses_what_is_no_ordered_partition(steps: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(InvalidInput):
        Schedule(3, steps)


@pytest.mark.parametrize("sizes", [[1, 1], [3, 0, 1], [5], [-1, 5], []])
def test_cut_refuses_wrong_sizes(sizes: list[int]) -> None:
    with pytest.raises(InvalidInput, match="sizes"):
        cut(range(4), sizes)


def test_size_plans_known_values() -> None:
    assert uniform_sizes(12, 4) == (3, 3, 3, 3)
    assert uniform_sizes(3, 3) == (1, 1, 1)
    # Masked after each of 4 steps: ceil(16 cos(pi t / 8)) = 15, 12, 7, 0.
    assert cosine_sizes(16, 4) == (1, 3, 5, 7)
    # Masked after each of 4 steps: 8, 4, 2, then 0.
    assert geometric_sizes(16, 4) == (8, 4, 2, 2)


@given(st.integers(1, 60), st.data(), st.sampled_from(sorted(SIZE_PLANS)))
def test_size_plans_are_size_plans(sites: int, data: st.DataObject, name: str) -> None:
    steps = data.draw(st.integers(1, sites))
    sizes = SIZE_PLANS[name](sites, steps)
    assert len(sizes) == steps
    assert sum(sizes) == sites
    assert min(sizes) >= 1


@pytest.mark.parametrize(("sites", "steps"), [(3, 0), (3, 4), (0, 1)])
def test_size_plans_refuse(sites: int, steps: int) -> None:
    with pytest.raises(InvalidInput):
        uniform_sizes(sites, steps)


@pytest.mark.parametrize("sizes", [(4,), (1, 3), (2, 2), (1, 2, 1), (1, 1, 1, 1)])
def test_random_order_is_the_law_of_cut_permutations(sizes: tuple[int, ...]) -> None:
    counts: dict[Schedule, int] = defaultdict(int)
    for order in permutations(range(4)):
        counts[cut(order, sizes)] += 1
    law = random_order(4, sizes)
    assert set(law.schedules) == set(counts)
    assert len(law.schedules) == factorial(4) // prod(factorial(n) for n in sizes)
    for schedule, probability in zip(law.schedules, law.probabilities, strict=True):
        assert probability == pytest.approx(counts[schedule] / 24, abs=1e-15)


def test_laws_refuse() -> None:
    with pytest.raises(ExceedsMemory):
        random_order(20, (1,) * 20)
    with pytest.raises(InvalidInput, match="step_weights"):
        masked_diffusion_error(np.zeros(4), [0.5, 0.6])
    with pytest.raises(InvalidInput, match="step_weights"):
        masked_diffusion_error(np.zeros(4), [])
    with pytest.raises(InvalidInput, match="schedules"):
        mixture([])
    with pytest.raises(InvalidInput, match="schedules"):
        mixture([one_shot(2), one_shot(3)])
    with pytest.raises(InvalidInput, match="schedules"):
        mixture([one_shot(2), one_shot(2)])
    with pytest.raises(InvalidInput, match="probabilities"):
        mixture([one_shot(2), sequential([0, 1])], [0.5, np.nan])
    with pytest.raises(InvalidInput, match="probabilities"):
        ScheduleLaw(2, (one_shot(2),), np.array([0.5, 0.5]), "wrong")


def test_sampling_follows_the_probabilities() -> None:
    law = mixture([one_shot(2), sequential([0, 1]), sequential([1, 0])], [0.5, 0.3, 0.2])
    drawn = law.sample(20_000, np.random.default_rng(7))
    for schedule, probability in zip(law.schedules, law.probabilities, strict=True):
        share = sum(s == schedule for s in drawn) / len(drawn)
        # Five standard errors: three two-sided checks, false alarm in fewer than 2 of 10^6 seeds.
        assert abs(share - probability) < 5 * np.sqrt(probability * (1 - probability) / len(drawn))
