"""The atlas of bounds as plain data: how near to equality each bound was brought, where, and how to find it again.

``gmlm tighten all --out docs/data/bounds.json --figure docs/bounds.png`` writes it, with these fields:

    made        command, version (of the workbench), date, seed, starts, evaluations (for each start)
    bounds      list, the tightest first: bound, claim, statement, ratio (the largest found; 1: attained, above 1:
                broken), verdict, random (the median ratio of random instances, or null), instance (plain data),
                starts (the ratio that each search reached, or null)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from experiments.provenance import provenance

KEPT = ("bound", "claim", "statement", "ratio", "verdict", "random", "instance", "starts")


def atlas(
    chosen: str, records: Sequence[Mapping[str, Any]], starts: int, evaluations: int, seed: int
) -> dict[str, Any]:
    """See the module's description; the records are those of `experiments.tightness.search.tighten`."""
    command = f"gmlm tighten {chosen} --starts {starts} --evaluations {evaluations} --seed {seed}"
    rows = sorted(records, key=lambda record: -record["ratio"])
    return {
        "made": {
            "command": command,
            "version": provenance()["packages"]["gmlm-workbench"],
            "date": datetime.now(UTC).date().isoformat(),
            "seed": seed,
            "starts": starts,
            "evaluations": evaluations,
        },
        "bounds": [{name: record[name] for name in KEPT} for record in rows],
    }
