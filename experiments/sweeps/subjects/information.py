"""What masks of k sites teach about an Ising model: claims C2 and C3 at one k as a subject.

The record holds the fields of `experiments.estimation.information.ising_information` for that k, with the two ends of
claim C3, tr I^{-1} <= tr Γ_k <= C_P tr I^{-1}, as ``trace_inverse_fisher`` and ``trace_upper_bound``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.chains.models import build_law
from experiments.estimation.information import ising_information
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import ModelParameters, check_model, check_size
from theory.errors import InvalidInput
from theory.laws import GRAPH_NAMES, IsingLaw, named_graph
from theory.parameters import parameter

ISING = ("ising", "curie-weiss", "strong-clique", "random-ising")


@dataclass(frozen=True)
class Parameters:
    """Which Ising model, which masks."""

    model: str = parameter("ising", "the Ising model", choices=ISING)
    graph: str = parameter("cycle", "interaction graph of ising", choices=GRAPH_NAMES)
    sites: int = parameter(6, "sites N; N (N + 1) / 2 parameters are learned", minimum=1, maximum=62)
    coupling: float = parameter(0.5, "coupling J of every edge; β of curie-weiss; scale of random-ising")
    field: float = parameter(0.1, "field h of every site")
    clique: int = parameter(4, "sites m of the strong clique", minimum=2)
    k: int = parameter(1, "mask size k", minimum=1)

    @property
    def law(self) -> ModelParameters:
        return ModelParameters(self.model, self.graph, self.sites, 2, self.coupling, self.field, self.clique)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    law = build_law(parameters.law.spec(seed))
    if not isinstance(law, IsingLaw):
        raise InvalidInput("model", parameters.model, "an Ising model is needed: one of " + ", ".join(ISING))
    record = ising_information(law, [parameters.k])
    (row,) = record.pop("by_k")
    bound = row["poincare_constant"] * record["trace_inverse_fisher"]
    return {
        "parameters_learned": record["parameters"],
        "trace_inverse_fisher": record["trace_inverse_fisher"],
        **{name: value for name, value in row.items() if name != "k"},
        "trace_upper_bound": bound,
    }


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together."""
    check_model(parameters.law)
    check_size("k", parameters.k, parameters.sites)
    if parameters.model == "ising":
        named_graph(parameters.graph, parameters.sites)


def memory(parameters: Parameters) -> float:
    """Bytes: the [S, d] statistics, a working copy, and the [d, d] matrices; d = N (N + 1) / 2."""
    learned = parameters.sites * (parameters.sites + 1) / 2
    return 8.0 * (3 * parameters.law.states * learned + 8 * learned**2)


SUBJECT = Subject(
    "information",
    "What masks of k sites teach about an Ising model: tr Γ_k between the inverse Fisher information and C_P times it",
    Parameters,
    compute,
    check,
    memory,
    {
        "trace_asymptotic_covariance": Quantity(
            "tr Γ_k = lim n E|θ̂ - θ*|²",
            lower="trace_inverse_fisher",
            upper="trace_upper_bound",
            log=True,
        ),
        "poincare_constant": Quantity("Poincaré constant C_P of k-Gibbs (steps)", log=True),
        "loewner_margin": Quantity("smallest eigenvalue of Γ_{k-1} - Γ_k"),
        "poincare_margin": Quantity("smallest eigenvalue of C_P I⁻¹ - Γ_k"),
    },
)
