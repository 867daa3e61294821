"""Options that name the sentence pairs of a training, shared by the subcommands that need them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from theory.language import ParallelLanguage

VALIDATION_PAIRS = 500
"""Pairs that are drawn to validate on the synthetic language."""


class Data(NamedTuple):
    """Text of a training, and its vocabulary."""

    training: Pairs
    validation: Pairs | None
    vocabulary: Vocabulary


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that `read_data` reads."""
    options = (
        click.option("--source", type=click.Path(path_type=Path), help="Source sentences, or source TAB target."),
        click.option("--target", type=click.Path(path_type=Path), help="Target sentences, line by line."),
        click.option("--valid-source", type=click.Path(path_type=Path), help="As --source, for validation."),
        click.option("--valid-target", type=click.Path(path_type=Path), help="As --target, for validation."),
        click.option("--pairs", default=20_000, show_default=True, help="Synthetic language: training pairs."),
        language_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


def language_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that `synthetic_language` reads, and the seed of its pairs."""
    options = (
        click.option("--words", default=16, show_default=True, help="Synthetic language: source words."),
        click.option("--registers", default="0.5,0.5", show_default=True, help="Synthetic language: register law."),
        click.option("--doubling", default=0.0, show_default=True, help="Synthetic language: P(word has two tokens)."),
        click.option("--swap", default=0.0, show_default=True, help="Synthetic language: P(neighbours change places)."),
        click.option("--data-seed", default=0, show_default=True, help="Synthetic language: seed of the pairs."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def synthetic_language(options: dict[str, Any]) -> ParallelLanguage:
    """The language that the options describe."""
    from theory.language import ParallelLanguage
    from theory.parameters import parse_numbers

    return ParallelLanguage(
        tuple(parse_numbers(options["registers"], "--registers")),
        words=options["words"],
        doubling=options["doubling"],
        swap=options["swap"],
    )


def validation_pairs(language: ParallelLanguage, seed: int) -> Pairs:
    """Pairs of the language that no training on it draws, from a stream of their own."""
    from simulators.t5.parallel_language import sample_text

    return sample_text(language, VALIDATION_PAIRS, 2 * seed + 1)


def read_data(options: dict[str, Any]) -> Data:
    """The sentence pairs that the options name, and their vocabulary.

    Raises:
        InvalidInput: see `read_pairs`; files without a vocabulary, or parts that do not belong together.
    """
    from simulators.t5.files.parallel_text import read_pairs
    from simulators.t5.files.vocabulary import load_vocabulary
    from simulators.t5.parallel_language import language_vocabulary, sample_text
    from theory.errors import InvalidInput

    for name in ("target", "valid_source"):
        if options[name] is not None and options["source"] is None:
            raise InvalidInput(f"--{name.replace('_', '-')}", options[name], "needs --source")
    if options["valid_target"] is not None and options["valid_source"] is None:
        raise InvalidInput("--valid-target", options["valid_target"], "needs --valid-source")
    folder = options["vocabulary"] or options["origin"]
    if options["source"] is not None:
        if folder is None:
            raise InvalidInput("--vocabulary", None, "files need one: gmlm t5 vocab FILES --out FOLDER makes it")
        validation = None
        if options["valid_source"] is not None:
            validation = read_pairs(options["valid_source"], options["valid_target"])
        return Data(read_pairs(options["source"], options["target"]), validation, load_vocabulary(folder))
    language = synthetic_language(options)
    return Data(
        sample_text(language, options["pairs"], 2 * options["data_seed"]),
        validation_pairs(language, options["data_seed"]),
        language_vocabulary(language) if folder is None else load_vocabulary(folder),
    )
