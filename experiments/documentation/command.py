"""Pages of documentation that are made by hand: ``python -m experiments.documentation.NAME PATH ...``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from experiments.claims import MODULES
from theory.errors import InvalidInput


def run(main: Callable[..., None], *names: str) -> None:
    """Call ``main`` with one path for each of the names; what it cannot use ends in one line and exit code 2."""
    words = sys.argv[1:]
    try:
        if len(words) != len(names):
            raise InvalidInput("paths", " ".join(words) or "none", f"{len(names)} are needed: {' '.join(names)}")
        main(*map(Path, words))
    except InvalidInput as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"Error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def no_records(results: Path, what: str) -> InvalidInput:
    """The error where a folder holds nothing to make a page from."""
    return InvalidInput("results", str(results), f"a folder of gmlm reproduce with {what} is needed")


def say_what_is_missing(found: Collection[Any], results: Path) -> None:
    """Name the claims that the page does without, and the command that computes them."""
    if missing := [key for key in MODULES if key not in found]:
        print(f"without {', '.join(missing)}: gmlm reproduce {' '.join(missing)} --out {results}")
