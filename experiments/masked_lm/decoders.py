"""Every decoder of the laboratory on a window: its exact output law beside the sampler's, and its calls.

Rules that need more than the laws of hidden sites (a known truth, scores under noise) are left out; so are those
for which no time is left, and the record says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import ConditionalModel
from theory.decoding.enumeration import decode
from theory.decoding.registry import RULES
from theory.decoding.tables import ConditionalTables
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput

Array = NDArray[np.float64]


LONGEST_SHARE = 0.25
"""Part of the time that one rule may take at one number of calls."""


class OutOfTime(Exception):
    """A rule has taken as long as it may."""


class Timed:
    """A model that is asked until its time is over."""

    def __init__(self, model: ConditionalTables, until: float) -> None:
        self.sites, self.symbols = model.sites, model.symbols
        self._model, self._until = model, until

    def predict(self, tokens: NDArray[np.int64]) -> Array:
        """As the model.

        Raises:
            OutOfTime: its time is over.
        """
        if time.process_time() > self._until:
            raise OutOfTime
        return self._model.predict(tokens)


def decoder_records(
    conditionals: ConditionalModel, reference: Array, seconds: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row for each rule and number of calls 1..n: TV and KL to the reference law, expected and worst calls.

    Args:
        reference: the law to compare with, [S].
        seconds: of processor time that all rules may take together.
    """
    try:
        model = ConditionalTables(conditionals)
    except InvalidInput as error:
        return [{"decoder": name, "calls": None, "left_out": str(error)} for name in RULES]
    began = time.process_time()
    rows: list[dict[str, Any]] = []
    # The costly ones last: those that draw tokens for all sites, and those that may reveal any set of sites.
    for name in sorted(RULES, key=_cost):
        rule = RULES[name]()
        if rule.needs in ("noise", "law"):
            continue
        slow = False
        for calls in range(1, conditionals.sites + 1) if rule.reads_calls else (conditionals.sites,):
            head = {"decoder": name, "calls_asked": calls if rule.reads_calls else None}
            left = began + seconds - time.process_time()
            if slow or left <= 0:
                rows.append({**head, "left_out": f"the {seconds:g} s of processor time for all rules"})
                continue
            say(f"decoder {name}, {calls} calls")
            try:
                found = decode(Timed(model, time.process_time() + min(left, LONGEST_SHARE * seconds)), rule, calls)
            except OutOfTime:
                # More calls take longer still.
                slow = True
                rows.append({**head, "left_out": f"{LONGEST_SHARE:.0%} of the {seconds:g} s of processor time"})
                continue
            except InvalidInput as error:
                rows.append({**head, "left_out": str(error)})
                continue
            rows.append(
                {
                    **head,
                    "calls": found.expected_calls,
                    "worst_calls": found.worst_calls,
                    "total_variation": total_variation(found.law.probabilities, reference),
                    "kl": _finite(kullback_leibler(reference, found.law.probabilities)),
                    "looks_at": rule.looks_at,
                }
            )
    return rows


def _cost(name: str) -> tuple[bool, bool, bool]:
    rule = RULES[name]()
    return rule.remasks, name == "masked-diffusion", rule.looks_at == "drawn"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
