"""One sampler on one law, analysed exactly: ``gmlm chain`` as a subject.

The record is that of `experiments.chains.record.chain_record`, with the best bounds on the mixing time as
``mixing_time_lower`` and ``mixing_time_upper`` (steps; None where there is none). The mixing time of a chain that never
mixes is infinite. A law or a chain of one's own is read from a file, with the parameters ``table``, ``couplings``,
``edges`` and ``transition`` as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

from experiments.chains.inputs import load_transition, source_of
from experiments.chains.law_files import ChainFiles
from experiments.chains.models import MODELS, build_law
from experiments.chains.plan import DENSE_STATES, dense_memory, matrix_free_memory, plan_matrix
from experiments.chains.record import chain_record, matrix_record
from experiments.sweeps.inputs import locate
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import (
    LawParameters,
    check_files,
    check_model,
    check_size,
    file_law,
    law_size,
    located,
)
from theory.laws import named_graph
from theory.masks import MaskLaw, k_uniform, parse_masks
from theory.parameters import parameter
from theory.samplers import SAMPLERS, parse_sampler


@dataclass(frozen=True)
class Parameters(LawParameters, ChainFiles):
    """Which law, which sampler; the defaults are those of ``gmlm chain``."""

    sites: int = parameter(8, "sites N", minimum=1, maximum=62)
    sampler: str = parameter("k-gibbs", "the sampler, with its options: " + ", ".join(SAMPLERS))
    k: int = parameter(1, "mask size of k-uniform masks, for samplers that draw masks", minimum=1)
    masks: str = parameter(
        "", "another mask law (uniform-ratio, bernoulli:ratio=0.3, spans:length=3, ...) in place of k"
    )
    temperature: float = parameter(1.0, "conditionals^(1/T); 0 is greedy", minimum=0.0)
    epsilon: float = parameter(0.25, "total variation that counts as mixed", minimum=1e-9, maximum=0.999)


def _masks(parameters: Parameters, sites: int) -> MaskLaw | None:
    if parse_sampler(parameters.sampler).uses_masks == "none":
        return None
    if parameters.masks:
        return parse_masks(parameters.masks, sites)
    return k_uniform(sites, parameters.k)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    if parameters.transition:
        files = located(parameters, ChainFiles)
        operator = load_transition(Path(files.transition), files.normalise)
        return _with_best_bounds(matrix_record(operator, parameters.epsilon))
    (law, names), spec = file_law(parameters), None
    if law is None:
        spec = parameters.spec(seed)
        law = build_law(spec)
    masks = _masks(parameters, law.sites)
    record = chain_record(
        law, parameters.sampler, masks, parameters.temperature, parameters.epsilon, spec=spec, names=names
    )
    return {"law": law.name, **_with_best_bounds(record)}


def _with_best_bounds(record: dict[str, Any]) -> dict[str, Any]:
    bounds = record["mixing_time_bounds"].values()
    lower = [low for low, _ in bounds if low is not None]
    upper = [high for _, high in bounds if high is not None]
    never = record["mixing_time_interval"] is None
    return {
        **record,
        "mixing_time": inf if never else record["mixing_time"],
        "mixing_time_lower": max(lower, default=None),
        "mixing_time_upper": min(upper, default=None),
    }


@lru_cache(maxsize=1024)
def _graph_exists(graph: str, sites: int) -> None:
    named_graph(graph, sites)


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together, and files and mask laws that cannot be read."""
    check_files(parameters)
    if parameters.transition:
        _matrix_memory(parameters.transition, parameters.normalise)
        return
    if source_of(parameters) is None:
        check_model(parameters)
        if "graph" in MODELS[parameters.model].uses:
            _graph_exists(parameters.graph, parameters.sites)
    sites = law_size(parameters).sites
    if parameters.masks:
        parse_masks(parameters.masks, sites)
    elif parse_sampler(parameters.sampler).uses_masks != "none":
        check_size("k", parameters.k, sites)


@lru_cache(maxsize=64)
def _matrix_memory(transition: str, normalise: bool) -> float:
    return plan_matrix(load_transition(locate(transition, "transition"), normalise)).memory


def memory(parameters: Parameters) -> float:
    """Bytes of the analysis, by the method that will be used."""
    if parameters.transition:
        return _matrix_memory(parameters.transition, parameters.normalise)
    size = law_size(parameters)
    surely_irreducible = size.positive and parameters.temperature > 0 and parse_sampler(parameters.sampler).one_class
    if size.states <= DENSE_STATES or not surely_irreducible:
        return dense_memory(size.states)
    return matrix_free_memory(size.states)


SUBJECT = Subject(
    "chain",
    "One sampler on one law: stationary law, gap, exact mixing time, bounds",
    Parameters,
    compute,
    check,
    memory,
    {
        "mixing_time": Quantity(
            "mixing time t_mix(ε) (steps)", lower="mixing_time_lower", upper="mixing_time_upper", log=True
        ),
        "relaxation_time": Quantity("relaxation time (steps)", log=True),
        "spectral_gap": Quantity("spectral gap (1/steps)", log=True),
        "stationary_tv_to_target": Quantity("total variation of the stationary law to p"),
        "stationary_kl_to_target": Quantity("KL of the stationary law to p (nats)"),
        "bottleneck_ratio": Quantity("bottleneck ratio Φ"),
        "closed_classes": Quantity("closed communicating classes"),
        "reversible": Quantity("reversible"),
    },
)
