"""Checkpoints and networks against transformers' T5 in torch, float32."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from simulators.t5.files.checkpoints import adapt, load_checkpoint, save_checkpoint
from simulators.t5.network.attention import relative_buckets
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5, fresh_network
from tests.simulators.t5_examples import (
    KINDS,
    full_logits,
    refinement_network,
    save_torch,
    sentences,
    small_config,
    torch_network,
)
from theory.errors import ExceedsMemory, InvalidInput


def reload(folder: Path, kind: str) -> Any:
    transformers = pytest.importorskip("transformers", reason="the oracle is transformers' T5")
    loader = transformers.MT5ForConditionalGeneration if kind == "mT5" else transformers.T5ForConditionalGeneration
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return loader.from_pretrained(folder, attn_implementation="eager").eval()


def torch_outputs(network: Any, source: np.ndarray, target: np.ndarray) -> Any:
    import torch

    with torch.no_grad():
        return network(
            input_ids=torch.tensor(source),
            attention_mask=torch.tensor(source != 0),
            decoder_input_ids=torch.tensor(target),
            output_attentions=True,
        )


def parameters(network: T5) -> dict[Any, np.ndarray]:
    return {path: np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(network, nnx.Param))}


@pytest.mark.parametrize("kind", KINDS)
def test_states_logits_and_attention_equal_transformers_and_survive_a_round_trip(kind: str, tmp_path: Path) -> None:
    oracle = torch_network(kind)
    oracle.set_attn_implementation("eager")
    network = load_checkpoint(save_torch(oracle, tmp_path / "theirs"))
    assert network.config.tied == (kind not in ("v1.1", "mT5"))
    # Longer than the largest distance of the position buckets, with padding.
    source = sentences(3, longest=150)
    target = np.random.default_rng(1).integers(3, 700, (3, 140))
    expected = torch_outputs(oracle, source, target)
    encoded, weights = network.encode_with_attention(jnp.asarray(source))
    states, attention = network.decode_with_attention(jnp.asarray(target), encoded)
    tokens = source != 0
    np.testing.assert_allclose(
        np.asarray(encoded.states)[tokens], expected.encoder_last_hidden_state.numpy()[tokens], atol=1e-4
    )
    np.testing.assert_allclose(network.logits(states), expected.logits.numpy(), atol=1e-4)
    for layer in range(2):
        rows = tokens[:, None, :, None]
        theirs = expected.encoder_attentions[layer].numpy()
        np.testing.assert_allclose(np.asarray(weights[layer]) * rows, theirs * rows, atol=1e-5)
        np.testing.assert_allclose(attention.own[layer], expected.decoder_attentions[layer].numpy(), atol=1e-5)
        np.testing.assert_allclose(attention.cross[layer], expected.cross_attentions[layer].numpy(), atol=1e-5)
    save_checkpoint(network, tmp_path / "ours")
    again = torch_outputs(reload(tmp_path / "ours", kind), source, target)
    np.testing.assert_array_equal(again.logits.numpy(), expected.logits.numpy())


USELESS = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
PUBLISHED: dict[str, tuple[str, Any, tuple[str, ...]]] = {
    # As converted from T5X: the embedding under the decoder's name, or under those of both stacks.
    "T5X": ("v1.1", lambda shared: {"decoder.embed_tokens.weight": shared}, ("shared.weight",)),
    "T5X, both stacks": (
        "v1.1",
        lambda shared: {"decoder.embed_tokens.weight": shared, "encoder.embed_tokens.weight": shared},
        ("shared.weight",),
    ),
    # As t5-small and t5-base: a table of biases that nothing reads.
    "v1.0": ("v1.0", lambda shared: {USELESS: np.ones((32, 4), np.float32)}, ()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", PUBLISHED)
def test_published_layouts_load_like_transformers(layout: str, tmp_path: Path) -> None:
    kind, add, remove = PUBLISHED[layout]
    save_torch(torch_network(kind), tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors |= add(tensors["shared.weight"])
    for name in remove:
        del tensors[name]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if kind == "v1.0":
        # What their config.json leaves out.
        values = json.loads((tmp_path / "config.json").read_text())
        left_out = ("feed_forward_proj", "is_gated_act", "dense_act_fn", "tie_word_embeddings", "num_decoder_layers")
        kept = {name: value for name, value in values.items() if name not in (*left_out, "scale_decoder_outputs")}
        (tmp_path / "config.json").write_text(json.dumps(kept))
    source, target = sentences(3), np.random.default_rng(1).integers(3, 700, (3, 9))
    expected = torch_outputs(reload(tmp_path, kind), source, target).logits.numpy()
    network = load_checkpoint(tmp_path)
    assert network.config.tied == (kind == "v1.0")
    np.testing.assert_allclose(full_logits(network, source, target), expected, atol=1e-4)
    assert np.abs(expected).max() > 1
    save_checkpoint(network, tmp_path / "ours")
    again = torch_outputs(reload(tmp_path / "ours", kind), source, target).logits.numpy()
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_copies_of_the_embedding_must_agree(tmp_path: Path) -> None:
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), tmp_path)
    shared = load_file(tmp_path / "model.safetensors")["shared.weight"]
    break_tensors(tmp_path, **{"decoder.embed_tokens.weight": shared})
    load_checkpoint(tmp_path)
    break_tensors(tmp_path, **{"decoder.embed_tokens.weight": shared + 1})
    with pytest.raises(InvalidInput, match=r"embed_tokens\.weight differs from another copy"):
        load_checkpoint(tmp_path)


def test_the_first_token_is_that_of_the_generation_config(tmp_path: Path) -> None:
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), tmp_path)
    for written, expected in (({}, 0), ({"decoder_start_token_id": 7}, 7), ({"decoder_start_token_id": [9]}, 9)):
        (tmp_path / "generation_config.json").write_text(json.dumps(written))
        assert load_checkpoint(tmp_path).config.decoder_start_token_id == expected
    (tmp_path / "generation_config.json").write_text('{"decoder_start_token_id": "x"}')
    with pytest.raises(InvalidInput, match="decoder_start_token_id = x"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "longest"), [(32, 128), (8, 20), (64, 256)])
def test_buckets_equal_transformers(bidirectional: bool, buckets: int, longest: int) -> None:
    offsets = np.arange(-3 * longest, 3 * longest + 1)
    torch = pytest.importorskip("torch", reason="the oracle, transformers' T5, needs torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is transformers' T5")
    attention = transformers.models.t5.modeling_t5.T5Attention
    expected = attention._relative_position_bucket(torch.tensor(offsets), bidirectional, buckets, longest)
    np.testing.assert_array_equal(relative_buckets(offsets, bidirectional, buckets, longest), expected.numpy())


def test_shards_are_read_and_written(tmp_path: Path) -> None:
    oracle = torch_network("v1.1")
    whole = load_checkpoint(save_torch(oracle, tmp_path / "one"))
    parts = load_checkpoint(save_torch(oracle, tmp_path / "many", max_shard_size="60KB"))
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    save_checkpoint(whole, tmp_path / "ours", max_shard_bytes=60_000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 2
    mine = load_checkpoint(tmp_path / "ours")
    for path, value in parameters(whole).items():
        np.testing.assert_array_equal(parameters(parts)[path], value)
        np.testing.assert_array_equal(parameters(mine)[path], value)
    theirs = reload(tmp_path / "ours", "v1.1").state_dict()
    for name, value in oracle.state_dict().items():
        np.testing.assert_array_equal(theirs[name].numpy(), value.numpy())
    # Overwriting by one file leaves no shard behind that could be taken for the weights.
    save_checkpoint(whole, tmp_path / "ours")
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == ["config.json", "model.safetensors"]


def test_bfloat16_is_read(tmp_path: Path) -> None:
    oracle = torch_network("v1.1").bfloat16()
    network = load_checkpoint(save_torch(oracle, tmp_path))
    np.testing.assert_array_equal(network.shared[...], oracle.shared.weight.float().detach().numpy())


def test_a_refinement_network_survives_a_round_trip(tmp_path: Path) -> None:
    network = refinement_network(
        learned_rejecter=True, positional_attention=True, range_masks=True, length_predictor="fertility"
    )
    save_checkpoint(network, tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert loaded.config == network.config
    for path, value in parameters(network).items():
        np.testing.assert_array_equal(parameters(loaded)[path], value)


def test_a_failed_save_keeps_the_old_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = T5(small_config(), nnx.Rngs(0))
    save_checkpoint(network, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InvalidInput, match="No space left"):
        save_checkpoint(T5(small_config(), nnx.Rngs(1)), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_sharded_save_left_behind_goes_with_the_next_ones(tmp_path: Path) -> None:
    network = T5(small_config(), nnx.Rngs(0))
    save_checkpoint(network, tmp_path, max_shard_bytes=60_000)
    good = {path.name for path in tmp_path.iterdir()}
    # A second writer was killed: a whole shard of the other name, and a temporary file.
    other = sorted(name for name in good if name.startswith("model-a-"))[0].replace("model-a-", "model-b-")
    (tmp_path / other).write_bytes(b"torn")
    (tmp_path / f".{other}.abcd1234.part").write_bytes(b"torn")
    load_checkpoint(tmp_path)
    save_checkpoint(network, tmp_path, max_shard_bytes=60_000)
    load_checkpoint(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {name.replace("model-b-", "model-a-") for name in names} == good
    save_checkpoint(network, tmp_path, max_shard_bytes=60_000)
    assert {path.name for path in tmp_path.iterdir()} == good
    load_checkpoint(tmp_path)


def break_config(folder: Path, **changes: Any) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | changes))


def break_tensors(folder: Path, **changes: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    for name, value in changes.items():
        if value is None:
            del tensors[name]
        else:
            tensors[name] = value
    save_file(tensors, folder / "model.safetensors")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


NORM = "encoder.final_layer_norm.weight"
DAMAGE: dict[str, tuple[Any, str]] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: there is no such file"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "config.json: there is no such file"),
    "broken config": (lambda folder: (folder / "config.json").write_text('{"a'), "config.json: is not readable JSON"),
    "another model": (lambda folder: break_config(folder, model_type="bert"), "model_type = bert"),
    "a size that is no number": (lambda folder: break_config(folder, d_model="32"), "d_model = 32"),
    "an unknown option": (lambda folder: break_config(folder, gmlm={"colour": 1}), "gmlm = {'colour': 1}"),
    "truncated": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100]),
        "truncated or not a safetensors file",
    ),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "truncated or not a safetensors file"),
    "a tensor is missing": (lambda folder: break_tensors(folder, **{NORM: None}), f"lacks the tensor {NORM}"),
    "a tensor too many": (lambda folder: break_tensors(folder, extra=np.zeros(3, np.float32)), "unknown tensor extra"),
    "wrong shape": (
        lambda folder: break_tensors(folder, **{NORM: np.zeros(5, np.float32)}),
        rf"tensor {NORM} has shape \(5,\), config.json asks for \(32,\)",
    ),
    "integers": (
        lambda folder: break_tensors(folder, **{NORM: np.zeros(32, np.int32)}),
        f"tensor {NORM} has type int32",
    ),
    "a size beyond any network": (lambda folder: break_config(folder, d_model=10**9), "d_model = 1000000000"),
    "a number of 400 digits": (lambda folder: break_config(folder, vocab_size=10**400), "vocab_size"),
    "more layers than tensors": (lambda folder: break_config(folder, num_layers=200), "too few for so many layers"),
    "a million layers": (lambda folder: break_config(folder, num_layers=10**6), "num_layers = 1000000"),
    "a width that would take terabytes": (
        lambda folder: break_config(folder, d_model=65_536, d_ff=1 << 20),
        "config.json asks for",
    ),
    "a rate that is no number": (lambda folder: break_config(folder, dropout_rate="high"), "dropout_rate = high"),
    "a flag that is no flag": (lambda folder: break_config(folder, gmlm={"range_masks": "no"}), "range_masks = no"),
    "deep config": (lambda folder: (folder / "config.json").write_text("[" * 100_000), "is not readable JSON"),
    "a list as config": (lambda folder: (folder / "config.json").write_text("[]"), "a JSON object is needed"),
    "a pipe as config": (lambda folder: replace_by_pipe(folder / "config.json"), "not a regular file"),
    "a pipe as weights": (lambda folder: replace_by_pipe(folder / "model.safetensors"), "not a regular file"),
    "a device as weights": (lambda folder: replace_by_device(folder / "model.safetensors"), "not a regular file"),
    "a folder as weights": (lambda folder: replace_by_folder(folder / "model.safetensors"), "not a regular file"),
    "not a number": (
        lambda folder: break_tensors(folder, **{NORM: np.full(32, np.nan, np.float32)}),
        f"tensor {NORM} holds NaN",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_refused_by_file_and_tensor(damage: str, tmp_path: Path) -> None:
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), tmp_path)
    inflict, message = DAMAGE[damage]
    inflict(tmp_path)
    with pytest.raises(InvalidInput, match=message):
        load_checkpoint(tmp_path)


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), tmp_path, max_shard_bytes=60_000)
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(InvalidInput, match=f"{shard.name[-20:]}: there is no such file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "sub/x.safetensors", "a\0", "..", 3])
def test_an_index_does_not_leave_its_folder(name: Any, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), folder)
    (folder / "model.safetensors").rename(tmp_path / "outside.safetensors")
    tensors = load_file(tmp_path / "outside.safetensors")
    index = {"weight_map": dict.fromkeys(tensors, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidInput, match=r"shards lie beside their index|not a regular file"):
        load_checkpoint(folder)


def test_links_of_a_cache_are_followed(tmp_path: Path) -> None:
    """The cache of published checkpoints holds links to files named by their content."""
    save_checkpoint(T5(small_config(), nnx.Rngs(0)), tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(Path("../blobs") / path.name)
    load_checkpoint(tmp_path / "snapshot")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    break_free = T5(small_config(), nnx.Rngs(0))
    save_checkpoint(break_free, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="pickled weights are not read"):
        load_checkpoint(tmp_path)


def test_symbols_that_a_refining_network_knows_stay_when_range_masks_are_added() -> None:
    network = adapt(T5(small_config(), nnx.Rngs(0)), seed=1)
    assert network.specials is not None
    known = np.asarray(network.specials[...])
    wider = adapt(network, seed=2, range_masks=True, max_target_length=9).specials
    assert wider is not None
    found = np.asarray(wider[...])
    assert found.shape == (11, known.shape[1])
    np.testing.assert_array_equal(found[:2], known)
    # Around MASK: the mean of the new ones is nearer to it than one of them is.
    mask, new = known[0], found[2:]
    assert np.linalg.norm(new.mean(axis=0) - mask) < np.linalg.norm(new - mask, axis=1).min()
    narrower = adapt(adapt(network, range_masks=True), range_masks=False).specials
    assert narrower is not None
    np.testing.assert_array_equal(narrower[...], known)


def test_adapting_copies_every_shared_weight() -> None:
    network = T5(small_config(), nnx.Rngs(0))
    adapted = adapt(network, positional_attention=True, learned_rejecter=True, range_masks=True, max_target_length=50)
    assert adapted.config.decoder == "refinement"
    ours = parameters(adapted)
    for path, value in parameters(network).items():
        if path != ("decoder", "bias", "table"):
            np.testing.assert_array_equal(ours[path], value)
    # The bias of the past is the causal one while buckets hold one distance each, and the future mirrors it.
    causal, both = network.decoder.bias.table[...], adapted.decoder.bias.table[...]
    np.testing.assert_allclose(both[:8], causal[:8], rtol=1e-6)
    np.testing.assert_array_equal(both[16:], both[:16])
    # New positional attention changes nothing before training.
    plain = adapt(network)
    encoded = plain.encode(jnp.asarray(sentences(2)))
    tokens = jnp.asarray(sentences(2, seed=3))
    np.testing.assert_allclose(plain.decode(tokens, encoded), adapted.decode(tokens, encoded), atol=1e-6)


def test_adapting_refuses_options_that_change_shapes() -> None:
    with pytest.raises(InvalidInput, match="d_model"):
        adapt(T5(small_config(), nnx.Rngs(0)), d_model=64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_model": 0}, "d_model"),
        ({"num_heads": 2.5}, "num_heads"),
        ({"decoder": "both"}, "decoder"),
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"eos_token_id": 0}, "eos_token_id"),
        ({"eos_token_id": 700}, "eos_token_id"),
        ({"relative_attention_num_buckets": 6}, "relative_attention_num_buckets"),
        ({"relative_attention_max_distance": 16}, "relative_attention_max_distance"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        small_config(**options)


def test_weights_are_counted_and_too_many_refused_before_they_are_made() -> None:
    for options in ({}, {"tied": True, "feed_forward_proj": "relu", "num_decoder_layers": 2}):
        config = small_config(**options)
        numbers = sum(array.size for array in parameters(fresh_network(config, 0)).values())
        assert config.weights < numbers < 1.02 * config.weights
    with pytest.raises(ExceedsMemory, match=r"d_model = 60000: the [0-9,]+ weights"):
        fresh_network(small_config(d_model=60_000, d_ff=1_000_000, num_layers=200, vocab_size=1 << 24), 0)


def test_a_configuration_survives_json() -> None:
    config = small_config(decoder="refinement", positional_attention=True, feed_forward_proj="gated-silu", tied=True)
    assert T5Config.from_json(json.loads(json.dumps(config.to_json())), tied=True) == config
