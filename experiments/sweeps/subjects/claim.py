"""A claim as a subject: its verdict, the check that decides it, and everything that its record holds."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.claim import no_progress, overall, plain
from experiments.claims import load
from experiments.records import worst_check
from experiments.sweeps.subject import Quantity, Subject

QUANTITIES = {
    "verdict": Quantity("verdict"),
    "margin": Quantity("margin of the deciding check (units of its quantity)"),
    "measured": Quantity("deciding check, measured", predicted="predicted"),
}


def claim_subject(identifier: str) -> Subject:
    """The subject that checks a claim.

    Its record: ``claim``, ``verdict``; ``deciding_check`` with its ``margin``, ``measured`` and ``predicted``; and the
    claim's own ``checks``, ``table`` and ``data``.
    """
    claim = load(identifier)

    def compute(parameters: Any, seed: int) -> dict[str, Any]:
        findings = claim.compute(parameters, seed, no_progress)
        record = {
            "claim": claim.id,
            "verdict": str(overall(findings.checks)),
            "checks": [plain(dataclasses.asdict(check)) for check in findings.checks],
            "table": plain(dataclasses.asdict(findings.table)),
            "data": plain(findings.data),
        }
        deciding = worst_check(record)
        return {
            **record,
            "deciding_check": deciding["name"],
            **{name: deciding[name] for name in ("margin", "measured", "predicted")},
        }

    return Subject(claim.id, claim.title, claim.parameters, compute, memory=claim.memory, quantities=QUANTITIES)
