"""Ising and Potts models against sums over all states in plain Python, and against closed forms."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from scipy.special import logsumexp

from theory.errors import ExceedsMemory, InvalidInput
from theory.laws import (
    curie_weiss,
    ising,
    ising_family,
    ising_on,
    magnetisation,
    named_graph,
    potts,
    random_ising,
    spins,
    strong_clique,
)


def brute_force_ising(couplings: np.ndarray, fields: np.ndarray) -> dict[tuple[int, ...], float]:
    """Probability of every sequence of symbols, by the definition."""
    sites = len(fields)
    weights = {}
    for symbols in itertools.product((0, 1), repeat=sites):
        x = [2 * symbol - 1 for symbol in symbols]
        energy = sum(fields[i] * x[i] for i in range(sites))
        energy += sum(couplings[i][j] * x[i] * x[j] for i in range(sites) for j in range(i + 1, sites))
        weights[symbols] = math.exp(energy)
    total = math.fsum(weights.values())
    return {symbols: weight / total for symbols, weight in weights.items()}


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_ising_matches_enumeration(sites: int) -> None:
    law = random_ising(sites, np.random.default_rng(sites), 0.7)
    expected = brute_force_ising(law.couplings, law.fields)
    for symbols, mass in expected.items():
        assert law.table[symbols] == pytest.approx(mass, rel=1e-12)


def test_ising_law_is_a_member_of_its_family() -> None:
    law = random_ising(5, np.random.default_rng(3), 0.5)
    assert law.family.parameters == 15
    assert law.family.labels[:6] == ("h_0", "h_1", "h_2", "h_3", "h_4", "J_0,1")
    np.testing.assert_array_equal(law.theta[:5], law.fields)
    assert law.theta[5 + law.family.labels[5:].index("J_1,3")] == law.couplings[1, 3]
    np.testing.assert_allclose(law.family.law(law.theta).table, law.table, rtol=1e-12)


def test_spins_and_magnetisation_follow_the_state_order() -> None:
    np.testing.assert_array_equal(spins(2), [[-1, -1], [-1, 1], [1, -1], [1, 1]])
    np.testing.assert_array_equal(magnetisation(3), [-3, -1, -1, 1, -1, 1, 1, 3])
    assert magnetisation(9).tolist() == [sum(2 * int(b) - 1 for b in format(s, "09b")) for s in range(512)]


@pytest.mark.parametrize(("coupling", "field"), [(0.4, 0.0), (0.9, 0.3), (-0.5, 0.2)])
def test_ring_partition_function_is_the_trace_of_the_transfer_matrix(coupling: float, field: float) -> None:
    sites = 7
    law = ising_on(named_graph("cycle", sites), coupling, field)
    spin = np.array([-1, 1])
    transfer = np.exp(coupling * np.outer(spin, spin) + field * (spin[:, None] + spin) / 2)
    expected = math.log(np.trace(np.linalg.matrix_power(transfer, sites)))
    assert logsumexp(law.family.log_weights(law.theta)) == pytest.approx(expected, rel=1e-13)
    assert law.table[(1,) * sites] == pytest.approx(math.exp(sites * (coupling + field) - expected), rel=1e-12)


@pytest.mark.parametrize(("beta", "field"), [(0.0, 0.0), (0.7, 0.1), (1.5, 0.0)])
def test_curie_weiss_lumps_into_binomial_counts(beta: float, field: float) -> None:
    sites = 9
    law = curie_weiss(sites, beta, field)
    # sum_{i<j} x_i x_j = (M^2 - N) / 2, with C(N, n) states of n spins up.
    weights = [
        math.comb(sites, up) * math.exp(beta / sites * ((2 * up - sites) ** 2 - sites) / 2 + field * (2 * up - sites))
        for up in range(sites + 1)
    ]
    total = math.fsum(weights)
    lumped = np.bincount((magnetisation(sites) + sites) // 2, weights=law.probabilities)
    np.testing.assert_allclose(lumped, np.array(weights) / total, rtol=1e-12)


def test_strong_clique_factorises_into_clique_and_rest() -> None:
    sites, size, coupling = 6, 4, 0.8
    fields = np.linspace(-0.2, 0.3, sites)
    law = strong_clique(sites, size, coupling, fields)
    clique = curie_weiss(size, coupling * size).couplings
    expected = ising(clique, fields[:size]).table
    rest = [np.exp([-h, h]) / (2 * np.cosh(h)) for h in fields[size:]]
    np.testing.assert_allclose(law.table, np.einsum("abcd,e,f->abcdef", expected, *rest), rtol=1e-12)
    assert law.mutual_information(range(size), range(size, sites)) == pytest.approx(0, abs=1e-12)


def test_ising_on_reads_couplings_in_every_form() -> None:
    graph = nx.Graph()
    graph.add_nodes_from("cab")  # insertion order, not sorted: site 0 is "c"
    graph.add_edge("a", "b", strength=0.5)
    graph.add_edge("c", "b", strength=-0.25)
    by_name = ising_on(graph, "strength", [0.1, 0.2, 0.3])
    expected = np.array([[0, 0, -0.25], [0, 0, 0.5], [-0.25, 0.5, 0]])
    np.testing.assert_array_equal(by_name.couplings, expected)
    order = [graph.edges[edge]["strength"] for edge in graph.edges]
    np.testing.assert_array_equal(ising_on(graph, order).couplings, expected)
    assert (ising_on(graph, 0.5).couplings == 0.5).sum() == 4


def test_strong_couplings_neither_overflow_nor_underflow_the_total() -> None:
    law = ising(2000.0 * (1 - np.eye(4)), 1e-3)
    assert law.probabilities.sum() == pytest.approx(1, abs=1e-15)
    assert law.table[1, 1, 1, 1] == pytest.approx(1 / (1 + math.exp(-8e-3)), rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (([[0, 1]], 0), "couplings"),
        (([[0, 1], [2, 0]], 0), "couplings[0, 1]"),
        (([[1, 0], [0, 0]], 0), "couplings[0, 0]"),
        (([[0, np.nan], [np.nan, 0]], 0), "couplings"),
        (([[0, 1], [1, 0]], [1, 2, 3]), "fields"),
        (([[0, 1], [1, 0]], [1, np.inf]), "fields"),
    ],
)
def test_ising_refuses_bad_input(arguments: tuple, named: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ising(*arguments)
    assert caught.value.argument == named


def test_models_on_graphs_refuse_bad_input() -> None:
    loop = nx.Graph([(0, 0)])
    for call in (
        lambda: ising_on(nx.DiGraph([(0, 1)])),
        lambda: ising_on(nx.Graph()),
        lambda: ising_on(loop),
        lambda: ising_on(nx.path_graph(3), "weight"),
        lambda: ising_on(nx.path_graph(3), [1.0]),
        lambda: potts(loop, 3),
        lambda: potts(nx.path_graph(3), 1),
        lambda: potts(nx.path_graph(3), 3, [1.0]),
        lambda: potts(nx.path_graph(3), 3, 1.0, [1.0, 2.0]),
        lambda: potts(nx.path_graph(3), 3, np.nan),
        lambda: curie_weiss(0, 1.0),
        lambda: curie_weiss(3, np.inf),
        lambda: strong_clique(4, 5, 1.0),
        lambda: strong_clique(4, 1, 1.0),
        lambda: strong_clique(4, 2, np.nan),
    ):
        with pytest.raises(InvalidInput):
            call()


def test_sizes_that_do_not_fit_are_refused_before_allocating() -> None:
    for call in (
        lambda: curie_weiss(60, 1.0),
        lambda: strong_clique(60, 2, 1.0),
        lambda: ising_on(nx.empty_graph(60)),
        lambda: ising_family(40),
        lambda: potts(nx.empty_graph(40), 3),
        lambda: spins(60),
    ):
        with pytest.raises(ExceedsMemory):
            call()


def test_potts_matches_enumeration_and_its_family() -> None:
    graph = nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3)])
    generator = np.random.default_rng(5)
    coupling, fields = generator.normal(size=4), generator.normal(size=(4, 3))
    law = potts(graph, 3, coupling, fields)
    weights = {}
    for x in itertools.product(range(3), repeat=4):
        energy = sum(fields[i, x[i]] for i in range(4))
        energy += sum(j * (x[u] == x[v]) for j, (u, v) in zip(coupling, graph.edges, strict=True))
        weights[x] = math.exp(energy)
    total = math.fsum(weights.values())
    for x, weight in weights.items():
        assert law.table[x] == pytest.approx(weight / total, rel=1e-12)
    assert law.family.parameters == 4 * 2 + 4
    np.testing.assert_allclose(law.family.law(law.theta).table, law.table, rtol=1e-12)


def test_two_state_potts_is_the_ising_model_with_half_the_coupling() -> None:
    graph = named_graph("grid", 6)
    fields = np.array([-0.3, 0.3])
    np.testing.assert_allclose(potts(graph, 2, 0.8, fields).table, ising_on(graph, 0.4, 0.3).table, rtol=1e-12)


def test_potts_ring_partition_function() -> None:
    # Transfer matrix with eigenvalues e^J + q - 1 (once) and e^J - 1 (q - 1 times).
    sites, symbols, coupling = 5, 4, 0.9
    law = potts(named_graph("cycle", sites), symbols, coupling)
    partition = (math.exp(coupling) + symbols - 1) ** sites + (symbols - 1) * (math.exp(coupling) - 1) ** sites
    assert logsumexp(law.family.log_weights(law.theta)) == pytest.approx(math.log(partition), rel=1e-13)
