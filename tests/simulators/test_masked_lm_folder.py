"""Opening folders: five families and two layouts against transformers' own forward pass; and what is refused."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.masked_lm_examples import (
    FAMILIES,
    SPECIAL,
    SYMBOLS,
    VH,
    random_network,
    sapiens_folder,
    save_folder,
    write_tokenizer,
)
from theory.errors import InvalidInput

torch = pytest.importorskip("torch", reason="pretrained models need torch")
pytest.importorskip("transformers", reason="pretrained models need transformers")

SEQUENCE = "ACDEFGHIKLMNPQRSTVWYACDA"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_folder(random_network(family), tmp_path_factory.mktemp(family)) for family in FAMILIES}


def masked_rows(length: int) -> np.ndarray:
    """Every place of a sequence masked, and some places twice."""
    ids = np.array([len(SPECIAL) + SYMBOLS.index(letter) for letter in SEQUENCE])
    rows = np.tile(ids, (length, 1))
    rows[np.arange(length), np.arange(length) % len(ids)] = SPECIAL.index("[MASK]")
    rows[np.arange(length), 5 * np.arange(length) % len(ids)] = SPECIAL.index("[MASK]")
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_laws_are_those_of_transformers_own_pass(family: str, folders: dict[str, Path]) -> None:
    """Batches of 1 and of 64, padded on the right or not: ln p within 1e-5."""
    from simulators.masked_lm import MaskedLM

    network = random_network(family)
    rows = masked_rows(64)
    framed = np.concatenate([np.full((64, 1), 2), rows, np.full((64, 1), 3)], axis=1)
    with torch.inference_mode():
        alone = np.concatenate(
            [
                network(input_ids=torch.from_numpy(row[None]), attention_mask=torch.ones(1, len(row))).logits
                for row in framed
            ]
        )
        padded = torch.from_numpy(np.concatenate([framed, np.zeros((64, 6), dtype=np.int64)], axis=1))
        beside = network(input_ids=padded, attention_mask=(padded != 0).long()).logits[:, : framed.shape[1]].numpy()
    columns = np.arange(len(SPECIAL), len(SPECIAL) + len(SYMBOLS))
    for size in (1, 64):
        model = MaskedLM.open(folders[family], rows_at_once=size)
        found = np.log(model.laws(rows, range(rows.shape[1]))[0])
        for logits in (alone, beside):
            inside = logits[:, 1:-1][:, :, columns].astype(np.float64)
            expected = inside - np.log(np.exp(inside).sum(axis=2, keepdims=True))
            assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_a_check_of_a_sound_folder_finds_no_dependence(family: str, folders: dict[str, Path]) -> None:
    from experiments.masked_lm.check import AGREES, check_record

    found = check_record(folders[family], SEQUENCE, alphabet=None, device="cpu")
    assert found["batch_difference"] <= AGREES
    assert found["padding_difference"] is None or found["padding_difference"] <= AGREES
    assert found["float32_difference"] <= 1e-4
    assert found["alphabet"] == SYMBOLS
    assert 0 < found["outside_mass"] <= found["outside_mass_largest"] < 1
    assert (found["model_type"], found["frame"]) == (family, [[2], [3]])


def test_text_goes_in_and_comes_out(folders: dict[str, Path]) -> None:
    from simulators.masked_lm import MaskedLM

    model = MaskedLM.open(folders["bert"])
    ids = model.encode("ACD[MASK]F")
    assert ids.tolist() == [5, 6, 7, 4, 9]
    assert model.show(ids[:3]) == "ACD"
    assert model.spell("AC").ids.tolist() == [5, 6]
    assert model.longest == 60 - 2
    with pytest.raises(InvalidInput, match="vocabulary"):
        model.encode("ABC")
    with pytest.raises(InvalidInput, match="at most 58"):
        model.encode("A" * 59)
    with pytest.raises(InvalidInput, match="one token; this is 2"):
        model.spell(["A", "CD"])
    with pytest.raises(InvalidInput, match="does not have"):
        model.spell(["A", "B"])
    with pytest.raises(InvalidInput, match="own"):
        model.spell(["A", "A"])


class Poison:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code of the file was run",))


def test_folders_that_cannot_be_trusted_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    from simulators.masked_lm import MaskedLM

    def copy(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path in folders["bert"].iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def refused(folder: Path, what: str) -> None:
        with pytest.raises(InvalidInput, match=what) as caught:
            MaskedLM.open(folder)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "nothing", "no such folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "config.json")
    headless = copy("headless")
    from safetensors.torch import load_file, save_file

    tensors = load_file(headless / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if "transform" not in name}
    assert len(kept) < len(tensors)
    save_file(kept, headless / "model.safetensors", metadata={"format": "pt"})
    refused(headless, "would be random")
    poisoned = copy("poisoned")
    (poisoned / "model.safetensors").unlink()
    (poisoned / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Poison()}, protocol=2))
    refused(poisoned, "code in it")
    weightless = copy("weightless")
    (weightless / "model.safetensors").unlink()
    refused(weightless, "no weights")
    remote = copy("remote")
    config = json.loads((remote / "config.json").read_text())
    (remote / "config.json").write_text(
        json.dumps({**config, "model_type": "mine", "auto_map": {"AutoModelForMaskedLM": "mine.Model"}})
    )
    refused(remote, r"code of its own|tokenizer")
    maskless = copy("maskless")
    write_tokenizer(maskless, mask=False)
    refused(maskless, "no mask token")
    with pytest.raises(InvalidInput, match="precision"):
        MaskedLM.open(folders["bert"], precision="int8")
    with pytest.raises(InvalidInput, match="device"):
        MaskedLM.open(folders["bert"], device="nowhere")


def small_llama(kind: str, folder: Path) -> Any:
    """A random causal network, written in LLaDA's or Dream's own layout; returns it in transformers' own."""
    import transformers
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sizes = {
        "vocab_size": len(SPECIAL) + len(SYMBOLS),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
    }
    if kind == "llada":
        network = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, rms_norm_eps=1e-5))
        places = [
            ("model.embed_tokens.", "model.transformer.wte."),
            ("model.norm.", "model.transformer.ln_f."),
            ("lm_head.", "model.transformer.ff_out."),
            ("model.layers.", "model.transformer.blocks."),
            ("self_attn.o_proj", "attn_out"),
            ("self_attn.", ""),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", "ff_norm"),
            ("mlp.gate_proj", "ff_proj"),
            ("mlp.up_proj", "up_proj"),
            ("mlp.down_proj", "ff_out"),
        ]
        config = {
            "model_type": "llada",
            "vocab_size": sizes["vocab_size"],
            "d_model": 32,
            "n_layers": 2,
            "n_heads": 4,
            "n_kv_heads": 2,
            "mlp_hidden_size": 48,
            "max_sequence_length": 64,
        }
    else:
        network = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**sizes))
        places, config = [], {"model_type": "Dream", **sizes}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    tensors = {}
    for name, value in network.state_dict().items():
        for ours, theirs in places:
            name = name.replace(ours, theirs)
        tensors[name] = value.clone()
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    write_tokenizer(folder)
    return network.eval()


