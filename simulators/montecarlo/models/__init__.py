"""Models that samplers can run at scale: conditionals of one configuration, in traced code."""

from simulators.montecarlo.models.function import FunctionModel
from simulators.montecarlo.models.mixture import MixtureModel
from simulators.montecarlo.models.model import Model, Tempered
from simulators.montecarlo.models.pairwise import (
    PairwiseModel,
    ising_from_couplings,
    ising_model,
    potts_model,
)
from simulators.montecarlo.models.sequences import HiddenMarkovModel, MarkovModel

__all__ = [
    "FunctionModel",
    "HiddenMarkovModel",
    "MarkovModel",
    "MixtureModel",
    "Model",
    "PairwiseModel",
    "Tempered",
    "ising_from_couplings",
    "ising_model",
    "potts_model",
]
