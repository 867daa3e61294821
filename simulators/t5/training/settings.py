"""How a T5 is trained: the one declaration behind `gmlm t5 train`, records and checkpoints; no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field

from theory.errors import InvalidInput
from theory.parameters import check_all, named, parameter

OPTIMISERS = ("adamw", "adafactor")
SCHEDULES = ("cosine", "rsqrt", "constant")
WEIGHTINGS = ("all", "noise", "mask")
NOISES = ("uniform-ratio", "bernoulli")
"""Mask laws that say which positions of a target are noised."""


@dataclass(frozen=True)
class OptimiserSettings:
    """How parameters move; norms and biases are not decayed."""

    optimiser: str = parameter("adamw", "rule of the updates", choices=OPTIMISERS)
    learning_rate: float = parameter(0.01, "the largest, relative to the size of a parameter", above=0)
    schedule: str = parameter("cosine", "of the learning rate after the rise", choices=SCHEDULES)
    warmup_steps: int = parameter(200, "steps of the linear rise", minimum=0)
    weight_decay: float = parameter(0.01, "of matrices", minimum=0)
    clip: float = parameter(1.0, "largest norm of the gradient", above=0)

    def __post_init__(self) -> None:
        check_all(self)


@dataclass(frozen=True)
class NoiseSettings:
    """How targets are noised, see `simulators.t5.training.noising`.

    Attributes:
        density: probability that a position is noised; None draws it from U(0, 1) for each target.
    """

    density: float | None = None
    correct: float = parameter(0.1, "probability that a noised token stays", minimum=0, maximum=1)
    random: float = parameter(0.1, "probability that it becomes a random piece", minimum=0, maximum=1)

    def __post_init__(self) -> None:
        check_all(self)
        if self.density is not None and not 0 <= self.density <= 1:
            raise InvalidInput("density", self.density, "a probability, or None for a uniform one, is needed")
        if self.correct + self.random > 1:
            raise InvalidInput("random", self.random, f"at most 1 - correct = {1 - self.correct:g}")


def parse_noise(text: str) -> float | None:
    """The density of `NoiseSettings` from a mask law that masks positions independently, in the grammar of all masks.

    ``uniform-ratio`` draws it for each target, ``bernoulli:ratio=0.15`` fixes it.

    Raises:
        InvalidInput: another law or option, a value that is not allowed, or an earlier spelling; it names today's.
    """
    from theory.masks import MASK_LAWS

    text = text.strip()
    if text == "uniform" or text.replace(".", "", 1).isdecimal():
        now = "uniform-ratio" if text == "uniform" else f"bernoulli:ratio={text}"
        raise InvalidInput("noise", text, f"is written {now}")
    law = named(text, {name: MASK_LAWS[name] for name in NOISES}, "noise", {"sites": 1})
    density: float | None = getattr(law, "ratio", None)
    return density


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is minimised, see `simulators.t5.training.objective`; weighting, stages and noise are of refinement."""

    weighting: str = parameter("noise", "positions with weight in the first stage", choices=WEIGHTINGS)
    stages: int = parameter(1, "2: also train on the network's own predictions", minimum=1, maximum=2)
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    glancing: float = parameter(0.0, "lambda of glancing sampling; 0: none", minimum=0, maximum=1)
    label_smoothing: float = parameter(0.1, "mass that each label gives to all pieces alike", minimum=0, below=1)
    z_loss: float = parameter(0.0, "weight of the squared log-normaliser", minimum=0)
    length_weight: float = parameter(0.1, "of the length loss of refinement", minimum=0)
    rejecter_weight: float = parameter(1.0, "of the rejecter loss of refinement", minimum=0)

    def __post_init__(self) -> None:
        check_all(self)
        if self.glancing and self.noise.density is not None:
            raise InvalidInput("glancing", self.glancing, "the noise density must be uniform: glancing chooses it")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        optimiser: how parameters move.
        objective: what is minimised.
    """

    steps: int = parameter(10_000, "optimiser steps", minimum=1)
    batch_tokens: int = parameter(4096, "padded target tokens of a step", minimum=1)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    average: float = parameter(
        0.0, "decay of a running mean of the weights, which is what is kept; 0: none", minimum=0, below=1
    )
    seed: int = parameter(0, "of the order, the noise and dropout", minimum=0)

    def __post_init__(self) -> None:
        check_all(self)
