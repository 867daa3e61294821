"""How the mixing time of the Curie-Weiss model grows with N, above, at and below the critical temperature.

The chain is random-scan Glauber dynamics (one uniform site redrawn a step) for p(x) proportional to
exp( (beta / N) sum_{i<j} x_i x_j ), lumped exactly to its number of plus spins: a birth-and-death chain on N + 1
states, the *magnetisation chain*. Every number here is about that chain: its relaxation time, its smallest stationary
mass, its worst-case t_mix(1/4) over its own N + 1 starts. About the chain on 2^N sequences it says: the distances from
the starts all minus and all plus are the same, t_mix over all starts and the relaxation time are at least as large.

Predictions, with delta = 1 - beta:

- beta < 1: t_mix = N ln N / (2 delta) + O(N) (cutoff with a window of N steps) and t_rel ~ N / delta;
- beta = 1: t_mix and t_rel grow as N^(3/2);
- beta > 1: both grow as N exp(N Delta), Delta = phi(0) - phi(m*) the free-energy barrier per site between the two
  phases, phi(m) = -beta m^2 / 2 + ((1 + m) ln(1 + m) + (1 - m) ln(1 - m)) / 2, with m* > 0 and m* = tanh(beta m*).

Measured against them are the slopes between the two largest N. The tolerances allow for finite-size errors. Their
orders are those expected of the scaling near beta = 1; the factors (`REGIMES`) are not proved: they were set after
looking at N from 100 to 10,000, to about twice the largest error seen or more. Every check states its tolerance.

Sources: Levin, Luczak and Peres, "Glauber dynamics for the mean-field Ising model", PTRF 146 (2010), theorems 1 to 3;
Ding, Lubetzky and Peres, "The mixing time evolution of Glauber dynamics for the mean-field Ising model", CMP 289 (2009)
for the window |delta| ~ N^(-1/2) in which neither limit applies yet; Levin, Peres and Wilmer, thms 12.4 and 12.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import xlog1py

from experiments.claim import Check, Progress, columns, select
from experiments.figures import DASHES, headline, line, marks, name_ends, new_figure
from theory.chains.birth_death import birth_death_mixing_time, slowest_mode
from theory.laws import curie_weiss_counts
from theory.symmetry import single_site

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

EPSILON = 0.25
LARGEST_TOLERANCE = 0.4
"""Where the tolerance is a larger part of the prediction, the sizes are too small to compare."""
NEARLY_CRITICAL = 1e-6
"""Closer to 1 than this, m* is lost in rounding."""
ROUNDING = 1e-9
"""Relative rounding allowed between times and bounds, beside the stated error of the times."""


@dataclass(frozen=True)
class Regime:
    """A scaling: what is compared, the factor of the order of its finite-size error, and what a wrong theory predicts.

    ``wrong`` is a quotient of the predicted slope.
    """

    detail: str
    allowance: float
    origin: str
    wrong: tuple[str, float]


REGIMES = {
    "high, mixing": Regime(
        "beta < 1: growth of t_mix / N with ln N against 1/(2(1 − β))",
        0.25,
        "between the two largest N, up to {:g} N^(-1/2)/(1 − β) of it at the smaller N",
        ("t_mix of order N, no logarithm", 0.0),
    ),
    "high, relaxation": Regime(
        "beta < 1: relaxation time (1 − β) / N against 1",
        2.0,
        "at the largest N, up to {:g}/(N (1 − β)²)",
        ("N/(2(1 − β))", 0.5),
    ),
    "critical": Regime(
        "beta = 1: growth of ln t_mix and ln t_rel with ln N against 3/2",
        0.5,
        "between the two largest N, up to {:g} N^(-1/2) at the smaller N",
        ("N instead of N^(3/2)", 2 / 3),
    ),
    "low": Regime(
        "beta > 1: growth of ln(t_mix / N) and ln(t_rel / N) with N against the free-energy barrier",
        2.0,
        "between the two largest N, N and N', up to {:g}/(N N' Δ)",
        ("half of the barrier", 0.5),
    ),
}


@dataclass(frozen=True)
class Size:
    """One chain: natural logarithms of t_mix, t_rel and the bounds on t_mix, in steps, with the error of the times."""

    beta: float
    sites: int
    mixing: float
    relaxation: float
    lower: float
    upper: float
    relative_error: float
    all_starts: bool


@dataclass(frozen=True)
class Scaling:
    """A slope that is large enough to compare, beside its prediction; ``time`` is "mixing" or "relaxation"."""

    regime: str
    beta: float
    time: str
    measured: float
    predicted: float
    tolerance: float


def barrier(inverse_temperature: float) -> float:
    """Delta, the free energy per site at m = 0 above that at m*; 0 for beta <= 1."""
    if inverse_temperature <= 1:
        return 0.0
    if inverse_temperature < 1 + NEARLY_CRITICAL:
        return 0.75 * (inverse_temperature - 1) ** 2  # its leading order
    # tanh(beta m) > m at the lower end: beta m - (beta m)^3 / 3 > m for m^2 < 3 (beta - 1) / beta^3.
    low = min(0.5, np.sqrt(1.5 * (inverse_temperature - 1) / inverse_temperature**3))
    m = float(brentq(lambda m: np.tanh(inverse_temperature * m) - m, low, 1.0))
    return float(inverse_temperature * m**2 / 2 - (xlog1py(1 + m, m) + xlog1py(1 - m, -m)) / 2)


def log_relaxation_bounds(log_relaxation: float, log_minimum_mass: float) -> tuple[float, float]:
    """ln of (t_rel - 1) ln(1/(2 eps)) and of t_rel ln(1/(eps pi_min)) + 1, at eps = 1/4.

    In logarithms, as t_rel and 1/pi_min exceed the largest float below the critical temperature.
    """
    lower = log_relaxation + np.log(-np.expm1(-log_relaxation)) + np.log(np.log(1 / (2 * EPSILON)))
    upper = np.logaddexp(log_relaxation + np.log(-np.log(EPSILON) - log_minimum_mass), 0.0)
    return float(lower), float(upper)


def measure(temperatures: Sequence[float], sizes: Sequence[int], progress: Progress) -> list[Size]:
    """Every temperature at every size; sizes ascend."""
    cases = [(beta, sites) for beta in temperatures for sites in sorted(set(sizes))]
    rows = []
    cost = np.cumsum([0.0, *(float(sites) for _, sites in cases)])
    for done, (beta, sites) in enumerate(cases):
        progress(cost[done] / cost[-1], f"Curie-Weiss, beta = {beta:g}, N = {sites}")
        chain = single_site(curie_weiss_counts(sites, beta))
        mixing, mode = birth_death_mixing_time(chain, EPSILON), slowest_mode(chain)
        bounds = log_relaxation_bounds(-mode.log_gap, float(chain.log_stationary.min()))
        error = mixing.relative_error + mode.relative_error
        rows.append(Size(beta, sites, mixing.log_steps, -mode.log_gap, *bounds, error, mixing.all_starts))
    return rows


def checks(rows: Sequence[Size]) -> list[Check]:
    """The bounds at every size, and the scalings between the two largest sizes."""
    c = columns(rows)
    slack = c["relative_error"] + ROUNDING
    settled = "every start of the magnetisation chain"
    if not c["all_starts"].all():
        settled = "the starts that were looked at; some others are not settled"
    note = f"relaxation time; single-site updates, worst case over {settled}"
    found = [
        Check.at_most(
            "Curie-Weiss magnetisation chain: ln of the exact mixing time less that of the upper bound",
            c["mixing"] - c["upper"],
            0.0,
            slack,
            note,
            wrong=("a tenth of the bound", -np.log(10)),
        ),
        Check.at_least(
            "Curie-Weiss magnetisation chain: ln of the exact mixing time less that of the lower bound",
            c["mixing"] - c["lower"],
            0.0,
            slack,
            note,
            wrong=("ten times the bound", np.log(10)),
        ),
    ]
    compared = scalings(rows)
    for name, regime in REGIMES.items():
        chosen = [row for row in compared if row.regime == name]
        if chosen:
            s = columns(chosen)
            found.append(
                # Quotients, so that the worst place is the worst relative one.
                Check.equal(
                    f"Curie-Weiss, {regime.detail}",
                    s["measured"] / s["predicted"],
                    1.0,
                    s["tolerance"] / s["predicted"],
                    f"quotient; {regime.origin.format(regime.allowance)}; the tolerance is an estimate of the "
                    "finite-size error",
                    wrong=regime.wrong,
                )
            )
    return found


def scalings(rows: Sequence[Size]) -> list[Scaling]:
    """Measured and predicted slopes with tolerances, where the sizes are large enough to compare."""
    result = []
    for beta in sorted({row.beta for row in rows}):
        chosen = [row for row in rows if row.beta == beta][-2:]
        if len(chosen) == 2:
            first, last = (row.sites for row in chosen)
            for time in ("mixing", "relaxation"):
                before, after = (getattr(row, time) for row in chosen)
                regime, measured, predicted, order = _slope(beta, time, first, last, before, after)
                tolerance = REGIMES[regime].allowance * order
                if tolerance <= LARGEST_TOLERANCE * predicted:
                    result.append(Scaling(regime, beta, time, measured, predicted, tolerance))
    return result


def _slope(
    beta: float, time: str, first: int, last: int, before: float, after: float
) -> tuple[str, float, float, float]:
    """Regime, measured and predicted slope, and the order of the finite-size error, from ln of the times at two N."""
    if beta < 1 and time == "mixing":
        slope = (np.exp(after) / last - np.exp(before) / first) / np.log(last / first)
        predicted = 1 / (2 * (1 - beta))
        return "high, mixing", slope, predicted, predicted / (np.sqrt(first) * (1 - beta))
    if beta < 1:
        return "high, relaxation", np.exp(after) * (1 - beta) / last, 1.0, 1 / (last * (1 - beta) ** 2)
    if beta == 1:
        return "critical", (after - before) / np.log(last / first), 1.5, 1 / np.sqrt(first)
    rate, height = (after - before - np.log(last / first)) / (last - first), barrier(beta)
    return "low", rate, height, 1 / (first * last * height)


def draw(data: Mapping[str, Any]) -> Figure:
    """t_mix against N with the predicted scalings; above and at the critical temperature, and below."""
    rows = data["curie_weiss"]
    betas = sorted({row["beta"] for row in rows})
    parts = [part for part in ([b for b in betas if b <= 1], [b for b in betas if b > 1]) if part]
    figure, panels = new_figure(1, len(parts), width=4.8 * max(2, len(parts)), height=4.0)
    for axes, part in zip(panels, parts, strict=True):
        below, ends = part[0] > 1, {}
        for beta in part:
            index = betas.index(beta)
            c = columns(select(rows, beta=beta))
            fine = np.geomspace(c["sites"][0], c["sites"][-1], 200)
            predicted = _predicted(beta, fine, c["sites"][-1], c["mixing"][-1])
            # Below the critical temperature the times exceed the largest float.
            measured, predicted = (
                values / np.log(10) if below else np.exp(values) for values in (c["mixing"], predicted)
            )
            marks(axes, c["sites"], measured, index)
            line(axes, fine, predicted, index, dash=DASHES[index % len(DASHES)])
            ends[f"β = {beta:g}"] = (index, float(measured[-1]))
        scale = "linear" if below else "log"
        axes.set(xscale=scale, yscale=scale, xlabel="sites N")
        axes.set_xticks(c["sites"], [str(sites) for sites in c["sites"]])
        axes.minorticks_off()
        axes.set_ylabel(r"$\log_{10}$ of the mixing time in steps" if below else "mixing time (steps)")
        axes.set_title(
            r"$\beta > 1$: $c\,N e^{N\Delta(\beta)}$"
            if below
            else r"$\beta < 1$: $N\ln N/(2(1-\beta)) + cN$; $\beta = 1$: $c\,N^{3/2}$"
        )
        name_ends(axes, ends)
    slow = max(rows, key=lambda row: row["mixing"])
    headline(
        figure,
        f"The Curie-Weiss magnetisation chain of {slow['sites']} sites mixes in "
        f"10$^{{{slow['mixing'] / np.log(10):.1f}}}$ steps at β = {slow['beta']:g} (marks exact, lines predicted, c "
        "fixed at the largest N)",
    )
    return figure


def _predicted(beta: float, sites: Array, last: float, log_last: float) -> Array:
    """ln of the predicted mixing time; what the theorem leaves open is fixed at the largest N."""
    if beta < 1:
        window = np.exp(log_last) / last - np.log(last) / (2 * (1 - beta))
        return np.asarray(np.log(np.maximum(sites * (np.log(sites) / (2 * (1 - beta)) + window), 1e-300)))
    if beta == 1:
        return np.asarray(log_last + 1.5 * np.log(sites / last))
    return np.asarray(log_last + np.log(sites / last) + barrier(beta) * (sites - last))
