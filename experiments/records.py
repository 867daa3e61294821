"""Records: what one run of one claim found, as plain data.

A record is a dictionary of numbers, text, lists and dictionaries. It holds everything that the tables, the figures and
the report show, so that each of them can be made again without computing anything.

    claim, name, title, statement, source    what was checked
    parameters, profile, seed                of which instance
    verdict, learned, checks, table, data    what was found; learned: one sentence with the run's own numbers
    certificate                              statements decided on rational laws, with these laws; or null
    provenance                               by what, when, and how long it took (seconds)
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from experiments.claim import Check, Claim, Progress, Verdict, no_progress, overall, worst
from experiments.files import read_json, write_atomically, write_json
from experiments.plain import from_plain, plain
from experiments.provenance import code_digest, provenance

Record = dict[str, Any]


def key(claim: Claim, parameters: Any, seed: int, certified: bool = False) -> str:
    """Identity of a result: claim, parameters, seed, the code that computes it, and whether it has a certificate."""
    identity = [claim.id, plain(dataclasses.asdict(parameters)), seed, code_digest(), certified]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


def compute(
    claim: Claim,
    parameters: Any,
    seed: int,
    profile: str,
    progress: Progress = no_progress,
    identity: str | None = None,
    certified: bool = False,
) -> Record:
    """Run a claim and return its record.

    Args:
        claim, parameters, seed, profile: which instance.
        progress: told of what is done.
        identity: its `key`, where the caller has it already.
        certified: whether to decide the claim's certificate too.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    result = found(claim, parameters, seed, progress)
    certificate = _certificate(claim, progress) if certified else None
    if certificate is not None:
        result["verdict"] = str(worst((result["verdict"], certificate["verdict"])))
    return {
        **_instance(claim, parameters, seed, profile),
        "key": identity or key(claim, parameters, seed, certified),
        **result,
        "certificate": certificate,
        "provenance": {
            **provenance(),
            "started": started.isoformat(timespec="seconds"),
            "duration": round(time.perf_counter() - clock, 3),
        },
    }


def found(claim: Claim, parameters: Any, seed: int, progress: Progress = no_progress) -> Record:
    """Run a claim: the part of its record that says what was found, wherever the record is kept."""
    findings = claim.compute(parameters, seed, progress)
    return {
        "verdict": str(overall(findings.checks)),
        "learned": findings.learned,
        "checks": [plain(dataclasses.asdict(check)) for check in findings.checks],
        "table": plain(dataclasses.asdict(findings.table)),
        "data": plain(findings.data),
    }


def _certificate(claim: Claim, progress: Progress) -> dict[str, Any]:
    from experiments.certificates import certify

    clock = time.perf_counter()
    statements = certify(claim.id, progress)
    return {
        "verdict": str(worst([statement.verdict for statement in statements])),
        "statements": [plain(dataclasses.asdict(statement)) for statement in statements],
        "duration": round(time.perf_counter() - clock, 3),
    }


def _instance(claim: Claim, parameters: Any, seed: int, profile: str) -> Record:
    return {
        "claim": claim.id,
        "name": claim.name,
        "title": claim.title,
        "statement": claim.statement,
        "source": claim.source,
        "parameters": plain(dataclasses.asdict(parameters)),
        "profile": profile,
        "seed": seed,
    }


def folder(out: Path, claim: Claim) -> Path:
    """Where the record and the figures of a claim lie."""
    return out / f"{claim.id}-{claim.name}"


def save(out: Path, claim: Claim, record: Record) -> None:
    """Draw the figures and write everything, the record last: where it is, the rest is."""
    place = folder(out, claim)
    for name, content in draw(claim, record, ("svg", "png", PHONE)).items():
        write_atomically(place / name, content)
    write_json(place / "record.json", record)


def find(out: Path, claim: Claim, wanted: str) -> Record | None:
    """The record of that key, if it is there whole."""
    record = read_json(folder(out, claim) / "record.json")
    return record if _is_record(record) and record["key"] == wanted else None


