"""Claims about trained networks: they hold on small instances, and planted falsehoods are found.

Most tests put a stand-in for the trained network: the true conditionals with noise on their log-odds.
"""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import experiments.claims.c10_learned_conditionals_are_incompatible as c10
import experiments.claims.n1_sample_efficiency_of_learned_laws as n1
import experiments.claims.n2_mixing_with_learned_conditionals as n2
import experiments.claims.n3_trained_network_gets_stuck_in_the_clique as n3
from experiments.claim import Findings, Verdict, no_progress
from experiments.learned import Learning, learn, mean_interval
from experiments.records import compute, draw
from tests.law_examples import with_noise
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.incompatibility import rectangle_test
from theory.laws import JointLaw, product_law, random_ising, random_law
from theory.masks import k_uniform, uniform_ratio
from theory.parameters import build
from theory.samplers import k_parallel

HOLDS, VIOLATED = Verdict.HOLDS, Verdict.VIOLATED
SMALL = {
    c10: {"sites": 3, "samples": (50, 500), "seeds": 2},
    n1: {"sites": 3, "family_samples": (2000, 16_000), "repetitions": 40, "network_samples": (50, 5000)},
    n2: {"sites": 4, "k": 2, "last": 20, "seeds": 2},
    n3: {"sites": 5, "clique": 4, "seeds": 3},
}


def noisy(law: JointLaw, masks: object, learning: object, seed: int, samples: int | None = None) -> ConditionalModel:
    """Conditionals that no joint law has, nearer to the law's own the more samples there are."""
    return with_noise(TableConditionals(law), seed, 0.1 if samples is None else 3 / np.sqrt(samples))


def fair(law: JointLaw, *_: object) -> ConditionalModel:
    """Conditionals that know nothing."""
    return TableConditionals(product_law(np.full((law.sites, law.symbols), 1 / law.symbols)))


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in SMALL:
        monkeypatch.setattr(module, "learn", noisy)
    for module in (n2, n3):
        monkeypatch.setattr(module, "untrained", fair)


def findings(module: ModuleType, **changes: object) -> Findings:
    return module.compute(build(module.Parameters, values={**SMALL[module], **changes}), 0, no_progress)


def verdicts(module: ModuleType, **changes: object) -> list[Verdict]:
    return [check.verdict for check in findings(module, **changes).checks]


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.CLAIM.id)
def test_holds_and_draws_every_figure(module: ModuleType) -> None:
    record = compute(module.CLAIM, build(module.Parameters, values=SMALL[module]), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(module.CLAIM, record)) == 2 * len(module.CLAIM.figures)


def test_listing_the_claims_does_not_import_jax() -> None:
    names = ", ".join(f"experiments.claims.{module.__name__.rpartition('.')[2]}" for module in SMALL)
    code = f"import {names}, sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_trained_transformer_is_incompatible() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.5)
    learning = Learning(width=8, steps=60, batch=16)
    model = learn(law, uniform_ratio(3), learning, 0, 500)
    again = learn(law, uniform_ratio(3), learning, 0, 500)
    np.testing.assert_array_equal(model.leave_one_out(), again.leave_one_out())
    assert rectangle_test(model).mean > c10.CLEARLY


def test_c10_finds_compatible_conditionals(monkeypatch: pytest.MonkeyPatch) -> None:
    other = TableConditionals(random_law(3, 2, np.random.default_rng(1)))
    monkeypatch.setattr(c10, "learn", lambda *arguments: other)
    assert verdicts(c10) == [HOLDS, VIOLATED, VIOLATED, HOLDS, HOLDS]


def test_c10_finds_a_bound_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    right = c10.conditional_errors
    monkeypatch.setattr(c10, "conditional_errors", lambda *arguments: 0.1 * right(*arguments))
    assert verdicts(c10) == [HOLDS, HOLDS, HOLDS, VIOLATED, HOLDS]


