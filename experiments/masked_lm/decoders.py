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


def decoder_records(
    conditionals: ConditionalModel, reference: Array, seconds: float, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """One row for each rule and number of calls 1..n: TV and KL to the reference law, expected and worst calls.

    Args:
        reference: the law to compare with, [S].
        seconds: of processor time, after which no rule is begun.
    """
    try:
        model = ConditionalTables(conditionals)
    except InvalidInput as error:
        return [{"decoder": name, "calls": None, "left_out": str(error)} for name in RULES]
    began = time.process_time()
    rows: list[dict[str, Any]] = []
    # The costly ones last: those that draw tokens for all sites, and those that may reveal any set of sites.
    for name in sorted(RULES, key=lambda name: (name == "masked-diffusion", RULES[name]().looks_at == "drawn")):
        rule = RULES[name]()
        if rule.needs == "noise" or name == "optimal":
            continue
        for calls in range(1, conditionals.sites + 1) if rule.reads_calls else (conditionals.sites,):
            head = {"decoder": name, "calls_asked": calls if rule.reads_calls else None}
            if time.process_time() - began > seconds:
                rows.append({**head, "left_out": f"left out after {seconds:g} s of processor time"})
                continue
            say(f"decoder {name}, {calls} calls")
            try:
                found = decode(model, rule, calls)
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


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
