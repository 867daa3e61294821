"""What can be swept: a *subject* turns a set of parameters and a seed into a record.

A subject is a name, a dataclass of parameters (fields made by `theory.parameters.parameter`) and a function
``compute(parameters, seed) -> record``, where a record is a mapping of plain data and depends on its arguments only.
The rest is optional: a check that refuses parameters which do not go together, an estimate of the memory that a cell
needs, and what its outcomes mean (label, unit, and where the theory predicts them), which is all that figures need.

To sweep something new, bind it in a `Subject` and name it in `experiments.sweeps.subjects`, or name it as
``module:NAME``; a plain function will do (`experiments.sweeps.subjects.function`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Quantity:
    """One outcome of a subject, as a column of its results.

    Attributes:
        label: axis label with unit.
        predicted: column that holds the theory's value for it.
        lower, upper: columns that hold bounds on it.
        log: whether it spans orders of magnitude.
    """

    label: str
    predicted: str | None = None
    lower: str | None = None
    upper: str | None = None
    log: bool = False


def _accept(parameters: Any) -> None:
    """Every combination of allowed values is allowed."""


def _unknown(parameters: Any) -> None:
    """No estimate."""


@dataclass(frozen=True)
class Subject:
    """Something that can be swept.

    Attributes:
        name: on the command line and in the database.
        title: one line.
        parameters: dataclass of parameters.
        compute: from parameters and a seed >= 0 to a record of plain data.
        check: raises InvalidInput where values do not go together (a mask larger than the sequence).
        memory: bytes that a cell needs at most, about, without allocating them; None where it is not known.
        quantities: outcomes by column; those that are not listed can be drawn too, under their column's name.
        seeded: whether the record depends on the seed; where it does not, several seeds are refused.
    """

    name: str
    title: str
    parameters: type
    compute: Callable[[Any, int], Mapping[str, Any]]
    check: Callable[[Any], None] = _accept
    memory: Callable[[Any], float | None] = _unknown
    quantities: Mapping[str, Quantity] = field(default_factory=dict)
    seeded: bool = True
