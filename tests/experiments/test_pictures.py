"""Pictures of results: every public result draws itself on the axes that it is given, with labels; and says what it
cannot draw."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from PIL import Image

import gmlm
from experiments.chains.record import chain_record
from experiments.decoding.record import decode_record
from experiments.estimation.information import ising_information
from experiments.estimation.sample_size import sample_sizes
from experiments.figures import MOST_SERIES
from experiments.pictures.drawers import BY_CLASS, drawer_of
from theory import pictures
from theory.decoding import SizeFrontier
from theory.estimation import population
from theory.pictures import Pictured

LAW = gmlm.ising_on(gmlm.named_graph("cycle", 4), coupling=0.5, field=0.1)
EXACT = gmlm.TableConditionals(LAW)
TABLES = gmlm.ConditionalTables(EXACT)
MASKS = gmlm.k_uniform(4, 1)


@pytest.fixture
def axes() -> Iterator[Axes]:
    yield pyplot.subplots()[1]
    pyplot.close("all")


@lru_cache
def chain(k: int = 1) -> Any:
    return gmlm.block_gibbs(EXACT, gmlm.k_uniform(4, k))


@lru_cache
def decoded() -> Any:
    return gmlm.decode(TABLES, gmlm.parse("llada"), 2)


def one_sided(tokens: Any) -> Any:
    """A network that hears its left neighbour only."""
    heard = np.where(np.roll(tokens, 1, axis=1) == 1, 0.8, 0.3)
    return np.stack([1 - heard, heard], axis=2)


RESULTS: dict[str, Callable[[], Any]] = {
    "curve": lambda: gmlm.total_variation_curve(chain(), range(30)),
    "long curve": lambda: gmlm.total_variation_curve(chain(), [0, 1, 10, 1000]),
    "mixing time": lambda: gmlm.mixing_time(chain()),
    "no mixing time": lambda: gmlm.mixing_time(np.array([[0.0, 1.0], [1.0, 0.0]])),
    "spectrum": lambda: gmlm.spectrum(chain()),
    "complex spectrum": lambda: gmlm.spectrum(0.9 * np.roll(np.eye(5), 1, axis=1) + 0.02),
    "stationary law": lambda: gmlm.stationary_law(chain()),
    "metastable sets": lambda: gmlm.metastable_sets(chain(), 2),
    "law": lambda: LAW,
    "larger law": lambda: gmlm.ising_on(gmlm.named_graph("path", 6), 0.5),
    "decoded": decoded,
    "divergences": lambda: gmlm.divergences(LAW, decoded().law),
    "samples": lambda: gmlm.sample(TABLES, gmlm.parse("llada"), 2, 9, np.random.default_rng(0)),
    "schedules": lambda: gmlm.optimal_schedules(LAW),
    "sizes": lambda: SizeFrontier(np.array([1.0, 0.2, 0.0]), ((3,), (1, 2), (1, 1, 1))),
    "unmasking": lambda: gmlm.unmask(TABLES, gmlm.parse("confidence"), 2, np.random.default_rng(0)),
    "Poincaré": lambda: gmlm.poincare_constant(LAW, MASKS),
    "tensorization": lambda: gmlm.approximate_tensorization(LAW, MASKS),
    "estimate": lambda: gmlm.fit(LAW.family, population(LAW, MASKS)),
    "rectangles": lambda: gmlm.rectangle_test(gmlm.FunctionConditionals(4, 2, one_sided)),
    "conditionals": lambda: gmlm.FunctionConditionals(4, 2, one_sided),
}

COMPARED = ("curve", "mixing time", "spectrum", "stationary law", "law", "divergences", "schedules", "Poincaré",
            "tensorization", "estimate", "rectangles")  # fmt: skip

PLAIN: dict[str, Callable[[], Any]] = {
    "bounds": lambda: gmlm.mixing_time_bounds(chain()),
    "record of chain": lambda: chain_record(LAW, "k-gibbs", MASKS, curve=True),
    "record of decode": lambda: decode_record(LAW, ["llada", "optimal"], [1, 2]),
    "record of information": lambda: ising_information(LAW, [1, 2]),
    "record of sample-size": lambda: sample_sizes(LAW, [1, 4], 0.1),
    "records of tighten": lambda: [
        {"claim": "C6", "bound": "entropy", "ratio": 0.5, "random": 0.1},
        {"claim": "C5", "bound": "uniform block", "ratio": 1.0, "random": None},
    ],
    "record of a window": lambda: {
        "window": "AC",
        "samplers": [],
        "curves": [{"sampler": "k-gibbs", "k": 1, "temperature": 1.0, "times": [0, 1, 2], "worst": [1.0, 0.5, 0.1]}],
    },
}


def labelled(axes: Axes) -> bool:
    """Whether both axes say what they show: a label, or names for ticks."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    return bool(axes.get_xlabel()) and bool(axes.get_ylabel() or any(name.strip() for name in names))


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_draws_itself_on_the_given_axes(name: str, axes: Axes) -> None:
    result = RESULTS[name]()
    assert isinstance(result, Pictured)
    assert result.plot(axes) is axes
    assert axes.has_data() or axes.texts
    assert labelled(axes)
    assert pyplot.get_fignums() == [axes.figure.number]
    axes.figure.canvas.draw()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_is_drawn_too(name: str, axes: Axes) -> None:
    assert gmlm.plot(PLAIN[name](), axes) is axes
    assert axes.has_data()
    assert labelled(axes)
    axes.figure.canvas.draw()


