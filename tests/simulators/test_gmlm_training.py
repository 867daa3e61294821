"""Training: the loss is the weighted pseudolikelihood, runs are functions of their seed, kills lose nothing."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from simulators.gmlm.build import build
from simulators.gmlm.data import FixedData, LawSource
from simulators.gmlm.energy import ExponentialNetwork
from simulators.gmlm.induced import predictor
from simulators.gmlm.networks import MaskedNetwork, MLPConfig
from simulators.gmlm.training import (
    CHECKPOINT,
    TrainingSettings,
    compiled_step,
    draw_batch,
    learning_rate,
    load_parameters,
    masked_loss,
    train,
)
from simulators.snapshots import load_snapshot, read_plain, save_snapshot
from theory.errors import InvalidInput
from theory.estimation import fit, population
from theory.laws import JointLaw, ising_family, random_ising, random_law
from theory.masks import bernoulli, k_uniform, uniform_ratio

CONFIG = MLPConfig(3, 2, width=8, layers=1)
QUICK = TrainingSettings(steps=30, batch_size=16, warmup_steps=5, seed=1)


def law() -> JointLaw:
    return random_law(3, 2, np.random.default_rng(0))


def parameters(network: MaskedNetwork) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True))


def test_loss_is_the_weighted_pseudolikelihood() -> None:
    network = build(CONFIG, seed=2)
    tokens, masked = draw_batch(LawSource(law()), uniform_ratio(3), dataclasses.replace(QUICK, batch_size=40), 0)
    assert not masked.any(axis=1).all()  # an empty mask is among them
    by_token, by_mask = 0.0, 0.0
    predicted = np.log(predictor(network)(np.where(masked, 2, tokens)))
    for x, hidden, logs in zip(tokens, masked, predicted, strict=True):
        loss = -sum(float(logs[i, x[i]]) for i in np.flatnonzero(hidden))
        by_token += loss / 40
        by_mask += loss / max(hidden.sum(), 1) / 40
    loss_of = jax.jit(masked_loss, static_argnums=3)
    assert float(loss_of(network, tokens, masked, "token")) == pytest.approx(by_token, rel=1e-5)
    assert float(loss_of(network, tokens, masked, "mask")) == pytest.approx(by_mask, rel=1e-5)


def test_batches_are_a_function_of_seed_and_step() -> None:
    source, masks = LawSource(law()), uniform_ratio(3)
    first, again = (draw_batch(source, masks, QUICK, 7) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    for other in (
        draw_batch(source, masks, QUICK, 8),
        draw_batch(source, masks, dataclasses.replace(QUICK, seed=2), 7),
    ):
        assert not np.array_equal(first[0], other[0])


def test_learning_rate_rises_and_falls() -> None:
    settings = TrainingSettings(steps=100, warmup_steps=10, learning_rate=0.5)
    rates = np.array([learning_rate(settings, step) for step in range(100)])
    assert (np.diff(rates[:11]) > 0).all()
    assert rates.max() == rates[10] == np.float32(0.5)
    assert (np.diff(rates[10:]) < 0).all()
    assert 0 < rates[-1] < 1e-3
    constant = dataclasses.replace(settings, schedule="constant")
    assert {float(learning_rate(constant, step)) for step in range(10, 100)} == {0.5}


def test_training_is_deterministic_and_compiled_once() -> None:
    runs = []
    graph, *states = nnx.split(build(CONFIG), nnx.Param, ...)
    step = compiled_step(graph, *(jax.tree.structure(state) for state in states), QUICK.step)
    steps, programs = compiled_step.cache_info().currsize, step._cache_size()
    for seed in (1, 1, 5):
        network = build(CONFIG, seed=0)
        result = train(network, LawSource(law()), uniform_ratio(3), dataclasses.replace(QUICK, seed=seed))
        runs.append((parameters(network), result.losses))
    assert compiled_step.cache_info().currsize == steps
    # None where an earlier test compiled it.
    assert step._cache_size() <= programs + 1, "three runs, one compilation"
    assert same(runs[0][0], runs[1][0])
    assert not same(runs[0][0], runs[2][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])
    assert runs[0][1].shape == (30,)
    assert not same(parameters(build(CONFIG, seed=0)), runs[0][0])


def test_reports_are_means_of_the_losses() -> None:
    seen: list[tuple[int, float]] = []
    result = train(
        build(CONFIG), LawSource(law()), uniform_ratio(3), QUICK, report=lambda *x: seen.append(x), report_every=8
    )
    assert [step for step, _ in seen] == [8, 16, 24, 30]
    means = [result.losses[a:b].mean() for a, b in ((0, 8), (8, 16), (16, 24), (24, 30))]
    np.testing.assert_allclose([loss for _, loss in seen], means, rtol=1e-6)


def test_exponential_family_reaches_the_estimator_of_the_theory() -> None:
    """On a fixed data set the network's optimum is the certified minimiser of the theory (here over every pair)."""
    truth = random_ising(3, np.random.default_rng(4), 0.5)
    family = ising_family(3)
    network = ExponentialNetwork(family)
    settings = TrainingSettings(steps=1000, batch_size=256, learning_rate=0.03, seed=2)
    train(network, LawSource(truth), k_uniform(3, 2), settings)
    estimate = fit(family, population(truth, k_uniform(3, 2)))
    assert estimate.converged
    # Fresh samples: n = 1000 * 256 pairs in all, of which the decaying rate averages a good part.
    np.testing.assert_allclose(np.asarray(network.theta[...]), estimate.theta, atol=0.03)


