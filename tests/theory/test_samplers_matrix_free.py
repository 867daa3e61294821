"""Every operator acts as its matrix does, without forming it, and does so alike for any number of threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.law_examples import random_law
from theory.chains.operator import TransitionOperator
from theory.conditionals import FunctionConditionals, TableConditionals, TemperedConditionals
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.laws.parity import parity_law
from theory.laws.products import product_law
from theory.masks import Listed, MaskLaw, adaptive, bernoulli, k_uniform, partition, spans, uniform_ratio
from theory.samplers import (
    SAMPLERS,
    block_gibbs,
    confidence_remasking,
    independent_parallel,
    k_parallel,
    mask_sweep,
    metropolis_hastings,
    product_block_gibbs,
    subset_tree,
    systematic_scan,
)
from theory.samplers.threads import run_tasks, thread_count, thread_limit

EXACT = 1e-13


MASKS: dict[str, Callable[[int, int], MaskLaw]] = {
    "k-uniform": k_uniform,
    "Bernoulli": lambda sites, size: bernoulli(sites, size / (sites + 1)),
    "uniform ratio": lambda sites, size: uniform_ratio(sites),
    "spans": spans,
    "periodic spans": lambda sites, size: spans(sites, size, periodic=True),
    "partition": lambda sites, size: partition(
        sites, [range(size), range(size, sites)] if size < sites else [range(sites)]
    ),
    "one mask": lambda sites, size: Listed(sites, (tuple(range(0, sites, size)),), np.ones(1), "one mask"),
}

laws = st.one_of(
    st.builds(random_law, st.integers(0, 10**6), st.integers(1, 6), st.just(2), st.sampled_from([0.0, 0.3, 0.9])),
    st.builds(random_law, st.integers(0, 10**6), st.integers(1, 4), st.just(3), st.sampled_from([0.0, 0.3, 0.9])),
    st.builds(random_law, st.integers(0, 10**6), st.integers(1, 3), st.just(4), st.just(0.0)),
)


@contextmanager
def many_small_tasks() -> Iterator[None]:
    """The limits that decide how work is cut, lowered so that small examples take every path."""
    with ExitStack() as stack:
        for module, name, value in (
            (subset_tree, "SERIAL_WORK", 0),
            (subset_tree, "TASK_BITS", 2),
            (mask_sweep, "SERIAL_WORK", 0),
            (mask_sweep, "BATCH", 24),
            (product_block_gibbs, "SERIAL_STATES", 0),
            (product_block_gibbs, "PIECE_BITS", 3),
            (sys.modules[independent_parallel.__module__], "SERIAL_STATES", 0),
            (sys.modules[independent_parallel.__module__], "SLICE_BYTES", 256),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def assert_acts_as_its_matrix(operator: TransitionOperator) -> None:
    matrix = operator.to_dense()
    generator = np.random.default_rng(0)
    f, nu = generator.normal(size=operator.states), generator.random(operator.states)
    nu /= nu.sum()
    forward, backward = operator.apply(f), operator.propagate(nu)
    np.testing.assert_allclose(forward, matrix @ f, atol=EXACT)
    np.testing.assert_allclose(backward, nu @ matrix, atol=EXACT)
    np.testing.assert_allclose(operator.apply(np.ones(operator.states)), 1, atol=EXACT)
    assert abs(backward.sum() - 1) < EXACT
    assert abs(forward @ nu - f @ backward) < EXACT


@pytest.mark.parametrize("cut", ["whole", "small tasks"])
@given(law=laws, name=st.sampled_from(sorted(MASKS)), sampler=st.sampled_from(sorted(SAMPLERS)), data=st.data())
@settings(max_examples=120)
def test_samplers_act_as_their_matrices(cut: str, law: JointLaw, name: str, sampler: str, data: st.DataObject) -> None:
    masks = MASKS[name](law.sites, data.draw(st.integers(1, law.sites), label="size"))
    with many_small_tasks() if cut == "small tasks" else ExitStack():
        assert_acts_as_its_matrix(SAMPLERS[sampler]().build(TableConditionals(law), masks))


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_block_gibbs_equals_axis_sums_beyond_the_smallest_sizes(size: int) -> None:
    """Strides long enough for the vectorised loops; the slow way sums the table over the axes of each mask."""
    law = random_law(1, 9, 2)
    f = np.random.default_rng(2).normal(size=law.table.shape)
    masks = k_uniform(9, size)
    expected = np.zeros_like(f)
    for mask, weight in zip(masks.masks, masks.probabilities, strict=True):
        sums = (law.table * f).sum(axis=mask, keepdims=True) / law.table.sum(axis=mask, keepdims=True)
        expected += weight * sums
    with many_small_tasks():
        assert block_gibbs(TableConditionals(law), masks).tree.leading > 0
        actual = block_gibbs(TableConditionals(law), masks).apply(f.reshape(-1))
    np.testing.assert_allclose(actual, expected.reshape(-1), atol=EXACT)
    np.testing.assert_allclose(block_gibbs(TableConditionals(law), masks).apply(f.reshape(-1)), actual, atol=EXACT)


def test_null_contexts_are_redrawn_uniformly() -> None:
    """Under a parity constraint every single-site context has mass; with all mass on one state almost none has."""
    even = block_gibbs(TableConditionals(parity_law(4, 0.0)), k_uniform(4, 1))
    assert_acts_as_its_matrix(even)
    table = np.zeros((2, 2, 2))
    table[0, 0, 0] = 1.0
    operator = block_gibbs(TableConditionals(JointLaw(table)), k_uniform(3, 1))
    assert operator.tree.has_null_contexts
    # From (1, 1, 1) each site is redrawn by a fair coin; from (0, 0, 0) nothing moves.
    start = np.zeros(8)
    start[7] = 1.0
    np.testing.assert_allclose(operator.propagate(start), [0, 0, 0, 1 / 6, 0, 1 / 6, 1 / 6, 1 / 2], atol=EXACT)
    np.testing.assert_allclose(operator.propagate(table.reshape(-1)), table.reshape(-1), atol=EXACT)


def test_subnormal_masses_keep_their_ratios() -> None:
    table = np.full((2, 2), 4e-322)
    table[0, 0], table[0, 1] = 0.5, 0.5
    operator = block_gibbs(TableConditionals(JointLaw(table)), k_uniform(2, 1))
    np.testing.assert_allclose(operator.apply(np.array([0.0, 0.0, 0.3, 0.7])), [0, 0, 0.25, 0.25], atol=EXACT)


@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(1, 2), (3, 2), (7, 2), (4, 3), (3, 5)]),
    name=st.sampled_from(sorted(MASKS)),
    data=st.data(),
)
def test_product_laws_are_diagonal_in_the_walsh_basis(
    seed: int, shape: tuple[int, int], name: str, data: st.DataObject
) -> None:
    sites, symbols = shape
    law = product_law(np.random.default_rng(seed).dirichlet(np.ones(symbols), size=sites) * 0.98 + 0.02 / symbols)
    masks = MASKS[name](sites, data.draw(st.integers(1, sites), label="size"))
    operator = block_gibbs(TableConditionals(law), masks)
    assert isinstance(operator, product_block_gibbs.ProductBlockGibbs)
    with many_small_tasks():
        assert_acts_as_its_matrix(operator)
    root = np.sqrt(law.probabilities)
    exact = np.linalg.eigvalsh(operator.to_dense() * root[:, None] / root)[::-1]
    values, multiplicities = operator.spectrum()
    np.testing.assert_allclose(np.repeat(values, multiplicities), exact, atol=1e-10)
    # Independent tokens: decoding in parallel is the same chain, and no proposal is ever refused.
    corrected = metropolis_hastings(TableConditionals(law), masks)
    np.testing.assert_allclose(corrected.to_dense(), operator.to_dense(), atol=EXACT)
    assert isinstance(k_parallel(TableConditionals(law), masks), product_block_gibbs.ProductBlockGibbs)


def test_closed_form_spectrum_of_k_gibbs_on_a_product_law() -> None:
    values, multiplicities = product_block_gibbs.k_gibbs_product_spectrum(30, 3, 2)
    assert sum(multiplicities) == 3**30
    assert values[1] == pytest.approx(1 - 2 / 30)
    assert values[29:].tolist() == [0, 0]
    with pytest.raises(InvalidInput, match="size = 4"):
        product_block_gibbs.k_gibbs_product_spectrum(3, 2, 4)


def test_a_product_law_with_an_impossible_symbol_takes_the_tree() -> None:
    law = product_law([[1.0, 0.0], [0.3, 0.7], [0.5, 0.5]])
    operator = block_gibbs(TableConditionals(law), k_uniform(3, 2))
    assert not isinstance(operator, product_block_gibbs.ProductBlockGibbs)
    assert_acts_as_its_matrix(operator)
    with pytest.raises(InvalidInput, match="positive table"):
        product_block_gibbs.ProductBlockGibbs(law, k_uniform(3, 2))


def learned(sites: int, symbols: int) -> FunctionConditionals:
    weights = np.random.default_rng(3).normal(size=(sites, symbols + 1, sites, symbols))

    def predict(tokens: np.ndarray) -> np.ndarray:
        scores = np.exp(sum(weights[i, tokens[:, i]] for i in range(sites)))
        return scores / scores.sum(axis=2, keepdims=True)

    return FunctionConditionals(sites, symbols, predict)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("kind", ["learned", "table"])
def test_conditionals_without_a_joint_law(kind: str, temperature: float) -> None:
    law = random_law(4, 4, 3)
    model = TemperedConditionals(learned(4, 3) if kind == "learned" else TableConditionals(law), temperature)
    masks = k_uniform(4, 2)
    for operator in (
        block_gibbs(model, masks),
        k_parallel(model, masks),
        metropolis_hastings(model, masks, target=law),
        confidence_remasking(model, masks),
        independent_parallel(model),
        systematic_scan(model),
    ):
        assert_acts_as_its_matrix(operator)


def test_adaptive_masks() -> None:
    law = random_law(5, 5, 2, zeros=0.2)
    masks = adaptive(5, 2, [(0,), (1, 2), (0, 3, 4)], lambda x, mask: 0.5 + x[:, list(mask)].sum(axis=1))
    for build in (block_gibbs, k_parallel, metropolis_hastings):
        assert_acts_as_its_matrix(build(TableConditionals(law), masks))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_results_do_not_depend_on_the_number_of_threads(sampler: str) -> None:
    law = random_law(6, 8, 2, zeros=0.1)
    vector = np.random.default_rng(7).normal(size=law.states)
    found = []
    with many_small_tasks():
        for threads in (1, 2, 3, 5):
            with thread_limit(threads):
                operator = SAMPLERS[sampler]().build(TableConditionals(law), k_uniform(8, 3))
                found.append((operator.apply(vector), operator.propagate(vector)))
    for forward, backward in found[1:]:
        np.testing.assert_array_equal(forward, found[0][0])
        np.testing.assert_array_equal(backward, found[0][1])


def test_read_only_and_integer_vectors_are_taken() -> None:
    law = random_law(10, 4, 2)
    operator = block_gibbs(TableConditionals(law), k_uniform(4, 2))
    np.testing.assert_allclose(operator.propagate(law.probabilities), law.probabilities, atol=EXACT)
    np.testing.assert_allclose(operator.apply(np.ones(16, dtype=np.int64)), 1, atol=EXACT)


def test_importing_the_samplers_does_not_import_the_compiler() -> None:
    code = "import sys, theory.samplers; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_threads_are_counted_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert thread_count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert thread_count() >= 1
    with thread_limit(2):
        assert thread_count() == 2
    with pytest.raises(InvalidInput, match="threads = 0"), thread_limit(0):
        pass


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failing_task_is_reported(threads: int) -> None:
    done: list[int] = []

    def task(index: int, thread: int) -> None:
        if index == 5:
            raise ValueError("task 5")
        done.append(index)

    with pytest.raises(ValueError, match="task 5"):
        run_tasks(task, 10, threads)
    assert set(range(5)) <= set(done) | {5}
