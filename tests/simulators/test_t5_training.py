"""Losses against their formulas, defects of the released code, and training that resumes to the last bit."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import log_softmax, logsumexp

from simulators.snapshots import read_plain
from simulators.t5.files.checkpoints import load_checkpoint
from simulators.t5.network.config import T5Config
from simulators.t5.network.layers import Dropout
from simulators.t5.network.network import T5
from simulators.t5.parallel_language import language_vocabulary, sample_text
from simulators.t5.training import programs as training_programs
from simulators.t5.training.corpus import Corpus, make_corpus
from simulators.t5.training.distillation import _Journal
from simulators.t5.training.loop import SNAPSHOT, Entry, Interrupted, _Training, fit, read_history
from simulators.t5.training.noising import noise
from simulators.t5.training.objective import Losses, glanced_density, losses, predicted_tokens, token_losses
from simulators.t5.training.optimiser import learning_rates, make_optimiser
from simulators.t5.training.programs import programs
from simulators.t5.training.settings import NoiseSettings, ObjectiveSettings, OptimiserSettings, TrainingSettings
from tests.simulators.t5_examples import refinement_network, sentences, small_config
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

pytestmark = pytest.mark.usefixtures("quick_compilation", "quickly")

OPTIONS: dict[str, bool | int] = {}
"""Compiler options of the programs that the tests compile themselves."""


@pytest.fixture(scope="module")
def quickly(quick: dict[str, bool | int]) -> None:
    OPTIONS.update(quick)


PIECES = 60

LANGUAGE = ParallelLanguage((1.0,), words=6, branching=2, shortest=2, longest=4)
TINY = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
ADAM = OptimiserSettings(learning_rate=0.03, warmup_steps=5)
QUICK = TrainingSettings(steps=24, batch_tokens=64, optimiser=ADAM)


def corpus(pairs: int = 100, seed: int = 0) -> Corpus:
    return make_corpus(sample_text(LANGUAGE, pairs, seed), language_vocabulary(LANGUAGE), 8)


def tiny(seed: int = 0, **options: Any) -> T5:
    size = language_vocabulary(LANGUAGE).size
    return T5(T5Config(**({"vocab_size": size, "max_target_length": 8} | TINY | options)), nnx.Rngs(seed))


def leaves(network: T5) -> list[NDArray[np.float32]]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(network, nnx.Param))]


def batch(count: int = 6, width: int = 8) -> tuple[jax.Array, jax.Array]:
    source, target = (jnp.asarray(sentences(count, seed, width, PIECES).astype(np.int32)) for seed in (1, 2))
    return source, target


def refinement(seed: int = 0, **options: Any) -> T5:
    return refinement_network(seed, vocab_size=PIECES, num_layers=1, num_decoder_layers=1, **options)


def compiled(network: T5, *arguments: Any) -> Losses:
    """`losses`, compiled as a whole: operation by operation takes many times as long."""
    graph, state = nnx.split(network, nnx.Param)
    return jax.jit(lambda state: losses(nnx.merge(graph, state), *arguments), compiler_options=OPTIONS)(state)


def logits_of(network: T5, source: jax.Array, tokens: jax.Array) -> jax.Array:
    """Logits for decoder inputs."""
    graph, state = nnx.split(network, nnx.Param)

    def run(state: Any, source: jax.Array, tokens: jax.Array) -> jax.Array:
        network = nnx.merge(graph, state)
        return network.logits(network.decode(tokens, network.encode(source)))

    return jax.jit(run, compiler_options=OPTIONS)(state, source, tokens)


# Losses


@pytest.mark.parametrize(("smoothing", "z_loss"), [(0.0, 0.0), (0.1, 0.01)])
def test_token_losses_are_their_formula(smoothing: float, z_loss: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 5, 11)).astype(np.float32) * 3
    target = rng.integers(0, 11, (3, 5))
    weights = rng.random((3, 5)) < 0.6
    settings = ObjectiveSettings(label_smoothing=smoothing, z_loss=z_loss)
    function = jax.jit(partial(token_losses, settings=settings))
    total, nll = function(logits, target, weights)
    law = log_softmax(logits.astype(np.float64), axis=-1)
    gold = -np.take_along_axis(law, target[..., None], axis=-1)[..., 0]
    each = (1 - smoothing) * gold - smoothing * law.mean(axis=-1) + z_loss * logsumexp(logits, axis=-1) ** 2
    assert float(nll) == pytest.approx(gold[weights].mean(), rel=1e-5)
    assert float(total) == pytest.approx(each[weights].mean(), rel=1e-5)
    nothing, _ = function(logits, target, np.zeros((3, 5), bool))
    assert float(nothing) == 0


def test_an_autoregressive_loss_is_the_one_of_the_gold_prefixes() -> None:
    """Position by position: the law of token i from a decoder that is given the tokens before it and no more."""
    network = T5(small_config(vocab_size=PIECES, num_layers=1, num_decoder_layers=1), nnx.Rngs(0))
    source, target = batch(3, 4)
    found = []
    for position in range(4):
        prefix = network.shift_right(target)[:, : position + 1]
        law = jax.nn.log_softmax(logits_of(network, source, prefix)[:, -1])
        found += [-float(law[row, target[row, position]]) for row in range(3) if target[row, position]]
    plain = compiled(network, source, target, jax.random.key(0), ObjectiveSettings(label_smoothing=0))
    assert float(plain.total) == pytest.approx(np.mean(found), rel=1e-4)


@pytest.mark.parametrize(("decoder", "stages"), [("autoregressive", 1), ("refinement", 2)])
def test_padding_changes_nothing(decoder: str, stages: int) -> None:
    """Neither rows of padding nor wider padding: predictions at padding never enter a later stage."""
    sizes = {"vocab_size": PIECES, "num_layers": 1, "num_decoder_layers": 1}
    network = refinement() if decoder == "refinement" else T5(small_config(**sizes), nnx.Rngs(0))
    source, target = batch()
    settings = ObjectiveSettings(stages=stages, noise=NoiseSettings(1.0, correct=0, random=0))
    key = jax.random.key(0)
    plain = compiled(network, source, target, key, settings)
    wide = compiled(network, jnp.pad(source, ((0, 2), (0, 4))), jnp.pad(target, ((0, 2), (0, 7))), key, settings)
    for name in plain._fields:
        assert float(getattr(wide, name)) == pytest.approx(float(getattr(plain, name)), rel=2e-5), name


def test_the_second_stage_sees_the_padded_predictions_of_the_first() -> None:
    network = refinement(3)
    config = network.config
    source, target = batch()
    settings = ObjectiveSettings(stages=2, label_smoothing=0, length_weight=0, noise=NoiseSettings(0.7))
    key = jax.random.key(5)
    logits = logits_of(network, source, noise(key, target, config, settings.noise).tokens)
    predicted = np.asarray(jax.jit(predicted_tokens, static_argnums=2)(logits, target, config))
    is_open = np.asarray((target != config.pad_token_id) & (target != config.eos_token_id))
    np.testing.assert_array_equal(predicted[~is_open], np.asarray(target)[~is_open])
    allowed = np.array(logits)
    allowed[..., [config.pad_token_id, config.eos_token_id]] = -np.inf
    np.testing.assert_array_equal(predicted[is_open], allowed.argmax(axis=-1)[is_open])
    assert (predicted != np.asarray(target)).any()
    second = logits_of(network, source, jnp.asarray(predicted))
    expected = jax.jit(partial(token_losses, settings=settings))(second, target, target != config.pad_token_id)[1]
    found = compiled(network, source, target, key, settings)
    assert float(found.nll) == pytest.approx(float(expected), rel=1e-5)
    first = compiled(network, source, target, key, dataclasses.replace(settings, stages=1))
    assert float(found.total) == pytest.approx(float(first.total + expected), rel=1e-5)


def test_no_gradient_passes_between_stages() -> None:
    """Without weight in stage 0 its network is frozen: the gradient is that of stage 1 on its input as it is."""
    source, target = batch()
    key = jax.random.key(1)
    settings = ObjectiveSettings(stages=2, label_smoothing=0, length_weight=0, noise=NoiseSettings(0.5))
    graph, state = nnx.split(refinement(4), nnx.Param)

    fixed = nnx.merge(graph, state)
    noised = noise(key, target, fixed.config, settings.noise).tokens
    seen = predicted_tokens(logits_of(fixed, source, noised), target, fixed.config)

    def both(parameters: Any) -> jax.Array:
        return losses(nnx.merge(graph, parameters), source, target, key, settings).total

    def apart(parameters: Any) -> jax.Array:
        network = nnx.merge(graph, parameters)
        first = losses(network, source, target, key, dataclasses.replace(settings, stages=1)).total
        logits = network.logits(network.decode(seen, network.encode(source)))
        return first + token_losses(logits, target, target != 0, settings)[0]

    for left, right in zip(
        *(jax.tree.leaves(jax.jit(jax.grad(f), compiler_options=OPTIONS)(state)) for f in (both, apart)), strict=True
    ):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)


def test_glancing_noises_less_of_what_the_network_gets_wrong() -> None:
    network = refinement_network(dropout_rate=0.0, tied=False, scale_decoder_outputs=False)
    config = network.config
    source, target = (jnp.asarray(sentences(6, seed), jnp.int32) for seed in (0, 1))
    encoded = network.encode(source)
    # What the network predicts from masks alone becomes half of the first target, so that it is half right.
    is_open = np.asarray((target != config.pad_token_id) & (target != config.eos_token_id))
    masks = jnp.where(jnp.asarray(is_open), config.mask_id, target)
    predicted = np.asarray(predicted_tokens(network.logits(network.decode(masks, encoded)), target, config))
    target = target.at[0, : is_open[0].sum() // 2].set(predicted[0, : is_open[0].sum() // 2])
    density = np.asarray(glanced_density(network, target, encoded, 0.8))
    for row in range(6):
        positions = np.flatnonzero(is_open[row])
        wrong = sum(int(predicted[row, i]) != int(target[row, i]) for i in positions)
        assert density[row, 0] == pytest.approx(1 - 0.8 * wrong / len(positions))
    assert density[0, 0] > density[1, 0]
    # Each target is noised with its own density.
    many = jnp.repeat(target[:1], 4000, axis=0)
    noised = noise(jax.random.key(0), many, config, NoiseSettings(), jnp.full((4000, 1), density[0, 0])).noised
    trials = int(is_open[0].sum()) * 4000
    error = (density[0, 0] * (1 - density[0, 0]) / trials) ** 0.5
    assert abs(float(noised.sum()) / trials - density[0, 0]) < 5 * error  # one false alarm in 1.7 million keys


def test_the_running_mean_follows_its_recurrence_and_is_kept(tmp_path: Path) -> None:
    settings = dataclasses.replace(QUICK, average=0.5)
    network = tiny(decoder="refinement", dropout_rate=0.2)
    training = _Training(network, corpus(), settings, None)
    mean = [np.array(leaf, np.float64) for leaf in leaves(network)]
    for step in range(4):
        training.advance()
        decay = min(0.5, (1 + step) / (10 + step))
        mean = [decay * old + (1 - decay) * np.asarray(new) for old, new in zip(mean, training._leaves, strict=True)]
    training.entry(True)
    for left, right in zip(leaves(training.best_network()), mean, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-7)
    training.save(tmp_path / SNAPSHOT, {})
    resumed = _Training(network, corpus(), settings, None)
    resumed.resume(tmp_path / SNAPSHOT)
    for each in (training, resumed):
        each.advance()
        each.entry(True)
    for left, right in zip(leaves(training.best_network()), leaves(resumed.best_network()), strict=True):
        np.testing.assert_array_equal(left, right)


def test_length_and_rejecter_losses_are_added_with_their_weights() -> None:
    network = refinement(1, learned_rejecter=True)
    source, target = batch()
    key = jax.random.key(0)
    plain = ObjectiveSettings(length_weight=0, rejecter_weight=0)
    base = compiled(network, source, target, key, plain)
    lengths = jnp.asarray((np.asarray(target) > 0).sum(axis=1))
    expected = float(network.length_head.loss(network.encode(source), lengths).mean())
    assert float(base.length) == pytest.approx(expected, rel=1e-5)
    found = compiled(network, source, target, key, ObjectiveSettings(length_weight=0.5, rejecter_weight=2.0))
    assert float(found.total) == pytest.approx(float(base.total + 0.5 * base.length + 2 * base.rejecter), rel=1e-5)
    # An untrained head knows nothing: about ln 2 a position, and never 0.
    assert 0.2 < float(base.rejecter) < 3


def test_dropout_changes_the_loss_by_its_key_alone() -> None:
    network = tiny(dropout_rate=0.5, vocab_size=PIECES)
    source, target = batch()
    values = [
        float(compiled(network, source, target, jax.random.key(0), ObjectiveSettings(), Dropout(0.5, key)).total)
        for key in (jax.random.key(1), jax.random.key(1), jax.random.key(2), None)
    ]
    assert values[0] == values[1]
    assert len(set(values)) == 3


# The optimiser


def test_learning_rates_rise_and_fall_as_they_say() -> None:
    settings = OptimiserSettings(learning_rate=0.02, warmup_steps=9)
    steps = np.arange(101)
    cosine = np.array([learning_rates(settings, 100)(step) for step in steps])
    np.testing.assert_allclose(cosine[:9], 0.02 * (steps[:9] + 1) / 10, rtol=1e-5)
    assert cosine.argmax() == 9
    assert cosine[100] == pytest.approx(0, abs=1e-8)
    assert (np.diff(cosine[9:]) < 0).all()
    root = np.array([learning_rates(dataclasses.replace(settings, schedule="rsqrt"), 100)(step) for step in steps])
    assert root[9] == pytest.approx(0.02, rel=1e-5)
    assert root[39] == pytest.approx(0.01, rel=1e-5)
    constant = learning_rates(dataclasses.replace(settings, schedule="constant"), 100)
    assert float(constant(99)) == pytest.approx(0.02, rel=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_steps_are_relative_to_the_parameter_and_spare_vectors_decay(name: Any) -> None:
    parameters = [jnp.full((64, 64), 1.0), jnp.full((64, 64), 0.1), jnp.ones(64)]
    settings = OptimiserSettings(name, learning_rate=0.1, schedule="constant", warmup_steps=0, weight_decay=0)
    rng = np.random.default_rng(0)
    gradient = [jnp.asarray(rng.normal(size=leaf.shape).astype(np.float32)) for leaf in parameters]
    moved = []
    for decay in (0.0, 0.5):
        optimiser = make_optimiser(dataclasses.replace(settings, weight_decay=decay), 10)
        updates, _ = jax.jit(optimiser.update)(gradient, jax.jit(optimiser.init)(parameters), parameters)
        moved.append([np.asarray(update) for update in updates])
    size = [float(np.sqrt(np.mean(update**2))) for update in moved[0]]
    assert size[0] == pytest.approx(10 * size[1], rel=0.05)
    np.testing.assert_allclose(moved[1][0] - moved[0][0], -0.1 * 0.5, rtol=1e-4)
    np.testing.assert_array_equal(moved[1][2], moved[0][2])


# Training


@pytest.mark.parametrize("decoder", ["autoregressive", "refinement"])
def test_training_learns_the_language(decoder: Any) -> None:
    network = tiny(dropout_rate=0.0, decoder=decoder, learned_rejecter=decoder == "refinement")
    settings = TrainingSettings(
        steps=250, batch_tokens=128, optimiser=ADAM, objective=ObjectiveSettings(label_smoothing=0, weighting="mask")
    )
    run = fit(network, corpus(400), settings, validation=corpus(60, seed=1), check_every=125, report_every=25)
    assert run.history[0].nll > 1
    # One register, no doubling: the target is a function of the source, and its entropy 0.
    assert run.history[-1].validation is not None
    # Masks know their places from their distance to EOS alone, which one layer finds hard.
    assert run.history[-1].validation < (0.15 if decoder == "autoregressive" else 0.6)
    assert run.best_step in (125, 250)


def test_resuming_is_exact_and_other_settings_are_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"decoder": "refinement", "dropout_rate": 0.2}
    whole = tiny(**options)
    full = fit(whole, corpus(), QUICK, validation=corpus(20, 1), folder=tmp_path / "a", check_every=8, report_every=4)

    class Stop(Exception):
        pass

    def stop(entry: Entry) -> None:
        if entry.step == 20:
            raise Stop

    network = tiny(**options)
    keep = {"validation": corpus(20, 1), "folder": tmp_path / "b", "check_every": 8, "report_every": 4}
    with pytest.raises(Stop):
        fit(network, corpus(), QUICK, report=stop, **keep)
    assert read_plain(tmp_path / "b" / SNAPSHOT)["step"] == 16
    run = fit(network, corpus(), QUICK, **keep)
    assert run.started_at == 16
    assert [entry[:3] + entry[5:] for entry in run.history] == [entry[:3] + entry[5:] for entry in full.history]
    for left, right in zip(leaves(network), leaves(whole), strict=True):
        np.testing.assert_array_equal(left, right)
    # The folder is a checkpoint of the same weights.
    for left, right in zip(leaves(load_checkpoint(tmp_path / "b")), leaves(whole), strict=True):
        np.testing.assert_array_equal(left, right)
    assert read_history(tmp_path / "b") == run.history
    other = dataclasses.replace(QUICK, seed=1)
    with pytest.raises(InvalidInput, match=r"seed = 1: the checkpoint in .* was made with 0"):
        fit(network, corpus(), other, **keep)
    with pytest.raises(InvalidInput, match="corpus"):
        fit(network, corpus(99), QUICK, **keep)


PROGRAM = """
    from pathlib import Path
    import sys
    from tests.simulators.test_t5_training import QUICK, corpus, tiny
    from simulators.t5.training.loop import fit
    import dataclasses
    settings = dataclasses.replace(QUICK, steps=int(sys.argv[2]))
    network = tiny(decoder="refinement", dropout_rate=0.2)
    fit(network, corpus(), settings, folder=Path(sys.argv[1]), check_every=5, report_every=5,
        report=lambda entry: print(entry.step, flush=True))
