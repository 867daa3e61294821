"""``gmlm t5 ablate``: what is trained on what, the record, the figures, going on, and unusable input."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from experiments.translation.ablations.text import read_text
from experiments.translation.ablations.training import Networks, StudySettings
from experiments.translation.ablations.variants import ABLATIONS, BASE, TRAINED, VARIANTS, networks_of
from simulators.t5.files.checkpoints import save_checkpoint
from simulators.t5.network.network import T5
from simulators.t5.parallel_language import sample_text
from simulators.t5.training.corpus import Corpus
from simulators.t5.training.loop import Entry, TrainingRun
from simulators.t5.training.settings import TrainingSettings
from tests.experiments.test_cli_t5 import gmlm
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

    def fit(self, network: T5, corpus: Corpus, settings: TrainingSettings, *, folder: Path, **rest: Any) -> TrainingRun:
        if network.config.decoder == "autoregressive":
            # Pieces rather than padding, EOS and unknowns, so that there is something to learn from.
            network.shared[...] = network.shared[...].at[:3].set(0.0)
        self.asked[folder.name] = (network, corpus, settings)
        save_checkpoint(network, folder)
        return TrainingRun(self.history(folder), 0, settings.steps)

    def history(self, folder: Path) -> list[Entry]:
        return [Entry(self.asked[folder.name][2].steps, 2.0, 1.5, 100.0, 3.0, 1.25)]


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    made = Trainer()
    monkeypatch.setattr("simulators.t5.training.loop.fit", made.fit)
    monkeypatch.setattr("simulators.t5.training.loop.read_history", made.history)
    return made


def test_variants_differ_from_the_base_in_one_choice() -> None:
    base = VARIANTS[BASE]
    for ablation in ("mask-ratio", "stages", "distillation"):
        assert TRAINED[ablation][0] == BASE
        for name in TRAINED[ablation][1:]:
            fields = vars(VARIANTS[name])
            assert [field for field in fields if field != "text" and fields[field] != vars(base)[field]] == [
                {"mask-ratio": "density", "stages": "stages", "distillation": "distilled"}[ablation]
            ]
    assert networks_of(ABLATIONS) == list(VARIANTS)
    # The teacher is needed for its weights and its translations, the shallow one for its weights.
    assert networks_of(("schemes",)) == ["teacher", "base"]
    assert networks_of(("frontier",)) == ["teacher", "base", "shallow-teacher", "shallow"]


def test_the_study_trains_scores_draws_and_keeps(data: Path, tmp_path: Path, trainer: Trainer) -> None:
    command = ["ablate", tmp_path, "--data", data, *OPTIONS, "--refine", "1,2"]
    ended = gmlm(*command, "--only", "distillation,attention")
    assert ended.code == 0, ended.err
    assert list(trainer.asked) == ["teacher", "base", "references"]
    (base, distilled, _), (references, originals, settings) = trainer.asked["base"], trainer.asked["references"]
    assert len(originals) == len(trainer.asked["teacher"][1]) == 40
    assert distilled.fingerprint != originals.fingerprint
    assert (base.config.decoder, references.config.decoder, settings.steps) == ("refinement", "refinement", 1)
    assert (base.shared[...] == trainer.asked["teacher"][0].shared[...]).all()

    record = json.loads((tmp_path / "record.json").read_text())
    rows = record["quality"]["distillation"]
    assert [(row["model"], row["steps"]) for row in rows] == [
        ("base", 1),
        ("base", 2),
        ("references", 1),
        ("references", 2),
    ]
    assert [row["p_value"] is None for row in rows] == [True, True, False, False]
    assert all(row["half_width"] >= 0 and 0 <= row["bleu"] <= 100 for row in rows)
    assert record["networks"]["base"]["validation"] == 1.25
    assert record["attention"]["repeated neighbours"] >= record["attention"]["sentences"] >= 0
    assert (tmp_path / "figures" / "distillation.png").stat().st_size > 1000
    assert "references" in ended.out
    assert "Self-attention" in ended.out

    # What is there is not made again, and another study is not mixed in.
    settings, text = StudySettings(**SIZES), read_text(data, "de-en")  # type: ignore[arg-type]
    written = (tmp_path / "distilled.tsv").stat().st_mtime_ns
    said: list[str] = []
    Networks(tmp_path, text, settings, said.append, nullcontext, nullcontext)("base")
    assert said == ["teacher: autoregressive, 2 steps", f"base: {VARIANTS[BASE].text}, 1 steps"]
    assert (tmp_path / "distilled.tsv").stat().st_mtime_ns == written
    other = gmlm(*command, "--width", 64)
    assert other.code == 2
    assert "width = 64" in other.err
    assert "begun with 32" in other.err


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
