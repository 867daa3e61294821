"""``gmlm tighten``: search for the instance at which a bound is tightest, or broken."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from experiments.cli.paths import FIGURES, WrittenFile
from experiments.cli.seeds import SEED


@click.command()
@click.argument("bound")
@click.option("--starts", type=int, default=12, show_default=True, help="Local searches, from random instances.")
@click.option("--evaluations", type=int, default=300, show_default=True, help="Of the ratio, for each start.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the starts.")
@click.option("--out", type=WrittenFile(".json"), help="Write the atlas: the records with their provenance, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the records, with the laws, as one JSON list.")
@click.option(
    "--figure", type=WrittenFile(*FIGURES), help="Draw the atlas of the bounds searched (.svg, .png or .pdf)."
)
def tighten(
    bound: str, starts: int, evaluations: int, seed: int, out: Path | None, as_json: bool, figure: Path | None
) -> None:
    """Search laws for the instance that makes a bound tightest, or breaks it.

    BOUND is a bound's name, a claim (C1 to C10, D4, N2) or `all`. A ratio of 1 means that the bound is attained; above
    1 it is broken, and the exit code is 1. What is found is kept in the record, so that anybody can repeat it.
    """
    from experiments.cli.output import show_json, show_table
    from experiments.cli.progress import progress
    from experiments.figures import render
    from experiments.files import write_atomically, write_json
    from experiments.tightness.atlas import atlas
    from experiments.tightness.bounds import of
    from experiments.tightness.figures import draw_atlas
    from experiments.tightness.search import tighten as search

    chosen = of(bound)
    records = []
    with progress("searching", total=len(chosen)) as shown:
        for number, one in enumerate(chosen):

            def show(done: float, text: str, before: int = number) -> None:
                shown.update(before + done, text=text)

            records.append(search(one, starts, evaluations, seed, show))
    if as_json:
        show_json(records)
    else:
        tightest = max(records, key=lambda record: record["ratio"])
        click.echo(
            f"The tightest of {len(records)} bounds is {tightest['bound']} ({tightest['claim']}): "
            f"{tightest['ratio']:.6g} of 1, {tightest['verdict']}."
            if len(records) > 1
            else f"{tightest['statement']}: {tightest['verdict']}, {tightest['ratio']:.6g} of 1 at the instance found."
        )
        rows = [
            (r["claim"], r["bound"], f"{r['ratio']:.6g}", f"{r['random']:.3g}" if r["random"] else "", r["verdict"])
            for r in records
        ]
        titles = ("claim", "bound", "tightest", "median of random", "verdict")
        show_table(titles, rows, right=("tightest", "median of random"))
        if len(records) == 1:
            show_json(tightest["instance"])
    if out is not None:
        write_json(out, atlas(bound, records, starts, evaluations, seed))
    if figure is not None:
        write_atomically(figure, render(draw_atlas(records), figure.suffix[1:]))
    sys.exit(1 if any(record["verdict"] == "broken" for record in records) else 0)
