"""Conditionals that a small masked network learned, for the claims about trained networks.

JAX is imported when a network is trained, not when a claim is listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import nctdtr

from experiments.claim import Check
from experiments.statistics import student_limit
from theory.chains import stationary_law
from theory.conditionals import ConditionalModel
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import ExponentialLaw, JointLaw
from theory.laws.length import SequenceLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.samplers import systematic_scan

if TYPE_CHECKING:
    from simulators.gmlm.build import NetworkConfig
    from simulators.gmlm.data import DataSource
    from simulators.gmlm.networks import MaskedNetwork

Array = NDArray[np.float64]

SEEN = 0.9
"""Power with which a difference counts as seen."""


@dataclass(frozen=True)
class Learning:
    """How a claim trains its networks.

    Attributes:
        network: "transformer" (with 2 heads), "mlp", or "family": the exponential family of the data law itself.
        width, layers: its sizes; a family has none.
        steps: optimiser steps, with cosine decay.
        batch: sequences of each step.
        rate: the largest learning rate.
        floor: every conditional of the network is at least this by construction.
    """

    network: str = "transformer"
    width: int = 16
    layers: int = 1
    steps: int = 600
    batch: int = 64
    rate: float = 5e-3
    floor: float = 0.0


def learn(
    law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw, learning: Learning, seed: int, samples: int | None = None
) -> ConditionalModel:
    """Conditionals of a network trained on a law; the arguments are those of `new_network` and `train_network`."""
    from simulators.gmlm.induced import induced_conditionals

    network = new_network(law, learning, seed)
    train_network(network, law, masks, learning, seed, samples)
    return induced_conditionals(network)


def untrained(law: JointLaw, learning: Learning, seed: int) -> ConditionalModel:
    """Conditionals of the network before training: a wrong alternative that checks of trained ones should reject."""
    from simulators.gmlm.induced import induced_conditionals

    return induced_conditionals(new_network(law, learning, seed))


def new_network(law: JointLaw | SequenceLaw, learning: Learning, seed: int) -> MaskedNetwork:
    """The untrained network.

    Raises:
        InvalidInput: a family is asked for and the law belongs to none.
    """
    from simulators.gmlm.build import build
    from simulators.gmlm.energy import ExponentialNetwork
    from simulators.gmlm.networks import FlooredNetwork, MLPConfig
    from simulators.gmlm.transformer import TransformerConfig

    if learning.network == "family":
        if not isinstance(law, ExponentialLaw):
            raise InvalidInput("network", learning.network, "the law must be a member of an exponential family")
        return ExponentialNetwork(law.family)
    config: NetworkConfig = (
        MLPConfig(law.sites, law.symbols, learning.width, learning.layers)
        if learning.network == "mlp"
        else TransformerConfig(law.sites, law.symbols, learning.width, learning.layers, heads=2)
    )
    network = build(config, seed)
    return FlooredNetwork(network, learning.floor) if learning.floor else network


def train_network(
    network: MaskedNetwork,
    law: JointLaw,
    masks: MaskLaw | AdaptiveMaskLaw,
    learning: Learning,
    seed: int,
    samples: int | None = None,
) -> Array:
    """Train in place; the loss of every step, [steps], in nats per sequence.

    Args:
        network: from `new_network`.
        law: the data law.
        masks: drawn anew for every sequence of a batch.
        learning: how to train.
        seed: of the data set, the batches and the masks.
        samples: size of the data set, see `training_set`; None draws fresh sequences for every batch.
    """
    from simulators.gmlm.data import FixedData, LawSource

    source: DataSource = LawSource(law)
    if samples is not None:
        source = FixedData(training_set(law, seed, samples), law.symbols)
    return train_on(network, source, masks.listed(), learning, seed)


def train_on(
    network: MaskedNetwork,
    source: DataSource,
    masks: MaskLaw | AdaptiveMaskLaw,
    learning: Learning,
    seed: int,
    report: Callable[[int, float], None] | None = None,
) -> Array:
    """Train in place on sequences of any source; the loss of every step, [steps], in nats per sequence."""
    from simulators.gmlm.training import TrainingSettings, train

    settings = TrainingSettings(steps=learning.steps, batch_size=learning.batch, learning_rate=learning.rate, seed=seed)
    every = max(1, learning.steps // 50) if report else learning.steps
    run = train(network, source, masks, settings, report=report, report_every=every)
    return run.losses.astype(np.float64)


def training_set(law: JointLaw, seed: int, samples: int) -> NDArray[np.int64]:
    """The data set of a seed, independent sequences, shape [samples, N]."""
    return law.sample(samples, np.random.default_rng((seed, samples)))


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
    half = student_limit((1 - level) / 2, found.size - 1) * float(found.std(ddof=1)) / np.sqrt(found.size)
    return float(found.mean()) - half, float(found.mean()) + half


def networks_at_most(
    name: str, differences: Array, bound: float = 0.0, detail: str = "", *, trivial: float = np.inf, level: float = 0.95
) -> Check:
    """The mean over networks (models, data sets) of paired differences is at most ``bound``, by Student's interval.

    The alternative is a mean as far on the other side of the bound as the one that was found; its power, the chance
    that the whole interval is above the bound, is that of the noncentral t law.

    Args:
        name: of the check.
        differences: one for each network.
        bound: of the mean.
        detail: of the check, after what the interval can see.
        trivial: a bound at or above excludes nothing.
        level: of the interval.
    """
    freedom = len(differences) - 1
    error = float(differences.std(ddof=1) / np.sqrt(len(differences)))
    limit = student_limit((1 - level) / 2, freedom)
    seen = (limit + student_limit(1 - SEEN, freedom)) * error
    seeing = f"a mean {seen:.2g} from the bound is seen with power {SEEN:g}" if seen else "they are all the same"
    text = f"Student's {level:.0%} interval over {len(differences)}, paired; {seeing}"
    check = Check.interval_at_most(
        name, mean_interval(differences, level), bound, f"{text}; {detail}" if detail else text, trivial=trivial
    )
    distance = bound - float(differences.mean())
    if distance <= 0 or not check.informative:
        return check
    power = 1.0 if error == 0 else 1 - float(nctdtr(freedom, distance / error, limit))
    return check.against("as large a mean on the other side of the bound", power)
