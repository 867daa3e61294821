"""The report: one HTML page that needs nothing but a browser.

Made from records alone, with every figure inside the page. It opens without network, reads on a phone and prints.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.claim import from_plain
from experiments.claims import load
from experiments.records import Record, certified, deciding, draw, folder, telling

VERDICT_MARKS = {"proved for this instance": "✓", "holds": "✓", "violated": "✗", "inconclusive": "?", "failed": "!"}

RELATION_SIGNS = {"<=": "≤", ">=": "≥", "=": "=", "in": "in"}

_POINTS_WIDE = re.compile(rb'<svg[^>]* width="([0-9.]+)pt"')


def render_report(records: Sequence[Record], title: str, out: Path | None = None) -> str:
    """The page for these records, as HTML text.

    Args:
        records: what to show.
        title: heading of the page.
        out: folder of results; figures that lie there are taken as they are, others are drawn.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("experiments", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    template = environment.get_template("report.html")
    return template.render(
        title=title,
        marks=VERDICT_MARKS,
        relations=RELATION_SIGNS,
        counts=_counts(records),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        claims=[
            {
                **record,
                "figures": _figures(record, out),
                "deciding": deciding(record) if record["checks"] else None,
                "telling": telling(record),
                "proved": certified(record),
            }
            for record in records
        ],
    )


def _counts(records: Sequence[Record]) -> dict[str, int]:
    return {
        verdict: count
        for verdict in VERDICT_MARKS
        if (count := sum(record["verdict"] == verdict for record in records)) > 0
    }


def _figures(record: Mapping[str, Any], out: Path | None) -> list[dict[str, Any]]:
    """Caption, content as an address, and natural width (CSS pixels) of every figure."""
    if not record["checks"]:
        return []
    claim = load(record["claim"])
    files = {f"{spec.name}.svg": folder(out, claim) / f"{spec.name}.svg" for spec in claim.figures} if out else {}
    if files and all(path.exists() for path in files.values()):
        drawn = {name: path.read_bytes() for name, path in files.items()}
    else:
        drawn = draw(claim, record, kinds=("svg",))
    return [
        {
            "caption": spec.caption,
            "source": "data:image/svg+xml;base64," + base64.b64encode(drawn[f"{spec.name}.svg"]).decode(),
            "width": _pixels_wide(drawn[f"{spec.name}.svg"]),
        }
        for spec in claim.figures
    ]


def _pixels_wide(svg: bytes) -> int:
    found = _POINTS_WIDE.search(svg)
    return round(float(found.group(1)) * 96 / 72) if found else 640


def format_number(value: Any) -> str:
    """A table entry: four significant digits, no more than the reader needs."""
    value = from_plain(value)
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value == float("inf"):
            return "∞"
        if value == float("-inf"):
            return "−∞"
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(format_number(entry) for entry in value)
    return str(value)
