"""Product kernels against the literal product over states; the loss of parallel block updates by independent routes."""

from __future__ import annotations

from itertools import combinations, product
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.chains.operator import DenseOperator
from theory.conditionals import TableConditionals
from theory.divergences import kullback_leibler
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import bernoulli, k_uniform
from theory.parallel_decoding import (
    ProductKernel,
    best_product_approximation,
    block_update,
    block_update_gap,
    conditional_total_correlation,
    parallel_update,
    product_divergence,
    random_product_kernel,
)


@st.composite
def laws(draw: st.DrawFn) -> JointLaw:
    sites, symbols = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = generator.gamma(0.5, size=(symbols,) * sites) + 1e-6
    if draw(st.booleans()):
        weights *= generator.random(weights.shape) > 0.3
        weights.flat[0] += 1e-3
    return JointLaw.from_weights(weights)


@pytest.mark.parametrize(("sites", "symbols"), [(1, 2), (3, 2), (2, 3), (2, 4)])
def test_matrix_is_the_literal_product(sites: int, symbols: int) -> None:
    kernel = random_product_kernel(sites, symbols, np.random.default_rng(1))
    states = list(product(range(symbols), repeat=sites))
    expected = [
        [np.prod([kernel.factors[s, i, y[i]] for i in range(sites)]) for y in states] for s in range(len(states))
    ]
    np.testing.assert_allclose(kernel.to_matrix(), expected, atol=1e-16)


def literal_block_update(law: JointLaw, mask: tuple[int, ...]) -> np.ndarray:
    states = list(product(range(law.symbols), repeat=law.sites))
    matrix = np.zeros((len(states), len(states)))
    for row, x in enumerate(states):
        agreeing = [all(x[i] == y[i] for i in range(law.sites) if i not in mask) for y in states]
        context = sum(law.table[y] for y, same in zip(states, agreeing, strict=True) if same)
        for column, y in enumerate(states):
            if agreeing[column]:
                matrix[row, column] = law.table[y] / context if context > 0 else 1 / law.symbols ** len(mask)
    return matrix


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_block_update_is_literal_and_the_parallel_update_its_best_product(law: JointLaw, data: st.DataObject) -> None:
    mask = tuple(sorted(data.draw(st.sets(st.integers(0, law.sites - 1)))))
    exact = block_update(law, mask)
    np.testing.assert_allclose(exact, literal_block_update(law, mask), atol=1e-14)
    parallel = parallel_update(TableConditionals(law), mask)
    best = best_product_approximation(DenseOperator(exact), law.sites, law.symbols)
    np.testing.assert_allclose(parallel.factors, best.factors, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(laws(), st.data())
def test_loss_is_the_conditional_total_correlation(law: JointLaw, data: st.DataObject) -> None:
    masks = bernoulli(law.sites, 0.4) if data.draw(st.booleans()) else k_uniform(law.sites, law.sites)
    assert block_update_gap(law, masks) == pytest.approx(conditional_total_correlation(law, masks), abs=1e-11)


def test_loss_by_the_slowest_route() -> None:
    # Every mask, context and outcome by hand, with the product of marginals formed outcome by outcome.
    law = JointLaw.from_weights(np.random.default_rng(4).random((2, 2, 2)))
    total = 0.0
    for mask in combinations(range(3), 2):
        (kept,) = set(range(3)) - set(mask)
        for value in range(2):
            block = law.table.take(value, axis=kept)
            conditional = block / block.sum()
            separate = np.outer(conditional.sum(axis=1), conditional.sum(axis=0))
            total += block.sum() * kullback_leibler(conditional, separate) / 3
    assert conditional_total_correlation(law, k_uniform(3, 2)) == pytest.approx(total, abs=1e-14)
    assert block_update_gap(law, k_uniform(3, 2)) == pytest.approx(total, abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(2, 3))
def test_row_loss_splits_into_total_correlation_and_marginal_errors(seed: int, sites: int, symbols: int) -> None:
    generator = np.random.default_rng(seed)
    states = symbols**sites
    rows = generator.dirichlet(np.ones(states), size=states)
    best = best_product_approximation(rows, sites, symbols)
    other = random_product_kernel(sites, symbols, generator)
    least = product_divergence(rows, best)
    shape = (symbols,) * sites
    np.testing.assert_allclose(least, [JointLaw(r.reshape(shape)).total_correlation() for r in rows], atol=1e-11)
    marginal_errors = (best.factors * np.log(best.factors / other.factors)).sum(axis=(1, 2))
    np.testing.assert_allclose(product_divergence(rows, other), least + marginal_errors, atol=1e-10)


def test_closed_forms() -> None:
    parity = JointLaw.from_weights((np.indices((2,) * 4).sum(axis=0) % 2 == 0).astype(float))
    # Given any two sites or fewer, the rest keeps one parity constraint: ln 2 from two masked sites on, 0 for one.
    for size, loss in [(1, 0.0), (2, log(2)), (3, log(2)), (4, log(2))]:
        assert block_update_gap(parity, k_uniform(4, size)) == pytest.approx(loss, abs=1e-13)
    independent = JointLaw(np.multiply.outer(np.multiply.outer([0.2, 0.8], [0.5, 0.5]), [0.9, 0.1]))
    for size in (1, 2, 3):
        assert block_update_gap(independent, k_uniform(3, size)) == pytest.approx(0, abs=1e-13)


def test_a_product_kernel_is_its_own_best_approximation() -> None:
    kernel = random_product_kernel(3, 3, np.random.default_rng(9), 0.3)
    best = best_product_approximation(DenseOperator(kernel.to_matrix()), 3, 3)
    np.testing.assert_allclose(best.factors, kernel.factors, atol=1e-14)
    np.testing.assert_allclose(product_divergence(kernel.to_matrix(), kernel), 0, atol=1e-12)


def test_a_kernel_that_misses_mass_diverges() -> None:
    frozen = ProductKernel(np.eye(2)[np.arange(2)][:, None, :])
    assert product_divergence(np.full((2, 2), 0.5), frozen).tolist() == [np.inf, np.inf]


def test_refusals() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="factors"):
        ProductKernel(np.full((4, 3, 2), 0.5))
    with pytest.raises(InvalidInput, match="factors"):
        ProductKernel(np.full((2, 2), 0.5))
    with pytest.raises(InvalidInput, match="factors"):
        ProductKernel(np.full((2, 1, 2), np.nan))
    with pytest.raises(InvalidInput, match=r"factors\[1, 0\]"):
        ProductKernel([[[0.5, 0.5]], [[0.5, 0.6]]])
    with pytest.raises(InvalidInput, match="concentration"):
        random_product_kernel(2, 2, generator, 0.0)
    with pytest.raises(ExceedsMemory):
        random_product_kernel(60, 2, generator)
    with pytest.raises(InvalidInput, match="chain"):
        best_product_approximation(np.eye(3), 2, 2)
    law = JointLaw.from_weights(np.ones((2, 2)))
    for function in (block_update_gap, conditional_total_correlation):
        with pytest.raises(InvalidInput, match="masks"):
            function(law, k_uniform(3, 1))
    with pytest.raises(ExceedsMemory):
        ProductKernel(np.full((2**17, 17, 2), 0.5)).to_matrix()
