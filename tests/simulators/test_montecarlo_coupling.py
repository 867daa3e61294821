"""Grand coupling and coupling from the past against the exact coupled chain, exact mixing times and exact laws."""

from __future__ import annotations

from itertools import pairwise

import jax
import numpy as np
import pytest
from scipy import stats

from simulators.montecarlo import models
from simulators.montecarlo.coupling import Coalescence, NotCoalesced, grand_coupling, perfect_samples
from theory import laws, samplers
from theory import masks as exact
from theory.chains.mixing import mixing_time
from theory.chains.total_variation import total_variation_curve
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.masks import MaskLaw, k_uniform, partition
from theory.states import all_sequences

pytestmark = pytest.mark.usefixtures("quick_compilation")

GRAPH = laws.named_graph("path", 3)
COUPLING, FIELD = [0.6, 0.3], [0.1, 0.0, -0.2]
LAW = laws.ising_on(GRAPH, COUPLING, FIELD)
MODEL = models.ising_model(GRAPH, COUPLING, FIELD)
COLOURS = ((0, 2), (1,))


def coupled_update(site: int) -> np.ndarray:
    """The exact kernel on pairs when one site of both is redrawn by the inverse distribution function, [64, 64]."""
    stay = LAW.conditional((site,))  # [contexts, 2]
    sequences = all_sequences(3, 2)
    kernel = np.zeros((8, 8, 8, 8))
    for a, x in enumerate(sequences):
        for b, y in enumerate(sequences):
            zero = [stay[np.ravel_multi_index(np.delete(z, site), (2, 2)), 0] for z in (x, y)]
            cuts = np.array([0.0, min(zero), max(zero), 1.0])
            for low, high in pairwise(cuts):
                u = (low + high) / 2
                moved = []
                for z, at_zero in ((x, zero[0]), (y, zero[1])):
                    after = z.copy()
                    after[site] = int(u >= at_zero)
                    moved.append(after @ (4, 2, 1))
                kernel[a, b, moved[0], moved[1]] += high - low
    return kernel.reshape(64, 64)


def exact_tail(blocks: MaskLaw | None, steps: int) -> np.ndarray:
    """P(tau > t) for t = 0..steps."""
    updates = [coupled_update(site) for site in range(3)]
    # Sites of one colour do not see each other, so redrawing them one after the other is redrawing them at once.
    step = sum(updates) / 3 if blocks is None else updates[0] @ updates[2] @ updates[1]
    law, apart = np.eye(64)[7], ~np.eye(8, dtype=bool).ravel()  # pair (000, 111)
    tail = []
    for _ in range(steps + 1):
        tail.append(law[apart].sum())
        law = law @ step
    return np.array(tail)


@pytest.mark.parametrize("blocks", [None, partition(3, COLOURS)], ids=["random site", "two colours"])
def test_coalescence_times_follow_the_exact_coupled_chain(blocks: MaskLaw | None) -> None:
    """Dvoretzky-Kiefer-Wolfowitz band at level 1e-6 around the exact distribution function."""
    replicas, steps = 6000, 60
    seen = grand_coupling(MODEL, jax.random.key(1), replicas, steps, blocks)
    tail = np.array([seen.tail(t) for t in range(steps + 1)])
    band = np.sqrt(np.log(2 / 1e-6) / (2 * replicas))
    assert np.abs(tail - exact_tail(blocks, steps)).max() < band

    conditionals = TableConditionals(LAW)
    chain = (
        samplers.block_gibbs(conditionals, exact.k_uniform(3, 1))
        if blocks is None
        else samplers.systematic_scan(conditionals, COLOURS)
    )
    # What makes it a bound: the exact tail is above the exact distance at every time.
    distance = total_variation_curve(chain, range(steps + 1)).worst
    assert (exact_tail(blocks, steps) >= distance - 1e-12).all()
    for eps in (0.25, 0.05):
        bound = seen.mixing_time(eps, error=1e-6)
        assert bound is not None
        assert bound >= mixing_time(chain, eps).steps


def test_the_bound_on_the_mixing_time_holds_as_often_as_it_says() -> None:
    """1,000 sets of 60 geometric times: the quantile is missed in at most 5 % of them, up to a tail of 1e-6."""
    generator = np.random.default_rng(2)
    truth = stats.geom(0.1).ppf(0.75)
    missed = 0
    for _ in range(1000):
        bound = Coalescence(generator.geometric(0.1, size=60), 10_000).mixing_time(0.25, 0.05)
        missed += bound is not None and bound < truth
    assert missed <= stats.binom.isf(1e-6, 1000, 0.05)
    assert Coalescence(np.array([3, 4, 5]), 10).mixing_time(0.25, 0.05) is None  # three times prove nothing
    assert Coalescence(np.full(100, -1), 10).mixing_time(0.25) is None


@pytest.mark.parametrize("blocks", [None, partition(3, COLOURS)], ids=["random site", "two colours"])
def test_perfect_samples_have_the_exact_law(blocks: MaskLaw | None) -> None:
    """Chi-squared over the 8 states; alarm at most 1e-6."""
    draws = perfect_samples(MODEL, jax.random.key(3), 5000, blocks)
    counts = np.bincount(draws @ (4, 2, 1), minlength=8)
    assert stats.chisquare(counts, 5000 * LAW.probabilities).pvalue > 1e-6


def test_perfect_samples_of_a_lattice_magnetise_as_the_transfer_matrix_says() -> None:
    """A ring of 40 spins: E[x_i] = sinh h / sqrt(sinh^2 h + e^-4J) up to 1e-6; 5 standard errors, alarm 6e-7."""
    ring = models.ising_model(laws.named_graph("cycle", 40), 0.4, 0.1)
    draws = perfect_samples(ring, jax.random.key(4), 500, partition(40, [range(0, 40, 2), range(1, 40, 2)]))
    means = 2 * draws.mean(axis=1) - 1
    exact_mean = np.sinh(0.1) / np.sqrt(np.sinh(0.1) ** 2 + np.exp(-1.6))
    assert abs(means.mean() - exact_mean) < 5 * means.std(ddof=1) / np.sqrt(500)


def test_bad_input_and_slow_chains_are_refused() -> None:
    with pytest.raises(InvalidInput, match="model"):
        grand_coupling(models.ising_model(GRAPH, -0.5), jax.random.key(0), 10, 10)
    with pytest.raises(InvalidInput, match="model"):
        perfect_samples(models.potts_model(GRAPH, 3), jax.random.key(0), 10)
    with pytest.raises(InvalidInput, match="blocks"):
        grand_coupling(MODEL, jax.random.key(0), 10, 10, partition(3, [(0, 1), (2,)]))
    with pytest.raises(InvalidInput, match="blocks"):
        grand_coupling(MODEL, jax.random.key(0), 10, 10, k_uniform(4, 1))
    with pytest.raises(InvalidInput, match="eps = 0"):
        Coalescence(np.arange(10), 10).mixing_time(0.0)
    with pytest.raises(InvalidInput, match="replicas, steps"):
        grand_coupling(MODEL, jax.random.key(0), 0, 10)
    frozen = models.ising_model(laws.named_graph("complete", 8), 2.0)
    with pytest.raises(NotCoalesced, match="8 of 8"):
        perfect_samples(frozen, jax.random.key(0), 8, max_steps=16)
    assert (grand_coupling(frozen, jax.random.key(0), 8, 16).times == -1).all()
