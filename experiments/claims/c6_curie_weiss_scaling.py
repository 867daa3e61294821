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
orders are those expected of the scaling near beta = 1; the factors (`ALLOWANCES`) are not proved: they were set after
looking at N from 100 to 10,000, to about twice the largest error seen or more. Every check states its tolerance.

Sources: Levin, Luczak and Peres, "Glauber dynamics for the mean-field Ising model", PTRF 146 (2010), theorems 1 to 3;
Ding, Lubetzky and Peres, "The mixing time evolution of Glauber dynamics for the mean-field Ising model", CMP 289 (2009)
for the window |delta| ~ N^(-1/2) in which neither limit applies yet; Levin, Peres and Wilmer, thms 12.4 and 12.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import xlog1py

from experiments.claim import Check, Progress
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from theory.chains.birth_death import birth_death_mixing_time, slowest_mode
from theory.laws import curie_weiss_counts
from theory.symmetry import single_site

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

EPSILON = 0.25
ALLOWANCES = {"high, mixing": 0.25, "high, relaxation": 2.0, "critical": 0.5, "low": 2.0}
"""Factors of the orders N^(-1/2)/delta, 1/(N delta^2), N^(-1/2) and 1/(N N' Delta) of the finite-size errors."""
LARGEST_TOLERANCE = 0.4
"""Where the tolerance is a larger part of the prediction, the sizes are too small to compare."""
NEARLY_CRITICAL = 1e-6
"""Closer to 1 than this, m* is lost in rounding."""
ROUNDING = 1e-9
"""Relative rounding allowed between times and bounds, beside the stated error of the times."""


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


