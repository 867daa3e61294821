"""Hugging Face checkpoint folders: read, written, and turned from an autoregressive network into a refinement one.

A folder holds ``config.json`` and ``model.safetensors``, or shards with ``model.safetensors.index.json``. Whether the
output layer is tied is decided by whether ``lm_head.weight`` is stored: the flag in ``config.json`` is unreliable,
since `transformers` writes it as true for every T5. Stored bfloat16 and float16 become float32. Conversions from T5X
store the embedding under the name of the decoder or the encoder. ``generation_config.json``, where there is one, says
with which token decoding starts.

Folders come from anywhere: only regular files are read, all of them inside the folder, and every size in
``config.json`` is compared with the tensors that are really stored before anything of that size is made.

Every file is written beside its destination and renamed, and weights become visible in one rename, so that a kill at
any moment leaves either the old weights or the new ones.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from simulators.t5.files.layout import OWN_PREFIX, Place, stored_tensors
from simulators.t5.network.attention import relative_buckets
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5
from theory.errors import InvalidInput
from theory.files import read_regular, write_atomically
from theory.memory import require_memory

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
GENERATION = "generation_config.json"
TORCH = "pytorch_model.bin"
METADATA = {"format": "pt"}
EMBEDDING = "shared.weight"
COPIES = ("decoder.embed_tokens.weight", "encoder.embed_tokens.weight")
"""Other names of the embedding: beside it in old exports, without it in conversions from T5X."""
UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)
"""Tensors in the files of v1.0 that the network never had a use for."""

LARGEST_JSON = 1 << 26
"""Bytes; the index of the largest published T5 has a thousandth of it."""

ADAPTABLE = (
    *("length_predictor", "fertility_classes", "learned_rejecter", "positional_attention", "range_masks"),
    *("max_target_length", "dropout_rate", "dtype"),
)
"""Options that `adapt` can change."""

Array = NDArray[np.float32]


def load_checkpoint(folder: str | Path) -> T5:
    """The network that a folder holds.

    Raises:
        InvalidInput: a file is missing, truncated or not of T5, or a tensor is missing, unknown or of a wrong shape;
            the message names the file and the tensor.
    """
    folder = Path(folder)
    values = _read_json(folder / CONFIG)
    sources = _tensor_files(folder)
    config = T5Config.from_json(
        values | _generation(folder), tied="lm_head.weight" not in sources, file=str(folder / CONFIG)
    )
    if config.num_layers + config.num_decoder_layers > len(sources):
        raise InvalidInput(
            f"{folder / CONFIG}: num_layers",
            f"{config.num_layers} + {config.num_decoder_layers}",
            f"the checkpoint holds {len(sources)} tensors, too few for so many layers",
        )
    # Only the shapes are needed: every parameter is about to be replaced.
    network = nnx.eval_shape(lambda: T5(config, nnx.Rngs(0)))
    graph, state = nnx.split(network)
    shapes = {_name(path): leaf.shape for path, leaf in nnx.to_flat_state(state)}
    loaded = _read_parameters(sources, _places(folder, sources, config, shapes), shapes)
    filled = [(path, leaf.replace(jnp.asarray(loaded[_name(path)]))) for path, leaf in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def save_checkpoint(network: T5, folder: str | Path, max_shard_bytes: int = 5_000_000_000) -> None:
    """Write a folder that `load_checkpoint` and `transformers` read; other files in it stay.

    Args:
        network: what to write.
        folder: made where it is missing.
        max_shard_bytes: weights larger than this are split over several files.

    Raises:
        InvalidInput: the folder cannot be written to, or the disk is full; older weights stay as they were.
    """
    folder = Path(folder)
    if max_shard_bytes < 1:
        raise InvalidInput("max_shard_bytes", max_shard_bytes, "at least 1 is needed")
    tensors = stored_arrays(network)
    shards = _shards(tensors, max_shard_bytes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        old = set(folder.glob("model-*.safetensors"))
        if len(shards) == 1:
            write_atomically(folder / SINGLE, save(tensors, metadata=METADATA))
            old.add(folder / INDEX)
        else:
            # Names that the present index does not have: its rename switches from the old shards to the new. The next
            # writer after one that was killed takes the same ones, and so finds what that one left behind.
            tag = "b" if any(path.name.startswith("model-a-") for path in _present_shards(folder)) else "a"
            names = [f"model-{tag}-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
            for name, shard in zip(names, shards, strict=True):
                part = {key: tensors[key] for key in shard}
                write_atomically(folder / name, save(part, metadata=METADATA))
            weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
            total = sum(array.nbytes for array in tensors.values())
            index = json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2)
            write_atomically(folder / INDEX, index)
            old = (old | {folder / SINGLE}) - {folder / name for name in names}
        text = json.dumps(network.config.to_json(), indent=2, sort_keys=True) + "\n"
        write_atomically(folder / CONFIG, text)
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput("folder", str(folder), f"cannot be written: {error.strerror or error}") from None


def stored_arrays(network: T5) -> dict[str, Array]:
    """Every tensor of a network under its stored name."""
    parameters = {_name(path): np.asarray(leaf[...]) for path, leaf in nnx.to_flat_state(nnx.state(network, nnx.Param))}
    places = stored_tensors(network.config)
    tensors = {}
    for name, place in places.items():
        tensors[name] = np.ascontiguousarray(place.part(parameters[place.parameter]), dtype=np.float32)
    known = {place.parameter for place in places.values()}
    tensors |= {OWN_PREFIX + name: array for name, array in parameters.items() if name not in known}
    return tensors


def weights_digest(network: T5) -> str:
    """Tells the weights of networks apart, whatever folder they come from."""
    digest = hashlib.sha256()
    for name, array in sorted(stored_arrays(network).items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def adapt(network: T5, seed: int = 0, **options: Any) -> T5:
    """A refinement network that starts from the weights of another one, usually autoregressive.

    Every shared weight is copied. The causal table of position biases becomes a bidirectional one: a bucket of the past
    takes the mean of the causal biases over the distances that it holds, and the future mirrors the past. New parts
    (special symbols, length predictor, rejecter head, positional attention) start at random. New special symbols have
    the root mean square of the piece embeddings; where MASK is known already, new range masks start around it.

    Args:
        network: what to start from; it stays as it is.
        seed: of the new parts.
        options: fields of `T5Config` to change, such as ``length_predictor`` or ``max_target_length``.

    Raises:
        InvalidInput: an option that is unknown or changes the shape of copied weights.
    """
    for name in options:
        if name not in ADAPTABLE:
            raise InvalidInput(name, options[name], f"an option of adapting: {', '.join(ADAPTABLE)}")
    config = network.config.replace(decoder="refinement", **options)
    adapted = T5(config, nnx.Rngs(seed))
    present = dict(nnx.to_flat_state(nnx.state(network, nnx.Param)))
    state = nnx.state(adapted, nnx.Param)
    flat = []
    for path, leaf in nnx.to_flat_state(state):
        source = present.get(path)
        taken = source if source is not None and source.shape == leaf.shape else leaf
        flat.append((path, leaf.replace(taken[...])))
    nnx.update(adapted, nnx.from_flat_state(flat))
    if network.config.decoder == "autoregressive":
        adapted.decoder.bias.table[...] = jnp.asarray(mirrored_biases(network.decoder.bias.table[...], config))
    if adapted.specials is not None:
        adapted.specials[...] = _special_symbols(network, config, seed)
    return adapted


def _special_symbols(network: T5, config: T5Config, seed: int) -> jax.Array:
    """Embeddings of the special symbols of an adapted network, see `adapt`."""
    rms = jnp.sqrt(jnp.mean(network.shared[...] ** 2))
    drawn = rms * jax.random.normal(jax.random.key(seed), (config.special_symbols, config.d_model))
    if network.specials is None:
        return drawn
    known = network.specials[...]
    mask = known[config.mask_id - config.vocab_size]
    return jnp.concatenate([known, mask + drawn[known.shape[0] :]])[: config.special_symbols]


def mirrored_biases(causal: Any, config: T5Config) -> Array:
    """The bidirectional table [buckets, H] of a causal one."""
    table = np.asarray(causal)
    buckets, longest = config.relative_attention_num_buckets, config.relative_attention_max_distance
    offsets = -np.arange(2 * longest)
    before = table[relative_buckets(offsets, False, buckets, longest)]
    after = relative_buckets(offsets, True, buckets, longest)
    past = np.stack([before[after == bucket].mean(axis=0) for bucket in range(buckets // 2)])
    return np.concatenate([past, past]).astype(np.float32)


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_regular(path, LARGEST_JSON).decode("utf-8-sig"))
    except FileNotFoundError:
        raise InvalidInput("checkpoint", str(path), "there is no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InvalidInput("checkpoint", str(path), f"is not readable JSON ({reason})") from None
    if not isinstance(values, dict):
        raise InvalidInput("checkpoint", str(path), "a JSON object is needed")
    return values


def _generation(folder: Path) -> dict[str, Any]:
    """What ``generation_config.json`` says about decoding that ``config.json`` may say otherwise."""
    if not (folder / GENERATION).exists():
        return {}
    start = _read_json(folder / GENERATION).get("decoder_start_token_id")
    if isinstance(start, list) and len(start) == 1:
        start = start[0]
    return {} if start is None else {"decoder_start_token_id": start}


def _tensor_files(folder: Path) -> dict[str, Path]:
    """File of each stored tensor."""
    if (folder / SINGLE).exists():
        return dict.fromkeys(_with_file(folder / SINGLE, lambda file: list(file.keys())), folder / SINGLE)
    if (folder / INDEX).exists():
        weight_map = _read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict):
            raise InvalidInput("checkpoint", str(folder / INDEX), 'an object "weight_map" is needed')
        for file in weight_map.values():
            if not isinstance(file, str) or Path(file).name != file or set(file) & {"\\", "\0"}:
                raise InvalidInput("checkpoint", str(folder / INDEX), f"names {file!r}; shards lie beside their index")
        return {name: folder / file for name, file in weight_map.items()}
    if (folder / TORCH).exists():
        raise InvalidInput(
            "checkpoint", str(folder / TORCH), f"pickled weights are not read; {SINGLE} is needed (save_pretrained)"
        )
    raise InvalidInput("checkpoint", str(folder / SINGLE), "there is no such file")


def _with_file(path: Path, use: Callable[[Any], Any]) -> Any:
    try:
        if not path.is_file() and path.exists():
            raise InvalidInput("checkpoint", str(path), "is not a regular file")
        with safe_open(str(path), framework="np") as file:
            return use(file)
    except FileNotFoundError:
        raise InvalidInput("checkpoint", str(path), "there is no such file") from None
    except (OSError, SafetensorError) as error:
        raise InvalidInput("checkpoint", str(path), f"is truncated or not a safetensors file ({error})") from None


def _places(
    folder: Path, sources: dict[str, Path], config: T5Config, shapes: dict[str, tuple[int, ...]]
) -> dict[str, Place]:
    """Where each stored tensor goes; copies of the embedding go to the same place."""
    layout = stored_tensors(config)
    known = {place.parameter for place in layout.values()}
    layout |= {OWN_PREFIX + name: Place(name) for name in shapes if name not in known}
    embedding = layout.pop(EMBEDDING)
    copies = dict.fromkeys((name for name in (EMBEDDING, *COPIES) if name in sources), embedding)
    places = layout | (copies or {EMBEDDING: embedding})
    for name in sorted(places):
        if name not in sources:
            raise InvalidInput("checkpoint", str(folder), f"lacks the tensor {name}")
    for name in sorted(sources.keys() - places.keys() - set(UNUSED)):
        raise InvalidInput("checkpoint", str(sources[name]), f"holds an unknown tensor {name}")
    return places


def _read_parameters(
    sources: dict[str, Path], places: dict[str, Place], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Array]:
    """The parameters of a network from the files of its tensors."""
    files: dict[Path, list[str]] = {}
    for name in places:
        files.setdefault(sources[name], []).append(name)
    for file, names in files.items():
        for name, shape in _with_file(file, partial(_stored_shapes, names)).items():
            if shape is None:
                raise InvalidInput("checkpoint", str(file), f"lacks the tensor {name}")
            if shape != (wanted := places[name].stored_shape(shapes[places[name].parameter])):
                raise InvalidInput(
                    "checkpoint", str(file), f"tensor {name} has shape {shape}, config.json asks for {wanted}"
                )
    size = 4.0 * sum(math.prod(shape) for shape in shapes.values())
    require_memory(size, "checkpoint", str(next(iter(files)).parent), "its weights")
    parameters = {name: np.empty(shape, dtype=np.float32) for name, shape in shapes.items()}
    embedded = False
    for file, names in sorted(files.items()):
        for name in names:
            array = _with_file(file, partial(_read_tensor, name))
            if array.dtype not in (np.float32, np.float16, np.float64, ml_dtypes.bfloat16):
                raise InvalidInput("checkpoint", str(file), f"tensor {name} has type {array.dtype}, floats are needed")
            array = array.astype(np.float32)
            if not np.isfinite(array).all():
                raise InvalidInput("checkpoint", str(file), f"tensor {name} holds NaN or infinity")
            part = places[name].part(parameters[places[name].parameter])
            if name in (EMBEDDING, *COPIES):
                if embedded and not np.array_equal(part, array):
                    raise InvalidInput("checkpoint", str(file), f"tensor {name} differs from another copy of it")
                embedded = True
            part[...] = array
    return parameters


def _read_tensor(name: str, file: Any) -> Any:
    return file.get_tensor(name)


def _stored_shapes(names: list[str], file: Any) -> dict[str, tuple[int, ...] | None]:
    there = set(file.keys())
    return {name: tuple(file.get_slice(name).get_shape()) if name in there else None for name in names}


def _present_shards(folder: Path) -> set[Path]:
    """The shards that the index of a folder names; none where it has no readable one."""
    try:
        return set(_tensor_files(folder).values()) if (folder / INDEX).exists() else set()
    except InvalidInput:
        return set()


def _shards(tensors: dict[str, Array], limit: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    size = 0
    for name, array in tensors.items():
        if shards[-1] and size + array.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += array.nbytes
    return shards
