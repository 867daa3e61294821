"""How kernels are compiled: by Numba, without the GIL, kept on disk where there is a place to keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any], reorder: bool = False) -> Any:
    """The function, compiled when it is first called.

    With ``reorder`` sums may be taken in an order that vectorises (the same in every run on a machine).

    The machine code is kept for later runs beside the source or in the user's cache. Where neither can be written to
    (an installation of others in a container without a home), Numba would refuse the function; it is compiled anew in
    every run instead.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if reorder:
        options["fastmath"] = {"reassoc", "contract"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)
