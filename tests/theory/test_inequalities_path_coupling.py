"""Dobrushin's influence matrix and path coupling: brute force, closed forms, and every bound against exact truth."""

from __future__ import annotations

from itertools import combinations, product
from math import ceil, inf, log, log1p, tanh

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.conditionals import FunctionConditionals, TableConditionals
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.inequalities.dobrushin import DobrushinCriterion, dobrushin, influence_matrix, spectral_radius
from theory.inequalities.hamming import hamming_distances, is_geodesic, neighbour_pairs, path_distances
from theory.inequalities.path_coupling import Contraction, ollivier_curvature, path_coupling, wasserstein
from theory.laws.ising import ising
from theory.laws.joint import JointLaw
from theory.laws.products import product_law
from theory.laws.random import random_ising, random_law
from theory.masks import k_uniform
from theory.samplers import block_gibbs
from theory.states import state_index


def absolute_gap(law: JointLaw, size: int = 1) -> float:
    """1 - second largest |eigenvalue|, from the dense symmetrised kernel on the support."""
    root = np.sqrt(law.probabilities[law.support])
    kernel = block_gibbs(TableConditionals(law), k_uniform(law.sites, size)).to_dense()
    kernel = kernel[np.ix_(law.support, law.support)]
    values = np.linalg.eigvalsh(root[:, None] * kernel / root[None, :])
    return float(1 - np.abs(values[:-1]).max(initial=0.0))


def mixing_time(law: JointLaw, epsilon: float, size: int = 1) -> int:
    """Worst start over the support, one step after the other."""
    kernel = block_gibbs(TableConditionals(law), k_uniform(law.sites, size)).to_dense()
    rows = np.eye(law.states)[law.support]
    for steps in range(100_000):
        if 0.5 * np.abs(rows - law.probabilities).sum(axis=1).max() <= epsilon:
            return steps
        rows = rows @ kernel
    raise RuntimeError("the chain does not mix")


def literal_influence(law: JointLaw) -> np.ndarray:
    result = np.zeros((law.sites, law.sites))
    for i, j in product(range(law.sites), repeat=2):
        if i == j:
            continue
        for x, y in combinations(product(range(law.symbols), repeat=law.sites), 2):
            if [site for site in range(law.sites) if site != i and x[site] != y[site]] != [j]:
                continue
            rows = [np.array([law.table[(*z[:i], a, *z[i + 1 :])] for a in range(law.symbols)]) for z in (x, y)]
            if all(row.sum() > 0 for row in rows):
                result[i, j] = max(result[i, j], total_variation(*(row / row.sum() for row in rows)))
    return result


def hard_core(sites: int, fugacity: float) -> JointLaw:
    """Independent sets of a path: neighbouring ones are forbidden."""
    table = np.zeros((2,) * sites)
    for x in product(range(2), repeat=sites):
        if not any(x[i] and x[i + 1] for i in range(sites - 1)):
            table[x] = fugacity ** sum(x)
    return JointLaw.from_weights(table, "hard core")


@pytest.mark.parametrize("symbols", [2, 3])
def test_influence_is_the_literal_maximum(symbols: int) -> None:
    law = random_law(3, symbols, np.random.default_rng(symbols))
    assert influence_matrix(TableConditionals(law)) == pytest.approx(literal_influence(law), abs=1e-14)


def test_influence_leaves_out_contexts_of_probability_zero() -> None:
    law = hard_core(4, 2.0)
    matrix = influence_matrix(TableConditionals(law))
    assert matrix == pytest.approx(literal_influence(law), abs=1e-15)
    # A free site is occupied with probability 2/3 next to empty sites and never next to an occupied one.
    assert matrix[0, 1] == pytest.approx(2 / 3)
    assert matrix[0, 2] == 0


def test_influence_of_a_pair_of_spins() -> None:
    coupling, fields = 0.7, (0.3, -0.4)
    law = ising([[0, coupling], [coupling, 0]], fields)
    expected = [0.5 * abs(tanh(h + coupling) - tanh(h - coupling)) for h in fields]
    assert influence_matrix(TableConditionals(law)) == pytest.approx(np.array([[0, expected[0]], [expected[1], 0]]))


def ring(sites: int, coupling: float) -> JointLaw:
    matrix = np.zeros((sites, sites))
    for i in range(sites):
        matrix[i, (i + 1) % sites] = matrix[(i + 1) % sites, i] = coupling
    return ising(matrix)


