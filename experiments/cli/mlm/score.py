"""``gmlm mlm score``: how likely a text is under a decoder."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.mlm.options import (
    ALPHABET,
    BATCH,
    DEVICE,
    FOLDER,
    JSON,
    PRECISION,
    SEQUENCE,
    open_model,
    print_table,
)
from experiments.cli.seeds import SEED


@click.command()
@FOLDER
@SEQUENCE
@click.option("--sites", default=None, metavar="103:107", help="Score these sites given the others.  [default: all]")
@click.option("--decoder", "decoders", multiple=True, metavar="NAME[:OPTIONS]", help="As in gmlm decode; repeatable.")
@click.option(
    "--calls", type=click.IntRange(min=1), default=None, help="Network calls asked for.  [default: a site each]"
)
@click.option("--paths", type=click.IntRange(min=2), default=16, show_default=True, help="Of decoders that draw sites.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of those paths.")
@ALPHABET
@DEVICE
@PRECISION
@BATCH
@JSON
def score(
    folder: Path,
    sequence: str,
    sites: str | None,
    decoders: tuple[str, ...],
    calls: int | None,
    paths: int,
    seed: int,
    alphabet: str | None,
    device: str,
    precision: str,
    batch_size: int,
    as_json: bool,
) -> None:
    """-ln q(x) of a text under decoders (exact where their sites follow from what is revealed), in nats.

    By default left to right. Beside it the pseudo-log-likelihood, the sum of ln p(x_i | all others): not a
    log-probability of anything, though often read as one. Without --alphabet every token that is not special counts.
    """
    from experiments.cli.output import show_json
    from experiments.masked_lm.inputs import choose_alphabet, parse_sites, read_sequences
    from experiments.masked_lm.score import score_record
    from theory.decoding.registry import parse

    rules = [parse(text) for text in decoders or ("left-to-right",)]
    texts = read_sequences(sequence)
    model = open_model(folder, device, precision, batch_size)
    chosen = None if alphabet is None else choose_alphabet(model, alphabet)
    rows = []
    for name, text in texts:
        length = len(model.encode(text))
        region = model.region(text, range(length) if sites is None else parse_sites(sites, length), chosen)
        for rule in rules:
            found = score_record(region, rule, calls or region.sites, paths, seed)
            rows.append({"name": name, **found})
    if as_json:
        show_json({"scores": rows})
        return
    print_table(
        "nats; loss is -ln q(x)",
        rows,
        ["name", "decoder", "calls", "loss", "loss_is", "standard_error", "perplexity", "pseudo_log_likelihood"],
    )
