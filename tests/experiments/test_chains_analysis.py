"""The record of a chain against closed forms, brute force and a peer's package."""

from __future__ import annotations

import numpy as np
import pytest
import quantecon

from experiments.chains.analysis import analyse
from experiments.chains.curve import draw_curve
from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_chain, build_law
from theory.conditionals import TableConditionals
from theory.laws import JointLaw, parity_law, product_law
from theory.masks import k_uniform, parse_masks
from theory.samplers import SAMPLERS, block_gibbs, independent_parallel


def record_of(spec: ModelSpec, sampler: str = "k-gibbs", masks: str | None = None, temperature: float = 1.0, **options):
    law = build_law(spec)
    chosen = None if masks is None else parse_masks(masks, law.sites)
    chain = build_chain(law, sampler, chosen, temperature)
    return analyse(law, chain, block_masks=chosen if sampler == "k-gibbs" and temperature == 1 else None, **options)


def brute_force_mixing_time(matrix: np.ndarray, epsilon: float = 0.25) -> int:
    stationary = quantecon.MarkovChain(matrix).stationary_distributions[0]
    power, steps = np.eye(len(matrix)), 0
    while 0.5 * np.abs(power - stationary).sum(axis=1).max() > epsilon:
        power, steps = power @ matrix, steps + 1
    return steps


def test_the_known_mixing_time_of_the_ising_ring() -> None:
    record = record_of(ModelSpec("ising", sites=8, coupling=0.5, field=0.1), masks="k-uniform:k=1")
    assert record["states"] == 256
    assert record["mixing_time"] == 44
    assert record["reversible"] is True
    assert record["stationary_tv_to_target"] < 1e-12
    assert set(record["mixing_time_bounds"]) == {"bottleneck", "relaxation time", "entropy contraction", "Dobrushin"}
    for lower, upper in record["mixing_time_bounds"].values():
        assert lower <= 44 <= (np.inf if upper is None else upper)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("model", "symbols"), [("ising", 2), ("random", 3), ("markov", 2)])
def test_mixing_times_agree_with_powers_of_the_matrix(sampler: str, model: str, symbols: int) -> None:
    spec = ModelSpec(model, sites=4 if symbols == 2 else 3, symbols=symbols, coupling=0.6, field=0.15, seed=2)
    law = build_law(spec)
    masks = None if SAMPLERS[sampler].uses_masks == "none" else k_uniform(law.sites, 2)
    chain = build_chain(law, sampler, masks)
    record = analyse(law, chain)
    if record["closed_classes"] > 1:
        pytest.skip("reducible: covered below")
    if record["transient_states"] == 0 and record["periods"] == [1]:
        assert record["mixing_time"] == brute_force_mixing_time(chain.to_dense())
    for lower, upper in record["mixing_time_bounds"].values():
        assert (lower or 0) <= record["mixing_time"] <= (np.inf if upper is None else upper)


def test_product_law_has_the_gap_of_independent_resampling() -> None:
    law = product_law(np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5]]))
    record = analyse(law, block_gibbs(TableConditionals(law), k_uniform(3, 1)), block_masks=k_uniform(3, 1))
    assert record["spectral_gap"] == pytest.approx(1 / 3, rel=1e-12)
    assert record["relaxation_time"] == pytest.approx(3, rel=1e-12)


def test_two_sites_in_parallel_in_closed_form() -> None:
    law = JointLaw(np.array([[0.45, 0.05], [0.05, 0.45]]))
    record = analyse(law, independent_parallel(TableConditionals(law)))
    assert record["stationary_tv_to_target"] == pytest.approx(0.4, abs=1e-12)  # the law in the limit is uniform
    assert record["stationary_kl_to_target"] == pytest.approx(0.5 * np.log(0.25 / 0.45 * 0.25 / 0.05), abs=1e-12)


def test_a_disconnected_support_names_its_classes_and_divides_by_nothing() -> None:
    record = record_of(ModelSpec("parity", sites=4))
    assert record["states"] == 8  # the even sequences
    assert record["closed_classes"] == 8
    assert record["mixing_time"] is None
    assert "8 closed classes" in record["mixing_time_reason"]
    assert record["relaxation_time"] is None
    assert record["stationary_tv_to_target"] is None
    assert record["mixing_time_bounds"] == {}
    assert [entry["target_mass"] for entry in record["classes"]] == [0.125] * 8


def test_masking_two_tokens_connects_the_parity_law() -> None:
    law = parity_law(4)
    masks = k_uniform(4, 2)
    record = analyse(law, block_gibbs(TableConditionals(law), masks), block_masks=masks)
    assert record["closed_classes"] == 1
    assert record["stationary_tv_to_target"] < 1e-12
    assert record["mixing_time"] is not None


def test_parallel_updates_leave_the_support_and_the_states_say_so() -> None:
    law = parity_law(3)
    record = analyse(law, build_chain(law, "k-parallel", k_uniform(3, 2)))
    assert record["states"] == 8
    assert record["stationary_tv_to_target"] > 0.4


def test_greedy_decoding_is_a_map_with_fixed_points_and_cycles() -> None:
    record = record_of(ModelSpec("ising", sites=4, coupling=0.5), "independent-parallel", temperature=0.0)
    assert record["mixing_time"] is None
    assert record["closed_classes"] > 1
    assert 2 in record["periods"]  # the checkerboard flips back and forth


def test_the_curve_is_drawn_with_labels() -> None:
    record = record_of(ModelSpec("ising", sites=4, field=0.1), masks="k-uniform:k=1", curve=True)
    figure = draw_curve(record, "title")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "steps t"
    assert "total variation" in axes.get_ylabel()
