"""``gmlm t5 recipe``: from two text files to a tested student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.t5.study import study_options


@click.command()
@click.argument("folder", type=WrittenFolder())
@click.option(
    "--source", required=True, type=click.Path(path_type=Path), help="Source sentences, or source TAB target."
)
@click.option("--target", type=click.Path(path_type=Path), help="Target sentences, line by line.")
@click.option(
    "--held-out", default=1000, show_default=True, help="Pairs to validate on, and as many to test on; drawn at random."
)
@click.option("--refine", default="1,2,4", show_default=True, help="Refinement steps to score.")
@click.option("--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True, help="Of the intervals.")
@study_options
@click.option("--json", "as_json", is_flag=True, help="Print the record.")
def recipe(
    folder: Path,
    source: Path,
    target: Path | None,
    held_out: int,
    refine: str,
    bootstrap: int,
    batch_size: int,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Make FOLDER/teacher and FOLDER/student from sentence pairs: vocabulary, teacher, distillation, student, scores.

    The student learns the teacher's translations in three legs, with range masks and attention by position; the leg
    that translates validation pairs best is kept. The same command goes on where an earlier one was stopped.
    """
    import dataclasses

    from experiments.cli.output import show_json
    from experiments.cli.t5.evaluate import show_quality
    from experiments.cli.t5.progress import counting, training_progress
    from experiments.files import write_json
    from experiments.translation.ablations.text import split_text
    from experiments.translation.ablations.training import Networks, StudySettings
    from experiments.translation.ablations.variants import MASK_PREDICT_OPTIONS
    from experiments.translation.recipe import follow_recipe
    from simulators.t5.files.parallel_text import read_pairs
    from theory.errors import InvalidInput
    from theory.parameters import parse_numbers

    efforts = [int(number) for number in parse_numbers(refine, "--refine", whole=True)]
    if not efforts or min(efforts) < 1:
        raise InvalidInput("--refine", refine, "whole numbers of at least 1 are needed")
    settings = StudySettings(**sizes)
    text = split_text(read_pairs(source, target), held_out, settings.seed)

    def say(message: str) -> None:
        click.echo(message, err=True)

    say(f"{len(text.train.sources)} pairs to train on, {held_out} to validate on and {held_out} to test on")
    networks = Networks(folder, text, settings, say, training_progress, counting)
    found = follow_recipe(networks, efforts, batch_size, bootstrap, say)
    record = found | {"quality": [dataclasses.asdict(quality) for quality in found["quality"]]}
    write_json(folder / "record.json", record)
    if as_json:
        show_json(record, indent=1)
        return
    for sample in found["samples"]:
        click.echo("\n".join(f"{name:9} {text}" for name, text in sample.items()) + "\n")
    show_quality(found["quality"])
    click.echo(f"Student: {found['reason']}.")
    click.echo(
        f"Use it: gmlm t5 translate {folder / 'student'} --rescorer {folder / 'teacher'} --length-candidates 3 "
        f"--start range-mask {MASK_PREDICT_OPTIONS}"
    )
