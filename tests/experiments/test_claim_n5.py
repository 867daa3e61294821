"""N5 holds on a small instance with stand-ins for networks, and planted falsehoods are found."""

from __future__ import annotations

import numpy as np
import pytest

import experiments.claims.n5_adaptive_masks as n5
from experiments.claim import Verdict, no_progress
from experiments.records import compute, draw
from tests.law_examples import with_noise
from theory.conditionals import ConditionalModel, MaskAwareConditionals, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_ising
from theory.masks import AdaptiveMaskLaw, MaskLaw
from theory.parameters import build
from theory.samplers import k_parallel

HOLDS, VIOLATED, INCONCLUSIVE = Verdict.HOLDS, Verdict.VIOLATED, Verdict.INCONCLUSIVE
SMALL = {
    "sites": 3,
    "scale": 0.5,
    "laws": 5,
    "sizes": (1,),
    "strengths": (-0.5, 0.0, 0.5),
    "repetitions": 30,
    "samples": (500, 50_000),
}
NAMES = ["keeps p", "fits", "trace", "gap", "bound", "mismatch uniform", "mismatch adaptive"]


def noisy(
    law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw, learning: object, seed: int, samples: int
) -> ConditionalModel:
    """What masked training tends to, with noise on the log-odds that falls with the data."""
    exact = MaskAwareConditionals(law, masks) if isinstance(masks, AdaptiveMaskLaw) else TableConditionals(law)

    return with_noise(exact, seed, 3 / np.sqrt(samples))


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n5, "learn", noisy)


def verdicts(**changes: object) -> dict[str, Verdict]:
    findings = n5.compute(build(n5.Parameters, values={**SMALL, **changes}), 0, no_progress)
    return dict(zip(NAMES, [check.verdict for check in findings.checks], strict=True))


def broken(**changes: object) -> set[str]:
    return {name for name, verdict in verdicts(**changes).items() if verdict is VIOLATED}


def test_holds_and_draws_every_figure() -> None:
    record = compute(n5.CLAIM, build(n5.Parameters, values=SMALL), 0, "quick")
    assert record["verdict"] == "holds", record["checks"]
    assert len(draw(n5.CLAIM, record, ("svg",))) == len(n5.CLAIM.figures)
    exact = {(row["trained"], row["sampled"]): row["exact"] for row in record["data"]["networks"]}
    assert {names for names, distance in exact.items() if distance < 1e-12} == {
        ("uniform", "uniform"),
        ("adaptive", "adaptive"),
        ("uniform", "reweighted"),
    }


def test_masks_prefer_surprise_by_the_stated_power() -> None:
    law = random_ising(3, np.random.default_rng(0), 0.6)
    masks = n5.surprise.surprise_masks(law, 2, 0.5)
    assert isinstance(masks, AdaptiveMaskLaw)
    for number, sequence in enumerate(law.sequences):
        weights = []
        for mask in masks.masks:
            kept = tuple(slice(None) if site in mask else sequence[site] for site in range(3))
            weights.append((law.table[tuple(sequence)] / law.table[kept].sum()) ** -0.5)
        np.testing.assert_allclose(masks.probabilities[:, number], np.array(weights) / sum(weights), rtol=1e-12)
    assert isinstance(n5.surprise.surprise_masks(law, 2, 0.0), MaskLaw)


def test_masks_that_avoid_surprise_are_found_to_be_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n5.surprise.surprise_masks
    monkeypatch.setattr(n5.surprise, "surprise_masks", lambda law, size, strength: right(law, size, -strength))
    found = verdicts()
    assert found["trace"] is VIOLATED
    assert found["gap"] is not HOLDS


def test_dynamics_that_do_not_know_the_mask_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(n5.surprise, "block_gibbs", k_parallel)
    assert "keeps p" in broken()


def test_a_wrong_covariance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n5.surprise.asymptotic_covariance
    monkeypatch.setattr(n5.surprise, "asymptotic_covariance", lambda *arguments: 3 * right(*arguments))
    assert broken() == {"fits"}


def test_a_bound_that_is_too_small_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = n5.stationary_distance_bound
    monkeypatch.setattr(n5, "stationary_distance_bound", lambda *arguments: 0.01 * right(*arguments))
    assert broken() == {"bound"}


def test_networks_that_learn_the_other_masks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    law = random_ising(3, np.random.default_rng([0, 1, 0]), 0.5)
    other = {True: n5.k_uniform(3, 1), False: n5.surprise.surprise_masks(law, 1, 0.5)}

    def swapped(law: JointLaw, masks: MaskLaw | AdaptiveMaskLaw, *rest: object) -> ConditionalModel:
        return noisy(law, other[isinstance(masks, AdaptiveMaskLaw)], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(n5, "learn", swapped)
    assert {"mismatch uniform", "mismatch adaptive"} <= broken()


def test_masks_larger_than_the_model_are_refused() -> None:
    with pytest.raises(InvalidInput, match="sizes"):
        verdicts(sizes=(4,))
