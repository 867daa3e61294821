"""T5 translation: one network, two decoders."""

from __future__ import annotations

from simulators.backend import INSTALL, UnusableBackend, installed_version

for _package in ("flax", "optax", "safetensors"):
    if installed_version(_package) is None:
        raise UnusableBackend(_package, "not installed", f"the T5 simulator needs it: {INSTALL}")
