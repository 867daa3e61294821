"""A sweep written in a TOML file.

subject = "chain"
design = "grid"            # or "random" or "latin", with cells = 200
seeds = 5                  # or "7..9" or [3, 8]
name = "first"             # or ["first", "coarse"]: find the cells again by it

[set]
coupling = "0:2:0.1"       # as on the command line
sites = [4, 6, 8]          # or a list of values
masks = ["blocks:of=0+1/2+3"]
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from theory.errors import InvalidInput
from theory.files import read_text

KEYS = ("subject", "design", "cells", "seeds", "name", "set")


@dataclass(frozen=True)
class SweepFile:
    """What a file says; None where it says nothing."""

    subject: str | None = None
    design: str | None = None
    cells: int | None = None
    seeds: str | None = None
    names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


def read_file(path: Path | None) -> SweepFile:
    """Read a file; nothing is said where there is none.

    Raises:
        InvalidInput: it cannot be read, is no TOML, or has an unknown key or a value of another type.
    """
    if path is None:
        return SweepFile()
    text = read_text(path)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and very deep nesting
        raise InvalidInput("file", str(path), f"is not TOML: {error}") from None
    for key in content:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise InvalidInput(f"key in {path.name}", key, f"{hint}one of {', '.join(KEYS)}; axes go under [set]")
    settings = _typed(content, "set", dict) or {}
    for name, value in settings.items():
        if isinstance(value, dict):
            raise InvalidInput(f"set.{name}", value, "a text, a number or a list is needed")
    seeds = content.get("seeds")
    if seeds is not None and not isinstance(seeds, (int, str, list)):
        raise InvalidInput("seeds", seeds, "a number, a text or a list of numbers is needed")
    if isinstance(seeds, list):
        seeds = ",".join(f"{seed}..{seed}" for seed in seeds)  # a single number would be a count
    return SweepFile(
        _typed(content, "subject", str),
        _typed(content, "design", str),
        _typed(content, "cells", int),
        None if seeds is None else str(seeds),
        _names(content),
        settings,
    )


def _names(content: Mapping[str, Any]) -> tuple[str, ...]:
    value = content.get("name", [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput("name", value, "a text or a list of texts is needed")
    return tuple(names)


def _typed(content: Mapping[str, Any], key: str, kind: type) -> Any:
    value = content.get(key)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise InvalidInput(key, value, f"a value of type {'table' if kind is dict else kind.__name__} is needed")
    return value
