"""The exact output law of decoding by unmasking, and what it costs against the law that the conditionals came from.

For a schedule S = (S_1, ..., S_T) the sampler outputs x with probability
    q_S(x) = prod_t prod_{i in S_t} p(x_i | x_{S_<t}).
**C9.** With the exact conditionals of p, KL(p || q_S) = sum_t TC(x_{S_t} | x_{S_<t}), because
ln p(x) / q_S(x) = sum_t ln [ p(x_{S_t} | x_{S_<t}) / prod_{i in S_t} p(x_i | x_{S_<t}) ]. For a schedule law,
KL(p || E_S q_S) <= E_S KL(p || q_S) by convexity. One token at a time is exact in any order.

The two sides are computed apart: `output_law` multiplies token conditionals over the table of sequences, while
`total_correlations` uses nothing but the entropies of subsets of the joint table.

Legend: ``N`` sites, ``q`` symbols, ``T`` steps, ``C`` contexts. KL and entropies in nats.
Source: claim C9; Lavenant and Zanella 2025 (arXiv:2510.25544), Chen, Cong and Li 2025 (arXiv:2511.04647).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.conditionals import ConditionalModel
from theory.decoding.entropies import SubsetEntropies
from theory.decoding.schedules import Schedule, ScheduleLaw, check_sizes, check_step_weights
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.states import require_states

Array = NDArray[np.float64]


def output_law(model: ConditionalModel, schedule: Schedule) -> JointLaw:
    """q_S: the law of the sequence that parallel unmasking along one schedule puts out.

    The conditionals may come from a table or from a network; no compatibility between them is needed.

    Raises:
        InvalidInput: the schedule has another number of sites than the model.
        ExceedsMemory: the table of q^N masses does not fit.
    """
    _check_sites(model.sites, schedule.sites, "schedule")
    require_states(model.sites, model.symbols, 16.0, "the output law")
    return JointLaw(_output_table(model, schedule), f"output of {schedule.length} steps")


def _output_table(model: ConditionalModel, schedule: Schedule) -> Array:
    table = np.ones((model.symbols,) * model.sites)
    for revealed, step in schedule.with_revealed():
        hidden = tuple(i for i in range(model.sites) if i not in revealed)
        tokens = model.token_conditionals(hidden)
        for site in step:
            axes = sorted((*revealed, site))
            factor = tokens[hidden.index(site)].reshape((model.symbols,) * len(axes))
            # The factor's last axis is the new site; bring it to its place among the revealed ones, then broadcast.
            factor = np.moveaxis(factor, -1, axes.index(site))
            table *= factor.reshape([model.symbols if i in axes else 1 for i in range(model.sites)])
    return table


def mixture_output_law(model: ConditionalModel, law: ScheduleLaw) -> JointLaw:
    """E_S q_S: the output law when the schedule is drawn anew for every sequence.

    Raises:
        InvalidInput, ExceedsMemory: as `output_law`.
    """
    _check_sites(model.sites, law.sites, "law")
    require_states(model.sites, model.symbols, 24.0, "the output law")
    table = np.zeros((model.symbols,) * model.sites)
    for schedule, probability in zip(law.schedules, law.probabilities, strict=True):
        table += probability * _output_table(model, schedule)
    return JointLaw(table, f"output of {law.name}")


def decoding_error(target: JointLaw, output: JointLaw) -> float:
    """KL(p || q) in nats between the law that is wanted and the law that is put out; infinite where q misses mass.

    Raises:
        InvalidInput: laws over different sequence spaces.
    """
    if target.table.shape != output.table.shape:
        raise InvalidInput("output", f"shape {output.table.shape}", f"shape {target.table.shape} is needed")
    return kullback_leibler(target.probabilities, output.probabilities)


def total_correlations(law: JointLaw | SubsetEntropies, schedule: Schedule) -> Array:
    """TC(x_{S_t} | x_{S_<t}) for t = 1..T, in nats, from entropies alone; the sum is KL(p || q_S).

    Raises:
        InvalidInput: the schedule has another number of sites than the law.
    """
    entropies = law if isinstance(law, SubsetEntropies) else SubsetEntropies(law)
    _check_sites(entropies.sites, schedule.sites, "schedule")
    return np.array([entropies.total_correlation(step, revealed) for revealed, step in schedule.with_revealed()])


def mean_total_correlation(law: JointLaw | SubsetEntropies, schedules: ScheduleLaw) -> float:
    """E_S sum_t TC(x_{S_t} | x_{S_<t}) in nats: the bound on KL(p || E_S q_S)."""
    entropies = law if isinstance(law, SubsetEntropies) else SubsetEntropies(law)
    costs = [float(total_correlations(entropies, schedule).sum()) for schedule in schedules.schedules]
    return float(schedules.probabilities @ np.array(costs))


def random_order_error(information_curve: Array, sizes: Sequence[int]) -> float:
    """E_S KL(p || q_S) over uniformly random orders cut by a size plan, in nats, from the information curve h alone.

    A random set of a sites followed by one more has mean conditional entropy h(a + 1) - h(a), so the mean is
    sum_t n_t [ h(a_t + 1) - h(a_t) ] - h(N), a_t = n_1 + ... + n_{t-1}: a left Riemann sum of the increments.
    Source: Chen, Cong and Li 2025, Lavenant and Zanella 2025.

    Raises:
        InvalidInput: not a size plan of N.
    """
    curve = np.asarray(information_curve, dtype=np.float64)
    plan = np.array(check_sizes(len(curve) - 1, sizes))
    starts = np.cumsum(plan) - plan
    return float(plan @ (curve[starts + 1] - curve[starts]) - curve[-1])


def masked_diffusion_error(information_curve: Array, step_weights: ArrayLike) -> float:
    """E_S KL(p || q_S) over the schedules of masked diffusion, in nats, from the information curve h alone.

    Before step t each site is out with probability F_t = w_1 + ... + w_{t-1}; given the a sites that are out, a site i
    that comes out in step t costs h(a + 1) - h(a) on average, so the mean is
    sum_t w_t N E[ h(a + 1) - h(a) ] - h(N) with a ~ Binomial(N - 1, F_t), the other sites that are out.

    Raises:
        InvalidInput: fewer than two entries of the curve, or weights that are no probability vector.
    """
    curve, weights = np.asarray(information_curve, dtype=np.float64), check_step_weights(step_weights)
    if curve.ndim != 1 or curve.size < 2:
        raise InvalidInput("information_curve", f"shape {curve.shape}", "N + 1 >= 2 entries are needed")
    sites, increments = curve.size - 1, np.diff(curve)
    before = np.clip(np.cumsum(weights) - weights, 0.0, 1.0)
    from scipy.stats import binom  # takes most of a second to import; only this function needs it

    chances = binom.pmf(np.arange(sites), sites - 1, before[:, None])
    return float(sites * (weights @ (chances @ increments)) - curve[-1])


def _check_sites(expected: int, given: int, argument: str) -> None:
    if given != expected:
        raise InvalidInput(argument, f"{given} sites", f"{expected} sites are needed")