def test_what_has_the_method_has_a_drawer() -> None:
    def derived(kind: type) -> Iterator[type]:
        for each in kind.__subclasses__():
            yield each
            yield from derived(each)

    kinds = {kind for kind in derived(Pictured) if kind.__module__.startswith(("theory", "simulators"))}
    assert {type(make()) for make in RESULTS.values()} <= kinds
    assert all(set(kind.__mro__) & BY_CLASS.keys() for kind in kinds)


def test_new_axes_are_made_where_none_are_given() -> None:
    found = gmlm.plot(LAW, title="A ring")
    assert isinstance(found, Axes)
    assert found.get_title() == "A ring"
    pyplot.close("all")


@pytest.mark.parametrize("kind", COMPARED)
def test_results_of_one_kind_are_compared(kind: str, axes: Axes) -> None:
    result = RESULTS[kind]()
    gmlm.plot({"first": result, "second": result}, axes)
    axes.figure.canvas.draw()
    legend = axes.get_legend()
    words = [] if legend is None else [text.get_text() for text in legend.get_texts()]
    words += [text.get_text() for text in (*axes.get_yticklabels(), *axes.get_xticklabels())]
    assert all(any(name in word for word in words) for name in ("first", "second"))


def test_what_is_drawn_later_looks_different(axes: Axes) -> None:
    gmlm.plot({"exact": ([1, 2], [3, 4])}, axes)
    gmlm.plot({"predicted": ([1, 2], [3, 5], "line"), "measured": ([1, 2], [3, 5], "marks")}, axes)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["exact", "predicted", "measured"]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.get_lines()}
    assert len(looks) == 3


def test_an_interval_without_an_end_has_an_arrow(axes: Axes) -> None:
    gmlm.plot({"a": (2.0, np.inf), "b": (1.0, 3.0)}, axes)
    assert [line.get_marker() for line in axes.get_lines()].count(">") == 1


