"""``gmlm t5 translate | evaluate | bench | convert`` on small random checkpoints: output, files, errors, exit codes."""

from __future__ import annotations

import io
import itertools
import json
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from flax import nnx

from experiments.cli import main
from experiments.cli.t5.decoding import require_vocabulary
from experiments.translation import line_stream
from experiments.translation.line_stream import groups_of_lines
from experiments.translation.long_lines import parts_of
from simulators.t5.files.checkpoints import load_checkpoint, save_checkpoint
from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5
from simulators.t5.parallel_language import language_vocabulary
from theory.errors import InvalidInput
from theory.language import ParallelLanguage

LANGUAGE = ParallelLanguage((0.5, 0.5), words=5, branching=2)
SIZES = {"d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def gmlm(*arguments: object, input: bytes | str = "") -> Ended:
    """Run the command line as a shell would."""
    with CliRunner().isolation(input=input) as (out, err, _):
        try:
            main(["t5", *map(str, arguments)])
        except SystemExit as exit:
            code = exit.code
    return Ended(int(code or 0), out.getvalue().decode(), err.getvalue().decode())


def make(folder: Path, decoder: str, seed: int) -> Path:
    vocabulary = language_vocabulary(LANGUAGE)
    config = T5Config(vocabulary.size, **SIZES, decoder=decoder, max_target_length=8, length_predictor="affine")  # type: ignore[arg-type]
    network = T5(config, nnx.Rngs(seed))
    # A large output layer makes predictions differ between positions and steps.
    network.lm_head[...] = network.lm_head[...] * 5
    save_checkpoint(network, folder)
    vocabulary.save(folder)
    return folder


@pytest.fixture(scope="module")
def autoregressive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("t5") / "autoregressive", "autoregressive", 0)


@pytest.fixture(scope="module")
def refining(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("t5") / "refining", "refinement", 1)


def test_translate_keeps_what_came_before_a_line_that_is_too_long(autoregressive: Path, tmp_path: Path) -> None:
    lines = ["s0 s1", "", "s2 ж s4", "ж s1", "s0 s1 s2 s3 s4 s0 s1 s2", "s0"]
    text = tmp_path / "lines"
    text.write_text("\n".join(lines), encoding="utf-8")
    ended = gmlm("translate", autoregressive, text)
    assert ended.code == 2
    assert "line 5 = 9 tokens: at most 8" in ended.err
    assert ended.err.count("Warning: line 3") == 1
    assert "line 4" not in ended.err
    translated = ended.out.split("\n")
    assert len(translated) == 5
    assert translated[1] == translated[4] == ""
    assert translated[0]


def test_translate_from_a_pipe_shows_every_step(refining: Path) -> None:
    arguments = (
        "translate",
        refining,
        "--steps",
        3,
        "--show-steps",
        "--long",
        "truncate",
        "--start",
        "random",
        "--no-early-exit",
    )
    ended = gmlm(*arguments, input="s0 s1 s2\n\ns0 s1 s2 s3 s4 s0 s1 s2\n")
    assert ended.code == 0, ended.err
    shown = ended.out.splitlines()
    assert shown[0].startswith("1  s0 s1 s2")
    steps = [line for line in shown if line.startswith("  step")]
    assert len(steps) == 6
    assert not any("[" in line for line in (steps[0], steps[3]))
    assert any("[" in line for line in steps)
    for before, after in itertools.pairwise(steps[:3]):
        old, new = (line.split()[2:] for line in (before, after))
        assert all(token == f"[{token.strip('[]')}]" or token == other for token, other in zip(new, old, strict=True))
    assert [line.strip() for line in shown if line.startswith("  =>")][1] == "=>"


