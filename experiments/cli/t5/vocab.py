"""``gmlm t5 vocab``: a joint vocabulary from text."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.paths import WrittenFolder


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=WrittenFolder(), help="Folder for spiece.model.")
@click.option("--size", default=8192, show_default=True, help="Number of ids; a short text gives fewer.")
@click.option("--kind", type=click.Choice(["unigram", "word"]), default="unigram", show_default=True)
@click.option("--coverage", default=1.0, show_default=True, help="Share of all characters that must be known.")
def vocab(files: tuple[Path, ...], out: Path, size: int, kind: str, coverage: float) -> None:
    """Train one SentencePiece vocabulary on all FILES (both languages) and write it to a folder.

    pad 0, eos 1, unk 2, as in T5; transformers' T5Tokenizer.from_pretrained reads the folder too.
    """
    from simulators.t5.files.parallel_text import read_lines
    from simulators.t5.files.vocabulary import train_vocabulary

    lines = [line for file in files for line in read_lines(file)]
    vocabulary = train_vocabulary(lines, size, kind, coverage)  # type: ignore[arg-type]  # click checks it
    vocabulary.save(out)
    tokens = sum(map(len, vocabulary.encode(lines)))
    if kind == "unigram" and vocabulary.size < size:
        click.echo(f"{size} pieces were asked for; the text has no more than {vocabulary.size}.", err=True)
    click.echo(
        f"{vocabulary.size} pieces from {len(lines)} lines, {tokens / len(lines):.2f} tokens a line, EOS counted."
    )
