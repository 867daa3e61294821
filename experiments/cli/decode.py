"""``gmlm decode``: what decoders do to a law."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from experiments.chains.law_files import LawFiles
from experiments.cli.declared import length_model_names
from experiments.cli.law_options import FILE, corpus_options, law_options, read_law
from experiments.cli.paths import FIGURES, WrittenFile
from theory.parameters import describe


@click.group(invoke_without_command=True)
@law_options(length_model_names, sites=6)
@click.option("--transition", type=FILE, help="A stationary Markov chain: .npy of shape [q]*R + [q], R = 1 to 3.")
@corpus_options("A text file, whose character model is the law; with --network, its text.")
@click.option(
    "--alphabet",
    default="letters",
    show_default=True,
    help="With --corpus: letters (a to z, and one space for everything else) or all.",
)
@click.option(
    "--trained",
    metavar="NETWORK[:OPTION=VALUE,...]",
    help="Decode what a network learns from the law: transformer or mlp, with its steps, width, layers, batch, rate, "
    "samples.",
)
@click.option(
    "--network",
    type=click.Path(path_type=Path),
    help="No law, but a network: a folder of `gmlm text train`, or one in the layout of transformers.",
)
@click.option("--sequences", metavar="FASTA|TEXT", help="With --network: what the masked network is asked about.")
@click.option("--region", metavar="103:107", help="With --sequences: these sites, the others given.  [default: all]")
@click.option(
    "--decoder",
    "decoders",
    multiple=True,
    metavar="NAME[:OPTION=VALUE,...]",
    help="A rule with its options, such as llada:temperature=0.7,block=32; repeatable; all for every rule.",
)
@click.option("--calls", default="1,2,4", show_default=True, metavar="T,...", help="Network calls for a sequence.")
@click.option("--samples", type=int, default=0, help="Rows of sampled numbers.  [default: as the intervals need]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--figure", type=WrittenFile(*FIGURES), help="Draw calls against divergence (.svg, .png or .pdf).")
@click.pass_context
def decode(
    context: click.Context,
    decoders: tuple[str, ...],
    calls: str,
    samples: int,
    seed: int,
    as_json: bool,
    figure: Path | None,
    **law_options: Any,
) -> None:
    """What decoders do to a law: divergences both ways, total variation, network calls.

    Small laws are enumerated, so that everything is exact. At length the law's conditionals are exact and sequences are
    replayed: each number says whether it is exact, unbiased (with a 95% interval), or a bound. Divergences are in nats
    for the whole sequence. Where only samples say something of the output (remasking), pairs is the squared distance
    between the laws of neighbouring pairs of tokens, 0 for the truth.

    With --trained the divergence is split: decoding is KL(p‖q) of the same decoder on the true conditionals, learned
    what the network adds. With --network there is no law: loss is -ln q(x) of held-out sequences as they are decoded,
    the divergence up to a constant.

    \b
    gmlm decode --sites 6 --decoder all
    gmlm decode --corpus text.txt --sites 256 --decoder strided --decoder confidence --calls 4,8,16
    gmlm decode --model topic --symbols 4 --sites 64 --decoder all --calls 4,8,16 --figure frontier.svg
    gmlm decode --trained transformer:steps=1000 --decoder random-order --decoder llada --calls 1,2,3,6
    gmlm decode --network runs/alice --decoder confidence --decoder random-order --calls 4,8,16
    """
    if context.invoked_subcommand is not None:
        return
    from experiments.cli.output import show_json
    from experiments.cli.progress import progress
    from experiments.decoding.figures import draw_frontier, measure
    from experiments.decoding.record import decode_record
    from experiments.figures import render
    from experiments.files import write_atomically
    from experiments.plain import plain
    from theory.errors import InvalidInput
    from theory.parameters import parse_numbers

    asked = [int(count) for count in dict.fromkeys(parse_numbers(calls, "calls", whole=True))]
    law, network = _subject(seed, samples, decoders, asked, **law_options)
    with progress("decoding", parts=0) as shown:
        shown.start()
        record = decode_record(law, decoders, asked, network=network, samples=samples, seed=seed, progress=shown.update)
    if figure is not None:
        if measure(record) is None:
            raise InvalidInput("--figure", str(figure), "none of these decoders has a divergence to draw")
        write_atomically(figure, render(draw_frontier(record), figure.suffix[1:]))
    if as_json:
        show_json(plain(record))
    else:
        _print(record)


@decode.command()
@click.argument("decoder")
@click.option(
    "--try",
    "tried",
    multiple=True,
    metavar="OPTION=VALUE,...",
    help="Values of an option to try, such as temperature=0.5,0.7,1 or block=0,8; repeatable: all combinations.",
)
@click.option("--show", type=click.IntRange(min=1), default=10, show_default=True, help="Settings of each T to print.")
@click.pass_context
def best(context: click.Context, decoder: str, tried: tuple[str, ...], show: int) -> None:
    """The best options of DECODER on a law or a network, which stand before `best` with --calls, --samples and --json.

    \b
    gmlm decode --corpus text.txt --sites 64 --calls 8 best llada:block=8 --try temperature=0.7,1,1.5,2
    gmlm decode --network runs/alice --calls 8 best confidence --try temperature=0.8,1,1.2 --try sizes=uniform,cosine
    """
    from experiments.cli.output import show_json
    from experiments.cli.progress import progress
    from experiments.decoding.search import best_settings
    from experiments.plain import plain
    from theory.errors import InvalidInput
    from theory.parameters import assignments, parse_numbers

    assert context.parent is not None
    options = dict(context.parent.params)
    if options.pop("decoders") or options.pop("figure") is not None:
        raise InvalidInput("--decoder", "given", "name the decoder after `best`; it draws no figure")
    calls, samples, seed, as_json = (options.pop(name) for name in ("calls", "samples", "seed", "as_json"))
    values = {
        name: [value.strip() for value in text.split(",") if value.strip()]
        for name, text in assignments(tried, "--try").items()
    }
    asked = [int(count) for count in dict.fromkeys(parse_numbers(calls, "calls", whole=True))]
    law, network = _subject(seed, samples, [decoder], asked, **options)
    with progress("searching", parts=0) as shown:
        shown.start()
        record = best_settings(
            law,
            decoder,
            values,
            asked,
            network=network,
            samples=samples,
            seed=seed,
            progress=shown.update,
        )
    if as_json:
        show_json(plain(record))
        return
    first: list[Any] = []
    for count in dict.fromkeys(row["calls"] for row in record["decoders"]):
        first += [row for row in record["decoders"] if row["calls"] == count][:show]
    _print({**record, "decoders": first})


def _subject(
    seed: int,
    samples: int,
    decoders: Sequence[str],
    calls: Sequence[int],
    *,
    trained: str | None,
    network: Path | None,
    sequences: str | None,
    region: str | None,
    **law_options: Any,
) -> tuple[Any, Any]:
    """What is decoded: a law and, where they are learned, its conditionals; or a network with sequences to score."""
    from experiments.cli.progress import progress
    from experiments.decoding.networks import open_network, steps_of, train_on_law
    from experiments.decoding.record import require_known
    from theory.decoding.noise import lacks_noise
    from theory.decoding.registry import parse
    from theory.errors import InvalidInput

    if network is not None:
        for name in ("trained", "transition", *describe(LawFiles)):
            value = trained if name == "trained" else law_options[name]
            if value:
                raise InvalidInput(f"--{name}", str(value), "names a law; with --network there is none")
        return open_network(network, law_options["corpus"], sequences, region, samples), None
    for name, value in (("--sequences", sequences), ("--region", region)):
        if value is not None:
            raise InvalidInput(name, value, "goes with --network")
    law = read_law(seed, **law_options)
    if trained is None:
        return law, None
    steps = steps_of(trained)
    require_known(decoders, calls, law.sites)
    for text in decoders:
        if text.strip() != "all" and parse(text).needs == "noise":
            raise lacks_noise(parse(text))
    with progress("training", steps) as shown:
        return law, train_on_law(
            law, trained, seed, lambda step, loss: shown.update(step, text=f"loss {loss:.4f}", now=step == steps)
        )


COLUMNS = {
    "kl": "KL(p‖q)",
    "decoding_error": "decoding",
    "learned_error": "learned",
    "reverse_kl": "KL(q‖p)",
    "total_variation": "total variation",
    "excess_loss": "E[-ln p] - H",
    "loss": "loss",
    "pair_distance": "pairs",
    "behind": "behind the best",
}
"""The numbers of a row, and what they are called in a table; those that no row has are left out of it."""


def _print(record: dict[str, Any]) -> None:
    from experiments.cli.output import say, show_table

    entropy = record["entropy"]
    known = "" if entropy is None else f", entropy {entropy:.4g} nats"
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in record["decoders"])]
    numbers = ["calls", "expected", *(COLUMNS[name] for name in shown)]
    rows = [
        (
            row["decoder"],
            str(row["calls"]),
            "-" if row["expected_calls"] is None else f"{row['expected_calls']:.4g}",
            *(_number(row[name]) for name in shown),
        )
        for row in record["decoders"]
    ]
    title = f"{record['law']}, N = {record['sites']}, q = {record['symbols']}{known}; nats for the whole sequence"
    show_table(("decoder", *numbers), rows, right=numbers, title=title)
    reasons: dict[str, list[str]] = {}
    for row in record["decoders"]:
        if row["reason"] is not None and row["loss"] is None:
            reasons.setdefault(row["reason"], []).append(row["decoder"])
    for reason, names in reasons.items():
        say(f"no {COLUMNS['kl']}: {', '.join(dict.fromkeys(names))} ({reason})")
    for entry in record["skipped"]:
        say(f"left out: {entry['decoder']} ({entry['reason']})")


def _number(found: dict[str, Any] | None) -> str:
    """A number with its interval, or with the sign of a bound."""
    if found is None:
        return "-"
    low, high = found["interval"]
    sign = {"upper": "≤ ", "lower": "≥ "}.get(found["kind"], "")
    spread = f" ±{(high - low) / 2:.2g}" if high > low else ""
    return f"{sign}{found['value']:.4g}{spread}"


@decode.command()
@click.argument("decoder")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def card(decoder: str, as_json: bool) -> None:
    """What a decoder is and what it does on a small table.

    The table is a Markov chain of four sites over the symbols a, b, c; everything is exact, divergences are in nats.

    \b
    gmlm decode card llada
    gmlm decode card remdm:schedule=cap,eta=0.2
    gmlm decode card maskgit+k-gibbs:k=2,times=3
    """
    from experiments.cli.output import say, show_json, show_table
    from experiments.decoding.card import card_record, letters, ties_sentence, verdict
    from experiments.plain import plain
    from theory.decoding.card import EXACT

    record = card_record(decoder)
    if as_json:
        show_json(plain(record))
        return
    for part in record["parts"]:
        say(f"{part['name']}: {part['summary']}")
        say(f"  source: {part['source']}")
        say(f"  looks {part['looks_at']}; needs {part['needs']}; {'may' if part['remasks'] else 'does not'} remask")
        options = [
            (f"  {option['name']}", str(option["value"]), option["help"] + _choices(option["choices"]))
            for option in part["options"]
        ]
        show_table(("  option", "value", "meaning"), options)
        say("")
    say(f"At any length: {record['at_length']}.")
    say("")
    say(f"{record['law']}, entropy {record['entropy']:.4g} nats; divergences in nats")
    numbers = ("T", "calls", "worst", "KL(p‖q)", "KL(q‖p)", "total variation")
    show_table(numbers, [[f"{value:.4g}" for value in row.values()] for row in record["by_calls"]], right=numbers)
    say(verdict(record))
    say("")
    exact = record["one_a_call"] < EXACT
    say("The likeliest sequences:" if exact else "What comes out too often, then what too rarely:")
    outputs = [(letters(x), f"{p:.4f}", f"{q:.4f}") for x, p, q in record["outputs"]]
    show_table(("sequence", "p(x)", "q(x)"), outputs, right=("p(x)", "q(x)"))
    say("")
    say(f"Temperature (the likeliest sequence of p is {letters(record['mode'][0])}, p = {record['mode'][1]:.4f}):")
    columns = ("temperature", "KL(p‖q)", "entropy of q", "likeliest", "its q(x)")
    temperatures = [
        (
            f"{row['temperature']:g}",
            f"{row['kl']:.4g}",
            f"{row['entropy']:.4g}",
            letters(row["likeliest"]),
            f"{row['mass']:.4f}",
        )
        for row in record["temperatures"]
    ]
    show_table(columns, temperatures, right=columns)
    say(ties_sentence(record))


def _choices(choices: tuple[str, ...] | None) -> str:
    return f" ({', '.join(choices)})" if choices else ""
