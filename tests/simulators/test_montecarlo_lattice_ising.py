"""The fast lattice is the systematic checkerboard scan: counts against the exact kernel, layout, generator, physics."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from simulators.montecarlo import lattice_ising
from simulators.montecarlo.lattice_ising import LatticeIsing, threefry
from simulators.montecarlo.models import ising_model
from tests.simulators.table_model import checkerboard
from theory import laws
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.samplers import systematic_scan

FALSE_ALARM = 1e-6


def exact_scan(rows: int, columns: int, coupling: float, field: float):
    graph = laws.named_graph("torus", rows * columns, rows=rows)
    return systematic_scan(TableConditionals(laws.ising_on(graph, coupling, field)), checkerboard(rows, columns))


def state_numbers(spins: np.ndarray) -> np.ndarray:
    flat = spins.reshape(len(spins), -1).astype(np.int64)
    return flat @ (1 << np.arange(flat.shape[1])[::-1])


@pytest.mark.parametrize(
    ("rows", "columns", "coupling", "field"),
    [(2, 2, 0.4, 0.2), (4, 2, 0.3, -0.1), (2, 4, -0.5, 0.1), (4, 4, 0.25, 0.1)],
)
def test_a_sweep_follows_the_exact_systematic_scan(rows: int, columns: int, coupling: float, field: float) -> None:
    """Chi-squared of the states after one sweep from two starts, rare states pooled; alarm at most 1e-6 a case."""
    chains, operator = 60_000, exact_scan(rows, columns, coupling, field)
    lattice = LatticeIsing(rows, columns, coupling, field, chains)
    generator = np.random.default_rng(1)
    for seed in range(2):
        start = generator.integers(2, size=(rows, columns))
        after = lattice.sweep(jax.random.key(seed), lattice.init(np.broadcast_to(start, (chains, rows, columns))))
        unit = np.zeros(operator.states)
        unit[state_numbers(start[None])] = 1
        expected = chains * operator.propagate(unit)
        counts = np.bincount(state_numbers(lattice.spins(after)), minlength=operator.states)
        order = np.argsort(expected)
        # Consecutive states, from the rarest on, in pools of at least 20 expected.
        edges = np.searchsorted(np.cumsum(expected[order]), np.arange(0, chains - 20, 20.0))
        pools = np.unique(edges)
        pooled_counts, pooled = (np.add.reduceat(values[order], pools) for values in (counts, expected))
        statistic = ((pooled_counts - pooled) ** 2 / pooled).sum()
        assert stats.chi2.sf(statistic, len(pools) - 1) > FALSE_ALARM / 2


def test_spins_survive_packing_and_halos_are_copies() -> None:
    lattice = LatticeIsing(6, 4, 0.3, chains=7)
    spins = np.random.default_rng(2).integers(2, size=(7, 6, 4))
    state = lattice.init(spins)
    assert np.array_equal(lattice.spins(state), spins)
    state = lattice.sweep(jax.random.key(0), state, 3)
    for half in (state.even, state.odd):
        grid = np.asarray(half).reshape(8, 4, 2)
        assert np.array_equal(grid, np.pad(grid[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0)), mode="wrap"))


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (2, 6), (6, 2), (4, 6)])
def test_recorded_energy_and_magnetisation_are_those_of_the_model(rows: int, columns: int) -> None:
    coupling, field = 0.3, -0.2
    lattice = LatticeIsing(rows, columns, coupling, field, 5)
    model = ising_model(laws.named_graph("torus", rows * columns, rows=rows), coupling, field)
    start = lattice.init(np.random.default_rng(3).integers(2, size=(5, rows, columns)))
    final, draws = lattice.observe(jax.random.key(1), start, draws=4, every=2)
    assert draws["energy"].shape == draws["magnetisation"].shape == (5, 4)
    spins = lattice.spins(final).reshape(5, -1)
    np.testing.assert_allclose(draws["magnetisation"][:, -1], 2 * spins.mean(axis=1) - 1, atol=1e-12)
    weights = [float(model.log_weight(jnp.asarray(x, dtype=jnp.int32))) for x in spins]
    ones = float(model.log_weight(jnp.ones(rows * columns, dtype=jnp.int32)))
    all_up = -(coupling * len(model.edges) + field * rows * columns)
    # Both energies up to their constant, fixed at the configuration of all ones.
    np.testing.assert_allclose(draws["energy"][:, -1] * rows * columns, all_up - (np.array(weights) - ones), atol=1e-5)


def test_the_generator_is_threefry() -> None:
    key, counts = jnp.asarray([3, 2**31 + 7], dtype=jnp.uint32), jnp.arange(10, dtype=jnp.uint32)
    ours = jnp.concatenate(threefry((key[0], key[1]), counts[:5], counts[5:]))
    assert np.array_equal(ours, threefry_2x32(key, counts))


def test_a_run_does_not_depend_on_its_cuts_and_compiles_once() -> None:
    lattice, key = LatticeIsing(4, 6, 0.4, chains=8), jax.random.key(9)
    start = lattice.init(np.zeros((8, 4, 6), dtype=int))
    whole = lattice.sweep(key, start, 5)
    compiled = lattice_ising._sweeps._cache_size()
    parts = lattice.sweep(key, lattice.sweep(key, start, 2), 3)
    assert lattice_ising._sweeps._cache_size() == compiled
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    observed, _ = lattice.observe(key, start, draws=5)
    assert np.array_equal(observed.even, whole.even)
    other = lattice.sweep(jax.random.key(10), start, 5)
    assert not np.array_equal(other.even, whole.even)


def test_chains_and_sweeps_are_independent() -> None:
    """Free spins: pairs of chains and of successive sweeps agree on half of the sites; alarm at most 1e-6."""
    lattice = LatticeIsing(64, 64, 0.0, chains=8)
    state = lattice.init(np.zeros((8, 64, 64), dtype=int))
    seen = []
    for _ in range(3):
        state = lattice.sweep(jax.random.key(5), state)
        seen += list(lattice.spins(state).reshape(8, -1))
    agreements = np.array([(a == b).sum() for i, a in enumerate(seen) for b in seen[:i]])
    tails = 2 * np.minimum(stats.binom.cdf(agreements, 4096, 0.5), stats.binom.sf(agreements - 1, 4096, 0.5))
    assert tails.min() > FALSE_ALARM / len(agreements)


def test_the_energy_of_a_large_lattice_is_onsagers() -> None:
    """At J = 0.3 (disordered, correlation length below 2) the 32 x 32 torus has the infinite lattice's energy.

    Mean over 128 chains of one late draw each, independent, so its standard error is exact: 5 of them, alarm 6e-7.
    """
    coupling = 0.3
    k = 2 * np.sinh(2 * coupling) / np.cosh(2 * coupling) ** 2
    angles = (np.arange(20_000) + 0.5) * np.pi / 40_000
    elliptic = np.mean(1 / np.sqrt(1 - k**2 * np.sin(angles) ** 2))  # times pi / 2
    onsager = -coupling / np.tanh(2 * coupling) * (1 + (2 * np.tanh(2 * coupling) ** 2 - 1) * elliptic)
    lattice = LatticeIsing(32, 32, coupling, chains=128)
    start = lattice.init(np.random.default_rng(4).integers(2, size=(128, 32, 32)))
    _, draws = lattice.observe(jax.random.key(3), start, draws=1, every=300)
    energies = draws["energy"][:, 0]
    assert abs(energies.mean() - onsager) < 5 * energies.std(ddof=1) / np.sqrt(128)


def test_bad_input_names_the_argument() -> None:
    for arguments, match in [
        ((3, 4, 0.1), "rows = 3"),
        ((4, 0, 0.1), "columns = 0"),
        ((4, 4, np.nan), "coupling"),
        ((4, 4, 0.1, np.inf), "field"),
        ((4, 4, 0.1, 0.0, 0), "chains = 0"),
    ]:
        with pytest.raises(InvalidInput, match=match):
            LatticeIsing(*arguments)
    lattice = LatticeIsing(4, 4, 0.1, chains=2)
    for wrong in (np.zeros((2, 4, 2)), np.full((2, 4, 4), 2)):
        with pytest.raises(InvalidInput, match="spins"):
            lattice.init(wrong)
    with pytest.raises(InvalidInput, match="key"):
        lattice.sweep(jax.random.split(jax.random.key(0)), lattice.init(np.zeros((2, 4, 4), dtype=int)))


def test_thresholds_are_monotone_probabilities() -> None:
    lattice = LatticeIsing(4, 4, 20.0, 1.0)
    assert all(a <= b for a, b in pairwise(lattice.thresholds))
    assert lattice.thresholds[0] >= 0
    assert lattice.thresholds[-1] < 2**32