def smallest_norm(criterion: DobrushinCriterion) -> float:
    return min(float(np.linalg.norm(criterion.matrix, order)) for order in (1, 2, inf))


def time_by_norm(criterion: DobrushinCriterion, epsilon: float) -> float:
    """The weaker bound ceil( ln(N/eps) / -ln(1 - (1 - |R|)/N) ) with the smallest norm."""
    distance = 1 - smallest_norm(criterion)
    if distance <= 0:
        return inf
    return ceil(log(criterion.sites / epsilon) / -log1p(-distance / criterion.sites))


def test_influence_of_the_ising_ring() -> None:
    """The other neighbour's spin adds field +-J: TV = (tanh 2J - tanh 0)/2, so every norm is tanh 2J."""
    criterion = dobrushin(TableConditionals(ring(5, 0.6)))
    assert criterion.spectral_radius == pytest.approx(tanh(1.2))
    assert smallest_norm(criterion) == pytest.approx(tanh(1.2))


def test_independent_sites_have_no_influence() -> None:
    law = product_law([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]])
    criterion = dobrushin(TableConditionals(law))
    assert criterion.matrix == pytest.approx(np.zeros((3, 3)), abs=1e-15)
    assert criterion.gap_lower_bound == pytest.approx(1 / 3)
    assert path_coupling(TableConditionals(law), k_uniform(3, 1)).rate == pytest.approx(1 / 3)
    for size in (1, 2, 3):
        kernel = block_gibbs(TableConditionals(law), k_uniform(3, size))
        assert path_coupling(TableConditionals(law), k_uniform(3, size)).rate == pytest.approx(size / 3)
        assert ollivier_curvature(kernel, 3, 2).rate == pytest.approx(size / 3, abs=1e-9)


