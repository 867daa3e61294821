"""Parameters: declared once, read from text, checked."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.errors import InvalidInput
from theory.parameters import assignments, build, describe, parameter, parse_numbers


@dataclass(frozen=True)
class Example:
    sites: int = parameter(6, "sites", full=10, minimum=1, maximum=20)
    coupling: float = parameter(0.5, "coupling", minimum=0.0)
    sizes: tuple[int, ...] = parameter((1, 2), "mask sizes", full=(1, 2, 3), minimum=1)
    graph: str = parameter("cycle", "graph", choices=("cycle", "path"))
    exact: bool = parameter(True, "exact or not")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4,6,8", [4, 6, 8]),
        ("1..4", [1, 2, 3, 4]),
        ("1-4", [1, 2, 3, 4]),
        ("-2..1", [-2, -1, 0, 1]),
        ("1..3,8", [1, 2, 3, 8]),
        ("0:2:0.5", [0, 0.5, 1, 1.5, 2]),
        ("0:0.3:0.1", [0, 0.1, 0.2, 0.3]),
        ("1:0:-0.5", [1, 0.5, 0]),
        ("0:0.25:0.1", [0, 0.1, 0.2]),
        ("1e-3", [1e-3]),
    ],
)
def test_lists_of_numbers(text: str, values: list[float]) -> None:
    assert parse_numbers(text, "x") == values


@pytest.mark.parametrize(
    "text", ["", "a", "1,,2", "3..1", "0:1:0", "0:1:-1", "0:1", "1:2:3:4", "nan", "inf", "0:1:nan", "1..999999999"]
)
def test_malformed_or_empty_lists_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="x = "):
        parse_numbers(text, "x")


def test_whole_numbers_are_not_rounded() -> None:
    with pytest.raises(InvalidInput, match="whole numbers"):
        parse_numbers("1,2.5", "k", whole=True)


@given(st.integers(-50, 50), st.integers(0, 60), st.sampled_from([0.1, 0.25, 0.05, 1.0]))
def test_a_range_includes_its_stop_where_a_step_falls_on_it(start: int, steps: int, step: float) -> None:
    values = parse_numbers(f"{start}:{start + steps * step!r}:{step}", "x")
    assert len(values) == steps + 1
    assert values[-1] == pytest.approx(start + steps * step, abs=1e-9)


def test_profiles_and_settings() -> None:
    assert build(Example) == Example()
    assert build(Example, "full") == Example(sites=10, sizes=(1, 2, 3))
    built = build(Example, "full", {"sites": "4", "coupling": "2", "sizes": "1..3", "graph": "path", "exact": "no"})
    assert built == Example(sites=4, coupling=2.0, sizes=(1, 2, 3), graph="path", exact=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"site": "4"}, "parameter = site: known here: sites, coupling, sizes, graph, exact"),
        ({"sites": "0"}, "sites = 0: must be at least 1"),
        ({"sites": "21"}, "sites = 21: must be at most 20"),
        ({"sites": "2.5"}, "sites = 2.5: a value of type int"),
        ({"sites": "many"}, "sites = many: a value of type int"),
        ({"coupling": "nan"}, "coupling = nan: a finite number"),
        ({"coupling": "-1"}, "coupling = -1.0: must be at least 0"),
        ({"sizes": "0,1"}, "sizes = 0: must be at least 1"),
        ({"graph": "ring"}, "graph = ring: one of cycle, path"),
        ({"exact": "maybe"}, "exact = maybe: true or false"),
        ({"sizes": ()}, "sizes = an empty list"),
        ({"sites": True}, "sites = True"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Example, "quick", values)
    assert message in str(caught.value)


def test_description_keeps_the_order_and_the_help() -> None:
    described = describe(Example)
    assert list(described) == ["sites", "coupling", "sizes", "graph", "exact"]
    assert described["sizes"].rule.help == "mask sizes"


@pytest.mark.parametrize("texts", [["sites"], ["=3"], ["sites="], ["sites=1", "sites=2"]])
def test_assignments_are_name_equals_value_once(texts: list[str]) -> None:
    with pytest.raises(InvalidInput, match="--set"):
        assignments(texts)


def test_assignments() -> None:
    assert assignments(["sites=8", "k=1..4"]) == {"sites": "8", "k": "1..4"}
