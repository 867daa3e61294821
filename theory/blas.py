"""BLAS without its threads, for matrices so small that starting them takes longer than the work."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


def one_blas_thread() -> AbstractContextManager[Any]:
    """A context in which BLAS works in the calling thread alone."""
    return _libraries().limit(limits=1)


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS libraries in use; looking for them takes longer than a small chain."""
    return ThreadpoolController()
