"""The law of a swept cell: the fields of `experiments.chains.model_spec.ModelSpec` but for the seed, the cell's.

A file may stand for the law as in ``gmlm chain``: ``table``, ``couplings`` with ``fields``, or ``edges``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from experiments.chains.inputs import LawSize, law_from_files, refuse_without_effect, size_from_files, source_of
from experiments.chains.law_files import LawFiles
from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import MODELS
from experiments.sweeps.inputs import locate
from theory.errors import InvalidInput
from theory.laws import GRAPH_NAMES, JointLaw
from theory.parameters import describe, parameter


def _same(name: str, choices: Sequence[str] | None = None) -> Any:
    declared = describe(ModelSpec)[name]
    limits: dict[str, Any] = {"minimum": declared.rule.minimum, "maximum": declared.rule.maximum}
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


@dataclass(frozen=True)
class LawParameters(LawFiles, ModelParameters):
    """Which law: a model, or files of one's own."""


Files = TypeVar("Files", bound=LawFiles)


def located(parameters: LawFiles, kind: type[Files]) -> Files:
    """The files among the parameters of a cell, as paths.

    Raises:
        InvalidInput: one is gone, or has changed since the sweep was planned.
    """
    values = {}
    for name, declared in describe(kind).items():  # type: ignore[arg-type]  # a class is hashable
        value = getattr(parameters, name)
        values[name] = str(locate(value, name)) if value and declared.rule.file else value
    return kind(**values)


def file_law(parameters: LawParameters) -> tuple[JointLaw | None, list[str] | None]:
    """The law that a file stands for, and the names of its sites where it has some; None where a model does.

    Raises:
        InvalidInput: as `located`, and as `experiments.chains.inputs.law_from_files`.
    """
    files = located(parameters, LawFiles)
    return (None, None) if source_of(files) is None else law_from_files(files, parameters.coupling, parameters.field)


def law_size(parameters: LawParameters) -> LawSize:
    """The size of the law.

    Raises:
        InvalidInput: as `file_law`, where the beginning of the file tells.
    """
    if source_of(parameters) is None:
        model = MODELS.get(parameters.model)
        symbols = 2 if model is not None and model.binary else parameters.symbols
        return LawSize(parameters.sites, symbols, model is not None and model.positive)
    return _file_size(LawFiles(**{name: getattr(parameters, name) for name in describe(LawFiles)}))


@lru_cache(maxsize=64)
def _file_size(files: LawFiles) -> LawSize:
    return size_from_files(located(files, LawFiles))


def check_files(parameters: LawParameters) -> None:
    """Refuse what has no effect beside a file, and files that do not go together."""
    if any(getattr(parameters, name, "") for name in (*describe(LawFiles), "transition", "normalise")):
        known = describe(type(parameters))  # type: ignore[arg-type]  # a class is hashable
        given = {name for name, declared in known.items() if getattr(parameters, name) != declared.default}
        refuse_without_effect(parameters, dataclasses.asdict(parameters), given)


def check_model(parameters: ModelParameters) -> None:
    """Refuse a clique that is larger than the sequence."""
    if parameters.model == "strong-clique" and parameters.clique > parameters.sites:
        raise InvalidInput("clique", parameters.clique, f"a clique has at most N = {parameters.sites} sites")


def check_size(name: str, size: int, sites: int) -> None:
    """Refuse a number of sites outside 1..N."""
    if not 1 <= size <= sites:
        raise InvalidInput(name, size, f"must lie in 1..N = 1..{sites}")
