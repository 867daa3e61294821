"""What `gmlm chain` says: missing answers cost no others; input of one's own, options without effect; first lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

from experiments.chains.answer import answer
from experiments.chains.inputs import load_network, load_transition, name_of_state
from tests.experiments import command_line
from theory.chains import SparseOperator
from theory.errors import InvalidInput
from theory.samplers import SAMPLERS


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return command_line.run(capsys, "chain", *arguments)


def record_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    record: dict[str, Any] = json.loads(out)
    return record


def save(path: Path, array: Any) -> Path:
    np.save(path, np.asarray(array))
    return path


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_greedy_sampler_of_one_token_has_a_record(sampler: str, tmp_path: Path, capsys: Any) -> None:
    table = save(tmp_path / "law.npy", [0.3, 0.7])
    record = record_of(capsys, "--table", table, "--temperature", 0, "--sampler", sampler)
    if sampler in ("metropolis-hastings", "locally-balanced"):  # proposals that a correction refuses for ever
        assert record["closed_classes"] == 2
        assert record["mixing_time_interval"] is None
    else:  # the likelier token is taken at once and kept
        assert (record["mixing_time"], record["mixing_time_interval"]) == (1, [1, 1])
        assert record["stationary_tv_to_target"] == pytest.approx(0.3)
        assert record["likeliest"][0] == ["+", 1.0]


def test_a_time_beyond_float64_is_counted_exactly_and_the_rest_is_there(tmp_path: Path, capsys: Any) -> None:
    arguments = ("--graph", "complete", "--sites", 5, "--coupling", 4)
    record = record_of(capsys, *arguments)
    assert record["mixing_time"] > 2**52
    assert record["mixing_time_certain"]
    for lower, upper in record["mixing_time_bounds"].values():
        assert lower <= record["mixing_time"] <= (np.inf if upper is None else upper)
    assert record["missing"] == {}
    picture = tmp_path / "curve.png"
    code, out, _ = run(capsys, *arguments, "--plot", picture)
    assert code == 0
    assert f"mixes in {record['mixing_time']:.4g} steps" in out.splitlines()[0]
    assert picture.stat().st_size > 10_000  # geometric times: it was drawn, and at once


def test_a_time_that_cannot_be_counted_leaves_its_interval_and_all_else(capsys: Any) -> None:
    with mock.patch("theory.chains.mixing.EXACT_STATES", 0):
        record = record_of(capsys, "--graph", "complete", "--sites", 5, "--coupling", 4)
    assert record["mixing_time"] is None
    assert not record["mixing_time_certain"]
    assert "too many to count" in record["mixing_time_reason"]
    low, high = record["mixing_time_interval"]
    exact = record_of(capsys, "--graph", "complete", "--sites", 5, "--coupling", 4)["mixing_time"]
    assert 2**52 < low <= exact <= high
    assert record["spectral_gap"] > 0
    assert record["stationary_tv_to_target"] < 1e-12
    assert "it lies within" in answer(record)


def test_the_dense_method_keeps_to_the_budget_too(capsys: Any) -> None:
    record = record_of(capsys, "--sites", 6, "--budget", 0)
    assert record["method"] == "dense"
    assert set(record["missing"]) == {"mixing time", "spectrum"}
    assert record["mixing_time"] is None
    assert record["spectral_gap"] is None
    assert "budget of 0 s" in record["mixing_time_reason"]
    assert record["bottleneck_ratio"] > 0
    assert record["mixing_time_interval"][0] >= 1  # from the bottleneck
    assert record["mixing_time_interval"][1] > 10  # Dobrushin


def test_a_curve_that_is_not_there_costs_no_answer(tmp_path: Path, capsys: Any) -> None:
    code, out, err = run(capsys, "--model", "parity", "--sites", 3, "--json", "--plot", tmp_path / "x.svg")
    assert code == 2
    assert json.loads(out)["closed_classes"] == 4
    assert "no curve to draw (reducible" in err


def test_divergences_are_never_negative(capsys: Any) -> None:
    assert record_of(capsys, "--sites", 8)["stationary_kl_to_target"] >= 0


def test_the_first_line_answers(capsys: Any) -> None:
    lines = run(capsys, "--sites", 8, "--field", 0.1)[1].splitlines()
    assert re.fullmatch(
        r"k-gibbs on Ising model on cycle of 8, N = 8: "
        r"mixes in 44 steps; bounds [\d.]+ to \d+; its stationary law is p\.",
        lines[0],
    )
    assert all("steps from the worst start" in line for line in lines if line.startswith("mixing time  "))
    assert "never mixes (reducible: 4 closed classes" in run(capsys, "--model", "parity", "--sites", 3)[1]
    parallel = run(capsys, "--sites", 4, "--sampler", "k-parallel", "--k", 2)[1]
    assert "its stationary law is not p: total variation 0.0" in parallel.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "law.npy", "--model", "potts"], "--model = potts: has no effect with --table"),
        (["--table", "law.npy", "--sites", "4"], "--sites = 4: has no effect with --table"),
        (["--model", "curie-weiss", "--graph", "star"], "--graph = star: has no effect on the model curie-weiss"),
        (["--model", "ising", "--symbols", "3"], "--symbols = 3: has no effect"),
        (["--seed", "3"], "--seed = 3: has no effect"),
        (["--clique", "3"], "--clique = 3: has no effect"),
        (["--transition", "p.npy", "--k", "2"], "--k = 2: has no effect with --transition"),
        (["--transition", "p.npy", "--table", "law.npy"], "give either it or --transition"),
        (["--normalise"], "goes with --transition"),
        (["--transition", "nothing.npz"], "there is no such file"),
        (["--edges", "nothing.txt"], "there is no such file"),
        (["--transition", "p.txt"], "a .npy or .npz file is needed"),
    ],
)
def test_options_without_effect_are_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "law.npy", [0.5, 0.5])
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_random_graph_takes_its_seed(capsys: Any) -> None:
    arguments = ("--graph", "random-regular", "--sites", 6, "--coupling", 0.2)
    assert record_of(capsys, *arguments, "--seed", 3)["mixing_time"] > 0


def test_transition_matrices_from_files(tmp_path: Path, capsys: Any) -> None:
    matrix = np.array([[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0, 0.1, 0.9]])
    record = record_of(capsys, "--transition", save(tmp_path / "P.npy", matrix))
    assert (record["transition"], record["states"], record["renormalised"]) == ("P.npy", 3, 0.0)
    assert record["likeliest"][0] == ["state 2", pytest.approx(0.78125)]
    assert record["stationary_tv_to_target"] is None
    single = record_of(capsys, "--transition", save(tmp_path / "S.npy", matrix.astype(np.float32)))
    assert 0 < single["renormalised"] < 1e-7
    np.savez(tmp_path / "A.npz", matrix)
    scipy.sparse.save_npz(tmp_path / "B.npz", scipy.sparse.csr_array(matrix))
    for name in ("A.npz", "B.npz"):
        assert record_of(capsys, "--transition", tmp_path / name)["mixing_time"] == record["mixing_time"]
    assert isinstance(load_transition(tmp_path / "B.npz"), SparseOperator)
    path = save(tmp_path / "R.npy", np.round(matrix[:, ::-1] / 3, 2) * 3)
    code, _, err = run(capsys, "--transition", path)
    assert code == 2
    assert "add --normalise" in err
    assert record_of(capsys, "--transition", path, "--normalise")["renormalised"] > 0.001


def test_a_large_sparse_chain_goes_without_its_matrix(tmp_path: Path, capsys: Any) -> None:
    """The lazy walk on the hypercube of 2^12 states has the gap 1 / 12."""
    n = 12
    states = np.arange(2**n)
    rows, columns = np.repeat(states, n), (states[:, None] ^ (1 << np.arange(n))).reshape(-1)
    walk = scipy.sparse.csr_array((np.full(len(rows), 0.5 / n), (rows, columns)))
    scipy.sparse.save_npz(tmp_path / "P.npz", walk + 0.5 * scipy.sparse.eye_array(2**n, format="csr"))
    record = record_of(capsys, "--transition", tmp_path / "P.npz", "--budget", 0.001)
    assert record["method"] == "matrix-free"
    assert record["spectral_gap"] == pytest.approx(1 / n, abs=1e-8)
    assert record["mixing_time"] is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no archive"])
def test_damaged_archives_end_in_a_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "P.npz").write_bytes(content)
    with pytest.raises(InvalidInput, match="not a readable"):
        load_transition(tmp_path / "P.npz")
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(2))
    with pytest.raises(InvalidInput, match="2 arrays"):
        load_transition(tmp_path / "two.npz")
    np.savez(tmp_path / "object.npz", np.array([{}]))
    with pytest.raises(InvalidInput, match="not a readable"):
        load_transition(tmp_path / "object.npz")


def test_networks_with_names(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "friends.txt"
    path.write_text("\ufeff# who knows whom\r\nanna, bert 0.5\r\nbert carl\r\n\r\n")
    law, names = load_network(path, 0.25, 0.1)
    assert names == ["anna", "bert", "carl"]
    assert law.couplings.tolist() == [[0, 0.5, 0], [0.5, 0, 0.25], [0, 0.25, 0]]
    assert law.fields.tolist() == [0.1] * 3
    record = record_of(capsys, "--edges", path, "--coupling", 0.25, "--field", 0.1)
    assert record["site_names"] == names
    assert record["likeliest"][0][0] == "anna+ bert+ carl+"
    graph = nx.Graph()
    graph.add_node("a", field=-0.5)
    graph.add_edge("a", "b", coupling=0.75)
    nx.write_graphml(graph, tmp_path / "g.graphml")
    law, names = load_network(tmp_path / "g.graphml", 9.0, 0.0)
    assert (names, law.couplings[0, 1], law.fields.tolist()) == (["a", "b"], 0.75, [-0.5, 0.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no edge"),
        ("a", "line 1 = a: two nodes"),
        ("a b c d", "two nodes"),
        ("a a", "from a to itself"),
        ("a b\nb a", "line 2 = b a: this edge was given before"),
        ("a b strong", "finite numbers"),
        ("a b nan", "finite numbers"),
    ],
)
def test_networks_that_cannot_be_read(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "edges.txt").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        load_network(tmp_path / "edges.txt", 1.0, 0.0)
    (tmp_path / "edges.graphml").write_text(text)
    with pytest.raises(InvalidInput, match="not GraphML"):
        load_network(tmp_path / "edges.graphml", 1.0, 0.0)


def test_names_of_states() -> None:
    assert name_of_state(0b0110, 4, 2) == "- + + -"
    assert name_of_state(5, 3, 3) == "0 1 2"
    assert name_of_state(7, 1, 50) == "sequence 7"


def test_facts_of_a_chain_are_computed_once(capsys: Any) -> None:
    """Classes were looked for five times and states eliminated three times before chains kept their facts."""
    from theory.chains import classes, state_reduction

    with (
        mock.patch("theory.chains.classes._one_aperiodic_class", wraps=classes._one_aperiodic_class) as classified,
        mock.patch("theory.chains.state_reduction._reduce", wraps=state_reduction._reduce) as reduced,
    ):
        record_of(capsys, "--sites", 5)
    assert classified.call_count == 1
    assert reduced.call_count == 1
