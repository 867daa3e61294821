"""Everything about one sampler on one law, as a record: stationary law, gap, exact mixing time and its bounds.

The chain lives on the states that it can reach from the support of the target law; where the law has no zeros, these
are all sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from math import inf, log
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.chains.plan import mixing_seconds
from experiments.claim import plain
from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, plain_text
from theory.bounds import bottleneck_bounds, entropy_contraction_bounds, relaxation_time_bounds
from theory.chains import (
    DenseOperator,
    IterativeGaps,
    Spectrum,
    TransitionOperator,
    arnoldi_gaps,
    bottleneck_ratio,
    communicating_classes,
    geometric_times,
    lanczos_gaps,
    mixing_time,
    reachable_from,
    restrict,
    spectrum,
    stationary_laws,
    sweep_ratio,
    total_variation_curve,
)
from theory.chains.conductance import SMALLEST_MASS
from theory.conditionals import TableConditionals
from theory.divergences import kullback_leibler, total_variation
from theory.inequalities import MaskingChannel, complete_graph_factor, dobrushin, tensorization_upper_bounds
from theory.laws import JointLaw
from theory.masks import MaskLaw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

CHANNEL_STATES = 2**12
"""Up to this many states all upper bounds on C_AT are evaluated, above only the bracket."""

SWEEP_STATES = 2**17
"""Above this many states the sweep for a bottleneck would take longer than the rest."""

STEPS_PER_RELAXATION = 2
"""Mixing takes about this many relaxation times: for the estimate of the time only."""

CLASSES_LISTED = 16
"""Closed classes that a record describes one by one, the heaviest under the target first."""


def analyse(
    law: JointLaw,
    operator: TransitionOperator,
    epsilon: float = 0.25,
    block_masks: MaskLaw | None = None,
    curve: bool = False,
) -> dict[str, Any]:
    """The record of a chain.

    Args:
        law: the target law.
        operator: the chain, on all sequences.
        epsilon: total variation that counts as mixed.
        block_masks: the mask law where the chain is exact block Gibbs on ``law``: functional inequalities bound it.
        curve: whether to add the worst-case total-variation curve.

    Returns:
        Plain data. ``states``; ``stationary_tv_to_target`` and ``stationary_kl_to_target`` (nats; None where the
        stationary law is not unique); ``reversible`` (with respect to the stationary law); ``spectral_gap``,
        ``absolute_spectral_gap``, each with ``..._interval`` [low, high] and None where rounding leaves no digit of it;
        ``relaxation_time`` (steps); ``epsilon``, ``mixing_time`` (steps, worst case over all
        starts; None where the chain never mixes), ``mixing_time_certain``, ``mixing_time_reason``;
        ``mixing_time_bounds`` name -> [lower, upper] in steps (None: no bound at that end); ``bottleneck_ratio``;
        ``closed_classes``, ``transient_states``, ``periods``, ``classes``. Numbers that are infinite are None.

    Raises:
        ExceedsMemory: the dense matrices that the exact analysis needs would not fit.
    """
    reached = reachable_from(operator, np.flatnonzero(law.support))
    # What the sampler is known to keep is left out on purpose: stationarity and reversibility are measured here.
    matrix = restrict(operator, reached).matrix if len(reached) < operator.states else operator.to_dense()
    chain = DenseOperator(matrix)
    target = law.probabilities[reached]
    classes = communicating_classes(chain)
    laws = stationary_laws(chain)
    eigen = spectrum(chain)
    unique = laws[0].law if len(laws) == 1 else None
    mixing = mixing_time(chain, epsilon)
    record: dict[str, Any] = {
        "states": chain.states,
        "stationary_tv_to_target": None if unique is None else total_variation(unique, target),
        "stationary_kl_to_target": None
        if unique is None
        else kullback_leibler(unique, target, law.log_probabilities[reached]),
        "reversible": eigen.reversible,
        "spectral_gap": eigen.gap,
        "spectral_gap_interval": eigen.gap_interval,
        "absolute_spectral_gap": eigen.absolute_gap,
        "absolute_spectral_gap_interval": eigen.absolute_gap_interval,
        "relaxation_time": eigen.relaxation_time,
        "epsilon": epsilon,
        "mixing_time": mixing.steps,
        "mixing_time_certain": mixing.certain,
        "mixing_time_reason": mixing.reason,
        "mixing_time_bounds": {},
        "bottleneck_ratio": None,
        "closed_classes": len(laws),
        "transient_states": len(classes.transient),
        "periods": sorted(set(classes.closed_periods)),
        "classes": [],
    }
    if unique is None:
        record["classes"] = _classes(reached, laws, classes.closed_periods, target)
    elif chain.states > 1:
        bounds = _bounds(law, unique, eigen.reversible, eigen, epsilon, block_masks)
        if np.count_nonzero(unique > SMALLEST_MASS) > 1:
            record["bottleneck_ratio"] = ratio = bottleneck_ratio(chain, unique).ratio
            bounds = {"bottleneck": bottleneck_bounds(ratio, epsilon), **bounds}
        record["mixing_time_bounds"] = bounds
        if curve:
            record["curve"] = _curve(chain, mixing.steps, unique)
    return {name: plain(_finite(value)) for name, value in record.items()}


def analyse_matrix_free(
    law: JointLaw,
    operator: TransitionOperator,
    alike: NDArray[np.int64],
    epsilon: float = 0.25,
    block_masks: MaskLaw | None = None,
    budget: float = inf,
    curve: bool = False,
) -> dict[str, Any]:
    """The record of a chain that is too large for its matrix; irreducible, aperiodic and on all sequences.

    Args:
        law, operator, epsilon, block_masks: as for `analyse`.
        alike: the number of the orbit of every state under a symmetry group of the chain, [S].
        budget: seconds; a mixing time that would take longer is left out, with the reason.
        curve: whether to add total-variation curves: from the start that mixes last (where the mixing time was left
            out, the least likely state) and from the likeliest state.

    Returns:
        As `analyse`, and ``residuals``: what bounds the error of the iterative results.

    Raises:
        NotConverged: an iteration did not reach its tolerance.
    """
    residuals: dict[str, float] = {}
    if operator.reversible and operator.stationary is not None and operator.stationary.min() > SMALLEST_MASS:
        gaps = lanczos_gaps(operator)
        stationary = operator.stationary
        residuals["stationary law"] = float(np.abs(operator.propagate(stationary) - stationary).sum())
    else:
        found, gaps = arnoldi_gaps(operator)
        stationary = found.law
        # What follows would otherwise look for the law again, in the matrix.
        operator = copy(operator)
        operator.stationary = stationary
        residuals["stationary law"] = found.residual
    residuals["eigenvalues"] = gaps.residual
    began = perf_counter()
    operator.propagate(stationary)
    product, orbits = perf_counter() - began, int(alike.max()) + 1
    estimate = mixing_seconds(product, orbits, STEPS_PER_RELAXATION * gaps.relaxation_interval[0])
    steps: float | None = None
    slowest, name = int(stationary.argmin()), "from the least likely state"
    certain, reason = False, f"left out: about {estimate:.0f} s, above the budget of {budget:.0f} s"
    if estimate <= budget:
        mixing = mixing_time(operator, epsilon, alike=alike)
        steps, certain, reason = mixing.steps, mixing.certain, mixing.reason
        if mixing.worst_start is not None:
            slowest, name = mixing.worst_start, "from the state that mixes last"
    bounds = _bounds(law, stationary, bool(operator.reversible), gaps, epsilon, block_masks)
    ratio = None
    if gaps.function is not None and operator.states <= SWEEP_STATES:
        ratio = sweep_ratio(operator, stationary, gaps.function)
        bounds = {"bottleneck": bottleneck_bounds(ratio, epsilon), **bounds}
    record = {
        "states": operator.states,
        "stationary_tv_to_target": total_variation(stationary, law.probabilities),
        "stationary_kl_to_target": kullback_leibler(stationary, law.probabilities, law.log_probabilities),
        "reversible": operator.reversible,
        "spectral_gap": gaps.gap,
        "spectral_gap_interval": gaps.gap_interval,
        "absolute_spectral_gap": gaps.absolute_gap,
        "absolute_spectral_gap_interval": gaps.absolute_gap_interval,
        "relaxation_time": gaps.relaxation_time,
        "epsilon": epsilon,
        "mixing_time": steps,
        "mixing_time_certain": certain,
        "mixing_time_reason": reason,
        "mixing_time_bounds": bounds,
        "bottleneck_ratio": ratio,
        "closed_classes": 1,
        "transient_states": 0,
        "periods": [1],
        "classes": [],
        "residuals": residuals,
    }
    if curve:
        until = gaps.relaxation_interval[0] if steps is None else steps
        few = [slowest, int(stationary.argmax())]
        record["curve"] = _curve(operator, until, stationary, few, (name, "from the likeliest state"))
    return {name: plain(_finite(value)) for name, value in record.items()}


def _bounds(
    law: JointLaw,
    stationary: Array,
    reversible: bool,
    gaps: Spectrum | IterativeGaps,
    epsilon: float,
    block_masks: MaskLaw | None,
) -> dict[str, tuple[float, float]]:
    """The bounds that apply; they speak of all starts, so that every state must have stationary mass."""
    bounds: dict[str, tuple[float, float]] = {}
    minimum = float(stationary.min())
    # Exact block Gibbs keeps the law, which knows the logarithm of masses that no float holds.
    tiny = block_masks is not None and law.has_tiny_masses
    if minimum == 0 and not tiny:
        return bounds
    logarithm = law.log_minimum_mass if tiny else log(minimum)
    if reversible:
        bounds["relaxation time"] = relaxation_time_bounds(gaps.relaxation_interval, minimum, epsilon, logarithm)
    if block_masks is not None:
        # C_P = 1/gap for block dynamics, and every upper bound on C_AT is rigorous.
        poincare = gaps.poincare_interval[1]
        if tiny:
            constant = poincare * -logarithm  # the limit of the bracket
        elif len(stationary) <= CHANNEL_STATES:
            constant = min(tensorization_upper_bounds(MaskingChannel(law, block_masks), poincare).values())
        else:
            constant = poincare * complete_graph_factor(minimum)
        bounds["entropy contraction"] = entropy_contraction_bounds(constant, minimum, epsilon, logarithm)
        if block_masks.uniform_size == 1:
            bounds["Dobrushin"] = (0.0, dobrushin(TableConditionals(law)).mixing_time_bound(epsilon))
    return bounds


def _classes(reached: NDArray[np.int64], laws: Any, periods: tuple[int, ...], target: Array) -> list[dict[str, Any]]:
    found = [
        {
            "states": len(entry.states),
            "first_state": int(reached[entry.states[0]]),
            "period": period,
            "target_mass": float(target[entry.states].sum()),
            "stationary_tv_to_target": total_variation(entry.law, target),
        }
        for entry, period in zip(laws, periods, strict=True)
    ]
    return sorted(found, key=lambda entry: -entry["target_mass"])[:CLASSES_LISTED]


def _curve(
    chain: TransitionOperator,
    steps: float,
    stationary: Array,
    starts: list[int] | None = None,
    labels: tuple[str, str] = ("worst start", "best start"),
) -> dict[str, Any]:
    """Largest and smallest distance over the starts (all by default) until well after the mixing time."""
    last = 4 * int(steps) + 4 if steps < inf else 1000
    found = total_variation_curve(chain, geometric_times(last, 50), starts)
    return {
        "times": found.times,
        "worst": found.distances.max(axis=1),
        "best": found.distances.min(axis=1),
        "labels": labels,
        "stationary_minimum": float(stationary[stationary > 0].min()),
    }


def _finite(value: Any) -> Any:
    """Infinite numbers as None, at any depth: strict JSON has no infinity."""
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def draw_curve(record: Mapping[str, Any], title: str) -> Figure:
    """The total-variation curve of a record that was made with ``curve``, and the bounds on its mixing time."""
    figure, (axes,) = new_figure(1, 1, 7.0, 4.4)
    curve = record["curve"]
    times = np.maximum(np.array(curve["times"], dtype=float), 0.5)  # step 0 is drawn at the left edge
    axes.plot(times, curve["worst"], MARKERS[0], color=COLOURS[0], label=f"exact, {curve['labels'][0]}")
    best = f"exact, {curve['labels'][1]}"
    axes.plot(times, curve["best"], MARKERS[1], color=COLOURS[7], label=best, markersize=3)
    if record["reversible"] and record["relaxation_time"] is not None:
        decay = np.exp(np.arange(0, curve["times"][-1] + 1) * log(max(1 - record["absolute_spectral_gap"], 1e-300)))
        steps = np.maximum(np.arange(len(decay)), 0.5)
        axes.plot(steps, 0.5 * decay, DASHES[1], color=COLOURS[1], label="lower bound from the gap")
        upper = np.minimum(1.0, 0.5 * decay / np.sqrt(curve["stationary_minimum"]))
        axes.plot(steps, upper, DASHES[2], color=COLOURS[2], label="upper bound from the gap")
    axes.axhline(record["epsilon"], color="0.4", linewidth=0.8)
    if record["mixing_time"] is not None:
        axes.axvline(record["mixing_time"], color="0.4", linewidth=0.8)
        axes.annotate(
            f"t_mix({record['epsilon']:g}) = {record['mixing_time']}",
            (record["mixing_time"], record["epsilon"]),
            xytext=(5, 5),
            textcoords="offset points",
        )
    for index, (name, (lower, upper)) in enumerate(record["mixing_time_bounds"].items()):
        height = 0.94 - 0.07 * index
        for value, marker in ((lower, ">"), (upper, "<")):
            if value:
                axes.plot([value], [height], marker, color=COLOURS[3 + index], markersize=7)
        low, high = ("0" if not lower else f"{lower:.4g}"), ("∞" if upper is None else f"{upper:.4g}")
        axes.plot([], [], "d", color=COLOURS[3 + index], label=f"{name}: {low} ≤ t_mix ≤ {high}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("steps t")
    axes.set_ylabel("total variation to the stationary law")
    axes.set_title(plain_text(title))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
