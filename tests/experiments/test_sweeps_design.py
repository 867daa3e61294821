"""Designs and plans: what is visited, what is refused, always before anything runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.sweeps.cell import CellKey, canonical, code_version, compute_cell
from experiments.sweeps.design import combinations, read_axes, read_seeds
from experiments.sweeps.file import read_file
from experiments.sweeps.plan import fitting_workers, make_plan
from experiments.sweeps.subjects import MODULES, load_subject
from tests.experiments.sweep_subjects import CHEAP, CHEAP_NAME, Parameters
from theory.errors import ExceedsMemory, InvalidInput


def visited(settings: dict[str, Any], design: str = "grid", count: int | None = None) -> list[dict[str, Any]]:
    return list(combinations(read_axes(Parameters, settings, design), design, count))


def test_a_grid_visits_every_combination_once_the_last_axis_fastest() -> None:
    found = visited({"b": "0:0.2:0.1", "a": "1..2"})
    assert found == [{"b": b, "a": a} for b in (0.0, 0.1, 0.2) for a in (1, 2)]


@pytest.mark.parametrize(
    ("text", "values"),
    [("1,2", [(1,), (2,)]), ("1..3", [(1,), (2,), (3,)]), ("1,2;3", [(1, 2), (3,)]), ("1,2;", [(1, 2)])],
)
def test_list_parameters(text: str, values: list[tuple[int, ...]]) -> None:
    assert [row["powers"] for row in visited({"powers": text})] == values


def test_lists_from_python_and_words() -> None:
    assert [row["powers"] for row in visited({"powers": [[1, 2], 3]})] == [(1, 2), (3,)]
    assert [row["mode"] for row in visited({"mode": "good, die"})] == ["good", "die"]
    assert [row["a"] for row in visited({"a": 3})] == [3]


def test_random_draws_stay_inside_and_more_cells_continue_them() -> None:
    settings = {"b": "-1:3", "a": "4,6"}
    few, many = visited(settings, "random", 20), visited(settings, "random", 200)
    assert few == many[:20]
    values = np.array([row["b"] for row in many])
    assert values.min() >= -1
    assert values.max() <= 3
    # 200 uniform draws: their mean misses 1 by more than 5 standard errors with probability 6e-7; the seed is fixed.
    assert abs(values.mean() - 1) < 5 * 4 / np.sqrt(12 * 200)
    assert {row["a"] for row in many} == {4, 6}


@given(cells=st.integers(1, 40))
def test_a_latin_hypercube_has_one_cell_in_every_stratum(cells: int) -> None:
    found = visited({"b": "2:5", "delay": "0:1"}, "latin", cells)
    for name, low, width in (("b", 2, 3), ("delay", 0, 1)):
        strata = sorted(int((row[name] - low) / width * cells) for row in found)
        assert strata == list(range(cells))


@pytest.mark.parametrize(
    ("settings", "design", "count", "message"),
    [
        ({"aa": "1"}, "grid", None, "did you mean a?"),
        ({"zzzzz": "1"}, "grid", None, "known here: a, b, powers, delay, mode"),
        ({"a": "3..1"}, "grid", None, "is empty"),
        ({"b": "1:0:0.1"}, "grid", None, "is empty"),
        ({"b": "1:0"}, "random", 3, "is empty"),
        ({"a": "1,,2"}, "grid", None, "a list of numbers"),
        ({"a": "one"}, "grid", None, "a list of numbers"),
        ({"a": "1.5"}, "grid", None, "whole numbers"),
        ({"a": []}, "grid", None, "at least one value"),
        ({"a": "2000"}, "grid", None, "at most 1000"),
        ({"mode": "bad"}, "grid", None, "one of good, fail, die"),
        ({"mode": " , "}, "grid", None, "at least one value"),
        ({"b": "0:1"}, "grid", None, "start:stop:step"),
        ({"b": "0:1"}, "random", None, "needs a number of cells"),
        ({"b": "0:1"}, "latin", 0, "must lie in"),
        ({"a": "1"}, "grid", 5, "use another design"),
        ({"a": "1"}, "sobol", None, "one of grid, random, latin"),
        ({"a": "0..999", "b": "0:1:0.001", "delay": "0..9"}, "grid", None, "at most 1000000"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    settings: dict[str, Any], design: str, count: int | None, message: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        visited(settings, design, count)


@pytest.mark.parametrize(("text", "seeds"), [("3", (0, 1, 2)), ("7..9", (7, 8, 9)), ("4,2,4", (4, 2))])
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert read_seeds(text) == seeds


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "-3,2"])
def test_bad_seeds(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_seeds(text)


def test_a_plan_has_each_cell_once_and_leaves_out_what_does_not_exist() -> None:
    chain = load_subject("chain")
    plan = make_plan(chain, {"k": "1..6", "sites": "4,6"}, seeds=(0, 1))
    assert len(plan.cells) == len(set(plan.cells)) == 2 * (4 + 6)
    assert plan.left_out == {"k = 5: must lie in 1..N = 1..4": 1, "k = 6: must lie in 1..N = 1..4": 1}
    assert "20 cells" in "\n".join(plan.lines())
    # Few values and many draws: the same combination is one cell.
    assert len(make_plan(CHEAP, {"a": "1,2"}, "random", 50).cells) == 2
    with pytest.raises(InvalidInput, match="none exists"):
        make_plan(chain, {"k": "9", "sites": "4"})


def test_the_memory_of_the_largest_cell_is_known_without_allocating() -> None:
    plan = make_plan(load_subject("chain"), {"sites": "4,40", "coupling": "0.5"})
    assert plan.largest == "sites = 40, coupling = 0.5"
    with pytest.raises(ExceedsMemory, match=r"sites = 40.*TiB"):
        fitting_workers(plan, 2, 64e9)
    assert plan.memory is not None
    assert fitting_workers(plan, 8, 2.5 * plan.memory) == 2
    assert fitting_workers(make_plan(load_subject("C8"), {}), 3, 1.0) == 3


@pytest.mark.parametrize("name", [*MODULES, "C8", "strong-clique", CHEAP_NAME])
def test_every_subject_loads_and_its_default_is_allowed(name: str) -> None:
    subject = load_subject(name)
    default = subject.parameters()
    subject.check(default)
    memory = subject.memory(default)
    assert memory is None or memory > 0
    text = canonical(default)
    assert make_plan(subject, {}).cells == [CellKey(text, 0)]


@pytest.mark.parametrize("name", ["chian", "C99", "no.such.module:X", f"{CHEAP_NAME}X", "json:loads"])
def test_unknown_subjects(name: str) -> None:
    with pytest.raises(InvalidInput):
        load_subject(name)


def test_the_canonical_text_holds_everything_and_computes_the_same() -> None:
    parameters = Parameters(a=3, b=0.25, powers=(1, 3))
    text = canonical(parameters)
    assert text == '{"a": 3, "b": 0.25, "delay": 0.0, "mode": "good", "powers": [1, 3]}'
    first, second = compute_cell(CHEAP, CellKey(text, 5)), compute_cell(CHEAP, CellKey(text, 5))
    assert first.record == second.record
    assert first.record != compute_cell(CHEAP, CellKey(text, 6)).record


def test_an_error_is_an_outcome() -> None:
    outcome = compute_cell(CHEAP, CellKey(canonical(Parameters(a=2, mode="fail")), 0))
    assert outcome.record is None
    assert outcome.error is not None
    assert outcome.error.strip().endswith("ArithmeticError: a = 2 cannot be computed")


def test_the_code_version_covers_a_subject_from_elsewhere() -> None:
    assert code_version(CHEAP_NAME).startswith(code_version("chain") + "+")


def test_a_sweep_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(
        'subject = "chain"\ndesign = "latin"\ncells = 7\nseeds = [3]\n[set]\nk = [1, 2]\ncoupling = "0:1"\n'
    )
    written = read_file(path)
    assert (written.subject, written.design, written.cells) == ("chain", "latin", 7)
    assert read_seeds(written.seeds or "") == (3,)
    assert len(make_plan(load_subject("chain"), written.settings, "latin", 7).cells) == 7
    assert read_file(None).settings == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subjct = 'chain'", "did you mean subject?"),
        ("k = [1]", "axes go under"),
        ("subject = ", "is not TOML"),
        ("cells = 'x'", "int"),
        ("set = 3", "table"),
        ("[set.k]\nx = 1", "a list is needed"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=re.escape(message)):
        read_file(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no such file"):
        read_file(tmp_path / "none.toml")
