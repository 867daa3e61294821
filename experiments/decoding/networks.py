"""Networks that decoders are tried on: trained on a known law, or opened from a folder with sequences to score.

A network of a known law is trained as those of the claims about learned conditionals are, under masks of every size
(the uniform ratio), because decoding asks for all of them.

Legend: ``B`` sequences, ``N`` sites, ``q`` symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from experiments.decoding.network_study import HeldOut
from experiments.learned import Learning, new_network, train_on
from theory.decoding.rule import Predictor
from theory.decoding.tables import ConditionalTables, FunctionPredictor
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw
from theory.masks import uniform_ratio
from theory.parameters import named, parameter

HELD_OUT = 128
"""Sequences to score where no number is given."""

PART_ROWS = 256
"""Rows of a network's batch."""


@dataclass(frozen=True)
class Training:
    """A network to be trained on a law, and how."""

    network: ClassVar[str]

    width: int = parameter(32, "width of its layers", minimum=2, maximum=1024)
    layers: int = parameter(2, "number of them", minimum=1, maximum=16)
    steps: int = parameter(1000, "optimiser steps", minimum=1)
    batch: int = parameter(64, "sequences of a step", minimum=1)
    rate: float = parameter(5e-3, "largest learning rate", minimum=0.0)
    samples: int = parameter(0, "sequences of the training set; 0: fresh ones in every step", minimum=0)


@dataclass(frozen=True)
class TransformerTraining(Training):
    """A Transformer with two heads."""

    network: ClassVar[str] = "transformer"


@dataclass(frozen=True)
class PerceptronTraining(Training):
    """A multilayer perceptron."""

    network: ClassVar[str] = "mlp"


TRAININGS: dict[str, type[Training]] = {kind.network: kind for kind in (TransformerTraining, PerceptronTraining)}
"""Networks by name."""


@dataclass(frozen=True)
class Samples:
    """Fresh sequences of a law in every step, as training asks for them."""

    law: JointLaw | SequenceLaw = field(repr=False)

    @property
    def sites(self) -> int:
        return self.law.sites

    @property
    def symbols(self) -> int:
        return self.law.symbols

    @property
    def fingerprint(self) -> str:
        return self.law.name

    def draw(self, count: int, generator: np.random.Generator) -> NDArray[np.int32]:
        """[count, N]."""
        return self.law.sample(count, generator).astype(np.int32)


def train_on_law(
    law: JointLaw | SequenceLaw, text: str, seed: int, report: Callable[[int, float], None] | None = None
) -> Predictor:
    """Conditionals that a network has learned from samples of a law.

    Args:
        law: p.
        text: ``transformer`` or ``mlp`` with the options of `Training`, such as ``transformer:steps=2000,width=64``.
        seed: of the network, the sequences and the masks.
        report: told the steps done, and the loss.

    Raises:
        InvalidInput: an unknown network or option, or a value that is not allowed.
    """
    from simulators.gmlm.data import DataSource, FixedData
    from simulators.gmlm.induced import adapter, induced_conditionals

    asked: Training = named(text, TRAININGS, "network")
    learning = Learning(asked.network, asked.width, asked.layers, asked.steps, asked.batch, asked.rate)
    network = new_network(law, learning, seed)
    source: DataSource = Samples(law)
    if asked.samples:
        source = FixedData(law.sample(asked.samples, np.random.default_rng((seed, asked.samples))), law.symbols)
    train_on(network, source, uniform_ratio(law.sites), learning, seed, report)
    if isinstance(law, JointLaw):
        return ConditionalTables(induced_conditionals(network))
    return FunctionPredictor(law.sites, law.symbols, adapter(network, PART_ROWS, 32).probabilities)


def steps_of(text: str) -> int:
    """Optimiser steps that `train_on_law` will take.

    Raises:
        InvalidInput: as there.
    """
    steps: int = named(text, TRAININGS, "network").steps
    return steps


def open_network(
    folder: Path, corpus: Path | None = None, sequences: str | None = None, region: str | None = None, limit: int = 0
) -> HeldOut:
    """A network of a folder and what it is asked about.

    Args:
        folder: of ``gmlm text train``; or a masked network in the layout of transformers.
        corpus: text whose held-out part a text model scores; None: the one that it is trained on by default.
        sequences: for a network of the other kind: FASTA or text, or a file of it.
        region: sites ``103:107`` of each sequence, the others given; None: all.
        limit: sequences at most; 0: `HELD_OUT`.

    Raises:
        InvalidInput: a folder without a network, an argument that goes with the other kind, or too few sequences.
    """
    from simulators.gmlm.training import CHECKPOINT

    if not folder.is_dir():
        raise InvalidInput("--network", str(folder), "no such folder")
    if (folder / CHECKPOINT).exists():
        for name, value in (("--sequences", sequences), ("--region", region)):
            if value is not None:
                raise InvalidInput(name, value, f"{folder} is a text model, which scores the held-out part of --corpus")
        return _text_model(folder, corpus, limit or HELD_OUT)
    if corpus is not None:
        raise InvalidInput("--corpus", str(corpus), f"{folder} is no text model; give --sequences")
    if sequences is None:
        raise InvalidInput("--sequences", "none", "a masked network is asked about sequences: a FASTA file, say")
    return _masked_network(folder, sequences, region, limit or HELD_OUT)


def _text_model(folder: Path, corpus: Path | None, limit: int) -> HeldOut:
    from simulators.gmlm.text.corpus import read_corpus
    from simulators.gmlm.text.model import load_text_model

    model = load_text_model(folder)
    windows = model.sources(read_corpus(corpus), limit)[1].astype(np.int64)
    predictor = FunctionPredictor(model.network.sites, model.vocabulary.symbols, model.predict)
    return HeldOut(f"text model {folder.name}, {len(windows)} held-out windows", ((predictor, windows),))


def _masked_network(folder: Path, text: str, region: str | None, limit: int) -> HeldOut:
    from experiments.masked_lm.inputs import parse_sites, read_sequences
    from simulators.masked_lm import MaskedLM

    model = MaskedLM.open(folder)
    parts = []
    for name, sequence in read_sequences(text)[:limit]:
        length = len(model.encode(sequence))
        part = model.region(sequence, range(length) if region is None else parse_sites(region, length))
        if part.native is None:
            raise InvalidInput("--sequences", name, "has a token that is not in the network's alphabet")
        parts.append((FunctionPredictor(part.sites, part.symbols, part.probabilities), part.native[None]))
    return HeldOut(f"{folder.name}, {len(parts)} sequences", tuple(parts))
