"""Figures for a phone: one column, text in lines, legends inside or below."""

from __future__ import annotations

from itertools import pairwise

from experiments.figures import NARROW, fit_a_phone, for_a_phone, new_figure, render


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
