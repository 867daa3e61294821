"""Opening a masked language model from a folder in the layout of transformers.

Nothing is fetched and no code of the folder is run: files are local, weights are safetensors or pickles of plain
tensors, and a checkpoint that lacks a part of its network is refused, because that part would be random. The special
tokens that frame a sequence come from the tokenizer, not from counting.

LLaDA's and Dream's own layouts are read by `simulators.masked_lm.layouts`.

Legend: ``B`` batch, ``L`` tokens, ``V`` vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.backend import UnusableBackend, installed_version
from simulators.masked_lm.alphabets import Alphabet
from simulators.masked_lm.masked_lm import BATCH_BYTES, MaskedLM
from theory.errors import InvalidInput
from theory.samplers.threads import thread_count

Ids = NDArray[np.int64]
Forward = Callable[[Any, Any], Any]
"""Token numbers and attention mask, [B, L] of torch -> logits [B, L, V]."""

INSTALL = "pip install 'gmlm-workbench[mlm]'"
PRECISIONS = ("float32", "float64", "bfloat16", "float16")
SMALL_NETWORK = 30_000_000
"""Parameters up to which a processor computes one batch a core rather than one batch with all cores."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True, eq=False)
class Opened:
    """A folder that was opened.

    Attributes:
        model: the adapter, its alphabet all tokens that are not special.
        module: the network of torch.
        tokenizer: of transformers.
        forward: ids and attention mask [B, L] of torch -> logits [B, L, V].
    """

    model: MaskedLM
    module: Any
    tokenizer: Any
    forward: Forward


