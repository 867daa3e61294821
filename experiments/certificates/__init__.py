"""Certificates: claims decided on rational laws by `theory.certified`, beside their float64 computation.

One module for each claim, with a function ``certify(progress) -> list[Statement]``. They share no code with the claims'
float64 routes. Needs the extra ``certify`` (python-flint).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from experiments.claim import Progress
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from experiments.certificates.statement import Statement

MODULES: dict[str, str] = {
    "C2": "c2_loewner_order",
    "C3": "c3_efficiency_and_gap",
    "C5": "c5_constants",
    "C6": "c6_contraction_and_mixing",
    "C8": "c8_strong_clique",
    "C9": "c9_schedules",
}


def require(claims: Sequence[str]) -> set[str]:
    """The claims among these, by identifier, that have a certificate; refuses a run in which nothing can be certified.

    Raises:
        InvalidInput: none of the claims has a certificate.
        ModuleNotFoundError: the extra ``certify`` is not installed.
    """
    found = set(claims) & set(MODULES)
    if not found:
        raise InvalidInput("--certify", ", ".join(claims), "there are certificates for " + ", ".join(MODULES))
    import_module("flint")
    return found


def certify(claim: str, progress: Progress) -> list[Statement]:
    """Decide every statement of a claim's certificate.

    Raises:
        ModuleNotFoundError: the extra ``certify`` is not installed.
    """
    module = import_module(f"experiments.certificates.{MODULES[claim]}")
    statements: list[Statement] = module.certify(progress)
    return statements
