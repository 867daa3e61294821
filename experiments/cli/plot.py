"""``gmlm plot``: figures of sweeps."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from experiments.cli.paths import FIGURES, WrittenFile

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option("--x", help="Horizontal axis: a parameter or an outcome.")
@click.option("--y", help="Vertical axis: an outcome (lines, marks), or with --value a parameter (map).")
@click.option("--series", help="A line, or a shape of marks, for each value of this.")
@click.option("--value", help="Colour of a map over --x and --y, or of marks; words make a phase diagram.")
@click.option("--facet", help="A panel for each value of this.")
@click.option("--parallel", metavar="A,B,...", help="Parallel coordinates over these columns, coloured by the last.")
@click.option("--kind", type=click.Choice(["lines", "scatter", "map", "phases"]), help="In place of what fits.")
@click.option("--threshold", type=float, help="With --value: a phase diagram of values below and above.")
@click.option("--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Draw only k=1..3, coupling<1, ...")
@click.option("--sweep", metavar="NAME", help="Draw only the cells of the sweeps of that name.")
@click.option("--log/--linear", "log", default=None, help="Scale of the vertical axis of lines and marks.")
@click.option("--title", help="Heading of the figure, in place of the result.")
@click.option("--narrow", is_flag=True, help="For a phone: panels below one another, 390 pixels wide.")
@click.option("--out", type=WrittenFile(*FIGURES), help="File: .svg, .png or .pdf.  [default: results/NAME.png]")
@click.option("--store", "path", type=_PATH, default=Path("results/sweeps.sqlite"), show_default=True, help="Database.")
def plot(
    name: str,
    conditions: tuple[str, ...],
    sweep: str | None,
    title: str | None,
    narrow: bool,
    out: Path | None,
    path: Path,
    parallel: str | None,
    **asked: Any,
) -> None:
    """Draw the results of a sweep, with the theory's prediction where there is one.

    NAME is a ready-made figure (mixing-time, escape-time, sample-efficiency, decoding-frontier), which takes the latest
    sweep that fits, or a subject (chain, C8, ...) together with --x and --y for lines with a band over seeds, --value
    for a map or the colour of marks, or --parallel. Where --x is an outcome, each cell is a mark.
    """
    from experiments.cli.output import say
    from experiments.figures import fit_a_phone, for_a_phone, headline, plain_text, render, style
    from experiments.files import write_atomically
    from experiments.sweeps.picture import Picture, draw_rows
    from experiments.sweeps.presets import PRESETS, latest_fitting
    from experiments.sweeps.results import open_results
    from experiments.sweeps.subjects import load_subject
    from theory.errors import InvalidInput
    from theory.files import require_writable

    target = out or path.parent / f"{name.replace(':', '-').replace('/', '-')}.png"
    preset = PRESETS.get(name)
    columns = tuple(column.strip() for column in (parallel or "").split(",") if column.strip())
    picture = Picture(**asked, parallel=columns)
    if preset is None and not columns and (picture.x is None or picture.y is None):
        ready = ", ".join(PRESETS)
        raise InvalidInput("name", name, f"give --x and --y, --parallel, or a ready-made figure: {ready}")
    if preset is not None and picture != Picture():
        raise InvalidInput("name", name, "a ready-made figure chooses its axes; name the subject " + preset.subject)
    require_writable(target, "--out")
    subject = load_subject(preset.subject if preset else name)
    found = open_results(path)
    wanted = [f"subject={subject.name}", *([f"sweep={sweep}"] if sweep else []), *conditions, "status=done"]
    rows = found.rows(*wanted)
    if not rows:
        hint = f"; make them with: gmlm sweep {' '.join(preset.sweep)}" if preset else ""
        reason = f"{found.why_none(*wanted)}{hint}"
        raise InvalidInput("store", str(path), f"holds no finished cells of {subject.name} to draw: {reason}")
    with style(), for_a_phone() if narrow else nullcontext():
        if preset is not None:
            rows, others = latest_fitting(preset, subject, rows)
            for line in others:
                say(line, err=True)
            figure = preset.draw(subject, rows)
        else:
            figure = draw_rows(subject, rows, picture)
        if title:
            headline(figure, plain_text(title))
        if narrow:
            fit_a_phone(figure)
    write_atomically(target, render(figure, target.suffix[1:]))
    say(str(target))
