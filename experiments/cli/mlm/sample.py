"""``gmlm mlm sample``: sequences by any sampler or decoder, with what can be said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    print_facts,
    print_table,
)
from experiments.cli.seeds import SEED


@click.command()
@FOLDER
@SEQUENCE
@click.option("--sites", default=None, metavar="97:112", help="Sites that may change, from 0.  [default: all]")
@click.option("--sampler", default="k-gibbs", show_default=True, help="As in gmlm chain.")
@click.option("--k", type=click.IntRange(min=1), default=1, show_default=True, help="Mask size.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Conditionals^(1/T); 0 is greedy.")
@click.option(
    "--chains", type=click.IntRange(min=4), default=16, show_default=True, help="Chains, or sequences decoded."
)
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True, help="Of each chain.")
@click.option(
    "--every", type=click.IntRange(min=1), default=10, show_default=True, help="Steps between recorded draws."
)
@click.option("--decoder", default=None, metavar="NAME[:OPTIONS]", help="Decode instead, as in gmlm decode.")
@click.option("--calls", type=click.IntRange(min=1), default=None, help="Calls of the decoder.  [default: a site each]")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="File of the run; it goes on from there.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the sequences: .fasta, or text.")
@ALPHABET
@DEVICE
@PRECISION
@BATCH
@JSON
def sample(
    folder: Path,
    sequence: str,
    sites: str | None,
    sampler: str,
    k: int,
    temperature: float,
    chains: int,
    steps: int,
    every: int,
    decoder: str | None,
    calls: int | None,
    seed: int,
    keep: Path | None,
    out: Path | None,
    alphabet: str | None,
    device: str,
    precision: str,
    batch_size: int,
    as_json: bool,
) -> None:
    """Sample a whole sequence or some sites of it, the others held.

    Half of the chains start from the sequence, half from decoded ones. Reported: R-hat, effective sample size, how long
    draws remember, the most frequent sequences with intervals, and a lower bound on the distance from mixed wherever
    the two halves still differ. No number here shows that a chain has mixed.
    """
    from experiments.cli.output import show_json
    from experiments.cli.progress import progress
    from experiments.files import write_atomically
    from experiments.masked_lm.inputs import choose_alphabet, parse_sites, read_sequence
    from experiments.masked_lm.sample import Plan, chains_record, decoder_record, fasta
    from theory.decoding.registry import parse
    from theory.errors import InvalidInput

    if not 0 <= temperature < float("inf"):
        raise InvalidInput("--temperature", temperature, "a finite number >= 0 is needed")
    if decoder is not None:
        parse(decoder)
    text = read_sequence(sequence)
    model = open_model(folder, device, precision, batch_size)
    length = len(model.encode(text))
    chosen = range(length) if sites is None else parse_sites(sites, length)
    region = model.region(text, chosen, choose_alphabet(model, alphabet))
    with progress("sampling") as shown:
        if decoder is None:
            plan = Plan(sampler, k, temperature, chains, steps, every, seed)
            record = chains_record(region, plan, keep, shown.update)
        else:
            record = decoder_record(region, decoder, calls or region.sites, chains, seed, shown.update)
    if out is not None:
        write_atomically(
            out, fasta(record) if out.suffix in {".fasta", ".fa"} else "\n".join(record["sequences"]) + "\n"
        )
    if as_json:
        show_json(record)
        return
    _print(record)


def _print(record: dict[str, Any]) -> None:
    names = [
        "decoder",
        "calls",
        "rows",
        "draws",
        "chains_that_moved",
        "r_hat",
        "r_hat_worst_site",
        "effective_sample_size",
    ]
    names += ["autocorrelation_time", "native_tokens", "acceptance"]
    print_facts(record, [name for name in names if name in record])
    rows = [
        {**row, "from": None if row["interval"] is None else row["interval"][0],
         "to": None if row["interval"] is None else row["interval"][1]}
        for row in record["modes"]
    ]  # fmt: skip
    print_table("most frequent sequences", rows, ["sequence", "share", "from", "to"])
    from experiments.cli.output import say

    if record.get("chains_that_moved", record.get("chains")) != record.get("chains"):
        say("Chains that did not move in the second half are stuck: shares say where they were put.")
    if record.get("not_mixed", {}).get("bound"):
        bound = record["not_mixed"]
        say(f"Not mixed: at least {bound['bound']:.2g} in TV is left ({bound['confidence']:.0%} confidence).")
