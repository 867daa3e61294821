"""Conditional models: tables, functions that stand for networks, and tempering."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.conditionals import (
    FunctionConditionals,
    MaskAwareConditionals,
    TableConditionals,
    TemperedConditionals,
    temper,
)
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law, sparse_random_law
from theory.masks import AdaptiveMaskLaw, adaptive
from theory.samplers import block_gibbs


def masked_network(law: JointLaw):
    """A perfect masked network: for each row of tokens, the marginals of the law given the visible ones, by loops."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.full((*tokens.shape, law.symbols), np.nan)  # what is not read may be anything
        for row, sequence in enumerate(tokens):
            consistent = [
                (x, law.table[x])
                for x in itertools.product(range(law.symbols), repeat=law.sites)
                if all(t in (v, law.symbols) for t, v in zip(sequence, x, strict=True))
            ]
            total = sum(mass for _, mass in consistent)
            for site in np.flatnonzero(sequence == law.symbols):
                masses = [sum(mass for x, mass in consistent if x[site] == a) for a in range(law.symbols)]
                result[row, site] = np.array(masses) / total if total > 0 else 1 / law.symbols
        return result

    return predict


def masks(sites: int) -> list[tuple[int, ...]]:
    return [mask for size in range(1, sites + 1) for mask in itertools.combinations(range(sites), size)]


@given(st.sampled_from([(1, 2), (3, 2), (2, 3), (4, 2)]), st.integers(0, 1000))
def test_a_network_that_reads_a_table_reproduces_the_table(shape: tuple[int, int], seed: int) -> None:
    law = random_law(*shape, np.random.default_rng(seed))
    exact, network = TableConditionals(law), FunctionConditionals(*shape, masked_network(law))
    for mask in masks(law.sites):
        np.testing.assert_allclose(network.token_conditionals(mask), exact.token_conditionals(mask), atol=1e-13)
        # The chain rule over the masked sites gives the joint conditional back.
        np.testing.assert_allclose(network.joint_conditional(mask), exact.joint_conditional(mask), atol=1e-13)
    np.testing.assert_allclose(network.leave_one_out(), exact.leave_one_out(), atol=1e-13)


@pytest.mark.parametrize("support", [1, 4, 9])
def test_token_conditionals_are_marginals_of_the_joint_conditional(support: int) -> None:
    law = sparse_random_law(3, 3, np.random.default_rng(support), support)
    model = TableConditionals(law)
    for mask in masks(3):
        joint = model.joint_conditional(mask).reshape((-1,) + (3,) * len(mask))
        tokens = model.token_conditionals(mask)
        np.testing.assert_allclose(tokens.sum(axis=2), 1, rtol=1e-14)
        for position in range(len(mask)):
            axes = tuple(1 + other for other in range(len(mask)) if other != position)
            np.testing.assert_allclose(tokens[position], joint.sum(axis=axes), atol=1e-15)


def test_leave_one_out_is_the_single_site_conditional_at_every_sequence() -> None:
    law = random_law(3, 2, np.random.default_rng(0))
    rows = TableConditionals(law).leave_one_out()
    assert rows.shape == (8, 3, 2)
    for state, x in enumerate(itertools.product((0, 1), repeat=3)):
        for site in range(3):
            masses = [law.table[(*x[:site], a, *x[site + 1 :])] for a in (0, 1)]
            np.testing.assert_allclose(rows[state, site], np.array(masses) / sum(masses), rtol=1e-13)


