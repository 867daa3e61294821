"""What commands print survives every terminal, pipe and stranger's text."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.output import in_words, new_console, show_table
from theory.errors import InvalidInput

GMLM = [sys.executable, "-c", "from experiments.cli import main; main()"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GMLM, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_stream_that_lacks_signs_gets_readable_ones(encoding: str) -> None:
    for arguments, word in ((["claims", "C5"], "Poincar"), (["chain", "--sites", "3"], "bound")):
        found = subprocess.run(
            [*GMLM, *arguments], env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, timeout=120
        )
        assert (found.returncode, found.stderr) == (0, b"")
        # click takes ASCII for a misconfigured terminal and writes UTF-8.
        text = found.stdout.decode("utf-8" if encoding == "ascii" else encoding)
        assert word in text
        assert encoding == "ascii" or "≤" not in text


def test_json_is_the_same_in_every_encoding() -> None:
    import json

    texts = [run("claims", "C5", "--json", PYTHONIOENCODING=encoding).stdout for encoding in ("utf-8", "ascii")]
    assert json.loads(texts[0]) == json.loads(texts[1])
    assert texts[1].isascii()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["claims", "C8"], ["--help"], ["chain", "--sites", "2", "--graph", "path"]])
def test_a_full_disk_behind_standard_output_is_said(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run([*GMLM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert (found.returncode, found.stderr) == (2, f"Error: {os.strerror(errno.ENOSPC)}\n")


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run([*GMLM, "claims", "C8"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (found.returncode, found.stderr) == (1, "")


def test_a_backend_of_a_notebook_and_homes_that_cannot_be_written_do_no_harm(tmp_path: Path) -> None:
    nowhere = "/proc/nowhere"
    homes = dict.fromkeys(("HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), nowhere)
    found = run("chain", "--sites", "3", "--plot", str(tmp_path / "a.svg"), MPLBACKEND="module://nowhere", **homes)
    assert found.returncode == 0
    assert "Traceback" not in found.stderr


def test_text_of_strangers_is_printed_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("a [b]", "c"), [("[/x] [bold]", "\x1b[2J\nnext"), (":smile:", "$x$")], title="[/y] \x07")
    out = capsys.readouterr().out
    assert [line.strip() for line in out.splitlines()] == [
        "[/y] \\x07",
        "a [b]        c",
        "[/x] [bold]  \\x1b[2J\\nnext",
        ":smile:      $x$",
    ]


def test_no_text_is_lost_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert new_console().width > 20
    words = ["an-unbreakable-word-of-some-length"] * 4
    show_table(words, [words])
    assert "…" not in capsys.readouterr().out


def test_errors_are_one_line_whatever_they_quote() -> None:
    error = InvalidInput("file", "a\nb\x1b[31m", f"in {'x'}\r\n")
    assert str(error) == "file = a\\nb\\x1b[31m: in x\\r\\n"
    assert "thousands of digits" in str(InvalidInput("sites", 10**5000, "too many"))


def test_durations_in_words() -> None:
    assert [in_words(seconds) for seconds in (0.0042, 0.5, 40, 600, 9000)] == [
        "4.2 ms",
        "0.5 s",
        "40 s",
        "10 min",
        "2.5 h",
    ]
