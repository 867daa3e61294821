"""Everything about one chain, as a record: stationary law, gap, exact mixing time and its bounds.

The chain lives on the states that it can reach from the support of the target law; where the law has no zeros, or none
is given, these are all states. Each answer is looked for by itself: one that is missing costs no other, and the record
says why it is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, inf, isfinite, log
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from experiments.chains.curve import distance_curve
from experiments.chains.plan import GAP_FLOPS, MIXING_FLOPS, dense_seconds, mixing_seconds
from experiments.plain import plain
from theory.bounds import bottleneck_bounds, entropy_contraction_bounds, relaxation_time_bounds
from theory.chains import (
    DenseOperator,
    IterativeGaps,
    MixingTime,
    NotConverged,
    NotMixedBy,
    TransitionOperator,
    arnoldi_gaps,
    bottleneck_ratio,
    communicating_classes,
    lanczos_gaps,
    mixing_time,
    reachable_from,
    restrict,
    spectrum,
    stationary_laws,
    sweep_ratio,
)
from theory.chains.conductance import SMALLEST_MASS
from theory.chains.exact_powers import TooLong
from theory.chains.gaps import Gaps
from theory.conditionals import TableConditionals
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.inequalities import MaskingChannel, complete_graph_factor, dobrushin, tensorization_upper_bounds
from theory.laws import JointLaw
from theory.masks import MaskLaw

Array = NDArray[np.float64]
Result = TypeVar("Result")

CHANNEL_STATES = 2**12
"""Up to this many states all upper bounds on C_AT are evaluated, above only the bracket."""

SWEEP_STATES = 2**17
"""Above this many states the sweep for a bottleneck would take longer than the rest."""

STEPS_PER_RELAXATION = 2
"""Mixing takes about this many relaxation times: for the estimate of the time only."""

CLASSES_LISTED = 16
"""Closed classes that a record describes one by one, the heaviest under the target first."""

LIKELIEST = 3
"""States that a record names, with their stationary masses."""


class _Answers:
    """Answers that are looked for one by one; ``missing`` says why some are not there."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}

    def to(
        self, question: str, compute: Callable[[], Result], seconds: float = 0.0, budget: float = inf
    ) -> Result | None:
        """The answer; None where there is none, or where it would take longer than the budget."""
        if seconds > budget:
            self.missing[question] = f"left out: about {seconds:.0f} s, above the budget of {budget:.0f} s"
            return None
        try:
            return compute()
        except NotMixedBy as error:
            self.missing[question] = f"later than {error.value} steps: too many to count one by one"
            return None
        except (InvalidInput, NotConverged, TooLong, np.linalg.LinAlgError) as error:
            self.missing[question] = str(error)
            return None


@dataclass(frozen=True)
class _Found:
    """What a method found about a chain; None where there is no answer."""

    chain: TransitionOperator
    reached: NDArray[np.int64]
    law: JointLaw | None
    stationary: Array | None
    reversible: bool | None
    gaps: Gaps | None
    mixing: MixingTime | None
    bounds: dict[str, tuple[float, float]]
    bottleneck: float | None
    classes: list[dict[str, Any]]
    counts: tuple[int, int, list[int]] = (1, 0, [1])


