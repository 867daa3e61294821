"""``gmlm t5 bench``: how fast a checkpoint decodes on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.cli.seeds import SEED

if TYPE_CHECKING:
    from experiments.translation.speed import Timing


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--source", type=click.Path(path_type=Path), help="UTF-8 text, one sentence a line; by default random ids."
)
@click.option("--vocabulary", type=click.Path(path_type=Path), help="Of --source; by default that of the checkpoint.")
@click.option("--batches", default="1,8,64", show_default=True, help="Sentences at once.")
@click.option("--steps", default="1,2,4,8", show_default=True, help="Refinement steps.")
@click.option("--beams", default="1", show_default=True, help="Beam widths of an autoregressive checkpoint.")
@click.option("--source-length", default=32, show_default=True, help="Tokens of a random source, EOS counted.")
@click.option(
    "--target-length", type=int, help="Tokens of every target, EOS counted.  [default: 32, or the most that fit]"
)
@click.option("--early-exit", is_flag=True, help="Let sentences stop that cannot change any more.")
@click.option("--repeats", type=click.IntRange(min=1), default=7, show_default=True, help="Runs; medians are printed.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random sources.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def bench(
    checkpoint: Path,
    source: Path | None,
    vocabulary: Path | None,
    batches: str,
    steps: str,
    beams: str,
    source_length: int,
    target_length: int | None,
    early_exit: bool,
    repeats: int,
    seed: int,
    as_json: bool,
) -> None:
    """Time CHECKPOINT: milliseconds for each sentence and target tokens per second, without compilation.

    Every target has the same length, so that the work is known; without --early-exit every step is done.
    """
    import dataclasses

    from experiments.cli.output import show_json
    from experiments.cli.t5.decoding import load_translation_model
    from experiments.translation.speed import random_sources, time_network
    from simulators.t5.files.checkpoints import load_checkpoint
    from simulators.t5.files.parallel_text import read_lines
    from theory.parameters import parse_numbers

    if source is None:
        network = load_checkpoint(checkpoint)
        sources = random_sources(network.config.vocab_size, source_length, seed)
    else:
        network, pieces = load_translation_model(checkpoint, vocabulary)
        sources = pieces.encode(read_lines(source, "source"))
    efforts = parse_numbers(steps, "--steps", whole=True)
    if network.config.decoder == "autoregressive":
        efforts = parse_numbers(beams, "--beams", whole=True)
    rows = time_network(
        network,
        sources,
        [int(batch) for batch in parse_numbers(batches, "--batches", whole=True)],
        [int(effort) for effort in efforts],
        min(32, network.config.max_target_length) if target_length is None else target_length,
        repeats,
        early_exit,
    )
    if as_json:
        show_json([dataclasses.asdict(row) for row in rows], indent=1)
    else:
        _print(rows, network.config.decoder)


def _print(rows: list[Timing], decoder: str) -> None:
    from experiments.cli.output import show_table

    titles = (
        "batch",
        "steps" if decoder == "refinement" else "beams",
        "passes",
        "ms per sentence",
        "spread",
        "target tokens/s",
    )
    listed = [
        (
            str(row.batch),
            str(row.effort),
            f"{row.passes:.1f}",
            f"{row.milliseconds:.3f}",
            f"{row.fastest:.3f}-{row.slowest:.3f}",
            f"{row.tokens_per_second:,.0f}",
        )
        for row in rows
    ]
    show_table(titles, listed, right=titles)
