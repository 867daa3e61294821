"""One sampler on one law, analysed exactly: ``gmlm chain`` as a subject.

The record is that of `experiments.chains.record.chain_record`, with the best bounds on the mixing time as
``mixing_time_lower`` and ``mixing_time_upper`` (steps; None where there is none).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from experiments.chains.models import MODELS, build_law
from experiments.chains.plan import DENSE_STATES, dense_memory, matrix_free_memory
from experiments.chains.record import chain_record
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import ModelParameters, check_model, check_size
from theory.laws import named_graph
from theory.masks import MaskLaw, k_uniform, parse_masks
from theory.parameters import parameter
from theory.samplers import SAMPLERS, parse_sampler


@dataclass(frozen=True)
class Parameters(ModelParameters):
    """Which law, which sampler; the defaults are those of ``gmlm chain``."""

    sites: int = parameter(8, "sites N", minimum=1, maximum=62)
    sampler: str = parameter("k-gibbs", "the sampler, with its options: " + ", ".join(SAMPLERS))
    k: int = parameter(1, "mask size of k-uniform masks, for samplers that draw masks", minimum=1)
    masks: str = parameter(
        "", "another mask law (uniform-ratio, bernoulli:ratio=0.3, spans:length=3, ...) in place of k"
    )
    temperature: float = parameter(1.0, "conditionals^(1/T); 0 is greedy", minimum=0.0)
    epsilon: float = parameter(0.25, "total variation that counts as mixed", minimum=1e-9, maximum=0.999)


def _masks(parameters: Parameters) -> MaskLaw | None:
    if parse_sampler(parameters.sampler).uses_masks == "none":
        return None
    if parameters.masks:
        return parse_masks(parameters.masks, parameters.sites)
    return k_uniform(parameters.sites, parameters.k)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    spec = parameters.spec(seed)
    law = build_law(spec)
    record = chain_record(
        law, parameters.sampler, _masks(parameters), parameters.temperature, parameters.epsilon, spec=spec
    )
    bounds = record["mixing_time_bounds"].values()
    lower = [low for low, _ in bounds if low is not None]
    upper = [high for _, high in bounds if high is not None]
    return {
        "law": law.name,
        **record,
        "mixing_time_lower": max(lower, default=None),
        "mixing_time_upper": min(upper, default=None),
    }


@lru_cache(maxsize=1024)
def _graph_exists(graph: str, sites: int) -> None:
    named_graph(graph, sites)


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together, and mask laws that cannot be read."""
    check_model(parameters)
    if "graph" in MODELS[parameters.model].uses:
        _graph_exists(parameters.graph, parameters.sites)
    if parameters.masks:
        parse_masks(parameters.masks, parameters.sites)
    elif parse_sampler(parameters.sampler).uses_masks != "none":
        check_size("k", parameters.k, parameters.sites)


def memory(parameters: Parameters) -> float:
    """Bytes of the analysis, by the method that will be used."""
    surely_irreducible = (
        MODELS[parameters.model].positive and parameters.temperature > 0 and parse_sampler(parameters.sampler).one_class
    )
    if parameters.states <= DENSE_STATES or not surely_irreducible:
        return dense_memory(parameters.states)
    return matrix_free_memory(parameters.states)


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
