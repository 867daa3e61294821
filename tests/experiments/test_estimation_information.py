"""``gmlm information`` against the definitions, computed the slow way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from experiments.estimation.information import ising_information
from theory.errors import InvalidInput
from theory.laws import ising


def literal_covariance(couplings: np.ndarray, fields: np.ndarray, size: int) -> np.ndarray:
    """(E_K E Cov(T | x_-K))^{-1} by enumeration of sequences, masks and contexts."""
    sites = len(fields)
    sequences = np.array(list(itertools.product([-1, 1], repeat=sites)))
    pairs = list(itertools.combinations(range(sites), 2))
    statistics = np.array([[*x, *(x[i] * x[j] for i, j in pairs)] for x in sequences], dtype=float)
    theta = np.concatenate([fields, [couplings[i, j] for i, j in pairs]])
    masses = np.exp(statistics @ theta)
    masses /= masses.sum()
    masks = list(itertools.combinations(range(sites), size))
    information = np.zeros((len(theta),) * 2)
    for mask in masks:
        kept = [i for i in range(sites) if i not in mask]
        for context in itertools.product([-1, 1], repeat=len(kept)):
            inside = (sequences[:, kept] == context).all(axis=1)
            weight = masses[inside].sum()
            centred = statistics[inside] - (masses[inside] / weight) @ statistics[inside]
            information += centred.T @ (masses[inside, None] * centred) / len(masks)
    return np.linalg.inv(information)


@pytest.fixture
def model() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    couplings = np.triu(generator.normal(scale=0.5, size=(4, 4)), 1)
    return couplings + couplings.T, generator.normal(scale=0.3, size=4)


def test_every_number_equals_its_definition(model: tuple[np.ndarray, np.ndarray]) -> None:
    couplings, fields = model
    record = ising_information(ising(couplings, fields), range(1, 5))
    exact = {size: literal_covariance(couplings, fields, size) for size in range(1, 5)}
    assert record["parameters"] == 10
    assert record["trace_inverse_fisher"] == pytest.approx(np.trace(exact[4]), rel=1e-10)
    for row in record["by_k"]:
        size = row["k"]
        assert row["trace_asymptotic_covariance"] == pytest.approx(np.trace(exact[size]), rel=1e-10)
        if size > 1:
            margin = np.linalg.eigvalsh(exact[size - 1] - exact[size])[0]
            assert row["loewner_margin"] == pytest.approx(margin, abs=1e-9)
        margin = np.linalg.eigvalsh(row["poincare_constant"] * exact[4] - exact[size])[0]
        assert row["poincare_margin"] == pytest.approx(margin, abs=1e-9)
    assert record["by_k"][0]["loewner_margin"] is None
    assert record["by_k"][-1]["poincare_constant"] == pytest.approx(1.0, rel=1e-12)


def test_independent_spins_have_the_gap_of_a_product_law() -> None:
    record = ising_information(ising(np.zeros((3, 3)), [0.1, -0.2, 0.3]), [1, 2])
    assert [row["poincare_constant"] for row in record["by_k"]] == pytest.approx([3.0, 1.5])


def test_one_size_alone_still_has_its_loewner_margin(model: tuple[np.ndarray, np.ndarray]) -> None:
    law = ising(*model)
    assert ising_information(law, [3])["by_k"][0] == ising_information(law, range(1, 5))["by_k"][2]


@pytest.mark.parametrize("size", [0, 5])
def test_sizes_outside_the_range(size: int, model: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InvalidInput, match=r"k = .*1\.\.4"):
        ising_information(ising(*model), [size])
