"""How much memory is free, whoever limits it, and kernels where nothing can be kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from theory import memory
from theory.compiled import compiled
from theory.memory import available_bytes


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)
    machine = available_bytes()  # no such files: no limit
    (tmp_path / "memory.max").write_text("max\n")
    assert abs(available_bytes() - machine) < machine
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 500000\ninactive_file 200000\n")
    assert available_bytes() == 500_000
    (tmp_path / "memory.current").write_text("1300000\n")
    assert available_bytes() == 0
    (tmp_path / "memory.stat").write_text("nonsense\n")
    assert available_bytes() > 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_the_limit_of_a_process_counts() -> None:
    program = (
        "import resource; from theory.memory import available_bytes\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)); print(available_bytes())"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 0 < int(found.stdout) < 2**31


def test_a_kernel_is_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import CompileResultCacheImpl

    def twice(x: int) -> int:
        return 2 * x

    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])
    assert compiled(twice)(21) == 42
