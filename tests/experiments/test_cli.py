"""The command line: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.chains.models import MODELS
from experiments.claims import MODULES, load
from tests.experiments.command_line import run
from theory.laws import GRAPH_NAMES
from theory.samplers import SAMPLERS

SMALL = ["C8", "--set", "sites=4", "--set", "cliques=3,4", "--set", "couplings=0.5,1"]


def test_claims_are_listed_with_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "claims")
    lines = out.strip().splitlines()
    assert code == 0
    assert [line.split()[0] for line in lines] == list(MODULES)
    assert all("[" in line for line in lines)


def test_one_claim_shows_its_statement_and_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "claims", "strong-clique")
    assert code == 0
    assert "sech" in out
    assert "couplings" in out
    code, out, _ = run(capsys, "claims", "C8", "--json")
    assert json.loads(out)["id"] == "C8"


def test_chain_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "chain", "--model", "ising", "--graph", "cycle", "--sites", 6, "--coupling", 0.5, "--field", 0.1,
        "--sampler", "k-gibbs", "--k", 2, "--json",
    )  # fmt: skip
    record = json.loads(out)
    assert code == 0
    wanted = {
        "states", "stationary_tv_to_target", "reversible", "spectral_gap", "relaxation_time", "mixing_time",
        "mixing_time_bounds",
    }  # fmt: skip
    assert wanted <= set(record)
    assert record["states"] == 64
    for lower, upper in record["mixing_time_bounds"].values():
        assert lower <= record["mixing_time"]
        assert upper is None or record["mixing_time"] <= upper


def test_chain_reads_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "law.npy", np.array([[0.4, 0.1], [0.2, 0.3]]))
    for suffix, magic in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        plot = tmp_path / f"curve{suffix}"
        code, out, _ = run(capsys, "chain", "--table", tmp_path / "law.npy", "--plot", plot)
        assert code == 0
        assert "mixing time" in out
        assert plot.read_bytes().startswith(magic)


def test_information_is_printed_for_every_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    couplings = 0.3 * (np.ones((3, 3)) - np.eye(3))
    np.save(tmp_path / "J.npy", couplings)
    np.save(tmp_path / "h.npy", np.array([0.1, 0.0, -0.1]))
    files = ["--couplings", tmp_path / "J.npy", "--fields", tmp_path / "h.npy"]
    code, out, _ = run(capsys, "information", *files, "--k", "1-3", "--json")
    record = json.loads(out)
    assert code == 0
    assert [row["k"] for row in record["by_k"]] == [1, 2, 3]
    assert {"trace_asymptotic_covariance", "loewner_margin", "poincare_constant", "poincare_margin"} <= set(
        record["by_k"][0]
    )
    code, out, _ = run(capsys, "information", *files)
    assert code == 0
    assert "Loewner margin" in out


def test_reproduce_writes_record_figures_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "reproduce", *SMALL, "--out", tmp_path, "--workers", 1, "--json")
    assert code == 0
    (record,) = json.loads(out)["records"]
    assert record["verdict"] == "holds"
    folder = tmp_path / "C8-strong-clique"
    figures = {f"{spec.name}.{kind}" for spec in load("C8").figures for kind in ("svg", "png", "phone.svg")}
    assert {path.name for path in folder.iterdir()} == {"record.json", *figures}
    page = (tmp_path / "report.html").read_text()
    assert record["title"] in page
    # Self-contained: nothing is fetched from anywhere.
    assert not re.search(r"""src\s*=\s*["'](?!data:|#)|<link\b""", page)
    # What a reader may follow is a paper.
    assert all(link.startswith(("#", "https://arxiv.org/")) for link in re.findall(r'href\s*=\s*"([^"]*)"', page))
    assert "@import" not in page
    assert json.loads((tmp_path / "summary.json").read_text())["exit_code"] == 0


