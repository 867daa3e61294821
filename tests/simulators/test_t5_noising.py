"""Noising: what it may touch, how often it touches it, and weights of the first stage."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, kstest

from simulators.t5.network.config import T5Config
from simulators.t5.training.noising import noise, open_positions
from simulators.t5.training.objective import stage_weights
from simulators.t5.training.settings import NoiseSettings
from tests.simulators.t5_examples import sentences, small_config
from theory.errors import InvalidInput

FALSE_ALARMS = 1e-6
"""Probability, over keys, that a correct sampler fails one statistical test."""


def refinement(**options: object) -> T5Config:
    return small_config(decoder="refinement", **options)


def targets(count: int = 400, seed: int = 0) -> NDArray[np.int32]:
    return sentences(count, seed).astype(np.int32)


def plausible(successes: int, trials: int, probability: float, tests: int = 1) -> bool:
    """Whether a binomial count is inside its central interval, Bonferroni-corrected for so many tests."""
    tail = FALSE_ALARMS / tests / 2
    return bool(binom.ppf(tail, trials, probability) <= successes <= binom.isf(tail, trials, probability))


@pytest.mark.parametrize("range_masks", [False, True])
def test_eos_and_padding_are_never_noised_and_the_rest_is_what_it_says(range_masks: bool) -> None:
    config = refinement(range_masks=range_masks)
    target = targets()
    tokens, noised, masked = map(np.asarray, noise(jax.random.key(0), jnp.asarray(target), config, NoiseSettings(1.0)))
    closed = ~np.asarray(open_positions(jnp.asarray(target), config))
    np.testing.assert_array_equal(closed, (target == config.pad_token_id) | (target == config.eos_token_id))
    np.testing.assert_array_equal(tokens[closed], target[closed])
    np.testing.assert_array_equal(noised, ~closed)
    # A mask is the one of its position; no mask symbol can be mistaken for a piece, or for LENGTH.
    position = np.broadcast_to(np.arange(target.shape[1]), target.shape)
    expected = config.first_range_mask_id + position if range_masks else np.full_like(target, config.mask_id)
    np.testing.assert_array_equal(tokens[masked], expected[masked])
    assert (tokens[~masked] < config.vocab_size).all()
    assert not np.isin(tokens, config.length_id).any()
    # What became of a token that is not masked is a token; never EOS or padding inside a target.
    assert not np.isin(tokens[noised], (config.pad_token_id, config.eos_token_id)).any()


def test_noised_tokens_stay_become_random_or_masks_with_their_probabilities() -> None:
    config, target = refinement(), targets(2000)
    settings = NoiseSettings(0.6, correct=0.2, random=0.3)
    tokens, noised, masked = map(np.asarray, noise(jax.random.key(1), jnp.asarray(target), config, settings))
    is_open = np.asarray(open_positions(jnp.asarray(target), config))
    total = int(noised.sum())
    assert plausible(total, int(is_open.sum()), 0.6, 4)
    assert plausible(int(masked.sum()), total, 0.5, 4)
    changed = noised & ~masked & (tokens != target)
    # A random piece is the right one by chance with probability 1/(V - 2).
    assert plausible(int(changed.sum()), total, 0.3 * (1 - 1 / (config.vocab_size - 2)), 4)
    pieces = tokens[changed]
    assert plausible(int((pieces < config.vocab_size // 2).sum()), len(pieces), (350 - 2) / 698, 4)
    np.testing.assert_array_equal(tokens[~noised], target[~noised])


def test_uniform_density_is_uniform_over_targets() -> None:
    """Share of noised tokens of long targets against U(0, 1): Kolmogorov-Smirnov, false-alarm rate below 1e-6."""
    config = refinement(max_target_length=600)
    target = np.full((500, 600), 7, np.int32)
    target[:, -1] = config.eos_token_id
    _, noised, _ = noise(jax.random.key(2), jnp.asarray(target), config, NoiseSettings())
    shares = np.asarray(noised).sum(axis=1) / 599
    # A binomial share differs from its density by up to five standard errors, 0.1, which shifts the law by as much.
    assert kstest(shares, "uniform").statistic < 0.1 + math.sqrt(math.log(2 / FALSE_ALARMS) / (2 * 500))
    fixed = (
        np.asarray(noise(jax.random.key(2), jnp.asarray(target), config, NoiseSettings(0.5)).noised).sum(axis=1) / 599
    )
    assert kstest(fixed, "uniform").pvalue < FALSE_ALARMS, "the test does not tell a fixed density from a uniform one"


def test_noise_is_a_function_of_the_key() -> None:
    """Not of a constant: two keys, and two steps, give different noise."""
    config, target = refinement(), jnp.asarray(targets(8))
    first, again, other = (noise(jax.random.key(k), target, config, NoiseSettings()).tokens for k in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()


def test_without_noise_nothing_changes() -> None:
    config, target = refinement(), jnp.asarray(targets(8))
    tokens, noised, masked = noise(jax.random.key(0), target, config, NoiseSettings(0.0))
    np.testing.assert_array_equal(tokens, target)
    assert not noised.any()
    assert not masked.any()


@pytest.mark.parametrize("range_masks", [False, True])
@pytest.mark.parametrize("weighting", ["all", "noise", "mask"])
def test_weights_of_the_first_stage(weighting: str, range_masks: bool) -> None:
    """Range masks have weight under "mask": the released code gave every masked position weight 0."""
    config, target = refinement(range_masks=range_masks), jnp.asarray(targets(50))
    noised = noise(jax.random.key(3), target, config, NoiseSettings(0.5, correct=0.3, random=0.3))
    weights = np.asarray(stage_weights(noised, target, config, weighting))  # type: ignore[arg-type]
    eos = np.asarray(target) == config.eos_token_id
    expected = {
        "all": np.asarray(target) != config.pad_token_id,
        "noise": np.asarray(noised.noised) | eos,
        "mask": (np.asarray(noised.tokens) >= config.vocab_size) | eos,
    }[weighting]
    np.testing.assert_array_equal(weights, expected)
    assert (weights & ~eos).any()
    assert not weights[np.asarray(target) == config.pad_token_id].any()


@pytest.mark.parametrize(
    ("options", "argument"),
    [({"density": 1.2}, "density"), ({"correct": -0.1}, "correct"), ({"correct": 0.6, "random": 0.6}, "random")],
)
def test_unusable_settings_are_refused(options: dict[str, float], argument: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        NoiseSettings(**options)
    assert caught.value.argument == argument
