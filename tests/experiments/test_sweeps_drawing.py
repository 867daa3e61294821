"""Figures of sweeps: ready-made ones, any sweep, and what is refused."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from experiments.figures import new_figure, render
from experiments.sweeps import open_results
from experiments.sweeps.design import read_seeds
from experiments.sweeps.drawing import curve, draw_lines, median
from experiments.sweeps.maps import draw_heat_map, draw_phases, grid_of
from experiments.sweeps.picture import Picture, draw_rows, result_of
from experiments.sweeps.plan import make_plan
from experiments.sweeps.presets import PRESETS, latest_fitting
from experiments.sweeps.results import Results, Row
from experiments.sweeps.subject import Quantity
from experiments.sweeps.subjects import load_subject
from tests.experiments.sweep_subjects import CHEAP, CHEAP_NAME
from tests.experiments.test_sweeps_results import fill, run
from theory.errors import InvalidInput
from theory.parameters import assignments, describe

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
        ("facets", "--x", "a", "--y", "value", "--facet", "b", "--narrow"),
        ("scatter", "--x", "expected", "--y", "value", "--series", "kind"),
        ("parallel", "--parallel", "kind,a,b,large,value"),
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
        ([CHEAP_NAME, "--x", "a", "--y", "b", "--kind", "map"], "value = nothing: a picture of kind map needs it"),
        ([CHEAP_NAME, "--x", "b", "--y", "value", "--facet", "value"], "63 panels; keep at most 9"),
        ([CHEAP_NAME, "--parallel", "a"], "two columns or more"),
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


def test_words_on_an_axis_have_places_of_their_own_and_nothing_between_them(rows: list[Row]) -> None:
    _, (axes,) = new_figure()
    draw_lines(axes, CHEAP, [row for row in rows if row["b"] == 0.1], "kind", "value")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["even", "odd"]
    with pytest.raises(InvalidInput, match="75 lines cannot be told apart; keep at most 6"):
        draw_lines(axes, CHEAP, [row | {"one": index} for index, row in enumerate(rows)], "a", "value", "one")
    (marks,) = [drawn for drawn in axes.get_lines() if drawn.get_label() == "measured"]
    assert (marks.get_linestyle(), list(marks.get_xdata())) == ("None", [0, 1])


def test_zero_and_infinity_have_places_of_their_own(rows: list[Row]) -> None:
    _, (axes,) = new_figure()
    subject = dataclasses.replace(CHEAP, quantities={"v": Quantity("v", log=True)})
    made = [{"seed": 0, "a": place, "v": value} for place, value in enumerate([0.0, 1.0, 100.0, math.inf])]
    draw_lines(axes, subject, made, "a", "v")
    assert [text.get_text() for text in axes.get_yticklabels()][-2:] == ["0", "∞"]
    (drawn,) = [line for line in axes.get_lines() if len(line.get_xdata()) == 4]
    heights = np.asarray(drawn.get_ydata(), dtype=float)
    assert (np.diff(heights) > 0).all()
    assert np.isfinite(heights).all()
    _, (axes,) = new_figure()
    made = [{**row, "b": 0.0} for row in made]
    draw_heat_map(axes, subject, made, "a", "b", "v")
    assert [text.get_text() for text in axes.texts] == ["0", "∞"]
    assert median(np.array([1.0, math.inf])) == math.inf


def test_the_headline_is_made_from_the_rows(rows: list[Row]) -> None:
    lines = Picture(x="a", y="expected", series="b")
    assert result_of(CHEAP, rows, lines) == "expected: from 0 at a = 0, b = 0.1 to 3 at a = 4, b = 0.5"
    planted = [{**row, "expected": -7.0} if (row["a"], row["b"]) == (2, 0.3) else row for row in rows]
    assert result_of(CHEAP, planted, lines).startswith("expected: from -7 at a = 2, b = 0.3 to")
    assert result_of(CHEAP, rows, Picture(x="a", y="b", value="kind")) == "kind: even in 45, odd in 30 of 75 cells"


def test_facets_share_their_scales_and_their_series(rows: list[Row]) -> None:
    chosen = [row for row in rows if row["b"] in (0.1, 0.5)]
    figure = draw_rows(CHEAP, chosen, Picture(x="b", y="value", series="kind", facet="a", kind="scatter"))
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [f"a = {a}" for a in range(5)]
    assert len({axes.get_ylim() for axes in panels}) == 1
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["kind = even", "kind = odd"]


def test_a_ready_made_figure_takes_the_latest_sweep_that_fits() -> None:
    subject = load_subject("escape")
    preset = PRESETS["escape-time"]

    def row(sites: int, clique: int, finished: str) -> Row:
        values = {name: declared.default for name, declared in describe(subject.parameters).items()}
        return {**values, "seed": 0, "sites": sites, "clique": clique, "finished": finished}

    older = [row(8, 2, "2026-01-01"), row(8, 4, "2026-01-01")]
    newer = [row(12, 2, "2026-01-02"), row(12, 4, "2026-01-03")]
    single = [row(20, 4, "2026-02-01")]
    chosen, said = latest_fitting(preset, subject, [*newer, *older, *single])
    assert chosen == newer
    assert said == [
        "drawn is the latest of 3 sweeps that differ in what must be fixed: sites = 12; --where chooses",
    ]
    assert latest_fitting(preset, subject, single) == (single, [])


def test_results_draw_themselves(path: Path) -> None:
    matplotlib.use("agg")
    found = open_results(path)
    axes = found.plot("a", "value", subject=CHEAP_NAME, series="b")
    assert axes.get_xlabel() == "first number"
    _, (mine,) = new_figure()
    assert found.plot("a", "value", subject=CHEAP_NAME, where="b=0.1", ax=mine) is mine
    assert found.plot("k", "mixing_time", subject="chain", series="coupling").get_ylabel().startswith("mixing time")
    with pytest.raises(InvalidInput, match=f"subject = none: one of .*{CHEAP_NAME}"):
        found.plot("a", "value")
    with pytest.raises(InvalidInput, match="argument = colour: one of"):
        found.plot("a", "value", subject=CHEAP_NAME, colour="red")
    with pytest.raises(InvalidInput, match="no cell has a=77"):
        found.plot("a", "value", where="a=77")
    stranger = Results(
        [dataclasses.replace(cell, subject="not_here:f") for cell in found.cells if "a" in cell.parameters]
    )
    assert stranger.plot("a", "value", series="b").get_xlabel() == "a"
    pyplot.close("all")
