"""Every simulated sampler against the exact kernel of the same name in `theory.samplers`.

From each of the S states many chains take one step; the counts are compared with the rows of the exact matrix, cell by
cell with exact binomial tails (Bonferroni over the cells) and by one chi-squared test over all cells. Under the null
hypothesis each test alarms with probability at most ``FALSE_ALARM``, so the whole file with at most about 2e-4.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from scipy import stats

from simulators.montecarlo import models
from simulators.montecarlo.masks import drawing
from simulators.montecarlo.samplers import SAMPLERS, State, metropolis_hastings, simulated, systematic_scan
from tests import law_examples
from tests.simulators.table_model import TableModel, checkerboard
from theory import laws
from theory import masks as exact
from theory import samplers as theory
from theory.conditionals import ConditionalModel, TableConditionals, TemperedConditionals
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.states import all_sequences, state_index

pytestmark = pytest.mark.usefixtures("quick_compilation")

FALSE_ALARM = 1e-6
CHAINS_PER_STATE = 4000


def assert_counts_fit(counts: np.ndarray, matrix: np.ndarray) -> None:
    """Counts [S, S] of independent steps are consistent with a transition matrix."""
    totals = counts.sum(axis=1, keepdims=True)
    matrix = np.minimum(matrix, 1.0)  # rounding may leave a deterministic move at 1 + 1e-16
    assert (counts[matrix == 0] == 0).all(), "a transition of probability zero was made"
    lower, upper = stats.binom.cdf(counts, totals, matrix), stats.binom.sf(counts - 1, totals, matrix)
    smallest = np.minimum(lower, upper)[matrix > 0].min()
    assert smallest > FALSE_ALARM / (2 * matrix.size), f"smallest binomial tail {smallest:.3g}"

    expected = totals * matrix
    large = expected >= 10  # cells below that are pooled, row by row
    terms = np.where(large, (counts - expected) ** 2 / np.where(large, expected, 1), 0).sum(axis=1)
    rest, rest_count = np.where(large, 0, expected).sum(axis=1), np.where(large, 0, counts).sum(axis=1)
    pooled = rest >= 10
    terms += np.where(pooled, (rest_count - rest) ** 2 / np.where(pooled, rest, 1), 0)
    # A row whose pool is too small is left short of one cell: then the sum of its cells is free.
    freedom = (large.sum(axis=1) + pooled - (rest * ~pooled == 0)).sum()
    if freedom > 0:
        assert stats.chi2.sf(terms.sum(), freedom) > FALSE_ALARM


def one_step_counts(
    sampler, sites: int, symbols: int, seed: int, quick: dict[str, bool | int], chains: int = CHAINS_PER_STATE
) -> np.ndarray:
    sequences = all_sequences(sites, symbols)
    start = jnp.asarray(np.repeat(sequences, chains, axis=0), dtype=jnp.int32)
    after, _ = jax.jit(sampler.step, compiler_options=quick)(jax.random.key(seed), State(start))
    states = len(sequences)
    moves = np.repeat(np.arange(states), chains) * states + state_index(np.asarray(after.position), symbols)
    return np.bincount(moves, minlength=states**2).reshape(states, states)


def incompatible(sites: int, symbols: int) -> tuple[models.Model, ConditionalModel]:
    weights = law_examples.incompatible_weights(sites, symbols)

    def logits(tokens: jax.Array) -> jax.Array:
        return jnp.asarray(weights)[jnp.arange(sites), tokens].sum(axis=0)

    return models.FunctionModel(sites, symbols, logits), law_examples.incompatible(sites, symbols)


def table(law: JointLaw) -> tuple[models.Model, ConditionalModel]:
    return TableModel(law), TableConditionals(law)


def ising_on_graph() -> tuple[models.Model, ConditionalModel]:
    graph = nx.Graph([(0, 1), (1, 2), (0, 2), (2, 3)])
    coupling, field = [0.4, -0.7, 0.2, 0.5], [0.3, -0.2, 0.0, 0.1]
    return models.ising_model(graph, coupling, field), TableConditionals(laws.ising_on(graph, coupling, field))


def potts_on_path() -> tuple[models.Model, ConditionalModel]:
    graph, fields = nx.path_graph(3), [[0.2, 0.0, -0.4], [0.0, 0.3, 0.1], [0.1, 0.0, 0.0]]
    return models.potts_model(graph, 3, [0.8, -0.5], fields), TableConditionals(
        laws.potts(graph, 3, [0.8, -0.5], fields)
    )


def ising_ring() -> tuple[models.Model, ConditionalModel]:
    ring = laws.named_graph("cycle", 4)
    return models.ising_model(ring, 0.5, 0.1), TableConditionals(laws.ising_on(ring, 0.5, 0.1))


CHAIN = ([0.7, 0.3], [[0.8, 0.2], [0.35, 0.65]])
EMISSION = [[0.6, 0.3, 0.1], [0.1, 0.2, 0.7]]
MIXTURE = ([0.6, 0.4], [[[0.9, 0.1], [0.8, 0.2], [0.0, 1.0]], [[0.2, 0.8], [0.1, 0.9], [0.7, 0.3]]])


def tempered(pair: tuple[models.Model, ConditionalModel], temperature: float) -> tuple[models.Model, ConditionalModel]:
    return models.Tempered(pair[0], temperature), TemperedConditionals(pair[1], temperature)


def markov() -> tuple[models.Model, ConditionalModel]:
    return models.MarkovModel(*CHAIN, 4), TableConditionals(laws.markov_sequence(*CHAIN, 4))


MODELS = {
    "table": lambda: table(law_examples.random_law(2, 2, 3, least=1e-2)),
    "table with zeros": lambda: table(law_examples.random_law(3, 3, 2, zeros=0.4, least=1e-2)),
    "uniform table": lambda: table(JointLaw(np.full((2, 2, 2), 1 / 8))),
    "Ising on a graph": ising_on_graph,
    "Potts on a path": potts_on_path,
    "Ising on a ring": ising_ring,
    "Markov": markov,
    "hidden Markov": lambda: (
        models.HiddenMarkovModel(*CHAIN, EMISSION, 3),
        TableConditionals(laws.hidden_markov_sequence(*CHAIN, EMISSION, 3)),
    ),
    "mixture": lambda: (models.MixtureModel(*MIXTURE), TableConditionals(laws.mixture_of_products(*MIXTURE))),
    "incompatible": lambda: incompatible(3, 2),
    "tempered Ising": lambda: tempered(ising_on_graph(), 0.5),
    "tempered Markov": lambda: tempered(markov(), 2.0),
    "greedy Markov": lambda: tempered(markov(), 0.0),
    "greedy mixture": lambda: tempered(
        (models.MixtureModel(*MIXTURE), TableConditionals(laws.mixture_of_products(*MIXTURE))), 0.0
    ),
    "tempered incompatible": lambda: tempered(incompatible(2, 2), 0.5),
}


def test_the_registry_names_the_samplers_of_the_theory() -> None:
    assert list(SAMPLERS) == list(theory.SAMPLERS)


# Every sampler on a table with zeros, on a graph and on a sequence; elsewhere the methods that a model has of its own.
CASES = [
    (model_name, sampler_name) for model_name in ("table with zeros", "Ising on a graph") for sampler_name in SAMPLERS
] + [
    (model_name, sampler_name)
    for model_name, sampler_names in {
        "uniform table": ("confidence-remasking",),
        "Potts on a path": ("k-gibbs", "metropolis-hastings"),
        "Ising on a ring": ("independent-parallel",),
        "hidden Markov": ("k-gibbs", "k-parallel"),
        "mixture": ("k-gibbs", "independent-parallel"),
        "incompatible": ("k-gibbs", "k-parallel", "metropolis-hastings", "locally-balanced"),
        "tempered Ising": ("k-gibbs", "k-parallel"),
        "table": ("k-gibbs", "locally-balanced:balance=minimum"),
        "tempered Markov": ("k-gibbs",),
        "greedy Markov": ("k-gibbs",),
        "greedy mixture": ("confidence-remasking",),
        "tempered incompatible": ("k-gibbs",),
    }.items()
    for sampler_name in sampler_names
]


@pytest.mark.parametrize(("model_name", "sampler_name"), CASES)
def test_steps_follow_the_exact_kernel(model_name: str, sampler_name: str, quick: dict[str, bool | int]) -> None:
    model, conditionals = MODELS[model_name]()
    sites, symbols = model.sites, model.symbols
    law = exact.k_uniform(sites, 2)
    if sampler_name == "systematic-scan":  # blocks of different size, out of order, with an edge inside
        law = exact.partition(sites, [range(1, sites), range(1)])
    sampler = theory.parse_sampler(sampler_name)
    if sampler.needs_law and conditionals.law is None:
        target = law_examples.random_law(8, sites, symbols, least=1e-2)
        walk = simulated(sampler, model, law, TableModel(target))
        matrix = sampler.build(conditionals, law, target).to_dense()
    else:
        walk = simulated(sampler, model, law)
        matrix = sampler.build(conditionals, law).to_dense()
    assert_counts_fit(one_step_counts(walk, sites, symbols, seed=11, quick=quick), matrix)


MASKS = {
    "Bernoulli": exact.bernoulli(4, 0.4),
    "uniform ratio": exact.uniform_ratio(4),
    "spans": exact.spans(4, 3, periodic=True),
    "listed": exact.uniform_ratio(4).listed(),
}


@pytest.mark.parametrize(
    ("model_name", "sampler_name", "mask_name"),
    [
        ("Ising on a graph", "k-gibbs", "Bernoulli"),
        ("Ising on a graph", "k-parallel", "uniform ratio"),
        ("Markov", "k-parallel", "Bernoulli"),
        ("Markov", "k-gibbs", "spans"),
        ("Ising on a graph", "metropolis-hastings", "listed"),
    ],
)
def test_masks_of_every_kind(model_name: str, sampler_name: str, mask_name: str, quick: dict[str, bool | int]) -> None:
    model, conditionals = MODELS[model_name]()
    law = MASKS[mask_name]
    simulated = SAMPLERS[sampler_name](model, law)
    matrix = theory.SAMPLERS[sampler_name]().build(conditionals, law).to_dense()
    assert_counts_fit(one_step_counts(simulated, 4, 2, seed=12, quick=quick), matrix)


def test_confidence_remasking_among_listed_candidates(quick: dict[str, bool | int]) -> None:
    model, conditionals = MODELS["Ising on a ring"]()
    law = exact.spans(4, 2, periodic=True)
    simulated = SAMPLERS["confidence-remasking"](model, law)
    matrix = theory.confidence_remasking(conditionals, law).to_dense()
    assert_counts_fit(one_step_counts(simulated, 4, 2, seed=13, quick=quick), matrix)


def test_the_agreement_test_can_fail(quick: dict[str, bool | int]) -> None:
    """k-parallel is not k-Gibbs, and the counts show it."""
    model, conditionals = MODELS["Ising on a graph"]()
    simulated = SAMPLERS["k-parallel"](model, exact.k_uniform(4, 2))
    wrong = theory.block_gibbs(conditionals, exact.k_uniform(4, 2)).to_dense()
    with pytest.raises(AssertionError):
        assert_counts_fit(one_step_counts(simulated, 4, 2, seed=14, quick=quick), wrong)


def test_checkerboard_scan_redraws_each_colour_at_once(quick: dict[str, bool | int]) -> None:
    graph = laws.named_graph("torus", 8, rows=4)
    lattice = models.ising_model(graph, 0.3, 0.1)
    blocks = checkerboard(4, 2)
    assert lattice.independent(blocks[0])
    assert not lattice.independent([0, 1])
    matrix = theory.systematic_scan(TableConditionals(laws.ising_on(graph, 0.3, 0.1)), blocks).to_dense()
    simulated = systematic_scan(lattice, exact.partition(8, blocks))
    assert_counts_fit(one_step_counts(simulated, 8, 2, seed=15, quick=quick, chains=1000), matrix)


@pytest.mark.parametrize("model_name", MODELS)
def test_log_weights_and_site_logits_are_those_of_the_law(model_name: str, quick: dict[str, bool | int]) -> None:
    """In double precision, against the table."""
    with jax.enable_x64(True):
        model, conditionals = MODELS[model_name]()
        sequences = all_sequences(model.sites, model.symbols)
        masked = (0, model.sites - 1)

        @partial(jax.jit, compiler_options=quick)
        def conditionals_at(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
            chosen = jnp.asarray(masked, dtype=jnp.int32)
            alone, tokens = jax.vmap(model.all_site_logits)(x), jax.vmap(lambda y: model.token_logits(y, chosen))(x)
            weights = jax.vmap(model.log_weight)(x) if model.has_law else jnp.zeros(len(x))
            return weights, jax.nn.softmax(alone, axis=-1), jax.nn.softmax(tokens, axis=-1)

        log_weights, alone, tokens = conditionals_at(jnp.asarray(sequences, dtype=jnp.int32))
    if model.has_law:
        assert conditionals.law is not None
        weights = np.exp(log_weights)
        np.testing.assert_allclose(weights / weights.sum(), conditionals.law.probabilities, atol=1e-14)
    np.testing.assert_allclose(alone, conditionals.leave_one_out(), atol=1e-13)
    context = state_index(sequences[:, 1:-1], model.symbols)
    wanted = conditionals.token_conditionals(masked)[:, context]
    np.testing.assert_allclose(tokens, wanted.transpose(1, 0, 2), atol=1e-13)


def test_same_seed_same_chains_and_another_seed_others() -> None:
    sampler = SAMPLERS["k-gibbs"](MODELS["Markov"]()[0], exact.k_uniform(4, 2))
    start = sampler.init(np.zeros((50, 4), dtype=int))
    first, again, other = (sampler.step(jax.random.key(seed), start)[0].position for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_info_counts_changes_and_rejections() -> None:
    model, _ = MODELS["Ising on a graph"]()
    sampler = SAMPLERS["metropolis-hastings"](model, exact.k_uniform(4, 3))
    start = sampler.init(np.zeros((500, 4), dtype=int))
    after, info = sampler.step(jax.random.key(3), start)
    assert np.array_equal(info.changed, (after.position != 0).sum(axis=1))
    assert 0 < (~np.asarray(info.accepted)).sum() < 500
    assert (info.changed[~info.accepted] == 0).all()


@pytest.mark.parametrize("size", [3, 65, 100])
def test_large_uniform_masks_are_uniform(size: int) -> None:
    """Every site is included with probability k / N; false alarm at most 1e-6 (Bonferroni over 100 sites)."""
    draws = jax.vmap(drawing(exact.k_uniform(100, size)))(jax.random.split(jax.random.key(4), 3000))
    chosen = np.asarray(draws)
    assert (np.diff(chosen, axis=1) > 0).all()
    counts = np.bincount(chosen.ravel(), minlength=100)
    tails = np.minimum(stats.binom.cdf(counts, 3000, size / 100), stats.binom.sf(counts - 1, 3000, size / 100))
    assert tails.min() > 1e-6 / 200


def test_bad_input_names_the_argument() -> None:
    lattice = models.ising_model(laws.named_graph("torus", 1024), 0.4)
    with pytest.raises(InvalidInput, match="k = 13: PairwiseModel enumerates"):
        SAMPLERS["k-gibbs"](lattice, exact.k_uniform(1024, 13))
    with pytest.raises(InvalidInput, match="k = 1024"):
        SAMPLERS["k-parallel"](lattice, exact.bernoulli(1024, 0.15))
    with pytest.raises(InvalidInput, match="k = 512"):  # two rows are not an independent set
        systematic_scan(lattice, exact.partition(1024, [range(512), range(512, 1024)]))
    with pytest.raises(InvalidInput, match="masks"):
        SAMPLERS["k-gibbs"](lattice, exact.k_uniform(4, 1))
    with pytest.raises(InvalidInput, match="the list of"):
        systematic_scan(lattice, exact.bernoulli(1024, 0.1))
    with pytest.raises(InvalidInput, match="target"):
        metropolis_hastings(incompatible(3, 2)[0], exact.k_uniform(3, 1))
    with pytest.raises(InvalidInput, match="temperature"):
        models.Tempered(lattice, -1.0)
    hidden = models.HiddenMarkovModel(*CHAIN, EMISSION, 100)
    with pytest.raises(InvalidInput, match="k = 50"):
        SAMPLERS["k-gibbs"](models.Tempered(hidden, 0.5), exact.k_uniform(100, 50))
    with pytest.raises(InvalidInput, match="transition"):
        models.MarkovModel([0.5, 0.5], [[1.0, 0.0], [0.5, 0.5]], 5)
    with pytest.raises(InvalidInput, match="edges"):
        models.PairwiseModel(2, [(0, 1), (1, 0)], 1.0, np.zeros((2, 2)))
    sampler = SAMPLERS["k-gibbs"](lattice, exact.k_uniform(1024, 2))
    for wrong in (np.zeros((3, 5), dtype=int), np.full((2, 1024), 2), np.zeros((2, 1024))):
        with pytest.raises(InvalidInput, match="position"):
            sampler.init(wrong)
    zeros = TableModel(JointLaw([[0.5, 0.0], [0.0, 0.5]]))
    with pytest.raises(InvalidInput, match="where the law is positive"):
        SAMPLERS["k-gibbs"](zeros, exact.k_uniform(2, 1)).init([[0, 1]])


def test_chains_run_at_sizes_that_no_exact_method_reaches() -> None:
    lattice = models.ising_model(laws.named_graph("torus", 10_000), 0.2)
    sequence = models.MarkovModel(*CHAIN, 1000)
    cases = [
        (lattice, SAMPLERS["k-gibbs"](lattice, exact.k_uniform(10_000, 4))),
        (lattice, systematic_scan(lattice, exact.partition(10_000, checkerboard(100, 100)))),
        (sequence, SAMPLERS["confidence-remasking"](sequence, exact.k_uniform(1000, 300))),
    ]
    for model, sampler in cases:
        state, info = sampler.step(jax.random.key(5), sampler.init(np.zeros((2, model.sites), dtype=int)))
        assert state.position.shape == (2, model.sites)
        assert (info.changed >= 0).all()
