"""The bounds that can be searched, by name: each as a ratio over a space of instances.

The *ratio* of an upper bound is exact / bound, of a lower bound bound / exact: 1 where the bound is attained, above 1
where it is broken. An instance is made from a vector theta of real numbers, so that any optimiser can look for one.

A new bound is a `Bound` in `BOUNDS`. Legend: ``d`` numbers in theta.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, exp, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.bounds import (
    bottleneck_bounds,
    entropy_contraction_bounds,
    log_escape_probability_bound,
    log_escape_probability_exponent,
    log_two_stage_bound,
    relaxation_time_bounds,
)
from theory.chains import DenseOperator, bottleneck_ratio, mixing_time, spectrum
from theory.chains.birth_death import log_exit_probabilities
from theory.conditionals import TableConditionals
from theory.decoding import (
    decoding_error,
    mean_total_correlation,
    mixture_output_law,
    random_order,
)
from theory.errors import InvalidInput
from theory.estimation import pseudolikelihood_information, whitened_family
from theory.inequalities import MaskingChannel, approximate_tensorization, dobrushin, poincare_constant
from theory.laws import IsingLaw, JointLaw, clique_counts, ising
from theory.masks import k_uniform
from theory.samplers import block_gibbs
from theory.symmetry import log_independent_parallel

Array = NDArray[np.float64]

SITES = 3
"""Sites of the laws searched (bits): small enough for thousands of exact evaluations, large enough for k = 1, 2, 3."""

LARGEST_LOG_WEIGHT = 6.0
"""Log-weights and couplings are kept within this, so that every mass stays far above rounding."""

EPSILON = 0.25
CLIQUE, HORIZON = 8, 100


@dataclass(frozen=True)
class Bound:
    """A bound and where to look for its tightest instance.

    Attributes:
        name: as on the command line.
        claim: which claim states it.
        statement: what is at most what.
        dimension: d.
        instance: from theta [d] to what the ratio is computed on, or None where theta names none.
        ratio: see the module's description.
        plain: the instance as plain data, from which it can be made again.
    """

    name: str
    claim: str
    statement: str
    dimension: int
    instance: Callable[[Array], Any]
    ratio: Callable[[Any], float]
    plain: Callable[[Any], dict[str, Any]]


def table(theta: Array) -> JointLaw:
    """A law on `SITES` bits from its log-weights."""
    return JointLaw.from_log_weights(np.clip(theta, -LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT).reshape((2,) * SITES))


def two_bits(theta: Array) -> JointLaw:
    """A law on two bits from its log-weights."""
    return JointLaw.from_log_weights(np.clip(theta, -LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT).reshape(2, 2))


def ising_model(theta: Array) -> IsingLaw:
    """An Ising model on `SITES` spins from its fields and couplings."""
    values = np.clip(theta, -LARGEST_LOG_WEIGHT, LARGEST_LOG_WEIGHT)
    couplings = np.zeros((SITES, SITES))
    couplings[np.triu_indices(SITES, 1)] = values[SITES:]
    return ising(couplings + couplings.T, values[:SITES])


def law_and_statistic(theta: Array) -> tuple[JointLaw, Array]:
    """A law on two bits and a statistic of the sequence."""
    return two_bits(theta[:4]), theta[4:]


def strong_coupling(theta: Array) -> tuple[float, float] | None:
    """J in (0, 4) and a field below it, of a clique of `CLIQUE` sites."""
    coupling = 4 / (1 + exp(-float(np.clip(theta[0], -20, 20))))
    field = coupling * float(np.tanh(theta[1])) * 0.99
    return (coupling, field) if coupling > 1e-3 else None


def _chain(law: JointLaw, size: int = 1) -> DenseOperator:
    operator = block_gibbs(TableConditionals(law), k_uniform(law.sites, size))
    return DenseOperator(operator.to_dense(), True, law.probabilities)


def _efficiency(law: IsingLaw) -> float:
    family, masks = whitened_family(law), k_uniform(law.sites, 1)
    information = pseudolikelihood_information(family, np.zeros(family.parameters), masks)
    return 1 / float(np.linalg.eigvalsh(information)[0]) / poincare_constant(law, masks).value


def _efficiency_of_statistic(instance: tuple[JointLaw, Array]) -> float:
    law, statistic = instance
    channel = MaskingChannel(law, k_uniform(law.sites, 1))
    variance = float(channel.variance(statistic))
    if variance < 1e-12:
        return nan
    # The Fisher information of exp(theta f) at 0 is Var f; that of one masked site, the mean of Var(f | x_-i).
    return variance / float(channel.local_variance(statistic)) / poincare_constant(law, channel.masks).value


def _constants(law: JointLaw) -> tuple[float, float, float]:
    found = approximate_tensorization(law, k_uniform(law.sites, 1), 0, 60)
    return found.poincare, found.lower, found.upper


def _tensorization_lower(law: JointLaw) -> float:
    poincare, found, _ = _constants(law)
    return poincare / found


def _tensorization_upper(law: JointLaw) -> float:
    _, found, upper = _constants(law)
    return found / upper


def _mixing(law: JointLaw) -> float:
    steps = mixing_time(_chain(law), EPSILON).steps
    return float(steps) if steps is not None else nan


def _relaxation(law: JointLaw) -> float:
    return max(1.0, spectrum(_chain(law)).relaxation_time)


def _entropy_mixing(law: JointLaw) -> float:
    return _mixing(law) / entropy_contraction_bounds(max(1.0, _constants(law)[2]), law.minimum_mass, EPSILON)[1]


def _escape(instance: tuple[float, float], log_bound: Callable[[int, float, float], float]) -> float:
    coupling, field = instance
    counts = clique_counts(CLIQUE, coupling, field)
    exact = log_exit_probabilities(log_independent_parallel(counts), counts.magnetisations <= -2).max()
    return float(np.exp(exact - log_bound(CLIQUE, coupling, field)))


def _two_stages(instance: tuple[float, float]) -> float:
    counts = clique_counts(CLIQUE, *instance)
    logs, wrong = log_independent_parallel(counts), counts.magnetisations <= -2
    kernel = np.exp(logs)
    leaving, inside = kernel[np.ix_(wrong, ~wrong)].sum(axis=1), kernel[np.ix_(wrong, wrong)]
    left = np.zeros(len(leaving))
    for _ in range(HORIZON):
        left = leaving + inside @ left
    return float(left.max() / np.exp(log_two_stage_bound(logs, wrong, HORIZON)))


def _unmasking(law: JointLaw) -> float:
    schedules = random_order(law.sites, (1, law.sites - 1))
    bound = mean_total_correlation(law, schedules)
    if bound < 1e-9:
        return nan
    return decoding_error(law, mixture_output_law(TableConditionals(law), schedules)) / bound


def _dobrushin(law: IsingLaw) -> float:
    bound = dobrushin(TableConditionals(law)).gap_lower_bound
    return bound / spectrum(_chain(law)).absolute_gap if bound > 0 else nan


def _plain_law(law: JointLaw) -> dict[str, Any]:
    return {"table": law.table.tolist()}


def _plain_ising(law: IsingLaw) -> dict[str, Any]:
    return {"fields": law.fields.tolist(), "couplings": law.couplings.tolist()}


def _plain_clique(instance: tuple[float, float]) -> dict[str, Any]:
    return {"clique": CLIQUE, "coupling": instance[0], "field": instance[1]}


_STATES, _ISING = 2**SITES, SITES + comb(SITES, 2)

BOUNDS: dict[str, Bound] = {
    bound.name: bound
    for bound in (
        Bound(
            "efficiency",
            "C3",
            "largest eigenvalue of I Γ <= C_P, all fields and couplings as parameters",
            _ISING,
            ising_model,
            _efficiency,
            _plain_ising,
        ),
        Bound(
            "efficiency-of-a-statistic",
            "C3",
            "I Γ <= C_P for the one-parameter family of a statistic f",
            8,
            law_and_statistic,
            _efficiency_of_statistic,
            lambda instance: {**_plain_law(instance[0]), "statistic": instance[1].tolist()},
        ),
        Bound(
            "tensorization-lower",
            "C5",
            "C_P <= C_AT (by its numerical value)",
            4,
            two_bits,
            _tensorization_lower,
            _plain_law,
        ),
        Bound(
            "tensorization-upper",
            "C5",
            "C_AT (by its numerical value) <= the certified upper end",
            4,
            two_bits,
            _tensorization_upper,
            _plain_law,
        ),
        Bound(
            "dobrushin",
            "C5",
            "Dobrushin's lower bound <= absolute gap of single-site Gibbs",
            _ISING,
            ising_model,
            _dobrushin,
            _plain_ising,
        ),
        Bound(
            "relaxation-upper",
            "C6",
            "t_mix(1/4) <= t_rel ln(4/π_min)",
            _STATES,
            table,
            lambda law: _mixing(law) / relaxation_time_bounds(_relaxation(law), law.minimum_mass, EPSILON)[1],
            _plain_law,
        ),
        Bound(
            "relaxation-lower",
            "C6",
            "(t_rel - 1) ln 2 <= t_mix(1/4)",
            _STATES,
            table,
            lambda law: relaxation_time_bounds(_relaxation(law), law.minimum_mass, EPSILON)[0] / _mixing(law),
            _plain_law,
        ),
        Bound(
            "bottleneck",
            "C6",
            "1/(4 Φ) <= t_mix(1/4)",
            _STATES,
            table,
            lambda law: (
                bottleneck_bounds(bottleneck_ratio(_chain(law), law.probabilities).ratio, EPSILON)[0] / _mixing(law)
            ),
            _plain_law,
        ),
        Bound(
            "entropy-mixing",
            "C6",
            "t_mix(1/4) <= the bound by entropy contraction, C_AT by its certified upper end",
            4,
            two_bits,
            _entropy_mixing,
            _plain_law,
        ),
        Bound(
            "escape-chernoff",
            "C8",
            "escape probability of a step <= sech(J - h)^m, m = 8",
            2,
            strong_coupling,
            lambda instance: _escape(instance, log_escape_probability_bound),
            _plain_clique,
        ),
        Bound(
            "escape-worst-state",
            "C8",
            "escape probability of a step <= Chernoff's bound at the worst state, m = 8",
            2,
            strong_coupling,
            lambda instance: _escape(instance, log_escape_probability_exponent),
            _plain_clique,
        ),
        Bound(
            "escape-two-stages",
            "C8",
            "escape within 100 steps <= b₁ + 99 b₂, m = 8",
            2,
            strong_coupling,
            _two_stages,
            _plain_clique,
        ),
        Bound(
            "random-order",
            "C9",
            "KL(p‖E_S q_S) <= E_S KL(p‖q_S), one site and then the rest at random",
            _STATES,
            table,
            _unmasking,
            _plain_law,
        ),
    )
}
"""Every bound by name."""


def of(text: str) -> list[Bound]:
    """The bounds of a claim (``C6``), or the one of that name; ``all`` for all.

    Raises:
        InvalidInput: there is none.
    """
    wanted = text.strip().lower()
    found = [b for b in BOUNDS.values() if wanted in {"all", b.name, b.claim.lower()}]
    if not found:
        claims = dict.fromkeys(bound.claim for bound in BOUNDS.values())
        raise InvalidInput("bound", text, "all, one of " + ", ".join((*claims, *BOUNDS)))
    return found