def test_long_lines_are_translated_in_parts(autoregressive: Path) -> None:
    lines = ["s0 s1 s2. s3 s4 s0 s1", "", "\u200b", "s0 s1 s2 s3 s4 s0 s1 s2 s3"]
    ended = gmlm("translate", autoregressive, "--long", "split", input="\n".join(lines))
    assert ended.code == 0, ended.err
    translated = ended.out.split("\n")
    assert len(translated) == 5
    assert translated[1] == translated[2] == ""
    parts = ["s0 s1 s2 s3 s4 s0 s1", "s2 s3"]
    alone = gmlm("translate", autoregressive, input="\n".join(parts))
    assert translated[3] == " ".join(alone.out.split("\n")[:2])
    pieces = language_vocabulary(LANGUAGE)
    assert parts_of(lines[3], pieces, 8) == parts
    assert parts_of("s0 s1! s2 s3 s4 s0 s1 s2 s3 s4", pieces, 7) == ["s0 s1!", "s2 s3 s4 s0 s1 s2", "s3 s4"]
    with pytest.raises(InvalidInput, match="word = s0: 2 tokens"):
        parts_of("s0 s1", pieces, 1)


def test_n_best_lists_scores_in_order(autoregressive: Path, refining: Path) -> None:
    ended = gmlm("translate", autoregressive, "--n-best", 3, "--beams", 4, input="s0 s1\n\ns2\n")
    assert ended.code == 0, ended.err
    rows = [line.split("\t") for line in ended.out.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "3", "3", "3"]
    assert rows[3] == ["2", "", ""]
    for first in (0, 4):
        scores = [float(row[1]) for row in rows[first : first + 3]]
        assert scores == sorted(scores, reverse=True)
        assert len({row[2] for row in rows[first : first + 3]}) == 3
    best = gmlm("translate", autoregressive, "--beams", 4, input="s0 s1\n\ns2\n")
    assert best.out.splitlines() == [rows[0][2], "", rows[4][2]]
    ended = gmlm("translate", refining, "--n-best", 3, "--length-beam", 3, input="s0 s1\n")
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 3
    for arguments, message in (
        ((autoregressive, "--n-best", 2), "n_best = 2: at most as many as beams"),
        ((refining, "--n-best", 2), "n_best = 2: at most as many as hypotheses"),
        ((refining, "--n-best", 2, "--long", "split", "--length-beam", 3), "--n-best"),
    ):
        ended = gmlm("translate", *arguments, input="s0\n")
        assert ended.code == 2
        assert message in ended.err


def test_evaluate_puts_both_decoders_in_one_table_and_figure(
    autoregressive: Path, refining: Path, tmp_path: Path
) -> None:
    text, figure = tmp_path / "pairs.tsv", tmp_path / "frontier.svg"
    text.write_text("s0 s1\ta0 a1\ns1 s2\tb1 b2\n", encoding="utf-8")
    options = (
        "--source",
        text,
        "--steps",
        "1,2",
        "--beams",
        1,
        "--batch-size",
        2,
        "--oracle-lengths",
        "--bootstrap",
        50,
    )
    ended = gmlm("evaluate", autoregressive, refining, *options, "--figure", figure, "--json")
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    assert [(row["model"], row["steps"]) for row in rows] == [
        ("autoregressive", None),
        ("refining", 1),
        ("refining", 2),
    ]
    assert {row["reference_stutter"] for row in rows} == {0.0}
    assert all(row["milliseconds"] > 0 and "version:" in row["bleu_signature"] for row in rows)
    assert rows[1]["length_error"] == 0
    assert rows[1]["passes"] == 1
    assert all(row["bleu_interval"] >= 0 and row["chrf_interval"] >= 0 for row in rows)
    assert b"refining" in figure.read_bytes() or figure.stat().st_size > 5000


def test_logged_samples_show_every_step(autoregressive: Path, refining: Path, tmp_path: Path) -> None:
    log = tmp_path / "samples.jsonl"
    options = ("--words", 5, "--limit", 3, "--steps", "1,3", "--batch-size", 4, "--bootstrap", 0, "--json")
    ended = gmlm("evaluate", autoregressive, refining, *options, "--log-samples", log, "--samples", 2)
    assert ended.code == 0, ended.err
    assert all(row["bleu_interval"] is None for row in json.loads(ended.out))
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(entry["model"], entry["refinement steps"], entry["number"]) for entry in entries] == [
        (model, steps, number)
        for model, steps in (("autoregressive", None), ("refining", 1), ("refining", 3))
        for number in (1, 2)
    ]
    for entry in entries:
        assert len(entry["steps"]) == (entry["passes"] if entry["refinement steps"] else 0)
        assert list(entry["edits"]) == ["length", "tokens", "order"]
        assert entry["mixed"] == (len(set(entry["registers"]) - {"-"}) > 1)
        for step in entry["steps"]:
            words = step["tokens"]
            assert step["stutters"] == [i for i in range(1, len(words)) if words[i] == words[i - 1] != "_"]
            assert step["registers"] == "".join(w[1] if w[0] == "▁" and w[1] in "ab" else "-" for w in words)
        for before, after in itertools.pairwise(entry["steps"]):
            differ = [i for i, (a, b) in enumerate(zip(before["tokens"], after["tokens"], strict=True)) if a != b]
            assert after["changed"] == differ
    assert {"a", "b"} <= set("".join(entry["registers"] for entry in entries))


