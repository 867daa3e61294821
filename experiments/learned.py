"""Conditionals that a small masked network learned, for the claims about trained networks.

JAX is imported when a network is trained, not when a claim is listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from theory.chains import stationary_law
from theory.conditionals import ConditionalModel
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.masks import MaskLaw
from theory.samplers import systematic_scan


@dataclass(frozen=True)
class Learning:
    """How a claim trains its networks.

    Attributes:
        network: "transformer" (with 2 heads) or "mlp".
        width, layers: its sizes.
        steps: optimiser steps, with cosine decay.
        batch: sequences of each step.
        rate: the largest learning rate.
    """

    network: str = "transformer"
    width: int = 16
    layers: int = 1
    steps: int = 600
    batch: int = 64
    rate: float = 5e-3


def learn(law: JointLaw, masks: MaskLaw, learning: Learning, seed: int, samples: int | None = None) -> ConditionalModel:
    """Conditionals of a network trained on a law.

    Args:
        law: the data law.
        masks: drawn anew for every sequence of a batch.
        learning: how to train.
        seed: of the data set, the network, the batches and the masks.
        samples: size of the data set; None draws fresh sequences for every batch.
    """
    from simulators.gmlm.build import NetworkConfig, build
    from simulators.gmlm.data import DataSource, FixedData, LawSource
    from simulators.gmlm.induced import induced_conditionals
    from simulators.gmlm.masking import listed
    from simulators.gmlm.networks import MLPConfig
    from simulators.gmlm.training import TrainingSettings, train
    from simulators.gmlm.transformer import TransformerConfig

    source: DataSource = LawSource(law)
    if samples is not None:
        source = FixedData(law.sample(samples, np.random.default_rng((seed, samples))), law.symbols)
    config: NetworkConfig = (
        MLPConfig(law.sites, law.symbols, learning.width, learning.layers)
        if learning.network == "mlp"
        else TransformerConfig(law.sites, law.symbols, learning.width, learning.layers, heads=2)
    )
    network = build(config, seed)
    settings = TrainingSettings(steps=learning.steps, batch_size=learning.batch, learning_rate=learning.rate, seed=seed)
    train(network, source, listed(masks, law.symbols), settings, report_every=learning.steps)
    return induced_conditionals(network)


def law_errors(conditionals: ConditionalModel, law: JointLaw) -> dict[str, float]:
    """TV to p of the law decoded from left to right (every mask size) and of the scan's stationary law (size 1)."""
    decoded = conditionals.joint_conditional(range(law.sites))[0]
    scanned = stationary_law(systematic_scan(conditionals)).law
    return {
        "decoded": total_variation(decoded, law.probabilities),
        "scanned": total_variation(scanned, law.probabilities),
    }


def mean_interval(values: Sequence[float] | NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """Student's confidence interval of a mean over seeds.

    Raises:
        InvalidInput: fewer than 2 values.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.size < 2:
        raise InvalidInput("seeds", found.size, "a spread needs at least 2 seeds")
    half = float(student.isf((1 - level) / 2, found.size - 1) * found.std(ddof=1) / np.sqrt(found.size))
    return float(found.mean()) - half, float(found.mean()) + half
