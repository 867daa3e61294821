"""What the commands that decode have in common: checkpoint, vocabulary, and the options of both decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.declared import Registered, with_options
from experiments.cli.seeds import SEED

if TYPE_CHECKING:
    from simulators.t5.decoding.rescoring import Rescorer
    from simulators.t5.decoding.translation import Settings
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.config import T5Config
    from simulators.t5.network.network import T5

SENTINELS = 100
"""Ids that published T5 checkpoints hold beyond their vocabulary file."""
ROUNDED_TO = 128
"""They then round the number of ids up to a multiple of it."""

STARTS = ("mask", "random", "range-mask")

AUTOREGRESSIVE = ("beams", "max_length", "min_length", "early_stopping")
REFINEMENT = (
    "steps",
    "start",
    "replacement",
    "rejecter",
    "update",
    "remove_stutter",
    "early_exit",
    "rescorer",
    "length_candidates",
    "length_beam",
    "parallel_decodes",
)


def _rejecters() -> Iterable[str]:
    from simulators.t5.decoding.rejecters import REJECTERS

    return with_options(REJECTERS)


def decoding_options(steps: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds every option of both decoders; ``--steps`` only where the command takes a single number of steps."""
    options = [
        click.option("--start", type=click.Choice(STARTS), help="Refinement: first tokens.  [default: mask]"),
        click.option(
            "--replacement",
            type=click.Choice(("previous", "initial", "summed")),
            help="Refinement: what fills a rejected position.  [default: previous]",
        ),
        click.option(
            "--rejecter",
            metavar="NAME[:OPTION=VALUE]",
            cls=Registered,
            names=_rejecters,
            help="Refinement: which predictions are not kept, by default none.",
        ),
        click.option(
            "--update",
            type=click.Choice(("all", "rejected")),
            help="Refinement: predict all positions each step, or only rejected ones (mask-predict).  [default: all]",
        ),
        click.option(
            "--remove-stutter",
            type=click.Choice(("never", "end", "each-step")),
            help="Refinement: remove repeated neighbours.  [default: never]",
        ),
        click.option(
            "--early-exit/--no-early-exit",
            default=None,
            help="Refinement: stop a sentence that cannot change.  [default: early exit]",
        ),
        click.option("--length-candidates", type=int, help="Refinement: likely lengths to try.  [default: 1]"),
        click.option("--length-beam", type=int, help="Refinement: odd number of lengths around each.  [default: 1]"),
        click.option("--parallel-decodes", type=int, help="Refinement: random starts or draws each.  [default: 1]"),
        click.option(
            "--rescorer",
            type=click.Path(path_type=Path),
            help="Refinement: autoregressive checkpoint that chooses among the hypotheses, such as the teacher.",
        ),
        click.option("--beams", type=int, help="Autoregressive: width of beam search.  [default: 1]"),
        click.option("--max-length", type=int, help="Autoregressive: most tokens.  [default: that of the network]"),
        click.option("--min-length", type=int, help="Autoregressive: fewest tokens.  [default: 1]"),
        click.option(
            "--early-stopping",
            type=click.Choice(("heuristic", "never", "always")),
            help="Autoregressive: when a beam stops, as in transformers.  [default: heuristic]",
        ),
        click.option("--length-penalty", type=float, help="Exponent, in choosing among hypotheses."),
        click.option("--temperature", type=float, default=0.0, show_default=True, help="0: the most likely token."),
        click.option("--top-k", type=int, default=0, show_default=True, help="Draw from the k likeliest; 0: all."),
        click.option("--top-p", type=float, default=1.0, show_default=True, help="Draw from this mass."),
        click.option("--seed", type=SEED, default=0, show_default=True, help="Of every draw."),
        click.option(
            "--batch-size", type=click.IntRange(min=1), default=64, show_default=True, help="Sentences at once."
        ),
    ]
    if steps:
        options.insert(0, click.option("--steps", type=int, help="Refinement: steps.  [default: 4]"))

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def decoding_settings(
    config: T5Config, given: dict[str, Any], record: bool = False, n_best: int | None = None
) -> Settings:
    """Settings of the decoder that a network has, from the options of `decoding_options`.

    Args:
        config: of the network.
        given: options by name, None where they were left out.
        record: keep the tokens after each step.
        n_best: hypotheses to return, with scores; None for the best without.

    Raises:
        InvalidInput: an option of the other decoder, or a value that is not allowed.
    """
    from simulators.t5.decoding.autoregressive import GenerationSettings
    from simulators.t5.decoding.rejecters import parse_rejecter
    from simulators.t5.decoding.sampling import Sampling
    from simulators.t5.decoding.settings import RefinementSettings
    from theory.errors import InvalidInput

    refines = config.decoder == "refinement"
    for name in AUTOREGRESSIVE if refines else REFINEMENT:
        if given.get(name) is not None:
            option = f"--{name.replace('_', '-')}"
            value = str(given[name]) if isinstance(given[name], Path) else given[name]
            raise InvalidInput(option, value, f"this checkpoint has the other decoder, the {config.decoder} one")
    sampling = Sampling(given["temperature"], given["top_k"], given["top_p"])
    listed: dict[str, Any] = {} if n_best is None else {"n_best": n_best, "scores": True}
    if not refines:
        limits = {"max_length": config.max_target_length} | _present(given, *AUTOREGRESSIVE, "length_penalty")
        return GenerationSettings(sampling=sampling, **limits, **listed)
    chosen = _present(given, "steps", "replacement", "update", "early_exit", *REFINEMENT[-3:], "length_penalty")
    for name in ("start", "remove_stutter"):
        if given.get(name) is not None:
            chosen[name] = given[name].replace("-", " ")
    rejecter = parse_rejecter(given.get("rejecter") or "passthrough")
    return RefinementSettings(sampling=sampling, rejecter=rejecter, record=record, **chosen, **listed)


