"""``gmlm mlm scan``: pairs or triples along a sequence."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.mlm.options import (
    ALPHABET,
    BATCH,
    DEVICE,
    FIGURE,
    FOLDER,
    JSON,
    PRECISION,
    SEQUENCE,
    open_model,
    print_table,
    save_figure,
)


@click.command()
@FOLDER
@SEQUENCE
@click.option("--sites", default=None, metavar="90:115", help="Windows within these sites.  [default: all]")
@click.option("--size", type=int, default=2, show_default=True, help="Neighbours that change together: 2 or 3.")
@ALPHABET
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps tables.")
@JSON
@FIGURE
@DEVICE
@PRECISION
@BATCH
def scan(
    folder: Path,
    sequence: str,
    sites: str | None,
    size: int,
    alphabet: str | None,
    cache: Path | None,
    as_json: bool,
    figure: Path | None,
    device: str,
    precision: str,
    batch_size: int,
) -> None:
    """Where along a sequence can tokens be decoded in parallel, and where does the order matter?

    For every pair or triple of neighbours, exactly: the distance between one parallel call and decoding left to right,
    between left to right and right to left, the dependence that a parallel call misses, and log odds of rectangles.
    """
    from experiments.cli.output import say, show_json
    from experiments.cli.progress import progress
    from experiments.masked_lm.drawing import draw_scan
    from experiments.masked_lm.inputs import choose_alphabet, parse_sites, read_sequence
    from experiments.masked_lm.scan import scan_record
    from simulators.masked_lm.window import rows_of

    text = read_sequence(sequence)
    model = open_model(folder, device, precision, batch_size)
    length = len(model.encode(text))
    chosen = range(length) if sites is None else parse_sites(sites, length)
    symbols = choose_alphabet(model, alphabet)
    width = symbols if isinstance(symbols, int) else symbols.size
    say(f"about {max(len(chosen) - size + 1, 0) * rows_of(size, width)} rows of the network", err=True)
    with progress("scan") as shown:
        record = scan_record(model, text, chosen, size, symbols, cache, shown.update)
    if figure is not None:
        save_figure(figure, draw_scan, record)
    if as_json:
        show_json(record)
        return
    names = ["parallel_total_variation", "order_total_variation", "total_correlation", "largest_log_odds"]
    rows = sorted(record["windows"], key=lambda row: -row["parallel_total_variation"])[:12]
    print_table("the windows where one parallel call is worst", rows, ["start", "window", *names])
