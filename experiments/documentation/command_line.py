"""Reference of the command line, from the objects that parse it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial

import click

from experiments.cli import gmlm
from experiments.documentation.markdown import escaped, table

FOLDER = "reference/command-line"


def pages() -> dict[str, Callable[[], str]]:
    """An overview, and a page for every command with its subcommands."""
    return {
        f"{FOLDER}/index.md": _overview,
        **{f"{FOLDER}/{name}.md": partial(_page, command) for name, command in gmlm.commands.items()},
    }


def _overview() -> str:
    rows = [
        (f"[`gmlm {name}`]({name}.md)", escaped(command.get_short_help_str(200)))
        for name, command in gmlm.commands.items()
    ]
    return "\n".join(
        [
            "# Command line\n",
            "Every command has `--help`. Input that cannot be used ends with one line that names the argument, its "
            "value and what is allowed. Exit codes: 0, 1 (a claim is violated, a cell failed), 2 (unusable input), "
            "130 (interrupted).\n",
            table(("command", "what it does"), rows),
        ]
    )


def _page(command: click.Command) -> str:
    return "\n".join(_described(command, click.Context(gmlm, info_name="gmlm"), 1))


def _described(command: click.Command, parent: click.Context, level: int) -> Iterator[str]:
    context = click.Context(command, parent, info_name=command.name)
    yield f"{'#' * level} {context.command_path}\n"
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"
    yield _prose(command.help or "")
    records = [parameter.get_help_record(context) for parameter in command.params]
    options = [record for record in records if record is not None and record[1]]
    if options:
        yield table(
            ("option", "meaning"), ((f"`{names.replace('|', chr(0x2223))}`", escaped(text)) for names, text in options)
        )
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _described(command.commands[name], context, level + 1)


def _prose(text: str) -> str:
    """Help text as Markdown: a paragraph after the mark of click for text as it stands is a block of code."""
    paragraphs = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.lstrip().startswith("\b"):
            lines = paragraph.replace("\b", "").strip("\n").splitlines()
            paragraphs.append("\n".join(f"    {line.strip()}" for line in lines if line.strip()))
        else:
            paragraphs.append(escaped(paragraph))
    return "\n\n".join(paragraphs) + "\n"
