"""The study in sentences, tables and figures, made from its record: what the documentation and the report show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import experiments
from experiments.claim import Table
from experiments.files import read_json
from experiments.translation.ablations.parity import JUDGED, nearest, outcome
from experiments.translation.ablations.recommendations import MARGIN, verdict
from experiments.translation.ablations.tables import errors, frontier, parity, recommendations
from experiments.translation.ablations.variants import CHOSEN_LENGTH, MASK_PREDICT, VARIANTS

STORED = Path(experiments.__file__).parents[1] / "docs" / "data" / "t5-ablations.json"
"""The record that comes with the workbench."""


class Part(NamedTuple):
    """A part of the account.

    Attributes:
        title: heading.
        text: what the numbers say.
        figure: name of `experiments.translation.ablations.figures.draw`, "" for none.
        caption: of the figure.
        table: None for none.
    """

    title: str
    text: str
    figure: str = ""
    caption: str = ""
    table: Table | None = None


def stored_record() -> Mapping[str, Any] | None:
    """The record that comes with the workbench; None where it is installed without its documentation."""
    found = read_json(STORED)
    return found if isinstance(found, dict) else None


def account(record: Mapping[str, Any]) -> list[Part]:
    """The parts of a record that it has something to say on.

    Raises:
        KeyError, TypeError, ValueError, StopIteration: not a record of the study.
    """
    parts = [Part("What was trained", _sizes(record))]
    if record["effects"]:
        parts.append(
            Part(
                "What each choice is worth",
                _verdicts(record),
                "effects",
                "BLEU gained by each choice, with its verdict. Marks: means over seeds of training; bars: 95% "
                "intervals over sentences; strokes: each seed.",
                recommendations(record),
            )
        )
    if record["parity"]:
        parts.append(
            Part(
                "How near its teacher each attempt comes",
                _attempts(record),
                "gaps",
                f"Students minus teacher after {JUDGED} steps, by how the length is chosen. Hollow: neither within "
                f"{MARGIN:g} BLEU nor further away for certain.",
                parity(record),
            )
        )
    times = frontier(record)
    if times.rows:
        parts.append(
            Part(
                "Quality against time",
                "Means over seeds; time is that of the processor, for sentences in batches. Refinement loses where it "
                "is slower and worse: on a processor arithmetic counts, not latency.",
                "frontier",
                "BLEU against processor milliseconds for a sentence, translated in batches: autoregressive decoding, a "
                "mark, and refinement, a line over its steps. First seed.",
                times,
            )
        )
    parts.append(
        Part(
            "Errors of length, tokens and order",
            "Edits of a sentence, in tokens, that make its reference: because the lengths differ, because tokens are "
            "wrong wherever they stand, and because right ones stand in the wrong place. Means over seeds.",
            table=errors(record),
        )
    )
    if record["attention"]:
        parts.append(Part("Where stutter looks", " ".join(map(attention_sentence, record["attention"]))))
    return parts


def _sizes(record: Mapping[str, Any]) -> str:
    sizes, trainings = record["settings"], record["networks"].values()
    seconds = [training["processor_seconds"] for training in trainings]
    spent = sum(second for second in seconds if second is not None)
    left = f"; not trained: {', '.join(record['untrained'])}" if record["untrained"] else ""
    return (
        f"Sentences of at most {sizes['max_length']} pieces, EOS counted; {sizes['pieces']:,} pieces, width "
        f"{sizes['width']}, {sizes['layers']} + {sizes['layers']} layers; autoregressive networks of "
        f"{sizes['teacher_steps']:,} steps, refining ones of {sizes['steps']:,} a leg, in batches of "
        f"{sizes['batch_tokens']:,} padded tokens; seeds {', '.join(map(str, record['seeds']))}. {len(seconds)} "
        f"networks, {spent / 60:.0f} minutes of processor time{_known(seconds)}{left}. {record['sentences']:,} test "
        f"sentences ({record['left_out']:,} longer ones left out). Networks this small show the sign of a choice "
        "rather than its size, and an interval over sentences says little about other seeds."
    )


def _known(seconds: Sequence[float | None]) -> str:
    known = sum(second is not None for second in seconds)
    return f" for the {known} that were never interrupted" if known < len(seconds) else ""


def _verdicts(record: Mapping[str, Any]) -> str:
    advised = Counter(verdict(entry) for entry in record["effects"] if entry["advice"])
    others = Counter(verdict(entry) for entry in record["effects"] if not entry["advice"])
    return (
        f"Of {advised.total()} pieces of the paper's advice {_counted(advised)}; of {others.total()} other choices "
        f"{_counted(others)}. New minus old, with 95% intervals over sentences (paired bootstrap, mean over seeds); "
        f"{JUDGED} steps of mask-predict where nothing else is said."
    )


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in found.most_common()) or "none"


def _attempts(record: Mapping[str, Any]) -> str:
    judged = [gap for gap in record["parity"] if gap["steps"] == JUDGED]
    best = nearest(record["parity"])
    if best is None:
        return f"No attempt was decoded with {JUDGED} steps."
    found = Counter(outcome(gap["bleu"]) for gap in judged)
    bleu = best["bleu"]
    length = ", where the teacher chooses among 3 lengths" if best["scheme"] == CHOSEN_LENGTH else ""
    chosen = [gap["bleu"]["value"] for gap in judged if gap["scheme"] == CHOSEN_LENGTH]
    own = [gap["bleu"]["value"] for gap in judged if gap["scheme"] == MASK_PREDICT]
    text = (
        f"{len({gap['network'] for gap in judged})} attempts, {len(judged)} with the ways to choose a length: parity "
        f"within {MARGIN:g} BLEU is {_counted(found)}. The nearest is “{VARIANTS[best['network']].text}”"
        f"{length}: {bleu['value']:+.2f} BLEU [{bleu['low']:+.2f}, {bleu['high']:+.2f}] after {JUDGED} steps, chosen "
        "on the sentences that it is scored on."
    )
    if chosen and own:
        text += f" The teacher's choice of the length is worth {np.mean(chosen) - np.mean(own):+.2f} BLEU in the mean."
    return text


def attention_sentence(found: Mapping[str, Any]) -> str:
    """What the second step looks at, in a sentence."""
    if found["difference"] is None:
        return f"Self-attention of step 2, seed {found['seed']}: step 1 made no neighbours equal, or all of them."
    error = "" if found["standard error"] is None else f" (s.e. {found['standard error']:.4f})"
    return (
        f"Self-attention of step 2, seed {found['seed']}: {found['repeated']:.4f} between the "
        f"{found['repeated neighbours']} pairs of neighbours that step 1 made equal, {found['other']:.4f} between "
        f"others; difference within a sentence ({found['sentences']} have both) {found['difference']:+.4f}{error}."
    )
