"""CONTRIBUTING.md names files that are there, and its first walk enters those that it names."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from experiments.cli import main

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`((?:theory|simulators|experiments|tests)/[\w./]+)`")


def test_every_file_that_is_named_is_there() -> None:
    assert len(NAMED.findall(TEXT)) > 50
    assert not [path for path in NAMED.findall(TEXT) if not (ROOT / path).exists()]


def test_the_first_walk_enters_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    walk = TEXT.partition("**From a law to a mixing time**")[2].partition("**A claim**")[0]
    entered: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        # Bodies of modules and classes are not entered: they run where something is imported.
        if event == "call" and code.co_flags & 1 and code.co_filename.startswith(str(ROOT)):
            entered.add(code.co_filename.removeprefix(f"{ROOT}/"))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        with pytest.raises(SystemExit) as ended:
            main(re.findall(r"`gmlm ([^`]*)`", walk)[0].split())
    finally:
        sys.setprofile(before)
    assert ended.value.code == 0
    assert len(NAMED.findall(walk)) > 10
    assert not set(NAMED.findall(walk)) - entered
