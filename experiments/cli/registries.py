"""Options whose help lists what a registry holds, read only when that help is shown: the rest stays quick."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click


class Registered(click.Option):
    """An option that names something of a registry.

    Args:
        names: the names, asked for when the help of the command is shown.
    """

    def __init__(self, *args: Any, names: Callable[[], Iterable[str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._names = names

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        given = self.help or ""
        self.help = f"{', '.join(self._names())}. {given}".strip()
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = given


def sampler_names() -> Iterable[str]:
    """The samplers, each with its options."""
    from theory.parameters import describe
    from theory.samplers import SAMPLERS

    for name, kind in SAMPLERS.items():
        options = ",".join(f"{option}={declared.default}" for option, declared in describe(kind).items())
        yield f"{name}:{options}" if options else name
