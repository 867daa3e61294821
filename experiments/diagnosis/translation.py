"""Failure modes of a translation checkpoint, from test pairs: stutter, lengths, updates of seen tokens, too few steps.

A network that refines is decoded in four ways: with its steps, every position predicted at each (``own``); with twice
as many (``more``); by mask-predict, which predicts again only what it masks again (``masked``); and with the lengths
of the references (``lengths``). A network that was trained on masks alone never learned to predict a token that it
sees, so that mask-predict gains where it matters. Differences of BLEU have 95% intervals over the sentences, drawn
for both at once; one that may be zero is no finding.

Legend: ``T`` steps.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.diagnosis.findings import Diagnosis, shown
from experiments.diagnosis.modes import FEW_STEPS, LENGTHS, REPEATS, SEEN_TOKENS, Mode
from experiments.translation.ablations.variants import DECODING, MASK_PREDICT, MASK_PREDICT_OPTIONS
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from experiments.translation.quality import Quality
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5

OWN, MORE, MASKED, LENGTHS_GIVEN = "own", "more", "masked", "lengths"
"""Ways to decode, as the module's description names them."""

DRAWS = 300
"""Of the intervals."""

CEILING = 50.0
"""BLEU of references that are written with the vocabulary and read back; below, they are of another language."""


@dataclass(frozen=True)
class Decoded:
    """A way to decode the test pairs: scores, texts, and the tokens that they are of."""

    quality: Quality
    texts: Sequence[str]
    tokens: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Evaluation:
    """How `gmlm t5 evaluate` is told of the checkpoint, its pairs and where its targets start."""

    words: str

    @staticmethod
    def of(folder: Path, source: Path | None, target: Path | None, limit: int, range_masks: bool) -> Evaluation:
        """From the options of a diagnosis."""
        named = [("--source", source), ("--target", target), ("--limit", limit)]
        words = [shlex.quote(str(folder))]
        words += [f"{option} {shlex.quote(str(value))}" for option, value in named if value is not None]
        return Evaluation(" ".join([*words, *(["--start range-mask"] if range_masks else [])]))

    def command(self, more: str) -> str:
        """With further options."""
        return f"gmlm t5 evaluate {self.words} {more}"


def diagnose_translator(
    name: str,
    network: T5,
    vocabulary: Vocabulary,
    pairs: Pairs,
    steps: int,
    evaluation: Evaluation,
    say: Callable[[str], None] = lambda text: None,
) -> Diagnosis:
    """The failure modes of a checkpoint, ranked.

    Args:
        name: of the checkpoint.
        network, vocabulary: what translates.
        pairs: sources and references.
        steps: T of a network that refines.
        evaluation: of the recommended commands.
        say: told what is being decoded.

    Raises:
        InvalidInput: fewer than one step, or references that the vocabulary cannot write.
    """
    from simulators.t5.decoding.evaluation import text_scores

    if steps < 1:
        raise InvalidInput("steps", steps, "a whole number of at least 1 is needed")
    config = network.config
    refines = config.decoder == "refinement"
    settings = {"pairs": len(pairs.sources), "decoder": config.decoder, "steps": steps if refines else None}
    diagnosis = Diagnosis(f"{name}, {len(pairs.sources)} sentences", settings)
    written = vocabulary.decode(vocabulary.encode(pairs.targets))
    ceiling = text_scores(written, pairs.targets).bleu
    if ceiling < CEILING:
        lost = f"references that keep {ceiling:.0f} BLEU when written with this vocabulary"
        raise InvalidInput("--source", lost, f"pairs of the checkpoint's own languages are needed, {CEILING:.0f} BLEU")
    decoded = _decoded(name, network, vocabulary, pairs, steps, say)
    judge(diagnosis, decoded, pairs.targets, steps, evaluation)
    if config.length_predictor == "oracle" and refines:
        diagnosis.leave_out("does not apply: this network is given the lengths", LENGTHS)
    return diagnosis


