"""``gmlm chain``: one sampler on one law, analysed exactly."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--model",
    default="ising",
    show_default=True,
    help="ising, curie-weiss, strong-clique, random-ising, potts, product, mixture, markov, hmm, parity or random.",
)
@click.option("--table", type=_FILE, help="A law of your own: .npy of shape (q,)*N that sums to 1. Replaces --model.")
@click.option("--couplings", type=_FILE, help="Your own Ising model: J.npy, symmetric [N, N]. Replaces --model.")
@click.option("--fields", type=_FILE, help="With --couplings: h.npy, [N].")
@click.option("--graph", default="cycle", show_default=True, help="cycle, path, complete, grid, torus, star, ...")
@click.option("--sites", type=int, default=8, show_default=True, help="N.")
@click.option("--symbols", type=int, default=2, show_default=True, help="q, for models with a free alphabet.")
@click.option("--coupling", type=float, default=0.5, show_default=True, help="J of every edge; beta of curie-weiss.")
@click.option("--field", type=float, default=0.0, show_default=True, help="h of every site.")
@click.option("--clique", type=int, default=4, show_default=True, help="Size of the strong clique.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of random models and graphs.")
@click.option(
    "--sampler",
    default="k-gibbs",
    show_default=True,
    help="k-gibbs, systematic-scan, independent-parallel, k-parallel, confidence-remasking or metropolis-hastings.",
)
@click.option("--k", type=int, default=None, help="Mask size; short for --masks k=K.  [default: 1]")
@click.option(
    "--masks",
    default=None,
    metavar="LAW",
    help="k=2, bernoulli=0.3, uniform-ratio, spans=3, cyclic-spans=3 or blocks=0,1;2,3 (in order for a scan).",
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Conditionals^(1/T); 0 is greedy.")
@click.option("--epsilon", type=float, default=0.25, show_default=True, help="Total variation that counts as mixed.")
@click.option("--explain", is_flag=True, help="Say first which method is used, how much memory and how long it takes.")
@click.option(
    "--budget",
    type=float,
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="Leave out a mixing time of a large chain that would take longer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plot", type=_FILE, help="Draw the total-variation curve with the bounds (.svg, .png or .pdf).")
def chain(
    model: str,
    table: Path | None,
    couplings: Path | None,
    fields: Path | None,
    graph: str,
    sites: int,
    symbols: int,
    coupling: float,
    field: float,
    clique: int,
    seed: int,
    sampler: str,
    k: int | None,
    masks: str | None,
    temperature: float,
    epsilon: float,
    explain: bool,
    budget: float,
    as_json: bool,
    plot: Path | None,
) -> None:
    """Analyse one sampler on one law: stationary law, gap, exact mixing time, bounds.

    The mixing time is the worst case over all starting sequences. In JSON, a number that does not exist (a chain that
    never mixes, a bound that does not apply) is null.
    """
    import json

    from experiments.chains.analysis import draw_curve
    from experiments.chains.models import ModelSpec, build_law, build_masks, load_ising
    from experiments.chains.plan import ChainPlan
    from experiments.chains.record import chain_record
    from experiments.figures import render, style
    from experiments.files import write_atomically
    from theory.errors import InvalidInput
    from theory.laws import load_table

    if not 0 < epsilon < 1:
        raise InvalidInput("--epsilon", epsilon, "must lie strictly between 0 and 1")
    if plot is not None and plot.suffix not in {".svg", ".png", ".pdf"}:
        raise InvalidInput("--plot", str(plot), "the name must end in .svg, .png or .pdf")
    if k is not None and masks is not None:
        raise InvalidInput("--masks", masks, "give either --k or --masks")
    if table is not None and couplings is not None:
        raise InvalidInput("--table", str(table), "give either --table or --couplings")
    if fields is not None and couplings is None:
        raise InvalidInput("--fields", str(fields), "goes with --couplings")

    spec = None
    if table is not None:
        law = load_table(table)
    elif couplings is not None:
        law = load_ising(couplings, fields)
    else:
        spec = ModelSpec(model, sites, symbols, graph, coupling, field, clique, seed)
        law = build_law(spec)
    text = f"k={k}" if k is not None else masks
    mask_law = None if text is None else build_masks(text, law.sites)

    def planned(plan: ChainPlan) -> None:
        if explain:
            for line in plan.lines():
                click.echo(line, err=True)

    found = chain_record(
        law,
        sampler,
        mask_law,
        temperature,
        epsilon,
        spec=spec,
        curve=plot is not None,
        budget=budget,
        planned=planned,
    )
    record = {
        "law": law.name,
        "sites": law.sites,
        "symbols": law.symbols,
        "sampler": sampler,
        "masks": text,
        "temperature": temperature,
        **found,
    }
    title = f"{sampler}{'' if text is None else ' ' + text} on {law.name}, N = {law.sites}"
    if plot is not None:
        if "curve" not in record:
            raise InvalidInput("--plot", str(plot), f"there is no curve to draw ({record['mixing_time_reason']})")
        with style():
            figure = draw_curve(record, title)
        write_atomically(plot, render(figure, plot.suffix[1:]))
    if as_json:
        click.echo(json.dumps(record))
        return
    _print(record, title)


def _print(record: dict[str, object], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from experiments.report import format_number

    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(style="dim")
    table.add_column()
    for name, value in record.items():
        if name in {"curve", "classes", "mixing_time_bounds", "residuals"} or value == []:
            continue
        if name.endswith("_interval") and record[name.removesuffix("_interval")] is not None:
            continue  # the digits that are shown are known
        table.add_row(name.replace("_", " "), format_number(value))
    bounds = record["mixing_time_bounds"]
    assert isinstance(bounds, dict)
    for name, (lower, upper) in bounds.items():
        table.add_row(f"bound by {name}", f"{format_number(lower)} .. {format_number(upper)} steps")
    Console().print(table)
    classes = record["classes"]
    assert isinstance(classes, list)
    if classes:
        listing = Table(box=None, pad_edge=False, title="closed classes, heaviest first", title_justify="left")
        for column in classes[0]:
            listing.add_column(column.replace("_", " "), justify="right")
        for entry in classes:
            listing.add_row(*(format_number(value) for value in entry.values()))
        Console().print(listing)
