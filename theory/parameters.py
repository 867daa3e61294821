"""Options of a model, sampler, decoder or experiment: declared once as a dataclass, read from text, checked, swept.

Whatever has options declares them as a frozen dataclass whose fields are made by `parameter`; the type annotation says
how text is read. Allowed types: ``int``, ``float``, ``bool``, ``str``, ``tuple[int, ...]``, ``tuple[float, ...]`` and
``tuple[str, ...]``.

Lists of numbers are written ``4,6,8``, ``1..6`` (or ``1-6``; whole numbers, both ends included) or ``0:2:0.5``
(start:stop:step, the stop included where a step falls on it); the forms combine: ``1..3,8``.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from theory.errors import InvalidInput

LONGEST_LIST = 100_000
"""A list that names more values than this is taken for a mistake."""

LONGEST_NUMBER = 400
"""Digits of a whole number; Python reads a few thousand, and floats end at 308."""

LARGEST_SEED = 2**32 - 1
"""Seeds are numbers that every random generator in use takes."""

_INTEGER = re.compile(r"[+-]?\d+")
_INTEGER_RANGE = re.compile(r"([+-]?\d+)(?:\.\.|-)([+-]?\d+)")


@dataclass(frozen=True)
class Rule:
    """What `parameter` stores beside the default: help text, the value of the full profile, and what is allowed."""

    help: str
    full: Any
    minimum: float | None
    maximum: float | None
    above: float | None
    below: float | None
    choices: tuple[Any, ...] | None
    file: bool = False


def parameter(
    default: Any,
    help: str,
    *,
    full: Any = None,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | None = None,
    file: bool = False,
) -> Any:
    """A field of a parameter dataclass.

    Args:
        default: value in the quick profile and in sweeps; ``dataclasses.MISSING`` where one must be given.
        help: one line, with the unit.
        full: value in the full profile, the default where None.
        minimum, maximum: inclusive limits of a number, or of every entry of a list.
        above, below: limits that are not allowed themselves.
        choices: allowed values.
        file: whether its text names a file; an empty one names none.
    """
    rule = Rule(
        help,
        default if full is None else full,
        minimum,
        maximum,
        above,
        below,
        tuple(choices) if choices else None,
        file,
    )
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class Description:
    """One parameter as shown to the user."""

    name: str
    type: Any
    default: Any
    rule: Rule


@cache
def describe(parameters: type) -> Mapping[str, Description]:
    """The parameters of a dataclass by name, in the order in which they are declared; other fields are left out."""
    types = typing.get_type_hints(parameters)
    return MappingProxyType(
        {
            field.name: Description(field.name, types[field.name], field.default, field.metadata["rule"])
            for field in dataclasses.fields(parameters)
            if "rule" in field.metadata
        }
    )


def build(parameters: type, profile: str = "quick", values: Mapping[str, Any] | None = None) -> Any:
    """An instance with the profile's defaults and the given values (text is parsed) on top, every value checked.

    Raises:
        InvalidInput: as `settings`.
    """
    return parameters(**settings(parameters, profile, values))


def settings(parameters: type, profile: str = "quick", values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The value of every parameter by name: the profile's defaults, the given values (text is parsed) on top, checked.

    Raises:
        InvalidInput: an unknown parameter, text that cannot be read, or a value outside what is allowed.
    """
    known = describe(parameters)
    given = dict(values or {})
    for name in given:
        if name not in known:
            raise InvalidInput("parameter", name, "known here: " + (", ".join(known) or "none"))
    result = {}
    for name, description in known.items():
        default = description.rule.full if profile == "full" else description.default
        value = given.get(name, default)
        if value is dataclasses.MISSING:
            raise InvalidInput(name, "nothing", "has no default; give it a value")
        if isinstance(value, str):
            value = parse(value, description.type, name)
        result[name] = check(value, description)
    return result


def check(value: Any, description: Description) -> Any:
    """The value, converted to the declared type and held to the declared limits.

    Raises:
        InvalidInput: names the parameter, the value and what is allowed.
    """
    name, rule = description.name, description.rule
    try:
        typed = _convert(value, description.type)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(name, value, f"a value of type {type_name(description.type)} is needed") from None
    for entry in typed if isinstance(typed, tuple) else (typed,):
        if rule.choices is not None and entry not in rule.choices:
            raise InvalidInput(name, entry, "one of " + ", ".join(str(choice) for choice in rule.choices))
        if isinstance(entry, float) and not math.isfinite(entry):
            raise InvalidInput(name, entry, "a finite number is needed")
        if rule.minimum is not None and entry < rule.minimum:
            raise InvalidInput(name, entry, f"must be at least {rule.minimum:g}")
        if rule.maximum is not None and entry > rule.maximum:
            raise InvalidInput(name, entry, f"must be at most {rule.maximum:g}")
        if rule.above is not None and entry <= rule.above:
            raise InvalidInput(name, entry, f"must be above {rule.above:g}")
        if rule.below is not None and entry >= rule.below:
            raise InvalidInput(name, entry, f"must be below {rule.below:g}")
    if isinstance(typed, tuple) and not typed:
        raise InvalidInput(name, "an empty list", "at least one value is needed")
    return typed


def check_all(instance: Any) -> None:
    """Hold every parameter of a dataclass's instance to its declaration; for ``__post_init__``.

    Raises:
        InvalidInput: as `check`.
    """
    for name, description in describe(type(instance)).items():  # type: ignore[arg-type]  # a class is hashable
        # Frozen dataclasses too: 4.0 becomes the 4 that was meant.
        object.__setattr__(instance, name, check(getattr(instance, name), description))


