"""How a T5 is trained: the one declaration behind `gmlm t5 train`, records and checkpoints; no JAX."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from theory.errors import InvalidInput
from theory.parameters import parameter

OPTIMISERS = ("adamw", "adafactor")
SCHEDULES = ("cosine", "rsqrt", "constant")
WEIGHTINGS = ("all", "noise", "mask")


@dataclass(frozen=True)
class OptimiserSettings:
    """How parameters move; norms and biases are not decayed."""

    optimiser: str = parameter("adamw", "rule of the updates", choices=OPTIMISERS)
    learning_rate: float = parameter(0.01, "the largest, relative to the size of a parameter")
    schedule: str = parameter("cosine", "of the learning rate after the rise", choices=SCHEDULES)
    warmup_steps: int = parameter(200, "steps of the linear rise")
    weight_decay: float = parameter(0.01, "of matrices")
    clip: float = parameter(1.0, "largest norm of the gradient")

    def __post_init__(self) -> None:
        for name, allowed in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, getattr(self, name), f"one of {', '.join(allowed)}")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < inf:
                raise InvalidInput(name, getattr(self, name), "a positive finite number is needed")
        if self.warmup_steps < 0:
            raise InvalidInput("warmup_steps", self.warmup_steps, "a whole number >= 0 is needed")
        if not 0 <= self.weight_decay < inf:
            raise InvalidInput("weight_decay", self.weight_decay, "a finite number >= 0 is needed")


@dataclass(frozen=True)
class NoiseSettings:
    """How targets are noised, see `simulators.t5.training.noising`.

    Attributes:
        density: probability that a position is noised; None draws it from U(0, 1) for each target.
    """

    density: float | None = None
    correct: float = parameter(0.1, "probability that a noised token stays")
    random: float = parameter(0.1, "probability that it becomes a random piece")

    def __post_init__(self) -> None:
        if self.density is not None and not 0 <= self.density <= 1:
            raise InvalidInput("density", self.density, "a probability, or uniform, is needed")
        for name in ("correct", "random"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(name, getattr(self, name), "a probability is needed")
        if self.correct + self.random > 1:
            raise InvalidInput("random", self.random, f"at most 1 - correct = {1 - self.correct:g}")


@dataclass(frozen=True)
class ObjectiveSettings:
    """What is minimised, see `simulators.t5.training.objective`; weighting, stages and noise are of refinement."""

    weighting: str = parameter("noise", "positions with weight in the first stage", choices=WEIGHTINGS)
    stages: int = parameter(1, "2: also train on the network's own predictions")
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    glancing: float = parameter(0.0, "lambda of glancing sampling; 0: none")
    label_smoothing: float = parameter(0.1, "mass that each label gives to all pieces alike")
    z_loss: float = parameter(0.0, "weight of the squared log-normaliser")
    length_weight: float = parameter(0.1, "of the length loss of refinement")
    rejecter_weight: float = parameter(1.0, "of the rejecter loss of refinement")

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise InvalidInput("weighting", self.weighting, f"one of {', '.join(WEIGHTINGS)}")
        if self.stages not in (1, 2):
            raise InvalidInput("stages", self.stages, "1 or 2")
        if not 0 <= self.glancing <= 1:
            raise InvalidInput("glancing", self.glancing, "a number in [0, 1] is needed")
        if self.glancing and self.noise.density is not None:
            raise InvalidInput("glancing", self.glancing, "the noise density must be uniform: glancing chooses it")
        if not 0 <= self.label_smoothing < 1:
            raise InvalidInput("label_smoothing", self.label_smoothing, "a number in [0, 1) is needed")
        for name in ("z_loss", "length_weight", "rejecter_weight"):
            if not 0 <= getattr(self, name) < inf:
                raise InvalidInput(name, getattr(self, name), "a finite number >= 0 is needed")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        optimiser: how parameters move.
        objective: what is minimised.
    """

    steps: int = parameter(10_000, "optimiser steps")
    batch_tokens: int = parameter(4096, "padded target tokens of a step")
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    average: float = parameter(0.0, "decay of a running mean of the weights, which is what is kept; 0: none")
    seed: int = parameter(0, "of the order, the noise and dropout")

    def __post_init__(self) -> None:
        for name, lowest in (("steps", 1), ("batch_tokens", 1), ("seed", 0)):
            if getattr(self, name) < lowest:
                raise InvalidInput(name, getattr(self, name), f"at least {lowest} is needed")
        if not 0 <= self.average < 1:
            raise InvalidInput("average", self.average, "a number in [0, 1) is needed")