def test_c10_finds_a_correction_that_does_not_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c10, "metropolis_hastings", lambda model, masks, law: k_parallel(model, k_uniform(3, 2)))
    assert verdicts(c10) == [HOLDS, HOLDS, HOLDS, HOLDS, VIOLATED]


def test_n1_finds_a_wrong_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n1.asymptotic_covariance
    monkeypatch.setattr(n1, "asymptotic_covariance", lambda *arguments: 2 * right(*arguments))
    assert verdicts(n1) == [VIOLATED, VIOLATED, HOLDS]


def test_n1_finds_networks_that_get_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n1, "learn", lambda law, m, s, seed, n: noisy(law, m, s, seed, 250_000 // n))
    assert verdicts(n1) == [HOLDS, HOLDS, VIOLATED]


def test_n1_ranks_the_mask_laws_by_mean_and_on_every_data_set() -> None:
    errors = {"a": (0.3, 0.1, 0.8), "b": (0.2, 0.2, 0.2)}
    rows = [
        n1.Network(10, name, seed, value, 0.0) for name, values in errors.items() for seed, value in enumerate(values)
    ]
    first, second = n1._ranking(rows, 10, "decoded")
    assert (first.masks, first.mean, first.error) == ("b", pytest.approx(0.2), pytest.approx(0.0))
    assert (first.rank, first.best, first.worst) == (pytest.approx(4 / 3), 1, 2)
    assert second.error == pytest.approx(np.std(errors["a"], ddof=1) / np.sqrt(3))


def test_n2_finds_bounds_that_are_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, plateau = n2.divergence_of_runs_bound, n2.stationary_distance_bound
    with monkeypatch.context() as patch:
        patch.setattr(n2, "divergence_of_runs_bound", lambda *arguments: 0.05 * runs(*arguments))
        assert verdicts(n2) == [HOLDS, VIOLATED, HOLDS, HOLDS]
    with monkeypatch.context() as patch:
        patch.setattr(n2, "stationary_distance_bound", lambda *arguments: 0.05 * plateau(*arguments))
        assert verdicts(n2) == [HOLDS, HOLDS, VIOLATED, HOLDS]


def test_n2_finds_a_sampler_that_is_not_gibbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n2, "block_gibbs", k_parallel)
    assert verdicts(n2) == [VIOLATED, HOLDS, HOLDS, HOLDS]


def test_n2_says_so_where_training_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n2, "untrained", lambda law, learning, seed: noisy(law, None, learning, seed))
    found = findings(n2).checks
    assert found[3].verdict is VIOLATED
    assert found[1].power == found[2].power == 0


def test_n3_finds_networks_that_are_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n3, "learn", lambda *arguments: fair(arguments[0]))
    assert verdicts(n3, couplings=(1.0,)) == [HOLDS, HOLDS, VIOLATED]


def test_n3_finds_wrong_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(n3, "redraw_probability", lambda *arguments: 0.9)
        assert verdicts(n3) == [HOLDS, VIOLATED, HOLDS, HOLDS]
    with monkeypatch.context() as patch:
        patch.setattr(n3, "escape_probability_bound", lambda *arguments: 1e-9)
        assert verdicts(n3)[0] is VIOLATED
        assert verdicts(n3)[2:] == [VIOLATED, VIOLATED]


def test_bad_parameters_are_named() -> None:
    with pytest.raises(InvalidInput, match="clique"):
        findings(n3, clique=6)
    with pytest.raises(InvalidInput, match="couplings"):
        findings(n3, couplings=(0.04,))
    with pytest.raises(InvalidInput, match="seeds"):
        mean_interval([1.0])


def test_interval_has_its_level() -> None:
    generator = np.random.default_rng(0)
    intervals = [mean_interval(generator.normal(size=4), 0.9) for _ in range(2000)]
    missed = sum(not low <= 0 <= high for low, high in intervals)
    # Binomial(2000, 0.1): 5 standard errors, false alarm 6e-7.
    assert abs(missed - 200) < 5 * np.sqrt(2000 * 0.1 * 0.9)
