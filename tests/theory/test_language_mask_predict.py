"""The exact twin of mask-predict: against a decision tree by hand, and against the T5's own refinement step."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from theory.decoding import RULES
from theory.decoding.refinement import MaskPredict
from theory.language.denoising import MASK, Denoiser, Noise, RefinementChain
from theory.language.mask_predict import DenoiserPredictor, decoded_law

FALSE_ALARM = 1e-4
"""Chance that right draws fail the chi-squared test below."""


@pytest.fixture(scope="module")
def chain() -> RefinementChain:
    """Three positions, up to three tokens each, no two probabilities alike."""
    generator = np.random.default_rng(4)
    sequences = np.array([x for x in itertools.product(range(3), repeat=3) if x[2] < 2])
    weights = generator.random(len(sequences)) ** 2
    return RefinementChain(Denoiser(sequences, weights / weights.sum(), Noise(tokens=3)))


def by_hand(chain: RefinementChain, steps: int) -> dict[tuple[int, ...], float]:
    """Every path of draws, one after the other."""
    length = 3
    law: dict[tuple[int, ...], float] = {}

    def go(step: int, tokens: tuple[int, ...], confidence: tuple[float, ...], probability: float) -> None:
        again = sorted(range(length), key=lambda i: (round(confidence[i], 12), i))[: length * (steps - step) // steps]
        if step == steps:
            law[tokens] = law.get(tokens, 0.0) + probability
            return
        masked = list(range(length)) if step == 0 else again
        seen = [MASK if i in masked else tokens[i] for i in range(length)]
        factors = chain.denoiser.factors(np.array([seen]))[0]
        for draw in itertools.product(range(3), repeat=len(masked)):
            chance = np.prod([factors[i, a] for i, a in zip(masked, draw, strict=True)])
            if not chance:
                continue
            new, trust = list(tokens), list(confidence)
            for i, a in zip(masked, draw, strict=True):
                new[i], trust[i] = a, float(factors[i, a])
            go(step + 1, tuple(new), tuple(trust), probability * float(chance))

    go(0, (MASK,) * length, (0.0,) * length, 1.0)
    return law


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_the_twin_equals_a_decision_tree_by_hand(chain: RefinementChain, steps: int) -> None:
    expected = by_hand(chain, steps)
    found = decoded_law(chain, MaskPredict(), steps)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    for state, probability in zip(chain.states.tolist(), found, strict=True):
        assert probability == pytest.approx(expected.get(tuple(state), 0.0), abs=1e-12)


def test_one_step_is_the_product_of_the_marginals(chain: RefinementChain) -> None:
    np.testing.assert_allclose(decoded_law(chain, MaskPredict(), 1), chain.laws(1)[0], atol=1e-12)
    np.testing.assert_allclose(decoded_law(chain, RULES["one-shot"](), 1), chain.laws(1)[0], atol=1e-12)


def test_the_predictor_shows_what_it_is_given(chain: RefinementChain) -> None:
    predictor = DenoiserPredictor(chain)
    laws = predictor.predict(np.array([[3, 1, 3], [0, 1, 0]]))
    np.testing.assert_array_equal(laws[0, 1], [0, 1, 0])
    np.testing.assert_array_equal(laws[1], np.eye(3)[[0, 1, 0]])
    np.testing.assert_allclose(laws[0, 0], chain.denoiser.factors(np.array([[MASK, 1, MASK]]))[0, 0])
    assert laws[0, 2, 2] == 0


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("steps", [2, 3])
def test_the_refinement_step_of_the_t5_draws_the_twin(chain: RefinementChain, steps: int) -> None:
    """A network that gives exactly the denoiser's laws, decoded by the real step: chi-squared over the outputs."""
    import jax
    import jax.numpy as jnp

    from simulators.t5.decoding.hypotheses import make_hypotheses
    from simulators.t5.decoding.refinement_step import first_state, refine
    from simulators.t5.decoding.rejecters import LinearSchedule
    from simulators.t5.decoding.settings import RefinementSettings, Sampling
    from simulators.t5.network.config import T5Config

    count, first = 20_000, 3
    config = T5Config(vocab_size=first + 3, decoder="refinement", max_target_length=8)
    digits = np.array(list(itertools.product(range(4), repeat=3)))
    factors = chain.denoiser.factors(np.where(digits == 3, MASK, digits))
    table = np.full((64, 8, first + 3), -np.inf, np.float32)
    with np.errstate(divide="ignore"):
        table[:, :3, first:] = np.log(factors)
    table = np.maximum(table, -60)

    def states(tokens: jax.Array, *rest: Any) -> tuple[jax.Array, None]:
        digit = jnp.where(tokens >= config.vocab_size, 3, tokens - first)[:, :3]
        return jnp.asarray(table)[digit @ jnp.array([16, 4, 1])], None

    network = SimpleNamespace(config=config, embed=lambda tokens: tokens, decoder=states, logits=lambda values: values)
    settings = RefinementSettings(
        steps=steps, rejecter=LinearSchedule(), replacement="initial", update="rejected", sampling=Sampling(1.0)
    )
    rows = make_hypotheses(np.full((count, 1), 4), np.ones(count, bool), 1, 1, 8, 1)
    now = first_state(config, settings, rows, jnp.arange(count), jax.random.key(5), 8)
    for step in range(steps):
        now = refine(
            network,  # type: ignore[arg-type]
            settings,
            now,
            jnp.ones((count, 1), bool),
            None,
            step=jnp.int32(step),
            steps=jnp.int32(steps),
        )
    outputs = np.asarray(now.output)[:, :3] - first
    counts = np.array([(outputs == state).all(axis=1).sum() for state in chain.states])
    assert counts.sum() == count
    expected = count * decoded_law(chain, MaskPredict(), steps)
    likely = expected > 5
    statistic = ((counts - expected)[likely] ** 2 / expected[likely]).sum()
    assert statistic < chi2.isf(FALSE_ALARM, likely.sum() - 1)
    wrong = count * chain.laws(steps)[-1]
    assert ((counts - wrong)[likely] ** 2 / np.maximum(wrong[likely], 1)).sum() > chi2.isf(1e-12, likely.sum() - 1)
