"""Text with byte order marks, any line ends, and characters that nobody sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulators.gmlm.text.corpus import read_corpus
from simulators.t5.files.parallel_text import read_lines, read_pairs
from simulators.text_files import invisible, split_lines
from theory.errors import InvalidInput

CONTENTS = {
    "line feeds": b"eins\nzwei\n",
    "no last end": b"eins\nzwei",
    "windows": b"eins\r\nzwei\r\n",
    "old mac": b"eins\rzwei\r",
    "byte order mark": b"\xef\xbb\xbfeins\nzwei\n",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_form_of_a_text_file_gives_the_same_lines(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(CONTENTS[kind])
    assert read_lines(path) == ["eins", "zwei"]
    assert read_corpus(path).rstrip("\n") == "eins\nzwei"


def test_nothing_but_a_line_end_ends_a_line() -> None:
    assert split_lines("a\u2028b\x0bc\x85d\re\nf".encode()) == ["a\u2028b\x0bc\x85d\re".encode(), b"f"]
    assert split_lines(b"") == []
    assert split_lines(b"\n\n") == [b"", b""]


UNSEEN = ["", " \t", "\u200b", "\ufeff", "\u00ad\u200d", "\u2060\u3000", "\u200e\u202c", "\x00"]


@pytest.mark.parametrize("text", UNSEEN)
def test_lines_that_nobody_sees_are_refused(text: str, tmp_path: Path) -> None:
    assert invisible(text)
    path = tmp_path / "text"
    path.write_text(f"eins\n{text}\n")
    with pytest.raises(InvalidInput, match=r"line 2: is empty or invisible \(1 such"):
        read_lines(path)
    path.write_text(f"{text}\n")
    with pytest.raises(InvalidInput, match="is empty"):
        read_corpus(path)
    path.write_text(f"eins\tone\nzwei\t{text}\n")
    with pytest.raises(InvalidInput, match="line 2"):
        read_pairs(path)


@pytest.mark.parametrize("text", ["a", "\u0301", "漢", ".", "🙂", "\ue000"])
def test_what_can_be_seen_is_kept(text: str) -> None:
    assert not invisible(f"\u200b{text}")


def test_a_source_without_targets_is_named(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("eins\nzwei\n")
    with pytest.raises(InvalidInput, match=r"target = none: .* has no tabs, so no translations"):
        read_pairs(path)
