"""The laws that decoders are tried on: those of ``gmlm chain`` as tables, and laws at real length.

A law is kept as a table where all its partial sequences can be listed, (q + 1)^N <= `ENUMERABLE`; then every decoder's
output law is exact. Otherwise it is a `SequenceLaw`, whose conditionals are exact at any length.

Models that exist at length, by name: markov, hmm, product and mixture as in `experiments.chains.models`, and four whose
dependence is long-ranged:

    topic       a hidden one of q topics; in a topic, a sticky chain over tokens tilted towards the topic's own
    copying     a sticky chain, then a copy of it in which a token is right with weight exp(2 coupling) against 1
    brackets    brackets of q/2 kinds that match, at most three deep
    urn         Pólya's urn with exp(-coupling) balls of each colour
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import MODELS, build_law, sticky, tilted
from theory.errors import InvalidInput
from theory.laws import JointLaw, open_numbers
from theory.laws.length import (
    HiddenMarkovLaw,
    MarkovLaw,
    MixtureLaw,
    SequenceLaw,
    UrnLaw,
    bracket_law,
    copying_law,
    fit_markov,
    read_text,
)
from theory.laws.length.corpus import SMOOTHING
from theory.states import all_sequences

ENUMERABLE = 20_000
"""Partial sequences up to which output laws are enumerated: 9 binary sites, 7 over three symbols, 6 over four."""

LARGEST_TABLE = 200_000
"""The same for laws that exist as tables only: 11 binary sites, 8 over three or 4 over twenty symbols."""

BRACKET_DEPTH = 3


def _markov(spec: ModelSpec) -> SequenceLaw:
    chain = sticky(spec.symbols, spec.coupling)
    if spec.field == 0:
        return MarkovLaw(chain, spec.sites, f"Markov sequence of {spec.sites}")
    # A start that is not stationary: the tokens are the states of a hidden Markov model without noise.
    start, seen = tilted(spec.symbols, spec.field), np.eye(spec.symbols)
    return HiddenMarkovLaw(start, chain, seen, spec.sites, name=f"Markov sequence of {spec.sites}")


def _hmm(spec: ModelSpec) -> SequenceLaw:
    chain = sticky(spec.symbols, spec.coupling)
    start = tilted(spec.symbols, spec.field)
    return HiddenMarkovLaw(start, chain, chain, spec.sites, name=f"hidden Markov sequence of {spec.sites}")


def _mixture(spec: ModelSpec) -> SequenceLaw:
    classes = tilted(spec.symbols, spec.field)
    return HiddenMarkovLaw(
        classes, np.eye(spec.symbols), sticky(spec.symbols, spec.coupling), spec.sites, name="mixture of products"
    )


def _product(spec: ModelSpec) -> SequenceLaw:
    return HiddenMarkovLaw([1.0], [[1.0]], [tilted(spec.symbols, spec.field)], spec.sites, name="product")


def _topic(spec: ModelSpec) -> SequenceLaw:
    components = []
    for topic in range(spec.symbols):
        own = sticky(spec.symbols, spec.coupling) * np.exp(spec.coupling * (np.arange(spec.symbols) == topic))
        components.append(MarkovLaw(own / own.sum(axis=1, keepdims=True), spec.sites))
    return MixtureLaw(tilted(spec.symbols, spec.field), components, f"hidden topic, {spec.symbols} topics")


def _copying(spec: ModelSpec) -> SequenceLaw:
    weight = float(np.exp(2 * spec.coupling))
    fidelity = weight / (weight + spec.symbols - 1)
    return copying_law(sticky(spec.symbols, spec.coupling), spec.sites, fidelity)


def _brackets(spec: ModelSpec) -> SequenceLaw:
    if spec.symbols % 2:
        raise InvalidInput("symbols", spec.symbols, "brackets need an even number: each kind opens and closes")
    return bracket_law(spec.sites, spec.symbols // 2, BRACKET_DEPTH)


def _urn(spec: ModelSpec) -> SequenceLaw:
    return UrnLaw(np.full(spec.symbols, np.exp(-spec.coupling)), spec.sites)


AT_LENGTH: dict[str, Callable[[ModelSpec], SequenceLaw]] = {
    "markov": _markov,
    "hmm": _hmm,
    "mixture": _mixture,
    "product": _product,
    "topic": _topic,
    "copying": _copying,
    "brackets": _brackets,
    "urn": _urn,
}
"""Models that exist at any length."""

NAMES = (*MODELS, *(name for name in AT_LENGTH if name not in MODELS))
"""Every model that decoders can be tried on."""


def model_law(spec: ModelSpec) -> JointLaw | SequenceLaw:
    """The law of a model: a table where it can be enumerated.

    Raises:
        InvalidInput: an unknown model, a value that it does not allow, or a size at which it does not exist.
    """
    if spec.model not in NAMES:
        raise InvalidInput("model", spec.model, "one of " + ", ".join(NAMES))
    for name, least in (("sites", 1), ("symbols", 2)):
        if getattr(spec, name) < least:
            raise InvalidInput(name, getattr(spec, name), f"at least {least} is needed")
    for name in ("coupling", "field"):
        if not np.isfinite(getattr(spec, name)):
            raise InvalidInput(name, getattr(spec, name), "a finite number is needed")
    if spec.model in AT_LENGTH:
        return as_table(AT_LENGTH[spec.model](spec))
    symbols = spec.symbols if spec.model in {"potts", "random"} else 2
    if not enumerable(spec.sites, symbols, LARGEST_TABLE):
        raise InvalidInput(
            "sites",
            spec.sites,
            f"{spec.model} is a table, and {symbols + 1}^{spec.sites} partial sequences are more than "
            f"{LARGEST_TABLE}; at any length there are {', '.join(AT_LENGTH)}, --transition and --corpus",
        )
    return build_law(spec)


def enumerable(sites: int, symbols: int, limit: int = ENUMERABLE) -> bool:
    """Whether all partial sequences can be listed, as at most so many."""
    return bool(sites * np.log(symbols + 1) <= np.log(limit))


def as_table(law: SequenceLaw) -> JointLaw | SequenceLaw:
    """The law as a table where it can be enumerated."""
    if not enumerable(law.sites, law.symbols):
        return law
    masses = np.exp(law.log_probability(all_sequences(law.sites, law.symbols)))
    return JointLaw(masses.reshape((law.symbols,) * law.sites), law.name)


def transition_law(path: Path, sites: int) -> JointLaw | SequenceLaw:
    """The stationary chain whose transitions, shape [q]*R + [q], are stored in a ``.npy`` file.

    Raises:
        InvalidInput: a file that is missing or damaged, or no transition law of one class.
    """
    return as_table(MarkovLaw(open_numbers(path, "transition"), sites, f"Markov chain of {path.name}"))


def corpus_law(
    path: Path, order: int, sites: int, alphabet: str = "letters", smoothing: float = SMOOTHING
) -> JointLaw | SequenceLaw:
    """The character model of a text file.

    Raises:
        InvalidInput: a file that cannot be used, or a value out of range.
        ExceedsMemory: the model does not fit.
    """
    name = f"characters of {path.name}, order {order}"
    return as_table(fit_markov(read_text(path), order, sites, alphabet, smoothing, name))
