"""Sample sizes: bounds are met at what is reported and not much below; the expected size is what C1 predicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import gmlm
from experiments.estimation.sample_size import ising_sample_sizes
from theory.bounds import best_cover_of_box, total_variation_bound
from theory.errors import InvalidInput
from theory.estimation import fit, sample_pairs
from theory.laws import random_ising
from theory.masks import k_uniform

LAW = random_ising(3, np.random.default_rng(0), 0.3)


def test_the_guaranteed_size_is_where_the_bound_reaches_the_target() -> None:
    (row,) = ising_sample_sizes(LAW, [2], 0.2, 0.1, 0.4)["by_k"]
    low, high = LAW.theta - 0.4, LAW.theta + 0.4
    for share, reached in ((1.0, True), (0.99, False)):
        n = int(share * row["guaranteed"])
        epsilon, log_cover = best_cover_of_box(LAW.family, low, high, n, row["beta"], 0.1)
        bound = total_variation_bound(n, row["beta"], 0.1, row["tensorization"], log_cover, epsilon)
        assert (bound <= 0.2) is reached


def test_more_masking_needs_less_and_every_guarantee_more_than_is_expected() -> None:
    rows = ising_sample_sizes(LAW, [1, 2, 3], 0.2)["by_k"]
    for name in ("asymptotic", "guaranteed", "observed_loss"):
        sizes = [row[name] for row in rows]
        assert sizes == sorted(sizes, reverse=True)
    assert all(row["asymptotic"] < row["observed_loss"] < row["guaranteed"] for row in rows)


def test_the_expected_size_gives_about_the_target() -> None:
    """Mean total variation of 60 fits at the expected size, within 5 standard errors (false alarms below 1e-6)."""
    (row,) = ising_sample_sizes(LAW, [2], 0.03)["by_k"]
    generator, masks = np.random.default_rng(1), k_uniform(3, 2)
    found = []
    for _ in range(60):
        theta = fit(LAW.family, sample_pairs(LAW, masks, row["asymptotic"], generator), start=LAW.theta).theta
        found.append(0.5 * np.abs(LAW.family.probabilities(theta) - LAW.probabilities).sum())
    error = np.std(found, ddof=1) / np.sqrt(60)
    assert abs(np.mean(found) - 0.03) <= 5 * error + 0.1 * 0.03


def test_from_the_command_line(tmp_path: Path) -> None:
    np.save(tmp_path / "J.npy", LAW.couplings)
    arguments = ["sample-size", "--couplings", str(tmp_path / "J.npy"), "--k", "1,3", "--json"]
    record = json.loads(CliRunner().invoke(gmlm, arguments).output)
    assert [row["k"] for row in record["by_k"]] == [1, 3]
    shown = CliRunner().invoke(gmlm, arguments[:-1]).output
    assert shown.startswith("About ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"target": 2.0}, "target"), ({"delta": 0.0}, "delta"), ({"width": -1.0}, "width"), ({"sizes": [4]}, "k = 4")],
)
def test_bad_input(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ising_sample_sizes(**({"law": LAW, "sizes": [1], "target": 0.1} | changes))
