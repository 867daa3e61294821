"""Networks from configurations, and configurations from plain data.

Initial values: matrices of linear layers are N(0, 1/fan-in), embeddings N(0, 1/width), scales of norms 1, everything
else 0. They come from NumPy, so that they are the same under every version of JAX.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from simulators.gmlm.energy import PairwiseConfig, PairwiseNetwork
from simulators.gmlm.networks import MLP, MaskedNetwork, MLPConfig
from simulators.gmlm.transformer import Transformer, TransformerConfig
from theory.errors import InvalidInput

NetworkConfig = TransformerConfig | MLPConfig | PairwiseConfig

KINDS: dict[str, tuple[type[Any], type[Any]]] = {
    "transformer": (TransformerConfig, Transformer),
    "mlp": (MLPConfig, MLP),
    "pairwise": (PairwiseConfig, PairwiseNetwork),
}
"""Name -> configuration and network."""


def build(config: NetworkConfig, seed: int = 0) -> MaskedNetwork:
    """The untrained network; its parameters are a function of ``config`` and ``seed``."""
    graph, shapes = _form(config)
    generator = np.random.default_rng(seed)

    def initial(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if ".kernel" in name:
            values = generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[0])
        elif ".embedding" in name:
            values = generator.normal(size=leaf.shape) / np.sqrt(leaf.shape[1])
        else:
            values = np.full(leaf.shape, 1.0 if ".scale" in name else 0.0)
        # Rounded by NumPy: JAX would compile a conversion for every shape.
        return jnp.asarray(values.astype(leaf.dtype), dtype=leaf.dtype)

    result: MaskedNetwork = nnx.merge(graph, jax.tree_util.tree_map_with_path(initial, shapes))
    return result


@lru_cache(maxsize=16)
def _form(config: NetworkConfig) -> tuple[nnx.GraphDef[MaskedNetwork], nnx.State]:
    """Structure and shapes; drawing each array by its own compiled function would take seconds."""
    _, network = KINDS[kind_of(config)]
    graph, shapes = nnx.split(nnx.eval_shape(lambda: network(config, nnx.Rngs(0))))
    return graph, shapes


def kind_of(config: NetworkConfig) -> str:
    """The name of the configuration's kind in `KINDS`."""
    return next(name for name, (kind, _) in KINDS.items() if isinstance(config, kind))


def config_to_plain(config: NetworkConfig) -> dict[str, Any]:
    """Plain data from which `config_from_plain` makes the configuration again."""
    return {"kind": kind_of(config), **dataclasses.asdict(config)}


def config_from_plain(data: dict[str, Any]) -> NetworkConfig:
    """Inverse of `config_to_plain`.

    Raises:
        InvalidInput: an unknown kind, or fields that the kind does not have.
    """
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise InvalidInput("kind", kind, "one of " + ", ".join(KINDS))
    try:
        config: NetworkConfig = KINDS[kind][0](**fields)
    except TypeError as error:
        raise InvalidInput("network", fields, f"not a configuration of kind {kind} ({error})") from None
    return config
