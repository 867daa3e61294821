"""Translators of the parallel language, trained for a claim, and how they decode.

The language's words are ids directly: 3 + v for source word v, 3 + W + t for target token t, after pad, EOS and unk.
JAX is imported when a network is trained, not when a claim is listed.

Legend: ``B`` test rows, ``L`` padded target length, ``T`` numbers of steps, ``W`` source words, ``V`` ids.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory.language.denoising import MASK, Noise
from theory.language.parallel_language import ParallelLanguage

if TYPE_CHECKING:
    from simulators.t5.decoding.settings import RefinementSettings
    from simulators.t5.network.network import T5

Array = NDArray[np.float64]
Pair = tuple[tuple[int, ...], tuple[int, ...]]

SPECIAL = 3
"""pad, EOS, unk."""
EOS = 1
LONGEST = 8
"""Most tokens of a side, EOS counted: one bucket, so that everything is compiled once. Longer pairs are left out."""


@dataclass(frozen=True)
class Training:
    """How a claim trains its translators.

    Attributes:
        decoder: "refinement" or "autoregressive".
        width, layers, decoder_layers: sizes of the network.
        steps: of the optimiser.
        rows: sentence pairs of a step.
        rate: the largest learning rate.
        density: share of noised tokens; None draws it from U(0, 1).
        stages: 2: also on the network's own predictions.
        weighting: positions with weight, "noise" or "all".
        learned_rejecter: also a head that learns which predictions to keep.
        length_predictor: "token": also a head that learns the law of lengths; "oracle": lengths are given.
    """

    decoder: Literal["refinement", "autoregressive"] = "refinement"
    width: int = 32
    layers: int = 1
    decoder_layers: int = 1
    steps: int = 300
    rows: int = 64
    rate: float = 7e-3
    density: float | None = None
    stages: int = 1
    weighting: Literal["noise", "all"] = "noise"
    learned_rejecter: bool = False
    length_predictor: Literal["oracle", "token"] = "oracle"


def small_language(
    weights: Sequence[float], doubling: float = 0.0, shortest: int = 2, longest: int = 4
) -> ParallelLanguage:
    """A language of 8 words in which no word occurs twice in a sentence."""
    return ParallelLanguage(tuple(weights), 2 * longest, 1, doubling, 0.0, shortest, longest)


def ids(language: ParallelLanguage) -> int:
    """V, the same whether words are doubled or not."""
    return SPECIAL + language.words + 2 * language.registers * language.words


def noise_of(language: ParallelLanguage, training: Training) -> Noise:
    """The noise that training adds, as the theory describes it: random pieces are all ids but pad and EOS."""
    return Noise(training.density, 0.1, 0.1, ids(language) - 2)


def training_pairs(language: ParallelLanguage, count: int, seed: int) -> list[Pair]:
    """Independent pairs of at most `LONGEST` tokens a side."""
    pairs = language.sample_pairs(count, np.random.default_rng([seed, 17]))
    return [(source, target) for source, target in pairs if max(len(source), len(target)) < LONGEST]


def train(language: ParallelLanguage, pairs: Sequence[Pair], training: Training, seed: int) -> T5:
    """A network trained on pairs; the same for the same arguments."""
    from flax import nnx

    from simulators.t5.network.config import T5Config
    from simulators.t5.network.network import T5
    from simulators.t5.training.corpus import Corpus, Sentences
    from simulators.t5.training.loop import fit
    from simulators.t5.training.settings import NoiseSettings, ObjectiveSettings, OptimiserSettings, TrainingSettings

    config = T5Config(
        ids(language),
        d_model=training.width,
        d_kv=training.width // 4,
        d_ff=2 * training.width,
        num_layers=training.layers,
        num_decoder_layers=training.decoder_layers,
        num_heads=4,
        relative_attention_num_buckets=16,
        relative_attention_max_distance=16,
        dropout_rate=0.0,
        decoder=training.decoder,
        max_target_length=LONGEST,
        length_predictor=training.length_predictor,
        # Absolute positions are learned in hundreds of steps, relative ones in thousands.
        positional_attention=training.decoder == "refinement",
        learned_rejecter=training.learned_rejecter,
    )
    network = T5(config, nnx.Rngs(seed))
    first = SPECIAL + language.words
    sides = (
        [[*(SPECIAL + word for word in source), EOS] for source, _ in pairs],
        [[*(first + token for token in target), EOS] for _, target in pairs],
    )
    settings = TrainingSettings(
        steps=training.steps,
        batch_tokens=LONGEST * training.rows,
        optimiser=OptimiserSettings(learning_rate=training.rate, warmup_steps=training.steps // 10),
        objective=ObjectiveSettings(
            weighting=training.weighting,
            stages=training.stages,
            noise=NoiseSettings(training.density),
            label_smoothing=0.0,
        ),
        seed=seed,
    )
    fit(
        network,
        Corpus(Sentences(sides[0]), Sentences(sides[1])),
        settings,
        check_every=training.steps,
        report_every=training.steps,
    )
    return network


class Rows(NamedTuple):
    """Sentences to translate, with given target lengths.

    Attributes:
        sources: words of each.
        lengths: target tokens of each, EOS not counted, [B].
        ids: padded source ids, EOS at the end, [B, LONGEST].
    """

    sources: list[tuple[int, ...]]
    lengths: NDArray[np.int64]
    ids: NDArray[np.int32]


def make_rows(sources: Sequence[tuple[int, ...]], lengths: Sequence[int]) -> Rows:
    """Rows of given sources and target lengths."""
    padded = np.zeros((len(sources), LONGEST), np.int32)
    for row, source in zip(padded, sources, strict=True):
        row[: len(source) + 1] = [*(SPECIAL + word for word in source), EOS]
    return Rows(list(sources), np.asarray(lengths, dtype=np.int64), padded)


def fresh_pairs(language: ParallelLanguage, count: int, seed: int) -> list[Pair]:
    """Pairs to test on, from another stream than those of training."""
    pairs: list[Pair] = []
    while len(pairs) < count:
        pairs += training_pairs(language, 2 * count, 1_000_003 + 7 * seed + len(pairs))
    return pairs[:count]


def fresh_rows(language: ParallelLanguage, count: int, seed: int) -> Rows:
    """Fresh sentences with lengths of true translations."""
    pairs = fresh_pairs(language, count, seed)
    return make_rows([source for source, _ in pairs], [len(target) for _, target in pairs])


class Decoded(NamedTuple):
    """Outputs after each number of steps.

    Attributes:
        outputs: target tokens of the language, other ids -2, positions beyond the end -3, [T, B, LONGEST].
        inputs: what the last of these steps saw, as ids of the network, [T, B, LONGEST].
        milliseconds: for a row, [T].
        passes: of the decoder for a row, mean, [T].
    """

    outputs: NDArray[np.int64]
    inputs: NDArray[np.int32]
    milliseconds: Array
    passes: Array


FOREIGN, BEYOND = -2, -3


class Decoding:
    """One way to decode, compiled once for all networks of a configuration."""

    def __init__(self, network: T5, settings: RefinementSettings) -> None:
        from simulators.t5.decoding.refinement import RefinementDecoder

        self._decoder = RefinementDecoder(network, settings)

    def __call__(
        self, network: T5, language: ParallelLanguage, rows: Rows, steps: Sequence[int], seed: int = 0
    ) -> Decoded:
        """Decode all rows with each number of steps; the first draws are the same for all of them."""
        import jax

        self._decoder.load(network)
        outputs, inputs, times, passes = [], [], [], []
        for number in steps:
            clock = time.perf_counter()
            found = self._decoder(rows.ids, rows.lengths + 1, jax.random.key(seed), steps=number)
            times.append(1000 * (time.perf_counter() - clock) / len(rows.sources))
            outputs.append(language_tokens(language, found.tokens, found.lengths - 1))
            inputs.append(found.inputs)
            passes.append(found.steps.mean())
        return Decoded(np.array(outputs), np.array(inputs), np.array(times), np.array(passes))


class AutoregressiveDecoding:
    """Greedy decoding, token by token, with the interface of `Decoding`; the steps are not looked at."""

    def __init__(self, network: T5) -> None:
        from simulators.t5.decoding.autoregressive import AutoregressiveDecoder
        from simulators.t5.decoding.settings import GenerationSettings

        self._decoder = AutoregressiveDecoder(network, GenerationSettings(max_length=LONGEST))

    def __call__(
        self, network: T5, language: ParallelLanguage, rows: Rows, steps: Sequence[int] = (), seed: int = 0
    ) -> Decoded:
        """Decode all rows once; the arrays have one entry."""
        self._decoder.load(network)
        clock = time.perf_counter()
        found = self._decoder(rows.ids)
        milliseconds = 1000 * (time.perf_counter() - clock) / len(rows.sources)
        ended = (found.tokens == EOS).any(axis=1)
        tokens = language_tokens(language, found.tokens, found.lengths - ended)
        passes = np.array([found.lengths.mean()])
        return Decoded(tokens[None], np.zeros((0, 0, 0), np.int32), np.array([milliseconds]), passes)


def language_tokens(language: ParallelLanguage, rows: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Ids [B, L] as target tokens: `FOREIGN` for other ids, `BEYOND` after the given lengths."""
    tokens = np.asarray(rows, dtype=np.int64) - SPECIAL - language.words
    tokens = np.where((tokens >= 0) & (tokens < 2 * language.registers * language.words), tokens, FOREIGN)
    return np.where(np.arange(tokens.shape[1]) < np.asarray(lengths)[:, None], tokens, BEYOND)


