"""Small laws on Omega^N for the tests of decoding by unmasking, built from their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np
from hypothesis import strategies as st

from theory.decoding import Schedule, ScheduleLaw, mixture
from theory.laws.joint import JointLaw


def random_law(seed: int, sites: int, symbols: int, sparse: bool = False) -> JointLaw:
    """Gamma weights of shape 1/2; where ``sparse``, about a third of the states have mass 0."""
    generator = np.random.default_rng(seed)
    weights = generator.gamma(0.5, size=(symbols,) * sites) + 1e-6
    if sparse:
        weights *= generator.random(weights.shape) > 1 / 3
        weights.flat[0] += 1e-3
    return JointLaw.from_weights(weights)


def product_law(seed: int, sites: int, symbols: int) -> JointLaw:
    table = np.ones(())
    for site_law in np.random.default_rng(seed).dirichlet(np.ones(symbols), size=sites):
        table = np.multiply.outer(table, site_law)
    return JointLaw(table)


def parity_law(sites: int) -> JointLaw:
    """Uniform over the binary sequences with an even number of ones."""
    ones = np.indices((2,) * sites).sum(axis=0)
    return JointLaw.from_weights((ones % 2 == 0).astype(float))


def copy_law(weights: list[float], sites: int) -> JointLaw:
    """All sites equal to one latent symbol z of law ``weights``: a mixture of products whose components never meet."""
    table = np.zeros((len(weights),) * sites)
    for symbol, weight in enumerate(weights):
        table[(symbol,) * sites] = weight
    return JointLaw(table)


def exchangeable_law(seed: int, sites: int) -> JointLaw:
    """A mixture of three i.i.d. Bernoulli laws."""
    generator = np.random.default_rng(seed)
    ones = np.indices((2,) * sites).sum(axis=0)
    rates, weights = generator.random(3), generator.dirichlet(np.ones(3))
    return JointLaw(sum(w * r**ones * (1 - r) ** (sites - ones) for w, r in zip(weights, rates, strict=True)))


@st.composite
def laws(draw: st.DrawFn, largest: int = 4) -> JointLaw:
    return random_law(
        draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, largest)), draw(st.integers(2, 3)), draw(st.booleans())
    )


def masked_diffusion(sites: int, weights: Sequence[float]) -> ScheduleLaw:
    """Every site draws its step by itself; steps that none drew are left out."""
    masses: dict[Schedule, float] = {}
    for steps in product(range(len(weights)), repeat=sites):
        used = [tuple(i for i in range(sites) if steps[i] == t) for t in range(len(weights))]
        schedule = Schedule(sites, tuple(step for step in used if step))
        masses[schedule] = masses.get(schedule, 0.0) + prod(weights[t] for t in steps)
    return mixture(masses, list(masses.values()))
