"""C8 on large cliques: exact escapes of independent parallel, lumped to the number of + sites, on logarithms.

Independent parallel is reversible with respect to a law mu. With A the wrong mode and Q(x, y) = mu(x) P(x, y), the
escape time averaged over mu on A is at least mu(A) / Q(A, A^c) (Jensen on the spectral measure of P restricted to A),
and from all minus it is at most mu(A) times the sum of 1/Q along any path out of A (Levin, Peres, Wilmer, section 9.4).
Neither uses the state reduction that gives the exact times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, columns, select
from experiments.figures import headline, line, marks, name_ends, new_figure
from theory.bounds import log_escape_probability_bound, log_escape_probability_exponent
from theory.chains.birth_death import log_exit_probabilities, log_expected_escape_times
from theory.laws import clique_counts
from theory.symmetry import log_independent_parallel, log_parallel_law

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG_ROUNDING = 1e-9
"""Rounding allowed in a logarithm, relative to its size where that is above 1."""


@dataclass(frozen=True)
class Large:
    """Natural logarithms of exact escapes from a clique of m sites, and of bounds."""

    m: int
    coupling: float
    escape: float
    escape_bound: float
    escape_exponent: float
    fastest: float
    average: float
    from_all_minus: float
    lower: float
    upper: float


def measure(sizes: Sequence[int], couplings: Sequence[float], field: float) -> list[Large]:
    """Every size with every coupling."""
    return [_measure(m, coupling, field) for m in sizes for coupling in couplings]


def _measure(m: int, coupling: float, field: float) -> Large:
    law = clique_counts(m, coupling, field)
    wrong = law.magnetisations <= -2
    size = int(wrong.sum())
    logs = log_independent_parallel(law)
    times = log_expected_escape_times(logs, wrong)
    masses = log_parallel_law(law)
    inside = float(np.logaddexp.reduce(masses[:size]))
    flow = float(np.logaddexp.reduce((masses[:size, None] + logs[:size, size:]).ravel()))
    path = masses[:size] + np.diagonal(logs, 1)[:size]
    return Large(
        m,
        coupling,
        escape=float(log_exit_probabilities(logs, wrong).max()),
        escape_bound=log_escape_probability_bound(m, coupling, field),
        escape_exponent=log_escape_probability_exponent(m, coupling, field),
        fastest=float(times.min()),
        average=float(np.logaddexp.reduce(masses[:size] + times)) - inside,
        from_all_minus=float(times[0]),
        lower=inside - flow,
        upper=inside + float(np.logaddexp.reduce(-path)),
    )


def checks(large: Sequence[Large]) -> list[Check]:
    """None where there is no large clique."""
    if not large:
        return []
    c = columns(large)

    def rounding(name: str) -> NDArray[np.float64]:
        return LOG_ROUNDING * np.maximum(1.0, np.abs(c[name]))

    twice = "twice the exponent"
    return [
        Check.at_most(
            "large cliques: ln of the escape probability is at most ln of the Chernoff bound",
            c["escape"],
            c["escape_bound"],
            rounding("escape"),
            "worst wrong-mode state, exact on the number of + sites",
            wrong=(twice, 2 * c["escape_bound"]),
        ),
        Check.at_most(
            "large cliques: ln of the escape probability is at most ln of Chernoff's bound at the worst state",
            c["escape"],
            c["escape_exponent"],
            rounding("escape"),
            "which has the exact exponent: both logarithms agree to their leading order in m",
            wrong=(twice, 2 * c["escape_exponent"]),
        ),
        Check.at_least(
            "large cliques: ln of the expected escape time is at least -ln of the Chernoff bound",
            c["fastest"],
            -c["escape_bound"],
            rounding("fastest"),
            "best wrong-mode state",
            wrong=(twice, -2 * c["escape_bound"]),
        ),
        Check.at_least(
            "large cliques: ln of the mean escape time is at least ln mu(A) / Q(A, A^c), which grows like J m^2",
            c["average"],
            c["lower"],
            rounding("average"),
            "start from the stationary law of independent parallel in the wrong mode A",
            wrong=("growth like 1.1 J m²", 1.1 * c["lower"]),
        ),
        Check.at_most(
            "large cliques: ln of the escape time from all minus is at most the resistance of a path out",
            c["from_all_minus"],
            c["upper"],
            rounding("from_all_minus"),
            "path through 0, 1, 2, ... + sites",
            wrong=("growth like 0.9 J m²", 0.9 * c["upper"]),
        ),
    ]


def draw(data: Mapping[str, Any]) -> Figure:
    """Expected escape time against the size, and the escape probability per step."""
    figure, (times, steps) = new_figure(2, 1, 5.0, 6.8)
    couplings = sorted({row["coupling"] for row in data["large"]})
    # Six at most: the first, the last and some between.
    shown = [couplings[int(i)] for i in np.unique(np.linspace(0, len(couplings) - 1, 6).round())] if couplings else []
    powers = []
    for axes, exact, sign, bound in ((times, "from_all_minus", 1, "lower"), (steps, "escape", -1, None)):
        ends = {}
        for index, coupling in enumerate(shown):
            rows = columns(sorted(select(data["large"], coupling=coupling), key=lambda row: row["m"]))
            marks(axes, rows["m"], sign * rows[exact], index)
            if bound:
                line(axes, rows["m"], rows[bound], index)
            for parity in (0, 1):  # the bound for odd cliques has a larger exponent
                same = rows["m"] % 2 == parity
                line(axes, rows["m"][same], -rows["escape_bound"][same], index, dash=":")
            ends[f"J = {coupling:g}"] = (index, sign * float(rows[exact][-1]))
            if axes is times and len(rows["m"]) > 1:
                powers.append(np.log(rows[exact][-1] / rows[exact][0]) / np.log(rows["m"][-1] / rows["m"][0]))
        axes.set(xscale="log", yscale="log", xlabel="clique size m (sites)")
        sizes = sorted({row["m"] for row in data["large"]})
        axes.set_xticks(sizes, [str(m) for m in sizes])
        axes.minorticks_off()
        if ends:
            name_ends(axes, ends)
    times.set_ylabel("ln expected steps to leave, from all minus")
    steps.set_ylabel("−ln escape probability per step")
    times.set_title("solid: μ(A) / Q(A, Aᶜ); dotted: Chernoff")
    if powers:
        headline(
            figure,
            f"ln of the time to leave the wrong mode grows like m to the power {min(powers):.2f} to {max(powers):.2f}: "
            "2 by the exact exponent J m², 1 by Chernoff's bound (marks exact)",
        )
    return figure
