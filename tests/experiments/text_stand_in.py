"""A text model whose network is a table, for the commands that score text."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from theory.decoding import KnownLaw
from theory.laws import random_law


def text_stand_in() -> tuple[SimpleNamespace, KnownLaw, NDArray[np.int32]]:
    """What `load_text_model` returns, the law of its network, and its windows, [12, 4]."""
    network = KnownLaw(random_law(4, 2, np.random.default_rng(1)))
    windows = np.random.default_rng(2).integers(2, size=(12, 4)).astype(np.int32)
    model = SimpleNamespace(
        network=SimpleNamespace(sites=4),
        vocabulary=SimpleNamespace(symbols=2),
        predict=network.predict,
        sources=lambda content, limit: (windows, windows[:limit]),
    )
    return model, network, windows
