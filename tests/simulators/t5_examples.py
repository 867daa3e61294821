"""Small random T5 networks and checkpoints shared by the tests."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.typing import ArrayLike, NDArray

from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5

SIZES = {"vocab_size": 700, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}

KINDS = ("v1.1", "mT5", "tied", "v1.0", "tied without scale")


def small_config(**options: Any) -> T5Config:
    """One layer each, as compiling is what these tests spend their time on; the oracle's networks have two."""
    return T5Config(**({**SIZES, "num_layers": 1, "num_decoder_layers": 1, "max_target_length": 40} | options))


@functools.partial(jax.jit, static_argnums=0)
def _full_logits(graph: nnx.GraphDef[T5], state: nnx.State, source: jax.Array, inputs: jax.Array) -> jax.Array:
    network = nnx.merge(graph, state)
    return network.logits(network.decode(inputs, network.encode(source)))


def full_logits(network: T5, source: ArrayLike, inputs: ArrayLike) -> NDArray[np.float32]:
    """Logits [B, L, V] by one whole pass over padded sources [B, S] and decoder inputs [B, L]."""
    graph, state = nnx.split(network, nnx.Param)
    return np.asarray(_full_logits(graph, state, jnp.asarray(source), jnp.asarray(inputs)))


def log_law(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """ln softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def refinement_network(seed: int = 0, **options: Any) -> T5:
    """Random weights with a large output layer, so that predictions differ between positions and steps."""
    network = T5(small_config(decoder="refinement", **options), nnx.Rngs(seed))
    scale_output(network, 5)
    return network


def scale_output(network: T5, factor: float) -> None:
    """Multiply an untied output layer: larger logits are further apart."""
    assert network.lm_head is not None
    network.lm_head[...] = network.lm_head[...] * factor


def sentences(count: int, seed: int = 0, longest: int = 17, vocabulary: int = 700) -> NDArray[np.int64]:
    """Source ids [count, longest] of random lengths, EOS at the end, padded."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, vocabulary, (count, longest))
    lengths = rng.integers(2, longest + 1, count)
    lengths[0] = longest
    position = np.arange(longest)[None]
    ids = np.where(position == lengths[:, None] - 1, 1, ids)
    return np.where(position < lengths[:, None], ids, 0)


def torch_network(kind: str, seed: int = 0) -> Any:
    """A random network of `transformers`, of one of `KINDS`."""
    torch = pytest.importorskip("torch", reason="the oracle, transformers' T5, needs torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is transformers' T5")
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    gate = "relu" if kind == "v1.0" else "gated-gelu"
    if kind == "mT5":
        config = transformers.MT5Config(**SIZES, feed_forward_proj=gate, decoder_start_token_id=0)
        network = transformers.MT5ForConditionalGeneration(config)
    else:
        scaled = kind in ("v1.0", "tied")
        config = transformers.T5Config(
            **SIZES, feed_forward_proj=gate, decoder_start_token_id=0, tie_word_embeddings=scaled
        )
        network = transformers.T5ForConditionalGeneration(config)
    if kind in ("v1.1", "mT5"):
        network.lm_head.weight = torch.nn.Parameter(torch.randn(SIZES["vocab_size"], SIZES["d_model"]))
        network.config.tie_word_embeddings = False
    with torch.no_grad():
        for stack in (network.encoder, network.decoder):
            for block in stack.block:
                # Initial attention is nearly uniform and would hide a wrong bias or mask.
                block.layer[0].SelfAttention.q.weight.mul_(4)
            stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.mul_(4)
            for name, parameter in stack.named_parameters():
                if "layer_norm" in name:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    # Padding follows EOS in every output, also of beam search.
    network.generation_config.pad_token_id = 0
    return network.eval()


def save_torch(network: Any, folder: Path, **options: Any) -> Path:
    """Save as a user of `transformers` would."""
    network.save_pretrained(folder, **options)
    return folder
