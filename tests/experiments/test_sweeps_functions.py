"""Functions of a user as subjects, intervals, names, and sweeps from Python."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.sweeps import open_results, run_sweep
from experiments.sweeps.design import read_axes
from experiments.sweeps.plan import make_plan
from experiments.sweeps.subjects import load_subject
from tests.experiments import sweep_subjects
from tests.experiments.sweep_subjects import LENGTHS_NAME
from tests.experiments.test_sweeps_engine import GMLM, PATIENCE, count, started, wait_until
from tests.experiments.test_sweeps_results import run
from theory.errors import InvalidInput

OWN = """
import math, time

def correlation(coupling: float, sites: int = 8, slow: float = 0.0) -> dict[str, float]:
    \"\"\"Correlation across a ring of Ising spins.\"\"\"
    time.sleep(slow)
    t = math.tanh(coupling)
    half = sites // 2
    value = (t**half + t ** (sites - half)) / (1 + t**sites)
    return {"correlation": value, "length": -1 / math.log(t)}
"""


def test_a_function_is_a_subject_with_its_own_parameters() -> None:
    subject = load_subject(LENGTHS_NAME)
    assert subject.title == "The ring of a few lines that a user might sweep."
    plan = make_plan(subject, {"coupling": "0.5,1", "shape": "ring,line"}, seeds=(0, 1))
    assert len(plan.cells) == 8
    with pytest.raises(InvalidInput, match="coupling = nothing: has no default"):
        make_plan(subject, {"sites": "4"})
    with pytest.raises(InvalidInput, match="did you mean sites"):
        make_plan(subject, {"site": "4"})
    square = load_subject(f"{sweep_subjects.__name__}:plain_square")
    assert dict(square.compute(square.parameters(x=3.0), 0)) == {"value": 9.0}
    with pytest.raises(InvalidInput, match="seeds = 2: have no effect"):
        make_plan(square, {"x": "1,2"}, seeds=(0, 1))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(*numbers): return 1", "its parameter numbers cannot be given by name"),
        ("def f(x: dict): return 1", "its parameter x is of type"),
        ("def f(x: 'Nowhere'): return 1", "its parameters cannot be read"),
        ("f = 7", "is neither a function nor a Subject"),
        ("g = 7", "cannot be imported: AttributeError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("def f(:", "cannot be imported: SyntaxError"),
    ],
)
def test_what_cannot_be_swept(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_broken", raising=False)
    (tmp_path / "own_broken.py").write_text(source)
    code, _, err = run(capsys, "sweep", "own_broken:f", "--set", "x=1", "--dry-run")
    assert code == 2
    assert re.search(re.escape(message), err)
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("setting", "low", "high"),
    [("uniform:0..2", 0.0, 2.0), ("0:2", 0.0, 2.0), ("log:1e-4..1e-1", 1e-4, 1e-1), ("uniform:-2..-1", -2.0, -1.0)],
)
def test_intervals_hold_their_draws(setting: str, low: float, high: float) -> None:
    (axis,) = read_axes(load_subject(LENGTHS_NAME).parameters, {"coupling": setting}, "latin")
    values = [axis.at((place + 0.5) / 100) for place in range(100)]
    assert low <= min(values) < max(values) <= high
    assert values == sorted(values)
    middle = math.sqrt(low * high) if setting.startswith("log") else (low + high) / 2
    assert values[49] <= middle <= values[50]


def test_whole_numbers_of_an_interval_have_equal_shares() -> None:
    (axis,) = read_axes(load_subject(LENGTHS_NAME).parameters, {"sites": "uniform:3..6"}, "random")
    values = [axis.at((place + 0.5) / 400) for place in range(400)]
    assert {value: values.count(value) for value in values} == {3: 100, 4: 100, 5: 100, 6: 100}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("log:0..1", "numbers above 0"),
        ("log:1..x", "type float"),
        ("uniform:2..1", "is empty"),
        ("cubic:1..2", "uniform or log"),
        ("uniform:-1.7e308..1.7e308", "too wide"),
    ],
)
def test_intervals_that_cannot_be_read(setting: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_axes(load_subject(LENGTHS_NAME).parameters, {"coupling": setting}, "random")
    with pytest.raises(InvalidInput, match="needs --design"):
        read_axes(load_subject(LENGTHS_NAME).parameters, {"coupling": "log:1..2"}, "grid")


def test_designs_that_draw_say_how_many_cells_are_distinct() -> None:
    plan = make_plan(load_subject(LENGTHS_NAME), {"coupling": "1", "sites": "1,2,3"}, "random", 50)
    assert "3 cells (random design: 50 draws, 3 distinct)" in plan.lines()


def test_a_sweep_from_python_is_kept_named_and_read(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    first = run_sweep(
        sweep_subjects.lengths, {"coupling": [0.5, 1.0], "sites": "4..6"}, name="first", store=path, workers=1
    )
    assert len(first.rows()) == 6
    again = run_sweep(LENGTHS_NAME, {"coupling": "1", "sites": 5}, name=["second", "first"], store=path, workers=1)
    (row,) = again.rows()
    assert row["sweep"] == "first, second"
    found = open_results(path)
    assert len(found.rows(sweep="first")) == 6
    assert len(found.rows(sweep="second")) == 1
    frame = found.frame("sites>4", subject=LENGTHS_NAME, coupling=1.0)
    assert list(frame["result.sites"]) == [5, 6]
    assert len(found.frame(sites=[4, 5], coupling=0.5)) == 2
    with pytest.raises(InvalidInput, match="put it into a module"):
        run_sweep(lambda x: x, {"x": [1]}, store=path)


def test_what_a_database_names_is_not_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.sqlite"
    run_sweep(sweep_subjects.lengths, {"coupling": [0.5, 1.0]}, store=path, workers=1)
    import sqlite3

    connection = sqlite3.connect(path)
    connection.execute("UPDATE cells SET subject = 'antigravity:fly'")
    connection.commit()
    connection.close()
    for arguments in ([], ["--where", "sites=8"], ["antigravity:fly"]):
        code, out, _ = run(capsys, "results", *arguments, "--store", path)
        assert code == 0
        assert "coupling" in out
    assert "antigravity" not in sys.modules


def test_two_hundred_points_on_two_workers_killed_and_resumed(tmp_path: Path) -> None:
    """A function of ten lines in a file of the user, from the command line."""
    (tmp_path / "my_ring.py").write_text(OWN)
    path = tmp_path / "s.sqlite"
    words = ["sweep", "my_ring:correlation", "--set", "coupling=log:0.01..2", "--set", "sites=uniform:4..40"]
    words += ["--set", "slow=0.01", "--cells", "200", "--name", "ring", "--workers", "2", "--store", str(path)]
    with started(*GMLM, *words, folder=tmp_path) as process:
        wait_until(lambda: count(path) >= 20 or process.poll() is not None, "20 cells")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with started(*GMLM, *words, folder=tmp_path) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "200 cells (random design: 200 draws, 200 distinct)" in output
    assert "done before" in output
    assert "200 of 200 cells are done" in output
    rows = open_results(path).rows(sweep="ring")
    assert len({(row["coupling"], row["sites"]) for row in rows}) == 200
    for row in rows:
        t = math.tanh(row["coupling"])
        half = row["sites"] // 2
        assert row["correlation"] == (t**half + t ** (row["sites"] - half)) / (1 + t ** row["sites"])
    axes = ["--x", "coupling", "--y", "length", "--value", "sites", "--sweep", "ring"]
    plotted = subprocess.run(
        [*GMLM, "plot", "my_ring:correlation", *axes, "--store", str(path), "--out", "length.png"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert (plotted.returncode, plotted.stderr) == (0, "")
    assert (tmp_path / "length.png").stat().st_size > 10_000
