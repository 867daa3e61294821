"""One decoder on one law, a table or a law at length: ``gmlm decode`` as a subject.

The record: ``expected_calls``, ``worst_calls``, and for ``kl``, ``reverse_kl``, ``total_variation`` and ``excess_loss``
(nats of the whole sequence; None where there is none) the number, its ``_kind``, and the ends of its interval, ``_low``
and ``_high``. On a table also ``predicted``, KL(p‖q) from total correlations where the sites of a call are a function
of the tokens so far, ``bound`` where they are drawn (claim C9), and ``least``, that of the best schedule of T calls,
which a random mixture of schedules may undercut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.decoding.laws import NAMES, enumerable, model_law
from experiments.decoding.record import decode_record
from experiments.decoding.speed_quality import predicted_error
from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import LawParameters, check_files, check_size, file_law, law_size
from theory.decoding import KnownLaw, SubsetEntropies, optimal_schedules, parse
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw
from theory.parameters import parameter


@dataclass(frozen=True)
class Parameters(LawParameters):
    """Which law, which decoder, how many calls."""

    model: str = parameter("ising", "the law", choices=NAMES)
    sites: int = parameter(6, "sites N", minimum=1, maximum=4096)
    decoder: str = parameter("random-order", "decoder with its options, such as threshold:theta=0.8")
    calls: int = parameter(2, "calls T asked for", minimum=1)
    samples: int = parameter(0, "rows of sampled numbers; 0: as the intervals need", minimum=0)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description."""
    own, _ = file_law(parameters)
    law = model_law(parameters.spec(seed)) if own is None else own
    record = decode_record(law, [parameters.decoder], [parameters.calls], samples=parameters.samples, seed=seed)
    (row,) = record["decoders"]
    result = {"entropy": record["entropy"], **{name: row[name] for name in ("expected_calls", "worst_calls")}}
    for name in ("kl", "reverse_kl", "total_variation", "excess_loss"):
        found = row[name] or {"value": None, "kind": None, "interval": (None, None)}
        low, high = found["interval"]
        result |= {name: found["value"], f"{name}_kind": found["kind"], f"{name}_low": low, f"{name}_high": high}
    return result | _theory(law, parameters)


def _theory(law: JointLaw | SequenceLaw, parameters: Parameters) -> dict[str, float | None]:
    result: dict[str, float | None] = dict.fromkeys(("predicted", "bound", "least"))
    if isinstance(law, JointLaw) and enumerable(law.sites, law.symbols):
        entropies = SubsetEntropies(law)
        best = optimal_schedules(entropies)
        rule = parse(parameters.decoder)
        relation, error = predicted_error(rule, KnownLaw(law), entropies, best, parameters.calls)
        result |= {
            "predicted": error if relation == "equal" else None,
            "bound": error if relation == "bound" else None,
            "least": float(best.errors[parameters.calls - 1]),
        }
    return result


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together."""
    check_files(parameters)
    check_size("calls", parameters.calls, law_size(parameters).sites)
    parse(parameters.decoder)


SUBJECT = Subject(
    "decode",
    "What a decoder does to a law: divergences, calls",
    Parameters,
    compute,
    check,
    quantities={
        "kl": Quantity("KL(p‖q) (nats)", predicted="predicted", lower="kl_low", upper="kl_high", log=True),
        "reverse_kl": Quantity("KL(q‖p) (nats)", lower="reverse_kl_low", upper="reverse_kl_high", log=True),
        "total_variation": Quantity("total variation to p"),
        "expected_calls": Quantity("expected network calls"),
    },
)