_PARTS = {
    "key": str,
    "claim": str,
    "name": str,
    "title": str,
    "statement": str,
    "source": str,
    "parameters": dict,
    "verdict": str,
    "checks": list,
    "table": dict,
    "data": dict,
    "provenance": dict,
}


def _is_record(value: Any) -> bool:
    """Whether the content of a file is a record, as far as showing it needs."""
    if not isinstance(value, dict) or not all(isinstance(value.get(name), kind) for name, kind in _PARTS.items()):
        return False
    names = [field.name for field in dataclasses.fields(Check)]
    return (
        value["verdict"] in set(Verdict)
        and bool(value["checks"])
        and all(isinstance(check, dict) and all(name in check for name in names) for check in value["checks"])
        and all(isinstance(value["table"].get(name), list) for name in ("columns", "rows"))
        and isinstance(value["provenance"].get("duration"), (int, float))
    )


PHONE = "phone.svg"
"""A figure for a narrow page: its axes below one another."""


def draw(claim: Claim, record: Mapping[str, Any], kinds: Sequence[str] = ("svg", "png")) -> dict[str, bytes]:
    """Every figure of the record in every kind, `PHONE` among them, as file name -> content."""
    from experiments.figures import render, render_for_a_phone, style

    data = from_plain(record["data"])
    result = {}
    for spec in claim.figures:
        with style():
            figure = spec.draw(data)
        for kind in kinds:
            if kind != PHONE:
                result[f"{spec.name}.{kind}"] = render(figure, kind)
        if PHONE in kinds:
            result[f"{spec.name}.{PHONE}"] = render_for_a_phone(partial(spec.draw, data))
    return result


def telling(record: Mapping[str, Any]) -> tuple[int, int]:
    """How many comparisons of a record exclude a value that was possible, and how many were made."""
    return sum(c["informative"] for c in record["checks"]), sum(c["comparisons"] for c in record["checks"])


def worst_check(record: Mapping[str, Any]) -> dict[str, Any]:
    """The check that decides the verdict: among those with it, and that tell, the one of least relative margin."""
    wanted = worst([check["verdict"] for check in record["checks"]])
    deciding = [check for check in record["checks"] if check["verdict"] == wanted]
    return min([check for check in deciding if check["informative"]] or deciding, key=_relative_margin)


def deciding(record: Mapping[str, Any]) -> str:
    """What decides the verdict, by name: a statement of the certificate where it is worse than every check."""
    for statement in (record["certificate"] or {"statements": []})["statements"]:
        if statement["verdict"] == record["verdict"] != Verdict.PROVED:
            return str(statement["name"])
    return str(worst_check(record)["name"])


def certified(record: Mapping[str, Any]) -> str:
    """How many statements of the certificate were decided, and how; empty where there is none."""
    if record["certificate"] is None:
        return ""
    statements = record["certificate"]["statements"]
    counts = Counter(statement["verdict"] for statement in statements)
    others = [f"{count} {verdict}" for verdict, count in counts.items() if verdict != Verdict.PROVED]
    return ", ".join([f"{counts[Verdict.PROVED]} of {len(statements)} statements proved", *others])


def _relative_margin(check: Mapping[str, Any]) -> float:
    margin, predicted = float(check["margin"]), abs(float(check["predicted"]))
    return margin / predicted if 0 < predicted < float("inf") else margin


def failed(claim: Claim, parameters: Any, seed: int, profile: str, error: str) -> Record:
    """A record for a computation that broke off with an unexpected error: reported, never stored as a result."""
    return {
        **_instance(claim, parameters, seed, profile),
        "key": key(claim, parameters, seed),
        "verdict": "failed",
        "learned": "",
        "certificate": None,
        "error": error,
        "checks": [],
        "table": {"columns": [], "rows": []},
        "data": {},
        "provenance": {**provenance(), "started": None, "duration": 0.0},
    }
