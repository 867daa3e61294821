"""The options that name a law, made from their one declaration: a model with its parameters, or a file of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from experiments.chains.model_spec import ModelSpec
from experiments.cli.seeds import SEED
from theory.parameters import describe

FILE = click.Path(dir_okay=False, path_type=Path)


def law_options(models: str, sites: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the fields of `ModelSpec` as options, and ``--table``, ``--couplings`` and ``--fields``.

    Args:
        models: help of ``--model``.
        sites: default of ``--sites``.
    """
    options = [
        click.option("--table", type=FILE, help="A law of your own: .npy of shape (q,)*N that sums to 1."),
        click.option("--couplings", type=FILE, help="Your own Ising model: J.npy, symmetric [N, N]."),
        click.option("--fields", type=FILE, help="With --couplings: h.npy, [N]."),
    ]
    for name, declared in describe(ModelSpec).items():
        kind = SEED if name == "seed" else declared.type
        default = sites if name == "sites" else declared.default
        text = models if name == "model" else declared.rule.help[0].upper() + declared.rule.help[1:].rstrip(".") + "."
        options.append(click.option(f"--{name}", type=kind, default=default, show_default=True, help=text))

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
