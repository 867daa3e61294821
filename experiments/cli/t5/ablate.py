"""``gmlm t5 ablate``: the ablations of refinement on real text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.t5.study import study_options


@click.command()
@click.argument("folder", type=WrittenFolder())
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of aligned files train.*, valid.* and test.* of two languages.",
)
@click.option("--languages", default="de-en", show_default=True, help="Endings of sources and targets.")
@click.option("--only", help="Some ablations, with commas.  [default: all]")
@click.option("--refine", default="1,2,4,8", show_default=True, help="Refinement steps to decode with.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many test pairs.")
@study_options
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Trainings of each network that refines, with seeds that follow the first; more may be added later.",
)
@click.option(
    "--only-trained", is_flag=True, help="Train nothing: score the networks that are there, and name the others."
)
@click.option("--json", "as_json", is_flag=True, help="Print the record.")
def ablate(
    folder: Path,
    data: Path,
    languages: str,
    only: str | None,
    refine: str,
    limit: int | None,
    batch_size: int,
    seeds: int,
    only_trained: bool,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Train a teacher and refining networks that differ in one choice each, and score them on the test pairs.

    The ablations: mask-ratio, stages, distillation, range-masks, parity (ten attempts to come near the teacher),
    frontier (autoregressive against refinement, depths of both stacks), schemes (starts, rejecters, replacements,
    length candidates) and attention (where neighbours repeat each other). FOLDER keeps the networks, record.json,
    recommendations.md and the figures; the same command goes on where an earlier one was stopped.
    """
    from experiments.cli.output import show_json
    from experiments.cli.t5.progress import counting, training_progress
    from experiments.documentation.ablations import section
    from experiments.figures import render
    from experiments.files import write_atomically, write_json
    from experiments.plain import plain
    from experiments.translation.ablations.figures import drawings
    from experiments.translation.ablations.measuring import measure
    from experiments.translation.ablations.text import read_text
    from experiments.translation.ablations.training import Networks, StudySettings
    from experiments.translation.ablations.variants import ABLATIONS
    from experiments.translation.quality import first_pairs
    from theory.errors import InvalidInput
    from theory.parameters import parse_numbers

    chosen = tuple(dict.fromkeys(only.split(","))) if only else ABLATIONS
    for name in chosen:
        if name not in ABLATIONS:
            raise InvalidInput("--only", name, f"some of {', '.join(ABLATIONS)}")
    efforts = [int(number) for number in parse_numbers(refine, "--refine", whole=True)]
    if not efforts or min(efforts) < 1:
        raise InvalidInput("--refine", refine, "whole numbers of at least 1 are needed")
    settings = StudySettings(**sizes)
    text = read_text(data, languages)
    test = first_pairs(text.test, limit)

    def say(message: str) -> None:
        click.echo(message, err=True)

    networks = Networks(folder, text, settings, say, training_progress, counting)
    each = range(settings.seed, settings.seed + seeds)
    record = measure(
        networks, test, chosen, each, efforts, batch_size, lambda message: say(f"decoding: {message}"), only_trained
    )
    if record["untrained"]:
        say(f"not trained, and left out: {', '.join(record['untrained'])}")
    words = {"only": ",".join(chosen), "refine": refine, "limit": limit, **sizes, "seeds": seeds}
    record["command"] = "gmlm t5 ablate FOLDER --data DATA " + " ".join(
        f"--{name.replace('_', '-')} {value}" for name, value in words.items() if value is not None
    )
    write_json(folder / "record.json", record)
    write_atomically(folder / "recommendations.md", section(record))
    for name, draw in drawings(record).items():
        figure = draw()
        for kind in ("svg", "png"):
            write_atomically(folder / "figures" / f"{name}.{kind}", render(figure, kind))
    if as_json:
        show_json(plain(record), indent=1)
    else:
        _print(record)
        click.echo(f"Record and figures: {folder}")


def _print(record: Mapping[str, Any]) -> None:
    from experiments.cli.output import show_table
    from experiments.translation.ablations.account import account

    titles = ("steps", "passes", "BLEU", "95%", "chrF", "stutter %", "processor ms")
    rows = [
        (
            cell["network"],
            str(cell["seed"]),
            cell["scheme"],
            "" if cell["steps"] is None else str(cell["steps"]),
            f"{cell['passes']:.1f}",
            f"{cell['bleu']:.2f}",
            "{:.2f}..{:.2f}".format(*cell["interval"]["bleu"]),
            f"{cell['chrf']:.2f}",
            f"{100 * cell['stutter']:.2f}",
            f"{cell['processor_milliseconds']:.2f}",
        )
        for cell in record["cells"]
    ]
    show_table(("network", "seed", "scheme", *titles), rows, right=("seed", *titles))
    reference = record["cells"][0]
    click.echo(f"References: stutter {100 * reference['reference_stutter']:.2f} %. {reference['bleu_signature']}\n")
    for part in account(record):
        click.echo(f"{part.title}\n{part.text}")
        if part.table is not None:
            show_table(part.table.columns, part.table.rows, right=part.table.columns[2:5])
        click.echo()