def measure(temperatures: Sequence[float], sizes: Sequence[int], progress: Progress) -> dict[str, list[Any]]:
    """Columns: beta, N, and natural logarithms of t_mix, t_rel and the bounds. Sizes ascend."""
    cases = [(beta, sites) for beta in temperatures for sites in sorted(set(sizes))]
    rows: list[dict[str, Any]] = []
    cost = np.cumsum([0.0, *(float(sites) for _, sites in cases)])
    for done, (beta, sites) in enumerate(cases):
        progress(cost[done] / cost[-1], f"Curie-Weiss, beta = {beta:g}, N = {sites}")
        chain = single_site(curie_weiss_counts(sites, beta))
        mixing, mode = birth_death_mixing_time(chain, EPSILON), slowest_mode(chain)
        lower, upper = log_relaxation_bounds(-mode.log_gap, float(chain.log_stationary.min()))
        rows.append(
            {
                "beta": beta,
                "sites": sites,
                "mixing": mixing.log_steps,
                "relaxation": -mode.log_gap,
                "lower": lower,
                "upper": upper,
                "relative error": mixing.relative_error + mode.relative_error,
                "all starts": mixing.all_starts,
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}


def checks(columns: Mapping[str, Sequence[Any]]) -> list[Check]:
    """The bounds at every size, and the scalings between the two largest sizes."""
    mixing = np.array(columns["mixing"])
    slack = np.array(columns["relative error"]) + ROUNDING
    settled = "every start of the magnetisation chain"
    if not all(columns["all starts"]):
        settled = "the starts that were looked at; some others are not settled"
    found = [
        Check.at_most(
            "Curie-Weiss magnetisation chain: ln of the exact mixing time less that of the upper bound",
            mixing - np.array(columns["upper"]),
            0.0,
            slack,
            f"relaxation time; single-site updates, worst case over {settled}",
        ),
        Check.at_least(
            "Curie-Weiss magnetisation chain: ln of the exact mixing time less that of the lower bound",
            mixing - np.array(columns["lower"]),
            0.0,
            slack,
            f"relaxation time; single-site updates, worst case over {settled}",
        ),
    ]
    for name, detail in (
        ("high, mixing", "beta < 1: growth of t_mix / N with ln N against 1/(2(1 − β))"),
        ("high, relaxation", "beta < 1: relaxation time (1 − β) / N against 1"),
        ("critical", "beta = 1: growth of ln t_mix and ln t_rel with ln N against 3/2"),
        ("low", "beta > 1: growth of ln(t_mix / N) and ln(t_rel / N) with N against the free-energy barrier"),
    ):
        compared = [row for row in scalings(columns) if row["kind"] == name]
        if compared:
            measured, predicted, allowed = (
                np.array([row[key] for row in compared]) for key in ("measured", "predicted", "tolerance")
            )
            found.append(
                # Quotients, so that the worst place is the worst relative one.
                Check.equal(
                    f"Curie-Weiss, {detail}",
                    measured / predicted,
                    1.0,
                    allowed / predicted,
                    f"quotient; {_origin(name)}; the tolerance is an estimate of the finite-size error",
                )
            )
    return found


def _origin(kind: str) -> str:
    factor = ALLOWANCES[kind]
    orders = {
        "high, mixing": f"between the two largest N, up to {factor:g} N^(-1/2)/(1 − β) of it at the smaller N",
        "high, relaxation": f"at the largest N, up to {factor:g}/(N (1 − β)²)",
        "critical": f"between the two largest N, up to {factor:g} N^(-1/2) at the smaller N",
        "low": f"between the two largest N, N and N', up to {factor:g}/(N N' Δ)",
    }
    return orders[kind]


def scalings(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Measured and predicted slopes with tolerances, where the sizes are large enough to compare."""
    betas, sites = np.array(columns["beta"], dtype=float), np.array(columns["sites"], dtype=float)
    rows: list[dict[str, Any]] = []

    def add(kind: str, beta: float, time: str, measured: float, predicted: float, tolerance: float) -> None:
        if tolerance <= LARGEST_TOLERANCE * predicted:
            values = {"measured": measured, "predicted": predicted, "tolerance": tolerance}
            rows.append({"kind": kind, "beta": beta, "time": time, **values})

    for beta in np.unique(betas):
        chosen = np.flatnonzero(betas == beta)[-2:]
        if len(chosen) < 2:
            continue
        first, last = sites[chosen]
        for time in ("mixing", "relaxation"):
            before, after = np.array(columns[time], dtype=float)[chosen]
            if beta < 1 and time == "mixing":
                slope = (np.exp(after) / last - np.exp(before) / first) / np.log(last / first)
                predicted = 1 / (2 * (1 - beta))
                order = predicted / (np.sqrt(first) * (1 - beta))
                add("high, mixing", beta, time, slope, predicted, ALLOWANCES["high, mixing"] * order)
            elif beta < 1:
                order = 1 / (last * (1 - beta) ** 2)
                measured = np.exp(after) * (1 - beta) / last
                add("high, relaxation", beta, time, measured, 1.0, ALLOWANCES["high, relaxation"] * order)
            elif beta == 1:
                slope = (after - before) / np.log(last / first)
                add("critical", beta, time, slope, 1.5, ALLOWANCES["critical"] / np.sqrt(first))
            else:
                rate = (after - before - np.log(last / first)) / (last - first)
                height = barrier(float(beta))
                add("low", beta, time, rate, height, ALLOWANCES["low"] / (first * last * height))
    return rows


def draw(data: Mapping[str, Any]) -> Figure:
    """t_mix against N with the predicted scalings; above and at the critical temperature, and below."""
    columns = {name: np.array(values, dtype=float) for name, values in data["Curie-Weiss"].items()}
    betas = np.unique(columns["beta"])
    parts = [part for part in (betas[betas <= 1], betas[betas > 1]) if len(part)]
    with style():
        figure, panels = new_figure(1, len(parts), width=4.8 * max(2, len(parts)), height=4.6)
        for axes, part in zip(panels, parts, strict=True):
            below = bool(part[0] > 1)
            for beta in part:
                index = int(np.flatnonzero(betas == beta)[0])
                chosen = columns["beta"] == beta
                sites = columns["sites"][chosen]
                fine = np.geomspace(sites[0], sites[-1], 200)
                measured = columns["mixing"][chosen]
                predicted = _predicted(beta, "mixing", fine, sites[-1], measured[-1])
                colour = COLOURS[index % 8]
                axes.plot(
                    sites,
                    measured / np.log(10) if below else np.exp(measured),
                    MARKERS[index % 8],
                    color=colour,
                    label=rf"exact, $\beta$ = {beta:g}",
                )
                axes.plot(
                    fine,
                    predicted / np.log(10) if below else np.exp(predicted),
                    color=colour,
                    linestyle=DASHES[index % 8],
                    linewidth=0.9,
                    label=_law(beta, "mixing"),
                )
            scales = {"xscale": "linear" if below else "log", "yscale": "linear" if below else "log"}
            axes.set(
                xlabel="sites N",
                ylabel=r"$\log_{10}$ of the time in steps" if below else "time (steps)",
                title="below the critical temperature" if below else "above and at the critical temperature",
                **scales,
            )
            axes.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        slow = int(np.argmax(columns["mixing"]))
        headline(
            figure,
            "Curie-Weiss, predicted: N ln N steps above the critical temperature, N$^{3/2}$ at it, e$^{cN}$ below; "
            f"exact: 10$^{{{columns['mixing'][slow] / np.log(10):.1f}}}$ at N = {columns['sites'][slow]:.0f}, "
            f"β = {columns['beta'][slow]:g}",
        )
    return figure


def _predicted(beta: float, time: str, sites: Array, last: float, log_last: float) -> Array:
    """ln of the predicted time; what the theorem leaves open is fixed at the largest N."""
    if beta < 1 and time == "relaxation":
        return np.asarray(np.log(sites / (1 - beta)))
    if beta < 1:
        window = np.exp(log_last) / last - np.log(last) / (2 * (1 - beta))
        return np.asarray(np.log(np.maximum(sites * (np.log(sites) / (2 * (1 - beta)) + window), 1e-300)))
    if beta == 1:
        return np.asarray(log_last + 1.5 * np.log(sites / last))
    return np.asarray(log_last + np.log(sites / last) + barrier(beta) * (sites - last))


def _law(beta: float, time: str) -> str:
    if beta < 1:
        return r"$N/(1-\beta)$" if time == "relaxation" else r"$N\ln N/(2(1-\beta)) + cN$"
    return r"$c\,N^{3/2}$" if beta == 1 else r"$c\,N e^{N\Delta(\beta)}$"
