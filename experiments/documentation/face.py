"""Reference of the face: for every public name its docstring and an example, a page for each of its homes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import gmlm
from experiments.documentation.markdown import prose, sections

FOLDER = "reference/python"

TITLES = {
    "theory.laws": "Joint laws",
    "theory.laws.length": "Laws at real length",
    "theory.masks": "Masks",
    "theory.conditionals": "Conditional models",
    "theory.samplers": "Samplers",
    "theory.chains": "What a chain does",
    "theory.divergences": "Divergences",
    "theory.inequalities": "Functional inequalities",
    "theory.estimation": "Estimation",
    "theory.bounds": "Bounds",
    "theory.incompatibility": "Incompatibility",
    "theory.decoding": "Decoders",
    "experiments.diagnosis.subjects": "What is likely to fail",
    "experiments.pictures": "Pictures",
    "simulators.masked_lm": "Networks",
    "experiments.sweeps": "Sweeps and results",
    "theory.errors": "Errors",
}
"""What the names of each home are about."""


def pages(examples: Path) -> dict[str, Callable[[], str]]:
    """An overview, and a page for every module that the face takes names from."""
    return {
        f"{FOLDER}/index.md": _overview,
        **{f"{FOLDER}/{page_of(home)}": partial(_page, home, names, examples) for home, names in gmlm.HOMES.items()},
    }


def page_of(home: str) -> str:
    """The file of a home's page."""
    return home.replace(".", "-").replace("_", "-") + ".md"


def path_of(home: str, name: str) -> str:
    """Where a name of the face is defined; a sub-module of its home may have the same name."""
    value = getattr(gmlm, name)
    return f"{value.__module__}.{name}" if callable(value) else f"{home}.{name}"


def _overview() -> str:
    lines = [
        "# Python\n",
        "`import gmlm` has these names, each imported on use. They are stable; what is not listed is internal and may "
        "change. Every example of these pages is run by the test suite.\n",
    ]
    for home, names in gmlm.HOMES.items():
        links = ", ".join(f"[`{name}`]({page_of(home)}#{path_of(home, name)})" for name in names)
        lines.append(f"**{TITLES[home]}**: {links}\n")
    return "\n".join(lines)


def _page(home: str, names: tuple[str, ...], examples: Path) -> str:
    shown = sections(examples.read_text(encoding="utf-8"))
    lines = [f"# {TITLES[home]}\n", f"From `{home}`; `gmlm.NAME` is the same object.\n"]
    for name in names:
        lines += [f"::: {path_of(home, name)}\n", "**Example**\n", f"{shown[name]}\n"]
    modules = dict.fromkeys(path_of(home, name).rpartition(".")[0] for name in names)
    lines.append("## Definitions\n")
    for module in modules:
        lines += [f"**`{module}`**\n", prose(inspect.getdoc(sys.modules[module]) or "")]
    return "\n".join(lines)
