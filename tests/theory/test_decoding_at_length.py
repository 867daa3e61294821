"""Exact costs and best schedules of chains at length, against subset entropies and exhaustive recursions."""

from __future__ import annotations

from itertools import product
from math import ceil, log2

import numpy as np
import pytest

from tests.theory.test_laws_length import LAWS, markov
from theory.conditionals import TableConditionals
from theory.decoding.entropies import SubsetEntropies
from theory.decoding.known_sequence import KnownSequence
from theory.decoding.optimal import optimal_schedules, optimal_sizes
from theory.decoding.output_law import output_law, random_order_error, total_correlations
from theory.decoding.schedules import Schedule, cut, one_shot
from theory.decoding.stationary_chain import best_schedule, information_curve, least_costs, schedule_costs
from theory.decoding.treedepth import chain_schedule, exact_schedule, forest_schedule, tree_schedule
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import HiddenMarkovLaw, MarkovLaw


def random_schedule(sites: int, generator: np.random.Generator) -> Schedule:
    steps = np.unique(generator.integers(1, 4, size=sites), return_inverse=True)[1]
    return Schedule(sites, tuple(tuple(np.flatnonzero(steps == t).tolist()) for t in range(steps.max() + 1)))


@pytest.mark.parametrize(("sites", "q"), [(1, 2), (2, 3), (5, 3), (8, 2)])
def test_costs_and_curve_agree_with_all_subset_entropies(sites: int, q: int) -> None:
    generator = np.random.default_rng(sites)
    law, table = markov(1, sites, q)
    assert isinstance(law, MarkovLaw)
    entropies = SubsetEntropies(table)
    np.testing.assert_allclose(information_curve(law), entropies.information_curve(), atol=1e-13)
    for _ in range(20):
        schedule = random_schedule(sites, generator)
        np.testing.assert_allclose(schedule_costs(law, schedule), total_correlations(entropies, schedule), atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sites", [1, 3, 6, 8])
def test_best_schedule_agrees_with_the_recursion_over_subsets(sites: int, seed: int) -> None:
    transition = np.random.default_rng(seed).dirichlet(np.full(2, 0.4), size=2)
    law = MarkovLaw(transition, sites)
    table = law.stationary
    for _ in range(sites - 1):
        table = table[..., None] * law.transition
    expected = optimal_schedules(JointLaw(table)).errors
    np.testing.assert_allclose(least_costs(law, sites), expected, atol=1e-13)
    for steps in range(1, sites + 1):
        schedule = best_schedule(law, steps)
        assert schedule.length <= steps
        assert schedule_costs(law, schedule).sum() == pytest.approx(expected[steps - 1], abs=1e-13)


def test_best_schedule_at_length_is_what_it_says() -> None:
    law = MarkovLaw(np.random.default_rng(4).dirichlet(np.full(5, 0.2), size=5), 100)
    costs = least_costs(law, 7)
    for steps in (2, 3, 5, 7):
        assert schedule_costs(law, best_schedule(law, steps)).sum() == pytest.approx(costs[steps - 1], abs=1e-11)
    # Local search does not improve it: moving any one site to another step.
    schedule = best_schedule(law, 3)
    step_of = {site: t for t, step in enumerate(schedule.steps) for site in step}
    generator = np.random.default_rng(0)
    for _ in range(200):
        moved = dict(step_of)
        moved[int(generator.integers(100))] = int(generator.integers(3))
        steps = [tuple(site for site in range(100) if moved[site] == t) for t in range(3)]
        if all(steps):
            assert schedule_costs(law, Schedule(100, tuple(steps))).sum() >= costs[2] - 1e-11


def test_best_sizes_agree_with_the_quadratic_recursion() -> None:
    law = MarkovLaw(np.random.default_rng(5).dirichlet(np.full(3, 0.3), size=3), 40)
    curve = information_curve(law)
    frontier = optimal_sizes(curve)
    best = np.full(41, np.inf)
    best[0] = 0.0
    for steps in range(1, 41):
        best = np.array(
            [
                min(
                    (best[a] + (b - a) * (curve[a + 1] - curve[a]) - curve[b] + curve[a] for a in range(b)),
                    default=np.inf,
                )
                for b in range(41)
            ]
        )
        assert frontier.errors[steps - 1] == pytest.approx(max(best[40], 0.0), abs=1e-12)
        assert random_order_error(curve, frontier.sizes[steps - 1]) == pytest.approx(best[40], abs=1e-12)


def test_best_sizes_refuse_a_curve_that_no_law_has() -> None:
    with pytest.raises(InvalidInput, match="increments"):
        optimal_sizes(np.array([0.0, 1.0, 3.0]))


@pytest.mark.parametrize(("order", "sites", "calls"), [(1, 7, 3), (1, 6, 3), (2, 7, 5), (3, 7, 6)])
def test_treedepth_schedules_are_exact(order: int, sites: int, calls: int) -> None:
    _, table = markov(order, sites, 2)
    schedule = chain_schedule(sites, order)
    assert schedule.length <= calls
    result = output_law(TableConditionals(table), schedule)
    assert total_variation(result.table, table.table) < 1e-15


@pytest.mark.parametrize("sites", [1, 2, 7, 8, 255, 256])
def test_treedepth_of_a_chain(sites: int) -> None:
    assert chain_schedule(sites).length == ceil(log2(sites + 1))
    assert chain_schedule(11, 2).length == 6


@pytest.mark.parametrize("name", ["order 1", "order 1 with zeros", "order 2", "order 3", "tree", "copying"])
def test_the_graph_of_a_law_gives_an_exact_schedule(name: str) -> None:
    law, table = LAWS[name]()
    schedule = exact_schedule(law)
    assert schedule is not None
    assert schedule.length < law.sites
    assert total_variation(output_law(TableConditionals(table), schedule).table, table.table) < 1e-14


@pytest.mark.parametrize("seed", range(6))
def test_centroids_of_random_trees(seed: int) -> None:
    generator = np.random.default_rng(seed)
    sites = int(generator.integers(1, 80))
    parents = [-1] + [int(generator.integers(site)) for site in range(1, sites)]
    schedule = tree_schedule(parents)
    assert schedule.length <= int(log2(sites)) + 1
    level = {site: number for number, step in enumerate(schedule.steps) for site in step}
    beside = [[j for j in range(sites) if parents[j] == i or parents[i] == j] for i in range(sites)]
    for site in range(sites):
        # No path leads from a site to another of its level without one of an earlier level.
        reached, pending = {site}, [site]
        while pending:
            for other in beside[pending.pop()]:
                if other not in reached and level[other] >= level[site]:
                    reached.add(other)
                    pending.append(other)
        assert [other for other in reached if level[other] == level[site]] == [site]


def test_what_is_hidden_for_good_has_no_exact_schedule() -> None:
    for name in ("hidden Markov", "mixture", "urn"):
        law, _ = LAWS[name]()
        assert exact_schedule(law) is None
        with pytest.raises(InvalidInput, match="treedepth"):
            KnownSequence(law).exact_schedule()
    # A chain that does not start stationary: hidden Markov, but every token shows its state.
    chain = HiddenMarkovLaw([0.9, 0.1], [[0.7, 0.3], [0.4, 0.6]], np.eye(2), 9)
    assert exact_schedule(chain) == chain_schedule(9)
    assert exact_schedule(HiddenMarkovLaw([1.0], [[1.0]], [[0.2, 0.8]], 9)) == one_shot(9)


def test_a_forest_of_any_graph() -> None:
    # A ring of 6 with weights that no symmetry saves; site 0 cut out, then the path of the rest.
    generator = np.random.default_rng(6)
    edges = [(i, (i + 1) % 6) for i in range(6)]
    weights = {edge: generator.random((2, 2)) + 0.1 for edge in edges}
    table = np.ones((2,) * 6)
    for x in product(range(2), repeat=6):
        table[x] = np.prod([weights[i, j][x[i], x[j]] for i, j in edges])
    law = JointLaw.from_weights(table)
    schedule = forest_schedule([-1, 3, 1, 0, 5, 3], edges)
    assert schedule.length == 4
    assert total_variation(output_law(TableConditionals(law), schedule).table, law.table) < 1e-15
    with pytest.raises(InvalidInput, match="ancestor"):
        forest_schedule([-1, 0, 0, 0, 0, 0], edges)
    # The check can fail: merging two levels is no longer exact.
    merged = Schedule(6, (schedule.steps[0] + schedule.steps[1], *schedule.steps[2:]))
    assert total_variation(output_law(TableConditionals(law), merged).table, law.table) > 1e-4


def test_no_schedule_is_exact_for_a_hidden_markov_model_but_one_at_a_time() -> None:
    from tests.theory.test_laws_length import hidden_markov

    _, table = hidden_markov()
    errors = optimal_schedules(table).errors
    assert (errors[:-1] > 1e-8).all()
    assert errors[-1] < 1e-12


def test_strided_steps_by_hand() -> None:
    law = MarkovLaw([[0.9, 0.1], [0.2, 0.8]], 6)
    order = [0, 3, 1, 4, 2, 5]
    h, single = law.gap_entropies, law.first_entropy
    first = single - h[3]
    second = (h[1] + h[2] - h[3]) + h[1] - ((h[1] + h[2] - h[3]) + h[1])
    third = (h[1] + h[1] - h[2]) + h[1] - ((h[1] + h[1] - h[2]) + h[1])
    np.testing.assert_allclose(schedule_costs(law, cut(order, (2, 2, 2))), [first, second, third], atol=1e-14)
