"""Every compiled program of the simulators says which types it mixes: traced under strict promotion, compiled never.

A type that is promoted unasked is how a float32 program becomes a float64 one, or an id a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from simulators.gmlm.build import build
from simulators.gmlm.energy import PairwiseConfig
from simulators.gmlm.networks import MLPConfig
from simulators.gmlm.training import TrainingSettings, compiled_step, initial_moments
from simulators.gmlm.transformer import TransformerConfig
from simulators.montecarlo.samplers import State, simulated
from simulators.t5.decoding import refinement, rescoring
from simulators.t5.decoding.autoregressive import AutoregressiveDecoder
from simulators.t5.decoding.hypotheses import make_hypotheses
from simulators.t5.decoding.rejecters import LinearSchedule, Threshold
from simulators.t5.decoding.settings import GenerationSettings, RefinementSettings, Sampling
from simulators.t5.network.batches import source_batch
from simulators.t5.network.network import T5, parameters
from simulators.t5.training.corpus import Batch
from simulators.t5.training.programs import programs
from simulators.t5.training.settings import NoiseSettings, ObjectiveSettings, OptimiserSettings
from tests.law_examples import random_law
from tests.simulators.t5_examples import refinement_network, sentences, small_config
from tests.simulators.table_model import TableModel
from tests.simulators.test_montecarlo_samplers import MODELS
from tests.simulators.test_t5_refinement import CASES
from theory.masks import k_uniform
from theory.samplers import SAMPLERS, parse_sampler

COUNT = 4


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"):
        yield


def test_strict_promotion_refuses_what_is_mixed() -> None:
    with pytest.raises(jax.dtypes.TypePromotionError):
        jax.eval_shape(lambda x: x * 0.5, jnp.arange(3))


DECODING: dict[str, dict[str, Any]] = {
    **{name: {"scores": True} | case for name, case in CASES.items()},
    "random starts": {"start": "random", "sampling": Sampling(1.0, 5, 0.9), "parallel_decodes": 2},
    "threshold, recorded": {"rejecter": Threshold(0.5), "record": True, "sampling": Sampling(1.0)},
    "shortlist of rejected": {"shortlist": 9, "update": "rejected", "rejecter": LinearSchedule()},
    "lengths": {"length_candidates": 2, "length_beam": 3},
}


@pytest.fixture(scope="module")
def network() -> T5:
    return refinement_network(learned_rejecter=True, range_masks=True)


def decode(network: T5, settings: RefinementSettings) -> None:
    """Trace encoding and refinement of a batch."""
    config = network.config
    decoder = refinement.RefinementDecoder(network, settings, block_rows=4)
    source = source_batch(config, sentences(COUNT))
    arrays = parameters(network)
    encode = partial(refinement._encode.__wrapped__, config, settings.length_candidates)
    encoded, memory, _ = jax.eval_shape(encode, arrays, source)
    rows = make_hypotheses(
        np.full((len(source), settings.length_candidates), 7),
        np.ones(len(source), bool),
        settings.length_beam,
        settings.parallel_decodes,
        config.max_target_length,
        4,
    )
    run = partial(decoder._traced_run, longest=16, block=4)
    key = jax.random.key(0) if settings.random else None
    jax.eval_shape(run, arrays, encoded.visible, memory, rows, np.zeros(len(source), np.int32), key, np.int32(4))


@pytest.mark.parametrize("case", DECODING)
def test_refinement(network: T5, case: str) -> None:
    decode(network, RefinementSettings(**DECODING[case]))


@pytest.mark.parametrize("predictor", ["token", "affine", "fertility"])
def test_lengths(predictor: str) -> None:
    decode(refinement_network(length_predictor=predictor, positional_attention=True), RefinementSettings())


@pytest.mark.parametrize(
    "settings",
    [
        GenerationSettings(max_length=9, scores=True),
        GenerationSettings(max_length=9, min_length=3, sampling=Sampling(1.0, 3, 0.9)),
        GenerationSettings(max_length=9, beams=3, n_best=2),
        GenerationSettings(max_length=9, beams=2, early_stopping="never"),
    ],
)
def test_token_by_token(settings: GenerationSettings) -> None:
    network = T5(small_config(), nnx.Rngs(0))
    decoder = AutoregressiveDecoder(network, settings)
    source = source_batch(network.config, sentences(COUNT))
    key = None if settings.sampling.greedy else jax.random.key(0)
    arguments = (parameters(network), jnp.array(network.output_table().T), source, np.ones(len(source), bool), key)
    jax.eval_shape(lambda *given: decoder._traced(*given, 16), *arguments, np.zeros(len(source), np.int32))


def test_rescoring() -> None:
    network = T5(small_config(), nnx.Rngs(0))
    score = partial(rescoring._log_probabilities.__wrapped__, network.config, 4)
    source = source_batch(network.config, sentences(COUNT))
    jax.eval_shape(score, parameters(network), source, np.zeros(8, np.int32), np.ones((8, 8), np.int32))


REFINES = {"decoder": "refinement"}
TRAINING: dict[str, tuple[dict[str, Any], ObjectiveSettings]] = {
    "autoregressive": ({}, ObjectiveSettings(z_loss=0.1)),
    "two stages": (
        REFINES | {"learned_rejecter": True, "range_masks": True},
        ObjectiveSettings(stages=2, weighting="mask", z_loss=0.1),
    ),
    "glancing": (REFINES | {"length_predictor": "affine"}, ObjectiveSettings(glancing=0.5, weighting="all")),
    "bfloat16": (
        REFINES | {"length_predictor": "fertility", "dtype": "bfloat16"},
        ObjectiveSettings(noise=NoiseSettings(0.5)),
    ),
}


@pytest.mark.parametrize("case", TRAINING)
@pytest.mark.parametrize("optimiser", ["adamw", "adafactor"])
def test_training_of_translation(case: str, optimiser: str) -> None:
    options, objective = TRAINING[case]
    network = T5(small_config(**options), nnx.Rngs(0))
    program = programs(network.config, objective, OptimiserSettings(optimiser), 100)
    leaves = jax.tree.leaves(nnx.split(network, nnx.Param)[1])
    batch = Batch(sentences(COUNT).astype(np.int32), sentences(COUNT, 1).astype(np.int32))
    gradient, _ = jax.eval_shape(program.gradient, leaves, batch, jax.random.key(0))
    jax.eval_shape(program.update, leaves, jax.eval_shape(program.start, leaves), gradient)


@pytest.mark.parametrize("config", [MLPConfig(5, 3, 16), TransformerConfig(5, 3, 16, 2, 2), PairwiseConfig(5, 3)])
@pytest.mark.parametrize("weighting", ["token", "mask"])
def test_training_of_small_networks(config: Any, weighting: str) -> None:
    settings = TrainingSettings(weighting=weighting, weight_decay=0.1).step  # type: ignore[arg-type]
    graph, weights, constants = nnx.split(build(config, 0), nnx.Param, ...)
    (leaves, form), (fixed, fixed_form) = jax.tree.flatten(weights), jax.tree.flatten(constants)
    moments = jax.eval_shape(partial(initial_moments, settings), leaves)
    tokens, masked = np.zeros((COUNT, 5), np.int32), np.ones((COUNT, 5), bool)
    jax.eval_shape(
        compiled_step(graph, form, fixed_form, settings), leaves, moments, fixed, tokens, masked, np.float32(1)
    )


@pytest.mark.parametrize("model_name", MODELS)
def test_chains(model_name: str) -> None:
    model, conditionals = MODELS[model_name]()
    masks = k_uniform(model.sites, 2)
    state = State(jnp.zeros((COUNT, model.sites), jnp.int32))
    jax.eval_shape(model.all_site_logits, state.position[0])
    for name in SAMPLERS:
        sampler = parse_sampler(name)
        target = None
        if sampler.needs_law and conditionals.law is None:
            target = TableModel(random_law(8, model.sites, model.symbols, least=1e-2))
        if name != "systematic-scan":  # its blocks are compiled as they come
            jax.eval_shape(simulated(sampler, model, masks, target).step, jax.random.key(0), state)