def test_influence_of_a_model_without_a_joint_law() -> None:
    """Incompatible conditionals: site 0 copies site 1, site 1 negates site 0, each with probability 0.9."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.full((len(tokens), 2, 2), 0.5)
        for row, (first, second) in enumerate(tokens):
            if second < 2:
                result[row, 0] = [0.9, 0.1] if second == 0 else [0.1, 0.9]
            if first < 2:
                result[row, 1] = [0.1, 0.9] if first == 0 else [0.9, 0.1]
        return result

    model = FunctionConditionals(2, 2, predict)
    criterion = dobrushin(model)
    assert criterion.matrix == pytest.approx(np.array([[0, 0.8], [0.8, 0]]))
    assert criterion.is_unique
    # The bound holds for the chain's own stationary law.
    kernel = block_gibbs(model, k_uniform(2, 1)).to_dense()
    stationary = np.linalg.matrix_power(kernel, 4096)[0]
    distances, power = [], np.eye(4)
    for _ in range(60):
        distances.append(0.5 * np.abs(power - stationary).sum(axis=1).max())
        power = power @ kernel
    exact = next(t for t, distance in enumerate(distances) if distance <= 0.1)
    assert exact <= criterion.mixing_time_bound(0.1) <= time_by_norm(criterion, 0.1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 6), density=st.floats(0.1, 1))
def test_spectral_radius_is_the_largest_eigenvalue(seed: int, size: int, density: float) -> None:
    generator = np.random.default_rng(seed)
    matrix = generator.random((size, size)) * (generator.random((size, size)) < density)
    expected = np.abs(np.linalg.eigvals(matrix)).max()
    # Eigenvalues of a defective matrix carry an error of about (machine precision)^(1/size).
    assert spectral_radius(matrix) == pytest.approx(expected, rel=1e-9, abs=1e-2 if expected < 1e-2 else 1e-6)


def test_spectral_radius_of_defective_matrices_is_exact() -> None:
    assert spectral_radius(np.diag(np.full(5, 100.0), 1)) == 0.0
    jordan = 0.9 * np.eye(4) + np.diag(np.ones(3), 1)
    assert spectral_radius(jordan) == pytest.approx(0.9, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    sites=st.integers(2, 4),
    scale=st.floats(0.0, 0.6),
    epsilon=st.sampled_from([0.25, 0.01]),
)
def test_dobrushin_bounds_hold(seed: int, sites: int, scale: float, epsilon: float) -> None:
    law = random_ising(sites, np.random.default_rng(seed), scale)
    criterion = dobrushin(TableConditionals(law))
    assert criterion.spectral_radius <= smallest_norm(criterion) * (1 + 1e-12)
    assert criterion.gap_lower_bound <= absolute_gap(law) + 1e-12
    if criterion.is_unique:
        # A slightly smaller eps in the weaker bound, so that rounding cannot tip a tie at vanishing influence.
        weaker = time_by_norm(criterion, epsilon * (1 - 1e-9))
        assert mixing_time(law, epsilon) <= criterion.mixing_time_bound(epsilon) <= weaker
    else:
        assert criterion.mixing_time_bound(epsilon) == inf


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 4), strength=st.floats(0.0, 1.0), symbols=st.integers(2, 3))
def test_path_coupling_bounds_hold(seed: int, size: int, strength: float, symbols: int) -> None:
    generator = np.random.default_rng(seed)
    sites = 4 if symbols == 2 else 3
    size = min(size, sites)
    law = JointLaw.from_log_weights(strength * generator.normal(size=(symbols,) * sites))
    contraction = path_coupling(TableConditionals(law), k_uniform(sites, size))
    assert contraction.gap_lower_bound <= absolute_gap(law, size) + 1e-12
    if contraction.contracts:
        assert mixing_time(law, 0.1, size) <= contraction.mixing_time_bound(0.1)
    if size == 1:
        assert 1 - sites * contraction.rate <= np.linalg.norm(dobrushin(TableConditionals(law)).matrix, 1) + 1e-12
    if size == sites:
        assert contraction.rate == pytest.approx(1.0)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 3), strength=st.floats(0.0, 1.5))
def test_curvature_is_sharper_and_still_a_bound(seed: int, size: int, strength: float) -> None:
    law = JointLaw.from_log_weights(strength * np.random.default_rng(seed).normal(size=(2, 2, 2)))
    masks = k_uniform(3, size)
    kernel = block_gibbs(TableConditionals(law), masks)
    curvature = ollivier_curvature(kernel, 3, 2)
    assert path_coupling(TableConditionals(law), masks).rate <= curvature.rate + 1e-8
    assert curvature.gap_lower_bound <= absolute_gap(law, size) + 1e-8
    if curvature.contracts:
        assert mixing_time(law, 0.05, size) <= curvature.mixing_time_bound(0.05)


def test_curvature_contracts_every_pair_not_only_neighbours() -> None:
    law = random_ising(3, np.random.default_rng(2), 0.3)
    kernel = block_gibbs(TableConditionals(law), k_uniform(3, 1)).to_dense()
    rate = ollivier_curvature(kernel, 3, 2).rate
    distances = hamming_distances(3, 2)
    for x, y in combinations(range(8), 2):
        assert wasserstein(kernel[x], kernel[y], distances) <= (1 - rate) * distances[x, y] + 1e-8


def test_hard_core_support_is_geodesic_and_its_bounds_hold() -> None:
    law = hard_core(4, 0.4)
    support = np.flatnonzero(law.support)
    assert is_geodesic(4, 2, support)
    model = TableConditionals(law)
    masks = k_uniform(4, 1)
    exact_gap, exact_time = absolute_gap(law), mixing_time(law, 0.1)
    for bound in (
        dobrushin(model),
        path_coupling(model, masks),
        ollivier_curvature(block_gibbs(model, masks), 4, 2, support),
    ):
        assert 0 < bound.gap_lower_bound <= exact_gap
        assert exact_time <= bound.mixing_time_bound(0.1) < inf


def test_no_bound_on_supports_that_paths_cannot_cross() -> None:
    """Two opposite corners: single-site dynamics never moves, whatever the influences on the support say."""
    law = JointLaw([[0.5, 0.0], [0.0, 0.5]])
    model = TableConditionals(law)
    assert dobrushin(model).gap_lower_bound == 0.0
    assert dobrushin(model).mixing_time_bound() == inf
    without_influence = DobrushinCriterion(np.zeros((2, 2)), geodesic=False)
    assert without_influence.mixing_time_bound() == inf
    contraction = path_coupling(model, k_uniform(2, 1))
    assert contraction.gap_lower_bound == 0.0
    assert contraction.mixing_time_bound() == inf
    kernel = block_gibbs(model, k_uniform(2, 1))
    assert ollivier_curvature(kernel, 2, 2, np.flatnonzero(law.support)).mixing_time_bound() == inf


def test_a_detour_is_not_geodesic() -> None:
    """A cube without three corners: 000 and 110 are at distance 2 but the path between them takes four steps."""
    support = state_index(np.array([[0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0]]), 2)
    assert not is_geodesic(3, 2, support)
    distances = path_distances(3, 2, support)
    first, last = np.searchsorted(np.sort(support), state_index(np.array([[0, 0, 0], [1, 1, 0]]), 2))
    assert distances[first, last] == 4


def test_a_point_mass_is_mixed_at_once() -> None:
    law = JointLaw([[1.0, 0.0], [0.0, 0.0]])
    contraction = path_coupling(TableConditionals(law), k_uniform(2, 1))
    assert contraction == Contraction(1.0, 0.0, None)
    assert contraction.mixing_time_bound() == 0.0
    kernel = block_gibbs(TableConditionals(law), k_uniform(2, 1))
    assert ollivier_curvature(kernel, 2, 2, np.array([0])) == contraction


@pytest.mark.parametrize(("sites", "symbols"), [(1, 2), (3, 2), (2, 3), (3, 3)])
def test_neighbours_are_the_pairs_at_distance_one(sites: int, symbols: int) -> None:
    distances = hamming_distances(sites, symbols)
    states = list(product(range(symbols), repeat=sites))
    for left, right in product(range(len(states)), repeat=2):
        assert distances[left, right] == sum(a != b for a, b in zip(states[left], states[right], strict=True))
    found = {tuple(pair) for pair in neighbour_pairs(sites, symbols).tolist()}
    assert found == {(a, b) for a, b in combinations(range(len(states)), 2) if distances[a, b] == 1}


def test_wasserstein_on_a_line_is_the_area_between_the_distribution_functions() -> None:
    generator = np.random.default_rng(9)
    left, right = generator.dirichlet(np.ones(6)), generator.dirichlet(np.ones(6))
    line = np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0)))
    expected = np.abs(np.cumsum(left - right)).sum()
    assert wasserstein(left, right, line) == pytest.approx(expected, abs=1e-9)
    assert wasserstein(left, left, line) == 0.0
    assert wasserstein(left, right, 1 - np.eye(6)) == pytest.approx(total_variation(left, right), abs=1e-9)


def test_bound_near_the_threshold_stays_finite_and_right() -> None:
    """M = (1 - d) on one site's worth of disagreement: t = ceil(ln(N/eps) / -ln(1 - d/N))."""
    matrix = np.array([[0.0, 1 - 1e-6], [1 - 1e-6, 0.0]])
    criterion = DobrushinCriterion(matrix, True)
    assert criterion.mixing_time_bound(0.25) == pytest.approx(time_by_norm(criterion, 0.25), abs=1)
    assert DobrushinCriterion(np.array([[0.0, 1.0], [1.0, 0.0]]), True).mixing_time_bound() == inf


