"""The table of checks that tell, made from records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.claims import load
from experiments.documentation.telling import claims_that_tell, main
from experiments.files import write_json
from experiments.records import folder

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
    assert "no records of C1" in capsys.readouterr().out


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"results = .*no records"):
        main(tmp_path, tmp_path)
