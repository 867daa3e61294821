"""Diagnoses of translators: each failure mode where it was planted and not where it was not; a small network whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("flax", reason="translators need the extra simulators")

from flax import nnx

from experiments.cli import gmlm
from experiments.diagnosis.findings import Diagnosis
from experiments.diagnosis.modes import FEW_STEPS, LENGTHS, REPEATS, SEEN_TOKENS
from experiments.diagnosis.translation import LENGTHS_GIVEN, MASKED, MORE, OWN, Decoded, Evaluation, judge
from experiments.translation.quality import Quality
from simulators.t5.decoding.evaluation import edit_errors, stutter_rate, text_scores
from simulators.t5.files.checkpoints import save_checkpoint
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5
from simulators.t5.parallel_language import language_vocabulary, sample_text
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

pytestmark = pytest.mark.usefixtures("quick_compilation")

REFERENCES = [f"the {noun} sees a {other} near the {last}" for noun in "abcdefgh" for other in "klmn" for last in "xyz"]
EVALUATION = Evaluation.of(Path("student"), Path("test.de"), Path("test.en"), 96, range_masks=True)


def decoded(texts: list[str]) -> Decoded:
    """Words are tokens."""
    words, spoken = ([list(map(hash, text.split())) for text in rows] for rows in (texts, REFERENCES))
    scores = text_scores(texts, REFERENCES)
    return Decoded(
        Quality(
            *("student", "refinement", 4, 4.0, scores.bleu, None, scores.chrf, None, 100.0),
            *(stutter_rate(words), stutter_rate(spoken), *edit_errors(words, spoken), 1.0, 1.0, "", ""),
        ),
        texts,
        words,
    )


def judged(**ways: list[str]) -> Diagnosis:
    diagnosis = Diagnosis("student, 96 sentences")
    judge(diagnosis, {way: decoded(texts) for way, texts in ways.items()}, REFERENCES, 4, EVALUATION)
    return diagnosis


def wrong(every: int) -> list[str]:
    """One sentence in so many has other words."""
    return [text if at % every else text.replace("sees", "was") for at, text in enumerate(REFERENCES)]


def test_a_translator_that_makes_no_error_has_none() -> None:
    diagnosis = judged(own=REFERENCES, more=REFERENCES, masked=REFERENCES, lengths=REFERENCES)
    assert diagnosis.worst is None
    assert all(finding.number == 0 for finding in diagnosis.findings)
    assert not diagnosis.left_out


def test_each_error_is_found_at_the_size_that_was_planted() -> None:
    doubled = [text.replace("sees", "sees sees") if at % 4 == 0 else text for at, text in enumerate(REFERENCES)]
    diagnosis = judged(own=doubled, more=REFERENCES, masked=wrong(3), lengths=REFERENCES)
    found = {finding.mode: finding for finding in diagnosis.findings}
    # Eight words have seven neighbours, nine have eight; a quarter of the sentences has one repeated word.
    assert found[REPEATS].number == pytest.approx(24 / (72 * 7 + 24 * 8))
    assert found[REPEATS].severity == pytest.approx(24 / (72 * 7 + 24 * 8) / 0.01)
    assert "--steps 8" in found[REPEATS].remedy
    assert found[LENGTHS].number == pytest.approx(0.25)
    assert not found[LENGTHS].matters
    gain = text_scores(REFERENCES, REFERENCES).bleu - text_scores(doubled, REFERENCES).bleu
    assert found[FEW_STEPS].number == pytest.approx(gain)
    assert found[FEW_STEPS].remedy.endswith("--start range-mask --steps 8")
    assert found[SEEN_TOKENS].number < 0
    assert not found[SEEN_TOKENS].matters


def test_mask_predict_mends_updates_of_tokens_that_are_seen() -> None:
    diagnosis = judged(own=wrong(2), more=wrong(2), masked=REFERENCES, lengths=wrong(2))
    worst = diagnosis.worst
    assert worst is not None
    assert worst.mode == SEEN_TOKENS
    gain = text_scores(REFERENCES, REFERENCES).bleu - text_scores(wrong(2), REFERENCES).bleu
    assert worst.number == pytest.approx(gain)
    assert "--update rejected" in worst.remedy


def test_a_gain_that_may_be_nothing_is_no_finding() -> None:
    """Better in one sentence, worse in another: the interval has both signs."""
    first, second = list(REFERENCES), list(REFERENCES)
    first[0] = second[1] = "nothing of it"
    second[1] = "the a sees a k near the"
    diagnosis = judged(own=first, more=first, masked=second, lengths=first)
    assert SEEN_TOKENS.name not in diagnosis.left_out  # below the threshold it is told as it is
    few = REFERENCES[:3]
    own = Decoded(decoded(REFERENCES).quality, ["no", few[1], few[2]], [[1], [2], [3]])
    other = Decoded(decoded(REFERENCES).quality, [few[0], few[1], "the a sees a k"], [[1], [2], [3]])
    one = Diagnosis("student")
    judge(one, {OWN: own, MORE: own, MASKED: other, LENGTHS_GIVEN: own}, few, 4, EVALUATION)
    assert "cannot be told from nothing" in one.left_out[SEEN_TOKENS.name]


LANGUAGE = ParallelLanguage((0.5, 0.5), words=5, branching=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = language_vocabulary(LANGUAGE)
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 1}
    config = T5Config(vocabulary.size, **sizes, decoder="refinement", max_target_length=12, length_predictor="affine")  # type: ignore[arg-type]
    made = tmp_path_factory.mktemp("translator") / "model"
    save_checkpoint(T5(config, nnx.Rngs(0)), made)
    vocabulary.save(made)
    return made


def test_a_checkpoint_whole(folder: Path, tmp_path: Path) -> None:
    pairs = sample_text(LANGUAGE, 8, 0)
    test = tmp_path / "test.tsv"
    test.write_text("".join(f"{s}\t{t}\n" for s, t in zip(pairs.sources, pairs.targets, strict=True)))
    words = ["diagnose", "--t5", str(folder), "--source", str(test), "--steps", "1", "--json"]
    record = json.loads(CliRunner().invoke(gmlm, words, catch_exceptions=False).stdout)
    modes = {entry["mode"] for entry in record["findings"]} | set(record["left_out"])
    assert modes == {mode.name for mode in (REPEATS, LENGTHS, SEEN_TOKENS, FEW_STEPS)}
    assert record["subject"] == "model, 8 sentences"


def test_pairs_of_another_language_are_refused(folder: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("ж\tж щ ю\n")
    with pytest.raises(InvalidInput, match="pairs of the checkpoint's own languages are needed"):
        CliRunner().invoke(gmlm, ["diagnose", "--t5", str(folder), "--source", str(test)], catch_exceptions=False)


def test_a_network_that_decodes_token_by_token_has_no_steps() -> None:
    diagnosis = judged(own=wrong(2))
    assert set(diagnosis.left_out) == {SEEN_TOKENS.name, FEW_STEPS.name}
    assert "token by token" in diagnosis.left_out[FEW_STEPS.name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--steps 3", "--steps = 3: has no effect on the model ising"),
        ("--t5 nowhere --k 2", "--k = 2: has no effect with --t5"),
        ("--t5 nowhere --target x", "--target = x: needs --source"),
        ("--t5 nowhere --mlm other", "--mlm = other: give either it or --t5"),
    ],
)
def test_what_cannot_be_typed(words: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        CliRunner().invoke(gmlm, ["diagnose", *words.split()], catch_exceptions=False)
    assert message in str(refused.value)