def _convert(value: Any, kind: Any) -> Any:
    if typing.get_origin(kind) is tuple:
        entry = typing.get_args(kind)[0]
        if isinstance(value, str):
            raise TypeError
        return tuple(_convert(item, entry) for item in (value if isinstance(value, (list, tuple)) else (value,)))
    if kind is bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if isinstance(value, bool):
        raise TypeError
    if kind is int:
        if int(value) != value:
            raise ValueError
        return int(value)
    return kind(value)


def type_name(kind: Any) -> str:
    """How a type is called in messages."""
    if typing.get_origin(kind) is tuple:
        return f"list of {typing.get_args(kind)[0].__name__}"
    return str(kind.__name__)


def parse(text: str, kind: Any, name: str) -> Any:
    """Read the text of one parameter.

    Raises:
        InvalidInput: the text is not of the declared type.
    """
    text = text.strip()
    if typing.get_origin(kind) is tuple:
        entry = typing.get_args(kind)[0]
        if entry is str:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return tuple(parse_numbers(text, name, whole=entry is int))
    if kind is bool:
        lowered = text.lower()
        if lowered in {"true", "yes", "on", "1"}:
            return True
        if lowered in {"false", "no", "off", "0"}:
            return False
        raise InvalidInput(name, text, "true or false is needed")
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput(name, text, f"a value of type {type_name(kind)} is needed") from None


def parse_numbers(text: str, name: str, whole: bool = False) -> list[float] | list[int]:
    """Read a list of numbers; see the forms in the module's description.

    Raises:
        InvalidInput: empty, malformed, or an empty range.
    """
    values: list[Any] = []
    for part in (piece.strip() for piece in text.split(",")):
        values += _parse_piece(part, text, name)
        if len(values) > LONGEST_LIST:
            raise InvalidInput(name, text, f"names more than {LONGEST_LIST} values")
    if whole:
        for value in values:
            if value != int(value):
                raise InvalidInput(name, text, f"whole numbers are needed, {value:g} is not one")
        return [int(value) for value in values]
    try:
        return [float(value) for value in values]
    except OverflowError:
        raise InvalidInput(name, text, "finite numbers are needed") from None


def _parse_piece(part: str, text: str, name: str) -> list[Any]:
    if match := _INTEGER_RANGE.fullmatch(part):
        first, last = (_whole(end, text, name) for end in match.groups())
        if last < first:
            raise InvalidInput(name, text, f"the range {part} is empty")
        if last - first >= LONGEST_LIST:
            raise InvalidInput(name, text, f"names more than {LONGEST_LIST} values")
        return list(range(first, last + 1))
    if ":" in part:
        pieces = part.split(":")
        if len(pieces) == 3:
            start, stop, step = (_number(piece, text, name) for piece in pieces)
            if step == 0 or (stop - start) / step < 0:
                raise InvalidInput(name, text, f"the range {part} is empty")
            if (stop - start) / step >= LONGEST_LIST:
                raise InvalidInput(name, text, f"names more than {LONGEST_LIST} values")
            count = math.floor((stop - start) / step + 1e-9) + 1
            # 12 significant digits: 0:0.3:0.1 shall give 0.3, not 0.30000000000000004.
            return [float(f"{start + index * step:.12g}") for index in range(count)]
        raise InvalidInput(name, text, "a range is written start:stop:step")
    if _INTEGER.fullmatch(part):
        return [_whole(part, text, name)]
    return [_number(part, text, name)]


def _whole(piece: str, text: str, name: str) -> int:
    if len(piece) > LONGEST_NUMBER:
        raise InvalidInput(name, text, f"numbers of at most {LONGEST_NUMBER} digits are needed")
    return int(piece)


def _number(piece: str, text: str, name: str) -> float:
    try:
        value = float(piece)
    except ValueError:
        raise InvalidInput(name, text, "a list of numbers such as 4,6,8 or 1..6 or 0:2:0.5 is needed") from None
    if not math.isfinite(value):
        raise InvalidInput(name, text, "finite numbers are needed")
    return value


def named(text: str, kinds: Mapping[str, type[Any]], what: str, given: Mapping[str, Any] | None = None) -> Any:
    """One of several things that have options, from its name and their values: ``llada:temperature=0.7,block=32``.

    Args:
        text: name, and after a colon options with commas between.
        kinds: dataclasses of options by name.
        what: they are, for messages.
        given: fields that are no options, with their values.

    Raises:
        InvalidInput: an unknown name or option, or a value that is not allowed; it names them.
    """
    name, _, options = text.partition(":")
    if name not in kinds:
        raise InvalidInput(what, name, "one of " + ", ".join(kinds))
    values = assignments([option for option in options.split(",") if option.strip()], f"{what} {name}")
    known = describe(kinds[name])  # type: ignore[arg-type]  # a class is hashable
    for option in values:
        if option not in known:
            raise InvalidInput(f"option of {name}", option, "one of " + (", ".join(known) or "none"))
    return kinds[name](**(given or {}), **settings(kinds[name], values=values))


def assignments(texts: Sequence[str], argument: str = "--set") -> dict[str, str]:
    """``["sites=8", "k=1..4"]`` as a dictionary.

    Raises:
        InvalidInput: no ``=``, no name, or a name given twice.
    """
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value.strip():
            raise InvalidInput(argument, text, "is written NAME=VALUE")
        if name in result:
            raise InvalidInput(argument, text, f"{name} is given twice")
        result[name] = value
    return result
