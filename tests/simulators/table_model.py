"""A joint table as a model: any law with few enough states, to hold simulators to exact kernels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from simulators.montecarlo.models.model import Model
from theory.laws.joint import JointLaw


class TableModel(Model):
    """The law of a joint table.

    Args:
        law: the table; states of mass 0 are allowed.
    """

    def __init__(self, law: JointLaw) -> None:
        self.sites, self.symbols = law.sites, law.symbols
        with np.errstate(divide="ignore"):
            self._log_table = jnp.asarray(np.log(law.probabilities), dtype=float)
        self._place = jnp.asarray(law.symbols ** np.arange(law.sites - 1, -1, -1), dtype=jnp.int32)

    def log_weight(self, x: jax.Array) -> jax.Array:
        return self._log_table[(x * self._place).sum()]


def checkerboard(rows: int, columns: int) -> tuple[list[int], list[int]]:
    """The two colours of a lattice of even lengths, sites in C order."""
    colour = np.indices((rows, columns)).sum(axis=0).ravel() % 2
    return np.flatnonzero(colour == 0).tolist(), np.flatnonzero(colour == 1).tolist()