"""


def start(folder: Path, steps: int, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), str(steps)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"} | environment,
    )


def stored(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Everything that a snapshot holds: parameters, moments, best parameters."""
    return load_file(folder / SNAPSHOT)


def test_a_training_that_was_killed_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    """kill -9 in the middle of a step, then Ctrl-C, then to the end; equal to an undisturbed training."""
    for wait_for, number in (("10", signal.SIGKILL), ("40", signal.SIGINT), ("", None)):
        process = start(tmp_path / "disturbed", 60)
        assert process.stdout is not None
        if number is not None:
            while process.stdout.readline().strip() != wait_for:
                assert process.poll() is None
            time.sleep(0.01)
            process.send_signal(number)
        process.communicate(timeout=120)
        assert process.returncode == 0 if number is None else process.returncode != 0
        if number == signal.SIGINT:
            # Ctrl-C lost nothing but the step that was running.
            assert read_plain(tmp_path / "disturbed" / SNAPSHOT)["step"] >= 40
    process = start(tmp_path / "whole", 60)
    process.communicate(timeout=120)
    disturbed, whole = stored(tmp_path / "disturbed"), stored(tmp_path / "whole")
    assert disturbed.keys() == whole.keys()
    for name in whole:
        np.testing.assert_array_equal(disturbed[name], whole[name], err_msg=name)


