"""Running claims: in parallel, with progress, so that nothing finished is ever lost.

Each claim runs in a worker process on one thread, so that the result does not depend on the number of workers.
A claim's record is written as soon as it is there; a later run in the same folder takes over every record with the same
parameters, seed and code, and computes the rest. A worker that is killed costs the claim that it was computing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import records
from experiments.certificates import require
from experiments.claim import Claim, Progress, Verdict
from experiments.claims import identifier, load
from experiments.records import Record
from experiments.workers import on_one_thread, work
from theory.errors import InvalidInput
from theory.files import require_writable_folder
from theory.parameters import build


@dataclass(frozen=True)
class Job:
    """One claim with its parameters."""

    claim: Claim
    parameters: Any
    seed: int
    profile: str
    certified: bool = False

    @property
    def key(self) -> str:
        return records.key(self.claim, self.parameters, self.seed, self.certified)


@dataclass(frozen=True)
class Event:
    """What happens to a claim: ``kind`` is ``"started"``, ``"progress"``, ``"reused"`` or ``"finished"``."""

    kind: str
    claim: str
    fraction: float = 0.0
    message: str = ""
    record: Record | None = None


def plan(
    claims: Sequence[str], profile: str, seed: int, settings: Mapping[str, str] | None = None, certified: bool = False
) -> list[Job]:
    """The jobs for the named claims.

    Args:
        claims: identifiers or names.
        profile: ``"quick"`` or ``"full"``.
        seed: of every random draw, >= 0.
        settings: ``NAME -> text`` for a single claim, or ``CLAIM.NAME -> text``.
        certified: whether to decide the certificates of those claims that have one.

    Raises:
        InvalidInput: an unknown claim, parameter or value, or nothing to certify.
        ModuleNotFoundError: the package that certificates need is not installed.
    """
    chosen = [load(claim) for claim in dict.fromkeys(identifier(text) for text in claims)]
    proofs = require([claim.id for claim in chosen]) if certified else set()
    values: dict[str, dict[str, str]] = {claim.id: {} for claim in chosen}
    for name, text in (settings or {}).items():
        prefix, dot, rest = name.partition(".")
        if dot:
            target, field = load(prefix).id, rest
            if target not in values:
                raise InvalidInput("--set", f"{name}={text}", f"{target} is not among the claims of this run")
        elif len(chosen) == 1:
            target, field = chosen[0].id, name
        else:
            raise InvalidInput("--set", f"{name}={text}", "with several claims, write CLAIM.NAME=VALUE")
        values[target][field] = text
    return [
        Job(claim, build(claim.parameters, profile, values[claim.id]), seed, profile, claim.id in proofs)
        for claim in chosen
    ]


def run(
    jobs: Sequence[Job],
    out: Path,
    workers: int,
    fresh: bool = False,
    report: Callable[[Event], None] = lambda event: None,
) -> list[Record]:
    """Run the jobs and return their records in the same order.

    Args:
        jobs: from `plan`.
        out: folder of results.
        workers: number of processes.
        fresh: compute also what is already there.
        report: told of everything that happens.

    Raises:
        InvalidInput: parameters that a claim's computation refuses, or a folder that cannot be written to, before
            anything is computed.
        KeyboardInterrupt: after stopping the workers; finished records stay.
    """
    require_writable_folder(out, "out")
    done: dict[int, Record] = {}
    for index, job in enumerate(jobs):
        record = None if fresh else records.find(out, job.claim, job.key)
        if record is not None:
            done[index] = record
            report(Event("reused", job.claim.id, 1.0, record=record))
    waiting = [index for index in range(len(jobs)) if index not in done]
    if waiting:
        _run_in_processes(jobs, waiting, out, min(workers, len(waiting)), report, done)
    return [done[index] for index in range(len(jobs))]


def _run_in_processes(
    jobs: Sequence[Job],
    waiting: Sequence[int],
    out: Path,
    workers: int,
    report: Callable[[Event], None],
    done: dict[int, Record],
) -> None:
    arguments = [
        (jobs[i].claim.id, jobs[i].parameters, jobs[i].seed, jobs[i].profile, jobs[i].certified, out, jobs[i].key)
        for i in waiting
    ]
    with closing(work(_run_job, arguments, workers)) as messages:
        for place, kind, content in messages:
            index = waiting[place]
            job = jobs[index]
            if kind == "started":
                report(Event("started", job.claim.id))
            elif kind == "progress":
                report(Event("progress", job.claim.id, *content))
            elif kind == "refused":
                raise content
            else:
                done[index] = content if kind == "finished" else _failed(job, content)
                report(Event("finished", job.claim.id, 1.0, record=done[index]))


def _failed(job: Job, error: str) -> Record:
    return records.failed(job.claim, job.parameters, job.seed, job.profile, error)


def _run_job(
    claim_id: str, parameters: Any, seed: int, profile: str, certified: bool, out: Path, identity: str, report: Progress
) -> Record:
    with on_one_thread():
        claim = load(claim_id)
        record = records.compute(claim, parameters, seed, profile, report, identity, certified)
    records.save(out, claim, record)
    return record


def cpus() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def exit_code(results: Sequence[Record]) -> int:
    """0 when nothing is violated and nothing failed, else 1."""
    return int(any(record["verdict"] in {str(Verdict.VIOLATED), "failed"} for record in results))