def test_resuming_is_bit_identical(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def interrupt(step: int, loss: float) -> None:
        if step == 20:
            raise Stop

    def go(network: MaskedNetwork, folder: Path | None, report=None):
        source = FixedData(law().sample(50, np.random.default_rng(3)), 2)
        return train(
            network, source, bernoulli(3, 0.4), QUICK, folder=folder, checkpoint_every=10, report=report, report_every=5
        )

    whole = build(CONFIG)
    expected = go(whole, None)
    broken = build(CONFIG)
    with pytest.raises(Stop):
        go(broken, tmp_path, interrupt)
    # An interrupted network is usable: it holds the parameters of the last checkpoint.
    assert np.isfinite(predictor(broken)(np.zeros((1, 3), np.int32))).all()
    resumed = build(CONFIG, seed=9)
    result = go(resumed, tmp_path)
    assert result.started_at == 20
    assert same(parameters(resumed), parameters(whole))
    np.testing.assert_array_equal(result.losses, expected.losses)
    # A finished folder does nothing more, and its parameters can be loaded alone.
    assert go(build(CONFIG), tmp_path).started_at == 30
    loaded = build(CONFIG, seed=5)
    assert load_parameters(loaded, tmp_path) == 30
    assert same(parameters(loaded), parameters(whole))


STEPS = 1000
CHILD = (
    "import sys, pathlib; from tests.simulators.test_gmlm_training import long_run; long_run(pathlib.Path(sys.argv[1]))"
)


def long_run(folder: Path) -> None:
    """What the process that is killed runs."""
    network = build(MLPConfig(3, 2, width=32))
    settings = TrainingSettings(steps=STEPS, batch_size=16)
    train(network, LawSource(law()), uniform_ratio(3), settings, folder=folder, checkpoint_every=10)


def test_kill_9_in_the_middle_resumes_to_the_same_bits(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(killed)], cwd=Path(__file__).parents[2])
    try:
        while not (killed / CHECKPOINT).exists() and child.poll() is None:
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    reached = read_plain(killed / CHECKPOINT)["step"]
    assert 0 < reached < STEPS, "the child was killed in the middle of training"
    for folder in (killed, whole):
        long_run(folder)
    assert (killed / CHECKPOINT).read_bytes() == (whole / CHECKPOINT).read_bytes()
    assert read_plain(whole / CHECKPOINT)["step"] == STEPS


def test_other_settings_are_refused(tmp_path: Path) -> None:
    source, masks = LawSource(law()), uniform_ratio(3)
    train(build(CONFIG), source, masks, QUICK, folder=tmp_path, description={"network": {"width": 8}})

    def again(**changes: object) -> None:
        arguments = {"data": source, "masks": masks, "settings": QUICK, "description": {"network": {"width": 8}}}
        train(build(CONFIG), folder=tmp_path, **(arguments | changes))

    again()
    with pytest.raises(InvalidInput, match=r"settings\.batch_size = 8: .* was made with 16"):
        again(settings=dataclasses.replace(QUICK, batch_size=8))
    with pytest.raises(InvalidInput, match="masks"):
        again(masks=bernoulli(3, 0.5))
    with pytest.raises(InvalidInput, match="data"):
        again(data=LawSource(random_law(3, 2, np.random.default_rng(1))))
    with pytest.raises(InvalidInput, match=r"network\.width"):
        again(description={"network": {"width": 9}})


def test_damaged_checkpoints_are_named(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    tree = {"a": np.arange(3, dtype=np.float32), "b": [np.int32(4)]}
    save_snapshot(path, tree, {"step": 3})
    back, plain = load_snapshot(path, tree)
    assert plain == {"step": 3}
    np.testing.assert_array_equal(back["a"], tree["a"])
    assert back["a"].dtype == np.float32
    assert int(back["b"][0]) == 4
    assert [entry.name for entry in tmp_path.iterdir()] == [CHECKPOINT]
    with pytest.raises(InvalidInput, match="does not fit"):
        load_snapshot(path, {"a": np.zeros(4, np.float32), "b": [np.int32(0)]})
    content = path.read_bytes()
    for damaged in (b"", content[:20], content[:-3], b"not a checkpoint at all"):
        path.write_bytes(damaged)
        with pytest.raises(InvalidInput, match="is not a checkpoint"):
            load_snapshot(path, tree)
    with pytest.raises(InvalidInput, match="no such file"):
        read_plain(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="cannot be written"):
        save_snapshot(path / "below" / "a file", tree, {})


def test_divergence_and_bad_settings_are_named() -> None:
    network = build(CONFIG)
    nnx.update(network, jax.tree.map(lambda leaf: leaf * np.float32(np.inf), nnx.state(network, nnx.Param)))
    with pytest.raises(InvalidInput, match="the loss is not finite from step 0 on"):
        train(network, LawSource(law()), uniform_ratio(3), QUICK)
    for field, value in (("steps", 0), ("learning_rate", 0.0), ("weight_decay", -1.0), ("schedule", "square")):
        with pytest.raises(InvalidInput, match=field):
            TrainingSettings(**{field: value})
    with pytest.raises(InvalidInput, match="masks = over 4 sites"):
        train(build(CONFIG), LawSource(law()), uniform_ratio(4), QUICK)
    with pytest.raises(InvalidInput, match="data"):
        train(build(MLPConfig(3, 3)), LawSource(law()), uniform_ratio(3), QUICK)
    with pytest.raises(InvalidInput, match="report_every"):
        train(build(CONFIG), LawSource(law()), uniform_ratio(3), QUICK, report_every=0)
