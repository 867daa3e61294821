"""Conditionals of networks in the theory's kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.gmlm.build import build
from simulators.gmlm.data import LawSource
from simulators.gmlm.energy import ExponentialNetwork
from simulators.gmlm.induced import describe, induced_conditionals, predictor
from simulators.gmlm.networks import MLPConfig
from simulators.gmlm.training import TrainingSettings, train
from simulators.gmlm.transformer import TransformerConfig
from theory.conditionals import TableConditionals
from theory.incompatibility import rectangle_test
from theory.inequalities import approximate_tensorization
from theory.laws import ising_family, random_ising
from theory.masks import k_uniform, uniform_ratio
from theory.samplers import SAMPLERS, metropolis_hastings

forward = jax.jit(lambda network, tokens: network(tokens))


def test_table_is_the_network_row_by_row() -> None:
    network = build(TransformerConfig(3, 3, width=8, layers=1, heads=2), seed=1)
    model = induced_conditionals(network)
    for mask in [(0,), (1, 2), (0, 1, 2)]:
        kept = [i for i in range(3) if i not in mask]
        found = model.token_conditionals(mask)
        for context in range(3 ** len(kept)):
            tokens = np.full((1, 3), 3, np.int32)
            tokens[0, kept] = np.unravel_index(context, (3,) * len(kept)) if kept else []
            expected = np.exp(np.asarray(forward(network, tokens), np.float64))[0, list(mask)]
            np.testing.assert_allclose(found[:, context], expected, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=-1), 1.0, atol=1e-15)


def test_padding_does_not_show() -> None:
    network = build(MLPConfig(4, 2), seed=1)
    tokens = np.random.default_rng(0).integers(0, 3, size=(11, 4))
    whole = predictor(network)(tokens)
    np.testing.assert_allclose(predictor(network, 4)(tokens), whole, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([predictor(network)(row[None]) for row in tokens]), whole, atol=1e-6)


def test_later_training_does_not_change_induced_conditionals() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.5)
    network = build(MLPConfig(3, 2, width=8))
    predict, tokens = predictor(network), np.full((1, 3), 2)
    before = predict(tokens)
    train(network, LawSource(law), uniform_ratio(3), TrainingSettings(steps=5, batch_size=8))
    np.testing.assert_array_equal(predict(tokens), before)
    assert np.abs(predictor(network)(tokens) - before).max() > 1e-6


def test_exact_conditionals_induce_the_exact_chain() -> None:
    """An exponential network at the true parameter: every claim of the table of samplers comes out to float32."""
    law = random_ising(3, np.random.default_rng(1), 0.6)
    network = ExponentialNetwork(ising_family(3))
    network.theta[...] = jnp.asarray(law.theta, jnp.float32)
    model = induced_conditionals(network)
    assert model.law is None
    assert rectangle_test(model).maximum < 1e-4
    masks = k_uniform(3, 1)
    chain = describe(SAMPLERS["k-gibbs"]().build(model, masks), law, masks)
    exact = describe(SAMPLERS["k-gibbs"]().build(TableConditionals(law), masks), law, masks)
    assert chain.total_variation < 1e-5
    assert chain.kullback_leibler < 1e-9
    assert chain.mixing_time == exact.mixing_time
    constant = approximate_tensorization(law, masks)
    assert chain.tensorization.lower == pytest.approx(constant.lower, rel=1e-3)
    assert chain.tensorization.upper == pytest.approx(constant.upper, rel=1e-3)
    assert chain.tensorization.lower <= chain.tensorization.upper
    parallel = SAMPLERS["independent-parallel"]()
    learned = describe(parallel.build(model, masks), law, masks)
    true = describe(parallel.build(TableConditionals(law), masks), law, masks)
    assert learned.total_variation == pytest.approx(true.total_variation, abs=1e-5)
    assert true.total_variation > 0.01


def test_metropolis_hastings_corrects_an_untrained_network() -> None:
    law = random_ising(3, np.random.default_rng(1), 0.6)
    model = induced_conditionals(build(MLPConfig(3, 2), seed=4))
    masks = k_uniform(3, 2)
    raw = describe(SAMPLERS["k-parallel"]().build(model, masks), law, masks)
    corrected = describe(metropolis_hastings(model, masks, law), law, masks)
    assert raw.total_variation > 0.1
    assert corrected.total_variation < 1e-12
