"""One sampler on one law as a record: what ``gmlm chain`` prints and what a sweep over chains stores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from experiments.chains.analysis import analyse, analyse_matrix_free
from experiments.chains.inputs import name_of_state
from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_chain
from experiments.chains.plan import ChainPlan, plan_chain, plan_matrix
from theory.chains.operator import MatrixOperator
from theory.laws import JointLaw
from theory.masks import MaskLaw, k_uniform
from theory.memory import require_memory


def chain_record(
    law: JointLaw,
    sampler: str,
    masks: MaskLaw | None,
    temperature: float = 1.0,
    epsilon: float = 0.25,
    *,
    spec: ModelSpec | None = None,
    names: Sequence[str] | None = None,
    curve: bool = False,
    budget: float = inf,
    planned: Callable[[ChainPlan], None] = lambda plan: None,
) -> dict[str, Any]:
    """Build the chain, choose the method, analyse.

    Args:
        law, sampler, masks, temperature: as for `experiments.chains.models.build_chain`.
        epsilon: total variation that counts as mixed.
        spec: where the law comes from, if it has a name: its symmetries are then known.
        names: of the sites, for the likeliest states.
        curve: whether to add total-variation curves.
        budget: seconds; a mixing time or a spectrum that would take longer is left out.
        planned: told of the plan before anything large is computed; may refuse it.

    Returns:
        ``method`` and the fields of `experiments.chains.analysis.analyse`; ``renormalised`` where the masses of the law
        did not sum to 1: how far off they were.

    Raises:
        InvalidInput: an unknown sampler, or values that do not go together.
        ExceedsMemory: the analysis would not fit in memory.
    """
    operator = build_chain(law, sampler, masks, temperature)
    exact_block_gibbs = sampler == "k-gibbs" and temperature == 1
    block_masks = (masks if masks is not None else k_uniform(law.sites, 1)) if exact_block_gibbs else None
    plan = plan_chain(law, operator, sampler, masks, temperature, spec)
    planned(plan)
    if plan.alike is None:
        require_memory(plan.memory, "sites", law.sites, "the dense analysis of the chain")
        record = analyse(law, operator, epsilon, block_masks, curve, budget)
    else:
        record = analyse_matrix_free(law, operator, plan.alike, epsilon, block_masks, budget, curve)
    record["likeliest"] = [[name_of_state(at, law.sites, law.symbols, names), mass] for at, mass in record["likeliest"]]
    renormalised = {"renormalised": law.renormalised} if law.renormalised else {}
    return {"method": plan.method, **renormalised, **record}


def matrix_record(
    operator: MatrixOperator,
    epsilon: float = 0.25,
    *,
    curve: bool = False,
    budget: float = inf,
    planned: Callable[[ChainPlan], None] = lambda plan: None,
) -> dict[str, Any]:
    """As `chain_record`, for a chain that is given as a matrix and aims at no law.

    Returns:
        The same fields, and ``renormalised``: the largest deviation of a row sum from 1 that was divided away.

    Raises:
        ExceedsMemory: the analysis would not fit in memory.
    """
    plan = plan_matrix(operator)
    planned(plan)
    if plan.alike is None:
        require_memory(plan.memory, "states", operator.states, "the dense analysis of the chain")
        record = analyse(None, operator, epsilon, curve=curve, budget=budget)
    else:
        record = analyse_matrix_free(None, operator, plan.alike, epsilon, budget=budget, curve=curve)
    record["likeliest"] = [[f"state {at}", mass] for at, mass in record["likeliest"]]
    return {"method": plan.method, "renormalised": operator.renormalised, **record}
