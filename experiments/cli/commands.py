"""Commands that are imported when one is named, so that one command does not pass through the files of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import cast

import click


class _Commands(Mapping[str, click.Command]):
    """Name -> command, the object of that name in the module of that name."""

    def __init__(self, package: str, names: str) -> None:
        self._package, self._names = package, names.split()

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._names:
            raise KeyError(name)
        word = name.replace("-", "_")
        return cast(click.Command, getattr(import_module(f"{self._package}.{word}"), word))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def commands(package: str, names: str) -> MutableMapping[str, click.Command]:
    """The commands of a group: ``sample-size`` is the object ``sample_size`` of ``package.sample_size``."""
    # A group only looks commands up and lists them.
    return cast("MutableMapping[str, click.Command]", _Commands(package, names))
