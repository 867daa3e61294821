"""``gmlm t5 translate``: a stream of lines through a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from experiments.cli.t5.decoding import decoding_options

if TYPE_CHECKING:
    from simulators.t5.decoding.translation import Target
    from simulators.t5.files.vocabulary import Vocabulary

LINES_OF_FILE = 16
"""Batches of a file that are read, sorted by length and translated together."""


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("source", type=click.File("rb"), default="-")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="By default that of the checkpoint folder.")
@decoding_options()
@click.option("--show-steps", is_flag=True, help="Print every refinement step, with the tokens that it changed marked.")
@click.option("--longest", type=int, help="Most tokens of a source line.  [default: longest target of the network]")
@click.option("--truncate", is_flag=True, help="Cut lines that are too long instead of stopping.")
def translate(
    checkpoint: Path,
    source: BinaryIO,
    vocabulary: Path | None,
    show_steps: bool,
    longest: int | None,
    truncate: bool,
    **given: Any,
) -> None:
    """Translate SOURCE (by default standard input) line by line with CHECKPOINT, in order, as lines arrive.

    An empty line gives an empty line. A line that cannot be translated ends the command with exit code 2; the lines
    before it have been written.
    """
    from experiments.cli.t5.decoding import decoding_settings, load_rescorer, load_translation_model
    from experiments.cli.t5.steps import StepPrinter
    from experiments.translation.line_stream import groups_of_lines
    from simulators.t5.decoding.translation import Translator
    from theory.errors import InvalidInput

    network, pieces = load_translation_model(checkpoint, vocabulary)
    if show_steps and network.config.decoder == "autoregressive":
        raise InvalidInput("--show-steps", True, "an autoregressive checkpoint has no refinement steps")
    limit = network.config.max_target_length if longest is None else longest
    if limit < 2:
        raise InvalidInput("--longest", longest, "at least 2 tokens are needed, EOS counted")
    settings = decoding_settings(network.config, given, record=show_steps)
    batch, seed = given["batch"], given["seed"]
    rescorer = load_rescorer(given["rescorer"], pieces)
    translator = Translator(network, settings, batch, seed, rescorer=rescorer)
    printer = StepPrinter(pieces, network.config) if show_steps else None
    reader = _Reader(pieces, limit, truncate)
    done = 0
    for lines in groups_of_lines(source, batch, LINES_OF_FILE * batch):
        rows, problem = reader.encode(lines, done)
        found: list[Target] = translator(rows, first=done)
        if printer is None:
            _write(found, pieces)
        else:
            for number, (row, target) in enumerate(zip(rows, found, strict=True), start=done + 1):
                printer.show(number, row, target)
        done += len(lines)
        if problem is not None:
            raise problem


def _write(targets: list[Target], pieces: Vocabulary) -> None:
    texts = pieces.decode(target.tokens for target in targets)
    # A piece may stand for a line end; an output line must stay one line.
    lines = "".join(" ".join(text.splitlines()) + "\n" for text in texts)
    click.echo(lines.encode(), nl=False)


class _Reader:
    """Lines as ids; a line that is too long or unreadable is reported after the lines before it."""

    def __init__(self, pieces: Vocabulary, longest: int, truncate: bool) -> None:
        self.pieces = pieces
        self.longest = longest
        self.truncate = truncate
        self.warned = False

    def encode(self, lines: list[bytes], done: int) -> tuple[list[list[int]], Exception | None]:
        """Ids of the lines up to the first that cannot be translated, and what is wrong with that one."""
        from theory.errors import InvalidInput

        rows: list[list[int]] = []
        for number, line in enumerate(lines, start=done + 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return rows, InvalidInput(f"line {number}", line, f"must be UTF-8 text; byte {error.start} is not")
            (row,) = self.pieces.encode([text.strip()])
            if len(row) > self.longest:
                if not self.truncate:
                    allowed = f"at most {self.longest} with EOS; --truncate cuts longer lines, --longest allows them"
                    return rows, InvalidInput(f"line {number}", f"{len(row)} tokens", allowed)
                row = [*row[: self.longest - 1], row[-1]]
            if self.pieces.unknown in row and not self.warned:
                self.warned = True
                click.echo(
                    f"Warning: line {number} has characters that the vocabulary does not know; they are read as one "
                    "unknown token (said once).",
                    err=True,
                )
            rows.append(row)
        return rows, None
