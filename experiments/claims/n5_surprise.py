"""N5, exactly: what masks that prefer surprising tokens change for learning and for mixing, beside uniform ones.

P(K | x) ∝ p(x_K | x_−K)^(−λ) over the masks K of k sites; λ = 0 are uniform masks
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Verdict, columns, select
from experiments.figures import DASHES, headline, line, marks, new_figure
from experiments.learned import networks_at_most
from experiments.statistics import normal_limit
from theory.chains import DenseOperator, mixing_time
from theory.conditionals import TableConditionals
from theory.divergences import total_variation
from theory.estimation import asymptotic_covariance, fit, pair_losses, sample_pairs
from theory.inequalities import poincare_constant
from theory.laws import IsingLaw, JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw, k_uniform
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-9
"""Rounding allowed in total variations."""

FALSE_ALARM = 1e-4
"""Probability that the check of the fits fails although its prediction is right."""


@dataclass(frozen=True)
class Exact:
    """One law with masks of one size and strength: tr Γ, C_P and t_mix(1/4); how far one step moves p (TV)."""

    k: int
    strength: float
    trace: float
    poincare: float
    mixing: float
    moved: float


@dataclass(frozen=True)
class Fits:
    """Repeated fits: mean of n |error|², its standard error, and tr Γ; ``infinite`` of them have no finite optimum."""

    k: int
    strength: float
    infinite: int
    mean: float
    error: float
    trace: float


@dataclass(frozen=True)
class Gain:
    """ln of the ratio of adaptive to uniform masks for every random model: of tr Γ, and of C_P = 1/gap."""

    k: int
    trace: list[float]
    poincare: list[float]


GAINS = {"trace": "tr Γ", "poincare": "C_P = 1/gap"}
"""What is compared between mask laws, by its field of a `Gain`; less is better."""


def surprise_masks(law: JointLaw, size: int, strength: float) -> MaskLaw | AdaptiveMaskLaw:
    """Masks of ``size`` sites with P(K | x) ∝ p(x_K | x_{-K})^(-strength); uniform masks at 0."""
    uniform = k_uniform(law.sites, size)
    if strength == 0:
        return uniform
    exponents = strength * pair_losses(law, uniform)
    weights = np.exp(exponents - exponents.max(axis=0))
    return AdaptiveMaskLaw(
        law.sites, uniform.masks, weights / weights.sum(axis=0), f"surprise^{strength:g}, k = {size}"
    )


def exact(law: IsingLaw, k: int, strength: float) -> Exact:
    """Efficiency and mixing with masks of one size and strength."""
    masks = surprise_masks(law, k, strength)
    chain = DenseOperator(block_gibbs(TableConditionals(law), masks).to_dense())
    return Exact(
        k,
        strength,
        trace=float(np.trace(asymptotic_covariance(law.family, law.theta, masks))),
        poincare=poincare_constant(law, masks).value,
        mixing=mixing_time(chain).steps,
        moved=total_variation(chain.propagate(law.probabilities), law.probabilities),
    )


def gains(laws: Sequence[IsingLaw], k: int, strength: float) -> Gain:
    new, old = (columns([exact(law, k, value) for law in laws]) for value in (strength, 0.0))
    return Gain(k, *(np.log(new[name] / old[name]).tolist() for name in GAINS))


def fits(law: IsingLaw, k: int, strength: float, n: int, repetitions: int, seed: int) -> Fits:
    """n times the squared error of repeated fits beside tr Γ."""
    masks = surprise_masks(law, k, strength)
    gamma = asymptotic_covariance(law.family, law.theta, masks)
    generator = np.random.default_rng([seed, 2, k, int(strength != 0)])
    squares = []
    for _ in range(repetitions):
        estimate = fit(law.family, sample_pairs(law, masks, n, generator), start=law.theta)
        if estimate.converged:
            squares.append(n * float(((estimate.theta - law.theta) ** 2).sum()))
    return Fits(
        k,
        strength,
        repetitions - len(squares),
        mean=float(np.mean(squares)) if squares else np.inf,
        # Var |z|^2 = 2 tr Gamma^2 for z ~ N(0, Gamma).
        error=float(np.sqrt(2 * np.trace(gamma @ gamma) / max(len(squares), 1))),
        trace=float(np.trace(gamma)),
    )


def _fit_check(found: Sequence[Fits], n: int, repetitions: int) -> Check:
    name = "n E|θ̂ - θ*|² with mask-aware conditionals against tr Γ, in standard errors"
    limit = normal_limit(FALSE_ALARM / (2 * len(found)))
    missing = sum(row.infinite for row in found)
    if missing:
        reason = f"{missing} fits have no finite optimum; raise the number of samples"
        return Check(name, Verdict.INCONCLUSIVE, 0.0, 0.0, limit, "<=", 0.0, reason)
    detail = (
        f"every k, uniform and adaptive masks, n = {n}, {repetitions} data sets "
        f"each; false-alarm rate {FALSE_ALARM:g} (normal approximation), apart from terms of order 1/n"
    )
    check = Check.at_most(name, [abs(row.mean - row.trace) / row.error for row in found], limit, detail=detail)
    # Of the same mask law with another number of masked sites.
    pairs = [(row, other) for row in found for other in found if row.k != other.k]
    rejected = [abs(row.mean - other.trace) / row.error > limit for row, other in pairs]
    return check.against("the trace of another k", float(np.mean(rejected))) if rejected else check


def checks(
    curves: Sequence[Exact], found: Sequence[Fits], gained: Sequence[Gain], n: int, repetitions: int, level: float
) -> list[Check]:
    """Block dynamics keeps p, fits err as tr Γ says, and both tr Γ and C_P fall.

    ``n`` and ``repetitions`` are those of the fits, ``level`` that of the intervals over random models.
    """
    return [
        Check.equal(
            "one step of mask-aware block dynamics from p: total variation to p",
            [curve.moved for curve in curves],
            0.0,
            ROUNDING,
            "every k and strength",
        ).by_algebra(),
        _fit_check(found, n, repetitions),
        *(
            networks_at_most(
                f"k = {gain.k}: ln of {title} with adaptive masks minus ln with uniform ones",
                np.array(getattr(gain, name)),
                detail="exact for each random model",
                level=level,
            )
            for name, title in GAINS.items()
            for gain in gained
        ),
    ]


def draw(data: Mapping[str, Any]) -> Figure:
    """Efficiency and mixing against the strength of the masks' preference, for the first model."""
    from matplotlib.ticker import LogLocator

    figure, (left, right) = new_figure(1, 2, width=9.2, height=4.2)
    sizes = list(dict.fromkeys(row["k"] for row in data["curves"]))
    for index, k in enumerate(sizes):
        c, fits = (columns(select(data[name], k=k)) for name in ("curves", "fits"))
        line(left, c["strength"], c["trace"], index, f"tr Γ, k = {k}", DASHES[index])
        interval = (fits["mean"] - 2 * fits["error"], fits["mean"] + 2 * fits["error"])
        marks(left, fits["strength"], fits["mean"], index, f"measured, k = {k} (bars: 2 s.e.)", interval=interval)
        line(right, c["strength"], c["poincare"], index, f"$C_P$ = 1/gap, k = {k}", DASHES[index])
        marks(right, c["strength"], c["mixing"], index, f"$t_{{mix}}$(1/4), k = {k}")
    left.set(ylabel="n E$|\\hat\\theta - \\theta^*|^2$", title="learning")
    right.set(ylabel="steps", title="mixing")
    for axes in (left, right):
        axes.set(yscale="log", xlabel="strength λ: P(K | x) ∝ p($x_K$ | $x_{-K}$)$^{-λ}$")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.axvline(0.0, color="0.6", linewidth=0.9)
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    single = select(data["curves"], k=min(sizes))
    best, fast = (min(single, key=lambda row: row[name])["strength"] for name in ("trace", "poincare"))
    headline(
        figure,
        f"Masking what is hard to predict: k = {min(sizes)} learns best at λ = {best:g} and mixes fastest at λ = "
        f"{fast:g}",
    )
    return figure
