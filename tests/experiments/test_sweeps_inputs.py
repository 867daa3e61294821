"""Files as axes of sweeps: told by their contents, read by workers, refused where they have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from experiments.sweeps import open_results, sweep
from experiments.sweeps.cell import CellKey, compute_cell
from experiments.sweeps.estimate import Estimate
from experiments.sweeps.inputs import file_name, identify, locate
from experiments.sweeps.plan import SweepPlan, make_plan
from experiments.sweeps.store import open_store
from experiments.sweeps.subjects import load_subject
from tests.experiments.test_sweeps_results import fill, run
from theory.errors import InvalidInput
from theory.laws import load_table


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one file of each kind."""
    random = np.random.default_rng(0)
    table = random.random((2, 2, 2, 2))
    np.save(tmp_path / "law.npy", table / table.sum())
    np.save(tmp_path / "J.npy", 0.5 * (np.eye(5, k=1) + np.eye(5, k=-1)))
    np.save(tmp_path / "h.npy", np.full(5, 0.1))
    (tmp_path / "net.txt").write_text("a b\nb c 0.7\nc a\nc d\n")
    matrix = random.random((6, 6))
    scipy.sparse.save_npz(tmp_path / "P.npz", scipy.sparse.csr_matrix(matrix / matrix.sum(axis=1, keepdims=True)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def computed(plan: SweepPlan) -> list[dict[str, Any]]:
    outcomes = [compute_cell(plan.subject, key) for key in plan.cells]
    assert all(outcome.error is None for outcome in outcomes), outcomes
    return [json.loads(outcome.record or "") for outcome in outcomes]


@pytest.mark.parametrize(
    "files",
    [
        {"table": "law.npy", "k": "2"},
        {"couplings": "J.npy", "fields": "h.npy"},
        {"edges": "net.txt", "coupling": "0.25"},
        {"transition": "P.npz", "epsilon": "0.1"},
    ],
)
def test_a_cell_is_what_the_command_prints(
    files: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = computed(make_plan(load_subject("chain"), files))
    _, out, _ = run(capsys, "chain", *(word for name in files for word in (f"--{name}", files[name])), "--json")
    printed = json.loads(out)
    shared = printed.keys() & record.keys()
    assert {"mixing_time", "spectral_gap", "states", "method"} <= shared
    assert all(record[name] == printed[name] for name in shared)


def test_a_decoder_on_a_table(folder: Path) -> None:
    records = computed(make_plan(load_subject("decode"), {"table": "law.npy", "calls": "1..4", "decoder": "optimal"}))
    assert records[0]["entropy"] == pytest.approx(load_table(folder / "law.npy").entropy())
    assert records[0]["kl"] == pytest.approx(records[0]["least"], abs=1e-12)
    assert records[3]["kl"] == pytest.approx(0, abs=1e-12)


def test_the_same_contents_are_the_same_cell_and_others_another_sweep(folder: Path) -> None:
    subject = load_subject("chain")
    cells = [make_plan(subject, {"table": text}).cells for text in ("law.npy", "./law.npy", str(folder / "law.npy"))]
    assert cells[0] == cells[1] == cells[2]
    assert "law.npy@" in cells[0][0].parameters
    assert make_plan(subject, {"table": "law.npy,./law.npy"}).cells == cells[0]
    law = np.load(folder / "law.npy")
    np.save(folder / "law.npy", law.T)
    assert make_plan(subject, {"table": "law.npy"}).cells != cells[0]
    error = compute_cell(subject, cells[0][0]).error
    assert error is not None
    assert "law.npy: has changed" in error
    np.save(folder / "law.npy", law)
    assert compute_cell(subject, cells[0][0]).error is None


def test_a_cell_without_files_is_named_as_before_there_were_any() -> None:
    (cell,) = make_plan(load_subject("chain"), {}).cells
    assert json.loads(cell.parameters).keys().isdisjoint({"table", "couplings", "fields", "edges", "transition"})


def test_a_file_as_a_cell_names_it(folder: Path) -> None:
    named = identify("law.npy", "table")
    assert identify(named, "table") == named
    assert locate(named, "table") == Path("law.npy")
    assert (file_name(named), file_name("law.npy"), identify("", "table")) == ("law.npy", None, "")
    (folder / "odd@0123456789ab").write_bytes((folder / "law.npy").read_bytes())
    assert locate(identify("odd@0123456789ab", "table"), "table").name == "odd@0123456789ab"
    for text, reason in (("nothing.npy", "no such file"), ("law.npy@0123456789ab", "has changed")):
        with pytest.raises(InvalidInput, match=reason):
            identify(text, "table")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"table": "law.npy", "edges": "net.txt"}, "give either it or edges"),
        ({"table": "law.npy", "coupling": "0.7"}, "coupling = 0.7: has no effect with table"),
        ({"transition": "P.npz", "k": "2"}, "k = 2: has no effect with transition"),
        ({"fields": "h.npy"}, "goes with couplings"),
        ({"table": "law.npy", "k": "5"}, r"k = 5: must lie in 1..N = 1..4"),
        ({"transition": "J.npy"}, "must sum to 1"),
        ({"table": "nothing.npy"}, "there is no such file"),
    ],
)
def test_files_that_do_not_go_together(settings: dict[str, str], reason: str, folder: Path) -> None:
    with pytest.raises(InvalidInput, match=reason):
        make_plan(load_subject("chain"), settings)


