"""Reading files that others wrote, and writing files whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from theory.errors import InvalidInput
from theory.files import (
    parse_json,
    read_regular,
    read_text,
    require_writable,
    require_writable_folder,
    write_atomically,
)


def test_regular_files_are_read_and_others_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert read_regular(file) == read_regular(file, 3) == b"abc"
    link = tmp_path / "link"
    link.symlink_to(file)
    assert read_regular(link) == b"abc"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, largest, message in (
        (file, 2, "larger than 2 bytes"),
        (pipe, None, "not a regular file"),
        (Path("/dev/zero"), None, "not a regular file"),
        (tmp_path, None, "directory"),
    ):
        with pytest.raises(OSError, match=message):
            read_regular(path, largest)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent")


def test_what_a_shell_makes_of_a_command_is_read() -> None:
    program = "import pathlib, sys; from theory import files; print(files.read_regular(pathlib.Path(sys.argv[1])))"
    command = f"{sys.executable} -c '{program}' <(sleep 0.2; echo abc)"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "b'abc\\n'\n"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa = 1\n", "a = 1\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\rb\r", "a\nb\n"),
        ("Γ ≤ 1".encode(), "Γ ≤ 1"),
    ],
)
def test_text_is_read_whatever_the_editor(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_text(tmp_path / "file") == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\x00", "UTF-16"),
        (b"caf\xe9", "byte 0xe9 at 3"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_text(tmp_path / "file")


def test_reading_text_refuses_with_one_line(tmp_path: Path) -> None:
    pipe = tmp_path / "a\npipe"
    os.mkfifo(pipe)
    (tmp_path / "long").write_text("x" * 100)
    for path, message in (
        (pipe, r"a\\npipe.*regular"),
        (tmp_path, "directory"),
        (tmp_path / "none", "no such file"),
        (tmp_path / "\0", "cannot be read"),
    ):
        with pytest.raises(InvalidInput, match=message) as refused:
            read_text(path)
        assert len(str(refused.value).splitlines()) == 1
    with pytest.raises(InvalidInput, match="larger than 10 bytes"):
        read_text(tmp_path / "long", largest=10)


def test_deep_json_is_refused() -> None:
    assert parse_json("[[1]]") == [[1]]
    with pytest.raises(ValueError, match="too deeply"):
        parse_json("[" * 100_000)
    with pytest.raises(ValueError, match="digits"):
        parse_json("1" * 10_000)


KILLED = """
import os, signal, sys
from pathlib import Path
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
from theory.files import write_atomically
write_atomically(Path(sys.argv[1]), "new")
"""


def test_what_a_killed_writer_leaves_is_removed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")
    other = tmp_path / ".record.json.notes"
    other.write_text("of the user")
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3
    assert path.read_text() == "old"
    write_atomically(path, "newer")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [other.name, path.name]
    assert path.read_text() == "newer"


def test_the_file_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    program = KILLED.replace(
        "os.kill(os.getpid(), signal.SIGKILL)", "(print(flush=True), sys.stdin.read(), sys.exit())"
    )
    path = tmp_path / "record.json"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        write_atomically(path, "mine")
        (left,) = (entry for entry in tmp_path.iterdir() if entry != path)
        process.communicate()
    assert not left.exists()


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    require_writable(tmp_path / "new" / "deep" / "figure.png")
    require_writable(tmp_path / "file")
    require_writable_folder(tmp_path / "new" / "deep")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    for path in (tmp_path, tmp_path / "file" / "below", Path("/proc/none/figure.png"), tmp_path / "\0"):
        with pytest.raises(InvalidInput, match="cannot be written"):
            require_writable(path)
    with pytest.raises(InvalidInput, match="cannot be written"):
        require_writable_folder(tmp_path / "file")
