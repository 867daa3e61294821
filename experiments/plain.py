"""Plain data: what records, sweeps and JSON hold, and numbers as a table shows them."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from theory.errors import InvalidInput


def plain(value: Any) -> Any:
    """Plain data for JSON: arrays become lists, dataclasses dictionaries, numbers that JSON lacks inf, -inf and nan.

    Raises:
        InvalidInput: something that is not data.
    """
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, enum.Enum) else value
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        return number if math.isfinite(number) else str(number)
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(vars(value))
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    raise InvalidInput("value", value, "records hold numbers, text, lists, dictionaries and arrays only")


def from_plain(value: Any) -> Any:
    """Inverse of `plain` for the numbers that JSON lacks."""
    if isinstance(value, str):
        return float(value) if value in {"inf", "-inf", "nan"} else value
    if isinstance(value, dict):
        return {key: from_plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [from_plain(entry) for entry in value]
    return value


def format_number(value: Any) -> str:
    """A table entry: four significant digits, no more than the reader needs."""
    value = from_plain(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value == float("inf"):
            return "∞"
        if value == float("-inf"):
            return "−∞"
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(format_number(entry) for entry in value)
    return str(value)
