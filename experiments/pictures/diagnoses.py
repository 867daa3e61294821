"""Pictures of diagnoses: severities as ranked bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.diagnosis.drawing import draw_bars
from experiments.diagnosis.findings import Diagnosis
from experiments.pictures.drawers import draws, draws_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@draws(Diagnosis, several=False)
def draw_diagnosis(axes: Axes, named: Mapping[str, Diagnosis]) -> None:
    """The ranking."""
    for found in named.values():
        draw_bars(axes, found.record())


@draws_records("diagnose", "findings", "left_out")
def draw_diagnosis_record(axes: Axes, named: Mapping[str, Mapping[str, Any]]) -> None:
    """The ranking."""
    for record in named.values():
        draw_bars(axes, record)
