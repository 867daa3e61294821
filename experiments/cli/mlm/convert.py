"""``gmlm mlm convert``: a folder of transformers from Sapiens' published checkpoints."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.mlm.options import JSON


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@JSON
def convert(checkpoint: Path, folder: Path, as_json: bool) -> None:
    """Make a folder for `gmlm mlm` out of CHECKPOINT.pt, an antibody model of Sapiens with dict.txt beside it."""
    from experiments.cli.output import say, show_json
    from simulators.masked_lm.sapiens import convert as convert_checkpoint

    found = convert_checkpoint(checkpoint, folder)
    if as_json:
        show_json({"folder": str(folder), **found})
    else:
        say(
            f"{folder}: {found['parameters']} parameters, {found['layers']} layers of width {found['width']}, "
            f"{found['tokens']} tokens, sequences up to {found['longest']}"
        )
