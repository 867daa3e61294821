"""The law of a swept cell: the fields of `experiments.chains.model_spec.ModelSpec` but for the seed, the cell's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import MODELS
from theory.errors import InvalidInput
from theory.laws import GRAPH_NAMES
from theory.parameters import describe, parameter


def _same(name: str, choices: Sequence[str] | None = None) -> Any:
    declared = describe(ModelSpec)[name]
    limits = {"minimum": declared.rule.minimum, "maximum": declared.rule.maximum}
    return parameter(declared.default, declared.rule.help, choices=choices, **limits)


@dataclass(frozen=True)
class ModelParameters:
    """Which law; its random choices follow the cell's seed."""

    model: str = _same("model", choices=tuple(MODELS))
    graph: str = _same("graph", choices=GRAPH_NAMES)
    sites: int = _same("sites")
    symbols: int = _same("symbols")
    coupling: float = _same("coupling")
    field: float = _same("field")
    clique: int = _same("clique")

    def spec(self, seed: int) -> ModelSpec:
        """The model, with the seed of its random choices."""
        return ModelSpec(**{name: getattr(self, name) for name in describe(ModelSpec) if name != "seed"}, seed=seed)

    @property
    def states(self) -> int:
        """S = q^N."""
        return (2 if MODELS[self.model].binary else self.symbols) ** self.sites


def check_model(parameters: ModelParameters) -> None:
    """Refuse a clique that is larger than the sequence."""
    if parameters.model == "strong-clique" and parameters.clique > parameters.sites:
        raise InvalidInput("clique", parameters.clique, f"a clique has at most N = {parameters.sites} sites")


def check_size(name: str, size: int, sites: int) -> None:
    """Refuse a number of sites outside 1..N."""
    if not 1 <= size <= sites:
        raise InvalidInput(name, size, f"must lie in 1..N = 1..{sites}")
