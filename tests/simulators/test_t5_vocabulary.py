"""Vocabularies: ids of T5, round trips, agreement with `transformers`, refused files."""

from __future__ import annotations

from pathlib import Path

import pytest
import sentencepiece

from simulators.t5.files.vocabulary import (
    EOS,
    MODEL,
    PAD,
    UNKNOWN,
    SentencePieceVocabulary,
    Vocabulary,
    load_vocabulary,
    require_own_vocabulary,
    train_vocabulary,
)
from theory.errors import InvalidInput

SENTENCES = [
    "Ich habe heute keine Zeit.",
    "I have no time today.",
    "Wir gehen morgen früh ins Kino, kommst du mit?",
    "We are going to the cinema early tomorrow, are you coming?",
    "Der große Hund schläft unter dem Tisch.",
    "The big dog sleeps under the table.",
]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return train_vocabulary(SENTENCES, 60)


def test_special_ids_are_those_of_t5_and_text_survives_a_round_trip(vocabulary: Vocabulary) -> None:
    assert vocabulary.size == 60
    assert [vocabulary.piece(i) for i in (PAD, EOS, UNKNOWN)] == ["<pad>", "</s>", "<unk>"]
    rows = vocabulary.encode(SENTENCES)
    assert all(row[-1] == EOS and PAD not in row and UNKNOWN not in row for row in rows)
    assert vocabulary.decode([[*row, PAD, PAD] for row in rows]) == SENTENCES
    # Nothing after EOS is text.
    assert vocabulary.decode([[*rows[0], *rows[1]]]) == SENTENCES[:1]


def test_characters_that_were_not_seen_become_unknown(vocabulary: Vocabulary) -> None:
    assert UNKNOWN in vocabulary.encode(["Zeit 漢"])[0]


def test_training_is_deterministic_and_survives_saving(vocabulary: Vocabulary, tmp_path: Path) -> None:
    assert train_vocabulary(SENTENCES, 60).content == vocabulary.content
    vocabulary.save(tmp_path)
    again = load_vocabulary(tmp_path)
    assert again.fingerprint == vocabulary.fingerprint == load_vocabulary(tmp_path / MODEL).fingerprint
    assert train_vocabulary(SENTENCES, 56).fingerprint != vocabulary.fingerprint


def test_another_vocabulary_of_the_same_size_is_noticed(vocabulary: Vocabulary, tmp_path: Path) -> None:
    require_own_vocabulary(vocabulary, "file", tmp_path / "absent")
    require_own_vocabulary(vocabulary, "file", tmp_path)
    vocabulary.save(tmp_path)
    require_own_vocabulary(vocabulary, "file", tmp_path)
    other = train_vocabulary([line.swapcase() for line in SENTENCES], 60)
    assert other.size == vocabulary.size
    with pytest.raises(InvalidInput, match=r"id \d+ is .* use its own vocabulary"):
        require_own_vocabulary(other, "file", tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transformers_reads_the_folder_and_its_fast_tokenizer_is_read_here(
    vocabulary: Vocabulary, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers", reason="the oracle is transformers' T5Tokenizer")
    vocabulary.save(tmp_path / "ours")
    theirs = transformers.T5Tokenizer.from_pretrained(tmp_path / "ours")
    lines = [*SENTENCES, "  zwei   Leerzeichen ", "漢 Hund"]
    rows = vocabulary.encode(lines)
    assert theirs(lines).input_ids == rows
    assert len(theirs) == vocabulary.size
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / MODEL).unlink(missing_ok=True)
    fast = load_vocabulary(tmp_path / "theirs")
    assert fast.file == "tokenizer.json"
    assert fast.encode(lines) == rows
    assert fast.decode(rows[: len(SENTENCES)]) == SENTENCES
    assert fast.size == vocabulary.size
    fast.save(tmp_path / "copy")
    assert load_vocabulary(tmp_path / "copy").fingerprint == fast.fingerprint


def test_a_word_vocabulary_holds_whole_words(tmp_path: Path) -> None:
    words = train_vocabulary(["s1 s2 s10 a1 a2'"], 100, "word")
    assert words.size == 3 + 5
    rows = words.encode(["s10 a2' s1", "s1 s3"])
    assert [len(row) for row in rows] == [4, 3]
    assert rows[1][1] == UNKNOWN
    assert words.decode(rows[:1]) == ["s10 a2' s1"]


def test_unusable_sizes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 39 are needed for the characters of this text"):
        train_vocabulary(SENTENCES, 10)
    with pytest.raises(InvalidInput, match="at least 4"):
        train_vocabulary(SENTENCES, 3)
    with pytest.raises(InvalidInput, match="coverage"):
        train_vocabulary(SENTENCES, 60, coverage=0)


def test_a_size_beyond_what_the_text_gives_is_brought_down() -> None:
    found = train_vocabulary(SENTENCES, 5000)
    assert 60 < found.size < 200
    assert found.decode(found.encode(SENTENCES)) == SENTENCES


def test_long_lines_and_reserved_characters_lose_no_characters() -> None:
    lines = ["ab " * 2000 + "Q", "cd\u2585 Z", "ab cd"]
    assert len(lines[0]) > 4192
    known = train_vocabulary(lines, 12)
    assert not any(UNKNOWN in row for row in known.encode(["Q Z abcd", lines[0]]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("text", ["a </s> b", "<pad> a", "</s>"])
def test_names_of_special_tokens_in_a_text_are_text(text: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="makes tokenizer.json")
    vocabulary = train_vocabulary([*SENTENCES, "< / > b"], 60)
    vocabulary.save(tmp_path / "ours")
    transformers.T5Tokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / MODEL).unlink(missing_ok=True)
    fast = load_vocabulary(tmp_path / "theirs")
    for each in (vocabulary, fast):
        (row,) = each.encode([text])
        assert row[-1] == EOS
        assert EOS not in row[:-1]
        assert PAD not in row
        # `tokenizers` takes the space before such a name for a part of it.
        assert each.decode([row])[0].replace(" ", "") == text.replace(" ", "")


def test_unusable_files_are_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        load_vocabulary(tmp_path / "absent")
    with pytest.raises(InvalidInput, match="holds neither"):
        load_vocabulary(tmp_path)
    for content in (b"", vocabulary.content[:200], b"no model"):
        with pytest.raises(InvalidInput, match=r"not a SentencePiece model|needs"):
            SentencePieceVocabulary(content)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"not a tokenizer|needs the package"):
        load_vocabulary(tmp_path)


def test_a_model_with_other_special_ids_is_refused(tmp_path: Path) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_prefix=str(tmp_path / "other"), vocab_size=60, minloglevel=2
    )
    with pytest.raises(InvalidInput, match=r"T5 needs \(0, 1, 2\)"):
        load_vocabulary(tmp_path / "other.model")
