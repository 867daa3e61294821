"""The options that name a law, made from their declarations: a model with its parameters, or files of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from experiments.chains.law_files import LawFiles
from experiments.chains.model_spec import ModelSpec
from experiments.cli.declared import declared_options

FILE = click.Path(dir_okay=False, path_type=Path)


def law_options(
    models: Callable[[], Iterable[str]], sites: int, files: type = LawFiles
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds the fields of `ModelSpec` and of ``files`` as options.

    Args:
        models: what ``--model`` can name, asked for when help is shown.
        sites: default of ``--sites``.
        files: declares which files can stand for a law.
    """
    made = [
        *declared_options(files),
        *declared_options(ModelSpec, defaults={"sites": sites}, names={"model": models}),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        # click collects the options of a function in this list, the last first.
        command.__click_params__ = [*getattr(command, "__click_params__", []), *reversed(made)]  # type: ignore[attr-defined]
        return command

    return decorate