def analyse(
    law: JointLaw | None,
    operator: TransitionOperator,
    epsilon: float = 0.25,
    block_masks: MaskLaw | None = None,
    curve: bool = False,
    budget: float = inf,
) -> dict[str, Any]:
    """The record of a chain, by its matrix.

    Args:
        law: the target law; None for a chain that aims at nothing.
        operator: the chain, on all sequences.
        epsilon: total variation that counts as mixed.
        block_masks: the mask law where the chain is exact block Gibbs on ``law``: functional inequalities bound it.
        curve: whether to add the worst-case total-variation curve.
        budget: seconds; a mixing time or a spectrum that would take longer is left out, with the reason.

    Returns:
        Plain data. ``states``; ``stationary_tv_to_target`` and ``stationary_kl_to_target`` (nats; None where there is
        no target or the stationary law is not unique); ``likeliest``: numbers and masses of the likeliest states;
        ``reversible`` (with respect to the stationary law); ``spectral_gap``, ``absolute_spectral_gap``, each with
        ``..._interval`` [low, high] and None where rounding leaves no digit of it; ``relaxation_time`` (steps);
        ``epsilon``, ``mixing_time`` (steps, worst case over all starts; None where the chain never mixes or the time is
        not known), ``mixing_time_certain``, ``mixing_time_reason``, ``mixing_time_interval`` [low, high] in steps (None
        where the chain never mixes); ``mixing_time_bounds`` name -> [lower, upper] in steps (None: no bound at that
        end); ``bottleneck_ratio``; ``closed_classes``, ``transient_states``, ``periods``, ``classes``; ``missing``
        answer -> why there is none. Numbers that are infinite are None.

    Raises:
        ExceedsMemory: the matrix would not fit.
    """
    answers = _Answers()
    every = np.arange(operator.states)
    reached = every if law is None else reachable_from(operator, np.flatnonzero(law.support))
    # What the sampler is known to keep is left out on purpose: stationarity and reversibility are measured here.
    chain = DenseOperator(restrict(operator, reached).matrix if len(reached) < len(every) else operator.to_dense())
    classes = communicating_classes(chain)
    laws = answers.to("stationary law", lambda: stationary_laws(chain)) or ()
    unique = laws[0].law if len(laws) == 1 else None
    eigen = answers.to("spectrum", lambda: spectrum(chain), dense_seconds(chain.states, GAP_FLOPS), budget)
    mixing = answers.to(
        "mixing time", lambda: mixing_time(chain, epsilon), dense_seconds(chain.states, MIXING_FLOPS), budget
    )
    bounds: dict[str, tuple[float, float]] = {}
    ratio = None
    if unique is not None and chain.states > 1:
        if np.count_nonzero(unique > SMALLEST_MASS) > 1:
            ratio = answers.to("bottleneck ratio", lambda: bottleneck_ratio(chain, unique).ratio)
            bounds |= {} if ratio is None else {"bottleneck": bottleneck_bounds(ratio, epsilon)}
        reversible = eigen is not None and eigen.reversible
        bounds |= answers.to("bounds", lambda: _bounds(law, unique, reversible, eigen, epsilon, block_masks)) or {}
    found = _Found(
        chain,
        reached,
        law,
        unique,
        None if eigen is None else eigen.reversible,
        eigen,
        mixing,
        bounds,
        ratio,
        [] if unique is not None or law is None else _classes(reached, laws, classes.closed_periods, law),
        (len(classes.closed_members), len(classes.transient), sorted(set(classes.closed_periods))),
    )
    record = _record(found, epsilon, answers)
    if curve and unique is not None:
        steps = inf if mixing is None else mixing.steps
        if mixing is None and record["mixing_time_interval"]:
            steps = record["mixing_time_interval"][1] or record["mixing_time_interval"][0]
        drawn = answers.to("curve", lambda: distance_curve(chain, steps, unique))
        record |= {} if drawn is None else {"curve": drawn}
    return _plain(record)


def analyse_matrix_free(
    law: JointLaw | None,
    operator: TransitionOperator,
    alike: NDArray[np.int64],
    epsilon: float = 0.25,
    block_masks: MaskLaw | None = None,
    budget: float = inf,
    curve: bool = False,
) -> dict[str, Any]:
    """The record of a chain that is too large for its matrix; irreducible, aperiodic and on all states.

    Args:
        law, operator, epsilon, block_masks: as for `analyse`.
        alike: the number of the orbit of every state under a symmetry group of the chain, [S].
        budget: seconds; a mixing time that would take longer is left out, with the reason.
        curve: whether to add total-variation curves: from the start that mixes last (where the mixing time was left
            out, the least likely state) and from the likeliest state.

    Returns:
        As `analyse`, and ``residuals``: what bounds the error of the iterative results.

    Raises:
        NotConverged: not even a stationary law was found.
    """
    answers = _Answers()
    residuals: dict[str, float] = {}
    gaps: IterativeGaps | None
    function = None
    if operator.reversible and operator.stationary is not None and operator.stationary.min() > SMALLEST_MASS:
        stationary = operator.stationary
        gaps = answers.to("spectrum", lambda: lanczos_gaps(operator))
        function = None if gaps is None else gaps.function
        residuals["stationary law"] = float(np.abs(operator.propagate(stationary) - stationary).sum())
    else:
        iterated, gaps = arnoldi_gaps(operator)
        stationary = iterated.law
        # What follows would otherwise look for the law again, in the matrix.
        operator = operator.knowing(stationary)
        residuals["stationary law"] = iterated.residual
    if gaps is not None:
        residuals["eigenvalues"] = gaps.residual
    began = perf_counter()
    operator.propagate(stationary)
    product, orbits = perf_counter() - began, int(alike.max()) + 1
    relaxation = 1.0 if gaps is None else gaps.relaxation_interval[0]
    # Where the gap is not known, neither is the time that it takes: the search stops where the budget ends.
    longest = None if gaps is not None else max(1, int(budget / max(mixing_seconds(product, orbits, 1), 1e-9)))
    mixing = answers.to(
        "mixing time",
        lambda: mixing_time(operator, epsilon, maximum=longest, alike=alike),
        mixing_seconds(product, orbits, STEPS_PER_RELAXATION * relaxation),
        budget,
    )
    bounds = (
        answers.to("bounds", lambda: _bounds(law, stationary, bool(operator.reversible), gaps, epsilon, block_masks))
        or {}
    )
    ratio = None
    if function is not None and operator.states <= SWEEP_STATES:
        ratio = answers.to("bottleneck ratio", lambda: sweep_ratio(operator, stationary, function))
        if ratio is not None:
            bounds = {"bottleneck": bottleneck_bounds(ratio, epsilon), **bounds}
    every = np.arange(operator.states)
    found = _Found(operator, every, law, stationary, operator.reversible, gaps, mixing, bounds, ratio, [])
    record = _record(found, epsilon, answers) | {"residuals": residuals}
    if curve:
        slowest, name = int(stationary.argmin()), "from the least likely state"
        if mixing is not None and mixing.worst_start is not None:
            slowest, name = mixing.worst_start, "from the state that mixes last"
        # The curve takes two products a step, and no longer than the budget where the time itself was left out.
        until = mixing.steps if mixing is not None else min(relaxation, max(1000.0, budget / (8 * max(product, 1e-9))))
        few = [slowest, int(stationary.argmax())]
        labels = (name, "from the likeliest state")
        drawn = answers.to("curve", lambda: distance_curve(operator, until, stationary, few, labels))
        record |= {} if drawn is None else {"curve": drawn}
    return _plain(record)


