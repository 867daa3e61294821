"""Which checks of each claim tell something: a table made from records, as plain data and as a page.

    python -m experiments.documentation.telling results docs

reads the records in ``results`` (those of ``gmlm reproduce``) and writes ``docs/data/claims.json`` and the page
``docs/claims-that-tell.md``. Fields of the data:

    made        version of the workbench, commit and profile of the records
    claims      list: claim, title, verdict, learned; comparisons (pairs of numbers compared), informative (those that
                exclude a value that was possible); rejected (named wrong alternatives), power (the least of theirs, or
                null), tightness (the largest exact/bound, or null); identities (checks that test the software only)
                and checks
    checks      list of those that tell: name, verdict, comparisons, informative, alternative, power, tightness
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.claims import MODULES, load
from experiments.documentation.command import no_records, run, say_what_is_missing
from experiments.documentation.markdown import escaped, table
from experiments.files import read_json, write_atomically, write_json
from experiments.plain import from_plain
from experiments.records import Record, folder, telling

KEPT = ("name", "verdict", "comparisons", "informative", "alternative", "power", "tightness")


def claims_that_tell(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One entry for each record, as in the module's description."""
    return [_entry(record) for record in records]


def _entry(record: Record) -> dict[str, Any]:
    checks = [{name: check[name] for name in KEPT} for check in record["checks"] if check["informative"]]
    informative, comparisons = telling(record)
    tried = [check for check in checks if check["power"] is not None]
    tight = [check["tightness"] for check in checks if check["tightness"] is not None]
    return {
        **{name: record[name] for name in ("claim", "title", "verdict", "learned")},
        "comparisons": comparisons,
        "informative": informative,
        "rejected": list(dict.fromkeys(check["alternative"] for check in tried if check["power"] > 0)),
        "power": min((check["power"] for check in tried), default=None),
        "tightness": max(tight, key=from_plain, default=None),
        "identities": len(record["checks"]) - len(checks),
        "checks": checks,
    }


def page(claims: Sequence[Mapping[str, Any]]) -> str:
    """The table of claims, and one of checks for each claim."""
    rows = [
        (
            f"[{c['claim']}](#{c['claim'].lower()})",
            c["verdict"],
            f"{len(c['checks'])} of {len(c['checks']) + c['identities']}",
            f"{c['informative']:,} of {c['comparisons']:,}",
            escaped("; ".join(c["rejected"])),
            _number(c["power"]),
            _number(c["tightness"]),
        )
        for c in claims
    ]
    titles = ("claim", "verdict", "checks that tell", "comparisons that do", "rejected", "least power", "tightest")
    lines = [
        "# Checks that tell\n",
        "A check tells something where it excludes a value that was possible. *Comparisons* are pairs of numbers; "
        "*rejected* are named wrong statements that the checks were tried on, with the least share of comparisons (or, "
        "of a statistical check, the probability) that rejects one; *tightest* is the largest exact value over its "
        "bound, 1 where a bound is attained. Checks that do not tell are identities: they test the software.\n",
        table(titles, rows),
    ]
    for claim in claims:
        lines += [f"## {claim['claim']}\n", f"{escaped(claim['title'])}.\n", f"{escaped(claim['learned'])}\n"]
        checks = [
            (
                escaped(c["name"]),
                c["verdict"],
                f"{c['informative']:,} of {c['comparisons']:,}",
                escaped(c["alternative"]),
                _number(c["power"]),
                _number(c["tightness"]),
            )
            for c in claim["checks"]
        ]
        lines.append(table(("check", "verdict", "comparisons that tell", "wrong", "power", "tightest"), checks))
    return "\n".join(lines)


def _number(value: float | str | None) -> str:
    return "" if value is None else f"{from_plain(value):.3g}"


def main(results: Path, docs: Path) -> None:
    """Write the data and the page."""
    found = [read_json(folder(results, load(key)) / "record.json") for key in MODULES]
    records = [record for record in found if isinstance(record, dict) and record.get("checks")]
    if not records:
        raise no_records(results, "records")
    claims = claims_that_tell(records)
    source = records[0]["provenance"]
    made = {
        "version": source["packages"]["gmlm-workbench"],
        "commit": source["commit"],
        "profile": records[0]["profile"],
    }
    write_json(docs / "data" / "claims.json", {"made": made, "claims": claims})
    write_atomically(docs / "claims-that-tell.md", page(claims) + "\n")
    told = sum(claim["informative"] for claim in claims)
    print(f"{len(claims)} claims, {told:,} of {sum(claim['comparisons'] for claim in claims):,} comparisons tell")
    say_what_is_missing([record["claim"] for record in records], results)


if __name__ == "__main__":
    run(main, "RESULTS", "DOCS")
