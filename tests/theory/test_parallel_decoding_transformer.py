"""The explicit Transformer against loops written from the definition, and the construction against its kernels."""

from __future__ import annotations

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest

from theory.chains.operator import DenseOperator
from theory.conditionals import TableConditionals
from theory.divergences import total_variation
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws.joint import JointLaw
from theory.parallel_decoding import (
    Attention,
    FeedForward,
    ProductKernel,
    Transformer,
    best_product_approximation,
    parallel_update,
    random_product_kernel,
    transformer_for,
    transformer_parameters,
)


def random_transformer(seed: int, sites: int, symbols: int, width: int = 5, blocks: int = 2) -> Transformer:
    normal = np.random.default_rng(seed).normal
    return Transformer(
        normal(size=(symbols, width)),
        normal(size=(sites, width)),
        tuple(
            (
                Attention(
                    normal(size=(2, width, 3)),
                    normal(size=(2, width, 3)),
                    normal(size=(2, width, 4)),
                    normal(size=(2, 4, width)),
                ),
                FeedForward(normal(size=(width, 6)), normal(size=6), normal(size=(6, width)), normal(size=width)),
            )
            for _ in range(blocks)
        ),
        normal(size=(width, symbols)),
        normal(size=symbols),
    )


def literal_forward(network: Transformer, sequence: list[int]) -> list[list[float]]:
    """The forward pass with scalar sums only."""
    width = network.width

    def times(vector: list[float], matrix: np.ndarray) -> list[float]:
        return [sum(vector[r] * float(matrix[r, c]) for r in range(len(vector))) for c in range(matrix.shape[1])]

    def soft(values: list[float]) -> list[float]:
        weights = [exp(v - max(values)) for v in values]
        return [w / sum(weights) for w in weights]

    hidden = [
        [float(network.token_embedding[x, d] + network.position_embedding[i, d]) for d in range(width)]
        for i, x in enumerate(sequence)
    ]
    for attention, layer in network.blocks:
        updated = [list(h) for h in hidden]
        for head in range(attention.query.shape[0]):
            queries = [times(h, attention.query[head]) for h in hidden]
            keys = [times(h, attention.key[head]) for h in hidden]
            values = [times(h, attention.value[head]) for h in hidden]
            for i, query in enumerate(queries):
                scale = sqrt(len(query))
                weights = soft([sum(a * b for a, b in zip(query, key, strict=True)) / scale for key in keys])
                mixed = [sum(w * v[c] for w, v in zip(weights, values, strict=True)) for c in range(len(values[0]))]
                for d, change in enumerate(times(mixed, attention.output[head])):
                    updated[i][d] += change
        hidden = []
        for h in updated:
            units = [max(u + float(b), 0.0) for u, b in zip(times(h, layer.weight_in), layer.bias_in, strict=True)]
            change = times(units, layer.weight_out)
            hidden.append([a + b + float(c) for a, b, c in zip(h, change, layer.bias_out, strict=True)])
    return [
        soft([u + float(b) for u, b in zip(times(h, network.unembedding), network.unembedding_bias, strict=True)])
        for h in hidden
    ]


def test_forward_pass_is_the_definition() -> None:
    network = random_transformer(1, 3, 2)
    tokens = np.array([[0, 1, 1], [1, 0, 1]])
    expected = [literal_forward(network, row.tolist()) for row in tokens]
    np.testing.assert_allclose(network(tokens), expected, rtol=1e-11, atol=1e-14)


def test_parameter_count_counts_every_weight() -> None:
    network = random_transformer(2, 3, 2, width=5, blocks=1)
    attention = 2 * (5 * 3 + 5 * 3 + 5 * 4 + 4 * 5)
    feed_forward = 5 * 6 + 6 + 6 * 5 + 5
    assert network.parameter_count == 2 * 5 + 3 * 5 + attention + feed_forward + 5 * 2 + 2


def test_any_weights_give_a_product_kernel() -> None:
    kernel = random_transformer(3, 3, 2).kernel()
    assert (kernel.sites, kernel.symbols, kernel.states) == (3, 2, 8)
    best = best_product_approximation(DenseOperator(kernel.to_matrix()), 3, 2)
    np.testing.assert_allclose(best.factors, kernel.factors, atol=1e-14)


