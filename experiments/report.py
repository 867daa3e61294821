"""The report: one HTML page that needs nothing but a browser.

Made from records alone, with every figure inside the page. It opens without network, reads on a phone and prints.
"""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.claims import MODULES, load
from experiments.documentation.typesetting import notation
from experiments.figures import render, render_for_a_phone
from experiments.formulas import formula, linked
from experiments.plain import format_number
from experiments.records import PHONE, Record, certified, deciding, draw, folder, telling

VERDICT_MARKS = {"proved for this instance": "✓", "holds": "✓", "violated": "✗", "inconclusive": "?", "failed": "!"}

RELATION_SIGNS = {"<=": "≤", ">=": "≥", "=": "=", "in": "in"}

ACTS = {"C": "Theory", "D": "Decoding", "N": "Networks", "P": "Translation"}
"""What the claims of each letter are about."""

PRINTED_ROWS = 12
"""A table of numbers is cut after so many rows on paper; the page and the record have all."""

THUMBNAIL = 180
"""Pixels, the larger side of a thumbnail on the page; twice as many are stored, for fine screens."""

_POINTS_WIDE = re.compile(rb'<svg[^>]* width="([0-9.]+)pt"')


def render_report(records: Sequence[Record], title: str, out: Path | None = None) -> str:
    """The page for these records, as HTML text.

    Args:
        records: what to show.
        title: heading of the page.
        out: folder of results; figures that lie there are taken as they are, others are drawn.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("experiments", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = format_number
    environment.filters["inline"] = lambda text: Markup(notation(html.escape(text, quote=False)))
    environment.filters["linked"] = lambda text: Markup(linked(text))
    template = environment.get_template("report.html")
    shown = [_shown(record, out) for record in records]
    return template.render(
        title=title,
        marks=VERDICT_MARKS,
        relations=RELATION_SIGNS,
        counts=_counts(records),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        quick=any(record["profile"] == "quick" for record in records),
        claims=shown,
        study=_study() if any(record["claim"][0] == "P" for record in records) else None,
        acts=[
            (name, chosen) for letter, name in ACTS.items() if (chosen := [c for c in shown if c["claim"][0] == letter])
        ],
        printed_rows=PRINTED_ROWS,
    )


def _shown(record: Record, out: Path | None) -> dict[str, Any]:
    """What the page shows of one claim."""
    from markupsafe import Markup

    figures = _figures(record, out)
    return {
        **record,
        "figures": figures,
        "thumbnail": figures[0]["thumbnail"] if figures else None,
        "formula": Markup(formula(record["claim"])),
        "module": f"experiments/claims/{MODULES[record['claim']]}.py",
        "deciding": deciding(record) if record["checks"] else None,
        "telling": telling(record),
        "origin": json.dumps([record["provenance"][name] for name in ("commit", "code", "packages", "host")]),
        "proved": certified(record),
    }


def _study() -> list[dict[str, Any]] | None:
    """The ablations on real text that come with the workbench, beside the claims about translation."""
    from experiments.translation.ablations.account import account, stored_record
    from experiments.translation.ablations.figures import drawings

    record = stored_record()
    if record is None:
        return None
    figures = drawings(record)
    parts = []
    for part in account(record):
        entry = part._asdict() | {"drawn": None}
        if part.figure:
            draw_part = figures[part.figure]
            entry["drawn"] = _picture(part.caption, render(draw_part(), "svg"), render_for_a_phone(draw_part))
        parts.append(entry)
    return parts


def _counts(records: Sequence[Record]) -> dict[str, int]:
    return {
        verdict: count
        for verdict in VERDICT_MARKS
        if (count := sum(record["verdict"] == verdict for record in records)) > 0
    }


def _figures(record: Mapping[str, Any], out: Path | None) -> list[dict[str, Any]]:
    """Caption, contents as addresses for a desk and for a phone, and natural width (CSS pixels) of every figure."""
    if not record["checks"]:
        return []
    claim = load(record["claim"])
    kinds = ("svg", PHONE, "png")
    names = [f"{spec.name}.{kind}" for spec in claim.figures for kind in kinds]
    files = {name: folder(out, claim) / name for name in names} if out else {}
    if files and all(path.exists() for path in files.values()):
        drawn = {name: path.read_bytes() for name, path in files.items()}
    else:
        drawn = draw(claim, record, kinds)
    return [
        {
            **_picture(spec.caption, drawn[f"{spec.name}.svg"], drawn[f"{spec.name}.{PHONE}"]),
            "thumbnail": _address("png", _thumbnail(drawn[f"{spec.name}.png"])) if place == 0 else None,
        }
        for place, spec in enumerate(claim.figures)
    ]


def _picture(caption: str, desk: bytes, phone: bytes) -> dict[str, Any]:
    """A figure as the page shows it, from its SVG for a desk and for a phone."""
    return {
        "caption": caption,
        "source": _address("svg+xml", desk),
        "phone": _address("svg+xml", phone),
        "width": _pixels_wide(desk),
    }


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _thumbnail(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        small = image.convert("RGB")
        small.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
        small.quantize(64).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _pixels_wide(svg: bytes) -> int:
    found = _POINTS_WIDE.search(svg)
    return round(float(found.group(1)) * 96 / 72) if found else 640