def test_what_only_the_whole_file_tells_is_an_error_of_the_cell(folder: Path) -> None:
    np.save(folder / "bad.npy", np.full((2, 2), 0.3))
    (cell,) = make_plan(load_subject("chain"), {"table": "bad.npy"}).cells
    assert "sum" in (compute_cell(load_subject("chain"), cell).error or "")


def test_the_command_line_takes_files_and_lists_their_names(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "by_timing", lambda subject, cells: Estimate(1.0, "as assumed"))
    code, out, _ = run(capsys, "sweep", "chain", "--table", "law.npy", "--set", "k=1..3", "--dry-run")
    assert (code, "table = law.npy@" in out, "3 cells" in out) == (0, True, True)
    code, _, err = run(capsys, "sweep", "escape", "--table", "law.npy", "--dry-run")
    assert (code, "known here: sites, clique" in err) == (2, True)
    code, _, err = run(capsys, "sweep", "chain", "--table", "law.npy", "--set", "table=J.npy", "--dry-run")
    assert (code, "--table = law.npy: give either it or --set table=" in err) == (2, True)
    for settings in ({"table": "law.npy", "k": "1..3"}, {"edges": "net.txt"}):
        fill(folder / "s.sqlite", "chain", settings)
    code, out, _ = run(capsys, "results", "chain", "--store", "s.sqlite")
    assert (code, "law.npy" in out, "@" in out) == (0, True, False)
    assert len(open_results("s.sqlite").rows(table="law.npy")) == 3


def test_cells_that_were_computed_under_other_names_have_those_of_now(tmp_path: Path) -> None:
    old = {"model": "ising", "batch": 32, "rate": 0.01}
    outcome = compute_cell(load_subject("chain"), make_plan(load_subject("chain"), {"sites": "3"}).cells[0])
    with open_store(tmp_path / "s.sqlite", create=True) as store:
        key = CellKey(json.dumps(old), 0)
        store.write("training", "older", [outcome._replace(key=key)], "{}")
        store.write("chain", "older", [outcome._replace(key=key)], "{}")
    found = open_results(tmp_path / "s.sqlite")
    (row,) = found.rows(subject="training")
    assert (row["batch_size"], row["learning_rate"], "batch" in row) == (32, 0.01, False)
    (row,) = found.rows(subject="chain")
    assert row["batch"] == 32


def test_results_are_sorted_by_parameters_numbers_as_numbers(tmp_path: Path) -> None:
    for settings in ({"coupling": "0.5", "sites": "10,2"}, {"coupling": "0.25", "sites": "4"}):
        fill(tmp_path / "s.sqlite", "escape", settings | {"clique": "2"})
    rows = open_results(tmp_path / "s.sqlite").rows()
    assert [(row["coupling"], row["sites"]) for row in rows] == [(0.25, 4), (0.5, 2), (0.5, 10)]
