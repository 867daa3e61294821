"""Tutorials: the notebooks as pages, from their saved outputs; nothing is run."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

FOLDER = "tutorials"


def pages(notebooks: Path) -> dict[str, Callable[[], str]]:
    """An overview, and a page for every notebook of the folder."""
    files = sorted(notebooks.glob("*.ipynb"))
    return {
        f"{FOLDER}/index.md": partial(_overview, files),
        **{f"{FOLDER}/{file.stem}.md": partial(_text, file) for file in files},
    }


def pictures(notebooks: Path) -> dict[str, bytes | str]:
    """The pictures in the outputs of all notebooks."""
    return {
        f"{FOLDER}/{name}": content
        for file in sorted(notebooks.glob("*.ipynb"))
        for name, content in _exported(file)[1].items()
    }


def _overview(files: list[Path]) -> str:
    lines = [
        "# Tutorials\n",
        "Each notebook asks one question. They are shown here with the outputs they were saved with; "
        "`make notebooks` opens them in JupyterLab, where every number can be changed.\n",
    ]
    for file in files:
        text = _exported(file)[0]
        title = re.search(r"^# (.+)$", text, flags=re.M)
        question = re.search(r"\*\*The question\.\*\* (.+?[?.])(?:\s|$)", text, flags=re.S)
        lines.append(f"**[{title[1] if title else file.stem}]({file.stem}.md)**  ")
        lines.append((question[1].replace("\n", " ") if question else "") + "\n")
    return "\n".join(lines)


def _text(file: Path) -> str:
    return _exported(file)[0]


@lru_cache
def _exported(file: Path) -> tuple[str, dict[str, bytes]]:
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_filename(
        str(file), resources={"output_files_dir": file.stem, "unique_key": "picture"}
    )
    text = re.sub(r"\]\(([\w-]+)\.ipynb", r"](\1.md", text)
    return text.replace("![png](", "![what the cell above draws]("), dict(resources["outputs"])