@pytest.mark.parametrize("concentration", [0.1, 1.0, 20.0])
@pytest.mark.parametrize(("sites", "symbols"), [(1, 2), (2, 2), (4, 2), (6, 2), (2, 5), (3, 4)])
def test_construction_realises_the_kernel(sites: int, symbols: int, concentration: float) -> None:
    kernel = random_product_kernel(sites, symbols, np.random.default_rng(sites + symbols), concentration)
    network = transformer_for(kernel)
    realised = network.kernel()
    rows = [total_variation(a, b) for a, b in zip(realised.to_matrix(), kernel.to_matrix(), strict=True)]
    assert max(rows) < 1e-12
    assert network.parameter_count == transformer_parameters(sites, symbols)


def test_zero_probabilities_are_exact() -> None:
    # Deterministic moves: symbol i of the next sequence is symbol i+1 of the present one.
    sequences = np.stack(np.unravel_index(np.arange(27), (3, 3, 3)), axis=1)
    shift = ProductKernel(np.eye(3)[np.roll(sequences, -1, axis=1)])
    np.testing.assert_array_equal(transformer_for(shift).kernel().factors, shift.factors)
    # A mixture of zeros, subnormal and ordinary probabilities.
    factors = np.tile(np.array([[[0.0, 1.0]]]), (2, 1, 1))
    factors[1, 0] = [5e-324, 1.0]
    realised = transformer_for(ProductKernel(factors)).kernel().factors
    assert realised[0, 0, 0] == 0
    assert realised[1, 0, 0] == pytest.approx(5e-324, abs=1e-322)


def test_parallel_decoding_of_a_law() -> None:
    law = JointLaw.from_weights(np.random.default_rng(3).random((2, 2, 2, 2)))
    kernel = parallel_update(TableConditionals(law), (0, 2, 3))
    np.testing.assert_allclose(transformer_for(kernel).kernel().factors, kernel.factors, atol=1e-15)


@pytest.mark.parametrize("place", ["query", "weight_in", "weight_out"])
def test_a_wrong_weight_shows(place: str) -> None:
    kernel = random_product_kernel(3, 2, np.random.default_rng(8))
    network = transformer_for(kernel)
    attention, layer = network.blocks[0]
    if place == "query":
        attention = replace(attention, query=0 * attention.query)
    else:
        weights = getattr(layer, place).copy()
        # Unit 5 is (sequence 1, site 2); its first non-zero weight is changed.
        line = weights[:, 5] if place == "weight_in" else weights[5]
        line[np.flatnonzero(line)[0]] += 0.5
        layer = replace(layer, **{place: weights})
    wrong = replace(network, blocks=((attention, layer),)).kernel()
    assert np.abs(wrong.factors - kernel.factors).max() > 1e-3


def test_refusals() -> None:
    network = random_transformer(4, 3, 2)
    with pytest.raises(InvalidInput, match="tokens"):
        network(np.zeros((2, 4), dtype=np.int64))
    with pytest.raises(InvalidInput, match="tokens"):
        network(np.full((2, 3), 2))
    with pytest.raises(InvalidInput, match="position_embedding"):
        replace(network, position_embedding=np.zeros((3, 4)))
    with pytest.raises(InvalidInput, match="unembedding"):
        replace(network, unembedding=np.zeros((5, 3)))
    attention, layer = network.blocks[0]
    with pytest.raises(InvalidInput, match="key"):
        replace(network, blocks=((replace(attention, key=attention.key[:1]), layer),))
    with pytest.raises(InvalidInput, match="bias_in"):
        replace(network, blocks=((attention, replace(layer, bias_in=np.zeros(5))),))


def test_weights_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = random_product_kernel(6, 2, np.random.default_rng(0))
    monkeypatch.setattr("theory.memory.available_bytes", lambda: 8 * transformer_parameters(6, 2) - 1)
    monkeypatch.setattr("theory.memory.NEGLIGIBLE", 0)
    with pytest.raises(ExceedsMemory, match="weights"):
        transformer_for(kernel)
