"""The subjects, by name: every claim, the computations below, and any other, or a plain function, as ``module:NAME``.

Modules are imported when they are asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import traceback
from importlib import import_module

from experiments.claims import MODULES as CLAIMS
from experiments.claims import identifier
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput

MODULES = {
    "chain": "one sampler on one law: gap, exact mixing time, bounds",
    "decode": "what a decoder does to a law: divergences both ways, calls",
    "escape": "strong clique: steps of k-Gibbs and of independent parallel out of the wrong mode",
    "information": "what masks of k sites teach about an Ising model",
    "t5": "a small T5 on the synthetic language: what its refinement steps make, beside a perfect one",
    "training": "a small masked network: how far the law that it decodes is from the data law",
}
"""Name and what it computes; the module of the same name binds it in ``SUBJECT``."""

RENAMED = {subject: {"batch": "batch_size", "rate": "learning_rate"} for subject in ("t5", "training")}
"""Parameters that had other names, by subject: what older cells call them, and what they are called now."""


def load_subject(name: str) -> Subject:
    """The subject of that name, the claim of that identifier or name, or ``NAME`` of a module that can be imported.

    Raises:
        InvalidInput: there is no such subject; close names are suggested.
    """
    if ":" in name:
        return _foreign(name)
    own = own_subject(name)
    if own is not None:
        return own
    known = [*MODULES, *CLAIMS]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    raise InvalidInput("subject", name, f"{hint}one of {', '.join(known)}, or MODULE:FUNCTION of your own")


def own_subject(name: str) -> Subject | None:
    """A subject of the workbench or a claim; None for any other name, of which nothing is imported."""
    if name in MODULES:
        subject: Subject = import_module(f"experiments.sweeps.subjects.{name}").SUBJECT
        return subject
    try:
        claim = identifier(name)
    except InvalidInput:
        return None
    from experiments.sweeps.subjects.claim import claim_subject

    return claim_subject(claim)


def _foreign(name: str) -> Subject:
    module, _, attribute = name.partition(":")
    # A module of the user lies in the folder that the command is given in, as with `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(import_module(module), attribute)
    except Exception as error:  # importing runs the user's module, in which anything can go wrong
        reason = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
        raise InvalidInput("subject", name, f"cannot be imported: {reason}") from None
    if isinstance(found, Subject):
        # Workers load a subject by its name.
        return dataclasses.replace(found, name=name)
    if not callable(found):
        raise InvalidInput("subject", name, "is neither a function nor a Subject (see experiments.sweeps.subject)")
    from experiments.sweeps.subjects.function import function_subject

    return function_subject(name, found)
