"""The record of the study as tables for people: in the terminal, in the documentation and in the report alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.claim import Table
from experiments.translation.ablations.parity import JUDGED, outcome
from experiments.translation.ablations.recommendations import MARGIN, verdict
from experiments.translation.ablations.variants import CHOSEN_LENGTH, VARIANTS

LENGTHS = {True: "teacher chooses among 3", False: "likeliest"}


def tables(record: Mapping[str, Any]) -> dict[str, Table]:
    """Every table of a record, by its title.

    Raises:
        KeyError, TypeError, ValueError, StopIteration: not a record of the study.
    """
    found = {
        "What each choice is worth": recommendations(record),
        "How near its teacher each attempt comes": parity(record),
    }
    return {title: table for title, table in found.items() if table.rows}


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


def as_markdown(record: Mapping[str, Any]) -> str:
    """The tables of a record, in Markdown."""
    from experiments.documentation.markdown import table

    return "\n".join(f"*{title}*\n\n{table(found.columns, found.rows)}" for title, found in tables(record).items())


def _signed(effect: Mapping[str, Any], factor: float = 1.0) -> str:
    value, low, high = (factor * effect[name] for name in ("value", "low", "high"))
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
