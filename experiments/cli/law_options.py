"""The options that name a law, made from their one declaration: a model with its parameters, or a file of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from experiments.chains.model_spec import ModelSpec
from experiments.cli.declared import declared_options

FILE = click.Path(dir_okay=False, path_type=Path)


def law_options(models: Callable[[], Iterable[str]], sites: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the fields of `ModelSpec` as options, and ``--table``, ``--couplings`` and ``--fields``.

    Args:
        models: what ``--model`` can name, asked for when help is shown.
        sites: default of ``--sites``.
    """
    options = [
        click.option("--table", type=FILE, help="A law of your own: .npy of shape (q,)*N that sums to 1."),
        click.option("--couplings", type=FILE, help="Your own Ising model: J.npy, symmetric [N, N]."),
        click.option("--fields", type=FILE, help="With --couplings: h.npy, [N]."),
    ]
    made = declared_options(ModelSpec, defaults={"sites": sites}, names={"model": models})

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        # click collects the options of a function in this list, the last first.
        command.__click_params__ = [*getattr(command, "__click_params__", []), *reversed(made)]  # type: ignore[attr-defined]
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
