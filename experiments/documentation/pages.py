"""The pages and files that are made when the site is built, by their path below ``docs/``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from experiments.documentation import atlas, claims, command_line, decoders, face, notebooks

ROOT = Path(__file__).parents[2]
"""The checkout: the site is built from one."""

PAGES: dict[str, Callable[[], str]] = {
    **notebooks.pages(ROOT / "notebooks"),
    **face.pages(ROOT / "docs" / "reference" / "examples.md"),
    **command_line.pages(),
    **claims.pages(ROOT / "docs"),
    **decoders.pages(),
    "reference/changes.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
}
"""Path -> what makes the Markdown, in the order of the navigation."""


def under(folder: str) -> list[str]:
    """The made pages below a folder, written with a slash at its end."""
    return [path for path in PAGES if path.startswith(folder)]


def assets() -> dict[str, bytes | str]:
    """Files that pages need besides, by their path below ``docs/``."""
    return {**notebooks.pictures(ROOT / "notebooks"), **atlas.scripts(ROOT / "docs" / "data")}