def test_a_ceiling_below_100_is_told(refining: Path, tmp_path: Path) -> None:
    text = tmp_path / "pairs.tsv"
    text.write_text("s0 s1\ta0 a1 a2 ﬁ a3\ns1 s2\tb1 b2 b3 b4\n", encoding="utf-8")
    ended = gmlm("evaluate", refining, "--source", text, "--steps", 1, "--batch-size", 2, "--bootstrap", 0)
    assert ended.code == 0, ended.err
    assert "Ceiling: the references themselves" in ended.out


def test_the_teacher_chooses_among_lengths(autoregressive: Path, refining: Path, tmp_path: Path) -> None:
    text = tmp_path / "pairs.tsv"
    text.write_text("s0 s1\ta0 a1\ns1 s2\tb1 b2\n", encoding="utf-8")
    options = (
        "--source",
        text,
        "--steps",
        2,
        "--length-beam",
        3,
        "--rescorer",
        autoregressive,
        "--batch-size",
        2,
        "--json",
    )
    ended = gmlm("evaluate", autoregressive, refining, *options)
    assert ended.code == 0, ended.err
    assert [row["steps"] for row in json.loads(ended.out)] == [None, 2]
    ended = gmlm("translate", refining, *options[2:-1], input="s0 s1\ns1 s2\n")
    assert ended.code == 0, ended.err
    assert len(ended.out.splitlines()) == 2


def test_bench_counts_passes(refining: Path) -> None:
    ended = gmlm(
        "bench",
        refining,
        *[
            "--batches",
            "2",
            "--steps",
            "1,3",
            "--target-length",
            "6",
            "--source-length",
            "5",
            "--repeats",
            "2",
            "--json",
        ],
    )
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    assert [(row["batch"], row["effort"], row["passes"]) for row in rows] == [(2, 1, 1.0), (2, 3, 3.0)]
    for row in rows:
        assert row["fastest"] <= row["milliseconds"] <= row["slowest"]
        assert row["tokens_per_second"] == pytest.approx(6000 / row["milliseconds"])


