"""Decoding a law by unmasking in T steps: network calls against error (claim C9) as a subject.

The record: ``calls``, expected network calls; ``error``, KL(p‖q) in nats of the exact output law; ``predicted``, the
same from total correlations where the block is a function of the tokens so far, ``bound`` where blocks are drawn (the
other is None; both are where tokens and blocks are drawn together); ``least``, that
of the best schedule of T steps (which a random mixture of schedules may undercut).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.chains.models import build_law
from experiments.decoding.speed_quality import ORDERS, series
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import ModelParameters, check_model, check_size
from theory.decoding import SubsetEntropies, optimal_schedules
from theory.parameters import parameter


@dataclass(frozen=True)
class Parameters(ModelParameters):
    """Which law, which order, how many steps."""

    order: str = parameter("random-uniform", "which sites are revealed next", choices=tuple(ORDERS))
    steps: int = parameter(2, "steps T", minimum=1)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    law = build_law(parameters.spec(seed))
    entropies = SubsetEntropies(law)
    found = series(parameters.order, law, entropies, optimal_schedules(entropies), [parameters.steps])
    prediction = None if found["predicted"] is None else found["predicted"][0]
    return {
        "calls": found["calls"][0],
        "error": found["measured"][0],
        "predicted": prediction if found["relation"] == "equal" else None,
        "bound": prediction if found["relation"] == "bound" else None,
        "least": found["least"][0],
    }


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together."""
    check_model(parameters)
    check_size("steps", parameters.steps, parameters.sites)


def memory(parameters: Parameters) -> float:
    """Bytes: two layers of the (q + 1)^N partial sequences with working copies, and the table of best schedules."""
    symbols = round(parameters.states ** (1 / parameters.sites))
    partial = 2.0 * (symbols + 1) ** parameters.sites + 4.0 * parameters.states * parameters.sites
    return 8 * partial + 12.0 * 2**parameters.sites * (parameters.sites + 1)


SUBJECT = Subject(
    "unmasking",
    "Decoding by unmasking: network calls against the error of the output law",
    Parameters,
    compute,
    check,
    memory,
    {
        "error": Quantity("error KL(p‖q) of the decoded law (nats)", predicted="predicted", upper="bound", log=True),
        "calls": Quantity("expected network calls"),
    },
)
