"""Figures of sweeps: ready-made ones, any sweep, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from experiments.figures import new_figure, render
from experiments.sweeps import open_results
from experiments.sweeps.design import read_seeds
from experiments.sweeps.drawing import curve, draw_heat_map, draw_lines, draw_phases, grid_of
from experiments.sweeps.plan import make_plan
from experiments.sweeps.presets import PRESETS
from experiments.sweeps.results import Row
from experiments.sweeps.subjects import load_subject
from tests.experiments.sweep_subjects import CHEAP, CHEAP_NAME
from tests.experiments.test_sweeps_results import fill, run
from theory.errors import InvalidInput
from theory.parameters import assignments

SMALL = {
    "mixing-time": {"coupling": "0,0.5,1", "k": "1,2", "sites": "4", "field": "0.1"},
    "escape-time": {"coupling": "0.5,1,2", "clique": "2..6", "sites": "6"},
    "sample-efficiency": {"coupling": "0,0.5,1", "k": "1..3", "sites": "3"},
    "decoding-frontier": {
        "decoder": "optimal,random-order,entropy",
        "calls": "1..3",
        "model": "random-ising",
        "sites": "3",
    },
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plot") / "sweeps.sqlite"
    fill(path, CHEAP_NAME, {"a": "0..4", "b": "0.1:0.5:0.1"}, (0, 1, 2))
    for name, settings in SMALL.items():
        fill(path, PRESETS[name].subject, settings, (0, 1) if name == "decoding-frontier" else (0,))
    return path


@pytest.fixture(scope="module")
def rows(path: Path) -> list[Row]:
    return open_results(path).rows(f"subject={CHEAP_NAME}")


def test_a_curve_is_the_median_and_the_range_over_seeds(rows: list[Row]) -> None:
    chosen = [row for row in rows if row["b"] == 0.1]
    points, middle, low, high = curve(chosen, "a", "value")
    assert points.tolist() == [0, 1, 2, 3, 4]
    for index, point in enumerate(points):
        values = sorted(row["value"] for row in chosen if row["a"] == point)
        assert [low[index], middle[index], high[index]] == values


def test_lines_show_measurement_band_and_theory(rows: list[Row]) -> None:
    figure, (axes,) = new_figure()
    draw_lines(axes, CHEAP, [row for row in rows if row["b"] in (0.1, 0.5)], "a", "value", "b")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["b = 0.1", "b = 0.5", "theory", "smallest to largest over seeds"]
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--" and len(line.get_xdata())]
    np.testing.assert_allclose(dashed[0].get_ydata(), [a * (0.1 + 0.01) for a in range(5)])
    assert axes.get_ylabel() == "value (units)"
    assert axes.get_xlabel() == "first number"
    assert render(figure, "png") == render(figure, "png")


def test_a_heat_map_holds_the_medians_in_place(rows: list[Row]) -> None:
    columns, lines, table = grid_of(rows, "a", "b", "expected")
    assert (columns, lines) == ([0, 1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(table[2], [a * (0.3 + 0.09) for a in range(5)])
    figure, (axes,) = new_figure()
    draw_heat_map(axes, CHEAP, rows, "a", "b", "value")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    measured, theory = labels
    assert measured.partition(" = ")[2] == theory.partition(" = ")[2]
    assert (measured.partition(" ")[0], theory.partition(" ")[0]) == ("measured", "theory")
    assert figure.axes[1].get_ylabel() == "value (units)"


def test_phases_by_words_and_by_a_threshold(rows: list[Row]) -> None:
    _, (axes,) = new_figure()
    draw_phases(axes, CHEAP, rows, "a", "b", "kind")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["even", "odd"]
    mesh = np.asarray(axes.collections[0].get_array()).reshape(5, 5)
    assert (mesh == np.arange(5) % 2).all()
    _, (axes,) = new_figure()
    draw_phases(axes, CHEAP, rows, "a", "b", "value", 1.0)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["< 1", "≥ 1", "theory = 1"]
    _, (axes,) = new_figure()
    with pytest.raises(InvalidInput, match="give a threshold"):
        draw_phases(axes, CHEAP, rows, "a", "b", "value")


@pytest.mark.parametrize("name", list(PRESETS))
def test_ready_made_figures(name: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preset = PRESETS[name]
    words = list(preset.sweep)
    seeds = read_seeds(words[words.index("--seeds") + 1]) if "--seeds" in words else (0,)
    settings = assignments([words[index + 1] for index, word in enumerate(words) if word == "--set"])
    plan = make_plan(load_subject(words[0]), settings, seeds=seeds)  # the sweep that it advises can be run
    assert len(plan.cells) >= 50
    assert set(settings) >= preset.free
    assert {axis.name for axis in plan.axes if len(axis.values) > 1} == preset.free
    out = tmp_path / f"{name}.svg"
    code, stdout, _ = run(capsys, "plot", name, "--store", path, "--out", out)
    assert code == 0
    assert stdout.strip() == str(out)
    assert out.stat().st_size > 10_000


def test_any_sweep_can_be_drawn(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures: tuple[tuple[str, ...], ...] = (
        ("lines", "--x", "a", "--y", "value", "--series", "b", "--linear", "--title", "A title"),
        ("map", "--x", "a", "--y", "b", "--value", "value"),
        ("phases", "--x", "a", "--y", "b", "--value", "value", "--threshold", "1"),
        ("words", "--x", "a", "--y", "b", "--value", "kind", "--where", "a>=1"),
    )
    for name, *options in figures:
        out = tmp_path / f"{name}.png"
        code, _, err = run(capsys, "plot", CHEAP_NAME, *options, "--store", path, "--out", out)
        assert (code, err) == (0, "")
        assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mixing-times"], "a ready-made figure"),
        (["mixing-time", "--x", "k"], "name the subject chain"),
        (["mixing-time", "--where", "k=9"], "gmlm sweep chain"),
        (["C8", "--x", "sites", "--y", "margin"], "no finished cells of C8"),
        ([CHEAP_NAME, "--x", "a", "--y", "value"], "varies too"),
        ([CHEAP_NAME, "--x", "a", "--y", "no", "--series", "b"], "no numbers to draw"),
        ([CHEAP_NAME, "--x", "a", "--y", "value", "--series", "b", "--out", "x.gif"], ".svg, .png or .pdf"),
        ([CHEAP_NAME, "--x", "a", "--y", "b", "--value", "no"], "no numbers to draw"),
    ],
)
def test_what_cannot_be_drawn(
    path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "plot", *arguments, "--store", path)
    assert code == 2
    assert re.search(re.escape(message), err)
    assert "Traceback" not in err
