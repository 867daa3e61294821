"""The bounds that can be searched, by name: one file for a subject, each with its own list `BOUNDS`.

A new bound is a `experiments.tightness.bound.Bound` in one of the lists.
"""

from __future__ import annotations

from experiments.tightness import decoding, escape, learning, mixing
from experiments.tightness.bound import Bound
from theory.errors import InvalidInput

BOUNDS: dict[str, Bound] = {
    bound.name: bound for bound in (*learning.BOUNDS, *mixing.BOUNDS, *escape.BOUNDS, *decoding.BOUNDS)
}
"""Every bound by name."""


def of(text: str) -> list[Bound]:
    """The bounds of a claim (``C6``), or the one of that name; ``all`` for all.

    Raises:
        InvalidInput: there is none.
    """
    wanted = text.strip().lower()
    found = [b for b in BOUNDS.values() if wanted in {"all", b.name, b.claim.lower()}]
    if not found:
        claims = dict.fromkeys(bound.claim for bound in BOUNDS.values())
        raise InvalidInput("bound", text, "all, one of " + ", ".join((*claims, *BOUNDS)))
    return found
