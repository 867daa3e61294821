"""The notebooks, as they are stored and as they run today.

Every notebook is executed from top to bottom. Its own assertions must hold, nothing may be written to stderr, and what
it prints must be what is stored: the same words, and the same numbers within one unit of the last digit shown. Sliders
are not stored, their pictures are. The solutions of the exercises run after the notebook, with their assertions. Cells
tagged ``numbers-vary`` (trained networks, random draws) may print other numbers on another machine, not other words.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.masked_lm_examples import sapiens_file

nbformat = pytest.importorskip("nbformat", reason="Jupyter's nbformat is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient executes the notebooks")
pytest.importorskip("ipykernel", reason="the notebooks need the kernel python3")
pytest.importorskip("pandas", reason="the notebooks show tables with pandas")
pytest.importorskip("flax", reason="the notebooks train small networks")

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

PRETRAINED = ("8-your-own-masked-language-model.ipynb",)
VARIES = "numbers-vary"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?(?![\w])")
SLIDERS = "application/vnd.jupyter.widget-view+json"
SOLUTION = re.compile(r"<details markdown=\"1\"><summary>Solution</summary>\n\n```python\n(.*?)\n```\n", flags=re.S)
LARGEST = 500_000
LONGEST_CELL = 16


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell: Any) -> list[str]:
    """What a cell shows, one entry for each output: its text, or the word for a figure."""
    entries = []
    for output in cell.outputs:
        if output.output_type == "stream":
            entries.append(f"{output.name}: {output.text}")
        elif SLIDERS in output.data:
            continue
        elif "image/png" in output.data:
            entries.append("a figure")
        else:
            entries.append(output.data["text/plain"])
    return entries


def unit(number: str) -> float:
    """One unit of the last digit of a printed number."""
    mantissa, _, exponent = number.replace("_", "").partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(10.0 ** (int(exponent or 0) - decimals))


def differences(stored: Any, current: Any) -> list[str]:
    """How two outputs of one cell differ; empty where they agree."""
    before, after = shown(stored), shown(current)
    if len(before) != len(after):
        return [f"{len(before)} outputs are stored, {len(after)} came"]
    found = []
    for old, new in zip(before, after, strict=True):
        words = [" ".join(NUMBER.sub("#", text).replace("-", " ").split()) for text in (old, new)]
        if words[0] != words[1]:
            found.append(f"stored: {old}\nnow: {new}")
        elif VARIES not in stored.metadata.get("tags", []):
            pairs = itertools.zip_longest(NUMBER.findall(old), NUMBER.findall(new), fillvalue="nan")
            found += [
                f"{a} is stored, {b} came, in {old}"
                for a, b in pairs
                if not abs(float(a) - float(b)) <= 1.0001 * max(unit(a), unit(b))
            ]
    return found


def solutions(notebook: Any) -> list[str]:
    """The code of the solutions of the exercises."""
    return [code for cell in notebook.cells if cell.cell_type == "markdown" for code in SOLUTION.findall(cell.source)]


def test_each_has_a_number_of_its_own() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == list("12345678")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_form(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    raw = path.read_text(encoding="utf-8")
    assert len(raw.encode()) < LARGEST
    assert "**The question.**" in notebook.cells[0].source
    assert "## What we learned" in notebook.cells[-1].source
    assert "## What to try" in notebook.cells[-1].source
    everything = "\n".join(cell.source for cell in notebook.cells)
    assert "**Runs in** " in notebook.cells[0].source
    assert "gmlm.explore(" in everything
    assert "your law here" in everything or "your network here" in everything
    assert everything.count("<details") == everything.count("</details>") == len(solutions(notebook)) >= 2
    assert SLIDERS not in raw
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in cells:
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.source
        assert set(cell.metadata) <= {"tags"}
    for private in ("/home/", "/root/", "/tmp/", "site-packages", str(FOLDER.parent)):
        assert private not in raw
    links = re.findall(r"\]\(([^)#:]+\.ipynb)\)", everything)
    for link in links:
        assert (FOLDER / link).is_file(), link


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_and_prints_what_is_stored(path: Path, tmp_path: Path) -> None:
    if path.name in PRETRAINED:
        pytest.importorskip("transformers", reason="the notebook opens a pretrained model")
        sapiens_file("dict.txt", tmp_path)  # skips where the model's files are not at hand
    stored, current = read(path), read(path)
    for cell in code_cells(current):
        cell.outputs = []
    current.cells += [nbformat.v4.new_code_cell(code) for code in solutions(current)]
    client = nbclient.NotebookClient(
        current,
        timeout=900,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    client.execute()  # an assertion of the notebook that fails is raised here
    # Solutions come after the cells that are stored.
    for number, (old, new) in enumerate(zip(code_cells(stored), code_cells(current), strict=False), start=1):
        assert not any(output.get("name") == "stderr" for output in new.outputs), new.outputs
        assert differences(old, new) == [], f"cell [{number}] of {path.name}"


def cell_with(text: str, tags: tuple[str, ...] = ()) -> Any:
    output = nbformat.v4.new_output("stream", name="stdout", text=text)
    return nbformat.v4.new_code_cell("", outputs=[output], metadata={"tags": list(tags)})


@pytest.mark.parametrize(
    ("stored", "current", "tags", "agree"),
    [
        ("k = 6: 43.2 steps", "k = 6: 43.2 steps", (), True),
        ("k = 6: 43.2 steps", "k = 6: 43.3 steps", (), True),  # one unit of the last digit
        ("k = 6: 43.2 steps", "k = 6: 43.4 steps", (), False),
        ("1.28e+05", "1.29e+05", (), True),
        ("1.28e+05", "1.31e+05", (), False),
        ("loss -0.00", "loss 0.00", (), True),
        ("holds 0.5", "violated 0.5", (), False),
        ("TV 0.04", "TV 0.31", (VARIES,), True),
        ("TV 0.04", "KL 0.04", (VARIES,), False),
    ],
)
def test_what_counts_as_a_difference(stored: str, current: str, tags: tuple[str, ...], agree: bool) -> None:
    assert (differences(cell_with(stored, tags), cell_with(current, tags)) == []) is agree


def test_a_lost_output_is_a_difference() -> None:
    stored, current = cell_with("43.2"), cell_with("43.2")
    current.outputs = []
    assert differences(stored, current)
