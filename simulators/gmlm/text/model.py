"""A character-level masked language model: trained into a folder, loaded from it.

The folder holds one file, the checkpoint, which names the network, the vocabulary and the masks: all that generation
and evaluation need beside the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.gmlm.build import NetworkConfig, build, config_from_plain, config_to_plain
from simulators.gmlm.data import Windows
from simulators.gmlm.induced import Predict, predictor
from simulators.gmlm.networks import MaskedNetwork
from simulators.gmlm.text.corpus import Vocabulary, consecutive_windows, split
from simulators.gmlm.text.evaluation import RatioLoss, loss_by_ratio
from simulators.gmlm.text.statistics import ngram_distance
from simulators.gmlm.training import CHECKPOINT, Report, TrainingRun, TrainingSettings, load_parameters, train
from simulators.snapshots import read_plain
from theory.errors import InvalidInput
from theory.masks import AdaptiveMaskLaw, MaskLaw

ROWS_AT_ONCE = 64
"""Sequences that the network looks at in one call of evaluation."""


@dataclass(frozen=True, eq=False)
class TextModel:
    """A network over characters.

    Attributes:
        network: over windows of ``network.sites`` characters.
        vocabulary: its symbols.
        step: training steps that it has seen.
        validation: share of the corpus that it was not trained on.
    """

    network: MaskedNetwork
    vocabulary: Vocabulary
    step: int
    validation: float

    @property
    def predict(self) -> Predict:
        """Probabilities of partly masked windows."""
        return predictor(self.network, ROWS_AT_ONCE)

    def sources(self, text: str, limit: int | None = None) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Windows of the training part and of the validation part of a corpus, not overlapping, [count, N] each."""
        window = self.network.sites
        parts = (self.vocabulary.encode(part) for part in split(text, window, self.validation))
        training, validation = (consecutive_windows(part, window, limit) for part in parts)
        return training, validation


def train_text(
    folder: Path,
    text: str,
    config: NetworkConfig,
    vocabulary: Vocabulary,
    masks: MaskLaw | AdaptiveMaskLaw,
    settings: TrainingSettings,
    *,
    validation: float = 0.1,
    checkpoint_every: int = 100,
    report: Report | None = None,
    report_every: int = 10,
) -> tuple[TextModel, TrainingRun]:
    """Train on the first part of a corpus; goes on where the folder has a checkpoint made with the same arguments.

    Raises:
        InvalidInput: a corpus that is too short, or a checkpoint made with other arguments.
    """
    if config.symbols != vocabulary.symbols:
        raise InvalidInput("symbols", config.symbols, f"the vocabulary has {vocabulary.symbols}")
    network = build(config, settings.seed)
    training, _ = split(text, config.sites, validation)
    run = train(
        network,
        Windows(vocabulary.encode(training), vocabulary.symbols, config.sites),
        masks,
        settings,
        folder=folder,
        checkpoint_every=checkpoint_every,
        report=report,
        report_every=report_every,
        description={
            "network": config_to_plain(config),
            "vocabulary": vocabulary.characters,
            "validation": validation,
        },
    )
    return TextModel(network, vocabulary, settings.steps, validation), run


def load_text_model(folder: Path) -> TextModel:
    """The model of a folder, at whatever step its checkpoint is.

    Raises:
        InvalidInput: there is no checkpoint, or it is not one of a text model.
    """
    identity: dict[str, Any] = read_plain(folder / CHECKPOINT).get("identity", {})
    if not {"network", "vocabulary", "validation"} <= identity.keys():
        raise InvalidInput("folder", str(folder), "its checkpoint is not one of a text model")
    network = build(config_from_plain(identity["network"]))
    step = load_parameters(network, folder)
    return TextModel(network, Vocabulary(identity["vocabulary"]), step, float(identity["validation"]))


def evaluate(
    model: TextModel, text: str, ratios: Sequence[float], limit: int = 256, seed: int = 0
) -> tuple[list[RatioLoss], list[RatioLoss]]:
    """Loss by mask ratio on the training part and on the validation part of a corpus, on ``limit`` windows at most."""
    predict, symbols = model.predict, model.vocabulary.symbols
    training, validation = (
        loss_by_ratio(predict, windows, symbols, ratios, seed) for windows in model.sources(text, limit)
    )
    return training, validation


@dataclass(frozen=True)
class NgramComparison:
    """Total variation of an n-gram law to that of the training text.

    Attributes:
        order: n.
        generated: of the generated text.
        held_out: of as much validation text (at most all of it): what true text of that amount shows.
        windows: how many windows of validation text that is.
    """

    order: int
    generated: float
    held_out: float
    windows: int


def compare_ngrams(
    model: TextModel, text: str, generated: NDArray[np.integer], orders: Sequence[int] = (1, 2, 3)
) -> list[NgramComparison]:
    """N-gram statistics of generated windows [B, N] beside those of true text."""
    training, validation = model.sources(text)
    symbols = model.vocabulary.symbols
    held_out = validation[: len(generated)]
    return [
        NgramComparison(
            order,
            ngram_distance(generated, training, order, symbols),
            ngram_distance(held_out, training, order, symbols),
            len(held_out),
        )
        for order in orders
    ]
