"""C6 on large chains: the scalings of the Curie-Weiss model, rings from one start per orbit, and planted falsehoods."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.claim import Check, Verdict, no_progress
from experiments.claims import c6_curie_weiss_scaling as scaling
from experiments.claims import c6_ring_mixing as rings
from theory.bounds import relaxation_time_bounds
from theory.chains.birth_death import BirthDeathChain, slowest_mode
from theory.errors import InvalidInput
from theory.symmetry import single_site

TEMPERATURES = (0.5, 1.0, 1.5)
SIZES = (50, 100)


def violated(checks: list[Check]) -> set[str]:
    return {check.name for check in checks if check.verdict is Verdict.VIOLATED}


def scaling_checks() -> list[Check]:
    return scaling.checks(scaling.measure(TEMPERATURES, SIZES, no_progress))


def ring_checks() -> list[Check]:
    return rings.checks(rings.measure(0.5, 0.1, (4, 6), (1, 2), no_progress))


def test_the_scalings_hold_and_every_one_is_compared() -> None:
    checks = scaling_checks()
    assert len(checks) == 6
    assert violated(checks) == set()


def test_sizes_that_say_nothing_about_a_scaling_are_not_compared() -> None:
    rows = scaling.measure((0.98, 1.02), (20, 40), no_progress)
    assert scaling.scalings(rows) == []
    assert len(scaling.checks(rows)) == 2  # the bounds hold at every size


def test_a_single_size_has_bounds_only() -> None:
    assert len(scaling.checks(scaling.measure((0.5,), (40,), no_progress))) == 2


@pytest.mark.parametrize("beta", [1.0 + 1e-9, 1.0001, 1.1, 1.5, 3.0])
def test_the_barrier_is_that_of_the_free_energy(beta: float) -> None:
    m = np.linspace(0, 1, 2_000_001)[:-1]
    energy = -beta * m**2 / 2 + ((1 + m) * np.log1p(m) + (1 - m) * np.log1p(-m)) / 2
    assert scaling.barrier(beta) == pytest.approx(-energy.min(), rel=1e-6, abs=1e-15)


def test_there_is_no_barrier_above_the_critical_temperature() -> None:
    assert scaling.barrier(1.0) == scaling.barrier(0.5) == 0.0


@pytest.mark.parametrize(("relaxation", "mass"), [(1.5, 0.3), (40.0, 1e-5), (1e12, 1e-200)])
def test_bounds_in_logarithms_agree_with_the_bounds(relaxation: float, mass: float) -> None:
    lower, upper = scaling.log_relaxation_bounds(math.log(relaxation), math.log(mass))
    true_lower, true_upper = relaxation_time_bounds(relaxation, mass)
    assert math.exp(lower) == pytest.approx(true_lower, rel=1e-12)
    # The true one rounds up to a whole step.
    assert true_upper * (1 - 1e-12) <= math.exp(upper) <= (true_upper + 1) * (1 + 1e-12)


def test_a_lazy_chain_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies within its own bounds and has the same exponents, but takes twice as long above the critical point."""

    def lazy(law: Any) -> BirthDeathChain:
        chain = single_site(law)
        return BirthDeathChain(chain.log_up - math.log(2), chain.log_down - math.log(2), nonnegative=True)

    monkeypatch.setattr(scaling, "single_site", lazy)
    found = violated(scaling_checks())
    assert len(found) == 2
    assert all("beta < 1" in name for name in found)


def test_a_model_at_another_temperature_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = scaling.curie_weiss_counts
    monkeypatch.setattr(scaling, "curie_weiss_counts", lambda sites, beta: true(sites, 1.1 * beta))
    found = violated(scaling_checks())
    assert len(found) == 4
    assert not any("bound" in name for name in found)


@pytest.mark.parametrize(("factor", "side"), [(0.05, "lower"), (1000.0, "upper")])
def test_a_gap_that_is_wrong_is_reported(monkeypatch: pytest.MonkeyPatch, factor: float, side: str) -> None:
    def wrong(chain: BirthDeathChain) -> Any:
        mode = slowest_mode(chain)
        moved = min(mode.log_gap + math.log(factor), -1e-3)
        return replace(mode, log_gap=moved, log_lower=moved, log_upper=moved)

    monkeypatch.setattr(scaling, "slowest_mode", wrong)
    assert any(f"{side} bound" in name for name in violated(scaling_checks()))


def test_a_wrong_barrier_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = scaling.barrier
    monkeypatch.setattr(scaling, "barrier", lambda beta: 1.05 * true(beta))
    found = violated(scaling_checks())
    assert len(found) == 1
    assert "barrier" in found.pop()


def test_rings_lie_within_their_bounds() -> None:
    checks = ring_checks()
    assert len(checks) == 4
    assert violated(checks) == set()


def test_known_mixing_times_of_rings() -> None:
    """Values computed beforehand from all starts by dense powers."""
    rows = rings.measure(0.5, 0.1, (8, 10), (1,), no_progress)
    assert [row.exact for row in rows] == [row.dense for row in rows] == [44, 58]
    assert [row.starts for row in rows] == [30, 78]  # bracelets of two colours


def test_the_smallest_ring_redrawn_at_once() -> None:
    rows = rings.measure(0.5, 0.1, (3,), (3,), no_progress)
    assert [row.exact for row in rows] == [1]
    assert violated(rings.checks(rows)) == set()


def test_starts_that_miss_the_worst_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if all states were alike: the first stands for them, all minus, in a negative field the likeliest one.
    alone = SimpleNamespace(labels=np.zeros(512, dtype=np.int64), count=1)
    monkeypatch.setattr(rings, "symmetric_orbits", lambda chain, group: alone)
    checks = rings.checks(rings.measure(0.5, -0.1, (9,), (1,), no_progress))
    assert any("against all starts" in name for name in violated(checks))


@pytest.mark.parametrize(
    ("function", "end", "factor", "name"),
    [
        ("relaxation_time_bounds", 1, 0.1, "upper bound by relaxation time"),
        ("relaxation_time_bounds", 0, 4.0, "lower bound by relaxation time"),
        ("bottleneck_bounds", 0, 8.0, "lower bound by bottleneck ratio"),
    ],
)
def test_a_bound_with_a_wrong_constant_is_reported(
    monkeypatch: pytest.MonkeyPatch, function: str, end: int, factor: float, name: str
) -> None:
    true = getattr(rings, function)

    def wrong(*arguments: float) -> tuple[float, float]:
        bounds = list(true(*arguments))
        bounds[end] *= factor
        return (bounds[0], bounds[1])

    monkeypatch.setattr(rings, function, wrong)
    found = violated(ring_checks())
    assert len(found) == 1
    assert name in found.pop()


def test_masks_larger_than_every_ring_are_refused() -> None:
    with pytest.raises(InvalidInput, match="ring_masks"):
        rings.measure(0.5, 0.1, (4,), (5,), no_progress)
