"""LLaDA's and Dream's own layouts, read by the field's Llama and Qwen2 networks made bidirectional.

Both are causal architectures that attend to everything: an all-true mask [B, 1, L, L] (true where a token is seen)
takes the place of the causal one. LLaDA names Llama's parts in its own way; Dream is Qwen2 whose prediction for a place
stands one place to the left of it, so that its logits are moved by one.

Neither could be tried with published weights here; small random checkpoints are compared with an independent forward
pass in the tests.

Legend: ``B`` batch, ``L`` tokens, ``V`` vocabulary.
Source: Nie et al., LLaDA (arXiv:2502.09992); Ye et al., Dream 7B (2025).
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from theory.errors import InvalidInput

Forward = Callable[[Any, Any], Any]
Opener = Callable[[Path, dict[str, Any]], tuple[Any, Forward]]

_LLADA_PARTS = (
    (r"^model\.transformer\.wte\.", "model.embed_tokens."),
    (r"^model\.transformer\.ln_f\.", "model.norm."),
    (r"^model\.transformer\.ff_out\.", "lm_head."),
    (r"^model\.transformer\.blocks\.(\d+)\.", r"model.layers.\1."),
    (r"\.([qkv])_proj\.", r".self_attn.\1_proj."),
    (r"\.attn_out\.", ".self_attn.o_proj."),
    (r"\.attn_norm\.", ".input_layernorm."),
    (r"\.ff_norm\.", ".post_attention_layernorm."),
    (r"\.ff_proj\.", ".mlp.gate_proj."),
    (r"\.up_proj\.", ".mlp.up_proj."),
    (r"\.ff_out\.", ".mlp.down_proj."),
)


def llada_name(name: str) -> str:
    """Llama's name of one of LLaDA's weights."""
    for pattern, replacement in _LLADA_PARTS:
        name = re.sub(pattern, replacement, name)
    return name


def open_llada(folder: Path, config: dict[str, Any]) -> tuple[Any, Forward]:
    """LLaDA's network and forward pass.

    Raises:
        InvalidInput: a configuration that is not LLaDA's, or weights that are missing or do not fit.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    try:
        settings = LlamaConfig(
            vocab_size=config.get("embedding_size") or config["vocab_size"],
            hidden_size=config["d_model"],
            num_hidden_layers=config["n_layers"],
            num_attention_heads=config["n_heads"],
            num_key_value_heads=config.get("n_kv_heads") or config["n_heads"],
            intermediate_size=config["mlp_hidden_size"],
            max_position_embeddings=config["max_sequence_length"],
            rms_norm_eps=config.get("rms_norm_eps", 1e-5),
            rope_parameters={"rope_type": "default", "rope_theta": config.get("rope_theta", 10000.0)},
            tie_word_embeddings=bool(config.get("weight_tying", False)),
        )
    except KeyError as error:
        raise InvalidInput("model", str(folder), f"LLaDA's config.json lacks {error}") from None
    network = LlamaForCausalLM(settings)
    _fill(folder, network, llada_name)
    return network, lambda ids, attention: _bidirectional(network, ids, attention)


def open_dream(folder: Path, config: dict[str, Any]) -> tuple[Any, Forward]:
    """Dream's network and forward pass: the logits of place i are those that Qwen2 gives at i - 1.

    Raises:
        InvalidInput: weights that are missing or do not fit.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    known = {name: value for name, value in config.items() if name not in {"auto_map", "architectures", "model_type"}}
    network = Qwen2ForCausalLM(Qwen2Config(**known))
    _fill(folder, network, lambda name: name)

    def forward(ids: Any, attention: Any) -> Any:
        logits = _bidirectional(network, ids, attention)
        return torch.cat([logits[:, :1], logits[:, :-1]], dim=1)

    return network, forward


LAYOUTS: dict[str, Opener] = {"llada": open_llada, "dream": open_dream}
"""Openers by the ``model_type`` of config.json, in lower case."""


def _bidirectional(network: Any, ids: Any, attention: Any) -> Any:
    seen = attention.bool()[:, None, None, :].expand(-1, 1, ids.shape[1], -1)
    return network(input_ids=ids, attention_mask=seen, use_cache=False).logits


def _fill(folder: Path, network: Any, rename: Callable[[str], str]) -> None:
    """Load a folder's weights into a network, all of them."""
    from simulators.masked_lm.folder import require_complete

    tensors = {rename(name): value for name, value in _tensors(folder).items()}
    try:
        missing, unexpected = network.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise InvalidInput("model", str(folder), f"weights of other shapes: {str(error).splitlines()[-1]}") from None
    tied = {"lm_head.weight"} if network.config.tie_word_embeddings else set()
    require_complete(folder, sorted(name for name in missing if name not in tied))
    if unexpected:
        raise InvalidInput("model", str(folder), f"weights that the layout does not have: {unexpected[0]}")
    network.tie_weights()


def _tensors(folder: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    if found:
        return found
    try:
        for path in sorted(folder.glob("pytorch_model*.bin")):
            found |= torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise InvalidInput("model", str(folder), "its weights are a pickle with code in it, which is not run") from None
    except Exception as error:  # torch's reader fails in any way at a file that is no checkpoint
        raise InvalidInput("model", str(folder), f"its weights cannot be read ({type(error).__name__})") from None
    return found
