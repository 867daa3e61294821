"""What the record of a chain says, in words: the answer in a sentence or two, then each number with its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROUNDING = 1e-9
"""A distance below this is rounding: the two laws are the same."""

MEANINGS = {
    "states": "sequences or states that the chain can be in",
    "stationary tv to target": "how far its stationary law is from p, 0 to 1",
    "stationary kl to target": "the same as a divergence, in nats",
    "likeliest": "states of the largest stationary mass",
    "reversible": "whether it runs the same backwards, in stationarity",
    "spectral gap": "1 - largest eigenvalue beside 1: the slower, the smaller",
    "absolute spectral gap": "1 - largest modulus of an eigenvalue beside 1",
    "relaxation time": "1 / absolute gap: steps that divide a deviation by e",
    "epsilon": "distance from the stationary law that counts as mixed",
    "mixing time": "steps from the worst start until it is that near",
    "mixing time certain": "whether rounding cannot have moved the number",
    "mixing time reason": "how it was found, or why there is none",
    "bottleneck ratio": "chance a step to leave the set that is hardest to leave",
    "closed classes": "sets of states that it never leaves",
    "transient states": "states that it leaves for good",
    "periods": "every return takes a multiple of this",
    "renormalised": "how far the rows were from summing to 1, divided away",
}

HIDDEN = frozenset({"curve", "classes", "mixing_time_bounds", "residuals", "missing"})
"""Fields that are no rows of the table of details."""


def number(value: float) -> str:
    """A number in a sentence: whole up to a million, four digits beyond."""
    if value == int(value) and abs(value) < 10**6:
        return str(int(value))
    return f"{value:.4g}"


def answer(record: Mapping[str, Any]) -> str:
    """One or two sentences: how fast, within what bounds, and to which law."""
    return f"{_mixing(record)}; {_law(record)}."


def _mixing(record: Mapping[str, Any]) -> str:
    steps, bounds = record["mixing_time"], _best(record["mixing_time_bounds"])
    if steps is not None:
        doubt = "" if record["mixing_time_certain"] else ", as far as rounding lets it be told"
        return f"mixes in {number(steps)} step{'' if steps == 1 else 's'}{doubt}" + (
            f"; bounds {bounds}" if bounds else ""
        )
    reason = record["mixing_time_reason"]
    if record["mixing_time_interval"] is None:
        return f"never mixes ({reason})"
    return f"mixing time not counted ({reason})" + (f"; it lies within {bounds} steps" if bounds else "")


def _best(bounds: Mapping[str, Any]) -> str:
    low = max((lower for lower, _ in bounds.values() if lower is not None), default=0.0)
    high = min((upper for _, upper in bounds.values() if upper is not None), default=None)
    if not low and high is None:
        return ""
    return f"{number(low)} to {'∞' if high is None else number(high)}"


def _law(record: Mapping[str, Any]) -> str:
    distance = record["stationary_tv_to_target"]
    if record["closed_classes"] > 1:
        return f"it has {record['closed_classes']} closed classes, each with a stationary law of its own"
    if distance is not None:
        same = "its stationary law is p"
        return same if distance < ROUNDING else f"its stationary law is not p: total variation {number(distance)}"
    if not record["likeliest"]:
        return f"its stationary law is not known ({record['missing'].get('stationary law', 'not computed')})"
    name, mass = record["likeliest"][0]
    return f"its stationary law puts most mass, {number(mass)}, on {name}"


def details(record: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Name, value and meaning of every single number of a record."""
    rows: list[tuple[str, Any, str]] = []
    for key, value in record.items():
        if key in HIDDEN or key.endswith("_interval") or value == [] or (key == "renormalised" and not value):
            continue
        name = key.replace("_", " ")
        if key == "likeliest":
            value = "; ".join(f"{state}: {number(mass)}" for state, mass in value if mass > 0)
        elif (interval := record.get(f"{key}_interval")) and value is None:
            low, high = (("∞" if end is None else number(end)) for end in interval)
            value = f"{low} .. {high}"
        rows.append((name, value, MEANINGS.get(name, "")))
    rows += [(f"bound by {name}", tuple(ends), "steps") for name, ends in record["mixing_time_bounds"].items()]
    shown = {"mixing time"}  # its reason is a row already
    rows += [(f"no {name}", reason, "") for name, reason in record["missing"].items() if name not in shown]
    return rows
