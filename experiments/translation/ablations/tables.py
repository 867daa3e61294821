"""The record of the study as tables: what the terminal, the documentation and the report show alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.claim import Table
from experiments.translation.ablations.parity import JUDGED, WAYS, nearest, outcome
from experiments.translation.ablations.recommendations import MARGIN, verdict
from experiments.translation.ablations.variants import (
    CHOSEN_LENGTH,
    FRONTIER,
    GREEDY,
    MASK_PREDICT,
    TEACHER,
    TRAINED,
    VARIANTS,
)

LENGTHS = {True: "teacher chooses among 3", False: "likeliest"}


def recommendations(record: Mapping[str, Any]) -> Table:
    """Each choice with its effects, the paper's advice and the verdict."""
    rows = []
    for entry in record["effects"]:
        numbers = [_signed(entry["bleu"]), _signed(entry["chrf"]), _signed(entry["stutter"], 100)]
        rows.append([entry["choice"], *numbers, entry["advice"], verdict(entry)])
    return Table(["choice (new instead of old)", "BLEU", "chrF", "stutter, %", "the paper's advice", "verdict"], rows)


def parity(record: Mapping[str, Any]) -> Table:
    """Each attempt with its gap to the teacher, those that come nearest first."""
    ways: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for gap in record["parity"]:
        ways.setdefault((gap["network"], gap["scheme"]), {})[gap["steps"]] = gap
    judged = {way: gaps for way, gaps in ways.items() if JUDGED in gaps}
    steps = sorted({step for gaps in judged.values() for step in gaps})
    rows = []
    for (network, scheme), gaps in sorted(judged.items(), key=lambda item: -item[1][JUDGED]["bleu"]["value"]):
        at = gaps[JUDGED]
        rows.append(
            [
                VARIANTS[network].text,
                LENGTHS[scheme == CHOSEN_LENGTH],
                *(
                    _signed(gaps[step]["bleu"]) if step == JUDGED else f"{gaps[step]['bleu']['value']:+.2f}"
                    for step in steps
                    if step in gaps
                ),
                ", ".join(f"{value:+.2f}" for value in at["bleu"]["seeds"]),
                _signed(at["chrf"]),
                _signed(at["stutter"], 100),
                outcome(at["bleu"]),
            ]
        )
    columns = [f"BLEU, {step} step{'s' * (step > 1)}" for step in steps]
    after = [f"{name}, {JUDGED} steps" for name in ("each seed", "chrF", "stutter, %")]
    return Table(["attempt", "length", *columns, *after, f"within {MARGIN:g} BLEU"], rows)


def errors(record: Mapping[str, Any]) -> Table:
    """What sentences lack to their references, by steps, of the networks that `compared` names."""
    fields = ("length_error", "token_error", "order_error")
    rows = []
    for network, scheme in compared(record):
        for steps in _steps(record, network, scheme):
            found = [_mean(record, network, scheme, steps, field) for field in fields]
            stutter = 100 * _mean(record, network, scheme, steps, "stutter")
            rows.append([*_names(network, scheme, steps), *(f"{value:.2f}" for value in (*found, sum(found), stutter))])
    return Table(["network", "length", "steps", "lengths", "tokens", "order", "all edits", "stutter, %"], rows)


def frontier(record: Mapping[str, Any]) -> Table:
    """BLEU and processor time beside those of the teacher; empty where it was not decoded."""
    if not _steps(record, TEACHER, GREEDY):
        return Table(["network"], [])
    bleu, time = (_mean(record, TEACHER, GREEDY, None, name) for name in ("bleu", "processor_milliseconds"))
    rows = []
    for network, scheme in compared(record):
        for steps in _steps(record, network, scheme):
            own, cost = (_mean(record, network, scheme, steps, name) for name in ("bleu", "processor_milliseconds"))
            gained, ratio = own - bleu, cost / time
            verdict = "trades" if (gained < 0) == (ratio < 1) else "loses" if gained < 0 else "gains"
            numbers = [f"{own:.2f}", f"{gained:+.2f}", f"{cost:.2f}", f"{ratio:.2f}"]
            rows.append([*_names(network, scheme, steps), *numbers, "" if network == TEACHER else verdict])
    columns = ["BLEU", "against the teacher", "ms", "in times of the teacher", "refinement"]
    return Table(["network", "length", "steps", *columns], rows)


def compared(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Networks and ways to decode that tables and figures set side by side: teachers, depths, and the best attempt."""
    ways = [
        (name, GREEDY if VARIANTS[name].decoder == "autoregressive" else MASK_PREDICT) for name in TRAINED[FRONTIER]
    ]
    if (best := nearest(record["parity"])) is not None:
        ways += [(best["network"], way) for way in WAYS]
    return [way for way in dict.fromkeys(ways) if _steps(record, *way)]


def _steps(record: Mapping[str, Any], network: str, scheme: str) -> list[int | None]:
    """Numbers of steps that were measured, None alone for greedy decoding."""
    found = {cell["steps"] for cell in record["cells"] if (cell["network"], cell["scheme"]) == (network, scheme)}
    return sorted(found, key=lambda steps: steps or 0)


def _mean(record: Mapping[str, Any], network: str, scheme: str, steps: int | None, field: str) -> float:
    own = [
        cell[field]
        for cell in record["cells"]
        if (cell["network"], cell["scheme"], cell["steps"]) == (network, scheme, steps)
    ]
    return sum(own) / len(own)


def _names(network: str, scheme: str, steps: int | None) -> list[str]:
    length = "" if steps is None else LENGTHS[scheme == CHOSEN_LENGTH]
    return [VARIANTS[network].text, length, "" if steps is None else str(steps)]


def _signed(effect: Mapping[str, Any], factor: float = 1.0) -> str:
    value, low, high = (factor * effect[name] for name in ("value", "low", "high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
