"""The README and the pages of docs: Python examples run, commands exist with the options used, links lead somewhere.

What the pages of docs show in ``console`` and ``python`` blocks is typed in `tests.test_docs_walks`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from experiments.cli import gmlm
from experiments.documentation.pages import PAGES as MADE

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page: Path) -> list[list[str]]:
    """The words of every ``gmlm`` command in the indented and console blocks of a page, without comments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r"^```(?!console).*?^```$", "", text, flags=re.M | re.S)
    found = []
    for line in re.findall(r"^(?:    |\$ )(.*)$", text, flags=re.M):
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part, comments=True)
            if words and words[0] == "gmlm":
                found.append(words[1:])
    return found


def test_the_python_example_runs() -> None:
    for block in re.findall(r"```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), flags=re.S):
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for words in commands(page):
        command: click.Command = gmlm
        for word in words:
            if word.startswith("--"):
                known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
                assert word.partition("=")[0] in known, f"gmlm {' '.join(words)}: {command.name} has no {word}"
            elif isinstance(command, click.Group) and word in command.commands:
                command = command.commands[word]
        assert command is not gmlm, f"gmlm {' '.join(words)}: no such command"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file(page: Path) -> None:
    made = {(ROOT / "docs" / path).resolve() for path in MADE}
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")):
            place = (page.parent / target).resolve()
            assert place.exists() or place in made, target
