"""``gmlm t5 vocab``, ``train`` and ``distill`` as a user calls them."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from experiments.cli.t5 import t5
from simulators.snapshots import read_plain
from simulators.t5.files.checkpoints import load_checkpoint
from simulators.t5.files.parallel_text import read_pairs
from simulators.t5.files.vocabulary import MODEL, TOKENIZER_CONFIG
from simulators.t5.parallel_language import language_vocabulary
from simulators.t5.training import distillation
from simulators.t5.training.loop import SNAPSHOT, read_history
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

pytestmark = pytest.mark.usefixtures("quick_compilation")

SIZES = [
    "--width",
    "16",
    "--hidden",
    "24",
    "--heads",
    "2",
    "--head-width",
    "8",
    "--layers",
    "1",
    "--decoder-layers",
    "1",
]
QUICK = ["--steps", "6", "--check-every", "3", "--batch-tokens", "64", "--warmup", "2"]
TEACHER = ["--steps", "80", "--check-every", "40", "--batch-tokens", "128", "--warmup", "10", "--learning-rate", "0.03"]
DATA = ["--pairs", "60", "--words", "6", "--max-length", "12"]

Gmlm = Callable[..., Result]


def gmlm(*arguments: object, error: str | None = None) -> Result:
    """Run ``gmlm t5 ...``; where an error is expected, it must be one of input and say so."""
    result = CliRunner().invoke(t5, [str(argument) for argument in arguments])
    if error is None:
        assert result.exit_code == 0, (result.output, result.exception)
    elif isinstance(result.exception, InvalidInput):
        assert error in str(result.exception)
    else:
        assert result.exit_code == 2, result.exception
        assert error in result.output
    return result


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("t5") / "teacher"
    result = gmlm("train", folder, *DATA, *SIZES, *TEACHER)
    assert "60 pairs" in result.output
    assert "validation" in result.output
    return folder


def test_training_on_the_embedded_language_leaves_a_checkpoint(teacher: Path) -> None:
    network = load_checkpoint(teacher)
    assert network.config.decoder == "autoregressive"
    assert network.config.max_target_length == 12
    assert network.config.tied
    assert {path.name for path in teacher.iterdir()} == {
        "config.json",
        "model.safetensors",
        "spiece.model",
        "tokenizer_config.json",
        SNAPSHOT,
    }
    assert [entry.step for entry in read_history(teacher) if entry.validation is not None] == [40, 80]


def test_the_same_command_goes_on_and_another_one_is_refused(teacher: Path) -> None:
    again = gmlm("train", teacher, *DATA, *SIZES, *TEACHER)
    assert "was trained to step 80 already" in again.output
    gmlm("train", teacher, *DATA, *SIZES, *TEACHER, "--learning-rate", "0.5", error="learning_rate")


def test_another_vocabulary_is_refused_and_harms_nothing(teacher: Path, tmp_path: Path) -> None:
    other = language_vocabulary(ParallelLanguage((1.0,), words=8, branching=2))
    other.save(tmp_path)
    before = (teacher / MODEL).read_bytes()
    for folder, origin in ((teacher, ()), (tmp_path / "new", ("--from", teacher))):
        given = ("--vocabulary", tmp_path)
        gmlm("train", folder, *DATA, *QUICK, *origin, *given, error="use its own vocabulary")
    gmlm(
        "distill", teacher, tmp_path / TOKENIZER_CONFIG, "--out", tmp_path / "o", *given, error="use its own vocabulary"
    )
    assert (teacher / MODEL).read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_a_student_starts_from_the_teacher_and_learns_what_it_says(teacher: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    lines = ["s1 s2 s3", "s4 s5", "s1 s3", "s1 s2 s3 s4 s5", "s2 s3 s4"] * 3
    source.write_text("\n".join(lines) + "\n")
    out = tmp_path / "distilled.tsv"
    result = gmlm("distill", teacher, source, "--out", out, "--min-length", 2, "--batch-size", 2)
    pairs = read_pairs(out)
    assert f"{len(pairs.sources)} pairs" in result.output
    assert set(pairs.sources) <= set(lines)
    # The order of the sources is kept, and equal sources have equal translations.
    positions = [lines.index(line) for line in pairs.sources]
    assert len(dict(zip(pairs.sources, pairs.targets, strict=True))) == len(set(positions))
    assert not out.with_name("distilled.tsv.part").exists()
    student = tmp_path / "student"
    options = ["--source", out, "--from", teacher, "--decoder", "refinement", "--max-length", 12]
    chosen = [
        "--learned-rejecter",
        "--range-masks",
        "--weighting",
        "mask",
        "--stages",
        2,
        "--noise",
        "bernoulli:ratio=0.5",
    ]
    gmlm("train", student, *options, *chosen, *QUICK)
    config = load_checkpoint(student).config
    assert (config.decoder, config.learned_rejecter, config.range_masks) == ("refinement", True, True)
    assert config.d_model == 16
    objective = read_plain(student / SNAPSHOT)["identity"]["settings"]["objective"]
    assert (objective["stages"], objective["weighting"], objective["noise"]["density"]) == (2, "mask", 0.5)
    # A refinement student cannot become a teacher again.
    gmlm("train", tmp_path / "x", "--from", student, "--decoder", "autoregressive", error="refinement checkpoint")


def _no_space(path: Path, content: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_an_interrupted_distillation_goes_on(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal cut in the middle of a line, as by a kill: what it holds is used, the torn line is done again."""
    source = tmp_path / "source.txt"
    source.write_text("\n".join(f"s{i % 6} s{(i + 1) % 6} s{(i + 2) % 6}" for i in range(20)) + "\n")
    whole, torn = tmp_path / "whole.tsv", tmp_path / "torn.tsv"
    command = ["distill", teacher, source, "--min-length", 2, "--batch-size", 4]
    gmlm(*command, "--out", whole)
    # A disk that is full when the result is written leaves the finished journal behind.
    with monkeypatch.context() as full:
        full.setattr(distillation, "write_atomically", _no_space)
        ended = CliRunner().invoke(t5, [str(argument) for argument in (*command, "--out", torn)])
        assert isinstance(ended.exception, OSError)
    journal = tmp_path / "torn.tsv.part"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 21
    first, text = json.loads(lines[1])
    lines[1] = (json.dumps([first, "kept as it was"]) + "\n").encode()
    journal.write_bytes(b"".join(lines[:8]) + lines[8][:5])
    result = gmlm(*command, "--out", torn)
    assert "7 of them earlier" in result.output
    expected = whole.read_text().splitlines()
    expected[first] = expected[first].split("\t")[0] + "\tkept as it was"
    assert torn.read_text().splitlines() == expected
    assert text
    # A journal of another teacher or other sources is not mixed in.
    journal.write_bytes(b"".join(lines[:8]))
    gmlm(*command, "--out", torn, "--seed", 1, error="another teacher")
    source.write_text("s1 s2\n")
    gmlm(*command, "--out", torn, error="other sources")


