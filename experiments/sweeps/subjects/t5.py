"""A small T5, trained on the synthetic language and judged beside a perfectly trained one, as a subject.

The T5 translates all tokens at once and refines them (claims P1 to P3). It is trained on pairs of
`theory.language.parallel_language`, then decodes fresh sentences, drawing every token, with the length of a true
translation given. The record, each share after the last refinement step:

- ``possible``: outputs that are translations; ``coherent``: outputs in one register; ``stutters``: equal neighbours.
- ``possible_exact``, ``coherent_exact``, ``stutters_exact``: the same of a perfectly trained network, from the exact
  chain.
- ``own_error``: mean over sentences, summed over steps, of 1 - prod_i (1 - TV(law the network draws from, exact law)),
  at most 1; no share can differ by more from its exact value, but for the noise of the test sentences.
- ``first_possible``, ``first_possible_exact``: of the first step.

The cell's seed draws the data set, the network, the batches and the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.language.exact import MEASURES, Exact, accumulated, distances, exact_memory, measured
from experiments.language.translators import (
    Decoding,
    Rows,
    Training,
    fresh_rows,
    make_rows,
    noise_of,
    small_language,
    train,
    training_pairs,
)
from experiments.sweeps.subject import Quantity, Subject
from theory.language import ParallelLanguage
from theory.parameters import parameter

JAX_MEMORY = 2.0**30
"""Bytes that JAX, its compiler and the data take, about."""


@dataclass(frozen=True)
class Parameters:
    """Which language, which data, which training, how many refinement steps."""

    weight: float = parameter(0.6, "weight of the first of two registers", minimum=0.0, maximum=1.0)
    doubling: float = parameter(0.3, "probability that a word becomes two tokens", minimum=0.0, maximum=0.5)
    longest: int = parameter(3, "words of a sentence at most", minimum=2, maximum=7)
    data: str = parameter("drawn", "targets in training: drawn from p(y|x), or its mode", choices=("drawn", "mode"))
    pairs: int = parameter(4000, "training pairs", minimum=1)
    density: float = parameter(
        0.0, "share of noised target tokens; 0 draws it anew from U(0, 1)", minimum=0.0, maximum=1.0
    )
    weighting: str = parameter("noise", "positions that the loss counts", choices=("noise", "all"))
    stages: int = parameter(1, "2 trains also on the network's own predictions", minimum=1, maximum=2)
    width: int = parameter(32, "width of the network", minimum=8)
    layers: int = parameter(1, "layers of the encoder", minimum=1)
    decoder_layers: int = parameter(1, "layers of the decoder", minimum=1)
    training_steps: int = parameter(600, "optimiser steps", minimum=1)
    batch_size: int = parameter(64, "pairs of a step", minimum=1)
    learning_rate: float = parameter(7e-3, "largest learning rate", minimum=0.0)
    steps: int = parameter(4, "refinement steps T", minimum=1)
    rows: int = parameter(512, "test sentences", minimum=20)

    @property
    def language(self) -> ParallelLanguage:
        return small_language((self.weight, 1 - self.weight), self.doubling, longest=self.longest)

    @property
    def training(self) -> Training:
        return Training(
            width=self.width,
            layers=self.layers,
            decoder_layers=self.decoder_layers,
            steps=self.training_steps,
            rows=self.batch_size,
            rate=self.learning_rate,
            density=self.density or None,
            stages=self.stages,
            weighting="all" if self.weighting == "all" else "noise",
        )


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    from simulators.t5.decoding.settings import RefinementSettings, Sampling

    language, training = parameters.language, parameters.training
    pairs, rows = training_pairs(language, parameters.pairs, seed), fresh_rows(language, parameters.rows, seed)
    exact = Exact(_law_of_data(parameters), noise_of(language, training), training.weighting)
    if parameters.data == "mode":
        pairs, rows = [(source, language.mode(source)) for source, _ in pairs], _mode_rows(language, rows)
    network = train(language, pairs, training, seed)
    decoding = Decoding(network, RefinementSettings(sampling=Sampling(temperature=1.0)))
    decoded = decoding(network, language, rows, range(1, parameters.steps + 1), seed)
    record: dict[str, Any] = {}
    for name, measure in MEASURES.items():
        expected = exact.expected(rows, measure, parameters.steps).mean(axis=1)
        record[name] = float(measured(exact, rows, decoded.outputs[-1], measure).mean())
        record[f"{name}_exact"] = float(expected[-1])
        if name == "possible":
            record["first_possible"] = float(measured(exact, rows, decoded.outputs[0], measure).mean())
            record["first_possible_exact"] = float(expected[0])
    return {
        **record,
        "own_error": min(float(accumulated(distances(exact, rows, network, decoded.inputs))[-1].mean()), 1.0),
    }


def _law_of_data(parameters: Parameters) -> ParallelLanguage:
    """The language whose p(y | x) the training targets follow: for the mode, its register alone and nothing doubled."""
    if parameters.data == "drawn":
        return parameters.language
    certain = (1.0, 0.0) if parameters.weight >= 0.5 else (0.0, 1.0)
    return small_language(certain, 0.0, longest=parameters.longest)


def _mode_rows(language: ParallelLanguage, rows: Rows) -> Rows:
    return make_rows(rows.sources, [len(language.mode(source)) for source in rows.sources])


def memory(parameters: Parameters) -> float:
    """Bytes: JAX, and the largest exact chain."""
    return JAX_MEMORY + exact_memory(_law_of_data(parameters))


SUBJECT = Subject(
    "t5",
    "A small T5 trained on the synthetic language: what its refinement steps make, beside a perfectly trained one",
    Parameters,
    compute,
    memory=memory,
    quantities={
        "possible": Quantity("outputs that are translations (share)", predicted="possible_exact"),
        "coherent": Quantity("outputs in one register (share)", predicted="coherent_exact"),
        "stutters": Quantity("equal neighbours in outputs (share)", predicted="stutters_exact"),
        "first_possible": Quantity("translations after one step (share)", predicted="first_possible_exact"),
        "own_error": Quantity("the network's own error: TV to the exact laws of each step, summed over steps"),
    },
)