def _record(found: _Found, epsilon: float, answers: _Answers) -> dict[str, Any]:
    """The fields that both methods give; see `analyse`."""
    gaps, mixing, stationary = found.gaps, found.mixing, found.stationary
    distance = divergence = None
    if stationary is not None and found.law is not None:
        target, logarithms = (
            values[found.reached] for values in (found.law.probabilities, found.law.log_probabilities)
        )
        distance, divergence = total_variation(stationary, target), kullback_leibler(stationary, target, logarithms)
    order = np.empty(0, np.int64) if stationary is None else np.argsort(-stationary, kind="stable")[:LIKELIEST]
    masses = [] if stationary is None else stationary[order].tolist()
    closed, transient, periods = found.counts
    return {
        "states": found.chain.states,
        "stationary_tv_to_target": distance,
        "stationary_kl_to_target": divergence,
        "likeliest": [[state, mass] for state, mass in zip(found.reached[order].tolist(), masses, strict=True)],
        "reversible": found.reversible,
        "spectral_gap": None if gaps is None else gaps.gap,
        "spectral_gap_interval": None if gaps is None else gaps.gap_interval,
        "absolute_spectral_gap": None if gaps is None else gaps.absolute_gap,
        "absolute_spectral_gap_interval": None if gaps is None else gaps.absolute_gap_interval,
        "relaxation_time": None if gaps is None else gaps.relaxation_time,
        "epsilon": epsilon,
        "mixing_time": None if mixing is None else mixing.steps,
        "mixing_time_certain": mixing is not None and mixing.certain,
        "mixing_time_reason": answers.missing.get("mixing time") if mixing is None else mixing.reason,
        "mixing_time_interval": _interval(mixing, found.bounds),
        "mixing_time_bounds": found.bounds,
        "bottleneck_ratio": found.bottleneck,
        "closed_classes": closed,
        "transient_states": transient,
        "periods": periods,
        "classes": found.classes,
        "missing": answers.missing,
    }


def _interval(mixing: MixingTime | None, bounds: dict[str, tuple[float, float]]) -> tuple[float, float] | None:
    """Between which numbers of steps the mixing time lies; None where the chain never mixes."""
    if mixing is not None and mixing.certain:
        return (mixing.steps, mixing.steps) if mixing.steps < inf else None
    low = max((lower for lower, _ in bounds.values()), default=0.0)
    high = min((upper for _, upper in bounds.values()), default=inf)
    return (ceil(low) if isfinite(low) else low, ceil(high) if isfinite(high) else high)


def _bounds(
    law: JointLaw | None,
    stationary: Array,
    reversible: bool,
    gaps: Gaps | None,
    epsilon: float,
    block_masks: MaskLaw | None,
) -> dict[str, tuple[float, float]]:
    """The bounds that apply; they speak of all starts, so that every state must have stationary mass."""
    bounds: dict[str, tuple[float, float]] = {}
    minimum = float(stationary.min())
    # Exact block Gibbs keeps the law, which knows the logarithm of masses that no float holds.
    tiny = block_masks is not None and law is not None and law.has_tiny_masses
    if minimum == 0 and not tiny:
        return bounds
    logarithm = law.log_minimum_mass if tiny and law is not None else log(minimum)
    if reversible and gaps is not None:
        bounds["relaxation time"] = relaxation_time_bounds(gaps.relaxation_interval, minimum, epsilon, logarithm)
    if block_masks is not None and law is not None:
        if gaps is not None:
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


def _classes(reached: NDArray[np.int64], laws: Any, periods: tuple[int, ...], law: JointLaw) -> list[dict[str, Any]]:
    target = law.probabilities[reached]
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


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data; infinite numbers as None, at any depth: strict JSON has no infinity."""
    return {name: plain(_finite(value)) for name, value in record.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value
