"""``gmlm plot``: figures of sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.cli.paths import FIGURES, WrittenFile

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.sweeps.results import Row
    from experiments.sweeps.subject import Subject

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option("--x", help="Horizontal axis: a parameter or an outcome.")
@click.option("--y", help="Vertical axis: an outcome (lines), or with --value a parameter (map).")
@click.option("--series", help="A line for each value of this parameter.")
@click.option("--value", help="Colour of a map over --x and --y: numbers make a heat map, words a phase diagram.")
@click.option("--threshold", type=float, help="With --value: a phase diagram of values below and above.")
@click.option("--where", "conditions", multiple=True, metavar="NAME=VALUE", help="Draw only k=1..3, coupling<1, ...")
@click.option("--sweep", metavar="NAME", help="Draw only the cells of the sweeps of that name.")
@click.option("--log/--linear", "log", default=None, help="Scale of the vertical axis of lines.")
@click.option("--title", help="Heading of the figure.")
@click.option("--out", type=WrittenFile(*FIGURES), help="File: .svg, .png or .pdf.  [default: results/NAME.png]")
@click.option("--store", "path", type=_PATH, default=Path("results/sweeps.sqlite"), show_default=True, help="Database.")
def plot(
    name: str,
    x: str | None,
    y: str | None,
    series: str | None,
    value: str | None,
    threshold: float | None,
    conditions: tuple[str, ...],
    sweep: str | None,
    log: bool | None,
    title: str | None,
    out: Path | None,
    path: Path,
) -> None:
    """Draw the results of a sweep, with the theory's prediction where there is one.

    NAME is a ready-made figure (mixing-time, escape-time, sample-efficiency, decoding-frontier) or a subject (chain,
    C8, ...) together with --x and --y for lines with a band over seeds, and --value for a map, or for the colour of
    marks where --y is an outcome.
    """
    from experiments.cli.output import say
    from experiments.figures import plain_text, render, style
    from experiments.files import write_atomically
    from experiments.sweeps.presets import PRESETS
    from experiments.sweeps.results import open_results
    from experiments.sweeps.subjects import load_subject
    from theory.errors import InvalidInput
    from theory.files import require_writable

    target = out or path.parent / f"{name.replace(':', '-').replace('/', '-')}.png"
    preset = PRESETS.get(name)
    if preset is None and (x is None or y is None):
        ready = ", ".join(PRESETS)
        raise InvalidInput("name", name, f"give --x and --y, or a ready-made figure: {ready}")
    if preset is not None and (x or y or series or value):
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
    with style():
        if preset is not None:
            _require_fixed(subject, rows, preset.free)
            figure = preset.draw(subject, rows)
        else:
            assert x is not None
            assert y is not None
            _require_fixed(subject, rows, {x, y, series, value} - {None})
            figure = _draw(subject, rows, x, y, series, value, threshold, log)
        if title:
            figure.suptitle(plain_text(title))
    write_atomically(target, render(figure, target.suffix[1:]))
    say(str(target))


def _draw(
    subject: Subject,
    rows: Sequence[Row],
    x: str,
    y: str,
    series: str | None,
    value: str | None,
    threshold: float | None,
    log: bool | None,
) -> Figure:
    from experiments.figures import new_figure
    from experiments.sweeps.drawing import draw_heat_map, draw_lines, draw_phases, draw_points
    from theory.parameters import describe

    figure, (axes,) = new_figure(1, 1, 6.4, 4.2)
    if value is None:
        draw_lines(axes, subject, rows, x, y, series)
        if log is not None:
            axes.set_yscale("log" if log else "linear")
    elif threshold is not None or any(isinstance(row.get(value), (str, bool)) for row in rows):
        draw_phases(axes, subject, rows, x, y, value, threshold)
    elif y not in describe(subject.parameters):
        draw_points(axes, subject, rows, x, y, value)
    else:
        draw_heat_map(axes, subject, rows, x, y, value)
    return figure


def _require_fixed(subject: Subject, rows: Sequence[Row], free: object) -> None:
    """Refuse to draw different experiments as if they were repetitions of one."""
    from experiments.sweeps.design import show
    from theory.errors import InvalidInput
    from theory.parameters import describe

    assert isinstance(free, (set, frozenset))
    for name in describe(subject.parameters):
        values = {row.get(name) for row in rows}
        if name not in free and len(values) > 1:
            listed = ", ".join(show(value) for value in list(values)[:6])
            raise InvalidInput(name, listed, f"varies too; choose one with --where {name}=..., or make it the series")
