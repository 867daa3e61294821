"""Claims as pages: what is stated, why it is true, where it is checked, and what was drawn."""

from __future__ import annotations

import html
import inspect
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

from experiments.claim import Claim
from experiments.claims import MODULES, load
from experiments.documentation.markdown import cited, escaped, sections, table
from theory.parameters import describe

FOLDER = "reference/claims"

CODE = "experiments/claims"

GROUPS = {
    "C": ("The theory", "Theorems of the paper, and sharper ones, by exact computation."),
    "D": ("Decoders", "What rules that fill in blanks do to a law."),
    "N": ("Networks", "Small trained networks, and a published one, held to the theory."),
    "P": ("Translation", "A small T5 beside the exact law of a synthetic language."),
}
"""Letter of an identifier -> what these claims are about."""


def pages(docs: Path) -> dict[str, Callable[[], str]]:
    """An overview, and a page for every claim."""
    return {
        f"{FOLDER}/index.md": _overview,
        **{f"{FOLDER}/{key}.md": partial(_page, key, docs) for key in MODULES},
    }


def _overview() -> str:
    lines = [
        "# Claims\n",
        "`gmlm reproduce` checks them all; `gmlm claims C6` prints a statement and its parameters. Every check "
        "compares a measured number with one that was obtained by another route, and the test of each claim "
        "plants a falsehood and sees it reported.\n",
    ]
    for letter, (title, about) in GROUPS.items():
        lines += [f"## {title}\n", f"{about}\n"]
        lines.append(
            table(
                ("", "claim"), ((f"[{key}]({key}.md)", escaped(load(key).title)) for key in MODULES if key[0] == letter)
            )
        )
    return "\n".join(lines)


def _page(key: str, docs: Path) -> str:
    claim = load(key)
    proofs = sections((docs / "reference" / "proofs.md").read_text(encoding="utf-8"))
    run = [f"    gmlm reproduce {claim.id}", f"    gmlm reproduce {claim.id} --profile full"]
    lines = [
        f"# {claim.id} · {escaped(claim.title)}\n",
        f'<p class="statement">{html.escape(claim.statement)}</p>\n',
        f"*Source*: {cited(claim.source)}\n",
        "## Why\n",
        f"{proofs[claim.id]}\n",
        "## Check it\n",
        *run,
    ]
    drawn = [spec for spec in claim.figures if (docs / picture(claim, spec.name)).exists()]
    if drawn:
        lines.append("## What is seen\n")
    for spec in drawn:
        lines += [f"![{escaped(spec.name)}](../../{picture(claim, spec.name)})\n", f"*{escaped(spec.caption)}*\n"]
    lines += ["## Parameters\n", _parameters(claim), "## Code\n", _code(claim)]
    return "\n".join(lines)


def picture(claim: Claim, name: str) -> str:
    """Where a figure of the quick profile lies below ``docs/``."""
    return f"figures/{claim.id}-{name}.webp"


def _code(claim: Claim) -> str:
    """The claim's module, folded: the site has no other place for sources, and is read without a network."""
    module = f"{CODE}/{MODULES[claim.id]}.py"
    source = f"```python\n{inspect.getsource(sys.modules[claim.compute.__module__])}```"
    return f'??? note "{module}"\n\n{textwrap.indent(source, "    ")}\n'


def _parameters(claim: Claim) -> str:
    rows = []
    for name, parameter in describe(claim.parameters).items():
        rows.append((f"`{name}`", _value(parameter.default), _value(parameter.rule.full), escaped(parameter.rule.help)))
    return table(("name", "quick", "full", "meaning"), rows)


def _value(value: object) -> str:
    return escaped(", ".join(map(str, value)) if isinstance(value, tuple) else str(value))
