"""``gmlm t5 ablate``: what is trained on what, the record, the figures, going on, and unusable input."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from experiments.cli.t5.decoding import decoding_settings, refinement_options
from experiments.documentation.ablations import section, with_section
from experiments.translation import recipe
from experiments.translation.ablations.account import STORED, account, stored_record
from experiments.translation.ablations.parity import gaps, outcome
from experiments.translation.ablations.recommendations import QUESTIONS, Way, effects, verdict
from experiments.translation.ablations.tables import frontier, parity, recommendations
from experiments.translation.ablations.text import split_text
from experiments.translation.ablations.variants import (
    ABLATIONS,
    BASE,
    DECODING,
    MASK_PREDICT,
    MASK_PREDICT_OPTIONS,
    TRAINED,
    VARIANTS,
    networks_of,
)
from simulators.t5.files.checkpoints import save_checkpoint
from simulators.t5.files.parallel_text import Pairs
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5
from simulators.t5.parallel_language import sample_text
from simulators.t5.training.corpus import Corpus
from simulators.t5.training.loop import Entry, TrainingRun
from simulators.t5.training.settings import TrainingSettings
from tests.experiments.test_cli_t5 import gmlm
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

pytestmark = pytest.mark.usefixtures("quick_compilation")

SIZES = {"pieces": 16, "max_length": 16, "width": 32, "layers": 1, "teacher_steps": 2, "steps": 1, "batch_tokens": 64}
OPTIONS = [text for name, value in SIZES.items() for text in (f"--{name.replace('_', '-')}", str(value))]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small aligned corpus."""
    folder = tmp_path_factory.mktemp("text")
    language = ParallelLanguage((0.5, 0.5), words=6, branching=2, shortest=2, longest=3)
    for seed, (part, count) in enumerate((("train", 40), ("valid", 8), ("test", 6))):
        pairs = sample_text(language, count, seed)
        (folder / f"{part}.de").write_text("\n".join(pairs.sources) + "\n")
        (folder / f"{part}.en").write_text("\n".join(pairs.targets) + "\n")
    return folder