def _present(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}


def load_translation_model(folder: Path, vocabulary: Path | None = None) -> tuple[T5, Vocabulary]:
    """Network and vocabulary of a checkpoint folder.

    Raises:
        InvalidInput: a file is missing or truncated, or the vocabulary is not that of the network.
    """
    from simulators.t5.files.checkpoints import load_checkpoint
    from simulators.t5.files.vocabulary import load_vocabulary, require_own_vocabulary

    network = load_checkpoint(folder)
    found = load_vocabulary(vocabulary or folder)
    require_vocabulary(network.config.vocab_size, found.size, str(vocabulary or folder))
    if vocabulary is not None:
        require_own_vocabulary(found, str(vocabulary), folder)
    return network, found


def load_rescorer(folder: Path | None, vocabulary: Vocabulary) -> Rescorer | None:
    """The network of ``--rescorer``, where it was given.

    Args:
        folder: of an autoregressive checkpoint.
        vocabulary: of the network whose hypotheses it scores.

    Raises:
        InvalidInput: a checkpoint that cannot be read, that refines, or that has another vocabulary.
    """
    from simulators.t5.decoding.rescoring import Rescorer
    from theory.errors import InvalidInput

    if folder is None:
        return None
    network, own = load_translation_model(folder)
    if own.fingerprint != vocabulary.fingerprint:
        raise InvalidInput("--rescorer", str(folder), "a checkpoint with the same vocabulary is needed")
    return Rescorer(network)


def require_vocabulary(network_size: int, size: int, source: str) -> None:
    """Raise unless a network that knows ``network_size`` ids can have been trained with a vocabulary.

    Raises:
        InvalidInput: the sizes differ, and not by the sentinels and the rounding of published checkpoints.
    """
    from theory.errors import InvalidInput

    published = network_size % ROUNDED_TO == 0 and 0 <= network_size - size < SENTINELS + ROUNDED_TO
    if network_size != size and not published:
        raise InvalidInput(
            "vocabulary", source, f"has {size} ids, the network was trained with {network_size}; use its own vocabulary"
        )
