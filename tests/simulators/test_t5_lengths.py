"""Length predictors: their formulas by hand, and that each can learn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.t5.network.lengths import AffineLength, Encoded, FertilityLength, TokenLength, length_head
from simulators.t5.network.network import T5
from tests.simulators.t5_examples import refinement_network, sentences, small_config


@pytest.fixture(scope="module")
def encoded() -> Encoded:
    return refinement_network().encode(jnp.asarray(sentences(6)))


def test_token_candidates_are_the_most_likely_lengths(encoded: Encoded) -> None:
    head = TokenLength(small_config(decoder="refinement"), nnx.Rngs(0))
    law = np.asarray(head.log_probabilities(encoded))
    assert law.shape == (6, 40)
    np.testing.assert_allclose(np.exp(law).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(head.candidates(encoded, 3), np.argsort(-law, axis=1)[:, :3] + 1)
    lengths = jnp.array([1, 2, 3, 40, 5, 6])
    np.testing.assert_allclose(head.loss(encoded, lengths), -law[np.arange(6), np.asarray(lengths) - 1], rtol=1e-5)


def test_affine_lengths_start_at_the_source_length(encoded: Encoded) -> None:
    head = AffineLength(small_config(decoder="refinement"))
    counts = (sentences(6) != 0).sum(axis=1)
    np.testing.assert_array_equal(head.candidates(encoded, 2), np.stack([counts, counts], axis=1))
    head.slope[...] = jnp.array(0.5)
    head.offset[...] = jnp.array(3.2)
    np.testing.assert_array_equal(head.candidates(encoded, 1)[:, 0], np.round(0.5 * counts + 3.2))
    np.testing.assert_allclose(head.loss(encoded, jnp.full(6, 4)), (0.5 * counts + 3.2 - 4) ** 2, rtol=1e-5)


def test_lengths_stay_within_the_largest(encoded: Encoded) -> None:
    head = AffineLength(small_config(decoder="refinement"))
    for offset, expected in ((1000.0, 40), (-1000.0, 1)):
        head.offset[...] = jnp.array(offset)
        assert (np.asarray(head.candidates(encoded, 1)) == expected).all()


def test_fertilities_add_up_over_the_source_without_gradient(encoded: Encoded) -> None:
    head = FertilityLength(small_config(decoder="refinement"), nnx.Rngs(0))
    head.output.kernel[...] = jnp.zeros_like(head.output.kernel[...])
    counts = (sentences(6) != 0).sum(axis=1)
    np.testing.assert_allclose(head.real(encoded), 3.5 * counts, rtol=1e-5)

    def loss(states: jax.Array) -> jax.Array:
        return (
            FertilityLength(small_config(decoder="refinement"), nnx.Rngs(1)).real(encoded._replace(states=states)).sum()
        )

    assert (np.asarray(jax.grad(loss)(encoded.states)) == 0).all()


def test_the_oracle_has_no_head() -> None:
    assert length_head(small_config(decoder="refinement", length_predictor="oracle"), nnx.Rngs(0)) is None


def test_the_length_symbol_is_hidden_from_the_decoder() -> None:
    network = refinement_network()
    encoded = network.encode(jnp.asarray(sentences(3)))
    assert encoded.states.shape[1] == encoded.visible.shape[1] == sentences(3).shape[1]
    assert encoded.length_state is not None


@pytest.mark.parametrize("kind", ["token", "affine", "fertility"])
def test_a_predictor_learns(kind: str) -> None:
    """Gradient descent on the head alone brings its loss on a few sentences far down."""
    network = refinement_network(length_predictor=kind)
    encoded = network.encode(jnp.asarray(sentences(6)))
    lengths = jnp.asarray((sentences(6) != 0).sum(axis=1) + 2)
    assert network.length_head is not None
    graph, state = nnx.split(network.length_head, nnx.Param)
    rate = {"token": 0.3, "affine": 0.002, "fertility": 0.0001}[kind]

    @jax.jit
    def step(state: nnx.State) -> tuple[jax.Array, nnx.State]:
        loss, gradient = jax.value_and_grad(lambda s: nnx.merge(graph, s).loss(encoded, lengths).mean())(state)
        return loss, jax.tree.map(lambda value, slope: value - rate * slope, state, gradient)

    first, state = step(state)
    for _ in range(200):
        last, state = step(state)
    assert last < 0.3 * first


def test_the_rejecter_head_sends_no_gradient_into_the_decoder() -> None:
    network = refinement_network(learned_rejecter=True)
    states = jax.random.normal(jax.random.key(0), (2, 5, 32))
    assert isinstance(network, T5)
    assert network.keep_logits(states).shape == (2, 5)
    assert (np.asarray(jax.grad(lambda s: network.keep_logits(s).sum())(states)) == 0).all()
