"""The recipe: from sentence pairs to a tested student, by the choices that did best.

1. A vocabulary, and an autoregressive *teacher* on the references.
2. The teacher's greedy translations of the training sources, and its beam translations.
3. A *student* that starts from the teacher's weights, with range masks, attention by position and masks alone, trained
   in three legs: on the greedy translations, again at half the learning rate, and on the beam translations with a
   running mean of the weights.
4. The leg with the best BLEU on validation pairs, decoded by mask-predict with three lengths among which the teacher
   chooses; scores of both networks on test pairs that no training saw. The loss does not choose: in the study on real
   text later legs translated better at the same loss.

Networks, their folders and going on after an interruption are those of the study on real text
(`experiments.translation.ablations.training`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.provenance import provenance
from experiments.translation.ablations.training import Networks
from experiments.translation.ablations.variants import CHOSEN_LENGTH, DECODING, TEACHER
from experiments.translation.quality import measure_quality

if TYPE_CHECKING:
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.network.network import T5

LEGS = ("range-masks", "second-leg", "third-leg")
"""Variants of the student, each the origin of the next."""

STUDENT = "student"
"""Folder of the weights that are kept."""

VALIDATED = 500
"""Validation pairs that each leg translates."""

SAMPLES = 5
"""Sentences that are shown."""


def follow_recipe(
    networks: Networks, steps: Sequence[int], rows: int, bootstrap: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train what is not trained yet, keep the best leg and score teacher and student.

    Args:
        networks: in the folder of the recipe.
        steps: refinement steps to score.
        rows: sentences decoded at once.
        bootstrap: samples of the intervals.
        say: told what begins.

    Returns:
        ``kept`` and ``reason``, ``networks``, ``quality`` (a list of `Quality`), ``samples``, ``provenance``.

    Raises:
        InvalidInput: no test sentence is short enough; see also `Networks`.
    """
    from simulators.t5.decoding.rescoring import Rescorer
    from simulators.t5.decoding.settings import GenerationSettings
    from simulators.t5.decoding.translation import Translator
    from simulators.t5.files.checkpoints import save_checkpoint

    teacher = networks(TEACHER)
    legs = [networks(name) for name in LEGS]
    settings = DECODING[CHOSEN_LENGTH].of(legs[0].config)
    translator = Translator(legs[0], settings, rows, timed=True, rescorer=Rescorer(teacher))

    def translate(name: str, network: T5, pairs: Pairs, efforts: Sequence[int], draws: int = 0) -> Iterator[Any]:
        greedy = network.config.decoder == "autoregressive"
        return measure_quality(
            name,
            network,
            networks.vocabulary,
            pairs,
            GenerationSettings(max_length=networks.settings.max_length) if greedy else settings,
            efforts,
            rows=rows,
            bootstrap=draws,
            translator=None if greedy else translator,
            report=lambda text: say(f"decoding {len(pairs.sources)} sentences: {text}"),
        )

    valid = networks.fitting(networks.text.valid)
    valid = valid._replace(sources=valid.sources[:VALIDATED], targets=valid.targets[:VALIDATED])
    scores = [next(translate(name, leg, valid, [max(steps)]))[0].bleu for name, leg in zip(LEGS, legs, strict=True)]
    best = scores.index(max(scores))
    trainings = [networks.trainings[networks.place(name, networks.settings.seed).name] for name in LEGS]
    bleu = ", ".join(f"{score:.2f}" for score in scores)
    losses = ", ".join(f"{training['validation']:.4f}" for training in trainings)
    reason = (
        f"leg {best + 1} of {len(LEGS)}, step {trainings[best]['best step']}; the legs have BLEU {bleu} on "
        f"{len(valid.sources)} validation pairs, and losses of {losses} nats a token"
    )
    place: Path = networks.folder / STUDENT
    save_checkpoint(legs[best], place)
    networks.vocabulary.save(place)
    test = networks.fitting(networks.text.test)
    quality, outputs = [], {}
    for name, network in ((TEACHER, teacher), (STUDENT, legs[best])):
        for found, _, texts in translate(name, network, test, steps, bootstrap):
            quality.append(found)
            outputs[name] = texts
    return {
        "kept": LEGS[best],
        "reason": reason,
        "networks": networks.trainings,
        "quality": quality,
        "samples": [
            {
                "source": test.sources[i],
                "reference": test.targets[i],
                **{name: texts[i] for name, texts in outputs.items()},
            }
            for i in range(min(SAMPLES, len(test.sources)))
        ],
        "provenance": provenance(),
    }
