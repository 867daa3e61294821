"""``gmlm sample-size``: how many sequences masked learning needs, expected and guaranteed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from theory.laws import ExponentialLaw

from experiments.cli.law_options import FILE


@click.command("sample-size")
@click.option("--couplings", type=FILE, help="J.npy: symmetric [N, N]; the law is an Ising model.")
@click.option("--fields", type=FILE, help="h.npy: [N]; zero by default.")
@click.option("--table", type=FILE, help="Any law: .npy of shape (q,)*N that sums to 1, learned among all laws.")
@click.option("--mlm", type=click.Path(path_type=Path), help="A masked model's folder, as for `gmlm mlm window`.")
@click.option("--sequence", help="Around the window of --mlm.")
@click.option("--sites", metavar="103:105", help="Window of --mlm: from 0, the end left out; or 3,5.")
@click.option("--alphabet", help="Symbols of the window of --mlm, as for `gmlm mlm window`.")
@click.option("--k", "sizes", default=None, metavar="LIST", help="Mask sizes, for instance 1-6 or 1,3; by default 1-N.")
@click.option("--target", type=float, default=0.1, show_default=True, help="Total variation wanted, in (0, 1].")
@click.option("--delta", type=float, default=0.05, show_default=True, help="Chance that a guarantee may fail.")
@click.option("--width", type=float, default=0.5, show_default=True, help="Half-width of the box of parameters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sample_size(
    couplings: Path | None,
    fields: Path | None,
    table: Path | None,
    mlm: Path | None,
    sequence: str | None,
    sites: str | None,
    alphabet: str | None,
    sizes: str | None,
    target: float,
    delta: float,
    width: float,
    as_json: bool,
) -> None:
    """How many sequences learning a law by masking needs, for every mask size k.

    The law is an Ising model (--couplings), any table (--table), or what a masked network decodes from left to right in
    a window of a sequence (--mlm with --sequence and --sites).

    Expected: the size at which the mean total variation is the target to first order (claim C1). Guaranteed: the sizes
    at which the bounds of claim C4 are at most the target with probability 1 - delta, whatever the model within the box
    of parameters around yours; by the observed loss: if training reaches the entropy of the data. The guarantees are
    loose, and the last column says how much they promise at the expected size: 1 or more is nothing.
    """
    from experiments.cli.output import show_json, show_table
    from experiments.estimation.sample_size import sample_sizes
    from experiments.plain import plain
    from theory.parameters import parse_numbers

    law = _law(couplings, fields, table, mlm, (sequence, sites, alphabet))
    chosen = range(1, law.sites + 1) if sizes is None else [int(k) for k in parse_numbers(sizes, "k", whole=True)]
    record = sample_sizes(law, chosen, target, delta, width)
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


def _law(
    couplings: Path | None, fields: Path | None, table: Path | None, mlm: Path | None, window: tuple[str | None, ...]
) -> ExponentialLaw:
    from experiments.chains.models import load_ising
    from experiments.estimation.sample_size import among_all_laws, induced_law
    from theory.errors import InvalidInput
    from theory.laws import load_table

    given = [name for name, value in (("couplings", couplings), ("table", table), ("mlm", mlm)) if value is not None]
    if len(given) != 1:
        raise InvalidInput("law", " and ".join(given) or "none", "one of --couplings, --table and --mlm is needed")
    if fields is not None and couplings is None:
        raise InvalidInput("fields", fields, "fields belong to --couplings")
    if mlm is None and any(window):
        raise InvalidInput("sites", next(filter(None, window)), "a window belongs to --mlm")
    if couplings is not None:
        return load_ising(couplings, fields)
    if table is not None:
        return among_all_laws(load_table(table))
    assert mlm is not None
    from experiments.cli.mlm.options import open_window

    sequence, sites, alphabet = window
    if sequence is None or sites is None:
        raise InvalidInput("mlm", mlm, "--sequence and --sites are needed too")
    return induced_law(open_window(mlm, sequence, sites, alphabet))


def _shown(value: float | int | None) -> str:
    if value is None:
        return "more than 1e18"
    if isinstance(value, int):
        return f"{value:,}" if value < 10**7 else f"{value:.3g}"
    return f"{value:.3g}"