def test_convert_to_refinement_keeps_the_weights(autoregressive: Path, tmp_path: Path) -> None:
    target = tmp_path / "converted"
    ended = gmlm("convert", autoregressive, target, "--to", "refinement", "--length-predictor", "token")
    assert ended.code == 0, ended.err
    for word in ("kept", "changed", "new", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias", "the same"):
        assert word in ended.out
    network, before = load_checkpoint(target), load_checkpoint(autoregressive)
    assert network.config.decoder == "refinement"
    assert (network.shared[...] == before.shared[...]).all()
    again = gmlm("convert", autoregressive, target)
    assert again.code == 2
    assert "--overwrite" in again.err
    back = gmlm("convert", target, tmp_path / "again")
    assert back.code == 0, back.err
    assert "changed" not in back.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("translate", "{refining}", "--beams", "2"), "--beams = 2"),
        (("translate", "{autoregressive}", "--start", "random"), "--start = random"),
        (("translate", "{autoregressive}", "--show-steps"), "--show-steps"),
        (("translate", "{refining}", "--steps", "0"), "steps = 0"),
        (("translate", "{refining}", "--rejecter", "learned"), "rejecter"),
        (
            ("translate", "{refining}", "--rejecter", "none"),
            "one of passthrough, linear, constant, threshold",
        ),
        (("translate", "{refining}", "--rejecter", "constant:share=0.2"), "option of constant = share: one of count"),
        (("translate", "{refining}", "--rejecter", "learned:threshold=2"), "threshold = 2"),
        (("translate", "{refining}", "--max-source-length", "1"), "--max-source-length = 1"),
        (("translate", "{refining}", "--rescorer", "{autoregressive}"), "several are needed"),
        (("translate", "{refining}", "--length-beam", "3", "--rescorer", "{refining}"), "autoregressive one is needed"),
        (("translate", "{refining}", "--length-beam", "3", "--rescorer", "{empty}"), "there is no such file"),
        (("translate", "{autoregressive}", "--rescorer", "{autoregressive}"), "--rescorer = /"),
        (("translate", "{empty}"), "config.json: there is no such file"),
        (("translate", "{torn}"), "truncated"),
        (("translate", "{refining}", "--vocabulary", "{other}"), "19 ids"),
        (("evaluate", "{refining}", "--figure", "x.gif"), ".svg, .png or .pdf"),
        (("evaluate", "{refining}", "--test-set", "wmt14"), "--languages"),
        (("evaluate", "{refining}", "--test-set", "nothing", "--languages", "de-en"), "test_set = nothing"),
        (("evaluate", "{refining}", "--target", "x"), "needs --source"),
        (("evaluate", "{refining}", "--limit", "0"), "limit = 0"),
        (("bench", "{refining}", "--target-length", "9"), "target_length = 9"),
        (("bench", "{refining}", "--batches", "0"), "batches"),
        (("convert", "{autoregressive}", "{empty}", "--range-masks"), "needs --to refinement"),
        (("convert", "{empty}", "{torn}"), "there is no such file"),
    ],
)
def test_bad_input_is_named(
    autoregressive: Path, refining: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    places = {"autoregressive": autoregressive, "refining": refining}
    for name in ("empty", "torn", "other"):
        places[name] = tmp_path / name
        places[name].mkdir()
    for file in refining.iterdir():
        content = file.read_bytes()
        cut = len(content) // 2 if file.suffix == ".safetensors" else len(content)
        (places["torn"] / file.name).write_bytes(content[:cut])
    vocabulary = language_vocabulary(ParallelLanguage((1.0,), words=8, branching=2))
    vocabulary.save(places["other"])
    ended = gmlm(*(argument.format(**places) for argument in arguments), input="s0\n")
    assert ended.code == 2, ended
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_lines_that_are_not_text_are_named(autoregressive: Path) -> None:
    ended = gmlm("translate", autoregressive, input=b"\xff\n")
    assert ended.code == 2
    assert "line 1" in ended.err


def test_published_vocabularies_are_smaller_than_their_networks() -> None:
    require_vocabulary(32128, 32000, "T5")
    require_vocabulary(250112, 250000, "mT5")
    for network, vocabulary in ((32128, 32129), (60, 50), (32128, 31000)):
        with pytest.raises(InvalidInput, match="vocabulary"):
            require_vocabulary(network, vocabulary, "file")


def test_lines_of_a_pipe_are_handed_over_when_it_is_quiet() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        for part in (b"one\r\ntwo\nth", b"ree\n"):
            os.write(writing, part)
        time.sleep(0.5)
        os.write(writing, b"four\nfive\nsix\nseven")
        os.close(writing)

    threading.Thread(target=write).start()
    with os.fdopen(reading, "rb") as stream:
        groups = list(groups_of_lines(stream, 3, 100))
    assert [line for group in groups for line in group] == [
        b"one",
        b"two",
        b"three",
        b"four",
        b"five",
        b"six",
        b"seven",
    ]
    assert max(map(len, groups)) <= 3
    assert groups[0][0] == b"one"
    assert len(groups) >= 3


def test_lines_of_a_file_come_in_large_groups(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\nb\r\nc")
    with path.open("rb") as stream:
        assert list(groups_of_lines(stream, 1, 2)) == [[b"a", b"b"], [b"c"]]


@pytest.mark.parametrize("block", [1, 2, 3, 64])
def test_lines_end_with_any_line_end(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """A CR LF that two blocks share is one line end; CR alone ends a line too."""
    monkeypatch.setattr(line_stream, "BLOCK", block)
    stream = io.BytesIO(b"a\rb\r\n\r\nc\nd\r")
    assert [line for group in groups_of_lines(stream, 1, 2) for line in group] == [b"a", b"b", b"", b"c", b"d"]