def _decoded(
    name: str, network: T5, vocabulary: Vocabulary, pairs: Pairs, steps: int, say: Callable[[str], None]
) -> dict[str, Decoded]:
    from experiments.translation.quality import measure_quality
    from simulators.t5.decoding.settings import GenerationSettings
    from simulators.t5.decoding.translation import Settings, Translator

    def run(way: str, settings: Settings, efforts: list[int], translator: Translator | None = None) -> list[Decoded]:
        found = measure_quality(
            name,
            network,
            vocabulary,
            pairs,
            settings,
            efforts,
            oracle_lengths=way == LENGTHS_GIVEN,
            report=lambda text: say(f"decoding: {text}"),
            translator=translator,
        )
        return [Decoded(quality, texts, [target.tokens for target in targets]) for quality, targets, texts in found]

    config = network.config
    if config.decoder != "refinement":
        return {OWN: run(OWN, GenerationSettings(max_length=config.max_target_length), [])[0]}
    every = DECODING["masks, all kept"].of(config)
    translator = Translator(network, every, timed=True)
    own, more = run(OWN, every, [steps, 2 * steps], translator)
    (masked,) = run(MASKED, DECODING[MASK_PREDICT].of(config), [steps])
    decoded = {OWN: own, MORE: more, MASKED: masked}
    if config.length_predictor != "oracle":
        longest = max(len(row) for row in vocabulary.encode(pairs.targets))
        if longest <= config.max_target_length:
            (decoded[LENGTHS_GIVEN],) = run(LENGTHS_GIVEN, every, [steps], translator)
    return decoded


def judge(
    diagnosis: Diagnosis, decoded: Mapping[str, Decoded], references: Sequence[str], steps: int, evaluation: Evaluation
) -> None:
    """Add what the ways to decode tell; see the module's description.

    Args:
        diagnosis: added to.
        decoded: by way to decode; of an autoregressive network its own alone.
        references: of the sentences.
        steps: T.
        evaluation: of the recommended commands.
    """
    own = decoded[OWN].quality
    refines = MASKED in decoded
    once, twice = f"--steps {steps}", f"--steps {2 * steps}"
    masks_only = f"{MASK_PREDICT_OPTIONS} {once}"
    says = (
        f"{own.stutter:.2%} of neighbouring tokens are equal, {own.reference_stutter:.2%} in the references"
        f"{f', after {steps} steps' if refines else ''}"
    )
    if refines:
        ways = {MORE: twice, MASKED: masks_only}
        best = min(ways, key=lambda way: decoded[way].quality.stutter)
        remedy, effect = evaluation.command(ways[best]), f"{decoded[best].quality.stutter:.2%}"
    else:
        remedy, effect = evaluation.command("--beams 4"), ""
    diagnosis.add(REPEATS, own.stutter - own.reference_stutter, says, "unbiased", remedy, effect)
    says = f"outputs are {shown(own.length_error)} tokens longer or shorter than the references, on average"
    if LENGTHS_GIVEN in decoded:
        says += f"; with the right lengths BLEU is {decoded[LENGTHS_GIVEN].quality.bleu:.1f} instead of {own.bleu:.1f}"
    remedy = evaluation.command(f"--length-beam 3 {once}" if refines else "--beams 4")
    diagnosis.add(LENGTHS, own.length_error, says, "unbiased", remedy)
    if not refines:
        reason = "does not apply: this network decodes token by token"
        diagnosis.leave_out(reason, SEEN_TOKENS, FEW_STEPS)
        return
    says = f"with {steps} steps, predicting again only what is masked again gains"
    _gain(diagnosis, SEEN_TOKENS, says, decoded, MASKED, references, evaluation.command(masks_only))
    says = f"{2 * steps} steps gain over {steps}"
    _gain(diagnosis, FEW_STEPS, says, decoded, MORE, references, evaluation.command(twice))


def _gain(
    diagnosis: Diagnosis,
    mode: Mode,
    says: str,
    decoded: Mapping[str, Decoded],
    way: str,
    references: Sequence[str],
    remedy: str,
) -> None:
    """Add what a way to decode gains in BLEU, unless it may be nothing for all that the sentences tell."""
    from simulators.t5.decoding.paired_bootstrap import drawn_scores, drawn_weights, interval

    weights = drawn_weights(len(references), DRAWS)
    own, other = (
        drawn_scores(decoded[name].texts, decoded[name].tokens, references, weights)["bleu"] for name in (OWN, way)
    )
    gain = interval(other - own)
    between = f"{gain.value:.1f} BLEU (95% interval {gain.low:.1f} to {gain.high:.1f})"
    if gain.value >= mode.threshold and gain.low <= 0:
        diagnosis.leave_out(f"cannot be told from nothing: {says} {between}; give more pairs", mode)
        return
    diagnosis.add(mode, gain.value, f"{says} {between}", "unbiased", remedy, f"{decoded[way].quality.bleu:.1f} BLEU")
