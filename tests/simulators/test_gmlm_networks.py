"""Networks against literal definitions: a Transformer in plain NumPy, exponential families by their joint law."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.gmlm.build import build, config_from_plain, config_to_plain
from simulators.gmlm.data import LawSource
from simulators.gmlm.energy import ExponentialNetwork, PairwiseConfig, PairwiseNetwork
from simulators.gmlm.networks import FlooredNetwork, MaskedNetwork, MLPConfig, parameter_count
from simulators.gmlm.training import TrainingSettings, train
from simulators.gmlm.transformer import Transformer, TransformerConfig
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import ising_family, potts_family, product_law, random_ising
from theory.masks import uniform_ratio
from theory.states import all_sequences, block_indices

FLOAT32 = 2e-5
CONFIGS = [TransformerConfig(4, 3, width=8, layers=2, heads=2), MLPConfig(4, 3, width=8), PairwiseConfig(4, 3)]

forward = jax.jit(lambda network, tokens: network(tokens))
block_log_likelihood = jax.jit(lambda network, tokens, masked: network.block_log_likelihood(tokens, masked))


def arrays(network: nnx.Module) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(nnx.state(network))
    return {
        jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value"): np.asarray(leaf, np.float64)
        for path, leaf in leaves
    }


def shaken(network: MaskedNetwork, seed: int = 0) -> MaskedNetwork:
    """The network with every parameter moved at random, so that no zero or one hides a mistake."""
    generator = np.random.default_rng(seed)
    moved = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(0.3 * generator.normal(size=leaf.shape), leaf.dtype), nnx.state(network)
    )
    nnx.update(network, moved)
    return network


def sequences_with_masks(count: int = 6, sites: int = 4, symbols: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, symbols + 1, size=(count, sites)).astype(np.int32)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_every_network_has_one_interface(config) -> None:
    network = shaken(build(config, seed=3))
    tokens = sequences_with_masks()
    logs = np.asarray(forward(network, tokens))
    assert logs.shape == (6, 4, 3)
    assert logs.dtype == np.float32
    np.testing.assert_allclose(np.exp(logs).sum(axis=2), 1.0, atol=FLOAT32)
    assert config_from_plain(config_to_plain(config)) == config
    same, other = arrays(build(config, seed=3)), arrays(build(config, seed=4))
    again = arrays(build(config, seed=3))
    assert all(np.array_equal(same[name], again[name]) for name in same)
    if not isinstance(config, PairwiseConfig):
        assert any(not np.array_equal(same[name], other[name]) for name in same)
    assert parameter_count(network) == sum(array.size for array in same.values())
    # The block's likelihood is the sum over its tokens, computed from sequences with those tokens hidden.
    full = tokens % 3
    masked = tokens == 3
    taken = np.take_along_axis(np.asarray(forward(network, np.where(masked, 3, full))), full[:, :, None], axis=2)[
        :, :, 0
    ]
    expected = (taken * masked).sum(axis=1)
    block = block_log_likelihood(network, full, masked)
    np.testing.assert_allclose(block, expected, atol=FLOAT32)


def literal_transformer(
    weights: dict[str, np.ndarray], config: TransformerConfig, tokens: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, q] and attention weights [layers, H, N, N] of one sequence, site by site and head by head."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean()
        return centred / np.sqrt((centred**2).mean() + 1e-6) * weights[f"{name}.scale"] + weights[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}.kernel"] + weights[f"{name}.bias"]

    n, d, size = config.sites, config.width, config.width // config.heads
    h = [weights["tokens.embedding"][tokens[i]] + weights["positions.embedding"][i] for i in range(n)]
    attention = np.zeros((config.layers, config.heads, n, n))
    for layer in range(config.layers):
        name = f"blocks.{layer}"
        mixed = [linear(norm(x, f"{name}.attention_norm"), f"{name}.attention.query_key_value") for x in h]
        outputs = [np.zeros(d) for _ in range(n)]
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            query, key, value = ([m[s * d : (s + 1) * d][part] for m in mixed] for s in range(3))
            for i in range(n):
                scores = np.exp([query[i] @ key[j] / np.sqrt(size) for j in range(n)])
                attention[layer, head, i] = scores / scores.sum()
                outputs[i][part] = sum(attention[layer, head, i, j] * value[j] for j in range(n))
        h = [x + linear(out, f"{name}.attention.output") for x, out in zip(h, outputs, strict=True)]
        for i in range(n):
            hidden = linear(norm(h[i], f"{name}.mlp_norm"), f"{name}.up")
            gelu = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
            h[i] = h[i] + linear(gelu, f"{name}.down")
    return np.array([linear(norm(x, "norm"), "output") for x in h]), attention


def test_transformer_is_the_one_of_its_definition() -> None:
    config = TransformerConfig(4, 3, width=8, layers=2, heads=2)
    network = shaken(build(config, seed=0))
    assert isinstance(network, Transformer)
    weights, tokens = arrays(network), sequences_with_masks()
    logs = np.asarray(forward(network, tokens))
    attention = np.asarray(jax.jit(Transformer.attention)(network, tokens))
    assert attention.shape == (2, 6, 2, 4, 4)
    for row in range(len(tokens)):
        logits, looked_at = literal_transformer(weights, config, tokens[row])
        expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        np.testing.assert_allclose(logs[row], expected, atol=5 * FLOAT32)
        np.testing.assert_allclose(attention[:, row], looked_at, atol=FLOAT32)


def test_exponential_network_has_the_conditionals_of_its_joint_law() -> None:
    family = potts_family(3, 3, [(0, 1), (1, 2), (0, 2)])
    network = ExponentialNetwork(family)
    theta = np.random.default_rng(0).normal(size=family.parameters)
    network.theta[...] = jnp.asarray(theta, jnp.float32)
    law = network.law(family)
    exact = TableConditionals(law)
    sequences = all_sequences(3, 3).astype(np.int32)
    for mask in [(0,), (2,), (0, 2), (0, 1, 2)]:
        kept = [i for i in range(3) if i not in mask]
        masked = np.isin(np.arange(3), mask)
        tokens = np.where(masked, 3, sequences)
        context = np.zeros(len(sequences), int)
        for site in kept:
            context = 3 * context + sequences[:, site]
        expected = exact.token_conditionals(mask)[:, context]
        logs = np.asarray(forward(network, tokens))[:, list(mask)].transpose(1, 0, 2)
        np.testing.assert_allclose(np.exp(logs), expected, atol=FLOAT32)
        joint = np.empty(len(sequences))
        joint[block_indices(3, 3, mask)] = exact.joint_conditional(mask)
        block = block_log_likelihood(network, sequences, np.broadcast_to(masked, sequences.shape))
        np.testing.assert_allclose(np.exp(block), joint, atol=FLOAT32)


def test_pairwise_network_is_exact_for_one_masked_site() -> None:
    law = random_ising(4, np.random.default_rng(2), 0.8)
    network = build(PairwiseConfig(4, 2))
    assert isinstance(network, PairwiseNetwork)
    spin = np.array([-1.0, 1.0])
    network.fields[...] = jnp.asarray(law.fields[:, None] * spin, jnp.float32)
    network.couplings[...] = jnp.asarray(np.einsum("ij,a,b->iajb", law.couplings, spin, spin), jnp.float32)
    exact = TableConditionals(law).leave_one_out()
    for site in range(4):
        tokens = all_sequences(4, 2).astype(np.int32)
        tokens[:, site] = 2
        np.testing.assert_allclose(np.exp(forward(network, tokens))[:, site], exact[:, site], atol=FLOAT32)
    # The whole sequence masked: fields only.
    alone = np.exp(np.asarray(forward(network, np.full((1, 4), 2, np.int32))))[0]
    np.testing.assert_allclose(alone[:, 1], 1 / (1 + np.exp(-2 * law.fields)), atol=FLOAT32)
    interactions = np.asarray(network.interactions())
    np.testing.assert_allclose(interactions, interactions.transpose(2, 3, 0, 1))
    assert not interactions[np.arange(4), :, np.arange(4)].any()


def test_bad_sizes_are_named() -> None:
    with pytest.raises(InvalidInput, match="width = 10: must be a multiple"):
        TransformerConfig(4, 2, width=10, heads=4)
    with pytest.raises(InvalidInput, match="layers = 0"):
        MLPConfig(4, 2, layers=0)
    with pytest.raises(InvalidInput, match="symbols = 1"):
        PairwiseConfig(4, 1)
    with pytest.raises(InvalidInput, match="kind"):
        config_from_plain({"kind": "lstm"})
    with pytest.raises(InvalidInput, match="network"):
        config_from_plain({"kind": "mlp", "sites": 3, "depth": 4})


def test_family_statistics_are_not_trained() -> None:
    network = ExponentialNetwork(ising_family(3))
    assert parameter_count(network) == 6


def test_a_floor_bounds_every_conditional_and_is_trained_through() -> None:
    inner = build(MLPConfig(3, 2, width=8), seed=1)
    tokens = np.full((1, 3), 2, np.int32)
    before = np.exp(np.asarray(inner(tokens)))
    network = FlooredNetwork(inner, 0.2)
    np.testing.assert_allclose(np.exp(np.asarray(network(tokens))), 0.6 * before + 0.2, rtol=1e-6)
    law = product_law(np.array([[1.0, 0.0]] * 3))
    train(network, LawSource(law), uniform_ratio(3), TrainingSettings(steps=60, batch_size=16, learning_rate=0.05))
    np.testing.assert_allclose(np.exp(np.asarray(network(tokens)))[0], [[0.8, 0.2]] * 3, atol=0.01)
    for floor in (0.0, 0.5):
        with pytest.raises(InvalidInput, match="floor"):
            FlooredNetwork(inner, floor)
