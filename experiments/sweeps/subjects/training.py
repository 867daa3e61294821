"""A small masked network, trained on a law and then judged exactly, as a subject.

The record, total variations all: ``decoded``, of the law decoded from left to right to p; ``scanned``, of the
stationary law of the systematic scan to p; ``conditional_error``, mean over sites of E TV(learned, exact conditional);
``scanned_bound``, what the conditionals' errors and the scan's contraction allow ``scanned`` to be (claim C10).

The cell's seed draws the law's random choices, the data set, the network, the batches and the masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.chains.models import build_law
from experiments.learned import Learning, law_errors, learn
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import ModelParameters, check_model
from theory.bounds.perturbation import conditional_errors, stationary_distance_bound
from theory.errors import InvalidInput
from theory.masks import parse_masks
from theory.parameters import parameter
from theory.samplers import systematic_scan


@dataclass(frozen=True)
class Parameters(ModelParameters):
    """Which law, which masks, which network."""

    sites: int = parameter(4, "sites N", minimum=2, maximum=12)
    masks: str = parameter(
        "uniform-ratio", "mask law in training: uniform-ratio, k-uniform:k=2, bernoulli:ratio=0.4, ..."
    )
    samples: int = parameter(0, "sequences in the data set; 0 draws fresh ones for every batch", minimum=0)
    network: str = parameter("transformer", "architecture", choices=("transformer", "mlp"))
    width: int = parameter(16, "width of the network; even for a transformer", minimum=2)
    layers: int = parameter(1, "layers of the network", minimum=1)
    steps: int = parameter(600, "training steps", minimum=1)
    batch_size: int = parameter(64, "sequences in a batch", minimum=1)
    learning_rate: float = parameter(5e-3, "largest learning rate", minimum=0.0)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    law = build_law(parameters.spec(seed))
    learning = Learning(
        parameters.network,
        parameters.width,
        parameters.layers,
        parameters.steps,
        parameters.batch_size,
        parameters.learning_rate,
    )
    masks = parse_masks(parameters.masks, parameters.sites)
    conditionals = learn(law, masks, learning, seed, parameters.samples or None)
    errors = conditional_errors(conditionals, law)
    bound = stationary_distance_bound(systematic_scan(conditionals), float(errors.sum()))
    return law_errors(conditionals, law) | {"conditional_error": float(errors.mean()), "scanned_bound": bound}


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together, and mask laws that cannot be read."""
    check_model(parameters)
    parse_masks(parameters.masks, parameters.sites)
    if parameters.network == "transformer" and parameters.width % 2:
        raise InvalidInput("width", parameters.width, "a transformer with 2 heads needs an even width")


def memory(parameters: Parameters) -> float:
    """Bytes: four dense matrices of the scan over q^N states, and JAX itself."""
    return 4 * 8.0 * parameters.states**2 + 2.0**29


SUBJECT = Subject(
    "training",
    "A small masked network trained on a law: how far what it decodes is from the law",
    Parameters,
    compute,
    check,
    memory,
    {
        "decoded": Quantity("TV of the law decoded left to right to p", log=True),
        "scanned": Quantity("TV of the scan's stationary law to p", upper="scanned_bound", log=True),
        "conditional_error": Quantity("mean TV of single-site conditionals", log=True),
    },
)
