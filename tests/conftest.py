"""Shared settings of the test suite: deterministic property tests, no display."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")

# The same examples on every machine and in every run; a time limit per example would depend on the machine.
settings.register_profile("workbench", derandomize=True, deadline=None, max_examples=40)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "workbench"))


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """Programs that JAX compiles during a module are compiled quickly and run slowly."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def pytest_configure() -> None:
    """Let the processes that tests start and interrupt hear Ctrl-C; those of a background job would ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
