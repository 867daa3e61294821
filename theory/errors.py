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
        super().__init__(one_line(f"{argument} = {_short(value)}: {allowed}"))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with several constructor arguments do not survive pickling between processes otherwise.
        return (type(self), (self.argument, self.value, self.allowed))


class ExceedsMemory(InvalidInput):
    """The computation would need more memory than the machine has free; raised before allocating."""


def one_line(text: str) -> str:
    """The text with every character that would end the line or command a terminal written as an escape."""
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _short(value: Any, limit: int = 80) -> str:
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a NumPy number is shown as a number
    try:
        text = str(value) if isinstance(value, str) else repr(value)
    except ValueError:  # Python does not print whole numbers of thousands of digits
        return "a number of thousands of digits"
    return shortened(text, limit)


def shortened(text: str, limit: int) -> str:
    """The text, its middle left out where it is longer than ``limit``."""
    if len(text) <= limit:
        return text
    # The end stays too: it is the file's name in a long path.
    tail = limit // 2
    return text[: limit - tail - 1] + "…" + text[-tail:]