def network_laws(network: T5, rows: Rows, inputs: NDArray[np.int32]) -> Array:
    """Laws from which the network draws every position, at given inputs (ids of the network), [B, LONGEST, V]."""
    from simulators.t5.decoding.position_laws import position_laws

    return position_laws(network, rows.ids, inputs)


def length_laws(network: T5, rows: Rows) -> Array:
    """Laws of the target's length without EOS, 0..LONGEST-1, by a network that learned them, [B, LONGEST]."""
    from simulators.t5.decoding.position_laws import length_laws

    return length_laws(network, rows.ids)


def input_tokens(language: ParallelLanguage, rows: Rows, inputs: NDArray[np.int32]) -> NDArray[np.int64]:
    """Inputs of a network [B, L] as target tokens, MASK where it saw a mask."""
    tokens = language_tokens(language, inputs, rows.lengths)
    return np.where((inputs >= ids(language)) & (tokens != BEYOND), MASK, tokens)


def translate_greedily(network: T5, language: ParallelLanguage, sources: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Target tokens that an autoregressive network finds most likely one by one; other ids are `FOREIGN`."""
    rows = make_rows(sources, [0] * len(sources))
    (outputs,) = AutoregressiveDecoding(network)(network, language, rows).outputs
    return [[int(token) for token in output if token != BEYOND] for output in outputs]


def gold_loss(
    network: T5, language: ParallelLanguage, rows: Rows, inputs: NDArray[np.int32], targets: Sequence[tuple[int, ...]]
) -> float:
    """Mean -ln p(true token) given inputs [B, LONGEST], over all positions before EOS, nats."""
    laws = network_laws(network, rows, inputs)
    first = SPECIAL + language.words
    chosen = [
        laws[row, place, first + token] for row, target in enumerate(targets) for place, token in enumerate(target)
    ]
    return float(-np.log(np.maximum(chosen, np.finfo(float).tiny)).mean())


def neighbour_attention(network: T5, rows: Rows, inputs: NDArray[np.int32]) -> Array:
    """Decoder self-attention between positions i and i + 1, mean of directions, heads, layers, [B, LONGEST-1]."""
    from simulators.t5.decoding.position_laws import neighbour_attention

    return neighbour_attention(network, rows.ids, inputs)
