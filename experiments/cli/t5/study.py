"""Options of the commands that train a teacher and what starts from it: sizes, lengths of training, and the seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from experiments.cli.seeds import SEED


def study_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the fields of `experiments.translation.ablations.training.StudySettings`, and ``--batch-size``."""
    options = (
        click.option("--pieces", default=4096, show_default=True, help="Size of the vocabulary."),
        click.option(
            "--max-length", default=48, show_default=True, help="Most tokens of a training sentence, EOS counted."
        ),
        click.option("--width", default=192, show_default=True, help="Width of the states, a multiple of 32."),
        click.option("--layers", default=3, show_default=True, help="Layers of encoder and decoder."),
        click.option(
            "--teacher-steps", default=10_000, show_default=True, help="Optimiser steps of autoregressive networks."
        ),
        click.option(
            "--steps", default=5000, show_default=True, help="Optimiser steps of refining ones, which start from them."
        ),
        click.option("--batch-tokens", default=2048, show_default=True, help="Padded target tokens of a step."),
        click.option(
            "--learning-rate", default=0.01, show_default=True, help="The largest, relative; half of it for --steps."
        ),
        click.option("--seed", type=SEED, default=0, show_default=True, help="The first, of weights, order and noise."),
        click.option(
            "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Sentences decoded at once."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command
