"""``gmlm t5 train``: train either decoder, from nothing or from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.declared import Declared, declared_options, declared_values
from experiments.cli.paths import WrittenFolder
from experiments.cli.t5.data import data_options

if TYPE_CHECKING:
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.training.corpus import Corpus

SIZES = {
    "width": ("d_model", 256, "Width of the states."),
    "hidden": ("d_ff", 512, "Hidden units of the feed-forward layers."),
    "heads": ("num_heads", 4, "Attention heads."),
    "head_width": ("d_kv", 64, "Width of a head."),
    "layers": ("num_layers", 4, "Encoder layers."),
    "decoder_layers": ("num_decoder_layers", 4, "Decoder layers."),
}
"""Options of a new network: field of the configuration, default, help."""


def _size_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, (_, default, text) in reversed(SIZES.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, type=int, help=f"{text} [default: {default}]")(command)
    return command


def _training_options() -> list[click.Option]:
    from simulators.t5.training.settings import NoiseSettings, ObjectiveSettings, OptimiserSettings, TrainingSettings

    return [
        *declared_options(NoiseSettings),
        *declared_options(ObjectiveSettings),
        *declared_options(OptimiserSettings, flags={"warmup_steps": "warmup"}),
        *declared_options(TrainingSettings, defaults={"steps": 2000}, helps={"seed": "Of all that is drawn."}),
    ]


@click.command(cls=Declared, declared=_training_options)
@click.argument("folder", type=WrittenFolder())
@data_options
@click.option(
    "--vocabulary", type=click.Path(path_type=Path), help="Folder or file of `gmlm t5 vocab`; needed for files."
)
@click.option("--from", "origin", type=click.Path(path_type=Path), help="Checkpoint folder to start from.")
@click.option(
    "--decoder",
    type=click.Choice(["autoregressive", "refinement"]),
    help="Refinement may start --from an autoregressive checkpoint.  [default: its own, or autoregressive]",
)
@_size_options
@click.option("--tied/--untied", default=None, help="Output layer is the embedding table.  [default: tied]")
@click.option("--dropout", type=float, help="Rate.  [default: that of --from, or 0.1]")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), help="Type of activations.")
@click.option(
    "--length-predictor",
    type=click.Choice(["token", "affine", "fertility", "oracle"]),
    help="How refinement finds the length.  [default: that of --from, or token]",
)
@click.option("--learned-rejecter/--no-learned-rejecter", default=None, help="A head that learns what to keep.")
@click.option("--positional-attention/--no-positional-attention", default=None, help="Attention by absolute position.")
@click.option("--range-masks/--no-range-masks", default=None, help="One mask symbol for each position.")
@click.option("--max-length", default=64, show_default=True, help="Most tokens of a sentence, EOS counted.")
@click.option("--strict", is_flag=True, help="Refuse longer sentences instead of leaving them out.")
@click.option(
    "--noise",
    default="uniform-ratio",
    show_default=True,
    metavar="NAME[:OPTION=VALUE]",
    help="Which tokens are noised: uniform-ratio, or bernoulli:ratio=0.15.",
)
@click.option("--check-every", default=250, show_default=True, help="Steps between validations and snapshots.")
def train(folder: Path, **options: Any) -> None:
    """Train a translation model into FOLDER. The same command goes on where an earlier one was stopped.

    Without --source a small synthetic language is learned, whose exact law is known. FOLDER is a Hugging Face
    checkpoint of the weights with the best validation loss.
    """
    from experiments.cli.t5.data import read_data
    from experiments.cli.t5.progress import training_progress
    from simulators.t5.files.vocabulary import require_own_vocabulary
    from simulators.t5.training.loop import Interrupted, fit, read_history

    settings = _settings(options)
    data = read_data(options)
    for checkpoint in (folder, options["origin"]):
        if checkpoint is not None:
            require_own_vocabulary(data.vocabulary, str(options["vocabulary"] or "that of the language"), checkpoint)
    network, start = _network(options, data.vocabulary.size)
    training = _corpus("training", data.training, data.vocabulary, options)
    validation = None
    if data.validation is not None:
        validation = _corpus("validation", data.validation, data.vocabulary, options)
    data.vocabulary.save(folder)
    with training_progress(settings.steps) as report:
        try:
            run = fit(
                network,
                training,
                settings,
                validation=validation,
                folder=folder,
                check_every=options["check_every"],
                report=report,
                description={"start": start, "vocabulary": data.vocabulary.fingerprint},
            )
        except Interrupted as interruption:
            step = interruption.step
            click.echo(f"\nStopped after step {step}; the same command goes on from there.", err=True)
            raise
    if run.started_at == settings.steps:
        click.echo(f"{folder} was trained to step {settings.steps} already.")
    best = next((entry for entry in read_history(folder) if entry.step == run.best_step), None)
    if best is not None and best.validation is not None:
        click.echo(f"Best weights: step {best.step}, validation {best.validation:.4f} nats a token, in {folder}.")


def _corpus(name: str, pairs: Pairs, vocabulary: Vocabulary, options: dict[str, Any]) -> Corpus:
    """Tokenised pairs; says how many there are."""
    from simulators.t5.training.corpus import make_corpus

    corpus = make_corpus(pairs, vocabulary, options["max_length"], options["strict"])
    left_out = f", {corpus.skipped} longer than {options['max_length']} tokens left out" if corpus.skipped else ""
    click.echo(f"{name}: {len(corpus)} pairs, {corpus.targets.lengths.sum()} target tokens{left_out}", err=True)
    return corpus


def _network(options: dict[str, Any], pieces: int) -> tuple[Any, dict[str, Any]]:
    """The network to train, and where its first weights come from."""
    from simulators.t5.files.checkpoints import adapt, load_checkpoint
    from simulators.t5.network.config import T5Config
    from simulators.t5.network.network import fresh_network
    from theory.errors import InvalidInput

    named = {
        "dropout_rate": options["dropout"],
        "dtype": options["dtype"],
        "length_predictor": options["length_predictor"],
        "learned_rejecter": options["learned_rejecter"],
        "positional_attention": options["positional_attention"],
        "range_masks": options["range_masks"],
    }
    chosen = {name: value for name, value in named.items() if value is not None}
    sizes = {name: options[name] for name in SIZES if options[name] is not None}
    decoder, origin = options["decoder"], options["origin"]
    if origin is None:
        tied = options["tied"] is not False
        fields = {field: sizes.get(name, default) for name, (field, default, _) in SIZES.items()}
        config = T5Config(
            vocab_size=pieces,
            tied=tied,
            scale_decoder_outputs=tied,
            decoder=decoder or "autoregressive",
            max_target_length=options["max_length"],
            **fields,
            **chosen,
        )
        return fresh_network(config, options["seed"]), {"seed": options["seed"]}
    if sizes or options["tied"] is not None:
        name = next(iter(sizes), "tied")
        raise InvalidInput(f"--{name.replace('_', '-')}", options[name], "the sizes are those of --from")
    network = load_checkpoint(origin)
    if network.config.vocab_size < pieces:
        raise InvalidInput("--vocabulary", f"{pieces} pieces", f"{origin} has {network.config.vocab_size}")
    here = {"from": str(origin.resolve())}
    if decoder == "autoregressive" and network.config.decoder != decoder:
        raise InvalidInput("--decoder", decoder, f"{origin} is a refinement checkpoint")
    if (decoder or network.config.decoder) == "refinement":
        return adapt(network, options["seed"], max_target_length=options["max_length"], **chosen), here
    network.config = network.config.replace(**chosen)
    return network, here


def _settings(options: dict[str, Any]) -> Any:
    from simulators.t5.training.settings import (
        NoiseSettings,
        ObjectiveSettings,
        OptimiserSettings,
        TrainingSettings,
        parse_noise,
    )

    return TrainingSettings(
        **declared_values(TrainingSettings, options),
        optimiser=OptimiserSettings(**declared_values(OptimiserSettings, options)),
        objective=ObjectiveSettings(
            **declared_values(ObjectiveSettings, options),
            noise=NoiseSettings(parse_noise(options["noise"]), **declared_values(NoiseSettings, options)),
        ),
    )
