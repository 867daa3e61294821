"""The hard-core model against enumeration and known counts of independent sets."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest

from theory.chains import stationary_law
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import named_graph
from theory.laws.hard_core import hard_core
from theory.masks import k_uniform
from theory.samplers import block_gibbs, independent_parallel


@pytest.mark.parametrize("graph", [nx.path_graph(4), nx.star_graph(3), nx.Graph([(2, 0), (0, 1), (1, 2), (2, 3)])])
def test_masses_are_those_of_independent_sets(graph: nx.Graph) -> None:
    place = {node: i for i, node in enumerate(graph)}
    weights = [
        0.0 if any(x[place[a]] and x[place[b]] for a, b in graph.edges) else 1.7 ** sum(x)
        for x in itertools.product((0, 1), repeat=4)
    ]
    np.testing.assert_allclose(
        hard_core(graph, np.log(1.7)).probabilities, np.array(weights) / sum(weights), rtol=1e-13
    )


def test_cycles_have_lucas_and_paths_fibonacci_many_independent_sets() -> None:
    lucas, fibonacci = [2, 1], [0, 1]
    while len(lucas) < 15:
        lucas.append(lucas[-1] + lucas[-2])
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    for sites in range(3, 11):
        assert hard_core(named_graph("cycle", sites)).support.sum() == lucas[sites]
        assert hard_core(named_graph("path", sites)).support.sum() == fibonacci[sites + 2]


def test_masses_that_no_float_holds_are_kept_as_logarithms() -> None:
    law = hard_core(named_graph("path", 4), 800.0)
    assert law.has_tiny_masses
    assert law.probabilities.max() == pytest.approx(1 / 3)  # 1010, 1001 and 0101


def test_glauber_keeps_the_constraint_and_parallel_updates_break_it() -> None:
    law = hard_core(named_graph("cycle", 4), 0.5)
    conditionals = TableConditionals(law)
    assert block_gibbs(conditionals, k_uniform(4, 1)).to_dense()[law.support][:, ~law.support].max() == 0.0
    parallel = independent_parallel(conditionals).to_dense()
    assert parallel[0, 15] == pytest.approx((np.exp(0.5) / (1 + np.exp(0.5))) ** 4)  # all four at once
    assert stationary_law(independent_parallel(conditionals)).law[~law.support].sum() > 0.1


def test_a_fugacity_that_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="log_fugacity"):
        hard_core(named_graph("cycle", 4), np.nan)
