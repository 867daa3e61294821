"""Figures for a phone: one column, text in lines, legends inside or below."""

from __future__ import annotations

from itertools import pairwise

import pytest
from matplotlib.lines import Line2D

from experiments.figures import NARROW, fit_a_phone, for_a_phone, marks, new_figure, readable, render


def test_axes_stand_below_one_another_on_a_phone_and_nothing_is_cut() -> None:
    with for_a_phone():
        figure, panels = new_figure(1, 3, width=12.0, height=3.0)
    for number, axes in enumerate(panels):
        axes.plot([0, 1], [0, 1], label=f"a long name of the series number {number} that needs some room")
        axes.set(
            xlabel="steps", ylabel="a long label with a formula $I_{k+1}^{-1} I_k$ in its middle, in units of nats"
        )
    panels[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
    figure.suptitle("What is learned is told above the panels in one sentence that needs two lines")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    fit_a_phone(figure)
    assert render(figure, "svg").startswith(b"<?xml")
    assert figure.get_figwidth() == NARROW
    boxes = [axes.get_tightbbox().bounds for axes in panels]
    assert all(lower[1] + lower[3] < upper[1] + upper[3] for upper, lower in pairwise(boxes))
    width = NARROW * figure.dpi
    assert all(left >= -1 and left + wide <= width + 1 for left, _, wide, _ in boxes)
    assert "$I_{k+1}^{-1} I_k$" in panels[0].get_ylabel()
    assert "\n" in panels[0].get_ylabel()
    assert new_figure(1, 3)[0].get_figwidth() > NARROW


@pytest.mark.parametrize("columns", [1, 2])
def test_a_legend_below_a_panel_lies_inside_the_figure_of_a_phone_with_its_markers(columns: int) -> None:
    with for_a_phone():
        figure, panels = new_figure(1, columns, width=8.0, height=3.6)
    for axes in panels:
        for series in range(6):
            marks(axes, [0, 1], [series, series + 1], series, "measured" if series < 2 else f"series {series}")
        axes.set_xlabel("steps")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    fit_a_phone(figure)
    figure.draw_without_rendering()
    for axes in panels:
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        label = axes.xaxis.label.get_window_extent()
        assert 0 <= box.y0 < box.y1 <= label.y0
        markers = [handle.lines[0].get_marker() for handle in axes.get_legend_handles_labels()[0]]
        assert {line.get_marker() for line in legend.findobj(Line2D)} >= set(markers)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0714, "0.071"),
        (6003.2, "6,000"),
        (20.0, "20"),
        (999_999.0, "1·10⁶"),
        (8.1e14, "8.1·10¹⁴"),
        (3e-16, "3·10⁻¹⁶"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_in_sentences_can_be_read(value: float, text: str) -> None:
    assert readable(value) == text