def open_folder(folder: Path, *, device: str = "cpu", precision: str = "float32", rows_at_once: int = 64) -> Opened:
    """The network of a folder.

    Args:
        folder: ``config.json``, weights and a tokenizer; BERT, RoBERTa, DistilBERT, ESM-2, ModernBERT and other layouts
            that transformers' ``AutoModelForMaskedLM`` knows, LLaDA's or Dream's.
        device: as torch names it.
        precision: of weights and arithmetic; softmax is in float64 in any case.
        rows_at_once: largest batch; less where the vocabulary is large.

    Raises:
        UnusableBackend: torch or transformers are not installed.
        InvalidInput: no such folder, no model or tokenizer in it, a model that is not complete or needs code of its
            own, weights with code in them, a tokenizer without a mask, an unknown device or precision.
    """
    require_packages()
    import torch

    if precision not in PRECISIONS:
        raise InvalidInput("precision", precision, "one of " + ", ".join(PRECISIONS))
    config = _read_config(folder)
    try:
        place = torch.device(device)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInput("device", device, f"not usable: {_first_line(error)}") from None
    tokenizer = open_tokenizer(folder)
    if tokenizer.mask_token_id is None:
        raise InvalidInput("model", str(folder), "its tokenizer has no mask token: this is no masked language model")
    module, forward = load_network(folder, config)
    module.to(device=place, dtype=getattr(torch, precision)).eval()
    vocabulary = int(module.config.vocab_size)
    prefix, suffix = _frame(tokenizer)
    limit = _most_tokens(module.config, tokenizer)
    # Small networks gain nothing from threads within a product, and everything from batches side by side.
    threads = thread_count() if place.type == "cpu" and _size(module) <= SMALL_NETWORK else 1

    def predict(ids: Ids) -> Any:
        if threads > 1:
            torch.set_num_threads(1)
        tokens = torch.from_numpy(ids).to(place)
        with torch.inference_mode():
            return forward(tokens, torch.ones_like(tokens))

    batch = max(1, min(rows_at_once, BATCH_BYTES // (4 * vocabulary * min(limit or 512, 512))))
    model = MaskedLM(
        predict=predict,
        mask=int(tokenizer.mask_token_id),
        alphabet=_ordinary_tokens(tokenizer, vocabulary),
        prefix=prefix,
        suffix=suffix,
        longest=None if limit is None else limit - len(prefix) - len(suffix),
        rows_at_once=batch,
        identity=_identity(folder),
        precision=precision,
        encoder=_encoder(tokenizer),
        decoder=_decoder(tokenizer),
        speller=_speller(tokenizer),
        unknown=tokenizer.unk_token_id,
        threads=threads,
    )
    return Opened(model, module, tokenizer, forward)


def _size(module: Any) -> int:
    return sum(int(value.numel()) for value in module.parameters())


def require_packages() -> None:
    """Raise unless torch and transformers are there.

    Raises:
        UnusableBackend: says how to install them.
    """
    for package in ("torch", "transformers"):
        if installed_version(package) is None:
            raise UnusableBackend(package, "not installed", f"pretrained models need it: {INSTALL}")


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, from local files and without code of its own.

    Raises:
        InvalidInput: there is none that can be read.
    """
    from transformers import AutoTokenizer

    quiet()
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, ImportError, AttributeError) as error:
        raise InvalidInput("model", str(folder), f"no tokenizer can be read: {_first_line(error)}") from None


def load_network(folder: Path, config: dict[str, Any]) -> tuple[Any, Forward]:
    """The network of torch, and its forward pass.

    Raises:
        InvalidInput: weights that are missing, do not fit, or are more than tensors.
    """
    from simulators.masked_lm.layouts import LAYOUTS

    if not any((folder / name).exists() for name in WEIGHTS):
        raise InvalidInput("model", str(folder), "no weights: one of " + ", ".join(WEIGHTS))
    own = LAYOUTS.get(str(config.get("model_type", "")).lower())
    if own is not None:
        return own(folder, config)
    if "auto_map" in config and config.get("model_type") not in _known_types():
        raise InvalidInput("model", str(folder), "it needs code of its own, which is not run here")
    from transformers import AutoModelForMaskedLM

    quiet()
    try:
        network, report = AutoModelForMaskedLM.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except pickle.UnpicklingError:
        raise InvalidInput("model", str(folder), "its weights are a pickle with code in it, which is not run") from None
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        if "weights_only" in str(error) or "Unpickling" in str(error):
            text = "its weights are a pickle with code in it, which is not run"
        else:
            text = f"no masked language model can be read: {_first_line(error)}"
        raise InvalidInput("model", str(folder), text) from None
    require_complete(folder, sorted(report["missing_keys"]))
    if report.get("mismatched_keys"):
        raise InvalidInput("model", str(folder), f"weights of other shapes: {sorted(report['mismatched_keys'])[0]}")

    return network, lambda ids, attention: network(input_ids=ids, attention_mask=attention).logits


def require_complete(folder: Path, missing: list[str]) -> None:
    """Raise where weights are missing: they would be random.

    Raises:
        InvalidInput: names the first of them.
    """
    if missing:
        raise InvalidInput(
            "model",
            str(folder),
            f"{len(missing)} weights are not in its files and would be random, the first: {missing[0]}",
        )


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InvalidInput("model", str(folder), "no such folder")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InvalidInput("model", str(folder), "a folder with a config.json that can be read is needed") from None
    return dict(config)


def _known_types() -> set[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return set(CONFIG_MAPPING_NAMES)


def quiet() -> None:
    """No progress bars or advice of transformers: what matters is refused with an error."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _frame(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special tokens before and after a sequence, found with a mask in the middle."""
    mask = tokenizer.mask_token_id
    framed = (
        tokenizer.build_inputs_with_special_tokens([mask])
        if hasattr(tokenizer, "build_inputs_with_special_tokens")
        else tokenizer(tokenizer.mask_token)["input_ids"]
    )
    place = framed.index(mask)
    return tuple(framed[:place]), tuple(framed[place + 1 :])


def _most_tokens(settings: Any, tokenizer: Any) -> int | None:
    """Most tokens with the frame; None where positions have no end."""
    limit = getattr(settings, "max_position_embeddings", None)
    kind = getattr(settings, "model_type", "")
    if limit is not None and kind in {"roberta", "xlm-roberta", "camembert", "esm", "longformer", "mpnet"}:
        # Positions are counted from the padding token's number + 1.
        limit -= int(settings.pad_token_id or 0) + 1
        if kind == "esm" and getattr(settings, "position_embedding_type", "") == "rotary":
            limit = None
    if limit is None:
        return None
    return int(min(limit, tokenizer.model_max_length))


def _ordinary_tokens(tokenizer: Any, vocabulary: int) -> Alphabet:
    special = set(tokenizer.all_special_ids)
    entries = sorted((number, text) for text, number in tokenizer.get_vocab().items() if number not in special)
    entries = [(number, text) for number, text in entries if number < vocabulary]
    return Alphabet(tuple(text for _, text in entries), np.array([number for number, _ in entries]))


def _encoder(tokenizer: Any) -> Callable[[str], Ids]:
    """From text to tokens without the frame. Letters that are tokens by themselves may stand together."""

    def encode(text: str) -> Ids:
        if not text.strip():
            raise InvalidInput("sequence", text, "at least one token is needed")
        ids = _plain(text)
        unknown = tokenizer.unk_token_id
        vocabulary = tokenizer.get_vocab()
        letters = list(re.sub(r"\s", "", text.replace(tokenizer.mask_token, "\0")))
        by_letter = [tokenizer.mask_token_id if letter == "\0" else vocabulary.get(letter) for letter in letters]
        if unknown is not None and unknown in ids and all(number is not None for number in by_letter):
            ids = by_letter
        if unknown is not None and unknown in ids:
            raise InvalidInput("sequence", text, f"token {list(ids).index(unknown)} is not in the model's vocabulary")
        return np.array(ids, dtype=np.int64)

    def _plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    return encode


def _decoder(tokenizer: Any) -> Callable[[Ids], str]:
    def decode(ids: Ids) -> str:
        texts = tokenizer.convert_ids_to_tokens([int(number) for number in ids])
        if all(len(text) == 1 or number == tokenizer.mask_token_id for text, number in zip(texts, ids, strict=True)):
            return "".join(texts)
        return str(tokenizer.decode([int(number) for number in ids], skip_special_tokens=False))

    return decode


def _speller(tokenizer: Any) -> Callable[[str], list[int]]:
    """Tokens of one symbol: its own entry in the vocabulary if it has one, else what the tokenizer makes of it."""
    vocabulary = tokenizer.get_vocab()

    def tokens(symbol: str) -> list[int]:
        if symbol in vocabulary and vocabulary[symbol] not in tokenizer.all_special_ids:
            return [vocabulary[symbol]]
        return list(tokenizer(symbol, add_special_tokens=False, verbose=False)["input_ids"])

    return tokens


def _identity(folder: Path) -> str:
    """A hash of the configuration and of the weights."""
    digest = hashlib.sha256()
    names = ["config.json", *sorted(path.name for path in folder.glob("*.safetensors"))]
    if len(names) == 1:
        names += sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    for name in names:
        with (folder / name).open("rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    return digest.hexdigest()
