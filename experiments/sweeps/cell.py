"""Cells: one set of parameters and one seed of a subject, and how a worker computes them.

A cell is identified by its subject, the canonical JSON text of all its parameters, its seed and the version of the
code. The text is what travels to a worker, so that any process with the same version of the package can compute it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

from experiments.plain import plain
from experiments.provenance import code_digest, provenance
from experiments.sweeps.subject import Subject
from experiments.workers import on_one_thread
from theory.parameters import build, describe


class CellKey(NamedTuple):
    """A cell of a subject: canonical JSON of the parameters, and the seed."""

    parameters: str
    seed: int


class Outcome(NamedTuple):
    """What became of a cell.

    Attributes:
        key: the cell.
        record: JSON text of its record, or None where it failed.
        error: traceback where it failed, or None.
        duration: seconds.
    """

    key: CellKey
    record: str | None
    error: str | None
    duration: float


class ChunkResult(NamedTuple):
    """Outcomes of some cells, and where they were computed."""

    outcomes: list[Outcome]
    provenance: str


class OtherCode(RuntimeError):
    """A worker runs another version of the code than the sweep."""


@cache
def code_version(subject_name: str) -> str:
    """Version of the package and digest of its sources, whether or not they are committed.

    The source file of a subject that lies elsewhere (``module:NAME``) is part of it.
    """
    try:
        version = metadata.version("gmlm-workbench")
    except metadata.PackageNotFoundError:
        version = "0"
    found = f"{version}+{code_digest()}"
    if ":" in subject_name:
        file = import_module(subject_name.partition(":")[0]).__file__
        if file is not None:
            found += "+" + hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    return found


def canonical(parameters: Any) -> str:
    """The text that stands for a set of parameters: JSON of all of them, names sorted; no file is not mentioned."""
    known = describe(type(parameters))  # type: ignore[arg-type]  # a class is hashable
    values = dataclasses.asdict(parameters)
    return canonical_text(plain({name: value for name, value in values.items() if value or not known[name].rule.file}))


def canonical_text(values: Mapping[str, Any]) -> str:
    """The same of parameters that are plain data, as they are in a database."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False)


def compute_cell(subject: Subject, key: CellKey) -> Outcome:
    """Compute one cell. An error of the computation is part of the outcome; anything else is raised."""
    clock = time.perf_counter()
    record, error = None, None
    try:
        parameters = build(subject.parameters, values=json.loads(key.parameters))
        record = json.dumps(plain(subject.compute(parameters, key.seed)), allow_nan=False, ensure_ascii=False)
    except Exception:
        error = traceback.format_exc(limit=-6)
    return Outcome(key, record, error, time.perf_counter() - clock)


def compute_chunk(subject_name: str, code: str, keys: Sequence[tuple[str, int]]) -> ChunkResult:
    """Compute some cells in this process, on one thread.

    Raises:
        OtherCode: this process runs another version of the code.
    """
    if code_version(subject_name) != code:
        raise OtherCode(f"the sweep was planned by {code}, but a worker runs {code_version(subject_name)}")
    return ChunkResult(compute_in_this_process(subject_name, keys), own_provenance())


def compute_in_this_process(subject_name: str, keys: Sequence[tuple[str, int]]) -> list[Outcome]:
    """Compute some cells here, on one thread."""
    from experiments.sweeps.subjects import load_subject

    with on_one_thread():
        subject = load_subject(subject_name)
        return [compute_cell(subject, CellKey(*key)) for key in keys]


@cache
def own_provenance() -> str:
    """Versions, commit and kind of machine of this process, as JSON."""
    return json.dumps(provenance(), sort_keys=True)