CURVE = RESULTS["curve"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda: 3,), "result = 3: is none of"),
        ((dict,), "result = {}: is none of"),
        ((lambda: {"a": LAW, "b": 3},), r"result\['b'\] = 3: is none of"),
        ((lambda: {"a": LAW, "b": CURVE()},), "result = a, b: results of one kind"),
        ((lambda: {str(n): LAW for n in range(MOST_SERIES + 1)},), "result = 7 series: at most 6"),
        ((lambda: {n: RESULTS["unmasking"]() for n in "ab"},), "one at a time"),
        ((lambda: {"a": LAW, "b": RESULTS["larger law"]()},), "on the same states"),
        ((lambda: ([1, 2], [3]),), "of one length"),
        ((lambda: ([1], [3], "dots"),), "one of both, marks, line"),
        ((lambda: (["a"], ["b"]),), "sequences of numbers"),
        ((lambda: (np.nan, 1.0),), "an end that is a finite number"),
        ((lambda: {"mixing_time": 1, "mixing_time_bounds": {}, "absolute_spectral_gap": 0.1},), "has no curve"),
        ((lambda: LAW, "here"), "ax = here: Matplotlib axes are needed"),
        ((lambda: LAW, 3), "ax = 3: Matplotlib axes are needed"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(arguments: tuple[Any, ...], message: str) -> None:
    make, *ax = arguments
    with pytest.raises(gmlm.InvalidInput, match=message) as caught:
        gmlm.plot(make(), *ax)
    assert "\n" not in str(caught.value)
    pyplot.close("all")


def test_a_setting_that_axes_do_not_have(axes: Axes) -> None:
    with pytest.raises(gmlm.InvalidInput, match="settings = colour_of_sky"):
        gmlm.plot(LAW, axes, colour_of_sky="blue")


def test_without_the_face_a_result_says_who_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_draw", None)
    with pytest.raises(RuntimeError, match=r"gmlm\.plot"):
        LAW.plot()


def test_records_are_known_by_their_keys_and_other_dictionaries_are_not() -> None:
    assert drawer_of(ising_information(LAW, [1])) is not None
    assert drawer_of({"by_k": []}) is None
    assert drawer_of([{"by_k": []}]) is None
    assert drawer_of([]) is None


def test_a_path_ends_without_blanks_and_fills_each_site_once() -> None:
    path = gmlm.unmask(TABLES, gmlm.parse("random-order"), 3, np.random.default_rng(0), "ab")
    assert path.blank[0].all()
    assert not path.blank[-1].any()
    assert path.filled.sum(axis=0).tolist() == [1, 1, 1, 1]
    assert path.calls.tolist() == [1.0, 1.0, 1.0]
    assert str(path).splitlines()[0] == "____"
    first = path.until(1)
    assert str(first) == "\n".join(str(path).splitlines()[:2])
    assert first.calls.tolist() == [1.0]
    with pytest.raises(gmlm.InvalidInput, match=r"step = 4: must lie in 0\.\.3"):
        path.until(4)
    with pytest.raises(gmlm.InvalidInput, match="alphabet = a: a letter for each of 2 symbols"):
        gmlm.unmask(TABLES, gmlm.parse("random-order"), 3, np.random.default_rng(0), "a")


def test_a_slider_draws_anew_and_the_first_picture_is_for_the_first_values(monkeypatch: pytest.MonkeyPatch) -> None:
    ipywidgets = pytest.importorskip("ipywidgets", reason="sliders need ipywidgets")
    import IPython.display

    shown: list[Any] = []

    class Handle:
        def update(self, figure: Any) -> None:
            shown.append(figure)

    def display(thing: Any, display_id: bool = False) -> Handle | None:
        shown.append(thing)
        return Handle() if display_id else None

    monkeypatch.setattr(IPython.display, "display", display)
    drawn: list[float] = []

    def draw(coupling: float) -> Axes:
        drawn.append(coupling)
        return gmlm.plot(([0, 1], [0, coupling]))

    gmlm.explore(draw, coupling=[0.5, 0.0, 1.0])
    figure, box = shown
    assert drawn == [0.5]
    assert isinstance(box, ipywidgets.VBox)
    (slider,) = box.children
    assert [value for _, value in slider.options] == [0.0, 0.5, 1.0]
    slider.value = 1.0
    assert drawn == [0.5, 1.0]
    assert len(shown) == 3
    assert shown[2] is not figure
    assert pyplot.get_fignums() == []
    gmlm.explore(draw, play=True, coupling=[0.5, 0.0, 1.0])
    assert Image.open(io.BytesIO(shown[3].data)).n_frames == 3
    with pytest.raises(gmlm.InvalidInput, match="play = 2 arguments"):
        gmlm.explore(draw, play=True, coupling=[0.5], k=[1])
    with pytest.raises(gmlm.InvalidInput, match="coupling = "):
        gmlm.explore(draw, coupling=[])
    with pytest.raises(gmlm.InvalidInput, match="must return the axes"):
        gmlm.explore(lambda coupling: None, coupling=[1.0])
