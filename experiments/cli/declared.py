"""Options of commands made from what is declared elsewhere: dataclasses of parameters, registries of names.

Reading the declarations may load what a command needs, so they are read when the command runs or shows its help, not
when the command line starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import click

from experiments.cli.seeds import SEED
from theory.parameters import Description, describe


def declared_options(
    declaration: type,
    *,
    flags: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    helps: Mapping[str, str] | None = None,
    names: Mapping[str, Callable[[], Iterable[str]]] | None = None,
    leave_out: Collection[str] = (),
    of: str = "",
    unset: bool = False,
) -> list[click.Option]:
    """One option for each parameter of a dataclass; values out of range are refused by whoever takes them.

    Args:
        declaration: its fields are made by `theory.parameters.parameter`.
        flags: names on the command line where they are not those of the fields.
        defaults, helps: in place of the declared ones.
        names: what can be named, of options whose help lists a registry.
        leave_out: fields that are no options of this command.
        of: what the options belong to, said before each help.
        unset: an option that is left out has the value None, so that the command knows; its help says the default.
    """
    options: list[click.Option] = []
    for name, declared in describe(declaration).items():
        if name in leave_out:
            continue
        default = (defaults or {}).get(name, declared.default)
        shown = _shown(declared, (helps or {}).get(name, declared.rule.help), default, of, unset)
        flag = (flags or {}).get(name, name).replace("_", "-")
        spelling = f"--{flag}/--no-{flag}" if default is True else f"--{flag}"
        if names and name in names:
            options.append(Registered([spelling, name], **shown, names=names[name]))
        else:
            options.append(click.Option([spelling, name], **shown))
    return options


def _shown(declared: Description, text: str, default: Any, of: str, unset: bool) -> dict[str, Any]:
    """Type, default and help of an option."""
    kind: dict[str, Any] = {"type": declared.type}
    if declared.name == "seed":
        kind = {"type": SEED}
    elif declared.rule.choices:
        kind = {"type": click.Choice(declared.rule.choices)}
    elif declared.rule.file:
        kind = {"type": click.Path(dir_okay=False)}
    elif declared.type is bool:
        kind = {"is_flag": True}
    elif isinstance(default, tuple):
        kind, default = {"type": str}, ",".join(map(str, default))
    text = f"{of}: {text}" if of else text[0].upper() + text[1:]
    text = text.rstrip(".") + "."
    if not unset:
        return {
            **kind,
            "default": default,
            "show_default": default is not False and not declared.rule.file,
            "help": text,
        }
    words = "yes" if default is True else default
    return {**kind, "default": None, "help": f"{text}  [default: {words}]"}


def declared_values(declaration: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a dataclass's parameters among those of a command, without those that were left out."""
    return {name: options[name] for name in describe(declaration) if options.get(name) is not None}


class Declared(click.Command):
    """A command with options that are made when they are first asked for.

    Args:
        declared: makes them.
    """

    def __init__(self, *args: Any, declared: Callable[[], list[click.Option]], **attributes: Any) -> None:
        self._declare: Callable[[], list[click.Option]] | None = declared
        super().__init__(*args, **attributes)

    @property
    def params(self) -> list[click.Parameter]:
        # One list all the time: click adds to it and takes away.
        if self._declare is not None:
            declare, self._declare = self._declare, None
            self._params += declare()
        return self._params

    @params.setter
    def params(self, given: list[click.Parameter]) -> None:
        self._params = given


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
        listed = ", ".join(self._names()) + "."
        self.help = f"{given.rstrip('.')}: {listed}" if given else listed
        try:
            return super().get_help_record(ctx)
        finally:
            self.help = given


def model_names() -> Iterable[str]:
    """The laws of ``gmlm chain``."""
    from experiments.chains.models import MODELS

    return MODELS


def length_model_names() -> Iterable[str]:
    """The laws of ``gmlm decode``: those of ``gmlm chain``, and more that exist at length."""
    from experiments.decoding.laws import NAMES

    return NAMES


def sampler_names() -> Iterable[str]:
    """The samplers, each with its options."""
    from theory.samplers import SAMPLERS

    return with_options(SAMPLERS)


def with_options(registry: Mapping[str, type]) -> Iterable[str]:
    """The names of a registry, each with its options and their defaults."""
    for name, kind in registry.items():
        options = ",".join(f"{option}={declared.default}" for option, declared in describe(kind).items())
        yield f"{name}:{options}" if options else name
