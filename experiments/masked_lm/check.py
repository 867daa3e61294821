"""What a folder holds, and whether its numbers can be trusted: before anything is computed from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.masked_lm.inputs import SMALL_VOCABULARY
from simulators.masked_lm import Alphabet, MaskedLM
from simulators.masked_lm.alphabets import AMINO_ACIDS
from simulators.masked_lm.folder import Opened, open_folder

BATCH = 64
"""Batch that is compared with single rows."""
PADDING = 7
"""Tokens of padding that are put to the right of every row."""
AGREES = 1e-4
"""Largest |d ln p| between batches, or with padding, that is rounding of float32 and not a dependence."""


def check_record(folder: Path, sequence: str, *, alphabet: Alphabet | None, device: str) -> dict[str, Any]:
    """Facts about a model, as plain data.

    Args:
        folder: in the layout of transformers.
        sequence: a sequence of the kind that the model was made for.
        alphabet: the symbols whose mass is looked at; by default the amino acids of a protein model, else all tokens
            that are not special.
        device: as torch names it.
    """
    opened = open_folder(folder, device=device)
    model = opened.model
    if alphabet is None and model.alphabet.size < SMALL_VOCABULARY:
        alphabet = model.spell(AMINO_ACIDS)
    model = model if alphabet is None else model.with_alphabet(alphabet)
    ids = model.encode(sequence)
    rows = np.tile(ids, (len(ids), 1))
    np.fill_diagonal(rows, model.mask)
    laws, outside = own_laws(model, rows)
    inside = np.isin(ids, model.alphabet.ids)
    hits = model.alphabet.ids[laws.argmax(axis=1)] == ids
    double = open_folder(folder, device=device, precision="float64").model.with_alphabet(model.alphabet)
    few = _spread(len(ids), BATCH)
    single = np.concatenate([own_laws(model, rows[i : i + 1], [i])[0] for i in few])
    # Up to a full batch of rows of one length, whatever the length of the sequence.
    many = own_laws(model, rows[np.resize(few, BATCH)], np.resize(few, BATCH).tolist())[0][: len(few)]
    return {
        "folder": str(folder),
        "class": type(opened.module).__name__,
        "model_type": opened.module.config.model_type,
        "parameters": sum(int(value.numel()) for value in opened.module.parameters()),
        "vocabulary": int(opened.module.config.vocab_size),
        "alphabet": "".join(model.alphabet.symbols) if model.alphabet.size <= 40 else f"{model.alphabet.size} tokens",
        "mask": opened.tokenizer.mask_token,
        "frame": [list(model.prefix), list(model.suffix)],
        "longest": model.longest,
        "identity": model.identity,
        "tokens": len(ids),
        "masked_top1": float(hits[inside].mean()) if inside.any() else None,
        "outside_mass": float(outside.mean()),
        "outside_mass_largest": float(outside.max()),
        "float32_difference": _largest(laws[few], own_laws(double, rows[few], few)[0]),
        "batch_difference": _largest(single, many),
        "padding_difference": padding_difference(opened, rows[few], few, model.alphabet),
    }


def own_laws(model: MaskedLM, rows: Any, places: list[int] | None = None) -> tuple[Any, Any]:
    """The law of each row's own masked place, [B, q], and the mass outside, [B]."""
    chosen = list(range(len(rows))) if places is None else places
    laws, outside = [], []
    for first in range(0, len(rows), model.rows_at_once):
        part = chosen[first : first + model.rows_at_once]
        found, left = model.laws(rows[first : first + model.rows_at_once], part)
        own = np.arange(len(part))
        laws.append(found[own, own])
        outside.append(left[own, own])
    return np.concatenate(laws), np.concatenate(outside)


def padding_difference(opened: Opened, rows: Any, places: list[int], alphabet: Alphabet) -> float | None:
    """Largest |d ln p| when rows are padded on the right under an attention mask; None without a padding token."""
    import torch

    pad = opened.tokenizer.pad_token_id
    model = opened.model
    if pad is None or (model.longest is not None and rows.shape[1] + PADDING > model.longest):
        return None
    left, right = np.array(model.prefix, dtype=np.int64), np.array(model.suffix, dtype=np.int64)
    framed = np.stack([np.concatenate([left, row, right]) for row in rows])
    padded = np.concatenate([framed, np.full((len(framed), PADDING), pad)], axis=1)
    results = []
    for ids, kept in ((framed, framed.shape[1]), (padded, framed.shape[1])):
        tokens = torch.from_numpy(ids).to(next(opened.module.parameters()).device)
        attention = torch.zeros_like(tokens)
        attention[:, :kept] = 1
        with torch.inference_mode():
            logits = opened.forward(tokens, attention).double().cpu().numpy()
        own = logits[np.arange(len(ids)), len(left) + np.array(places)][:, alphabet.ids]
        results.append(np.exp(own - own.max(axis=1, keepdims=True)))
    first, second = (values / values.sum(axis=1, keepdims=True) for values in results)
    return _largest(first, second)


def _largest(left: Any, right: Any) -> float:
    tiny = np.finfo(np.float64).tiny
    return float(np.abs(np.log(np.maximum(left, tiny)) - np.log(np.maximum(right, tiny))).max())


def _spread(length: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, min(most, length)).round().astype(int)).tolist()
