"""Results of sweeps: rows, conditions, data frames, exports, and what the command line lists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas
import pytest

from experiments.sweeps import open_results
from experiments.sweeps.cell import code_version, compute_cell, own_provenance
from experiments.sweeps.plan import make_plan
from experiments.sweeps.results import export
from experiments.sweeps.store import open_store
from experiments.sweeps.subjects import load_subject
from tests.experiments.command_line import run
from tests.experiments.sweep_subjects import CHEAP_NAME
from theory.errors import InvalidInput


def fill(path: Path, name: str, settings: dict[str, str], seeds: tuple[int, ...] = (0,), code: str = "") -> None:
    """What a sweep would store, computed here."""
    plan = make_plan(load_subject(name), settings, seeds=seeds)
    with open_store(path, create=True) as store:
        outcomes = [compute_cell(plan.subject, key) for key in plan.cells]
        store.write(plan.subject.name, code or code_version(name), outcomes, own_provenance())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "sweeps.sqlite"
    fill(path, CHEAP_NAME, {"a": "0..4", "b": "0.1:0.5:0.1", "mode": "good,fail"}, (0, 1))
    fill(path, "C8", {"sites": "4", "cliques": "3,4", "couplings": "0.5", "large": "20"})
    return path


def test_a_row_holds_parameters_outcomes_and_provenance(path: Path) -> None:
    (row,) = open_results(path).rows(f"subject={CHEAP_NAME}", "a=3", "b=0.3", "seed=1", "mode=good")
    assert (row["powers"], row["kind"], row["status"], row["large"]) == ("1, 2", "odd", "done", 1.0)
    assert row["expected"] == pytest.approx(3 * (0.3 + 0.09))
    assert row["result.duration"] == 12  # an outcome that is named like something the row has already
    assert 0 < row["duration"] < 60
    assert "nested.mean" in row
    assert "nested.list" not in row
    assert row["code"] == code_version(CHEAP_NAME)
    (infinite, *_) = open_results(path).rows("a=0", "mode=good")
    assert infinite["large"] == float("inf")


def test_records_are_whole_and_hold_where_they_come_from(path: Path) -> None:
    found = open_results(path).records("claim=C8")
    assert [row["cliques"] for row, _ in found] == [3, 4]  # lists of one value appear as that value
    assert all(record["data"]["parallel"] and record["verdict"] == "holds" for _, record in found)
    cells = open_results(path).cells
    assert {"packages", "commit", "code", "host"} <= set(cells[0].provenance)
    assert {"python", "numpy", "scipy"} <= set(cells[0].provenance["packages"])


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ([], 100),
        (["status=failed"], 10),
        (["status!=failed"], 90),
        (["a=1..3"], 60),
        (["a=1,4", "mode=good"], 20),
        (["a!=1..3"], 40),
        (["b>=0.3"], 60),
        (["b>0.3", "seed=0"], 20),
        (["b<=0.1", "a<2"], 8),
        (["b=0.1:0.3:0.1"], 60),
        (["kind=odd,even", "a=2"], 10),
    ],
)
def test_conditions(path: Path, conditions: list[str], count: int) -> None:
    rows = open_results(path).rows(f"subject={CHEAP_NAME}", *conditions)
    assert len(rows) == count


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("sede=1", "did you mean seed?"),
        ("a", "is written NAME=VALUE"),
        ("a=", "is written NAME=VALUE"),
        ("a<x", "a list of numbers"),
        ("a<1,2", "one number"),
    ],
)
def test_conditions_that_cannot_be_read(path: Path, condition: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        open_results(path).rows(condition)


def test_one_line_gives_a_data_frame(path: Path) -> None:
    frame = open_results(path).frame(f"subject={CHEAP_NAME}", "status=done")
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 90
    means = frame.groupby("a")["expected"].mean()
    assert means[4] == pytest.approx(4 * means[1])
    with pytest.raises(InvalidInput, match="pandas or polars"):
        open_results(path).frame(library="arrow")


def test_polars_where_it_is_installed(path: Path) -> None:
    try:
        import polars
    except ImportError:
        with pytest.raises(InvalidInput, match="pip install polars"):
            open_results(path).frame(library="polars")
    else:
        assert isinstance(open_results(path).frame(library="polars"), polars.DataFrame)


def test_the_newest_version_of_a_cell_counts(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    fill(path, CHEAP_NAME, {"a": "1,2"}, code="old")
    fill(path, CHEAP_NAME, {"a": "2,3"})
    assert [(row["a"], row["code"] == "old") for row in open_results(path).rows()] == [
        (1, True),
        (2, False),
        (3, False),
    ]
    assert len(open_results(path, every_version=True).rows()) == 4


def test_exports_read_back_the_same(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = open_results(path).frame()
    for name in ("all.parquet", "all.csv"):
        code, out, _ = run(capsys, "results", "--store", path, "--export", tmp_path / name)
        assert (code, out.split()[0]) == (0, "102")
    parquet, csv = pandas.read_parquet(tmp_path / "all.parquet"), pandas.read_csv(tmp_path / "all.csv")
    assert list(parquet.columns) == list(csv.columns)
    for column in ("value", "duration", "b"):
        pandas.testing.assert_series_equal(parquet[column], frame[column])
        pandas.testing.assert_series_equal(csv[column], frame[column])
    code, _, err = run(capsys, "results", "--store", path, "--export", tmp_path / "all.xlsx")
    assert code == 2
    assert ".parquet or .csv" in err


def test_the_command_line_lists(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "results", "--store", path)
    assert code == 0
    assert ["C8", "2", "0"] in [line.split()[:3] for line in out.splitlines()]
    code, out, _ = run(capsys, "results", CHEAP_NAME, "--where", "mode=good", "--limit", 3, "--store", path)
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["a", "b", "seed", "value"]
    assert len(lines) == 5
    assert lines[-1].startswith("47 more rows")
    code, out, _ = run(capsys, "results", CHEAP_NAME, "--errors", "--store", path)
    assert "a = 2 cannot be computed" in out
    code, out, _ = run(capsys, "results", "--where", "claim=C8", "--json", "--store", path)
    assert {row["verdict"] for row in json.loads(out)} == {"holds"}
    code, out, _ = run(capsys, "results", "strong-clique", "--columns", "cliques,margin", "--store", path)
    assert out.split()[:3] == ["cliques", "margin", "3"]
    code, _, err = run(capsys, "results", "C8", "--columns", "clique", "--store", path)
    assert code == 2
    assert "did you mean cliques?" in err


def test_there_must_be_something_to_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "results", "--store", tmp_path / "none.sqlite")
    assert code == 2
    assert "gmlm sweep" in err


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["a=9"], "no cell has a=9; a is 0, 1, 2, 3, 4 where subject="),
        (["mode=good", "b=7"], "b is 0.1, 0.2, 0.3, 0.4, 0.5 where subject="),
        (["sweep=first"], "sweep is nowhere given"),
    ],
)
def test_conditions_that_nothing_meets_tell_what_there_is(
    path: Path, conditions: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for condition in conditions for word in ("--where", condition)]
    code, out, _ = run(capsys, "results", CHEAP_NAME, *options, "--store", path)
    assert code == 0
    assert message in out
    assert len(out.splitlines()) == 1


def test_formulas_are_text_in_a_spreadsheet(tmp_path: Path) -> None:
    texts = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "-1, 2", "-3.5", "@SUM(1)", "\tx", "fine", None]
    frame = pandas.DataFrame({"=evil()": texts, "number": [-1.5] * len(texts)})
    export(frame, tmp_path / "t.csv")
    read = pandas.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert list(read.columns) == ["'=evil()", "number"]
    assert read["'=evil()"].tolist() == [
        "'=1+1", "'+cmd|' /C calc'!A0", "-2+3", "-1, 2", "-3.5", "'@SUM(1)", "'\tx", "fine", "",
    ]  # fmt: skip
    assert (read["number"] == -1.5).all()
