"""``gmlm mlm window``: a few sites of a sequence, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.cli.mlm.options import (
    ALPHABET,
    BATCH,
    DEVICE,
    FIGURE,
    FOLDER,
    JSON,
    PRECISION,
    SEQUENCE,
    open_model,
    print_facts,
    print_table,
    save_figure,
)


@click.command()
@FOLDER
@SEQUENCE
@click.option(
    "--sites", required=True, metavar="103:107", help="Sites of the window from 0, the end left out; or 3,5,9."
)
@ALPHABET
@click.option(
    "--temperature", default="1", show_default=True, metavar="LIST", help="Of the samplers, for example 1,0.5."
)
@click.option(
    "--k", "sizes", default=None, metavar="LIST", help="Mask sizes of Gibbs, for example 1..3.  [default: 1..3]"
)
@JSON
@FIGURE
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder that keeps tables and results.")
@DEVICE
@PRECISION
@BATCH
@click.option("--dry-run", is_flag=True, help="Say what it would cost, and stop.")
@click.option(
    "--decoder-seconds",
    type=click.FloatRange(min=0),
    default=45.0,
    show_default=True,
    help="No decoder is begun after this much processor time.",
)
def window(
    folder: Path,
    sequence: str,
    sites: str,
    alphabet: str | None,
    temperature: str,
    sizes: str | None,
    as_json: bool,
    figure: Path | None,
    cache: Path | None,
    device: str,
    precision: str,
    batch_size: int,
    dry_run: bool,
    decoder_seconds: float,
) -> None:
    """Everything about a few sites, the rest of the sequence held as it is.

    Exactly: how incompatible the conditionals are, which law each sampler has and how long it takes to get there, from
    the worst start and from the sequence itself, its modes, how the order of scanning and decoding matters, and every
    decoder's output law. The cost is said first. With --cache a window is computed once, and goes on where it was
    interrupted.
    """
    from experiments.cli.output import say, show_json
    from experiments.cli.progress import progress
    from experiments.masked_lm.drawing import draw_window
    from experiments.masked_lm.inputs import (
        choose_alphabet,
        parse_block_sizes,
        parse_sites,
        parse_temperatures,
        read_sequence,
    )
    from experiments.masked_lm.window import Options, cost, require_room, window_record
    from simulators.masked_lm import WindowConditionals
    from theory.memory import format_bytes

    temperatures = parse_temperatures(temperature)
    text = read_sequence(sequence)
    model = open_model(folder, device, precision, batch_size)
    chosen = parse_sites(sites, len(model.encode(text)))
    options = Options(temperatures, parse_block_sizes(sizes, len(chosen)), decoder_seconds)
    region = model.region(text, chosen, choose_alphabet(model, alphabet))
    found = cost(region)
    say(
        f"{found['states']} states, {found['rows']} rows of the network, about {found['network_seconds']:.3g} s; "
        f"at most {format_bytes(found['bytes'])}",
        err=True,
    )
    require_room(found)
    if dry_run:
        if as_json:
            show_json(found)
        return
    with progress("window", found["rows"]) as shown:
        opened = WindowConditionals(
            region, cache=cache, progress=lambda done, total: shown.update(done, total, "rows of the network")
        )
        record = window_record(opened, options, lambda what: shown.update(shown.done, text=what), cache)
    if figure is not None:
        save_figure(figure, draw_window, record)
    if as_json:
        show_json({name: value for name, value in record.items() if name != "curves"})
        return
    _print(record)


def _print(record: dict[str, Any]) -> None:
    print_facts(
        record,
        [
            "window",
            "states",
            "rows",
            "seconds",
            "outside_mass",
            "outside_mass_largest",
            "largest_log_odds",
            "mean_log_odds",
            "weighted_log_odds",
            "scan_order_total_variation",
            "order_kl_per_token",
            "total_correlation",
        ],
    )
    print_table(
        "samplers (mixing time: until within 1/4 of the stationary law)",
        [{**row, "modes": len(row["modes"])} for row in record["samplers"]],
        [
            "sampler",
            "k",
            "temperature",
            "gap",
            "relaxation_time",
            "mixing_time",
            "mixing_time_native",
            "modes",
            "traps",
        ],
    )
    modes = [
        {"sampler": row["sampler"], "k": row["k"], "temperature": row["temperature"], **mode}
        for row in record["samplers"]
        for mode in row["modes"]
        if len(row["modes"]) > 1
    ]
    if modes:
        print_table(
            "modes", modes, ["sampler", "k", "temperature", "sequence", "mass", "probability", "states", "escape_time"]
        )
    print_table(
        "decoders beside the first sampler's stationary law",
        record["decoders"],
        ["decoder", "calls_asked", "calls", "total_variation", "kl"],
    )
    if any(row["mixing_time_is"] != "exact" for row in record["samplers"]):
        from experiments.cli.output import say

        say("Mixing times of large windows are lower bounds: the longest from the starts that were tried.")
