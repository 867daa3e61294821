"""Snapshots of a training run: one safetensors file that is there whole or not at all.

The file holds the arrays of a pytree, named by their path in it, and plain data as JSON in the header. One file,
written beside its destination, flushed and renamed, cannot be torn by a kill at any moment; an older one stays until
then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from theory.errors import InvalidInput
from theory.files import read_regular, write_atomically

HEADER = "gmlm"
"""Key of the JSON text in the file's metadata."""


def save_snapshot(path: Path, tree: Any, plain: dict[str, Any]) -> None:
    """Write the arrays of ``tree`` and the plain data to ``path``.

    Raises:
        InvalidInput: the folder cannot be written to, or the disk is full; an older file stays as it was.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(tree).items()}
    content = save(arrays, metadata={HEADER: json.dumps(plain, allow_nan=False)})
    write_atomically(path, content)


def read_plain(path: Path) -> dict[str, Any]:
    """The plain data of a checkpoint.

    Raises:
        InvalidInput: there is no readable checkpoint.
    """
    return _read(path)[1]


def load_snapshot(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """The pytree, shaped as ``like``, and the plain data.

    Raises:
        InvalidInput: there is no readable checkpoint, or its arrays are not those of ``like``.
    """
    arrays, plain = _read(path)
    expected = _named_leaves(like)
    for name in sorted(expected.keys() | arrays.keys()):
        there = arrays.get(name)
        wanted = expected.get(name)
        if there is None or wanted is None or there.shape != wanted.shape or there.dtype != wanted.dtype:
            raise InvalidInput("checkpoint", str(path), f"its array {name} does not fit the network to be loaded")
    leaves = [jnp.asarray(arrays[name]) for name in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), plain


def require_same(path: Path, identity: dict[str, Any]) -> None:
    """Refuse to go on from a snapshot whose plain data has another ``identity`` than this one.

    Raises:
        InvalidInput: names the first entry that differs, with both values.
    """
    there = read_plain(path).get("identity", {})
    old, new = _flatten(there), _flatten(identity)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            raise InvalidInput(
                name,
                new.get(name),
                f"the checkpoint in {path.parent} was made with {old.get(name)!r}; "
                "choose the same settings to go on with it, or another folder",
            )


def _read(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]]:
    try:
        content = read_regular(path)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        arrays, plain = load(content), json.loads(header["__metadata__"][HEADER])
        if not isinstance(plain, dict) or not isinstance(plain.get("identity", {}), dict):
            raise TypeError("its header is of another program")
        return arrays, plain
    except FileNotFoundError:
        raise InvalidInput("checkpoint", str(path), "there is no such file") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error.strerror if isinstance(error, OSError) else error)[:200]
        raise InvalidInput("checkpoint", str(path), f"is not a checkpoint of this program ({reason})") from None


def _named_leaves(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            result.update(_flatten(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result
