"""C8 for independent parallel: how seldom it leaves the wrong mode, in one step and within a horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, columns, select
from experiments.figures import headline, line, marks, name_ends, new_figure, one_scale
from theory.bounds import (
    escape_probability_bound,
    escape_time_bound,
    log_escape_probability_exponent,
    log_two_stage_bound,
)
from theory.chains import DenseOperator, escape_probability_within, expected_escape_times
from theory.conditionals import TableConditionals
from theory.laws import JointLaw, clique_counts
from theory.samplers import independent_parallel
from theory.symmetry import log_independent_parallel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from experiments.claims.c8_strong_clique import Parameters

ROUNDING = 1e-12
"""Rounding allowed in a probability that is summed over at most a few thousand states."""

RELATIVE_ROUNDING = 1e-9
"""Relative rounding allowed in an expected time, which may be many orders of magnitude above 1."""


@dataclass(frozen=True)
class Parallel:
    """Independent parallel in the wrong mode: exact escape over all starts, beside the bounds."""

    m: int
    coupling: float
    escape: float
    escape_bound: float
    escape_exponent: float
    left: float
    one_stage: float
    two_stage: float
    fastest: float
    fastest_bound: float


def measure(law: JointLaw, m: int, coupling: float, wrong: NDArray[np.bool_], parameters: Parameters) -> Parallel:
    chain = DenseOperator(independent_parallel(TableConditionals(law)).to_dense())
    horizon, field = parameters.horizon, parameters.field
    counts = clique_counts(m, coupling, field)
    lumped_wrong = counts.magnetisations <= -2
    return Parallel(
        m,
        coupling,
        # Summed over the states outside, not 1 minus the sum inside: small probabilities keep their digits.
        escape=float(chain.matrix[np.ix_(wrong, ~wrong)].sum(axis=1).max()),
        escape_bound=escape_probability_bound(m, coupling, field),
        escape_exponent=float(np.exp(log_escape_probability_exponent(m, coupling, field))),
        left=float(escape_probability_within(chain, wrong, horizon)[wrong].max()),
        one_stage=horizon * escape_probability_bound(m, coupling, field),
        # The clique does not hear the other sites, so that its number of + sites is a chain of its own.
        two_stage=float(np.exp(log_two_stage_bound(log_independent_parallel(counts), lumped_wrong, horizon))),
        fastest=expected_escape_times(chain, wrong).best,
        fastest_bound=escape_time_bound(m, coupling, field),
    )


def checks(rows: Sequence[Parallel]) -> list[Check]:
    """Exact escapes against their bounds."""
    p = columns(rows)
    twice = "the bound with twice the exponent"
    return [
        Check.at_most(
            "independent parallel leaves the wrong mode in one step with probability at most the Chernoff bound",
            p["escape"],
            p["escape_bound"],
            ROUNDING,
            "worst wrong-mode state, even and odd cliques",
            trivial=1.0,
            wrong=(twice, p["escape_bound"] ** 2),
        ),
        Check.at_most(
            "the same probability is at most Chernoff's bound at the worst state, which has the exact exponent",
            p["escape"],
            p["escape_exponent"],
            ROUNDING,
            "worst wrong-mode state, even and odd cliques",
            trivial=1.0,
            wrong=(twice, p["escape_exponent"] ** 2),
        ),
        Check.at_most(
            "independent parallel has left the wrong mode within T steps with probability at most T times the bound",
            p["left"],
            p["one_stage"],
            ROUNDING,
            "worst wrong-mode state",
            trivial=1.0,
            wrong=("the bound of one step", p["escape_bound"]),
        ),
        Check.at_most(
            "the same probability is at most b₁ + (T − 1) b₂, two stages",
            p["left"],
            p["two_stage"],
            ROUNDING,
            "worst wrong-mode state; left side: the chain on all sequences; b₁, b₂: the number of + sites",
            trivial=1.0,
            wrong=("b₁ alone", p["escape"]),
        ),
        Check.at_least(
            "expected steps of independent parallel until it leaves are at least 1 / bound",
            p["fastest"],
            p["fastest_bound"],
            RELATIVE_ROUNDING * p["fastest_bound"],
            "best wrong-mode state",
            wrong=("1 / bound²", p["fastest_bound"] ** 2),
        ),
    ]


def draw(data: Mapping[str, Any]) -> Figure:
    """Probability that independent parallel leaves the wrong mode, in one step and within T, against the bounds."""
    figure, panels = new_figure(2, 1, 5.0, 6.8)
    couplings = sorted({row["coupling"] for row in data["parallel"]})
    shown = [couplings[0], couplings[len(couplings) // 2], couplings[-1]] if len(couplings) > 3 else couplings
    # The bounds for odd cliques have another exponent: one parity keeps the lines apart.
    even = [row for row in data["parallel"] if row["m"] % 2 == 0] or data["parallel"]
    kinds = (
        (panels[0], "escape", "escape_bound", "escape_exponent", "one step"),
        (panels[1], "left", "one_stage", "two_stage", f"within T = {data['horizon']} steps"),
    )
    for axes, exact, loose, sharp, title in kinds:
        for index, coupling in enumerate(shown):
            rows = columns(select(even, coupling=coupling))
            marks(axes, rows["m"], rows[exact], index)
            # Bounds above 1 run along the middle of the strip, each on a height of its own.
            for name, dash in ((loose, ":"), (sharp, "-")):
                line(axes, rows["m"], np.where(rows[name] < 1, rows[name], 1.5 + 0.5 * index), index, dash=dash)
        axes.set(yscale="log", xticks=sorted({row["m"] for row in even}), xlabel="clique size m (sites)", title=title)
        axes.set(ylabel="probability to leave the wrong mode", ylim=(None, 4.0))
        axes.axhspan(1.0, 4.0, color="0.9", zorder=0)
    one_scale(panels, "y")
    for axes, exact, *_ in kinds:
        ends = {f"J = {value:g}": (index, select(even, coupling=value)[-1][exact]) for index, value in enumerate(shown)}
        name_ends(axes, ends)
    _key(panels[1], "exact, worst start", {":": "Chernoff; T times it", "-": "at the worst state; two stages"})
    telling = [sum(row[name] < 1 for row in data["parallel"]) for name in ("two_stage", "one_stage")]
    headline(
        figure,
        f"Over {data['horizon']} steps the two-stage bound says something in {telling[0]} of {len(data['parallel'])} "
        f"cases, T times Chernoff's in {telling[1]} (grey: a bound above 1 says nothing)",
    )
    return figure


def _key(axes: Axes, mark: str, dashes: Mapping[str, str]) -> None:
    """What marks and lines are, below the panel."""
    axes.plot([], [], "o", color="0.4", label=mark)
    for dash, text in dashes.items():
        axes.plot([], [], dash, color="0.4", label=text)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
