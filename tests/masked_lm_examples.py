"""Small masked language models for the tests: random checkpoints of five families, and Sapiens where it is at hand."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.laws.joint import JointLaw

VH = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKG"
    "RFTISRDNSKNTLYLQMNSLRAEDTAVYYCAKDRGYYDSSGYYWYFDLWGQGTLVTVSS"
)
SYMBOLS = "ACDEFGHIKLMNPQRSTVWY"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
FAMILIES = ("bert", "roberta", "distilbert", "esm", "modernbert")


def sapiens_file(name: str, folder: Path) -> Path:
    """One of Sapiens' files in a folder; skips the test, with the reason, where the package is not at hand."""
    from simulators.masked_lm.sapiens import published

    try:
        return published(name, folder)
    except InvalidInput as error:
        pytest.skip(str(error))


@cache
def sapiens_folder() -> Path:
    """A converted folder of the heavy chain's model, made once a process."""
    import tempfile

    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from simulators.masked_lm.sapiens import convert

    root = Path(tempfile.mkdtemp(prefix="sapiens-"))
    sapiens_file("dict.txt", root)
    convert(sapiens_file("checkpoint_vh.pt", root), root / "vh")
    return root / "vh"


def write_tokenizer(folder: Path, symbols: str = SYMBOLS, mask: bool = True) -> None:
    """One token a letter, framed by [CLS] and [SEP]."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing

    tokens = [*SPECIAL, *symbols]
    tokenizer = Tokenizer(WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Split(Regex(r"\S"), "isolated")
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.add_special_tokens([token for token in SPECIAL if mask or token != "[MASK]"])
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    if mask:
        names["mask_token"] = "[MASK]"
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 60, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def random_network(family: str, seed: int = 0) -> Any:
    """A small random network of a family; weights are large enough for tokens to matter to each other."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(seed)
    shared: dict[str, Any] = {"vocab_size": len(SPECIAL) + len(SYMBOLS), "pad_token_id": 0}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    if family == "bert":
        network = transformers.BertForMaskedLM(transformers.BertConfig(**shared, **sizes, max_position_embeddings=64))
    elif family == "roberta":
        config = transformers.RobertaConfig(**shared, **sizes, max_position_embeddings=64, type_vocab_size=1)
        network = transformers.RobertaForMaskedLM(config)
    elif family == "distilbert":
        config = transformers.DistilBertConfig(
            **shared, dim=32, n_layers=2, n_heads=4, hidden_dim=48, max_position_embeddings=64
        )
        network = transformers.DistilBertForMaskedLM(config)
    elif family == "esm":
        config = transformers.EsmConfig(
            **shared, **sizes, mask_token_id=4, position_embedding_type="rotary", token_dropout=True
        )
        network = transformers.EsmForMaskedLM(config)
    else:
        special = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        config = transformers.ModernBertConfig(**shared, **sizes, **special, max_position_embeddings=64)
        network = transformers.ModernBertForMaskedLM(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def save_folder(network: Any, folder: Path) -> Path:
    """The network with the tokenizer, as a folder."""
    network.save_pretrained(str(folder))
    write_tokenizer(folder)
    return folder


def joint_network(law: JointLaw, tilt: float = 0.0) -> Any:
    """A `predict` made from a joint law: exact probabilities given whatever is visible; mask q.

    A tilt multiplies the odds of symbol 1 against 0 at site 0, given symbol 1 at site 1, by e^tilt: the rectangles of
    these two sites and symbols then have log odds of exactly ``tilt``, whatever the law.
    """

    def predict(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.empty((*tokens.shape, law.symbols))
        for row, values in enumerate(tokens):
            weights = law.table
            for site, symbol in enumerate(values):
                if symbol < law.symbols:
                    weights = np.take(weights, [symbol], axis=site)
            for site in range(law.sites):
                alone = weights.sum(axis=tuple(axis for axis in range(law.sites) if axis != site))
                result[row, site] = 1 / law.symbols if alone.shape[0] == 1 else alone / alone.sum()
            if tilt and values[0] == law.symbols and values[1] == 1:
                result[row, 0, 1] *= np.exp(tilt)
                result[row, 0] /= result[row, 0].sum()
        return result

    return predict