def test_two_devices_share_a_batch(tmp_path: Path) -> None:
    """The same losses as on one device, up to the order of sums."""
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    process = start(tmp_path, 10, XLA_FLAGS=flags)
    process.communicate(timeout=120)
    assert process.returncode == 0
    network = tiny(decoder="refinement", dropout_rate=0.2)
    run = fit(network, corpus(), dataclasses.replace(QUICK, steps=10), check_every=5, report_every=5)
    shared = read_history(tmp_path)
    np.testing.assert_allclose([entry.loss for entry in shared], [entry.loss for entry in run.history], rtol=1e-3)


def test_ctrl_c_saves_and_says_where(tmp_path: Path) -> None:
    def interrupt(entry: Entry) -> None:
        if entry.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        fit(tiny(), corpus(), QUICK, folder=tmp_path, report=interrupt, report_every=4)
    assert read_plain(tmp_path / SNAPSHOT)["step"] == caught.value.step
    assert 4 <= caught.value.step < 8
    assert signal.getsignal(signal.SIGINT) is before


def test_the_best_weights_are_kept_when_later_ones_are_worse(tmp_path: Path) -> None:
    """A learning rate that destroys what was learned: the folder and the network keep the early weights."""
    settings = dataclasses.replace(
        QUICK, steps=40, optimiser=OptimiserSettings(learning_rate=3.0, schedule="constant", warmup_steps=1000)
    )
    network = tiny(dropout_rate=0.0)
    run = fit(network, corpus(), settings, validation=corpus(20, 1), folder=tmp_path, check_every=5)
    values = {entry.step: entry.validation for entry in run.history if entry.validation is not None}
    assert run.best_step == min(values, key=lambda step: values[step])  # type: ignore[arg-type, return-value]
    for left, right in zip(leaves(load_checkpoint(tmp_path)), leaves(network), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("shape", [(300, 400), (2000, 61), (7, 5, 1)])
def test_dropout_keeps_and_scales(shape: tuple[int, ...]) -> None:
    """Seven standard errors: a false alarm in 10^11 draws of the seed."""
    rate = 0.3
    dropout = Dropout(rate, jax.random.key(0))
    first, second = (np.asarray(dropout(jnp.ones(shape))) for _ in range(2))
    kept = first > 0
    count = kept.size
    assert abs(kept.mean() - (1 - rate)) < 7 * np.sqrt(rate * (1 - rate) / count)
    np.testing.assert_allclose(first[kept], 1 / (1 - rate), rtol=1e-4)
    if count > 1000:
        assert (first != second).any()
        # Neighbours share a random word, and must not know of each other.
        together = (kept[..., ::2][..., : shape[-1] // 2] & kept[..., 1::2]).mean()
        assert abs(together - (1 - rate) ** 2) < 7 * np.sqrt(0.25 / (count / 2))


@pytest.mark.parametrize("rate", [1e-6, 1 - 1e-6])
def test_rates_beyond_sixteen_bits_are_the_nearest_ones(rate: float) -> None:
    assert np.isfinite(Dropout(rate, jax.random.key(0))(jnp.ones((40, 50)))).all()


def test_each_shape_is_compiled_once_for_all_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = 0
    real = training_programs.losses

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal traced
        traced += 1
        return real(*arguments, **options)

    programs.cache_clear()
    monkeypatch.setattr(training_programs, "losses", counted)
    fit(tiny(), corpus(), QUICK)
    assert traced == 1, "every sentence of this language is in one bucket"
    fit(tiny(seed=1), corpus(50, seed=3), dataclasses.replace(QUICK, seed=7))
    assert traced == 1
    programs.cache_clear()


def test_a_diverging_training_says_so(tmp_path: Path) -> None:
    network = tiny()
    network.shared[...] = network.shared[...] * jnp.nan
    with pytest.raises(InvalidInput, match="the loss is not finite from step 0 on"):
        fit(network, corpus(), QUICK, folder=tmp_path)
    assert not (tmp_path / SNAPSHOT).exists()


def test_targets_longer_than_the_decoder_knows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="max_target_length"):
        fit(tiny(decoder="refinement", max_target_length=3), corpus(), QUICK)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: ObjectiveSettings(weighting="some"), "weighting"),  # type: ignore[arg-type]
        (lambda: ObjectiveSettings(stages=3), "stages"),
        (lambda: ObjectiveSettings(label_smoothing=1.0), "label_smoothing"),
        (lambda: ObjectiveSettings(z_loss=-1.0), "z_loss"),
        (lambda: ObjectiveSettings(glancing=1.5), "glancing"),
        (lambda: ObjectiveSettings(glancing=0.5, noise=NoiseSettings(0.5)), "glancing"),
        (lambda: TrainingSettings(average=1.0), "average"),
        (lambda: OptimiserSettings("sgd"), "optimiser"),
        (lambda: OptimiserSettings(learning_rate=0), "learning_rate"),
        (lambda: OptimiserSettings(warmup_steps=-1), "warmup_steps"),
        (lambda: OptimiserSettings(weight_decay=float("nan")), "weight_decay"),
        (lambda: TrainingSettings(steps=0), "steps"),
        (lambda: TrainingSettings(batch_tokens=0), "batch_tokens"),
    ],
)
def test_unusable_settings_are_refused(make: Any, argument: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.argument == argument


def test_a_full_disk_ends_a_distillation_with_its_reason(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: writing and closing both fail."""
    import resource

    path = tmp_path / "pairs.tsv.part"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with _Journal(path, {"teacher": "x"}) as journal:
            journal.append(dict.fromkeys(range(3), "a sentence"))
            journal.append(dict.fromkeys(range(3, 50), "a sentence"))

    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(InvalidInput, match=r"out = .*pairs\.tsv\.part: cannot be written: File too large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # What was written whole is there again.
    done = _Journal(path, {"teacher": "x"}).done
    assert 3 <= len(done) < 5
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0] + b"\n[1]\n")
    with pytest.raises(InvalidInput, match="is damaged"):
        _Journal(path, {"teacher": "x"})
