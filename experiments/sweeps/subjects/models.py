"""The law of a swept cell: the fields of `experiments.chains.models.ModelSpec` as parameters with their limits."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.chains.models import BINARY, MODELS, ModelSpec
from theory.errors import InvalidInput
from theory.laws import GRAPH_NAMES
from theory.parameters import parameter


@dataclass(frozen=True)
class ModelParameters:
    """Which law; its random choices follow the cell's seed."""

    model: str = parameter("ising", "the law", choices=tuple(MODELS))
    graph: str = parameter("cycle", "interaction graph of ising and potts", choices=GRAPH_NAMES)
    sites: int = parameter(6, "sites N", minimum=1, maximum=62)
    symbols: int = parameter(2, "symbols q of potts, markov, hmm, product, mixture and random", minimum=2, maximum=1000)
    coupling: float = parameter(0.5, "coupling J of every edge; β of curie-weiss; scale of random-ising")
    field: float = parameter(0.0, "field h of every site")
    clique: int = parameter(4, "sites m of the strong clique", minimum=2)

    def spec(self, seed: int) -> ModelSpec:
        """The model, with the seed of its random choices."""
        return ModelSpec(self.model, self.sites, self.symbols, self.graph, self.coupling, self.field, self.clique, seed)

    @property
    def states(self) -> int:
        """S = q^N."""
        return (2 if self.model in BINARY else self.symbols) ** self.sites


def check_model(parameters: ModelParameters) -> None:
    """Refuse a clique that is larger than the sequence."""
    if parameters.model == "strong-clique" and parameters.clique > parameters.sites:
        raise InvalidInput("clique", parameters.clique, f"a clique has at most N = {parameters.sites} sites")


def check_size(name: str, size: int, sites: int) -> None:
    """Refuse a number of sites outside 1..N."""
    if not 1 <= size <= sites:
        raise InvalidInput(name, size, f"must lie in 1..N = 1..{sites}")
