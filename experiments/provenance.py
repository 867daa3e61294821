"""Where a result comes from: versions, commit, kind of machine, and a digest of the code that computed it."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "gmlm-workbench",
    "numpy",
    "scipy",
    "networkx",
    "matplotlib",
    "numba",
    "python-flint",
    "jax",
    "jaxlib",
    "flax",
)


DOCUMENTATION = ROOT / "experiments" / "documentation"
"""Computes no record."""


@cache
def code_digest() -> str:
    """Digest of the Python files of the three packages: a record is reused only by the code that wrote it."""
    digest = hashlib.sha256()
    for package in ("experiments", "simulators", "theory"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if DOCUMENTATION in path.parents:
                continue
            digest.update(str(path.relative_to(ROOT)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def git_commit() -> str | None:
    """The commit of the checkout, with ``+`` where files differ from it; None outside a checkout."""
    try:
        inside = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel"], capture_output=True, text=True, timeout=10
        )
        # An installed copy may lie inside somebody else's checkout.
        if inside.returncode != 0 or Path(inside.stdout.strip()).resolve() != ROOT:
            return None
        head = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run(
            ["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def provenance() -> dict[str, Any]:
    """Versions, commit, digest of the code, and the kind of machine (not its name)."""
    return {
        "packages": {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}},
        "commit": git_commit(),
        "code": code_digest(),
        "host": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
    }
