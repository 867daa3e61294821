"""Conditional mutual information against its definition, and the same read from conditionals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.conditionals import FunctionConditionals, TableConditionals
from theory.dependence import conditional_mutual_information, revealed_information
from theory.errors import InvalidInput
from theory.laws import JointLaw, ising, product_law, random_law


def by_definition(law: JointLaw, i: int, j: int) -> float:
    """Sum over all sequences of p(x) ln p(x) p(rest) / (p(x_i, rest) p(x_j, rest))."""
    total = 0.0
    for x, mass in np.ndenumerate(law.table):
        take = [slice(None) if site in (i, j) else x[site] for site in range(law.sites)]
        plane = law.table[tuple(take)] if i < j else law.table[tuple(take)].T
        total += mass * np.log(mass * plane.sum() / (plane[x[i]].sum() * plane[:, x[j]].sum()))
    return total


@given(st.integers(0, 10_000), st.sampled_from([(2, 2), (3, 2), (4, 2), (3, 3)]))
def test_entropies_definition_and_predictions_agree(seed: int, shape: tuple[int, int]) -> None:
    law = random_law(*shape, np.random.default_rng(seed))
    found = conditional_mutual_information(law)
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_allclose(revealed_information(TableConditionals(law), law), found, atol=1e-12)
    for i in range(law.sites):
        for j in range(law.sites):
            assert found[i, j] == pytest.approx(by_definition(law, i, j) if i != j else 0.0, abs=1e-12)


def test_only_coupled_sites_of_an_ising_model_depend_on_each_other() -> None:
    couplings = np.zeros((4, 4))
    couplings[0, 2] = couplings[2, 0] = 0.7
    couplings[1, 2] = couplings[2, 1] = -0.4
    found = conditional_mutual_information(ising(couplings, [0.1, 0.2, -0.3, 0.0]))
    assert (found[couplings == 0] < 1e-12).all()
    assert found[0, 2] > found[1, 2] > 0.02


def test_independent_sites_reveal_nothing() -> None:
    law = product_law(np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]]))
    np.testing.assert_allclose(conditional_mutual_information(law), 0.0, atol=1e-12)
    np.testing.assert_allclose(revealed_information(TableConditionals(law), law), 0.0, atol=1e-12)


def test_a_model_of_another_size_is_refused() -> None:
    model = FunctionConditionals(2, 2, lambda tokens: np.full((len(tokens), 2, 2), 0.5))
    with pytest.raises(InvalidInput, match="law"):
        revealed_information(model, random_law(3, 2, np.random.default_rng(0)))
