"""The table of checks that tell, made from records."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.claims import load
from experiments.documentation import atlas, contact_sheet, telling
from experiments.documentation.telling import claims_that_tell, main
from experiments.files import write_json
from experiments.records import folder
from theory.errors import InvalidInput

CHECKS = [
    ("a bound | with bars", 10, 4, "half of it", 0.5, 0.25),
    ("a bound without an alternative", 3, 3, "", None, None),
    ("another bound", 2, 2, "twice it", 1.0, "inf"),
    ("an identity", 7, 0, "", None, None),
]


def record(key: str) -> dict:
    names = ("name", "comparisons", "informative", "alternative", "power", "tightness")
    checks = [{**dict(zip(names, values, strict=True)), "verdict": "holds"} for values in CHECKS]
    source = {"packages": {"gmlm-workbench": "1"}, "commit": None}
    return {
        "claim": key,
        "title": "T",
        "verdict": "holds",
        "learned": "L.",
        "profile": "quick",
        "checks": checks,
        "provenance": source,
    }


def test_only_checks_that_tell_are_listed_and_the_least_power_counts() -> None:
    (entry,) = claims_that_tell([record("C2")])
    assert [check["name"] for check in entry["checks"]] == [name for name, _, told, *_ in CHECKS if told]
    assert (entry["comparisons"], entry["informative"], entry["identities"]) == (22, 9, 1)
    assert (entry["rejected"], entry["power"], entry["tightness"]) == (["half of it", "twice it"], 0.5, "inf")


def test_the_files_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(folder(tmp_path, load("C2")) / "record.json", record("C2"))
    main(tmp_path, tmp_path)
    assert json.loads((tmp_path / "data" / "claims.json").read_text())["claims"][0]["claim"] == "C2"
    text = (tmp_path / "claims-that-tell.md").read_text()
    assert "| a bound \\| with bars | holds | 4 of 10 | half of it | 0.5 | 0.25 |" in text
    assert "without C1" in capsys.readouterr().out


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"results = .* with records is needed"):
        main(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("module", "paths", "message"),
    [
        (telling, [], "paths = none: 2 are needed: RESULTS DOCS"),
        (contact_sheet, ["nowhere", "docs"], "results = nowhere: a folder of gmlm reproduce"),
        (atlas, ["nowhere/decoders.json"], "FILE.json = nowhere/decoders.json: a file in a folder"),
    ],
)
def test_bad_paths_end_in_a_line_and_exit_code_2(
    module: Any, paths: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["-m", *paths])
    monkeypatch.delitem(sys.modules, module.__name__)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module.__name__, run_name="__main__")
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
