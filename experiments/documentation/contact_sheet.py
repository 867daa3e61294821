"""The contact sheet: every figure of a folder of records, small, with its caption and what was learned.

    python -m experiments.documentation.contact_sheet results docs

draws the figures of the records in ``results`` (those of ``gmlm reproduce``), writes them to ``docs/figures`` as WebP,
and the page ``docs/reference/figures.md`` that shows them. The pages of claims show the
same pictures. Pictures of figures that are no more are removed.
"""

from __future__ import annotations

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.claim import Claim
from experiments.claims import MODULES, load
from experiments.documentation.claims import picture
from experiments.documentation.command import no_records, run, say_what_is_missing
from experiments.documentation.markdown import escaped
from experiments.figures import style
from experiments.files import read_json, write_atomically
from experiments.plain import from_plain
from experiments.records import Record, folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110

QUALITY = 72
"""Of the WebP encoder: lines stay sharp, and a figure takes about 20 kB."""


def pictures(claim: Claim, record: Record) -> dict[str, bytes]:
    """Every figure of a record as WebP, by its path below ``docs/``."""
    data = from_plain(record["data"])
    return {picture(claim, spec.name): webp(spec.draw(data)) for spec in claim.figures}


def webp(figure: Figure) -> bytes:
    """A figure as the pages show it."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="webp", dpi=DOTS_PER_INCH, pil_kwargs={"quality": QUALITY, "method": 6})
    return buffer.getvalue()


def sheet(records: dict[str, Record]) -> str:
    """The page."""
    lines = [
        "# Figures\n",
        f"Every figure of the quick profile, {len(records)} claims. Measured values are marks, predictions and bounds "
        "are lines.\n",
    ]
    for key, record in records.items():
        claim = load(key)
        lines += [f"## [{key}](claims/{key}.md) · {escaped(claim.title)}\n"]
        lines.append(f"{record['verdict'].capitalize()}. {escaped(record['learned'])}\n")
        lines.append('<div class="contact">')
        for spec in claim.figures:
            where = f"../{picture(claim, spec.name)}"
            caption = html.escape(spec.caption)
            lines.append(
                f'<figure><a href="{where}"><img src="{where}" loading="lazy" alt="{html.escape(spec.name)}"></a>'
                f"<figcaption>{caption}</figcaption></figure>"
            )
        lines.append("</div>\n")
    return "\n".join(lines)


def main(results: Path, docs: Path) -> None:
    """Draw the figures and write the page."""
    found: dict[str, Record] = {}
    wanted: dict[str, bytes] = {}
    for key in MODULES:
        claim = load(key)
        record = read_json(folder(results, claim) / "record.json")
        if not isinstance(record, dict) or not record.get("data"):
            continue
        try:
            wanted.update(pictures(claim, record))
        except (KeyError, TypeError) as error:
            print(f"the record of {key} was made by other code ({error!r})")
        else:
            found[key] = record
    if not found:
        raise no_records(results, "records that can be drawn")
    for path, content in wanted.items():
        write_atomically(docs / path, content)
    for file in (docs / "figures").glob("*.webp"):
        if f"figures/{file.name}" not in wanted:
            file.unlink()
    write_atomically(docs / "reference" / "figures.md", (sheet(found) + "\n").encode())
    print(f"{len(wanted)} figures of {len(found)} claims, {sum(map(len, wanted.values())) / 1e6:.2f} MB")
    say_what_is_missing(found, results)


if __name__ == "__main__":
    run(main, "RESULTS", "DOCS")
