"""``gmlm information``: the matrices of claims C1 to C3 for an Ising model."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.law_options import FILE


@click.command()
@click.option("--couplings", type=FILE, required=True, help="J.npy: symmetric [N, N].")
@click.option("--fields", type=FILE, help="h.npy: [N]; zero by default.")
@click.option("--k", "sizes", default=None, metavar="LIST", help="Mask sizes, for instance 1-6 or 1,3; by default 1-N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def information(couplings: Path, fields: Path | None, sizes: str | None, as_json: bool) -> None:
    """How much masking k tokens at a time teaches about an Ising model, for every k.

    The model is p(x) ∝ exp(sum_{i<j} J_ij x_i x_j + sum_i h_i x_i), x in {-1,+1}^N, with all x_i and x_i x_j (i < j) as
    sufficient statistics. For each k: the trace of the asymptotic covariance Gamma_k of the estimator that masks k
    tokens, the Loewner margin (smallest eigenvalue of Gamma_{k-1} - Gamma_k, claim C2), the Poincaré constant C_P of
    k-Gibbs, and the Poincaré margin (smallest eigenvalue of C_P I^{-1} - Gamma_k with I the Fisher information,
    claim C3).
    """
    from experiments.chains.models import load_ising
    from experiments.cli.output import show_json, show_table
    from experiments.estimation.information import ising_information
    from experiments.plain import plain
    from theory.parameters import parse_numbers

    law = load_ising(couplings, fields)
    chosen = range(1, law.sites + 1) if sizes is None else [int(k) for k in parse_numbers(sizes, "k", whole=True)]
    record = ising_information(law, chosen)
    if as_json:
        show_json(plain(record))
        return
    from experiments.plain import format_number

    click.echo(
        f"{record['sites']} sites, {record['parameters']} parameters, trace of the inverse Fisher information "
        f"{format_number(record['trace_inverse_fisher'])}"
    )
    titles = ("k", "tr Gamma_k", "Loewner margin", "C_P (steps)", "Poincaré margin")
    show_table(titles, ([format_number(value) for value in row.values()] for row in record["by_k"]), right=titles)
