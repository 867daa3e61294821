"""The face: every public name exists, is documented and is imported on use; importing the package costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gmlm


@pytest.mark.parametrize("name", gmlm.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    if name == "MaskedLM":
        pytest.importorskip("transformers", reason="networks of one's own need the extra mlm")
    value = getattr(gmlm, name)
    assert value.__doc__ if callable(value) else len(value) > 0


def test_as_many_names_as_a_reader_can_hold() -> None:
    assert 40 <= len(gmlm.__all__) <= 66
    assert dir(gmlm) == gmlm.__all__


def test_importing_the_face_imports_no_number_cruncher() -> None:
    code = (
        "import sys, gmlm; print([m for m in ('numpy', 'scipy', 'jax', 'theory', 'experiments') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_says_where_to_look() -> None:
    with pytest.raises(AttributeError, match="dir"):
        _ = gmlm.blok_gibbs
