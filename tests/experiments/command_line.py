"""The command line in this process, and what it refuses."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from experiments.cli import main
from theory.errors import InvalidInput


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """``gmlm`` with these words: its exit code, what it printed, and what it said on standard error."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def refusal(command: click.Command, *words: str) -> str:
    """The message with which a command refuses these words."""
    result = CliRunner().invoke(command, words)
    assert isinstance(result.exception, InvalidInput), result.output
    return str(result.exception)
