"""From words to laws, masks and samplers: what the command line and the sweeps name, built and checked.

A *model specification* says which law on Omega^N is meant, a *sampler specification* which chain on it. Both are plain
data, so that they can be typed, stored in a record and swept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from experiments.chains.model_spec import ModelSpec
from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel, TableConditionals, TemperedConditionals
from theory.errors import InvalidInput
from theory.laws import (
    IsingLaw,
    JointLaw,
    curie_weiss,
    hidden_markov_sequence,
    ising,
    ising_on,
    markov_sequence,
    mixture_of_products,
    named_graph,
    open_numbers,
    parity_law,
    potts,
    product_law,
    random_ising,
    random_law,
    strong_clique,
)
from theory.laws.hard_core import hard_core
from theory.laws.joint import LOG_TINY
from theory.masks import MaskLaw, k_uniform
from theory.memory import require_memory
from theory.samplers import parse_sampler
from theory.states import require_states

Array = NDArray[np.float64]


def sticky(symbols: int, strength: float) -> Array:
    """A stochastic matrix [q, q] whose diagonal is exp(strength) times as likely as any other entry."""
    require_memory(4 * 8.0 * symbols**2, "symbols", symbols, "the matrix of symbols")
    return _positive("coupling", strength, softmax(strength * np.eye(symbols), axis=1))


def tilted(symbols: int, field: float) -> Array:
    """A law [q] in which each symbol is exp(2 field) times as likely as the one before (the law of an Ising spin)."""
    return _positive("field", field, softmax(2 * field * np.arange(symbols)))


def _positive(option: str, value: float, masses: Array) -> Array:
    """Refuse what a float would make impossible, but is not."""
    if not (masses >= np.finfo(np.float64).tiny).all():
        raise InvalidInput(option, value, "the rarest symbol of a site must have a probability of at least 2e-308 here")
    return np.asarray(masses)


def _product(spec: ModelSpec) -> JointLaw:
    """From logarithms, so that no field is too strong."""
    logs = log_softmax(2 * spec.field * np.arange(spec.symbols))
    if spec.sites * logs.min() > LOG_TINY:
        return product_law(np.tile(np.exp(logs), (spec.sites, 1)))
    require_states(spec.sites, spec.symbols, 24.0, "the product law")
    return JointLaw.from_log_weights(reduce(np.add.outer, [logs] * spec.sites), "product law")


def _graph(spec: ModelSpec) -> nx.Graph[int]:
    return named_graph(spec.graph, spec.sites, seed=spec.seed)


def _ising(spec: ModelSpec) -> JointLaw:
    return ising_on(_graph(spec), spec.coupling, spec.field)


def _potts(spec: ModelSpec) -> JointLaw:
    fields = np.zeros(spec.symbols)
    fields[-1] = spec.field
    return potts(_graph(spec), spec.symbols, spec.coupling, fields)


def _mixture(spec: ModelSpec) -> JointLaw:
    factors = np.repeat(sticky(spec.symbols, spec.coupling)[:, None, :], spec.sites, axis=1)
    return mixture_of_products(tilted(spec.symbols, spec.field), factors)


def _hmm(spec: ModelSpec) -> JointLaw:
    chain = sticky(spec.symbols, spec.coupling)
    return hidden_markov_sequence(tilted(spec.symbols, spec.field), chain, chain, spec.sites)


class Model(NamedTuple):
    """A named law.

    Attributes:
        build: from the specification to the law.
        uses: the fields of `ModelSpec` that it looks at; without ``symbols`` among them q = 2.
        positive: whether every sequence has a positive probability.
    """

    build: Callable[[ModelSpec], JointLaw]
    uses: frozenset[str]
    positive: bool

    @property
    def binary(self) -> bool:
        return "symbols" not in self.uses


def _model(build: Callable[[ModelSpec], JointLaw], uses: str, positive: bool = True) -> Model:
    return Model(build, frozenset(uses.split()), positive)


MODELS = {
    "ising": _model(_ising, "sites graph coupling field"),
    "curie-weiss": _model(lambda spec: curie_weiss(spec.sites, spec.coupling, spec.field), "sites coupling field"),
    "strong-clique": _model(
        lambda spec: strong_clique(spec.sites, spec.clique, spec.coupling, spec.field), "sites clique coupling field"
    ),
    "random-ising": _model(
        lambda spec: random_ising(spec.sites, np.random.default_rng(spec.seed), spec.coupling), "sites coupling seed"
    ),
    "potts": _model(_potts, "sites symbols graph coupling field"),
    "product": _model(_product, "sites symbols field"),
    "mixture": _model(_mixture, "sites symbols coupling field"),
    "markov": _model(
        lambda spec: markov_sequence(tilted(spec.symbols, spec.field), sticky(spec.symbols, spec.coupling), spec.sites),
        "sites symbols coupling field",
    ),
    "hmm": _model(_hmm, "sites symbols coupling field"),
    "parity": _model(lambda spec: parity_law(spec.sites), "sites", positive=False),
    "hard-core": _model(lambda spec: hard_core(_graph(spec), 2 * spec.field), "sites graph field", positive=False),
    "random": _model(
        lambda spec: random_law(spec.sites, spec.symbols, np.random.default_rng(spec.seed)), "sites symbols seed"
    ),
}

RANDOM_GRAPHS = frozenset({"random-regular"})
"""Graphs that are drawn from the seed."""


def used_fields(model: str, graph: str) -> frozenset[str]:
    """The fields of `ModelSpec` that make a difference to a model.

    Raises:
        InvalidInput: an unknown model.
    """
    if model not in MODELS:
        raise InvalidInput("model", model, "one of " + ", ".join(MODELS))
    uses = MODELS[model].uses
    return uses | {"seed"} if "graph" in uses and graph in RANDOM_GRAPHS else uses


def build_law(spec: ModelSpec) -> JointLaw:
    """The law that the specification names.

    Raises:
        InvalidInput: an unknown model or graph, or a value that the model does not allow.
        ExceedsMemory: the table would not fit.
    """
    used_fields(spec.model, spec.graph)
    for name, value in (("coupling", spec.coupling), ("field", spec.field)):
        if not np.isfinite(value):
            raise InvalidInput(name, value, "a finite number is needed")
    # Before graphs are built and alphabets listed: their sizes are those of the law.
    require_states(spec.sites, 2 if MODELS[spec.model].binary else spec.symbols)
    return MODELS[spec.model].build(spec)


def load_ising(couplings: Path, fields: Path | None) -> IsingLaw:
    """The Ising model whose couplings [N, N] and fields [N] (zero by default) are stored in ``.npy`` files.

    Raises:
        InvalidInput: a file that is missing or damaged, or arrays that are not an Ising model.
    """
    matrix = open_numbers(couplings, "couplings")
    return ising(matrix, 0.0 if fields is None else open_numbers(fields, "fields"))


def build_chain(law: JointLaw, sampler: str, masks: MaskLaw | None, temperature: float = 1.0) -> TransitionOperator:
    """The chain of a sampler on a law.

    Args:
        law: gives the conditionals.
        sampler: read by `theory.samplers.parse_sampler`.
        masks: None for single sites (all of them, in order for a systematic scan).
        temperature: the conditionals are taken to the power 1/T; 0 is greedy. Where a correction keeps
            the law, only the proposal is tempered, and p stays the target.

    Raises:
        InvalidInput: an unknown sampler, masks for a sampler that has none, a negative temperature.
    """
    kind = parse_sampler(sampler)
    if masks is not None and kind.uses_masks == "none":
        raise InvalidInput("masks", masks.name, f"{sampler} looks at every site and takes no masks")
    exact = TableConditionals(law)
    conditionals: ConditionalModel = exact if temperature == 1 else TemperedConditionals(exact, temperature)
    chosen = masks if masks is not None else k_uniform(law.sites, 1)
    return kind.build(conditionals, chosen, law)
