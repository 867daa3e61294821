"""Reading files that others wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from theory.files import read_regular


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
