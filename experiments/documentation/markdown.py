"""Pieces of Markdown."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterable, Sequence

SOURCES = "https://arxiv.org/abs/"
"""Where a paper named as arXiv:NUMBER is read."""


def escaped(text: str) -> str:
    """Text that Markdown shows as it stands, but for code between backticks, which stays code."""
    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<|#$~\[\]])", r"\\\1", part) for part in parts)


def cited(text: str) -> str:
    """Escaped text in which arXiv numbers are links."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", rf"[arXiv:\1]({SOURCES}\1)", escaped(text))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the entries are Markdown already, on one line each."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(entry.replace("\n", " ") for entry in line) + " |" for line in lines) + "\n"


def prose(docstring: str) -> str:
    """A docstring as Markdown: indented paragraphs are formulas on lines of their own, lists begin a paragraph."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            parts.append(f'<div class="formula">{html.escape(textwrap.dedent(paragraph), quote=False)}</div>')
        else:
            parts.append(
                re.sub(r"^(?!- |  )(.*)\n(?=- )", r"\1\n\n", paragraph, count=1, flags=re.M).replace("<", "&lt;")
            )
    return "\n\n".join(parts) + "\n"


def sections(text: str) -> dict[str, str]:
    """The parts of a Markdown text under its headings of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}
