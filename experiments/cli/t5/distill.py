"""``gmlm t5 distill``: training pairs from the translations of a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.cli.declared import Declared
from experiments.cli.paths import WrittenFile
from experiments.cli.t5.decoding import decoding_options


@click.command(cls=Declared, declared=decoding_options)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=WrittenFile(), help="File of source TAB translation.")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="By default that of the checkpoint folder.")
@click.option(
    "--max-source-length",
    "longest",
    type=int,
    help="Most tokens of a source.  [default: longest target of the network]",
)
def distill(
    checkpoint: Path, source: Path, out: Path, vocabulary: Path | None, longest: int | None, **given: Any
) -> None:
    """Translate the lines of SOURCE with CHECKPOINT, the teacher, and write training pairs for a student.

    The same command goes on where an earlier one was stopped. `gmlm t5 train --source OUT` reads the result.
    """
    import dataclasses

    from experiments.cli.t5.decoding import decoding_settings, load_rescorer, load_translation_model
    from experiments.cli.t5.progress import counting
    from simulators.t5.decoding.translation import Translator
    from simulators.t5.files.checkpoints import weights_digest
    from simulators.t5.files.parallel_text import read_lines
    from simulators.t5.training.distillation import distil

    sources = read_lines(source, "source")
    network, pieces = load_translation_model(checkpoint, vocabulary)
    settings = decoding_settings(network.config, given)
    rescorer = load_rescorer(given["rescorer"], pieces)
    teacher = {
        "weights": weights_digest(network),
        "vocabulary": pieces.fingerprint,
        "settings": repr(dataclasses.asdict(settings)),
        "seed": given["seed"],
    }
    if rescorer is not None:
        teacher["rescorer"] = weights_digest(rescorer.network)
    limit = network.config.max_target_length if longest is None else longest
    with counting("distilling") as report:
        found = distil(
            Translator(network, settings, given["batch_size"], given["seed"], rescorer=rescorer),
            pieces,
            sources,
            out,
            longest=limit,
            teacher=teacher,
            report=report,
        )
    before = f", {found.resumed_at} of them earlier" if found.resumed_at else ""
    click.echo(
        f"{found.pairs} pairs in {out}{before}; left out: {found.too_long} longer than {limit} tokens, "
        f"{found.empty} without a translation."
    )
