"""Mixtures of product laws: p(x) = sum_z w_z prod_i f_{z,i}(x_i), exact conditionals for masks of every size.

Given x_-K the class z has a posterior proportional to w_z prod_{i not in K} f_{z,i}(x_i); given z the masked tokens are
independent.

Legend: ``N`` sites, ``q`` symbols, ``Z`` components, ``k`` masked sites.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from simulators.montecarlo.draws import draw, possible
from simulators.montecarlo.models.model import Model
from theory.errors import InvalidInput
from theory.laws.products import stochastic


class MixtureModel(Model):
    """A mixture of products; one component gives a product law.

    Args:
        weights: w_z, shape [Z].
        factors: f_{z,i}(a), shape [Z, N, q].

    Raises:
        InvalidInput: wrong shapes, or entries that are no laws.
    """

    def __init__(self, weights: ArrayLike, factors: ArrayLike) -> None:
        classes, rows = stochastic(weights, "weights", 1), stochastic(factors, "factors", 3)
        if len(classes) != len(rows):
            raise InvalidInput("weights", f"{len(classes)} weights", f"one per component ({len(rows)}) is needed")
        self.components, self.sites, self.symbols = rows.shape
        with np.errstate(divide="ignore"):
            self._log_classes = jnp.asarray(np.log(classes), dtype=float)
            self._log_factors = jnp.asarray(np.log(rows), dtype=float)

    def _token_scores(self, x: jax.Array) -> jax.Array:
        """ln f_{z,i}(x_i), shape [Z, N]."""
        return jnp.take_along_axis(self._log_factors, x[None, :, None].astype(jnp.int32), axis=2)[:, :, 0]

    def log_weight(self, x: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(self._log_classes + self._token_scores(x).sum(axis=1))

    def _class_logits(self, x: jax.Array, masked: jax.Array) -> jax.Array:
        """ln p(z, x_-K), shape [Z]; -inf throughout where the context is impossible."""
        hidden = jnp.zeros(self.sites, dtype=bool).at[masked].set(True, mode="drop")
        return self._log_classes + jnp.where(hidden, 0.0, self._token_scores(x)).sum(axis=1)

    def _masked_factors(self, masked: jax.Array) -> jax.Array:
        """ln f_{z,i} for the masked sites, shape [Z, k, q]."""
        return self._log_factors.at[:, masked].get(mode="fill", fill_value=0.0)

    def token_logits(self, x: jax.Array, masked: jax.Array) -> jax.Array:
        scores = self._class_logits(x, masked)[:, None, None] + self._masked_factors(masked)
        return possible(jax.nn.logsumexp(scores, axis=0))

    def all_site_logits(self, x: jax.Array) -> jax.Array:
        scores = self._token_scores(x)
        # Sums over all sites but one; impossible tokens are counted, as -inf cannot be subtracted again.
        never = jnp.isneginf(scores)
        finite = jnp.where(never, 0.0, scores)
        others = finite.sum(axis=1, keepdims=True) - finite
        blocked = never.sum(axis=1, keepdims=True) > never.astype(int)
        classes = self._log_classes[:, None] + jnp.where(blocked, -jnp.inf, others)  # [Z, N]
        return possible(jax.nn.logsumexp(classes[:, :, None] + self._log_factors, axis=0))

    def site_logits(self, x: jax.Array, sites: jax.Array) -> jax.Array:
        return self.all_site_logits(x).at[sites].get(mode="fill", fill_value=0.0)

    def draw_block(self, key: jax.Array, x: jax.Array, masked: jax.Array, temperature: float = 1.0) -> jax.Array:
        if temperature != 1:
            return super().draw_block(key, x, masked, temperature)
        class_key, token_key = jax.random.split(key)
        scores = self._class_logits(x, masked)
        tokens = self._masked_factors(masked)[draw(class_key, possible(scores))]
        # Of an impossible context nothing is known, not even the class: its block is uniform.
        return draw(token_key, jnp.where(jnp.isneginf(scores.max()), 0.0, tokens))

    def require_tokens(self, size: int) -> None:
        """Masks of every size are exact."""

    def require_block(self, size: int, temperature: float = 1.0) -> None:
        """Masks of every size are exact at T = 1; other temperatures enumerate the block."""
        if temperature != 1:
            super().require_block(size, temperature)