class Trainer:
    """In place of `fit`: keeps the first weights and what it was asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, tuple[T5, Corpus, TrainingSettings]] = {}
        self.losses: dict[str, float] = {}

    def fit(self, network: T5, corpus: Corpus, settings: TrainingSettings, *, folder: Path, **rest: Any) -> TrainingRun:
        if network.config.decoder == "autoregressive":
            # Pieces rather than padding, EOS and unknowns, so that there is something to learn from.
            network.shared[...] = network.shared[...].at[:3].set(0.0)
        self.asked[folder.name] = (network, corpus, settings)
        save_checkpoint(network, folder)
        return TrainingRun(self.history(folder), 0, settings.steps)

    def history(self, folder: Path) -> list[Entry]:
        if folder.name not in self.asked:
            raise InvalidInput("folder", str(folder), "has no snapshot")
        return [Entry(self.asked[folder.name][2].steps, 2.0, 1.5, 100.0, 3.0, self.losses.get(folder.name, 1.25))]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    made = Trainer()
    monkeypatch.setattr("experiments.translation.ablations.measuring.DRAWS", 50)
    monkeypatch.setattr("simulators.t5.training.loop.fit", made.fit)
    monkeypatch.setattr("simulators.t5.training.loop.read_history", made.history)
    return made


def test_variants_differ_from_their_baseline_in_one_choice() -> None:
    joined = {
        "range-masks": ["correct", "random", "range_masks"],
        "second-leg": ["origin", "correct", "random", "range_masks", "rate"],
        "third-leg": ["origin", "data", "correct", "random", "range_masks", "average", "rate"],
    }
    choice = {
        "fixed-15": ["density"],
        "fixed-50": ["density"],
        "masks-only": ["correct", "random"],
        "two-stages": ["stages"],
        "references": ["data"],
        "beam": ["data"],
        "range-masks": ["range_masks"],
        "second-leg": ["origin", "range_masks", "rate"],
        "glancing": ["glancing"],
        "averaged": ["average"],
        "fast": ["rate"],
        "slow": ["rate"],
        "shallow": ["origin", "shape"],
        "deep": ["origin", "shape"],
    }
    compared = set()
    for ablation, (baseline, *others) in TRAINED.items():
        first = vars(VARIANTS[BASE if ablation == "frontier" else baseline])
        expected = choice | (joined if ablation == "parity" else {})
        for name in set(others) & set(expected):
            fields = vars(VARIANTS[name])
            assert [field for field in fields if field != "text" and fields[field] != first[field]] == expected[name]
            compared.add(name)
    assert compared == {*choice, *joined}
    assert networks_of(ABLATIONS) == list(VARIANTS)
    # The teacher is needed for its weights and its translations, the shallow one for its weights.
    assert networks_of(("schemes",)) == ["teacher", "base"]
    assert networks_of(("stages",)) == ["teacher", "base", "two-stages"]


def test_depths_spend_as_many_layers_on_two_stacks() -> None:
    assert [VARIANTS[name].layers(3) for name in ("base", "shallow", "deep")] == [(3, 3), (3, 1), (1, 5)]


def test_every_question_is_about_networks_and_schemes_that_exist() -> None:
    for question in QUESTIONS:
        for way in (question.new, question.old):
            assert way.network in VARIANTS
            assert way.scheme in {**DECODING, "greedy": None}
            assert (way.scheme == "greedy") == (way.steps is None) == (VARIANTS[way.network].decoder != "refinement")
    assert len({question.name for question in QUESTIONS}) == len(QUESTIONS)


def shifted(by: float, stutter: float = 0.1) -> dict[str, Any]:
    """Scores of 200 draws around 20 + by."""
    spread = np.concatenate([[0], np.random.default_rng(0).normal(0, 0.1, 200)])
    return {"bleu": 20 + by + spread * np.sign(by), "chrf": 40 + by + 0 * spread, "stutter": stutter + 0 * spread}


@pytest.mark.parametrize(
    ("name", "new", "old", "expected"),
    [
        ("distillation", [2, 3], [0, 0], "confirmed"),
        ("distillation", [-2, -3], [0, 0], "contradicted"),
        ("distillation", [2, -3], [0, 0], "not resolved"),  # seeds that disagree
        ("distillation", [2], [0], "not resolved"),  # one seed
        ("masks-only", [2, 2], [0, 0], "contradicted"),  # the advice is the other way
        ("glancing", [2, 2], [0, 0], "better"),
        ("glancing", [-2, -2], [0, 0], "worse"),
        ("glancing", [0, 0], [0, 0], "no difference"),
        ("parity", [-0.5, -0.5], [0], "confirmed"),  # a loss within the margin is none
        ("parity", [-5, -5], [0], "contradicted"),
        ("parity", [-1.5, -1.5], [0], "not resolved"),
    ],
)
def test_verdicts_follow_intervals_and_seeds(name: str, new: list[float], old: list[float], expected: str) -> None:
    question = next(question for question in QUESTIONS if question.name == name)
    cells = {question.new: [shifted(by) for by in new], question.old: [shifted(by) for by in old]}
    (found,) = (entry for entry in effects(cells) if entry["name"] == name)
    assert verdict(found) == expected
    assert found["bleu"]["value"] == pytest.approx(np.mean(new) - np.mean(old))
    assert recommendations({"effects": [found]}).rows[0][-1] == expected


def test_gaps_to_the_teacher_are_of_attempts_alone_and_judged_by_interval_and_seeds() -> None:
    """Of normal draws around the shift, standard deviation 0.1: a 95% interval is about 0.2 on each side."""
    teacher, chosen = Way("teacher", "greedy", None), "3 lengths, teacher's choice"
    shifts = {"base": [-1, -1], "beam": [-2, -2], "deep": [-1.4, -1.4], "fast": [-3, 1], "slow": [2]}
    cells = {Way(name, chosen, 4): [shifted(by) for by in each] for name, each in shifts.items()}
    others = {Way("two-stages", chosen, 4): [shifted(0)], Way("base", "random start", 4): [shifted(0)]}
    assert gaps(cells) == []
    found = gaps(cells | others | {teacher: [shifted(0)], Way("beam", "mask-predict", 8): [shifted(-1)]})
    assert [(gap["network"], gap["steps"]) for gap in found] == [*((name, 4) for name in shifts), ("beam", 8)]
    expected = {"base": "reached", "beam": "missed", "deep": "not resolved", "fast": "not resolved"}
    expected["slow"] = "not resolved"  # one seed
    assert {gap["network"]: outcome(gap["bleu"]) for gap in found[:-1]} == expected
    table = parity({"parity": found})
    assert [row[0] for row in table.rows] == [VARIANTS[name].text for name in ("slow", "base", "fast", "deep", "beam")]
    assert [row[-1] for row in table.rows] == ["not resolved", "reached", *["not resolved"] * 2, "missed"]
    assert table.rows[2][3] == "-3.00, +1.00"


def test_the_study_trains_scores_draws_and_keeps(data: Path, tmp_path: Path, trainer: Trainer) -> None:
    command = ["ablate", tmp_path, "--data", data, *OPTIONS, "--refine", "1,4"]
    ended = gmlm(*command, "--only", "distillation,attention", "--batch-size", 8)
    assert ended.code == 0, ended.err
    each = [f"{name}-{seed}" for name in ("base", "references", "beam") for seed in (0, 1)]
    assert list(trainer.asked) == ["teacher", *each]
    (base, distilled, _), (references, originals, settings) = trainer.asked["base-0"], trainer.asked["references-1"]
    assert len(originals) == len(trainer.asked["teacher"][1]) == 40
    assert distilled.fingerprint != originals.fingerprint
    assert (base.config.decoder, references.config.decoder) == ("refinement", "refinement")
    assert (settings.steps, settings.seed) == (1, 1)
    assert (base.shared[...] == trainer.asked["teacher"][0].shared[...]).all()

    record = json.loads((tmp_path / "record.json").read_text())
    cells = record["cells"]
    assert [(cell["network"], cell["seed"], cell["steps"]) for cell in cells] == [
        (name, seed, steps) for name in ("base", "references", "beam") for seed in (0, 1) for steps in (1, 4)
    ]
    assert all(cell["interval"]["bleu"][0] <= cell["interval"]["bleu"][1] for cell in cells)
    assert all(cell["processor_milliseconds"] > 0 for cell in cells)
    assert record["networks"]["base-1"]["validation"] == 1.25
    assert [entry["name"] for entry in record["effects"]] == [
        "distillation",
        "distillation-stutter",
        "beam",
        "steps-4",
        "steps-stutter",
    ]
    by_seed = {seed: [c["bleu"] for c in cells if c["seed"] == seed and c["steps"] == 4] for seed in (0, 1)}
    assert record["effects"][0]["bleu"]["seeds"] == pytest.approx([by_seed[s][0] - by_seed[s][1] for s in (0, 1)])
    assert all(found["repeated neighbours"] >= found["sentences"] >= 0 for found in record["attention"])
    for name in ("distillation", "effects"):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 1000
    assert "references" in ended.out
    assert "Self-attention" in ended.out
    table = gmlm("recommend", tmp_path / "record.json")
    assert table.out == (tmp_path / "recommendations.md").read_text() == section(record)
    assert table.out.count("| the paper's advice | verdict |") == 1
    for cell in cells:
        edits = cell["length_error"] + cell["token_error"] + cell["order_error"]
        assert edits >= cell["length_error"] > 0

    # What is there is not made again, and another study is not mixed in.
    decoded = tmp_path / "base-0" / "decoded" / "mask-predict.json"
    stamps = [path.stat().st_mtime_ns for path in (tmp_path / "greedy.tsv", decoded)]
    again = gmlm(*command, "--only", "distillation", "--batch-size", 8)
    assert again.code == 0
    assert "decoding: base" not in again.err
    assert stamps == [path.stat().st_mtime_ns for path in (tmp_path / "greedy.tsv", decoded)]
    assert json.loads((tmp_path / "record.json").read_text())["cells"] == cells
    # Attempts to come near the teacher, as far as they are trained; the base is decoded in one more way.
    parity = gmlm(*command, "--only", "parity", "--only-trained", "--batch-size", 8)
    assert parity.code == 0, parity.err
    assert parity.err.splitlines()[-1].startswith("not trained, and left out: range-masks, second-leg, ")
    record = json.loads((tmp_path / "record.json").read_text())
    assert {(gap["network"], gap["scheme"], gap["steps"]) for gap in record["parity"]} == {
        (name, scheme, steps)
        for name in ("base", "beam")
        for scheme in ("mask-predict", "3 lengths, teacher's choice")
        for steps in (1, 4)
    }
    assert (tmp_path / "figures" / "gaps.png").stat().st_size > 1000
    assert "How near its teacher" in parity.out
    other = gmlm(*command, "--width", 64)
    assert other.code == 2
    assert "width = 64" in other.err
    assert "begun with 32" in other.err


def test_the_page_on_translation_says_what_the_stored_record_says() -> None:
    """Made by ``python -m experiments.documentation.ablations docs/data/t5-ablations.json docs``."""
    record = stored_record()
    assert record is not None
    page = (STORED.parents[1] / "translation.md").read_text(encoding="utf-8")
    assert with_section(page, record) == page
    for part in account(record):
        assert not part.figure or (STORED.parents[1] / "figures" / "translation" / f"{part.figure}.webp").exists()
    # A number of the record that changes, changes the page.
    first = {**record["effects"][0], "bleu": {"value": 9.0, "low": 8.0, "high": 10.0, "seeds": [8.0, 10.0]}}
    changed = with_section(page, {**record, "effects": [first, *record["effects"][1:]]})
    assert changed != page
    assert "+9.00 \\[+8.00, +10.00\\]" in changed
    with pytest.raises(InvalidInput, match="marks"):
        with_section("no marks", record)


def test_refinement_loses_where_it_is_slower_and_worse() -> None:
    def cell(network: str, steps: int | None, bleu: float, time: float) -> dict[str, Any]:
        scheme = "mask-predict" if steps else "greedy"
        numbers = {"bleu": bleu, "processor_milliseconds": time}
        return {"network": network, "scheme": scheme, "steps": steps, "seed": 0, **numbers}

    cells = [cell("teacher", None, 20, 4), cell("base", 1, 10, 2), cell("base", 4, 19, 8), cell("base", 8, 21, 3)]
    table = frontier({"cells": cells, "parity": []})
    assert [row[-1] for row in table.rows] == ["", "trades", "loses", "gains"]
    assert table.rows[2][3:7] == ["19.00", "-1.00", "8.00", "2.00"]
    assert frontier({"cells": cells[1:], "parity": []}).rows == []


def test_held_out_sentences_stand_in_no_other_part() -> None:
    rows = [f"s{number % 30}" for number in range(100)]
    targets = [f"T{number}" for number in range(100)]
    targets[1::2] = [text.lower() for text in targets[0::2]]  # equal but for case
    pairs = Pairs(rows, targets, ("a", "b"))
    text = split_text(pairs, 5, 0)
    assert text == split_text(pairs, 5, 0) != split_text(pairs, 5, 1)
    assert (len(text.valid.sources), len(text.test.sources)) == (5, 5)
    for side in (0, 1):
        known = {sentence.lower() for part in text[1:] for sentence in part[side]}
        assert known.isdisjoint(sentence.lower() for sentence in text.train[side])
    there = set(zip(pairs.sources, pairs.targets, strict=True))
    assert all(set(zip(*part[:2], strict=True)) <= there for part in text)
    for held_out in (0, 26):
        with pytest.raises(InvalidInput, match="held_out"):
            split_text(pairs, held_out, 0)
    with pytest.raises(InvalidInput, match="every pair"):
        split_text(Pairs(["s"] * 8, ["t"] * 8, ("a", "b")), 1, 0)


def test_the_recipe_keeps_the_best_leg_and_scores_it(
    data: Path, tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ["--source", data / "train.de", "--target", data / "train.en"]
    command = ["recipe", tmp_path, *files, *OPTIONS, "--held-out", 4, "--refine", 1, "--batch-size", 4]
    ended = gmlm(*command, "--bootstrap", 20)
    assert ended.code == 0, ended.err
    assert list(trainer.asked) == ["teacher", "range-masks-0", "second-leg-0", "third-leg-0"]
    (first, _, one), (second, _, two) = trainer.asked["range-masks-0"], trainer.asked["second-leg-0"]
    assert second.config == first.config
    assert (second.config.range_masks, second.config.positional_attention) == (True, True)
    assert two.optimiser.learning_rate == one.optimiser.learning_rate / 2
    np.testing.assert_array_equal(second.shared[...], first.shared[...])
    record = json.loads((tmp_path / "record.json").read_text())
    # Equal translations: later legs gained nothing.
    assert record["kept"] == "range-masks"
    assert "leg 1 of 3" in ended.out
    assert [(row["model"], row["steps"]) for row in record["quality"]] == [("teacher", None), ("student", 1)]
    assert len(record["samples"]) == 4
    # The command that it names works.
    words = next(line for line in ended.out.splitlines() if line.startswith("Use it")).split()[4:]
    (tmp_path / "lines").write_text((data / "test.de").read_text())
    translated = gmlm(*words, tmp_path / "lines")
    assert translated.code == 0, translated.err
    assert len(translated.out.splitlines()) == 6

    # The second leg translates better, the third has the smaller loss.
    trainer.losses["third-leg-0"] = 1.0
    measured = recipe.measure_quality

    def scored(name: str, *rest: Any, **options: Any) -> Iterator[Any]:
        for quality, *outputs in measured(name, *rest, **options):
            yield dataclasses.replace(quality, bleu=quality.bleu + (name == "second-leg")), *outputs

    monkeypatch.setattr(recipe, "measure_quality", scored)
    assert gmlm(*command, "--bootstrap", 0).code == 0
    assert json.loads((tmp_path / "record.json").read_text())["kept"] == "second-leg"
    for options, message in (
        (["--held-out", 11], "held_out = 11"),
        (["--refine", "0"], "--refine"),
        (["--width", 1], "width"),
    ):
        ended = gmlm(*command, *options)
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.err


def test_mask_predict_on_the_command_line_is_that_of_the_study() -> None:
    command = click.Command("decode", params=list(refinement_options()))
    given = command.make_context("decode", MASK_PREDICT_OPTIONS.split()).params
    config = T5Config(vocab_size=8, decoder="refinement")
    assert decoding_settings(config, given) == DECODING[MASK_PREDICT].settings


def test_unusable_input_is_named(data: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn"
    torn.mkdir()
    for file in data.iterdir():
        (torn / file.name).write_text(file.read_text())
    (torn / "valid.en").write_text("one line\n")
    for options, message in (
        (["--data", tmp_path / "absent"], "no such folder"),
        (["--data", data, "--languages", "de"], "languages = de"),
        (["--data", data, "--languages", "de-fr"], "train.fr"),
        (["--data", torn], "valid.de has 8"),
        (["--data", data, "--only", "masks"], "--only = masks"),
        (["--data", data, "--refine", "0"], "--refine"),
        (["--data", data, "--width", "40"], "width = 40"),
    ):
        ended = gmlm("ablate", tmp_path / "out", *options)
        assert ended.code == 2, ended
        assert message in ended.err
        assert "Traceback" not in ended.err
    for name, content in (("absent", None), ("other", "[1]"), ("half", "{")):
        if content is not None:
            (tmp_path / name).write_text(content)
        ended = gmlm("recommend", tmp_path / name)
        assert (ended.code, ended.out) == (2, "")
        assert "RECORD" in ended.err
