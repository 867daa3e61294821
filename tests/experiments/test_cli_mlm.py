"""The commands of ``gmlm mlm`` as a user gives them; unusable input ends with one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import command_line
from tests.masked_lm_examples import VH, random_network, sapiens_file, save_folder

pytest.importorskip("torch", reason="pretrained models need torch")
pytest.importorskip("transformers", reason="pretrained models need transformers")

SEQUENCE = "ACDEFGHIKL"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(random_network("bert"), tmp_path_factory.mktemp("bert"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return command_line.run(capsys, "mlm", *arguments)


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "Traceback" not in err
    return last


def test_check_says_what_a_model_is(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    found = as_json(capsys, "check", folder, "--sequence", SEQUENCE)
    assert (found["class"], found["tokens"], found["ok"]) == ("BertForMaskedLM", 10, True)
    code, out, _ = run(capsys, "check", folder, "--sequence", SEQUENCE)
    assert code == 0
    assert "BertForMaskedLM" in out


def test_a_window_has_the_keys_that_scripts_read(
    capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "alphabet").write_text("A\nC\nD\nE\n")
    arguments = ["window", folder, "--sequence", SEQUENCE, "--sites", "1:3", "--alphabet", tmp_path / "alphabet"]
    figure = tmp_path / "window.svg"
    found = as_json(capsys, *arguments, "--temperature", "1,0.5", "--k", "1..2", "--figure", figure)
    assert set(found) >= {
        "rows",
        "seconds",
        "outside_mass",
        "states",
        "largest_log_odds",
        "mean_log_odds",
        "scan_order_total_variation",
        "order_kl_per_token",
        "samplers",
        "decoders",
    }
    assert (found["rows"], found["states"]) == (9, 16)
    assert set(found["samplers"][0]) >= {
        "sampler",
        "k",
        "temperature",
        "gap",
        "relaxation_time",
        "mixing_time",
        "mixing_time_native",
        "modes",
    }
    assert [row["k"] for row in found["samplers"] if row["sampler"] == "k-gibbs"] == [1, 2, 1, 2]
    assert figure.read_bytes().startswith(b"<?xml")
    code, out, err = run(capsys, *arguments, "--cache", tmp_path / "cache")
    assert code == 0
    assert "16 states, 9 rows of the network" in err
    assert "k-gibbs" in out
    code, out, err = run(capsys, *arguments, "--dry-run", "--json")
    assert json.loads(out)["rows"] == 9


def test_convert_makes_a_folder_that_opens(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sapiens_file("dict.txt", tmp_path)
    checkpoint = sapiens_file("checkpoint_vl.pt", tmp_path)
    found = as_json(capsys, "convert", checkpoint, tmp_path / "vl")
    assert found["parameters"] == 566_937
    light = (
        "DIQMTQSPSSLSASVGDRVTITCRASQSISSYLNWYQQKPGKAPKLLIYAASSLQSGVPSRFSGSGSGTDFTLTISSLQPEDFATYYCQQSYSTPLTFGGGTKVEIK"
    )
    assert as_json(capsys, "check", tmp_path / "vl", "--sequence", light)["masked_top1"] > 0.9
    assert "there is a model already" in refused(capsys, "convert", checkpoint, tmp_path / "vl")


def test_unusable_input_is_named(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    window = ["window", folder, "--sequence", SEQUENCE]
    assert "sites are numbered 0..9" in refused(capsys, *window, "--sites", "8:12")
    assert "no such folder" in refused(capsys, "check", tmp_path / "none", "--sequence", SEQUENCE)
    assert "vocabulary" in refused(capsys, "check", folder, "--sequence", "ACB")
    assert "at most 58" in refused(capsys, "check", folder, "--sequence", VH)
    (tmp_path / "two").write_text("A\nCD\n")
    assert "one token" in refused(capsys, *window, "--sites", "1", "--alphabet", tmp_path / "two")
    (tmp_path / "unknown").write_text("A\nB\n")
    assert "does not have" in refused(capsys, *window, "--sites", "1", "--alphabet", tmp_path / "unknown")
    assert "top:99" in refused(capsys, *window, "--sites", "1", "--alphabet", "top:99")
    assert "--temperature" in refused(capsys, *window, "--sites", "1", "--temperature", "0")
    assert "--figure" in refused(capsys, *window, "--sites", "1", "--figure", tmp_path / "a.txt")
    large = refused(capsys, *window, "--sites", "0:9")
    assert "rows of the network" in large
    assert "would be needed" in large
