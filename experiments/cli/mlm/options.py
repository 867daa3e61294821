"""Arguments and options that the commands of ``gmlm mlm`` share, and opening what they name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.paths import FIGURES, WrittenFile

if TYPE_CHECKING:
    from simulators.masked_lm import MaskedLM, WindowConditionals

FOLDER = click.argument("folder", type=click.Path(path_type=Path))
SEQUENCE = click.option("--sequence", required=True, metavar="FASTA|TEXT", help="A sequence, or a file with one.")
ALPHABET = click.option(
    "--alphabet",
    default=None,
    metavar="aa|top:K|FILE",
    help="Symbols of the chain: the 20 amino acids, the K likeliest at each site, or one a line of a file.  "
    "[default: aa for a small vocabulary, else top:20]",
)
DEVICE = click.option("--device", default="cpu", show_default=True, help="Where the network runs, as torch names it.")
PRECISION = click.option(
    "--precision", default="float32", show_default=True, help="Of the network: float32, float64, bfloat16 or float16."
)
BATCH = click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Rows of a batch.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
FIGURE = click.option("--figure", type=WrittenFile(*FIGURES), help="Draw it: a .svg, .png or .pdf file.")


def open_model(folder: Path, device: str, precision: str, batch: int) -> MaskedLM:
    """The network of a folder."""
    from simulators.masked_lm import MaskedLM

    return MaskedLM.open(folder, device=device, precision=precision, rows_at_once=batch)


def open_window(
    folder: Path, sequence: str, sites: str, alphabet: str | None, option: str = "--sites"
) -> WindowConditionals:
    """The conditionals of a window of a sequence, of a network on the processor, its cost checked.

    Args:
        folder, sequence, sites, alphabet: as `gmlm mlm window` takes them.
        option: the one that the sites come from.
    """
    from experiments.masked_lm.inputs import choose_alphabet, parse_sites, read_sequence
    from experiments.masked_lm.window import cost, require_room
    from simulators.masked_lm import WindowConditionals

    text = read_sequence(sequence)
    model = open_model(folder, "cpu", "float32", 64)
    chosen = parse_sites(sites, len(model.encode(text)), option)
    region = model.region(text, chosen, choose_alphabet(model, alphabet))
    require_room(cost(region))
    return WindowConditionals(region)


def save_figure(path: Path, draw: Callable[[Any], Any], record: Any) -> None:
    """Draw a record into a file."""
    from experiments.figures import render, style
    from experiments.files import write_atomically

    with style():
        figure = draw(record)
    write_atomically(path, render(figure, path.suffix[1:]))


def print_table(title: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    """A table on standard output."""
    from experiments.cli.output import show_table

    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    numbers = [
        name for index, name in enumerate(columns) if not any(isinstance(r.get(columns[index]), str) for r in rows)
    ]
    show_table([name.replace("_", " ") for name in columns], cells, [name.replace("_", " ") for name in numbers], title)


def print_facts(record: dict[str, Any], names: list[str]) -> None:
    """Names and values, one a line."""
    from experiments.cli.output import show_table

    show_table(["", " "], [[name.replace("_", " "), _cell(record.get(name))] for name in names])


def _cell(value: Any) -> str:
    from experiments.plain import format_number

    return value if isinstance(value, str) else format_number(value)
