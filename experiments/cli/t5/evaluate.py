"""``gmlm t5 evaluate``: scores and speed of checkpoints on a test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.declared import Declared
from experiments.cli.paths import FIGURES, WrittenFile
from experiments.cli.t5.data import language_options
from experiments.cli.t5.decoding import decoding_options

if TYPE_CHECKING:
    from experiments.translation.quality import Quality
    from simulators.t5.decoding.rescoring import Rescorer
    from simulators.t5.decoding.translation import Settings
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5


@click.command(cls=Declared, declared=lambda: decoding_options(steps=False))
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--source", type=click.Path(path_type=Path), help="Source sentences, or source TAB reference.")
@click.option("--target", type=click.Path(path_type=Path), help="References, line by line.")
@click.option("--test-set", help="A test set of sacrebleu by name, such as wmt14; needs --languages.")
@click.option("--languages", help="Of --test-set, such as de-en.")
@language_options
@click.option("--limit", type=int, help="Only the first so many pairs.")
@click.option("--vocabulary", type=click.Path(path_type=Path), help="By default that of each checkpoint.")
@click.option("--steps", default="1,2,4,8", show_default=True, help="Refinement steps, one row of the table for each.")
@click.option("--oracle-lengths", is_flag=True, help="Refinement: use the lengths of the references.")
@click.option("--tokenizer", default="13a", show_default=True, help="Of BLEU: 13a, intl, char, zh or none.")
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=1000, show_default=True, help="Samples of intervals; 0: none."
)
@click.option(
    "--log-samples",
    type=click.Path(path_type=Path),
    help="File of JSON lines: sentences with every refinement step, where words stutter and registers mix.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=100, show_default=True, help="Sentences to log, at most."
)
@click.option("--figure", type=WrittenFile(*FIGURES), help="Draw BLEU against time: .svg, .png or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def evaluate(
    checkpoints: tuple[Path, ...],
    limit: int | None,
    vocabulary: Path | None,
    steps: str,
    oracle_lengths: bool,
    tokenizer: str,
    bootstrap: int,
    log_samples: Path | None,
    samples: int,
    figure: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """BLEU and chrF with 95% intervals, stutter, errors and milliseconds per sentence of CHECKPOINTS, by steps.

    What a sentence lacks to its reference is split into edits: because of its length, wrong tokens, and their order.

    Several checkpoints, autoregressive or refining, share one table and one figure. Options of a decoder apply to the
    checkpoints that have it. Without files or a test set the pairs are fresh ones of the synthetic language of
    `gmlm t5 train`.
    """
    import dataclasses

    from experiments.cli.output import show_json
    from experiments.cli.t5.decoding import (
        autoregressive_options,
        decoding_settings,
        load_rescorer,
        load_translation_model,
        refinement_options,
    )
    from experiments.figures import render
    from experiments.translation.quality import draw_frontier, first_pairs, measure_quality
    from experiments.translation.samples import as_lines
    from theory.files import write_atomically
    from theory.parameters import parse_numbers

    efforts = [int(number) for number in parse_numbers(steps, "--steps", whole=True)]
    pairs = first_pairs(_pairs(given), limit)
    loaded = [(folder, *load_translation_model(folder, vocabulary)) for folder in checkpoints]
    kinds = {network.config.decoder for _, network, _ in loaded}
    settings, rescorers = [], []
    for _, network, pieces in loaded:
        others = autoregressive_options() if network.config.decoder == "refinement" else refinement_options()
        other = {option.name for option in others}
        # An option of the other decoder is for the other checkpoints, where there are any.
        own = {name: None if len(kinds) > 1 and name in other else value for name, value in given.items()}
        settings.append(decoding_settings(network.config, own))
        rescorers.append(load_rescorer(own["rescorer"], pieces))
    rows: list[Quality] = []
    for (folder, network, pieces), chosen, rescorer in zip(loaded, settings, rescorers, strict=True):
        found = measure_quality(
            folder.name or str(folder),
            network,
            pieces,
            pairs,
            chosen,
            efforts,
            rows=given["batch_size"],
            seed=given["seed"],
            oracle_lengths=oracle_lengths,
            tokenizer=tokenizer,
            bootstrap=bootstrap,
            rescorer=rescorer,
            report=lambda text: click.echo(f"decoding {len(pairs.sources)} sentences: {text}", err=True),
        )
        rows += [quality for quality, *_ in found]
    if log_samples is not None:
        logged = first_pairs(pairs, min(samples, len(pairs.sources)))
        lines = []
        for (folder, network, pieces), chosen, rescorer in zip(loaded, settings, rescorers, strict=True):
            lines += _logged(folder, network, pieces, logged, chosen, efforts, rescorer, given)
        write_atomically(log_samples, as_lines(lines))
    plain = [dataclasses.asdict(row) for row in rows]
    if figure is not None:
        write_atomically(figure, render(draw_frontier(plain), figure.suffix[1:]))
    if as_json:
        show_json(plain, indent=1)
    else:
        show_quality(rows)


def _logged(
    folder: Path,
    network: T5,
    pieces: Vocabulary,
    pairs: Pairs,
    settings: Settings,
    efforts: list[int],
    rescorer: Rescorer | None,
    given: dict[str, Any],
) -> list[dict[str, Any]]:
    """The sample sentences of one checkpoint, with each number of steps."""
    import dataclasses

    from experiments.translation.samples import samples
    from simulators.t5.decoding.settings import RefinementSettings
    from simulators.t5.parallel_language import register_letter

    synthetic = given["source"] is None and given["test_set"] is None
    variants: list[tuple[int | None, Settings]] = [(None, settings)]
    if isinstance(settings, RefinementSettings):
        variants = [(steps, dataclasses.replace(settings, steps=steps, record=True)) for steps in efforts]
    entries = []
    for steps, variant in variants:
        found = samples(
            network,
            pieces,
            pairs,
            variant,
            rows=given["batch_size"],
            seed=given["seed"],
            rescorer=rescorer,
            register=register_letter if synthetic else None,
        )
        entries += [{"model": folder.name or str(folder), "refinement steps": steps} | entry for entry in found]
    return entries


def _pairs(given: dict[str, Any]) -> Pairs:
    """The test pairs that the options name."""
    from experiments.cli.t5.data import synthetic_language, validation_pairs
    from experiments.translation.quality import named_test_set
    from simulators.t5.files.parallel_text import read_pairs
    from theory.errors import InvalidInput

    if given["test_set"] is not None:
        if given["source"] is not None:
            raise InvalidInput("--test-set", given["test_set"], "a test set or files, not both")
        if given["languages"] is None:
            raise InvalidInput("--languages", None, "a test set needs them, such as de-en")
        return named_test_set(given["test_set"], given["languages"])
    if given["source"] is not None:
        return read_pairs(given["source"], given["target"])
    if given["target"] is not None:
        raise InvalidInput("--target", str(given["target"]), "needs --source")
    return validation_pairs(synthetic_language(given), given["data_seed"])


def show_quality(rows: Sequence[Quality]) -> None:
    """Print scores as a table, with what they are of."""
    from experiments.cli.output import show_table
    from experiments.translation.quality import with_interval

    numbers = ("steps", "passes", "BLEU", "chrF", "stutter %", "length", "tokens", "order", "ms")
    listed = [
        (
            row.model,
            row.decoder,
            "" if row.steps is None else str(row.steps),
            f"{row.passes:.1f}",
            with_interval(row.bleu, row.bleu_interval),
            with_interval(row.chrf, row.chrf_interval),
            f"{100 * row.stutter:.2f}",
            *(f"{error:.2f}" for error in (row.length_error, row.token_error, row.order_error)),
            f"{row.milliseconds:.2f}",
        )
        for row in rows
    ]
    show_table(("model", "decoder", *numbers), listed, right=numbers)
    click.echo(
        f"References: stutter {100 * rows[0].reference_stutter:.2f} %. Length, tokens, order: edits of a sentence, in "
        "tokens, that make its reference, because lengths differ, tokens are wrong, or stand in the wrong place."
    )
    for ceiling in sorted({round(row.ceiling, 2) for row in rows}):
        if ceiling < 100:
            click.echo(
                f"Ceiling: the references themselves, written with the vocabulary and read back, have {ceiling:.2f} "
                "BLEU (normalised or unknown characters)."
            )
    click.echo(f"BLEU {rows[0].bleu_signature}")
    click.echo(f"chrF {rows[0].chrf_signature}")
