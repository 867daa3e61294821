"""``gmlm t5 convert``: checkpoint folders from one form into another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.seeds import SEED

if TYPE_CHECKING:
    import numpy as np

    from simulators.t5.network.network import T5


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination", type=WrittenFolder())
@click.option(
    "--to",
    "decoder",
    type=click.Choice(("same", "refinement")),
    default="same",
    show_default=True,
    help="refinement: a parallel decoder that starts from the weights of an autoregressive one.",
)
@click.option(
    "--length-predictor", type=click.Choice(("token", "affine", "fertility", "oracle")), help="Of refinement."
)
@click.option("--max-target-length", type=int, help="Of refinement: longest target, EOS counted.")
@click.option("--fertility-classes", type=int, help="Of refinement with the fertility predictor.")
@click.option("--learned-rejecter", is_flag=True, default=None, help="Of refinement: a head that judges predictions.")
@click.option("--positional-attention", is_flag=True, default=None, help="Of refinement.")
@click.option("--range-masks", is_flag=True, default=None, help="Of refinement: one mask for each position.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the new parts.")
@click.option("--shard-megabytes", type=click.IntRange(min=1), default=5000, show_default=True, help="Largest file.")
@click.option("--overwrite", is_flag=True, help="Replace a checkpoint that is there already.")
def convert(
    source: Path, destination: Path, decoder: str, seed: int, shard_megabytes: int, overwrite: bool, **options: Any
) -> None:
    """Write the checkpoint SOURCE, a Hugging Face folder or one of ours, as DESTINATION.

    Both are one layout: weights in float32 under the names of Hugging Face, so that `transformers` reads an
    autoregressive DESTINATION. The vocabulary is copied. The result is read again and compared.
    """
    from simulators.t5.files.checkpoints import CONFIG, adapt, load_checkpoint, save_checkpoint
    from theory.errors import InvalidInput

    chosen = {name: value for name, value in options.items() if value is not None}
    network = load_checkpoint(source)
    if decoder == "same" and chosen:
        name, value = next(iter(chosen.items()))
        raise InvalidInput(f"--{name.replace('_', '-')}", value, "needs --to refinement")
    if (destination / CONFIG).exists() and not overwrite:
        raise InvalidInput("destination", str(destination), "holds a checkpoint already; --overwrite replaces it")
    written = network if decoder == "same" else adapt(network, seed, **chosen)
    save_checkpoint(written, destination, shard_megabytes * 1_000_000)
    vocabulary = _copy_vocabulary(source, destination)
    _compare(written, load_checkpoint(destination), destination)
    _report(network, written, vocabulary)
    click.echo(f"Written to {destination}, read again: every weight is the same.")


def _copy_vocabulary(source: Path, destination: Path) -> str | None:
    """Copy what defines the vocabulary; the name of the file, None where the source has none."""
    from simulators.t5.files.vocabulary import FAST, MODEL, TOKENIZER_CONFIG, load_vocabulary
    from theory.files import write_atomically

    present = [name for name in (MODEL, FAST) if (source / name).exists()]
    if not present:
        return None
    load_vocabulary(source)
    for name in (*present, TOKENIZER_CONFIG):
        if (source / name).exists() and source.resolve() != destination.resolve():
            write_atomically(destination / name, (source / name).read_bytes())
    return present[0]


def _compare(written: T5, read: T5, destination: Path) -> None:
    import numpy as np

    from simulators.t5.files.checkpoints import stored_arrays
    from theory.errors import InvalidInput

    there = stored_arrays(read)
    for name, array in stored_arrays(written).items():
        if name not in there or not np.array_equal(array, there[name]):
            raise InvalidInput("destination", str(destination), f"tensor {name} came back different; check the disk")


def _report(network: T5, written: T5, vocabulary: str | None) -> None:
    from simulators.t5.files.checkpoints import stored_arrays

    before, after = stored_arrays(network), stored_arrays(written)
    groups: dict[str, list[str]] = {"kept": [], "changed": [], "new": []}
    for name, array in after.items():
        groups[_origin(before.get(name), array)].append(name)
    meaning = {
        "kept": "as they were",
        "changed": "position biases, mirrored for a decoder that sees both sides",
        "new": "random, to be trained",
    }
    config = written.config
    tying = "tied" if config.tied else "untied"
    click.echo(f"{config.decoder} decoder, {config.vocab_size} ids, width {config.d_model}, output layer {tying}")
    for group, names in groups.items():
        if names:
            numbers = sum(after[name].size for name in names)
            click.echo(f"{group:8} {len(names):4} tensors, {numbers:,} numbers: {meaning[group]}")
            if group != "kept":
                for name in names:
                    click.echo(f"         {name} {list(after[name].shape)}")
    if vocabulary is None:
        click.echo("The source has no vocabulary; name one with --vocabulary when you translate.")
    else:
        click.echo(f"Vocabulary copied: {vocabulary}")


def _origin(before: np.ndarray | None, after: np.ndarray) -> str:
    import numpy as np

    if before is None:
        return "new"
    if before.shape != after.shape:
        return "new"
    return "kept" if np.array_equal(before, after) else "changed"
