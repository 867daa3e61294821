"""The split of a divergence against proportional fitting, the whole divergence, closed forms and laws by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.language import ParallelLanguage, TargetLaw
from theory.language.denoising import Denoiser, Noise, RefinementChain
from theory.language.error_split import split_error, with_marginals


def proportionally_fitted(table: np.ndarray, wanted: np.ndarray, rounds: int = 1000) -> np.ndarray:
    """Every position in turn is given its marginal, again and again."""
    fitted = table / table.sum()
    for _ in range(rounds):
        for axis in range(table.ndim):
            others = tuple(set(range(table.ndim)) - {axis})
            fitted = fitted * wanted.sum(axis=others, keepdims=True) / fitted.sum(axis=others, keepdims=True)
    return fitted


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(2, 2), (3, 2, 2), (2, 3, 4)]))
def test_the_nearest_law_is_that_of_proportional_fitting(seed: int, shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(seed)
    table, wanted = (generator.dirichlet(np.ones(np.prod(shape))).reshape(shape) + 0.01 for _ in range(2))
    wanted /= wanted.sum()
    fitted = with_marginals(table, wanted)
    np.testing.assert_allclose(fitted, proportionally_fitted(table, wanted), atol=1e-8)
    # Pythagoras: the two parts are the whole; table need not sum to 1.
    whole = kullback_leibler(wanted, table)
    assert kullback_leibler(wanted, fitted) + kullback_leibler(fitted, table) == pytest.approx(whole, abs=1e-9)


def test_positions_that_depend_on_each_other_wholly_are_fitted() -> None:
    """Two positions that agree but for 1e-6, with odds 9 to 1 that should be 1 to 1."""
    table = np.array([[0.9, 1e-6], [1e-6, 0.1]])
    wanted = np.array([[0.5, 0.0], [0.0, 0.5]])
    fitted = with_marginals(table, wanted)
    np.testing.assert_allclose(fitted.sum(axis=0), 0.5, atol=1e-9)
    # The odds ratio stays that of the table.
    ratio = fitted[0, 0] * fitted[1, 1] / (fitted[0, 1] * fitted[1, 0])
    assert ratio == pytest.approx(0.09 / 1e-12, rel=1e-6)


def test_one_parallel_step_has_the_total_correlation_and_wrong_marginals_their_divergence() -> None:
    language = ParallelLanguage((0.6, 0.4), 6, 1, 0.3, 0.0, 2, 3)
    law = language.target_law((0, 1, 2), 4)
    chain = RefinementChain(Denoiser(law.sequences, law.probabilities, Noise(None, 0.1, 0.1, 40), "noise"))
    first = chain.laws(1)[0]
    tokens, coherence = split_error(law, chain.choices, first)
    assert tokens == pytest.approx(0, abs=1e-12)
    assert coherence == pytest.approx(language.total_correlation((0, 1, 2), 4), abs=1e-9)
    # Another product law: the same coherence error, and the divergences of its marginals.
    generator = np.random.default_rng(0)
    own = [generator.dirichlet(np.ones(len(choice))) for choice in chain.choices]
    product = np.ones(1)
    for each in own:
        product = np.multiply.outer(product, each).reshape(-1)
    apart = sum(
        kullback_leibler([law.probabilities[column == token].sum() for token in choice], each)
        for column, choice, each in zip(law.sequences.T, chain.choices, own, strict=True)
    )
    assert split_error(law, chain.choices, product) == pytest.approx((apart, coherence), abs=1e-9)
    # The truth itself has no error; mixed with an output that is none, ln 2 of tokens.
    truth = np.zeros(len(chain.states))
    for sequence, probability in zip(law.sequences, law.probabilities, strict=True):
        truth[(chain.states == sequence).all(axis=1)] = probability
    assert split_error(law, chain.choices, truth) == pytest.approx((0, 0), abs=1e-9)
    assert split_error(law, chain.choices, truth / 2) == pytest.approx((np.log(2), 0), abs=1e-9)


def test_unusable_input_is_named() -> None:
    law = TargetLaw(np.array([[0, 1], [1, 0]]), np.array([0.5, 0.5]))
    both = [np.array([0, 1])] * 2
    for choices, decoded, message in (
        (both, [0.5, 0.5], "decoded"),
        (both, [-0.1, 0.5, 0.5, 0.1], "decoded"),
        (both, [0.5, 0, 0.5, 0], "infinite"),
        ([np.array([0]), np.array([0, 1])], [0.5, 0.5], "choices"),
    ):
        with pytest.raises(InvalidInput, match=message):
            split_error(law, choices, decoded)
