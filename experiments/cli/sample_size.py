"""``gmlm sample-size``: how many sequences masked learning needs, expected and guaranteed."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.law_options import FILE


@click.command("sample-size")
@click.option("--couplings", type=FILE, required=True, help="J.npy: symmetric [N, N].")
@click.option("--fields", type=FILE, help="h.npy: [N]; zero by default.")
@click.option("--k", "sizes", default=None, metavar="LIST", help="Mask sizes, for instance 1-6 or 1,3; by default 1-N.")
@click.option("--target", type=float, default=0.1, show_default=True, help="Total variation wanted, in (0, 1].")
@click.option("--delta", type=float, default=0.05, show_default=True, help="Chance that a guarantee may fail.")
@click.option("--width", type=float, default=0.5, show_default=True, help="Half-width of the box of parameters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sample_size(
    couplings: Path,
    fields: Path | None,
    sizes: str | None,
    target: float,
    delta: float,
    width: float,
    as_json: bool,
) -> None:
    """How many sequences learning an Ising model by masking needs, for every mask size k.

    Expected: the size at which the mean total variation is the target to first order (claim C1). Guaranteed: the sizes
    at which the bounds of claim C4 are at most the target with probability 1 - delta, whatever the model within the box
    of parameters around yours; by the observed loss: if training reaches the entropy of the data. The guarantees are
    loose, and the last column says how much they promise at the expected size: 1 or more is nothing.
    """
    from experiments.chains.models import load_ising
    from experiments.claim import plain
    from experiments.cli.output import show_json, show_table
    from experiments.estimation.sample_size import ising_sample_sizes
    from theory.parameters import parse_numbers

    law = load_ising(couplings, fields)
    chosen = range(1, law.sites + 1) if sizes is None else [int(k) for k in parse_numbers(sizes, "k", whole=True)]
    record = ising_sample_sizes(law, chosen, target, delta, width)
    if as_json:
        show_json(plain(record))
        return
    rows = record["by_k"]
    best = min(rows, key=lambda row: row["asymptotic"])
    vacuous = sum(row["bound_at_asymptotic"] >= 1 for row in rows)
    click.echo(
        f"About {best['asymptotic']:,} sequences with masks of {best['k']} sites bring the mean total variation to "
        f"{target:g}; with so many the guarantee says nothing for {vacuous} of {len(rows)} mask sizes."
    )
    names = ("k", "asymptotic", "asymptotic_all_masks", "guaranteed", "observed_loss", "bound_at_asymptotic")
    titles = ("k", "n, expected", "with every mask", "n, guaranteed", "by the observed loss", "bound at expected n")
    show_table(titles, ([_shown(row[name]) for name in names] for row in rows), right=titles)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "more than 1e18"
    if isinstance(value, int):
        return f"{value:,}" if value < 10**7 else f"{value:.3g}"
    return f"{value:.3g}"