def test_bad_input_is_named() -> None:
    law = random_law(2, 2, np.random.default_rng(0))
    model = TableConditionals(law)
    with pytest.raises(InvalidInput, match="epsilon"):
        dobrushin(model).mixing_time_bound(0.0)
    with pytest.raises(InvalidInput, match="epsilon"):
        path_coupling(model, k_uniform(2, 1)).mixing_time_bound(1.0)
    with pytest.raises(InvalidInput, match=r"masks\.sites"):
        path_coupling(model, k_uniform(3, 1))
    with pytest.raises(InvalidInput, match="chain"):
        ollivier_curvature(np.eye(3), 2, 2)
    with pytest.raises(InvalidInput, match="support"):
        ollivier_curvature(np.full((4, 4), 0.25), 2, 2, np.array([0, 1]))
    with pytest.raises(InvalidInput, match="support"):
        neighbour_pairs(2, 2, np.array([0, 4]))
    with pytest.raises(InvalidInput, match="matrix"):
        spectral_radius(np.array([[-1.0]]))
    with pytest.raises(InvalidInput, match="matrix"):
        spectral_radius(np.ones((2, 3)))
    with pytest.raises(InvalidInput, match="left"):
        wasserstein(np.array([0.5, 0.0]), np.array([0.5, 0.5]), 1 - np.eye(2))
