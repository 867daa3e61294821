"""Bounds on constants and gaps (C5), on mixing (C6), and on chains with learned conditionals (N2)."""

from __future__ import annotations

from functools import partial
from math import inf, nan

from experiments.tightness.bound import (
    PARAMETERS,
    STATES,
    Bound,
    chain,
    ising_model,
    plain_ising,
    plain_law,
    plain_laws,
    table,
    two_bits,
    two_laws,
)
from theory.bounds import bottleneck_bounds, entropy_contraction_bounds, relaxation_time_bounds
from theory.bounds.perturbation import conditional_errors, divergence_of_runs_bound, stationary_distance_bound
from theory.chains import DenseOperator, bottleneck_ratio, mixing_time, spectrum, stationary_law
from theory.conditionals import TableConditionals
from theory.divergences import total_variation
from theory.inequalities import (
    Contraction,
    DobrushinCriterion,
    MaskingChannel,
    approximate_tensorization,
    dobrushin,
    modified_log_sobolev,
    ollivier_curvature,
    path_coupling,
    step_contraction,
    tensorization_upper_bounds,
)
from theory.laws import JointLaw
from theory.masks import k_uniform
from theory.samplers import systematic_scan

EPSILON = 0.25
STEPS = 3
"""After which a learned chain is compared with the exact one."""


def _constants(law: JointLaw) -> tuple[float, float, float]:
    found = approximate_tensorization(law, k_uniform(law.sites, 1), 0, 60)
    return found.poincare, found.lower, found.upper


def _tensorization_lower(law: JointLaw) -> float:
    poincare, found, _ = _constants(law)
    return poincare / found


def _least_upper(law: JointLaw) -> float:
    _, found, upper = _constants(law)
    return found / upper


def _tensorization_upper(name: str, law: JointLaw) -> float:
    poincare, found, _ = _constants(law)
    bound = tensorization_upper_bounds(MaskingChannel(law, k_uniform(law.sites, 1)), poincare).get(name, inf)
    return found / bound if bound < inf else nan


def _log_sobolev(law: JointLaw) -> float:
    found = modified_log_sobolev(law, k_uniform(law.sites, 1), 0, 60)
    return found.lower / found.upper


def _gap(law: JointLaw, bound: float) -> float:
    return bound / spectrum(chain(law)).absolute_gap if bound > 0 else nan


def _influence(law: JointLaw) -> DobrushinCriterion:
    return dobrushin(TableConditionals(law))


def _coupling(law: JointLaw) -> Contraction:
    return path_coupling(TableConditionals(law), k_uniform(law.sites, 1))


def _mixing(law: JointLaw) -> float:
    steps = mixing_time(chain(law), EPSILON).steps
    return float(steps) if steps is not None else nan


def _mixes_within(law: JointLaw, bound: float) -> float:
    return _mixing(law) / bound if 0 < bound < inf else nan


def _relaxation(law: JointLaw) -> float:
    return max(1.0, spectrum(chain(law)).relaxation_time)


def _step(law: JointLaw) -> float:
    found = step_contraction(law, k_uniform(law.sites, 1), 0, 60)
    return found.lower / found.upper if found.upper_by == "C_AT" else nan


def _stationary_distance(laws: tuple[JointLaw, JointLaw]) -> float:
    truth, learned = laws
    kernel = DenseOperator(systematic_scan(TableConditionals(learned)).to_dense())
    bound = stationary_distance_bound(kernel, float(conditional_errors(TableConditionals(learned), truth).sum()))
    return total_variation(stationary_law(kernel).law, truth.probabilities) / bound if 0 < bound < 1 else nan


def _runs(laws: tuple[JointLaw, JointLaw]) -> float:
    exact, learned = (chain(law) for law in laws)
    bound = float(divergence_of_runs_bound(exact, learned, [STEPS])[0])
    if not 0 < bound < 1:
        return nan
    one, two = exact.matrix, learned.matrix
    for _ in range(STEPS - 1):
        one, two = one @ exact.matrix, two @ learned.matrix
    return max(total_variation(a, b) for a, b in zip(one, two, strict=True)) / bound


