"""The options that name a law, made from their declarations: a model with its parameters, or files of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.chains.law_files import LawFiles
from experiments.chains.model_spec import ModelSpec
from experiments.cli.declared import declared_options, declared_values

if TYPE_CHECKING:
    from theory.laws import JointLaw
    from theory.laws.length import SequenceLaw

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


def corpus_options(use: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that adds ``--corpus``, ``--order`` and ``--smoothing``.

    Args:
        use: help of ``--corpus``.
    """
    number: dict[str, Any] = {"show_default": True}
    options = [
        click.option("--corpus", type=FILE, help=use),
        click.option("--order", type=int, default=1, help="With --corpus: order R of the model, 1 to 3.", **number),
        click.option(
            "--smoothing", type=float, default=0.1, help="With --corpus: added to the count of every symbol.", **number
        ),
    ]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def read_law(
    seed: int,
    *,
    corpus: Path | None,
    order: int,
    alphabet: str,
    smoothing: float,
    transition: Path | None = None,
    large_tables: bool = False,
    **options: Any,
) -> JointLaw | SequenceLaw:
    """The law that the options name: a table, or a law at length.

    Args:
        seed: of random models.
        corpus, order, alphabet, smoothing, transition: laws at length from files.
        large_tables: take tables of more sequences than decoders are enumerated on.
        options: the fields of `LawFiles` and of `ModelSpec`.

    Raises:
        InvalidInput: two files, a file that cannot be used, or a value that the model does not allow.
    """
    from experiments.chains.inputs import law_from_files, source_of
    from experiments.chains.models import MODELS, build_law
    from experiments.decoding.laws import AT_LENGTH, corpus_law, model_law, transition_law
    from theory.errors import InvalidInput

    files = LawFiles(**declared_values(LawFiles, options))
    given = {**declared_values(LawFiles, options), "transition": transition, "corpus": corpus}
    named = [name for name, file in given.items() if file and name != "fields"]
    if len(named) > 1:
        raise InvalidInput(f"--{named[0]}", str(given[named[0]]), f"give either --{named[0]} or --{named[1]}")
    if files.fields and not files.couplings:
        raise InvalidInput("--fields", files.fields, "goes with --couplings")
    if source_of(files) is not None:
        return law_from_files(files, options["coupling"], options["field"])[0]
    if transition is not None:
        return transition_law(transition, options["sites"])
    if corpus is not None:
        return corpus_law(corpus, order, options["sites"], alphabet, smoothing)
    spec = ModelSpec(**declared_values(ModelSpec, {**options, "seed": seed}))
    only_tables = spec.model in MODELS and spec.model not in AT_LENGTH
    return build_law(spec) if large_tables and only_tables else model_law(spec)
