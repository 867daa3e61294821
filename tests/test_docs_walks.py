"""Pages of docs typed as a reader would: files written, commands and Python run in an empty folder, output compared.

Blocks of a page are taken in order. ``python title="FILE"`` is written to FILE, other Python runs with what the blocks
before it have defined, and ``console`` holds commands after ``$ `` with what they print; there ``...`` stands for
anything, and the width of white space does not count. Examples of the face are doctests.
"""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gmlm
from experiments.cli import main
from experiments.documentation.markdown import sections

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(python|console)(?: title=\"([^\"]+)\")?\n(.*?)^```$", flags=re.M | re.S)
PAGES = [
    page
    for page in sorted([*DOCS.glob("first-ten-minutes/*.md"), *DOCS.glob("how-to/own-*.md")])
    if BLOCK.search(page.read_text(encoding="utf-8"))
]
EXAMPLES = sections((DOCS / "reference" / "examples.md").read_text(encoding="utf-8"))
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def typed(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what it prints."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_what_is_seen(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    quick_compilation: None,
) -> None:
    if page.stem in {"practitioner", "own-simulation"}:
        pytest.importorskip("flax", reason="networks and simulations need the extra simulators")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    names: dict[str, Any] = {}
    for kind, title, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if title:
            Path(title).write_text(code, encoding="utf-8")
        elif kind == "python":
            exec(compile(code, f"{page.name}", "exec"), names)
            capsys.readouterr()
        else:
            for command, expected in typed(code):
                program, *words = shlex.split(command)
                assert program == "gmlm"
                with pytest.raises(SystemExit) as ended:
                    main(words)
                shown = capsys.readouterr()
                refused = expected.startswith("Error:")
                assert ended.value.code == (2 if refused else 0), shown.err
                seen = shown.err.splitlines()[-1] if refused else shown.out
                assert doctest.OutputChecker().check_output(expected, seen, LIKE), f"{command}\n{seen}"


@pytest.mark.parametrize("name", gmlm.__all__)
def test_an_example_shows_what_is_seen(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "MaskedLM":
        pytest.importorskip("torch", reason="networks of one's own need the extra mlm")
    if name in {"run_sweep", "open_results"}:
        pytest.importorskip("distributed", reason="sweeps need the extra sweeps")
    monkeypatch.chdir(tmp_path)
    source = re.findall(r"```pycon\n(.*?)```", EXAMPLES[name], flags=re.S)
    test = doctest.DocTestParser().get_doctest("".join(source), {"gmlm": gmlm, "np": np}, name, "examples.md", 0)
    assert test.examples
    assert any(example.want for example in test.examples)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=LIKE).run(test, out=report.append)
    assert not report, "".join(report)


def test_a_false_page_is_seen() -> None:
    assert not doctest.OutputChecker().check_output("mixes in 7 steps ...\n", "mixes in 8 steps; more\n", LIKE)
    assert typed("$ gmlm chain\nmixes\n...\n$ gmlm claims\nC1\n") == [
        ("gmlm chain", "mixes\n...\n"),
        ("gmlm claims", "C1\n"),
    ]
