"""``gmlm t5 ablate``: the ablations of refinement on real text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.seeds import SEED


@click.command()
@click.argument("folder", type=WrittenFolder())
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of aligned files train.*, valid.* and test.* of two languages.",
)
@click.option("--languages", default="de-en", show_default=True, help="Endings of sources and targets.")
@click.option("--only", help="Some ablations, with commas.  [default: all]")
@click.option("--refine", default="1,2,4,8", show_default=True, help="Refinement steps to decode with.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test pairs.")
@click.option("--pieces", default=4096, show_default=True, help="Size of the vocabulary.")
@click.option("--max-length", default=48, show_default=True, help="Most tokens of a training sentence, EOS counted.")
@click.option("--width", default=192, show_default=True, help="Width of the states, a multiple of 32.")
@click.option("--layers", default=3, show_default=True, help="Layers of encoder and decoder.")
@click.option("--teacher-steps", default=10_000, show_default=True, help="Optimiser steps of autoregressive networks.")
@click.option(
    "--steps", default=5000, show_default=True, help="Optimiser steps of refining ones, which start from them."
)
@click.option("--batch-tokens", default=2048, show_default=True, help="Padded target tokens of a step.")
@click.option("--learning-rate", default=0.01, show_default=True, help="The largest, relative; half of it for --steps.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of weights, order and noise.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Sentences decoded at once."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record.")
def ablate(
    folder: Path,
    data: Path,
    languages: str,
    only: str | None,
    refine: str,
    limit: int | None,
    batch_size: int,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Train a teacher and refining networks that differ in one choice each, and score them on the test pairs.

    The ablations: mask-ratio, stages, distillation, frontier (autoregressive against refinement, shallow decoders),
    schemes (starts, rejecters and replacements) and attention (where neighbours repeat each other). FOLDER keeps the
    networks, record.json and the figures; the same command goes on where an earlier one was stopped.
    """
    from experiments.claim import plain
    from experiments.cli.output import show_json
    from experiments.cli.t5.progress import counting, training_progress
    from experiments.figures import render
    from experiments.files import write_atomically, write_json
    from experiments.translation.ablations.figures import draw
    from experiments.translation.ablations.measuring import measure
    from experiments.translation.ablations.text import read_text
    from experiments.translation.ablations.training import Networks, StudySettings
    from experiments.translation.ablations.variants import ABLATIONS
    from experiments.translation.quality import first_pairs
    from theory.errors import InvalidInput
    from theory.parameters import parse_numbers

    chosen = tuple(dict.fromkeys(only.split(","))) if only else ABLATIONS
    for name in chosen:
        if name not in ABLATIONS:
            raise InvalidInput("--only", name, f"some of {', '.join(ABLATIONS)}")
    efforts = [int(number) for number in parse_numbers(refine, "--refine", whole=True)]
    if not efforts or min(efforts) < 1:
        raise InvalidInput("--refine", refine, "whole numbers of at least 1 are needed")
    settings = StudySettings(**sizes)
    text = read_text(data, languages)
    test = first_pairs(text.test, limit)

    def say(message: str) -> None:
        click.echo(message, err=True)

    networks = Networks(folder, text, settings, say, training_progress, counting)
    record = measure(networks, test, chosen, efforts, batch_size, lambda message: say(f"decoding: {message}"))
    write_json(folder / "record.json", record)
    for name, figure in draw(record).items():
        for kind in ("svg", "png"):
            write_atomically(folder / "figures" / f"{name}.{kind}", render(figure, kind))
    if as_json:
        show_json(plain(record), indent=1)
    else:
        _print(record)
        click.echo(f"Record and figures: {folder}")


def _print(record: Mapping[str, Any]) -> None:
    from experiments.cli.output import show_table
    from experiments.translation.quality import with_interval

    titles = ("steps", "passes", "BLEU", "± 95%", "p", "chrF", "stutter %", "ms")
    for name, rows in record["quality"].items():
        listed = []
        for row in rows:
            numbers = [f"{row['passes']:.1f}", f"{row['bleu']:.2f}", f"{row['half_width']:.2f}"]
            numbers.append("" if row["p_value"] is None else f"{row['p_value']:.3f}")
            numbers += [with_interval(row["chrf"], row["chrf_interval"])]
            numbers += [f"{100 * row['stutter']:.2f}", f"{row['milliseconds']:.2f}"]
            listed.append((row["model"], "" if row["steps"] is None else str(row["steps"]), *numbers))
        show_table(("network" if name != "schemes" else "scheme", *titles), listed, right=titles, title=name)
        click.echo(f"References: stutter {100 * rows[0]['reference_stutter']:.2f} %. {rows[0]['bleu_signature']}\n")
    attention = record["attention"]
    if attention is not None and attention["difference"] is not None:
        error = attention["standard error"]
        click.echo(
            f"Self-attention of step 2: {attention['repeated']:.4f} between the {attention['repeated neighbours']} "
            f"pairs of neighbours that step 1 made equal, {attention['other']:.4f} between others; difference within a "
            f"sentence ({attention['sentences']} have both) {attention['difference']:+.4f}"
            + ("." if error is None else f" (s.e. {error:.4f}).")
        )
    elif attention is not None:
        click.echo("Self-attention of step 2: step 1 made no neighbours equal.")
