"""The simulators' requirement: JAX, from the extra ``simulators``, and not a version that computes wrong results.

jaxlib 0.10.2 on CPU silently gives wrong numbers for programs as plain as ``jit(vmap(lambda r: sum((M @ r)**2)))``
(https://github.com/jax-ml/jax/issues/39103: of 40,000 rows 18% are wrong, some 5000 times too large). It is refused at
import, unless the environment switches the faulty fusion off: ``XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=``.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from theory.errors import InvalidInput

INSTALL = "pip install 'gmlm-workbench[simulators]'"
WRONG_VERSIONS = ("0.10.2",)
WORKAROUND = "--xla_cpu_experimental_ynn_fusion_type="
ISSUE = "https://github.com/jax-ml/jax/issues/39103"


class UnusableBackend(InvalidInput, ImportError):
    """JAX is absent, or present in a version that must not be trusted."""


def installed_version(package: str) -> str | None:
    """Version of an installed distribution, None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_backend(jax: str | None, jaxlib: str | None, xla_flags: str) -> None:
    """Raise unless these versions, under these flags, can be trusted.

    Raises:
        UnusableBackend: a package is absent (says how to install it), or jaxlib computes wrong results (says where
            that is reported).
    """
    for name, found in (("jax", jax), ("jaxlib", jaxlib)):
        if found is None:
            raise UnusableBackend(name, "not installed", f"the simulators need it: {INSTALL}")
    # The workaround is the flag with an empty value: any other value would leave a fusion on.
    if jaxlib in WRONG_VERSIONS and WORKAROUND not in xla_flags.split():
        raise UnusableBackend(
            "jaxlib", jaxlib, f"this version computes wrong results on CPU ({ISSUE}); another is needed: {INSTALL}"
        )


check_backend(installed_version("jax"), installed_version("jaxlib"), os.environ.get("XLA_FLAGS", ""))