@pytest.mark.parametrize("kind", ["llada", "dream"])
def test_bidirectional_layouts_see_both_sides(kind: str, tmp_path: Path) -> None:
    """Against attention written out here: no causal mask, and for Dream the prediction one place to the left."""
    from simulators.masked_lm import MaskedLM

    network = small_llama(kind, tmp_path / kind)
    model = MaskedLM.open(tmp_path / kind)
    rows = masked_rows(3)
    framed = np.concatenate([np.full((3, 1), 2), rows, np.full((3, 1), 3)], axis=1)
    logits = plain_pass(network, torch.from_numpy(framed)).numpy()
    if kind == "dream":
        logits = np.roll(logits, 1, axis=1)
    inside = logits[:, 1:-1, len(SPECIAL) :].astype(np.float64)
    expected = inside - np.log(np.exp(inside).sum(axis=2, keepdims=True))
    found = np.log(model.laws(rows, range(rows.shape[1]))[0])
    assert np.abs(found - expected).max() <= 1e-5
    changed = rows.copy()
    changed[:, -1] = 5 + (changed[:, -1] - 4) % len(SYMBOLS)
    moved = np.log(model.laws(changed, [0])[0])
    assert np.abs(moved - found[:, :1]).max() > 1e-4


def plain_pass(network: Any, ids: Any) -> Any:
    """The network layer by layer with softmax attention over all places."""
    config = network.config
    heads, groups, width = config.num_attention_heads, config.num_key_value_heads, config.hidden_size
    size = width // heads
    place = torch.arange(ids.shape[1])
    angles = place[:, None] * 10000.0 ** (-torch.arange(0, size, 2) / size)
    cos, sin = (torch.cat([f(angles), f(angles)], dim=1) for f in (torch.cos, torch.sin))

    def turned(values: Any) -> Any:
        half = size // 2
        return values * cos + torch.cat([-values[..., half:], values[..., :half]], dim=-1) * sin

    def norm(layer: Any, values: Any) -> Any:
        return layer.weight * values / (values.pow(2).mean(dim=-1, keepdim=True) + layer.variance_epsilon).sqrt()

    with torch.no_grad():
        hidden = network.model.embed_tokens(ids)
        for layer in network.model.layers:
            inner, attention = norm(layer.input_layernorm, hidden), layer.self_attn

            def split(projected: Any, count: int) -> Any:
                return projected.reshape(*projected.shape[:2], count, size).transpose(1, 2)

            query, key = turned(split(attention.q_proj(inner), heads)), turned(split(attention.k_proj(inner), groups))
            value = split(attention.v_proj(inner), groups)
            key, value = (part.repeat_interleave(heads // groups, dim=1) for part in (key, value))
            weights = torch.softmax(query @ key.transpose(2, 3) / size**0.5, dim=-1)
            mixed = (weights @ value).transpose(1, 2).reshape(*hidden.shape[:2], width)
            hidden = hidden + attention.o_proj(mixed)
            inner = norm(layer.post_attention_layernorm, hidden)
            gated = torch.nn.functional.silu(layer.mlp.gate_proj(inner)) * layer.mlp.up_proj(inner)
            hidden = hidden + layer.mlp.down_proj(gated)
        return network.lm_head(norm(network.model.norm, hidden))


def test_published_layouts_with_missing_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from simulators.masked_lm import MaskedLM

    small_llama("llada", tmp_path / "llada")
    path = tmp_path / "llada" / "model.safetensors"
    tensors = load_file(path)
    tensors.pop("model.transformer.ff_out.weight")
    save_file(tensors, path)
    with pytest.raises(InvalidInput, match=re.escape("lm_head.weight")):
        MaskedLM.open(tmp_path / "llada")


def test_sapiens_is_what_was_published() -> None:
    """Parameters, tokens, longest sequence, masked top-1 and the mass outside the amino acids."""
    from experiments.masked_lm.check import check_record

    found = check_record(sapiens_folder(), VH, alphabet=None, device="cpu")
    assert (found["parameters"], found["vocabulary"], found["longest"]) == (568_985, 25, 142)
    assert round(found["masked_top1"], 3) == 0.968
    assert 0.015 < found["outside_mass"] < 0.025
    assert found["outside_mass_largest"] < 0.05
    assert found["float32_difference"] <= 1.2e-5
    assert found["batch_difference"] <= 1e-4
    assert found["padding_difference"] <= 1e-4


def test_checkpoints_that_are_none_are_refused(tmp_path: Path) -> None:
    from simulators.masked_lm.sapiens import convert

    with pytest.raises(InvalidInput, match="no such file"):
        convert(tmp_path / "checkpoint.pt", tmp_path / "out")
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(pickle.dumps({"args": Poison(), "model": {}}, protocol=2))
    with pytest.raises(InvalidInput, match="code in it"):
        convert(path, tmp_path / "out")
    torch.save({"args": 1}, path)
    with pytest.raises(InvalidInput, match="args"):
        convert(path, tmp_path / "out")
    torch.save({"args": 1, "model": {}}, path)
    with pytest.raises(InvalidInput, match=r"dict\.txt"):
        convert(path, tmp_path / "out")
    (tmp_path / "dict.txt").write_text("A 1\n")
    with pytest.raises(InvalidInput, match="no RoBERTa"):
        convert(path, tmp_path / "out")
