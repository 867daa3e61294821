"""The recipe: from sentence pairs to a tested student, by the choices that did best.

1. A vocabulary, and an autoregressive *teacher* on the references.
2. The teacher's greedy translations of the training sources.
3. A *student* that starts from the teacher's weights, trained on them in two legs, with range masks, attention by
   position and masks alone; the second leg goes on from the first at half its learning rate.
4. Of the two legs the weights with the smaller validation loss, decoded by mask-predict with three lengths among which
   the teacher chooses; scores of both networks on test pairs that no training saw.

Networks, their folders and going on after an interruption are those of the study on real text
(`experiments.translation.ablations.training`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments.provenance import provenance
from experiments.translation.ablations.training import Networks
from experiments.translation.ablations.variants import CHOSEN_LENGTH, DECODING, TEACHER
from experiments.translation.quality import measure_quality

LEGS = ("range-masks", "second-leg")
"""Variants of the student, each the origin of the next."""

STUDENT = "student"
"""Folder of the weights that are kept."""

SAMPLES = 5
"""Sentences that are shown."""


def follow_recipe(
    networks: Networks, steps: Sequence[int], rows: int, bootstrap: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train what is not trained yet, keep the better leg and score teacher and student.

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
    from simulators.t5.files.checkpoints import save_checkpoint

    teacher = networks(TEACHER)
    legs = [networks(name) for name in LEGS]
    trainings = [networks.trainings[networks.place(name, networks.settings.seed).name] for name in LEGS]
    losses = [training["validation"] for training in trainings]
    better = losses.index(min(losses))
    student = legs[better]
    reason = (
        f"leg {better + 1}, step {trainings[better]['best step']}: validation {losses[better]:.4f} nats a token; "
        f"leg {2 - better} reached {losses[1 - better]:.4f}"
    )
    place: Path = networks.folder / STUDENT
    save_checkpoint(student, place)
    networks.vocabulary.save(place)
    test = networks.fitting(networks.text.test)
    quality, outputs = [], {}
    for name, network, settings, rescorer in (
        (TEACHER, teacher, GenerationSettings(max_length=networks.settings.max_length), None),
        (STUDENT, student, DECODING[CHOSEN_LENGTH].of(student.config), Rescorer(teacher)),
    ):
        for found, _, texts in measure_quality(
            name,
            network,
            networks.vocabulary,
            test,
            settings,
            steps,
            rows=rows,
            bootstrap=bootstrap,
            rescorer=rescorer,
            report=lambda text: say(f"decoding {len(test.sources)} sentences: {text}"),
        ):
            quality.append(found)
            outputs[name] = texts
    return {
        "kept": LEGS[better],
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