BOUNDS = (
    Bound(
        "tensorization-lower",
        "C5",
        "C_P <= C_AT (by its numerical value)",
        4,
        two_bits,
        _tensorization_lower,
        plain_law,
    ),
    Bound(
        "tensorization-upper",
        "C5",
        "C_AT (by its numerical value) <= the certified upper end",
        4,
        two_bits,
        _least_upper,
        plain_law,
    ),
    *(
        Bound(
            f"tensorization-by-{short}",
            "C5",
            f"C_AT (by its numerical value) <= its upper end by {text}",
            4,
            two_bits,
            partial(_tensorization_upper, name),
            plain_law,
        )
        for short, name, text in (
            ("bracket", "bracket", "C_P and the smallest mass"),
            ("product", "product comparison", "comparison with the product of the marginals"),
        )
    ),
    Bound(
        "log-sobolev",
        "C5",
        "the certified lower end <= the modified log-Sobolev constant (by its numerical value)",
        4,
        two_bits,
        _log_sobolev,
        plain_law,
    ),
    Bound(
        "dobrushin",
        "C5",
        "Dobrushin's lower bound <= absolute gap of single-site Gibbs",
        PARAMETERS,
        ising_model,
        lambda law: _gap(law, _influence(law).gap_lower_bound),
        plain_ising,
    ),
    Bound(
        "path-coupling",
        "C5",
        "the lower bound by path coupling <= absolute gap of single-site Gibbs",
        PARAMETERS,
        ising_model,
        lambda law: _gap(law, _coupling(law).gap_lower_bound),
        plain_ising,
    ),
    Bound(
        "curvature",
        "C5",
        "the exact Ollivier curvature <= absolute gap of single-site Gibbs",
        4,
        two_bits,
        lambda law: _gap(law, ollivier_curvature(chain(law), law.sites, law.symbols).gap_lower_bound),
        plain_law,
    ),
    Bound(
        "entropy-step",
        "C6",
        "largest KL(νP‖q) / KL(ν‖q) (by its numerical value) <= 1 - 1/C_AT, by the certified upper end",
        4,
        two_bits,
        _step,
        plain_law,
    ),
    Bound(
        "relaxation-upper",
        "C6",
        "t_mix(1/4) <= t_rel ln(4/π_min)",
        STATES,
        table,
        lambda law: _mixing(law) / relaxation_time_bounds(_relaxation(law), law.minimum_mass, EPSILON)[1],
        plain_law,
    ),
    Bound(
        "relaxation-lower",
        "C6",
        "(t_rel - 1) ln 2 <= t_mix(1/4)",
        STATES,
        table,
        lambda law: relaxation_time_bounds(_relaxation(law), law.minimum_mass, EPSILON)[0] / _mixing(law),
        plain_law,
    ),
    Bound(
        "bottleneck",
        "C6",
        "1/(4 Φ) <= t_mix(1/4)",
        STATES,
        table,
        lambda law: bottleneck_bounds(bottleneck_ratio(chain(law), law.probabilities).ratio, EPSILON)[0] / _mixing(law),
        plain_law,
    ),
    Bound(
        "entropy-mixing",
        "C6",
        "t_mix(1/4) <= the bound by entropy contraction, C_AT by its certified upper end",
        4,
        two_bits,
        lambda law: (
            _mixing(law) / entropy_contraction_bounds(max(1.0, _constants(law)[2]), law.minimum_mass, EPSILON)[1]
        ),
        plain_law,
    ),
    Bound(
        "dobrushin-mixing",
        "C6",
        "t_mix(1/4) <= the bound by Dobrushin's influence matrix",
        PARAMETERS,
        ising_model,
        lambda law: _mixes_within(law, _influence(law).mixing_time_bound(EPSILON)),
        plain_ising,
    ),
    Bound(
        "path-coupling-mixing",
        "C6",
        "t_mix(1/4) <= the bound by path coupling",
        PARAMETERS,
        ising_model,
        lambda law: _mixes_within(law, _coupling(law).mixing_time_bound(EPSILON)),
        plain_ising,
    ),
    Bound(
        "stationary-distance",
        "C10",
        "TV(stationary law of the learned scan, p) <= t Σ e_i / (1 - δ(Q^t)), the best t",
        8,
        two_laws,
        _stationary_distance,
        plain_laws,
    ),
    Bound(
        "divergence-of-runs",
        "N2",
        f"TV(νQ^t, νP^t) <= max TV(Q, P) Σ_(s<t) δ(P^s), t = {STEPS}, worst start",
        8,
        two_laws,
        _runs,
        plain_laws,
    ),
)
