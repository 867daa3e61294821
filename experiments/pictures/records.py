"""Pictures of records: what commands print with ``--json``, and functions of `experiments` return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.chains.curve import curve_on
from experiments.decoding.figures import frontier_on, measure
from experiments.masked_lm.drawing import distances_on
from experiments.pictures.drawers import draws_records, look
from experiments.tightness.figures import atlas_on
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Record = Mapping[str, Any]


def _only(named: Mapping[str, Record]) -> Record:
    (record,) = named.values()
    return record


@draws_records("decode", "decoders", "entropy", "learned")
def draw_decoding(axes: Axes, named: Mapping[str, Record]) -> None:
    """Divergence against calls, a series for each decoder."""
    record = _only(named)
    if measure(record) is None:
        raise InvalidInput("result", "a record of decode", "no decoder has a finite number")
    frontier_on(axes, record)


@draws_records("mlm window", "window", "curves", "samplers")
def draw_window_record(axes: Axes, named: Mapping[str, Record]) -> None:
    """How fast Gibbs on a window of a network forgets, by mask size and temperature."""
    distances_on(axes, _only(named))


@draws_records("chain", "mixing_time", "mixing_time_bounds", "absolute_spectral_gap")
def draw_chain_record(axes: Axes, named: Mapping[str, Record]) -> None:
    """Distance over time beside the bounds."""
    record = _only(named)
    if "curve" not in record:
        raise InvalidInput(
            "result", "a record of chain", "has no curve: make it with `gmlm chain --plot` or curve=True"
        )
    curve_on(axes, record)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))


@draws_records("information", "by_k", "trace_inverse_fisher")
def draw_information(axes: Axes, named: Mapping[str, Record]) -> None:
    """Data needed by mask size, over that of maximum likelihood, and its bound by mixing (C3)."""
    record = _only(named)
    sizes = [row["k"] for row in record["by_k"]]
    needed = [row["trace_asymptotic_covariance"] / record["trace_inverse_fisher"] for row in record["by_k"]]
    axes.plot(sizes, needed, label="tr Γ_k / tr I⁻¹", **look(0))
    bound = [row["poincare_constant"] for row in record["by_k"]]
    axes.plot(sizes, bound, label="bound C_P (C3)", color=look(1)["color"], linestyle="--")
    axes.set(xlabel="mask size k (tokens)", ylabel="data needed / maximum likelihood", yscale="log", xticks=sizes)


@draws_records("sample-size", "by_k", "target", "delta")
def draw_sample_sizes(axes: Axes, named: Mapping[str, Record]) -> None:
    """Sequences needed by mask size: expected, and guaranteed."""
    record = _only(named)
    sizes = [row["k"] for row in record["by_k"]]
    series = {
        "asymptotic": "expected, one mask each",
        "asymptotic_all_masks": "expected, all masks each",
        "observed_loss": "guaranteed, from the observed loss",
        "guaranteed": "guaranteed (C4)",
    }
    for number, (key, label) in enumerate(series.items()):
        values = np.array([np.nan if row[key] is None else row[key] for row in record["by_k"]], dtype=float)
        axes.plot(sizes, values, label=label, **look(number))
    axes.set(xlabel="mask size k (tokens)", ylabel=f"sequences for TV ≤ {record['target']:g}", yscale="log",
             xticks=sizes)  # fmt: skip


@draws_records("tighten", "claim", "bound", "ratio", "random", of=list)
def draw_atlas_of_bounds(axes: Axes, named: Mapping[str, Any]) -> None:
    """How near to equality each bound was brought."""
    (records,) = named.values()
    atlas_on(axes, records)
