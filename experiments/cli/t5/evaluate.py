"""``gmlm t5 evaluate``: scores and speed of checkpoints on a test set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.t5.data import language_options
from experiments.cli.t5.decoding import decoding_options

if TYPE_CHECKING:
    from experiments.translation.quality import Quality
    from simulators.t5.files.parallel_text import Pairs


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--source", type=click.Path(path_type=Path), help="Source sentences, or source TAB reference.")
@click.option("--target", type=click.Path(path_type=Path), help="References, line by line.")
@click.option("--test-set", help="A test set of sacrebleu by name, such as wmt14; needs --languages.")
@click.option("--languages", help="Of --test-set, such as de-en.")
@language_options
@click.option("--limit", type=int, help="Only the first so many pairs.")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="By default that of each checkpoint.")
@click.option("--steps", default="1,2,4,8", show_default=True, help="Refinement steps, one row of the table for each.")
@decoding_options(steps=False)
@click.option("--oracle-lengths", is_flag=True, help="Refinement: use the lengths of the references.")
@click.option("--tokenizer", default="13a", show_default=True, help="Of BLEU: 13a, intl, char, zh or none.")
@click.option("--figure", type=click.Path(path_type=Path), help="Draw BLEU against time: .svg, .png or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def evaluate(
    checkpoints: tuple[Path, ...],
    limit: int | None,
    vocabulary: Path | None,
    steps: str,
    oracle_lengths: bool,
    tokenizer: str,
    figure: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """BLEU, chrF, stutter, length error and milliseconds per sentence of CHECKPOINTS, by refinement steps.

    Several checkpoints, autoregressive or refining, share one table and one figure. Options of a decoder apply to the
    checkpoints that have it. Without files or a test set the pairs are fresh ones of the synthetic language of
    `gmlm t5 train`.
    """
    import dataclasses
    import json

    from experiments.cli.t5.decoding import (
        AUTOREGRESSIVE,
        REFINEMENT,
        decoding_settings,
        load_rescorer,
        load_translation_model,
    )
    from experiments.figures import render
    from experiments.translation.quality import draw_frontier, first_pairs, measure_quality
    from theory.errors import InvalidInput
    from theory.files import write_atomically
    from theory.parameters import parse_numbers

    if figure is not None and figure.suffix not in (".svg", ".png", ".pdf"):
        raise InvalidInput("--figure", str(figure), "a name that ends with .svg, .png or .pdf is needed")
    efforts = [int(number) for number in parse_numbers(steps, "--steps", whole=True)]
    pairs = first_pairs(_pairs(given), limit)
    loaded = [(folder, *load_translation_model(folder, vocabulary)) for folder in checkpoints]
    kinds = {network.config.decoder for _, network, _ in loaded}
    settings, rescorers = [], []
    for _, network, pieces in loaded:
        other = AUTOREGRESSIVE if network.config.decoder == "refinement" else REFINEMENT
        # An option of the other decoder is for the other checkpoints, where there are any.
        own = {name: None if len(kinds) > 1 and name in other else value for name, value in given.items()}
        settings.append(decoding_settings(network.config, own))
        rescorers.append(load_rescorer(own["rescorer"], pieces))
    rows: list[Quality] = []
    for (folder, network, pieces), chosen, rescorer in zip(loaded, settings, rescorers, strict=True):
        found = measure_quality(
            folder.name or str(folder),
            network,
            pieces,
            pairs,
            chosen,
            efforts,
            rows=given["batch"],
            seed=given["seed"],
            oracle_lengths=oracle_lengths,
            tokenizer=tokenizer,
            rescorer=rescorer,
            report=lambda text: click.echo(f"decoding {len(pairs.sources)} sentences: {text}", err=True),
        )
        rows += [quality for quality, _ in found]
    plain = [dataclasses.asdict(row) for row in rows]
    if figure is not None:
        write_atomically(figure, render(draw_frontier(plain), figure.suffix[1:]))
    if as_json:
        click.echo(json.dumps(plain, indent=1))
    else:
        _print(rows)


def _pairs(given: dict[str, Any]) -> Pairs:
    """The test pairs that the options name."""
    from experiments.cli.t5.data import synthetic_language, validation_pairs
    from experiments.translation.quality import named_test_set
    from simulators.t5.files.parallel_text import read_pairs
    from theory.errors import InvalidInput

    if given["test_set"] is not None:
        if given["source"] is not None:
            raise InvalidInput("--test-set", given["test_set"], "a test set or files, not both")
        if given["languages"] is None:
            raise InvalidInput("--languages", None, "a test set needs them, such as de-en")
        return named_test_set(given["test_set"], given["languages"])
    if given["source"] is not None:
        return read_pairs(given["source"], given["target"])
    if given["target"] is not None:
        raise InvalidInput("--target", str(given["target"]), "needs --source")
    return validation_pairs(synthetic_language(given), given["data_seed"])


def _print(rows: list[Quality]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    table.add_column("decoder", no_wrap=True)
    for title in ("steps", "passes", "BLEU", "chrF", "stutter %", "length ±", "ms"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.model,
            row.decoder,
            "" if row.steps is None else str(row.steps),
            f"{row.passes:.1f}",
            f"{row.bleu:.2f}",
            f"{row.chrf:.2f}",
            f"{100 * row.stutter:.2f}",
            f"{row.length_error:.2f}",
            f"{row.milliseconds:.2f}",
        )
    Console().print(table)
    click.echo(
        f"References: stutter {100 * rows[0].reference_stutter:.2f} %. Length ±: mean difference of length in tokens."
    )
    click.echo(f"BLEU {rows[0].bleu_signature}")
    click.echo(f"chrF {rows[0].chrf_signature}")
