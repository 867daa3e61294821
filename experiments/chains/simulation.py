"""Chains beyond the reach of exact methods, simulated: what they say of the law, and how far to trust it.

Models that need no joint table run at any size. Half of the chains start with every site at the first symbol, half at
the last, so that a chain that is stuck where it began shows in R-hat. The first half of each run is thrown away. Means
come with normal intervals from the effective sample size; they are not to be trusted where R-hat is above
`CONVERGED`, and the record says so. For attractive models and updates of single sites the chains from the two extremes,
run with the same random numbers, bound the mixing time from above (`simulators.montecarlo.coupling`): a statement that
fails with probability `ERROR`. Where the joint table fits, the exact means stand beside.

A *sweep* redraws as many sites as there are: N/k steps with masks of k sites, one step where all sites move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil, log
from typing import Any

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
from numpy.typing import NDArray

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_law, sticky, tilted, used_fields
from experiments.plain import plain
from simulators.montecarlo.coupling import grand_coupling
from simulators.montecarlo.diagnostics import effective_sample_size, mean_with_error, split_r_hat
from simulators.montecarlo.models import (
    HiddenMarkovModel,
    MarkovModel,
    MixtureModel,
    Model,
    PairwiseModel,
    Tempered,
    ising_model,
    potts_model,
)
from simulators.montecarlo.samplers import simulated
from simulators.montecarlo.simulate import Statistic, energy, magnetisation, simulate
from theory.errors import InvalidInput
from theory.laws import named_graph
from theory.masks import MaskLaw, k_uniform, parse_masks, partition
from theory.memory import require_memory
from theory.samplers import Sampler, parse_sampler
from theory.states import all_sequences

Array = NDArray[np.float64]

CONVERGED = 1.01
"""R-hat up to which chains count as having forgotten where they began (Vehtari et al. 2021)."""
ERROR = 0.05
QUANTILE = 1.96
"""Half width, in standard errors, of an interval that holds the mean with probability 0.95."""
REPLICAS = 64
"""Pairs of chains of the coupling; 16 are the fewest that allow a statement at eps = 1/4 and `ERROR`."""
PATIENCE = 64
"""Pairs that have not met after this many times ln N sweeps are given up: the chain is slow."""
COUPLED = 2**33
"""Numbers that the coupling may go through, all replicas together."""
EXACT_STATES = 2**16
"""Up to this many states the means are computed exactly too."""
COMPARED = 64
"""Recorded times that are run between two looks at the clock."""


def _on_graph(spec: ModelSpec) -> PairwiseModel:
    dense = spec.model == "curie-weiss" or spec.graph == "complete"
    # networkx takes about half a kilobyte for an edge.
    require_memory(512.0 * spec.sites * (spec.sites / 2 if dense else 4), "sites", spec.sites, "the interaction graph")
    if spec.model == "curie-weiss":
        return ising_model(nx.complete_graph(spec.sites), spec.coupling / spec.sites, spec.field)
    if spec.model == "strong-clique":
        if not 2 <= spec.clique <= spec.sites:
            raise InvalidInput("clique", spec.clique, f"must lie in 2..{spec.sites}")
        graph = nx.empty_graph(spec.sites)
        graph.add_edges_from(nx.complete_graph(spec.clique).edges)
        return ising_model(graph, spec.coupling, spec.field)
    graph = named_graph(spec.graph, spec.sites, seed=spec.seed)
    if spec.model == "ising":
        return ising_model(graph, spec.coupling, spec.field)
    return potts_model(graph, spec.symbols, spec.coupling, spec.field * np.eye(spec.symbols)[-1])


def _chain(spec: ModelSpec) -> tuple[Array, Array]:
    """The law of the first symbol (or hidden state) and the transitions, as in `experiments.chains.models`."""
    return tilted(spec.symbols, spec.field), sticky(spec.symbols, spec.coupling)


def _mixture(spec: ModelSpec) -> MixtureModel:
    weights, rows = _chain(spec)
    require_memory(32.0 * spec.sites * rows.size, "sites", spec.sites, "the factors of the mixture")
    return MixtureModel(weights, np.repeat(rows[:, None, :], spec.sites, axis=1))


MODELS: dict[str, Callable[[ModelSpec], Model]] = {
    "ising": _on_graph,
    "potts": _on_graph,
    "curie-weiss": _on_graph,
    "strong-clique": _on_graph,
    "markov": lambda spec: MarkovModel(*_chain(spec), spec.sites),
    "hmm": lambda spec: HiddenMarkovModel(*_chain(spec), sticky(spec.symbols, spec.coupling), spec.sites),
    "mixture": _mixture,
    "product": lambda spec: MixtureModel([1.0], np.tile(tilted(spec.symbols, spec.field), (1, spec.sites, 1))),
}
"""How the named laws that reach any size are built without their tables."""


def simulated_model(spec: ModelSpec) -> Model:
    """The model of a specification without its joint table.

    Raises:
        InvalidInput: a model that is not simulated, or values that it does not allow.
        ExceedsMemory: it would not fit.
    """
    if spec.model not in MODELS:
        raise InvalidInput("model", spec.model, "simulated are " + ", ".join(MODELS))
    if spec.sites < 1:
        raise InvalidInput("sites", spec.sites, "at least 1 site is needed")
    if not (np.isfinite(spec.coupling) and np.isfinite(spec.field)):
        raise InvalidInput("coupling, field", (spec.coupling, spec.field), "finite numbers are needed")
    require_memory(64.0 * spec.sites * spec.symbols, "sites", spec.sites, "the model")
    return MODELS[spec.model](spec)


def build_masks(text: str | None, model: Model, sampler: Sampler) -> MaskLaw:
    """The mask law of a text, single sites where there is none.

    For a systematic scan also ``colours``: sets of sites without an edge between them, all redrawn at once (the two
    colours of a checkerboard).

    Raises:
        InvalidInput: as `theory.masks.parse_masks`.
    """
    if text == "colours" and sampler.uses_masks == "order":
        if not isinstance(model, PairwiseModel):
            raise InvalidInput("masks", text, "colours are those of a model on a graph")
        return partition(model.sites, _colours(model))
    return k_uniform(model.sites, 1) if text is None else parse_masks(text, model.sites)


def _colours(model: PairwiseModel) -> list[list[int]]:
    """Sites by the colours of a greedy colouring, ascending."""
    graph = nx.empty_graph(model.sites)
    graph.add_edges_from(model.edges.tolist())
    # In breadth-first order a bipartite graph takes two colours.
    colour = nx.greedy_color(graph, "connected_sequential_bfs")
    return [[site for site in range(model.sites) if colour[site] == one] for one in range(max(colour.values()) + 1)]


def simulation_record(
    spec: ModelSpec,
    sampler: str = "k-gibbs",
    masks: str | None = None,
    temperature: float = 1.0,
    epsilon: float = 0.25,
    *,
    chains: int = 8,
    sweeps: int = 1000,
    budget: float = 900.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Simulate a sampler on a named model.

    Args:
        spec, sampler, masks, temperature, epsilon: as for `experiments.chains.record.chain_record`.
        chains: how many, at least 2.
        sweeps: how long each runs, at least; a draw is recorded after every sweep.
        budget: seconds after which the run ends with what it has.
        seed: of starts and randomness; the same gives the same record, but for a run that the budget ended.

    Returns:
        Plain data: ``chains``, ``sweeps`` (made), ``steps`` (of each chain), ``seconds``; ``statistics`` name ->
        ``mean``, ``interval`` [low, high], ``effective_draws``, ``r_hat``, ``exact`` (None where the table is too large
        or the sampler keeps another law); ``converged``; ``mixing_time_upper`` (steps, None where no statement is
        possible) and ``coupling_reason``.

    Raises:
        InvalidInput: an unknown model, sampler or mask law, or values that do not go together.
        ExceedsMemory: the model would not fit.
    """
    for name, value, least in (("chains", chains, 2), ("sweeps", sweeps, 8)):
        if value < least:
            raise InvalidInput(name, value, f"at least {least} are needed")
    kind = parse_sampler(sampler)
    used_fields(spec.model, spec.graph)
    untempered = simulated_model(spec)
    require_memory(64.0 * chains * untempered.sites, "chains", chains, "the chains")
    law_masks = build_masks(masks, untempered, kind)
    model = untempered if temperature == 1 else Tempered(untempered, temperature)
    walk = simulated(kind, model, law_masks, untempered)
    redrawn = {"all": untempered.sites, "mask": law_masks.largest, "one": 1}[kind.redraws]
    every = max(1, round(untempered.sites / redrawn))
    record: dict[str, Statistic] = {"energy per site": _per_site(untempered)}
    if untempered.symbols == 2:
        record["magnetisation"] = magnetisation
    began = time.monotonic()
    state = walk.init(
        np.arange(chains)[:, None] % 2 * (untempered.symbols - 1) * np.ones(untempered.sites, dtype=np.int64)
    )
    parts: list[dict[str, Any]] = []
    made = 0
    size = ceil(sweeps / ceil(sweeps / COMPARED))  # rounds of one size are compiled once
    while made < sweeps and (not made or time.monotonic() - began < budget):
        key = jax.random.fold_in(jax.random.key(seed), made)
        run = simulate(walk, state, key, size * every, record=record, every=every)
        state, made = run.state, made + size
        parts.append(run.draws)
    draws = {name: np.concatenate([part[name] for part in parts], axis=1)[:, made // 2 :] for name in record}
    exact = _exact_means(spec, untempered, kind, temperature)
    statistics = {name: _summary(values, exact.get(name)) for name, values in draws.items()}
    upper, reason = _coupled(untempered, law_masks, kind, temperature, epsilon, seed)
    return {
        name: plain(value)
        for name, value in {
            "chains": chains,
            "sweeps": made,
            "steps": made * every,
            "seconds": time.monotonic() - began,
            "statistics": statistics,
            "converged": all(
                entry["r_hat"] is not None and entry["r_hat"] <= CONVERGED for entry in statistics.values()
            ),
            "epsilon": epsilon,
            "mixing_time_upper": upper,
            "coupling_reason": reason,
        }.items()
    }


def _per_site(model: Model) -> Statistic:
    total = energy(model)
    return lambda x: total(x) / model.sites


def _summary(draws: np.ndarray, exact: float | None) -> dict[str, Any]:
    mean, error = mean_with_error(draws)
    r_hat, effective = split_r_hat(draws), effective_sample_size(draws)
    return {
        "mean": mean,
        "interval": [mean - QUANTILE * error, mean + QUANTILE * error],
        "effective_draws": effective if np.isfinite(effective) else None,
        "r_hat": r_hat if np.isfinite(r_hat) else None,
        "exact": exact,
    }


def _exact_means(spec: ModelSpec, model: Model, sampler: Sampler, temperature: float) -> dict[str, float]:
    """Means under the joint law, where its table is small and the sampler keeps it."""
    keeps = sampler.keeps_target and (temperature == 1 or sampler.needs_law)
    if not keeps or model.symbols**model.sites > EXACT_STATES:
        return {}
    law = build_law(spec)
    sequences = all_sequences(model.sites, model.symbols)
    energies = np.asarray(jax.vmap(_per_site(model))(jnp.asarray(sequences)), dtype=np.float64)
    means = {"energy per site": float(law.probabilities @ energies)}
    if model.symbols == 2:
        means["magnetisation"] = float(law.probabilities @ (2 * sequences.mean(axis=1) - 1))
    return means


def _coupled(
    model: Model, masks: MaskLaw, sampler: Sampler, temperature: float, epsilon: float, seed: int
) -> tuple[int | None, str]:
    """An upper bound on the mixing time by coupling, or why there is none."""
    single = sampler.name == "k-gibbs" and masks.uniform_size == 1
    scan = sampler.name == "systematic-scan"
    if temperature != 1 or not (single or scan):
        return None, "coupling needs single-site k-gibbs or a systematic scan, at temperature 1"
    if not (isinstance(model, PairwiseModel) and model.attractive):
        return None, "coupling needs an attractive binary model (couplings >= 0)"
    # Every update of a block goes through both chains; without a phase transition they meet within some ln N sweeps.
    blocks = len(masks.masks) if scan else 1
    a_sweep = model.sites if single else 1
    longest = ceil(PATIENCE * log(model.sites + 1)) * a_sweep
    if longest * blocks * 2 * model.sites * REPLICAS > COUPLED:
        return None, f"{model.sites} sites are too many for a coupling of {REPLICAS} pairs"
    try:
        met = grand_coupling(model, jax.random.key(seed), REPLICAS, longest, masks if scan else None)
    except InvalidInput as error:
        return None, str(error)
    upper = met.mixing_time(epsilon, ERROR)
    if upper is None:
        return None, f"too few of {REPLICAS} pairs of chains met within {longest} steps"
    return upper, f"{REPLICAS} pairs of chains from the extremes, wrong with probability at most {ERROR:g}"
