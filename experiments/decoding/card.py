"""A decoder's card as a record: what the rule says of itself, and what it does on a small table."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from theory.decoding.card import EXACT, SITES, card_of, instructive_law
from theory.decoding.chain_steps import Followed
from theory.decoding.faces import at_length
from theory.decoding.registry import parse
from theory.decoding.rule import Rule, Setting
from theory.decoding.tables import KnownLaw
from theory.parameters import describe

LOOKS = {
    "nothing": "at nothing: its sites are known beforehand, or random",
    "revealed": "at revealed tokens",
    "drawn": "at drawn tokens before it keeps them",
}

NEEDS = {
    "": "the laws of hidden sites",
    "leave-one-out": "also the law of a revealed site when it is masked too (a further call)",
    "law": "a known law, from which the schedule is computed",
    "noise": "a known law, for scores of noisy sequences",
}


def card_record(text: str) -> dict[str, Any]:
    """The card of ``NAME[:OPTION=VALUE,...]``.

    Raises:
        InvalidInput: an unknown decoder or option, or options that do not fit four sites.
    """
    rule = parse(text)
    return {
        "decoder": text.strip(),
        "parts": [_part(part) for part in _parts(rule)],
        "at_length": at_length(rule, Setting.of(KnownLaw(instructive_law()), SITES)),
        **asdict(card_of(rule)),
    }


def _parts(rule: Rule) -> list[Rule]:
    return [*_parts(rule.first), rule.then] if isinstance(rule, Followed) else [rule]


def _part(rule: Rule) -> dict[str, Any]:
    described = describe(type(rule))
    return {
        "name": rule.name,
        "summary": rule.summary,
        "source": rule.source,
        "looks_at": LOOKS[rule.looks_at],
        "needs": NEEDS[rule.needs],
        "remasks": rule.remasks,
        "options": [
            {
                "name": field.name,
                "value": getattr(rule, field.name),
                "help": described[field.name].rule.help,
                "choices": described[field.name].rule.choices,
            }
            for field in fields(rule)
        ],
    }


def verdict(record: dict[str, Any]) -> str:
    """One sentence on as many calls as sites."""
    if record["one_a_call"] < EXACT:
        return f"With {SITES} calls asked for, as many as sites, it puts out p exactly."
    return f"With {SITES} calls asked for, as many as sites, it misses p by {record['one_a_call']:.3g} nats."


def ties_sentence(record: dict[str, Any]) -> str:
    """One sentence on ties."""
    ties = record["ties"]
    if len(ties) < 2:
        return "Two fair pairs of copies: not with these options."
    first, random = ties["first"], ties["random"]
    if abs(first - random) < EXACT:
        return f"Two fair pairs of copies, two calls: KL(p‖q) = {first:.3g} nats, however ties are broken."
    broken = f"{first:.3g} nats with ties to the first, {random:.3g} at random"
    return f"Two fair pairs of copies, two calls: KL(p‖q) = {broken}."


def letters(sequence: list[int] | tuple[int, ...]) -> str:
    """Tokens as a, b, c."""
    return "".join(chr(ord("a") + token) for token in sequence)
