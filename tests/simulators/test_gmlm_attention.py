"""Mean attention of masked sites against the literal average."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.gmlm.attention import mean_attention
from simulators.gmlm.build import build
from simulators.gmlm.transformer import Transformer, TransformerConfig
from theory.errors import InvalidInput
from theory.laws import random_law

pytestmark = pytest.mark.usefixtures("quick_compilation")


def transformer(seed: int = 0) -> Transformer:
    network = build(TransformerConfig(3, 2, width=8, layers=2, heads=2), seed)
    assert isinstance(network, Transformer)
    return network


def test_every_sequence_counts_with_its_probability() -> None:
    network, law = transformer(), random_law(3, 2, np.random.default_rng(0))
    found = mean_attention(network, law)
    assert found.shape == (2, 2, 3, 3)
    np.testing.assert_allclose(found.sum(axis=3), 1.0, atol=1e-6)
    attention = jax.jit(lambda tokens: network.attention(tokens))
    for site in range(3):
        expected = np.zeros((2, 2, 3))
        for sequence, mass in zip(law.sequences, law.probabilities, strict=True):
            tokens = sequence.copy()
            tokens[site] = 2
            expected += mass * np.asarray(attention(jnp.asarray(tokens[None])))[:, 0, :, site]
        np.testing.assert_allclose(found[:, :, site], expected, atol=1e-6)


def test_without_queries_every_site_is_looked_at_alike() -> None:
    network = transformer()
    for block in network.blocks:
        layer = block.attention.query_key_value
        nnx.update(layer, jax.tree.map(jnp.zeros_like, nnx.state(layer)))
    found = mean_attention(network, random_law(3, 2, np.random.default_rng(0)))
    np.testing.assert_allclose(found, 1 / 3, atol=1e-6)


def test_a_law_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="law"):
        mean_attention(transformer(), random_law(2, 2, np.random.default_rng(0)))
