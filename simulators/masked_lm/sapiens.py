"""From Sapiens' published checkpoints, antibody models in fairseq's RoBERTa layout, to a folder of transformers.

The checkpoint holds tensors and one ``argparse.Namespace`` of settings, the only class that is let through; the symbols
are in ``dict.txt`` beside it. Names map one to one; token types, which fairseq's RoBERTa lacks, are zeros.

Source: Prihoda et al., "BioPhi", mAbs 14 (2022); Liu et al., RoBERTa (arXiv:1907.11692).
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from simulators.masked_lm.folder import quiet, require_packages
from theory.errors import InvalidInput
from theory.files import write_atomically

VARIABLE = "GMLM_SAPIENS"
"""Environment variable that says where the published checkpoints are."""
FRAME = ("<s>", "<pad>", "</s>", "<unk>")
"""What fairseq puts before the symbols of a dictionary; ``<mask>`` comes after them."""

_RENAMED = (
    (r"^decoder\.sentence_encoder\.", "roberta."),
    (r"^encoder\.sentence_encoder\.", "roberta."),
    (r"embed_tokens\.weight", "embeddings.word_embeddings.weight"),
    (r"embed_positions\.weight", "embeddings.position_embeddings.weight"),
    (r"emb_layer_norm\.", "embeddings.LayerNorm."),
    (r"roberta\.layers\.", "roberta.encoder.layer."),
    (r"self_attn\.q_proj\.", "attention.self.query."),
    (r"self_attn\.k_proj\.", "attention.self.key."),
    (r"self_attn\.v_proj\.", "attention.self.value."),
    (r"self_attn\.out_proj\.", "attention.output.dense."),
    (r"self_attn_layer_norm\.", "attention.output.LayerNorm."),
    (r"fc1\.", "intermediate.dense."),
    (r"fc2\.", "output.dense."),
    (r"final_layer_norm\.", "output.LayerNorm."),
    (r"^(de|en)coder\.lm_head\.weight$", "lm_head.decoder.weight"),
    (r"^(de|en)coder\.lm_head\.", "lm_head."),
)


def convert(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Write the folder of a checkpoint.

    Args:
        checkpoint: ``checkpoint_vh.pt`` or ``checkpoint_vl.pt``, with ``dict.txt`` beside it.
        folder: must not hold a model yet.

    Returns:
        Sizes of what was written: parameters, tokens, layers, width, longest sequence.

    Raises:
        UnusableBackend: torch or transformers are not installed.
        InvalidInput: a file that is missing, holds code, or is no RoBERTa of fairseq; a folder that holds a model.
    """
    require_packages()
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM

    quiet()
    if (folder / "config.json").exists():
        raise InvalidInput("folder", str(folder), "there is a model already")
    settings, tensors = _read(checkpoint)
    symbols = _symbols(checkpoint.parent / "dict.txt")
    tokens = [*FRAME, *symbols, "<mask>"]
    try:
        rows, width = tensors["decoder.sentence_encoder.embed_tokens.weight"].shape
        config = RobertaConfig(
            vocab_size=rows,
            hidden_size=width,
            num_hidden_layers=int(settings.encoder_layers),
            num_attention_heads=int(settings.encoder_attention_heads),
            intermediate_size=int(settings.encoder_ffn_embed_dim),
            hidden_act=str(settings.activation_fn),
            max_position_embeddings=tensors["decoder.sentence_encoder.embed_positions.weight"].shape[0],
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            bos_token_id=0,
            pad_token_id=1,
            eos_token_id=2,
        )
    except (KeyError, AttributeError) as error:
        raise InvalidInput("checkpoint", str(checkpoint), f"no RoBERTa of fairseq: {error} is missing") from None
    if rows != len(tokens):
        raise InvalidInput("checkpoint", str(checkpoint), f"{rows} tokens, but dict.txt makes {len(tokens)}")
    network = RobertaForMaskedLM(config)
    renamed = {_rename(name): value for name, value in tensors.items()}
    renamed["roberta.embeddings.token_type_embeddings.weight"] = torch.zeros(1, width)
    missing, unexpected = network.load_state_dict(renamed, strict=False)
    # The head's bias has two names in transformers, and positions are numbered by a buffer.
    missing = [name for name in missing if name not in {"lm_head.decoder.bias"}]
    if missing or unexpected:
        raise InvalidInput("checkpoint", str(checkpoint), f"weights do not fit: {(missing + list(unexpected))[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    network.save_pretrained(str(folder))
    _write_tokenizer(folder, tokens, config.max_position_embeddings - 2)
    return {
        "parameters": sum(int(value.numel()) for value in network.parameters()),
        "tokens": len(tokens),
        "layers": config.num_hidden_layers,
        "width": int(width),
        "longest": config.max_position_embeddings - 4,
    }


def _read(checkpoint: Path) -> tuple[argparse.Namespace, dict[str, Any]]:
    import torch

    if not checkpoint.is_file():
        raise InvalidInput("checkpoint", str(checkpoint), "no such file")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(checkpoint, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        raise InvalidInput("checkpoint", str(checkpoint), "a pickle with code in it, which is not run") from None
    except Exception as error:  # torch's reader fails in any way at a file that is no checkpoint
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidInput("checkpoint", str(checkpoint), f"cannot be read: {text}") from None
    if not isinstance(found, dict) or not {"args", "model"} <= set(found):
        raise InvalidInput("checkpoint", str(checkpoint), "a checkpoint of fairseq holds `args` and `model`")
    return found["args"], found["model"]


def _symbols(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise InvalidInput("dict.txt", str(path), "a text file beside the checkpoint is needed") from None
    return [line.rpartition(" ")[0] for line in lines if line.strip()]


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def _write_tokenizer(folder: Path, tokens: list[str], longest: int) -> None:
    """One token a letter, framed by ``<s>`` and ``</s>``."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex(r"\S"), "isolated")
    tokenizer.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens([*FRAME, "<mask>"])
    write_atomically(folder / "tokenizer.json", tokenizer.to_str())
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
        "model_max_length": longest,
    }
    write_atomically(folder / "tokenizer_config.json", json.dumps(settings, indent=1) + "\n")


def published(name: str, folder: Path) -> Path:
    """A copy in ``folder`` of one of the files that sapiens 1.0.5 ships: ``checkpoint_vh.pt``, ``dict.txt``...

    The environment variable GMLM_SAPIENS names its wheel or the folder of its checkpoints; otherwise an installed
    package is looked for. Later versions of the package ship none.

    Raises:
        InvalidInput: it is nowhere to be found.
    """
    inside = f"sapiens/models/v1/{name}"
    named = os.environ.get(VARIABLE, "")
    if named.endswith(".whl") and Path(named).is_file():
        with zipfile.ZipFile(named) as wheel:
            write_atomically(folder / name, wheel.read(inside))
        return folder / name
    spec = None if named else find_spec("sapiens")
    roots = [Path(named)] if named else [Path(spec.origin).parent / "models" / "v1"] if spec and spec.origin else []
    for root in roots:
        for place in (root / name, root / "models" / "v1" / name, root / inside):
            if place.is_file():
                write_atomically(folder / name, place.read_bytes())
                return folder / name
    raise InvalidInput(
        VARIABLE,
        named or "not set",
        "the wheel of sapiens 1.0.5 or the folder of its checkpoints (pip download --no-deps sapiens==1.0.5)",
    )
