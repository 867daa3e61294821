"""The denoiser against enumeration of all noise, and the chain against what is known in closed form."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.errors import InvalidInput
from theory.language.denoising import MASK, Denoiser, Noise, RefinementChain
from theory.language.parallel_language import ParallelLanguage

SOURCE = (0, 1, 2)


def registers(weights: tuple[float, ...], noise: Noise) -> Denoiser:
    law = ParallelLanguage(weights, words=8, branching=2).target_law(SOURCE, len(SOURCE))
    return Denoiser(law.sequences, law.probabilities, noise)


def slow_factors(denoiser: Denoiser, given_input: tuple[int, ...]) -> np.ndarray:
    """Bayes' rule with r on a fine grid, position by position."""
    noise = denoiser.noise
    ratios = (np.arange(20_000) + 0.5) / 20_000 if noise.ratio is None else np.array([noise.ratio])
    result = np.zeros((denoiser.length, denoiser.symbols))
    random = noise.replace / noise.tokens
    for sequence, probability in zip(denoiser.sequences, denoiser.probabilities, strict=True):
        for position, token in enumerate(sequence):
            product = np.ones_like(ratios)
            for place, (seen, true) in enumerate(zip(given_input, sequence, strict=True)):
                if seen == MASK:
                    noised = ratios * (1 - noise.keep - noise.replace)
                else:
                    noised = ratios * ((seen == true) * noise.keep + random)
                certain = denoiser.weighting == "noise" and place == position
                product *= noised + (0 if certain or seen != true else 1 - ratios)
            result[position, token] += probability * product.mean()
    return result / result.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("weighting", ["all", "noise"])
@pytest.mark.parametrize("ratio", [None, 0.15, 1.0])
@given(seed=st.integers(0, 1000))
def test_factors_are_those_of_bayes(weighting: Literal["all", "noise"], ratio: float | None, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sequences = np.unique(generator.integers(0, 3, (5, 4)), axis=0)
    law = generator.dirichlet(np.ones(len(sequences)))
    denoiser = Denoiser(sequences, law, Noise(ratio, 0.2, 0.3, tokens=4), weighting)
    given_input = generator.integers(-1, 4, 4)
    found = denoiser.factors(given_input[None])[0]
    np.testing.assert_allclose(found, slow_factors(denoiser, tuple(given_input)), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_noise_is_a_law() -> None:
    noise = Noise(None, 0.1, 0.2, tokens=3)
    table, total = noise.likelihoods(3), 0.0
    for seen in itertools.product((MASK, 0, 1, 2), repeat=3):
        same = sum(token == 0 for token in seen)
        other = sum(token > 0 for token in seen)
        total += table[same, other]
    assert total == pytest.approx(1, abs=1e-12)


def test_from_masks_it_predicts_the_marginals() -> None:
    language = ParallelLanguage((0.5, 0.3, 0.2), words=8, branching=2, doubling=0.4, swap=0.0)
    law = language.target_law(SOURCE, 5)
    denoiser = Denoiser(law.sequences, law.probabilities, Noise())
    masks = np.full((1, 5), MASK)
    marginals = language.marginals(SOURCE, 5)
    np.testing.assert_allclose(denoiser.factors(masks)[0], marginals[:, : denoiser.symbols], atol=1e-12)
    chain = RefinementChain(denoiser)
    one_register = (language.register_of(chain.states)[:, 0] == language.register_of(chain.states).T).all(axis=0)
    assert chain.laws(1)[0] @ one_register == pytest.approx(language.coherent_probability(5), abs=1e-12)


def test_the_majority_wins() -> None:
    denoiser = registers((0.5, 0.5), Noise(tokens=16))
    chain = RefinementChain(denoiser)
    laws = chain.laws(4)
    np.testing.assert_allclose(laws.sum(axis=1), 1, rtol=1e-12)
    coherent = np.isin(chain.states, denoiser.sequences[0]).all(axis=1) | np.isin(
        chain.states, denoiser.sequences[1]
    ).all(axis=1)
    quality = laws @ coherent
    assert quality[0] == pytest.approx(0.25)
    assert (np.diff(quality) > 0).all()
    factors = denoiser.factors(np.array([[0, 1, 10]]))[0]
    assert factors[:, 0].max() == factors[0, 0] > 0.9


def test_a_law_without_uncertainty_needs_one_step() -> None:
    chain = RefinementChain(registers((1.0,), Noise()))
    np.testing.assert_allclose(chain.laws(3), 1.0)


def test_impossible_input_is_named() -> None:
    denoiser = registers((0.5, 0.5), Noise(0.5, 0.0, 0.0))
    with pytest.raises(InvalidInput, match="probability 0"):
        denoiser.factors(np.array([[0, 1, 10]]))
    with pytest.raises(InvalidInput, match="inputs"):
        denoiser.factors(np.array([[0, 1]]))
    with pytest.raises(InvalidInput, match="probabilities"):
        Denoiser(denoiser.sequences, np.array([0.5, 0.6]), Noise())
    with pytest.raises(InvalidInput, match="sequences"):
        Denoiser(denoiser.sequences - 3, denoiser.probabilities, Noise())
    with pytest.raises(InvalidInput, match="weighting"):
        Denoiser(denoiser.sequences, denoiser.probabilities, Noise(), "mask")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="steps"):
        RefinementChain(denoiser).laws(0)


@pytest.mark.parametrize(
    "options", [{"ratio": 0.0}, {"ratio": 1.5}, {"keep": -0.1}, {"keep": 0.6, "replace": 0.5}, {"tokens": 0}]
)
def test_bad_noise_is_named(options: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match=next(reversed(options))):
        Noise(**options)  # type: ignore[arg-type]
