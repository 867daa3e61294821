"""Any Python function of numbers and words as a subject: ``gmlm sweep my_module:my_function``.

Its parameters are those of the function. Their types are the annotations (``int``, ``float``, ``bool``, ``str``, or
``tuple[...]`` of one of them), else those of the defaults, else ``float``. A parameter without a default must be given.
A parameter named ``seed`` is no axis: it receives the cell's seed.

The record is what the function returns: a mapping of names to numbers, words or arrays, or a single number, which is
then called ``value``.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput
from theory.parameters import describe, parameter

SEED = "seed"

_SCALARS = (int, float, bool, str)


def function_subject(name: str, function: Callable[..., Any]) -> Subject:
    """The subject that calls a function.

    Args:
        name: ``module:function``, by which workers import it.
        function: see the module's description.

    Raises:
        InvalidInput: parameters that cannot be swept.
    """
    try:
        signature, hints = inspect.signature(function), typing.get_type_hints(function)
    except (TypeError, ValueError, NameError) as error:
        raise InvalidInput("subject", name, f"its parameters cannot be read: {error}") from None
    fields = []
    for key, entry in signature.parameters.items():
        if entry.kind in (entry.POSITIONAL_ONLY, entry.VAR_POSITIONAL, entry.VAR_KEYWORD):
            raise InvalidInput("subject", name, f"its parameter {key} cannot be given by name")
        if key != SEED:
            default = dataclasses.MISSING if entry.default is entry.empty else entry.default
            fields.append((key, _type(name, key, hints.get(key), default), parameter(default, key)))
    parameters = dataclasses.make_dataclass("Parameters", fields, frozen=True, kw_only=True)
    seeded = SEED in signature.parameters

    def compute(values: Any, seed: int) -> Mapping[str, Any]:
        given = {key: getattr(values, key) for key in describe(parameters)}
        found = function(**given, **({SEED: seed} if seeded else {}))
        return found if isinstance(found, Mapping) else {"value": found}

    title = (inspect.getdoc(function) or function.__name__).strip().splitlines()[0]
    return Subject(name, title, parameters, compute, seeded=seeded)


def _type(name: str, key: str, hint: Any, default: Any) -> Any:
    if hint is None:
        if default is dataclasses.MISSING or default is None:
            return float
        if isinstance(default, (tuple, list)) and default:
            return tuple.__class_getitem__((type(default[0]), ...))
        hint = type(default)
    entry = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple and typing.get_args(hint) else hint
    if entry not in _SCALARS:
        allowed = ", ".join(kind.__name__ for kind in _SCALARS)
        raise InvalidInput("subject", name, f"its parameter {key} is of type {hint}; {allowed} and tuples can be swept")
    return hint