def test_vocabularies_of_text(tmp_path: Path) -> None:
    text = tmp_path / "text"
    things, deeds = ("Hund", "Tisch", "dog", "table", "Vogel"), ("schläft", "ist groß", "sleeps", "is large", "singt")
    text.write_text("".join(f"{thing} {deed}.\n" for thing in things for deed in deeds))
    result = gmlm("vocab", text, "--out", tmp_path / "v", "--size", 30)
    assert "30 pieces from 25 lines" in result.output
    assert {path.name for path in (tmp_path / "v").iterdir()} == {"spiece.model", "tokenizer_config.json"}
    result = gmlm("vocab", text, "--out", tmp_path / "v", "--size", 4000)
    assert "4000" in result.output
    gmlm("vocab", tmp_path / "absent", "--out", tmp_path / "v", error="there is no such file")


def test_unusable_options_are_named(teacher: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("a b\nc d\n")
    (tmp_path / "short").write_text("a b\n")
    folder = tmp_path / "out"
    cases: list[tuple[list[object], str]] = [
        (["--source", text], "--vocabulary"),
        (["--target", text], "needs --source"),
        (["--source", text, "--target", text, "--valid-target", text, "--vocabulary", teacher], "needs --valid-source"),
        (["--source", text, "--target", tmp_path / "short", "--vocabulary", teacher], "aligned files need as many"),
        (["--source", text, "--target", text, "--vocabulary", tmp_path], "holds neither"),
        (["--from", tmp_path], "holds neither"),
        (["--from", teacher, "--width", 32], "the sizes are those of --from"),
        (["--noise", "often"], "noise = often: one of uniform-ratio, bernoulli"),
        (["--noise", "uniform", "--words", 6], "noise = uniform: is written uniform-ratio"),
        (["--noise", "0.5", "--words", 6], "noise = 0.5: is written bernoulli:ratio=0.5"),
        (["--noise", "bernoulli:ratio=1.5", "--words", 6], "ratio = 1.5"),
        (["--steps", 0], "steps"),
        (["--registers", "0.5,0.6"], "register_weights"),
        (["--words", 3], "words"),
        (["--pairs", 0], "pairs"),
        (["--max-length", 3, "--strict"], "at most 3"),
        (["--stages", 3], "stages"),
        (["--optimiser", "sgd"], "sgd"),
    ]
    for options, message in cases:
        gmlm("train", folder, *SIZES, *options, error=message)
    assert not (folder / "config.json").exists()


def test_errors_end_with_one_line_and_exit_code_2(tmp_path: Path) -> None:
    arguments = ["t5", "train", str(tmp_path), "--from", str(tmp_path / "absent")]
    program = "from experiments.cli import main; main()"
    found = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert found.returncode == 2
    assert found.stderr.startswith("Error: ")
    assert "Traceback" not in found.stderr
