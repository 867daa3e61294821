"""The card of every decoder of the registry: the rule, its source, and its exact law on a small table."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from experiments.decoding.card import card_record, letters, ties_sentence, verdict
from experiments.documentation.markdown import cited, escaped, table
from theory.decoding.registry import CHAIN_STEPS, RULES

FOLDER = "reference/decoders"


def pages() -> dict[str, Callable[[], str]]:
    """An overview, and a card for every rule."""
    return {
        f"{FOLDER}/index.md": _overview,
        **{f"{FOLDER}/{name}.md": partial(_card, name) for name in RULES},
    }


def _overview() -> str:
    rows = [
        (f"[`{name}`]({name}.md)", escaped(rule.summary), rule().looks_at, "yes" if rule().remasks else "")
        for name, rule in RULES.items()
    ]
    steps = ", ".join(f"`{name}`" for name in CHAIN_STEPS)
    return "\n".join(
        [
            "# Decoders\n",
            "Every rule of the registry with its options, its source and its exact law on a small table. A rule is "
            "named with its options, `llada:temperature=0.7,block=32`, and what follows it after a plus, one of "
            f"{steps}: `llada+k-gibbs:k=2,times=3`. `gmlm decode card RULE` prints a card for any options.\n",
            table(("rule", "what it does", "looks at", "remasks"), rows),
        ]
    )


def _card(name: str) -> str:
    record = card_record(name)
    lines = []
    for part in record["parts"]:
        lines += [
            f"# {part['name']}\n",
            f"{escaped(part['summary'][:1].upper() + part['summary'][1:])}.\n",
            f"- Source: {cited(part['source'])}\n- Looks {escaped(part['looks_at'])}.\n"
            f"- Needs {escaped(part['needs'])}; {'may' if part['remasks'] else 'does not'} remask.\n"
            f"- At any length: {escaped(record['at_length'])}.\n",
            "## Options\n",
            table(
                ("option", "default", "meaning"),
                (
                    (f"`{option['name']}`", f"`{option['value']}`", escaped(_meaning(option)))
                    for option in part["options"]
                ),
            )
            if part["options"]
            else "None.\n",
        ]
    lines += [
        "## On a small table\n",
        f"{escaped(record['law'])}, entropy {record['entropy']:.4g} nats; every number is exact, in nats.\n",
        table(
            ("T", "calls", "worst", "KL(p‖q)", "KL(q‖p)", "total variation"),
            ([f"{value:.4g}" for value in row.values()] for row in record["by_calls"]),
        ),
        f"{escaped(verdict(record))} {escaped(ties_sentence(record))}\n",
        "The sequences that differ most, or the likeliest where none does:\n",
        table(("sequence", "p(x)", "q(x)"), ((letters(x), f"{p:.4f}", f"{q:.4f}") for x, p, q in record["outputs"])),
    ]
    return "\n".join(lines)


def _meaning(option: dict[str, Any]) -> str:
    choices = f" (one of {', '.join(option['choices'])})" if option["choices"] else ""
    return option["help"] + choices
