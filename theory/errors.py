"""Errors of the workbench that a user can mend: they name the argument, its value and what is allowed."""

from __future__ import annotations

from typing import Any


class InvalidInput(ValueError):
    """An argument is not what the mathematics needs.

    The message always has the form ``argument = value: what is allowed``; the command line prints it
    without a traceback and exits with code 2.
    """

    def __init__(self, argument: str, value: Any, allowed: str) -> None:
        self.argument = argument
        self.value = value
        self.allowed = allowed
        super().__init__(f"{argument} = {_short(value)}: {allowed}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with several constructor arguments do not survive pickling between processes otherwise.
        return (type(self), (self.argument, self.value, self.allowed))


class ExceedsMemory(InvalidInput):
    """The computation would need more memory than the machine has free; raised before allocating."""


def _short(value: Any, limit: int = 80) -> str:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a NumPy number is shown as a number
    text = str(value) if isinstance(value, str) else repr(value)
    if len(text) <= limit:
        return text
    # The end stays too: it is the file's name in a long path.
    tail = limit // 2
    return text[: limit - tail - 1] + "…" + text[-tail:]
