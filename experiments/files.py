"""Records of experiments as files: strict JSON, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from theory.files import parse_json, read_text, write_atomically

__all__ = ["read_json", "write_atomically", "write_json"]


def write_json(path: Path, value: Any) -> None:
    """Plain data as indented strict JSON; see `write_atomically`."""
    write_atomically(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None where there is no readable one."""
    try:
        return parse_json(read_text(path))
    except ValueError:  # InvalidInput is one
        return None
