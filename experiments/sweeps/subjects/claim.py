"""A claim as a subject: its verdict, the check that decides it, and everything that its record holds."""

from __future__ import annotations

from typing import Any

from experiments.claims import load
from experiments.records import found, worst_check
from experiments.sweeps.subject import Quantity, Subject

QUANTITIES = {
    "verdict": Quantity("verdict"),
    "margin": Quantity("margin of the deciding check (units of its quantity)"),
    "measured": Quantity("deciding check, measured", predicted="predicted"),
}


def claim_subject(identifier: str) -> Subject:
    """The subject that checks a claim.

    Its record: ``claim``, ``verdict``; ``deciding_check`` with its ``margin``, ``measured`` and ``predicted``; and the
    claim's own ``learned``, ``checks``, ``table`` and ``data``.
    """
    claim = load(identifier)

    def compute(parameters: Any, seed: int) -> dict[str, Any]:
        record = {"claim": claim.id, **found(claim, parameters, seed)}
        deciding = worst_check(record)
        return {
            **record,
            "deciding_check": deciding["name"],
            **{name: deciding[name] for name in ("margin", "measured", "predicted")},
        }

    return Subject(claim.id, claim.title, claim.parameters, compute, memory=claim.memory, quantities=QUANTITIES)
