"""``gmlm t5 translate``: a stream of lines through a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from experiments.cli.declared import Declared
from experiments.cli.t5.decoding import decoding_options

if TYPE_CHECKING:
    from simulators.t5.decoding.translation import Target
    from simulators.t5.files.vocabulary import Vocabulary

LINES_OF_FILE = 16
"""Batches of a file that are read, sorted by length and translated together."""


@click.command(cls=Declared, declared=decoding_options)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("source", type=click.File("rb"), default="-")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="By default that of the checkpoint folder.")
@click.option("--show-steps", is_flag=True, help="Print every refinement step, with the tokens that it changed marked.")
@click.option(
    "--max-source-length",
    "longest",
    type=int,
    help="Most tokens of a source line.  [default: longest target of the network]",
)
@click.option(
    "--long",
    "treatment",
    type=click.Choice(("refuse", "split", "truncate")),
    default="refuse",
    show_default=True,
    help="Lines longer than that: stop, translate them in parts, or cut them.",
)
@click.option(
    "--n-best", type=click.IntRange(min=1), help="Print so many hypotheses: line number, score, text, by tabs."
)
def translate(
    checkpoint: Path,
    source: BinaryIO,
    vocabulary: Path | None,
    show_steps: bool,
    longest: int | None,
    treatment: str,
    n_best: int | None,
    **given: Any,
) -> None:
    """Translate SOURCE (by default standard input) line by line with CHECKPOINT, in order, as lines arrive.

    A line without anything to be seen gives an empty line, so that a document keeps its form. A line that cannot be
    translated ends the command with exit code 2; the lines before it have been written.
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
        raise InvalidInput("--max-source-length", longest, "at least 2 tokens are needed, EOS counted")
    if n_best is not None and (show_steps or treatment == "split"):
        raise InvalidInput("--n-best", n_best, "neither steps nor lines in parts have hypotheses to list")
    settings = decoding_settings(network.config, given, record=show_steps, n_best=n_best)
    batch, seed = given["batch_size"], given["seed"]
    rescorer = load_rescorer(given["rescorer"], pieces)
    translator = Translator(network, settings, batch, seed, rescorer=rescorer)
    printer = StepPrinter(pieces, network.config) if show_steps else None
    reader = _Reader(pieces, limit, treatment)
    done = translated = 0
    for lines in groups_of_lines(source, batch, LINES_OF_FILE * batch):
        parts, problem = reader.encode(lines, done)
        rows = [row for line in parts for row in line]
        found = iter(translator(rows, first=translated))
        targets = [[next(found) for _ in line] for line in parts]
        if printer is not None:
            for number, (line, own) in enumerate(zip(parts, targets, strict=True), start=done + 1):
                for row, target in zip(line, own, strict=True):
                    printer.show(number, row, target)
        elif n_best is not None:
            _write_ranked([own for (own,) in targets], pieces, done + 1)
        else:
            _write(targets, pieces)
        done += len(lines)
        translated += len(rows)
        if problem is not None:
            raise problem


def _one_line(text: str) -> str:
    """A piece may stand for a line end or a tab; an output line must stay one line, and a column one column."""
    return " ".join(text.replace("\t", " ").splitlines())


def _write(targets: list[list[Target]], pieces: Vocabulary) -> None:
    texts = iter(pieces.decode(target.tokens for line in targets for target in line))
    lines = (" ".join(_one_line(next(texts)) for _ in line) for line in targets)
    click.echo("".join(line + "\n" for line in lines).encode(), nl=False)


def _write_ranked(targets: list[Target], pieces: Vocabulary, first: int) -> None:
    """Line number, score and text of each hypothesis; an empty line has one, without a score."""
    lines = []
    for number, target in enumerate(targets, start=first):
        ranked: Sequence[tuple[list[int], float | None]] = target.ranked or [(target.tokens, target.score)]
        for text, (_, score) in zip(pieces.decode(tokens for tokens, _ in ranked), ranked, strict=True):
            lines.append(f"{number}\t{'' if score is None else f'{score:.6g}'}\t{_one_line(text)}\n")
    click.echo("".join(lines).encode(), nl=False)


class _Reader:
    """Lines as ids; a line that is too long or unreadable is reported after the lines before it."""

    def __init__(self, pieces: Vocabulary, longest: int, treatment: str) -> None:
        self.pieces = pieces
        self.longest = longest
        self.treatment = treatment
        self.warned = False

    def encode(self, lines: list[bytes], done: int) -> tuple[list[list[list[int]]], Exception | None]:
        """Ids of the parts of each line, up to the first that cannot be translated, and what is wrong with that one."""
        from experiments.translation.long_lines import parts_of
        from simulators.text_files import invisible
        from theory.errors import InvalidInput

        rows: list[list[list[int]]] = []
        for number, line in enumerate(lines, start=done + 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return rows, InvalidInput(f"line {number}", line, f"must be UTF-8 text; byte {error.start} is not")
            (row,) = self.pieces.encode(["" if invisible(text) else text.strip()])
            line_rows = [row]
            if len(row) > self.longest:
                if self.treatment == "refuse":
                    allowed = f"at most {self.longest} with EOS; --long splits or cuts, --max-source-length allows them"
                    return rows, InvalidInput(f"line {number}", f"{len(row)} tokens", allowed)
                if self.treatment == "truncate":
                    line_rows = [[*row[: self.longest - 1], row[-1]]]
                else:
                    try:
                        line_rows = self.pieces.encode(parts_of(text, self.pieces, self.longest))
                    except InvalidInput as error:
                        return rows, InvalidInput(f"line {number}: {error.argument}", error.value, error.allowed)
            if any(self.pieces.unknown in part for part in line_rows) and not self.warned:
                self.warned = True
                click.echo(
                    f"Warning: line {number} has characters that the vocabulary does not know; they are read as one "
                    "unknown token (said once).",
                    err=True,
                )
            rows.append(line_rows)
        return rows, None
