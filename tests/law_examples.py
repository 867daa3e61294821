"""Laws and conditionals that tests of several floors draw at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from theory.conditionals import ConditionalModel, FunctionConditionals
from theory.laws import ExchangeableLaw, JointLaw
from theory.laws.ising import magnetisation


def random_law(seed: int, sites: int = 3, symbols: int = 2, zeros: float = 0.0, least: float = 1e-3) -> JointLaw:
    """Gamma weights, at least ``least`` but for a share of zeros; the first sequence always has mass."""
    generator = np.random.default_rng(seed)
    weights = generator.gamma(0.7, size=(symbols,) * sites) + least
    weights[generator.random(weights.shape) < zeros] = 0.0
    weights.flat[0] += 0.1
    return JointLaw.from_weights(weights)


def to_joint(law: ExchangeableLaw) -> JointLaw:
    """The table over all 2^N sequences."""
    plus = (magnetisation(law.sites) + law.sites) // 2
    return JointLaw.from_log_weights(law.log_weights[plus].reshape((2,) * law.sites))


def permute_sites(law: JointLaw, order: Sequence[int]) -> JointLaw:
    """The law of (x_{order[0]}, ..., x_{order[N-1]})."""
    logs = law.log_probabilities.reshape(law.table.shape).transpose(tuple(order)) if law.has_tiny_masses else None
    return JointLaw(law.table.transpose(tuple(order)), law.name, logs)


def incompatible_weights(sites: int, symbols: int, seed: int = 5) -> np.ndarray:
    """What each visible token (or mask) adds to the logits of every site, [N, q + 1, N, q]."""
    return np.random.default_rng(seed).normal(size=(sites, symbols + 1, sites, symbols))


def incompatible(sites: int, symbols: int, seed: int = 5) -> FunctionConditionals:
    """Conditionals that no joint law has: a random positive function of the visible tokens."""
    weights = incompatible_weights(sites, symbols, seed)

    def predict(tokens: np.ndarray) -> np.ndarray:
        logits = sum(weights[i, tokens[:, i]] for i in range(sites))
        scores = np.exp(logits - logits.max(axis=2, keepdims=True))
        return scores / scores.sum(axis=2, keepdims=True)

    return FunctionConditionals(sites, symbols, predict)


def with_noise(exact: ConditionalModel, seed: int, size: float) -> FunctionConditionals:
    """Stand-in for a trained network: conditionals with normal noise on their log-odds, one draw for each mask."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        masked = tuple(int(i) for i in np.flatnonzero(tokens[0] == exact.symbols))
        result = np.full((len(tokens), exact.sites, exact.symbols), 1 / exact.symbols)
        laws = exact.token_conditionals(masked).transpose(1, 0, 2)
        weights = laws * np.exp(size * np.random.default_rng((seed, *masked)).normal(size=laws.shape))
        result[:, list(masked)] = weights / weights.sum(axis=2, keepdims=True)
        return result

    return FunctionConditionals(exact.sites, exact.symbols, predict)
