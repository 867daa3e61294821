"""Sample sizes: bounds are met at what is reported and not much below; the expected size is what C1 predicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import gmlm
from experiments.estimation.sample_size import among_all_laws, induced_law, sample_sizes
from tests.masked_lm_examples import random_network, save_folder
from theory.bounds import best_cover_of_box, total_variation_bound
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.estimation import fit, sample_pairs
from theory.laws import JointLaw, random_ising, random_law
from theory.masks import k_uniform

LAW = random_ising(3, np.random.default_rng(0), 0.3)


def test_the_guaranteed_size_is_where_the_bound_reaches_the_target() -> None:
    (row,) = sample_sizes(LAW, [2], 0.2, 0.1, 0.4)["by_k"]
    low, high = LAW.theta - 0.4, LAW.theta + 0.4
    for share, reached in ((1.0, True), (0.99, False)):
        n = int(share * row["guaranteed"])
        epsilon, log_cover = best_cover_of_box(LAW.family, low, high, n, row["beta"], 0.1)
        bound = total_variation_bound(n, row["beta"], 0.1, row["tensorization"], log_cover, epsilon)
        assert (bound <= 0.2) is reached


def test_more_masking_needs_less_and_every_guarantee_more_than_is_expected() -> None:
    rows = sample_sizes(LAW, [1, 2, 3], 0.2)["by_k"]
    for name in ("asymptotic", "guaranteed", "observed_loss"):
        sizes = [row[name] for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    assert all(row["asymptotic"] < row["observed_loss"] < row["guaranteed"] for row in rows)


def test_the_expected_size_gives_about_the_target() -> None:
    """Mean total variation of 60 fits at the expected size, within 5 standard errors (false alarms below 1e-6)."""
    (row,) = sample_sizes(LAW, [2], 0.03)["by_k"]
    generator, masks = np.random.default_rng(1), k_uniform(3, 2)
    found = []
    for _ in range(60):
        theta = fit(LAW.family, sample_pairs(LAW, masks, row["asymptotic"], generator), start=LAW.theta).theta
        found.append(0.5 * np.abs(LAW.family.probabilities(theta) - LAW.probabilities).sum())
    error = np.std(found, ddof=1) / np.sqrt(60)
    assert abs(np.mean(found) - 0.03) <= 5 * error + 0.1 * 0.03


def test_any_law_by_its_counts() -> None:
    """With every site masked the estimate is the empirical law: sqrt(n) E TV -> sum sqrt(p (1 - p)) / sqrt(2 pi)."""
    law = random_law(2, 3, np.random.default_rng(2), 1.0)
    (row,) = sample_sizes(among_all_laws(law), [2], 0.01)["by_k"]
    limit = np.sqrt(law.probabilities * (1 - law.probabilities)).sum() / np.sqrt(2 * np.pi)
    assert row["asymptotic"] == pytest.approx((limit / 0.01) ** 2, abs=1)
    assert row["asymptotic_all_masks"] == row["asymptotic"]


def test_a_law_with_impossible_states_and_what_a_table_induces() -> None:
    law = JointLaw.from_weights(np.array([[3.0, 1.0], [2.0, 0.0]]))
    member = induced_law(TableConditionals(law))
    assert member.family.parameters == 2
    assert member.family.probabilities(member.theta) == pytest.approx(law.probabilities)
    rows = sample_sizes(member, [1, 2], 0.1)["by_k"]
    assert rows[0]["asymptotic"] >= rows[1]["asymptotic"]


def test_from_the_command_line(tmp_path: Path) -> None:
    np.save(tmp_path / "J.npy", LAW.couplings)
    arguments = ["sample-size", "--couplings", str(tmp_path / "J.npy"), "--k", "1,3", "--json"]
    record = json.loads(CliRunner().invoke(gmlm, arguments).output)
    assert [row["k"] for row in record["by_k"]] == [1, 3]
    shown = CliRunner().invoke(gmlm, arguments[:-1]).output
    assert shown.startswith("About ")


def test_a_table_from_the_command_line_and_one_law_at_a_time(tmp_path: Path) -> None:
    np.save(tmp_path / "law.npy", random_law(2, 2, np.random.default_rng(0)).table)
    table = ["--table", str(tmp_path / "law.npy")]
    record = json.loads(CliRunner().invoke(gmlm, ["sample-size", *table, "--json"]).output)
    assert (record["parameters"], len(record["by_k"])) == (3, 2)
    for arguments, message in (
        ([], "law = none"),
        ([*table, "--couplings", str(tmp_path / "law.npy")], "law = couplings and table"),
        ([*table, "--fields", str(tmp_path / "law.npy")], "fields belong to --couplings"),
        ([*table, "--sites", "0:2"], "a window belongs to --mlm"),
        (["--mlm", str(tmp_path)], "--sequence and --sites are needed"),
    ):
        done = CliRunner().invoke(gmlm, ["sample-size", *arguments])
        assert isinstance(done.exception, InvalidInput) or done.exit_code == 2
        assert message in str(done.exception) + done.output


def test_a_masked_network_s_window(tmp_path: Path) -> None:
    """The law of one site is what the network predicts there: 20 symbols, 19 parameters."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="pretrained models need it")
    folder = save_folder(random_network("bert"), tmp_path)
    arguments = ["--mlm", str(folder), "--sequence", "ACDEFGHIKL", "--sites", "2:3", "--json"]
    record = json.loads(CliRunner().invoke(gmlm, ["sample-size", *arguments]).stdout)
    assert (record["sites"], record["parameters"]) == (1, 19)
    (row,) = record["by_k"]
    assert row["bound_at_asymptotic"] > 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"target": 2.0}, "target"), ({"delta": 0.0}, "delta"), ({"width": -1.0}, "width"), ({"sizes": [4]}, "k = 4")],
)
def test_bad_input(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        sample_sizes(**({"law": LAW, "sizes": [1], "target": 0.1} | changes))
