"""Automorphisms, orbits and lumping against enumeration of whole groups."""

from __future__ import annotations

from itertools import permutations
from math import gcd

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.chains import lump, mixing_time, spectral_gap
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws.exchangeable import curie_weiss_counts
from theory.laws.graphs import GRAPH_NAMES, named_graph
from theory.laws.ising import curie_weiss, ising, ising_on, strong_clique
from theory.laws.joint import JointLaw
from theory.masks import k_uniform
from theory.samplers import block_gibbs, independent_parallel, k_parallel, systematic_scan
from theory.symmetry import (
    Relabelling,
    SymmetryGroup,
    find_automorphisms,
    global_flip,
    graph_symmetries,
    invariant_subgroup,
    orbits,
    single_site,
    site_permutation,
    symmetric_orbits,
    symmetry_group,
    symmetry_violation,
    violation,
)

SWAP_OF_TWO = SymmetryGroup(2, 3, (site_permutation((1, 0), 3),))


def generated(group: SymmetryGroup) -> set[tuple[int, ...]]:
    """Every element of the group, as a permutation of the states."""
    images = [tuple(generator.image().tolist()) for generator in group.generators]
    identity = tuple(range(group.symbols**group.sites))
    found, waiting = {identity}, [identity]
    while waiting:
        element = waiting.pop()
        for image in images:
            product = tuple(image[state] for state in element)
            if product not in found:
                found.add(product)
                waiting.append(product)
    return found


def all_automorphisms(law: JointLaw) -> set[tuple[int, ...]]:
    """By trying every permutation of sites and symbols on every state."""
    q = law.symbols
    found = set()
    for sites in permutations(range(law.sites)):
        for symbols in permutations(range(q)):
            image = []
            for x in law.sequences:
                y = [0] * law.sites
                for i, symbol in enumerate(x):
                    y[sites[i]] = symbols[symbol]
                image.append(int("".join(map(str, y)), q))
            if np.allclose(law.probabilities[image], law.probabilities, rtol=1e-9, atol=0):
                found.add(tuple(image))
    return found


def necklaces(sites: int) -> int:
    """Burnside's count of binary necklaces."""
    return sum(2 ** gcd(sites, shift) for shift in range(sites)) // sites


def bracelets(sites: int) -> int:
    """Burnside's count up to rotation and reflection."""
    half = sites // 2
    mirrored = 2 ** (half + 1) if sites % 2 else (2 ** (half + 1) + 2**half) // 2
    return (necklaces(sites) + mirrored) // 2


@pytest.mark.parametrize("sites", range(3, 15))
def test_orbits_of_the_ring_are_necklaces_and_bracelets(sites):
    rotation, reflection = graph_symmetries("cycle", sites)
    assert orbits(SymmetryGroup(sites, 2, (rotation,))).count == necklaces(sites)
    found = orbits(SymmetryGroup(sites, 2, (rotation, reflection)))
    assert found.count == bracelets(sites)
    assert found.sizes.sum() == 2**sites


@pytest.mark.parametrize("sites", [1, 2, 5, 9])
def test_orbits_of_the_symmetric_group_are_the_counts(sites):
    found = orbits(SymmetryGroup(sites, 2, graph_symmetries("complete", sites)))
    assert found.count == sites + 1
    assert found.representatives.tolist() == [2**n - 1 for n in range(sites + 1)]


@pytest.mark.parametrize("name", [name for name in GRAPH_NAMES if name != "random-regular"])
@pytest.mark.parametrize("sites", [1, 2, 4, 6, 8, 9])
def test_generators_of_named_graphs_generate_all_their_automorphisms(name, sites):
    try:
        graph = named_graph(name, sites)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            graph_symmetries(name, sites)
        return
    generators = graph_symmetries(name, sites)
    assert all(graph.has_edge(g.sites[u], g.sites[v]) for g in generators for u, v in graph.edges)
    # The same orbits as those of all automorphisms, where these can be listed (N! of the symmetric groups cannot).
    matcher = nx.algorithms.isomorphism.GraphMatcher(graph, graph)
    if (name, sites) == ("torus", 8):  # 2 x 4, a cube in disguise
        assert orbits(SymmetryGroup(8, 2, generators)).count > orbits(find_automorphisms(ising_on(graph, 0.3))).count
    elif sites <= 6 or name not in ("complete", "empty", "star"):
        group = SymmetryGroup(sites, 2, generators)
        everything = [tuple(mapping[i] for i in range(sites)) for mapping in matcher.isomorphisms_iter()]
        assert orbits(group).count == orbits(SymmetryGroup(sites, 2, tuple(map(site_permutation, everything)))).count


@pytest.mark.parametrize(
    "law",
    [
        ising_on(named_graph("cycle", 5), 0.4, 0.1),
        ising_on(named_graph("path", 5), 0.4),
        ising_on(named_graph("path", 4), 0.4, [0.2, 0.0, 0.0, 0.2]),
        strong_clique(5, 3, 0.8, 0.1),
        ising(np.array([[0, 1, 0], [1, 0, -1], [0, -1, 0]], dtype=float), [0.3, 0.0, -0.3]),
        JointLaw(np.random.default_rng(3).dirichlet(np.ones(16)).reshape((2,) * 4), "generic"),
        JointLaw.from_weights([[[1, 2, 2], [2, 2, 3], [2, 3, 2]], [[2, 2, 3], [2, 1, 2], [3, 2, 2]],
                               [[2, 3, 2], [3, 2, 2], [2, 2, 1]]], "three symbols alike"),
        JointLaw.from_weights(1.0 + (np.indices((2,) * 4).sum(axis=0) % 2), "parity"),
    ],
    ids=lambda law: law.name,
)  # fmt: skip
def test_search_finds_the_whole_group(law):
    group = find_automorphisms(law)
    assert group.complete
    assert all(violation(law, generator) < 1e-9 for generator in group.generators)
    assert generated(group) == all_automorphisms(law)
    found = orbits(group)
    elements = generated(group)
    for state in range(law.states):
        assert found.representatives[found.labels[state]] == min(element[state] for element in elements)
        assert found.sizes[found.labels[state]] == len({element[state] for element in elements})