def bad_tables() -> dict[str, object]:
    return {
        "negative": np.array([[0.5, -0.1], [0.3, 0.3]]),
        "wrong sum": np.array([[0.5, 0.1], [0.3, 0.3]]),
        "nan": np.array([[0.5, np.nan], [0.3, 0.2]]),
        "ragged": np.full((2, 3), 1 / 6),
        "text": np.array(["a", "b"]),
        "complex": np.array([0.5 + 0j, 0.5]),
    }


@pytest.mark.parametrize("name", bad_tables())
def test_bad_tables_end_with_code_2_and_one_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "law.npy", bad_tables()[name])
    code, out, err = run(capsys, "chain", "--table", tmp_path / "law.npy", "--json")
    assert (code, out) == (2, "")
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["chain", "--sites", "4", "--k", "5"], "k = 5: the mask size must lie in 1..4"),
        (["chain", "--sites", "4", "--k", "0"], "k = 0"),
        (["chain", "--sites", "0"], "sites"),
        (["chain", "--sites", "50"], "would take"),
        (["chain", "--model", "icing"], "model = icing: one of ising"),
        (["chain", "--graph", "ring"], "graph"),
        (["chain", "--sampler", "gibbs"], "sampler = gibbs: one of k-gibbs"),
        (["chain", "--coupling", "nan"], "coupling = nan"),
        (["chain", "--epsilon", "1"], "epsilon = 1.0"),
        (["chain", "--temperature", "-1"], "temperature = -1.0"),
        (["chain", "--masks", "half"], "masks = half: one of"),
        (["chain", "--masks", "bernoulli:ratio=2"], "ratio = 2.0"),
        (["chain", "--masks", "k-uniform:k=1", "--k", "1"], "either --k or --masks"),
        (["chain", "--sampler", "independent-parallel", "--k", "2"], "takes no masks"),
        (["chain", "--plot", "curve.gif"], "must end in"),
        (["chain", "--table", "nothing.npy"], "nothing.npy"),
        (["chain", "--fields", "h.npy"], "--couplings"),
        (["chain", "--sites", "four"], "four"),
        (["information", "--couplings", "nothing.npy"], "nothing.npy"),
        (["reproduce", "C99"], "claim = C99: one of C1"),
        (["reproduce", "C8", "--set", "cites=3"], "parameter = cites: known here: sites"),
        (["reproduce", "C8", "--set", "sites=a lot"], "sites = a lot"),
        (["reproduce", "C8", "--set", "sites"], "NAME=VALUE"),
        (["reproduce", "C7", "C8", "--set", "sites=3"], "CLAIM.NAME=VALUE"),
        (["reproduce", "C8", "--set", "C7.ring=4"], "C7 is not among the claims"),
        (["reproduce", "C8", "--set", "cliques=3..1"], "the range 3..1 is empty"),
        (["reproduce", "--seed", "-1"], "-1"),
        (["reproduce", "--profile", "slow"], "slow"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_ends_with_code_2_and_says_what_is_allowed(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not any(tmp_path.iterdir())


def test_input_that_a_computation_refuses_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "reproduce", "C8", "--set", "sites=4", "--set", "cliques=6", "--out", tmp_path)
    assert code == 2
    assert "cliques = 6: a clique has at most N = 4 sites" in err


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "reproduce", *SMALL, "--out", tmp_path / "file" / "results", "--workers", 1)
    assert code == 2
    assert "cannot be written" in err


def test_the_help_names_every_model_graph_and_sampler(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "chain", "--help")
    text = re.sub(r"\s+", " ", out).replace("- ", "-")
    assert code == 0
    assert [name for name in (*MODELS, *GRAPH_NAMES, *SAMPLERS) if name not in text] == []


def test_help_and_the_exact_claims_load_neither_jax_nor_more_than_they_need() -> None:
    program = (
        "import sys\n"
        "from experiments.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'scipy', 'matplotlib', 'jax'} & set(sys.modules), 'help must be light'\n"
        "from experiments.claims import MODULES, load\n"
        "for claim in MODULES: load(claim)\n"
        "assert not {'jax', 'matplotlib.pyplot'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
