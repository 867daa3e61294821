"""Shared by the tests of the simulators."""

from __future__ import annotations

import jax
import pytest

QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}
"""Compiler options that make small programs five times faster to compile, where compiling takes nearly all the time."""


@pytest.fixture(scope="session")
def quick() -> dict[str, bool | int]:
    """The compiler options above that this backend knows."""
    known = {}
    for name, value in QUICK.items():
        try:
            jax.jit(lambda x: x + 1, compiler_options={name: value})(1)
        except jax.errors.JaxRuntimeError:
            continue
        known[name] = value
    return known
