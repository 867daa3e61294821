"""``gmlm text``: a masked language model over characters, from training to text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.seeds import SEED


@click.group()
def text() -> None:
    """Train a character-level masked model, generate text by any decoder, measure it.

    Without --corpus the text is the opening of Alice's Adventures in Wonderland.
    """


def _corpus(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--corpus", type=click.Path(path_type=Path), help="UTF-8 text file; a short embedded text by default."
    )(command)


@text.command()
@click.argument("folder", type=WrittenFolder())
@_corpus
@click.option(
    "--masks",
    default="uniform-ratio",
    show_default=True,
    help="uniform-ratio, bernoulli:ratio=0.15, k-uniform:k=3 or spans:length=4.",
)
@click.option("--steps", default=1500, show_default=True, help="Optimiser steps.")
@click.option("--batch-size", default=64, show_default=True, help="Windows of each step.")
@click.option("--window", default=32, show_default=True, help="Characters of a window.")
@click.option("--width", default=64, show_default=True, help="Width of the Transformer.")
@click.option("--layers", default=2, show_default=True, help="Layers of the Transformer.")
@click.option("--heads", default=4, show_default=True, help="Attention heads of each layer.")
@click.option("--learning-rate", default=3e-3, show_default=True, help="Largest learning rate.")
@click.option("--weight-decay", default=0.01, show_default=True, help="Of AdamW.")
@click.option(
    "--weighting", default="mask", show_default=True, help="token: each masked token counts one; mask: each mask."
)
@click.option("--validation", default=0.1, show_default=True, help="Share of the text, at its end, to keep apart.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the network, the batches and the masks.")
@click.option("--checkpoint-every", default=100, show_default=True, help="Steps between checkpoints.")
def train(
    folder: Path,
    corpus: Path | None,
    masks: str,
    steps: int,
    batch_size: int,
    window: int,
    width: int,
    layers: int,
    heads: int,
    learning_rate: float,
    weight_decay: float,
    weighting: str,
    validation: float,
    seed: int,
    checkpoint_every: int,
) -> None:
    """Train a model into FOLDER. The same command goes on where an earlier one was stopped."""
    from experiments.cli.output import say
    from experiments.cli.progress import progress
    from simulators.gmlm.text.corpus import Vocabulary, read_corpus, split
    from simulators.gmlm.text.model import train_text
    from simulators.gmlm.training import TrainingSettings
    from simulators.gmlm.transformer import TransformerConfig
    from theory.masks import parse_masks

    content = read_corpus(corpus)
    vocabulary = Vocabulary.of(split(content, window, validation)[0])
    config = TransformerConfig(window, vocabulary.symbols, width, layers, heads)
    settings = TrainingSettings(
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_steps=min(50, steps // 5),
        weighting=weighting,  # type: ignore[arg-type]  # the settings check it
        seed=seed,
    )
    with progress("step", steps) as task:
        _, run = train_text(
            folder,
            content,
            config,
            vocabulary,
            parse_masks(masks, window),
            settings,
            validation=validation,
            checkpoint_every=checkpoint_every,
            report=lambda step, loss: task.update(step, text=f"loss {loss:.4f}", now=step == steps),
        )
    if run.started_at == steps:
        say(f"{folder} was trained to step {steps} already.")
    else:
        before = f" (went on from step {run.started_at})" if run.started_at else ""
        click.echo(f"Trained to step {steps}{before}, mean loss of the last steps {run.losses[-50:].mean():.4f} nats.")


def usual_decoders(sites: int, calls: int) -> tuple[str, ...]:
    """What is compared by default: orders, confident tokens first, masking again, and chains from one parallel call."""
    decoders = ("left-to-right", "first-hitting", "random-order", "llada", "mask-predict")
    if calls == 1:
        return decoders
    parallel = f"one-shot+k-parallel:k={max(1, sites // 2)},times={calls - 1}"
    return (*decoders, parallel, f"one-shot+k-gibbs:k=1,times={calls - 1}")


@text.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_corpus
@click.option(
    "--decoder",
    "decoders",
    multiple=True,
    help="A decoder with its options, such as llada:temperature=0.7,block=8 or one-shot+k-gibbs:k=1,times=15; may be "
    "given several times. A selection by default.",
)
@click.option("--count", default=16, show_default=True, help="Texts of each decoder.")
@click.option("--calls", type=int, help="Network calls, of decoders that have such a number; 16 or the window.")
@click.option("--show", default=1, show_default=True, help="Texts to print for each decoder.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def generate(
    folder: Path,
    corpus: Path | None,
    decoders: tuple[str, ...],
    count: int,
    calls: int | None,
    show: int,
    seed: int,
    as_json: bool,
) -> None:
    """Text from the model in FOLDER, with network calls and n-gram distances to the corpus (training part)."""
    import numpy as np

    from experiments.cli.output import show_json
    from simulators.gmlm.text.corpus import read_corpus
    from simulators.gmlm.text.model import compare_ngrams, load_text_model
    from theory.decoding import FunctionPredictor, parse, sample
    from theory.errors import InvalidInput

    if count < 1:
        raise InvalidInput("count", count, "at least 1 is needed")
    content = read_corpus(corpus)
    model = load_text_model(folder)
    sites = model.network.sites
    asked = min(16, sites) if calls is None else calls
    predictor = FunctionPredictor(sites, model.vocabulary.symbols, model.predict)
    entries = []
    for decoder in decoders or usual_decoders(sites, asked):
        found = sample(predictor, parse(decoder), asked, count, np.random.default_rng(seed))
        comparisons = compare_ngrams(model, content, found.sequences)
        entries.append(
            {
                "decoder": decoder,
                "network_calls": float(found.calls.mean()),
                "ngram_distance": {c.order: c.generated for c in comparisons},
                "ngram_distance_of_true_text": {c.order: c.held_out for c in comparisons},
                "texts": [model.vocabulary.decode(row) for row in found.sequences],
            }
        )
    if as_json:
        show_json(entries, indent=1)
        return
    for entry in entries:
        distances = ", ".join(f"{n}-gram {value:.3f}" for n, value in entry["ngram_distance"].items())  # type: ignore[attr-defined]
        click.echo(f"{entry['decoder']}: {entry['network_calls']:g} network calls; distance to the corpus: {distances}")
        for sampled in entry["texts"][:show]:  # type: ignore[index]
            click.echo("  | " + sampled.replace("\n", "\n  | "))
    distances = ", ".join(f"{c.order}-gram {c.held_out:.3f}" for c in comparisons)
    count = comparisons[0].windows
    click.echo(f"True text for comparison ({count} held-out window{'s' * (count != 1)}): {distances}")


@text.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_corpus
@click.option(
    "--decoder",
    "decoders",
    multiple=True,
    required=True,
    help="A decoder with its options; may be given several times.",
)
@click.option("--calls", type=int, help="Network calls, of decoders that have such a number; 16 or the window.")
@click.option("--limit", default=128, show_default=True, help="Held-out windows at most.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the decoders' own choices.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def score(
    folder: Path,
    corpus: Path | None,
    decoders: tuple[str, ...],
    calls: int | None,
    limit: int,
    seed: int,
    as_json: bool,
) -> None:
    """-ln q(x) of held-out text under each decoder, in nats per character, with a 95% interval over the windows.

    Exact where the decoder's choice of sites follows from the text; a bound from above where it is random.
    """
    import dataclasses

    import numpy as np

    from experiments.cli.output import show_json
    from experiments.decoding.score import score as measure
    from experiments.plain import plain
    from simulators.gmlm.text.corpus import read_corpus
    from simulators.gmlm.text.model import load_text_model
    from theory.decoding import FunctionPredictor, parse
    from theory.errors import InvalidInput

    if limit < 2:
        raise InvalidInput("limit", limit, "at least 2 are needed for an interval")
    model = load_text_model(folder)
    windows = model.sources(read_corpus(corpus), limit)[1].astype(np.int64)
    if len(windows) < 2:
        raise InvalidInput("corpus", f"{len(windows)} held-out windows", "at least 2 are needed for an interval")
    sites = model.network.sites
    predictor = FunctionPredictor(sites, model.vocabulary.symbols, model.predict)
    entries = []
    for decoder in decoders:
        found = measure(predictor, parse(decoder), min(16, sites) if calls is None else calls, windows, seed)
        loss = dataclasses.replace(
            found.loss,
            value=found.loss.value / sites,
            interval=(found.loss.interval[0] / sites, found.loss.interval[1] / sites),
        )
        entries.append({"decoder": decoder, "expected_calls": found.expected_calls, "loss": dataclasses.asdict(loss)})
    if as_json:
        show_json(plain({"windows": len(windows), "sites": sites, "decoders": entries}))
        return
    click.echo(f"{len(windows)} held-out windows of {sites} characters, nats per character:")
    for entry in entries:
        low, high = entry["loss"]["interval"]  # type: ignore[index]
        sign = "at most " if entry["loss"]["kind"] == "upper" else ""  # type: ignore[index]
        click.echo(
            f"{entry['decoder']}: {sign}{entry['loss']['value']:.4f} "  # type: ignore[index]
            f"({low:.4f} to {high:.4f}), {entry['expected_calls']:.4g} calls"
        )


@text.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_corpus
@click.option("--ratios", default="0.05,0.15,0.4,0.7,1", show_default=True, help="Mask ratios.")
@click.option("--limit", default=256, show_default=True, help="Windows of each part at most.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the masks.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def evaluate(folder: Path, corpus: Path | None, ratios: str, limit: int, seed: int, as_json: bool) -> None:
    """Negative log-pseudolikelihood of the model in FOLDER by mask ratio, in nats per masked character."""
    import dataclasses

    from experiments.cli.output import show_json
    from simulators.gmlm.text.corpus import read_corpus
    from simulators.gmlm.text.model import evaluate as measure
    from simulators.gmlm.text.model import load_text_model
    from theory.errors import InvalidInput
    from theory.parameters import parse_numbers

    if limit < 1:
        raise InvalidInput("limit", limit, "at least 1 is needed")
    content = read_corpus(corpus)
    model = load_text_model(folder)
    parts = dict(
        zip(
            ("training", "validation"),
            measure(model, content, parse_numbers(ratios, "ratios"), limit, seed),
            strict=True,
        )
    )
    if as_json:
        show_json({name: [dataclasses.asdict(row) for row in rows] for name, rows in parts.items()}, indent=1)
        return
    click.echo(f"Step {model.step}. Nats per masked character (standard error over windows):")
    click.echo("ratio   training          validation")
    for row, held_out in zip(parts["training"], parts["validation"], strict=True):
        cells = [f"{entry.loss:.4f} ({entry.standard_error:.4f})" for entry in (row, held_out)]
        click.echo(f"{row.ratio:<7g} {cells[0]:<17} {cells[1]}")