def test_incompatible_conditionals_decode_from_left_to_right() -> None:
    """p(x_0) and p(x_1 | x_0) come from the function; p(x_0 | x_1) is never asked for."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.empty((*tokens.shape, 2))
        result[:] = [0.3, 0.7]
        seen = tokens[:, 0]
        result[:, 1] = np.where((seen == 1)[:, None], [0.1, 0.9], [0.8, 0.2])
        return result

    joint = FunctionConditionals(2, 2, predict).joint_conditional((0, 1))
    np.testing.assert_allclose(joint, [[0.3 * 0.8, 0.3 * 0.2, 0.7 * 0.1, 0.7 * 0.9]])


def test_networks_in_single_precision_are_normalised() -> None:
    def predict(tokens: np.ndarray) -> np.ndarray:
        return np.full((*tokens.shape, 3), 1 / 3, dtype=np.float32)

    rows = FunctionConditionals(2, 3, predict).token_conditionals((1,))
    assert rows.dtype == np.float64
    np.testing.assert_allclose(rows.sum(axis=-1), 1, rtol=1e-15)


@pytest.mark.parametrize(
    "output",
    [
        lambda shape: np.full((*shape, 3), 1 / 3),
        lambda shape: np.full((*shape, 2), 0.6),
        lambda shape: np.full((*shape, 2), np.nan),
        lambda shape: np.broadcast_to([1.5, -0.5], (*shape, 2)),
        lambda shape: np.zeros((*shape, 2)),
        lambda shape: np.full(shape, 0.5),
    ],
)
def test_bad_outputs_of_a_network_are_refused(output) -> None:
    model = FunctionConditionals(2, 2, lambda tokens: output(tokens.shape))
    with pytest.raises(InvalidInput, match="predict"):
        model.token_conditionals((0,))


@given(st.integers(0, 1000), st.floats(0.05, 5))
def test_tempering_raises_to_the_inverse_temperature(seed: int, temperature: float) -> None:
    law = random_law(3, 2, np.random.default_rng(seed))
    exact = TableConditionals(law)
    tempered = TemperedConditionals(exact, temperature)
    for mask in masks(3):
        # In logarithms, so that high powers of small numbers do not underflow on this side.
        logs = np.log(exact.joint_conditional(mask)) / temperature
        expected = np.exp(logs - logs.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(tempered.joint_conditional(mask), expected, rtol=1e-9, atol=1e-300)


def test_temperature_one_changes_nothing_and_zero_is_greedy() -> None:
    law = random_law(3, 3, np.random.default_rng(4))
    exact = TableConditionals(law)
    same, greedy, cold = (TemperedConditionals(exact, t) for t in (1.0, 0.0, 1e-4))
    assert same.law is law
    assert greedy.law is None
    for mask in masks(3):
        np.testing.assert_allclose(same.joint_conditional(mask), exact.joint_conditional(mask), rtol=1e-14)
        for method in ("joint_conditional", "token_conditionals"):
            rows = getattr(greedy, method)(mask)
            best = getattr(exact, method)(mask).argmax(axis=-1)
            np.testing.assert_array_equal(rows, np.eye(rows.shape[-1])[best])
        np.testing.assert_allclose(cold.joint_conditional(mask), greedy.joint_conditional(mask), atol=1e-6)


def test_ties_at_temperature_zero_go_to_the_first_outcome() -> None:
    np.testing.assert_array_equal(temper(np.array([[0.25, 0.375, 0.375 * (1 + 1e-15)]]), 0.0), [[0, 1, 0]])


@pytest.mark.parametrize("temperature", [-1.0, np.inf, np.nan])
def test_bad_temperatures_are_refused(temperature: float) -> None:
    law = random_law(2, 2, np.random.default_rng(0))
    with pytest.raises(InvalidInput, match="temperature"):
        TemperedConditionals(TableConditionals(law), temperature)


@given(st.integers(0, 1000))
def test_mask_aware_conditionals_are_those_of_the_pair_of_sequence_and_mask(seed: int) -> None:
    generator = np.random.default_rng(seed)
    law, listed = random_law(3, 2, generator), ((0,), (1,), (0, 2), (1, 2))
    masks = AdaptiveMaskLaw(3, listed, generator.dirichlet(np.ones(4), size=8).T)
    model = MaskAwareConditionals(law, masks)
    for number, mask in enumerate(listed):
        pairs = (law.probabilities * masks.probabilities[number]).reshape(law.table.shape)
        kept = [site for site in range(3) if site not in mask]
        grouped = pairs.transpose(kept + list(mask)).reshape(-1, 2 ** len(mask))
        expected = grouped / grouped.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(model.joint_conditional(mask), expected, atol=1e-12)
        tokens = expected.reshape((-1,) + (2,) * len(mask))
        np.testing.assert_allclose(
            model.token_conditionals(mask)[0], tokens.reshape(len(tokens), 2, -1).sum(2), atol=1e-12
        )
    # Drawing from them after an adaptive mask is the block dynamics that keeps p stationary.
    operator = block_gibbs(TableConditionals(law), masks)
    direct = sum(
        masks.probabilities[number][:, None] * block_matrix(model.joint_conditional(mask), mask)
        for number, mask in enumerate(listed)
    )
    np.testing.assert_allclose(operator.to_dense(), direct, atol=1e-12)
    np.testing.assert_allclose(law.probabilities @ direct, law.probabilities, atol=1e-12)


def block_matrix(joint: np.ndarray, mask: tuple[int, ...]) -> np.ndarray:
    """P_K(x, y) on 3 binary sites, by loops."""
    matrix, kept = np.zeros((8, 8)), [site for site in range(3) if site not in mask]
    states = list(itertools.product(range(2), repeat=3))
    for row, x in enumerate(states):
        for column, y in enumerate(states):
            if all(x[site] == y[site] for site in kept):
                context = int("0" + "".join(str(x[site]) for site in kept), 2)
                matrix[row, column] = joint[context, int("".join(str(y[site]) for site in mask), 2)]
    return matrix


def test_mask_aware_conditionals_refuse_other_masks() -> None:
    law = random_law(2, 2, np.random.default_rng(0))
    masks = adaptive(2, 2, [(0,)], lambda sequences, mask: np.ones(len(sequences)))
    with pytest.raises(InvalidInput, match="masked"):
        MaskAwareConditionals(law, masks).token_conditionals((1,))
    with pytest.raises(InvalidInput, match="masks"):
        MaskAwareConditionals(random_law(3, 2, np.random.default_rng(0)), masks)
