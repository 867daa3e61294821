"""Checks and verdicts: a comparison holds only where it holds everywhere, and never by accident."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.claim import Check, Findings, Table, Verdict, columns, heading, overall, select
from experiments.figures import logarithmic, new_figure
from experiments.plain import from_plain, plain
from theory.errors import InvalidInput

finite = st.floats(-1e6, 1e6)


@given(finite, finite)
def test_at_most_and_at_least_are_mirror_images(measured: float, bound: float) -> None:
    below, above = Check.at_most("x", measured, bound), Check.at_least("x", measured, bound)
    assert (below.verdict is Verdict.HOLDS) == (measured <= bound)
    assert below.margin == -above.margin


def test_the_worst_entry_decides_and_is_reported() -> None:
    check = Check.at_most("x", [1.0, 5.0, 2.0], [2.0, 4.0, 9.0])
    assert check.verdict is Verdict.VIOLATED
    assert (check.measured, check.predicted, check.margin) == (5.0, 4.0, -1.0)


def test_equality_allows_the_stated_error_and_no_more() -> None:
    assert Check.equal("x", 1.0, 1.0 + 0.5e-9, 1e-9).verdict is Verdict.HOLDS
    assert Check.equal("x", 1.0, 1.0 + 2e-9, 1e-9).verdict is Verdict.VIOLATED


def test_infinite_values_compare_as_numbers() -> None:
    assert Check.at_most("x", math.inf, math.inf).verdict is Verdict.HOLDS
    assert Check.at_most("x", 1.0, math.inf).verdict is Verdict.HOLDS
    assert Check.at_most("x", math.inf, 1.0).verdict is Verdict.VIOLATED
    assert Check.equal("x", math.inf, math.inf, 0.0).verdict is Verdict.HOLDS
    assert Check.equal("x", math.inf, 1.0, 1.0).verdict is Verdict.VIOLATED


@pytest.mark.parametrize("compare", [Check.at_most, Check.at_least])
def test_nan_is_never_a_success(compare) -> None:
    assert compare("x", math.nan, 1.0).verdict is Verdict.VIOLATED
    assert compare("x", [0.5, 1.0], [1.0, math.nan]).verdict is Verdict.VIOLATED


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="nothing to compare"):
        Check.at_most("x", [], 1.0)
    with pytest.raises(InvalidInput, match="at least one check"):
        Findings([], Table([], []), {})


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.1, 0.2), Verdict.HOLDS), ((0.3, 0.4), Verdict.INCONCLUSIVE), ((0.45, 0.6), Verdict.VIOLATED)],
)
def test_an_interval_across_the_bound_is_inconclusive(interval: tuple[float, float], verdict: Verdict) -> None:
    bound = 0.35 if verdict is not Verdict.VIOLATED else 0.4
    assert Check.interval_at_most("x", interval, bound).verdict is verdict


def test_prediction_outside_its_confidence_interval_is_a_violation() -> None:
    assert Check.interval_contains("x", (0.9, 1.1), 1.0).verdict is Verdict.HOLDS
    assert Check.interval_contains("x", (0.9, 1.1), 1.2).verdict is Verdict.VIOLATED
    with pytest.raises(InvalidInput):
        Check.interval_contains("x", (1.1, 0.9), 1.0)


def test_the_worst_verdict_wins() -> None:
    holds, violated = Check.at_most("a", 0, 1), Check.at_most("b", 2, 1)
    unclear = Check.interval_at_most("c", (0.0, 2.0), 1.0)
    assert overall([holds]) is Verdict.HOLDS
    assert overall([holds, unclear]) is Verdict.INCONCLUSIVE
    assert overall([unclear, violated, holds]) is Verdict.VIOLATED


def test_plain_data_survive_json() -> None:
    value = {
        "a": np.array([1.0, np.inf]),
        "b": (np.int64(3), math.nan),
        "c": [None, True, "text"],
        "d": np.bool_(False),
    }
    back = from_plain(json.loads(json.dumps(plain(value), allow_nan=False)))
    assert back["a"] == [1.0, math.inf]
    assert back["b"][0] == 3
    assert math.isnan(back["b"][1])
    assert back["c"] == [None, True, "text"]
    assert back["d"] is False


def test_objects_are_not_data() -> None:
    with pytest.raises(InvalidInput):
        plain({"f": object()})


def test_rows_match_columns() -> None:
    with pytest.raises(InvalidInput, match="2 values"):
        Table(["a", "b"], [[1]])


def test_a_bound_that_excludes_nothing_tells_nothing() -> None:
    """Probabilities under bounds of 1 and more: the check holds, and the claim is inconclusive."""
    check = Check.at_most("x", [0.2, 0.3], [1.0, 4.0], trivial=1.0)
    assert check.verdict is Verdict.HOLDS
    assert (check.comparisons, check.informative, check.tightness) == (2, 0, None)
    assert overall([check]) is Verdict.INCONCLUSIVE
    told = Check.at_most("x", [0.2, 0.3], [1.0, 0.4], trivial=1.0)
    assert (told.informative, told.tightness) == (1, pytest.approx(0.75))
    assert overall([check, told]) is Verdict.HOLDS


def test_lower_bounds_at_the_least_possible_value_tell_nothing() -> None:
    check = Check.at_least("x", [0.2, 0.3], [0.0, 0.1], trivial=0.0)
    assert (check.comparisons, check.informative, check.tightness) == (2, 1, pytest.approx(1 / 3))


def test_algebra_is_a_test_of_the_software() -> None:
    """It can fail, but what holds by algebra decides no claim."""
    assert overall([Check.equal("x", 1.0, 1.0, 0.0).by_algebra()]) is Verdict.INCONCLUSIVE
    assert overall([Check.equal("x", 1.0, 2.0, 0.0).by_algebra()]) is Verdict.VIOLATED
    assert Check.equal("x", [1.0, 2.0], [1.0, 2.0], 0.0).informative == 2


@dataclass(frozen=True)
class Measurement:
    """A typed row: the last field is for figures only."""

    size: int = heading("sites N")
    error: float = heading("error (nats)")
    seed: int


def test_tables_are_made_from_typed_rows() -> None:
    rows = [Measurement(2, 0.5, 7), Measurement(3, float("inf"), 8)]
    table = Table.of(rows)
    assert table.names == ["size", "error"]
    assert table.columns == ["sites N", "error (nats)"]
    assert table.rows == [[2, 0.5], [3, float("inf")]]
    data = from_plain(json.loads(json.dumps(plain({"rows": rows}))))
    np.testing.assert_array_equal(columns(data["rows"])["error"], columns(rows)["error"])
    assert select(data["rows"], size=3)[0]["seed"] == 8


def test_a_check_knows_how_often_it_rejects_a_wrong_alternative() -> None:
    check = Check.at_most(
        "a", [0.1, 0.2, 0.4, 0.5], [0.5, 0.6, 0.7, 0.8], wrong=("half the bound", [0.05, 0.3, 0.35, 0.4])
    )
    assert (check.verdict, check.alternative, check.power) == (Verdict.HOLDS, "half the bound", 0.75)
    assert Check.equal("b", 1.0, 1.0, 0.1, wrong=("two", 2.0)).power == 1.0
    assert Check.interval_contains("c", (0.9, 1.1), 1.0).against("a tenth more", 0.3).power == 0.3


def test_logarithmic_axes_have_places_for_zero_and_infinity() -> None:
    _, (axes,) = new_figure()
    drawn = logarithmic(axes, [0.0, 1e-9, 1e-3, 1.0, np.inf], floor=1e-6)
    places = drawn([0.0, 1e-9, 1e-3, 1.0, np.inf])
    low, high = axes.get_ylim()
    assert low < places[0] == places[1] < places[2] == 1e-3 < 1.0 < places[4] < high < np.inf