def test_search_that_runs_out_says_so():
    group = find_automorphisms(ising_on(named_graph("cycle", 6), 0.4), budget=3)
    assert not group.complete


def test_claimed_symmetries_are_checked():
    law = ising_on(named_graph("cycle", 5), 0.4, 0.1)
    rotation, reflection = graph_symmetries("cycle", 5)
    assert len(symmetry_group(law, [rotation, reflection]).generators) == 2
    with pytest.raises(InvalidInput, match="must fix the law"):
        symmetry_group(law, [global_flip(5)])
    assert invariant_subgroup(law, [rotation, global_flip(5)]).generators == (rotation,)
    kept = invariant_subgroup(
        ising_on(named_graph("cycle", 5), 0.4, [0.3, 0, 0, 0, 0]), graph_symmetries("cycle", 5)
    ).generators
    assert kept == (reflection,)


@given(st.permutations(range(4)), st.permutations(range(3)))
def test_image_is_the_action_on_sequences(sites, symbols):
    relabelling = Relabelling(tuple(sites), tuple(symbols))
    image = relabelling.image()
    for state, x in enumerate(np.ndindex((3,) * 4)):
        y = np.zeros(4, dtype=int)
        for i in range(4):
            y[sites[i]] = symbols[x[i]]
        assert image[state] == np.ravel_multi_index(tuple(y), (3,) * 4)


def test_which_samplers_are_symmetric():
    law = ising_on(named_graph("cycle", 6), 0.4)
    conditionals = TableConditionals(law)
    sites = symmetry_group(law, graph_symmetries("cycle", 6))
    flip = symmetry_group(law, [global_flip(6)])
    for chain in (
        block_gibbs(conditionals, k_uniform(6, 2)),
        k_parallel(conditionals, k_uniform(6, 3)),
        independent_parallel(conditionals),
    ):
        assert symmetry_violation(chain, sites) < 1e-12
        assert symmetry_violation(chain, flip) < 1e-12
    scan = systematic_scan(conditionals)
    assert symmetry_violation(scan, sites) > 1e-3
    assert symmetry_violation(scan, flip) < 1e-12
    with pytest.raises(InvalidInput, match="must commute"):
        symmetric_orbits(scan, sites)


@pytest.mark.parametrize("size", [1, 3])
def test_one_start_per_orbit_gives_the_worst_case(size):
    law = ising_on(named_graph("cycle", 7), 0.5, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(7, size))
    starts = symmetric_orbits(chain, find_automorphisms(law)).representatives
    assert len(starts) == bracelets(7)
    assert mixing_time(chain, 0.25, starts=starts).steps == mixing_time(chain, 0.25).steps


def test_mixing_time_of_the_ring_of_eight():
    law = ising_on(named_graph("cycle", 8), 0.5, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(8, 1))
    starts = symmetric_orbits(chain, symmetry_group(law, graph_symmetries("cycle", 8))).representatives
    assert mixing_time(chain, 0.25, starts=starts).steps == 44


def test_chain_of_orbits():
    law = ising_on(named_graph("cycle", 6), 0.5, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(6, 2))
    found = symmetric_orbits(chain, find_automorphisms(law))
    lumped = lump(chain, found.labels)
    assert lumped.lumpable
    quotient = lumped.chain.matrix
    law_of_orbits = np.bincount(found.labels, weights=law.probabilities)
    assert np.allclose(law_of_orbits @ quotient, law_of_orbits, atol=1e-13)
    # Distances are exact from invariant laws and bounds from below otherwise.
    after, seen = np.linalg.matrix_power(chain.to_dense(), 5), np.linalg.matrix_power(quotient, 5)
    for orbit, start in enumerate(found.representatives):
        far = 0.5 * np.abs(after[start] - law.probabilities).sum()
        near = 0.5 * np.abs(seen[orbit] - law_of_orbits).sum()
        assert near <= far + 1e-13
        if found.sizes[orbit] == 1:
            assert near == pytest.approx(far, abs=1e-13)
    assert spectral_gap(lumped.chain) >= spectral_gap(chain) - 1e-12


def test_orbit_chain_of_an_exchangeable_law_is_the_chain_of_counts():
    law = curie_weiss(6, 1.1, 0.1)
    chain = block_gibbs(TableConditionals(law), k_uniform(6, 1))
    found = symmetric_orbits(chain, symmetry_group(law, graph_symmetries("complete", 6)))
    # Orbits are numbered by their first states 0, 1, 11, 111, ...: by the number of plus spins.
    counts = single_site(curie_weiss_counts(6, 1.1, 0.1))
    assert np.abs(lump(chain, found.labels).chain.matrix - counts.to_dense()).max() < 1e-14


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: Relabelling((0, 0), (0, 1)), "sites"),
        (lambda: Relabelling((0, 1), (1, 1)), "symbols"),
        (lambda: violation(curie_weiss(3, 1.0), global_flip(4)), "relabelling"),
        (lambda: graph_symmetries("klein bottle", 4), "graph"),
        (lambda: symmetry_violation(single_site(curie_weiss_counts(3, 1.0)), SWAP_OF_TWO), "group"),
    ],
)  # fmt: skip
def test_bad_input_names_the_argument(call, argument):
    with pytest.raises(InvalidInput) as caught:
        call()
    assert caught.value.argument == argument
