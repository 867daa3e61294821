"""What the commands that decode have in common: checkpoint, vocabulary, and the options of both decoders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.declared import Registered, declared_options, declared_values, with_options
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


SHARED = ("length_penalty", "n_best")
"""Options that both decoders have."""


def autoregressive_options() -> list[click.Option]:
    """Those that only the autoregressive decoder has."""
    from simulators.t5.decoding.settings import GenerationSettings

    return declared_options(
        GenerationSettings,
        of="Autoregressive",
        unset=True,
        defaults={"max_length": "that of the network"},
        leave_out=SHARED,
    )


def refinement_options() -> list[click.Option]:
    """Those that only the refinement decoder has."""
    from simulators.t5.decoding.settings import RefinementSettings

    return [
        *declared_options(RefinementSettings, of="Refinement", unset=True, leave_out=SHARED),
        Registered(
            ["--rejecter"],
            metavar="NAME[:OPTION=VALUE]",
            names=_rejecters,
            help="Refinement: which predictions are not kept, by default none.",
        ),
        click.Option(
            ["--rescorer"],
            type=click.Path(path_type=Path),
            help="Refinement: autoregressive checkpoint that chooses among the hypotheses, such as the teacher.",
        ),
    ]


def decoding_options(steps: bool = True) -> list[click.Option]:
    """Every option of both decoders; ``--steps`` only where the command takes a single number of steps."""
    from simulators.t5.decoding.settings import DEFAULT, GREEDY, Sampling

    penalties = f"refinement {DEFAULT.length_penalty:g}, autoregressive {GREEDY.length_penalty:g}"
    return [
        *(option for option in refinement_options() if steps or option.name != "steps"),
        *autoregressive_options(),
        click.Option(
            ["--length-penalty"],
            type=float,
            help=f"Exponent, in choosing among hypotheses.  [default: {penalties}]",
        ),
        *declared_options(Sampling),
        click.Option(["--seed"], type=SEED, default=0, show_default=True, help="Of every draw."),
        click.Option(
            ["--batch-size"], type=click.IntRange(min=1), default=64, show_default=True, help="Sentences at once."
        ),
    ]


def _rejecters() -> Iterable[str]:
    from simulators.t5.decoding.rejecters import REJECTERS

    return with_options(REJECTERS)


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
    from simulators.t5.decoding.rejecters import parse_rejecter
    from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings, Sampling
    from theory.errors import InvalidInput

    refines = config.decoder == "refinement"
    for option in autoregressive_options() if refines else refinement_options():
        value = given.get(str(option.name))
        if value is not None:
            value = str(value) if isinstance(value, Path) else value
            raise InvalidInput(
                option.opts[0], value, f"this checkpoint has the other decoder, the {config.decoder} one"
            )
    sampling = Sampling(**declared_values(Sampling, given))
    listed: dict[str, Any] = {} if n_best is None else {"n_best": n_best, "scores": True}
    if not refines:
        limits = {"max_length": config.max_target_length} | declared_values(GenerationSettings, given)
        return GenerationSettings(sampling=sampling, **limits, **listed)
    rejecter = parse_rejecter(given.get("rejecter") or "passthrough")
    chosen = declared_values(RefinementSettings, given)
    return RefinementSettings(sampling=sampling, rejecter=rejecter, record=record, **chosen, **listed)


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
