"""The subjects, by name: every claim, the computations below, and any other as ``module:NAME``.

Modules are imported when they are asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
from importlib import import_module

from experiments.claims import MODULES as CLAIMS
from experiments.claims import identifier
from experiments.sweeps.subject import Subject
from theory.errors import InvalidInput

MODULES = {
    "chain": "one sampler on one law: gap, exact mixing time, bounds",
    "escape": "strong clique: steps of k-Gibbs and of independent parallel out of the wrong mode",
    "information": "what masks of k sites teach about an Ising model",
    "t5": "a small T5 on the synthetic language: what its refinement steps make, beside a perfect one",
    "training": "a small masked network: how far the law that it decodes is from the data law",
    "unmasking": "decoding by unmasking: network calls against error",
}
"""Name and what it computes; the module of the same name binds it in ``SUBJECT``."""


def load_subject(name: str) -> Subject:
    """The subject of that name, the claim of that identifier or name, or ``NAME`` of a module that can be imported.

    Raises:
        InvalidInput: there is no such subject; close names are suggested.
    """
    if ":" in name:
        return _foreign(name)
    if name in MODULES:
        subject: Subject = import_module(f"experiments.sweeps.subjects.{name}").SUBJECT
        return subject
    try:
        claim = identifier(name)
    except InvalidInput:
        known = [*MODULES, *CLAIMS]
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise InvalidInput("subject", name, f"{hint}one of {', '.join(known)}") from None
    from experiments.sweeps.subjects.claim import claim_subject

    return claim_subject(claim)


def _foreign(name: str) -> Subject:
    module, _, attribute = name.partition(":")
    try:
        subject = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput("subject", name, f"cannot be imported: {error}") from None
    if not isinstance(subject, Subject):
        raise InvalidInput("subject", name, "is not a Subject (see experiments.sweeps.subject)")
    # Workers load a subject by its name.
    return dataclasses.replace(subject, name=name)
