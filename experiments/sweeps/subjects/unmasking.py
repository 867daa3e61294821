"""Decoding a law by unmasking in T steps: network calls against error (claim C9) as a subject.

The record: ``expected_calls``, of the network; ``error``, KL(p‖q) in nats of the exact output law; ``predicted``, the
same from total correlations where the sites are a function of the tokens so far, ``bound`` where they are drawn (the
other is None; both are where tokens are drawn before sites are chosen); ``least``, that of the best schedule of T steps
(which a random mixture of schedules may undercut).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.chains.models import build_law
from experiments.decoding.speed_quality import series
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import ModelParameters, check_model, check_size
from theory.decoding import KnownLaw, SubsetEntropies, optimal_schedules, parse
from theory.parameters import parameter


@dataclass(frozen=True)
class Parameters(ModelParameters):
    """Which law, which decoder, how many calls."""

    decoder: str = parameter("random-order", "decoder with its options, such as threshold:theta=0.8")
    calls: int = parameter(2, "calls T asked for", minimum=1)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    law = build_law(parameters.spec(seed))
    entropies = SubsetEntropies(law)
    found = series(parameters.decoder, KnownLaw(law), entropies, optimal_schedules(entropies), [parameters.calls])
    prediction = None if found["predicted"] is None else found["predicted"][0]
    return {
        "expected_calls": found["calls"][0],
        "error": found["measured"][0],
        "predicted": prediction if found["relation"] == "equal" else None,
        "bound": prediction if found["relation"] == "bound" else None,
        "least": found["least"][0],
    }


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together."""
    check_model(parameters)
    check_size("calls", parameters.calls, parameters.sites)
    parse(parameters.decoder)


def memory(parameters: Parameters) -> float:
    """Bytes: the token laws of all (q + 1)^N partial sequences, a layer of them, and the table of best schedules."""
    symbols = round(parameters.states ** (1 / parameters.sites))
    partial = (parameters.sites * (symbols + 4.0)) * (symbols + 1) ** parameters.sites
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
        "expected_calls": Quantity("expected network calls"),
    },
)
