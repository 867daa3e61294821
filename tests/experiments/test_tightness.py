"""The search for tight instances finds what is known to be tight, repeats itself, and sees a bound that is broken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import gmlm
from experiments.tightness import bound as spaces
from experiments.tightness.bounds import BOUNDS, of
from experiments.tightness.figures import draw_atlas
from experiments.tightness.search import tighten
from theory.errors import InvalidInput
from theory.inequalities import MaskingChannel, slowest_functions
from theory.laws import JointLaw, ising
from theory.masks import k_uniform


def test_every_bound_holds_where_it_says_something() -> None:
    """Two random instances of each; none is broken."""
    generator = np.random.default_rng(0)
    for bound in BOUNDS.values():
        for _ in range(2):
            instance = bound.instance(generator.normal(size=bound.dimension))
            value = bound.ratio(instance)
            assert np.isnan(value) or 0 < value <= 1 + 1e-7, bound.name
            assert json.dumps(bound.plain(instance))


def test_the_statistic_that_attains_c3_is_a_slowest_eigenfunction() -> None:
    """In the span of the two slowest: at the law that is found their eigenvalues nearly meet."""
    record = tighten(BOUNDS["efficiency-of-a-statistic"], starts=1, evaluations=800)
    assert record["verdict"] == "attained"
    law = JointLaw(record["instance"]["table"])
    found = np.array(record["instance"]["statistic"])
    slowest = slowest_functions(MaskingChannel(law, k_uniform(2, 1)), 2)[1]
    root = np.sqrt(law.probabilities)
    basis, _ = np.linalg.qr(((slowest - (slowest @ law.probabilities)[:, None]) * root).T)
    centred = (found - law.probabilities @ found) * root
    assert np.linalg.norm(basis.T @ centred) == pytest.approx(np.linalg.norm(centred), rel=1e-4)


def test_product_laws_attain_the_lower_end_of_the_tensorization_constant() -> None:
    """At the uniform law C_P = C_AT = 2; and the search comes there from a random start."""
    lower = BOUNDS["tensorization-lower"]
    assert lower.ratio(spaces.two_bits(np.zeros(4))) == pytest.approx(1)
    assert tighten(lower, starts=1, evaluations=15)["ratio"] == pytest.approx(1, abs=0.01)


def test_the_same_seed_finds_the_same_instance() -> None:
    first, second = (tighten(BOUNDS["random-order"], starts=2, evaluations=30, seed=4) for _ in range(2))
    assert first == second


def test_a_bound_that_is_broken_is_reported() -> None:
    """The planted falsehood: C_P of a chain that is a tenth faster."""
    right = BOUNDS["efficiency"]
    wrong = dataclasses.replace(right, ratio=lambda law: right.ratio(law) / 0.9)
    record = tighten(wrong, starts=2, evaluations=60)
    assert record["verdict"] == "broken"
    law = ising(np.array(record["instance"]["couplings"]), np.array(record["instance"]["fields"]))
    assert wrong.ratio(law) == pytest.approx(record["ratio"])


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["tighten", "C8", "--starts", "1", "--evaluations", "8"]
    done = CliRunner().invoke(
        gmlm, [*arguments, "--json", "--figure", str(tmp_path / "atlas.svg"), "--out", str(tmp_path / "a.json")]
    )
    assert done.exit_code == 0
    assert {record["bound"] for record in json.loads(done.stdout)} == {b.name for b in of("C8")}
    assert (tmp_path / "atlas.svg").stat().st_size > 1000
    stored = json.loads((tmp_path / "a.json").read_text())
    assert stored["made"]["command"] == "gmlm tighten C8 --starts 1 --evaluations 8 --seed 0"
    assert [row["ratio"] for row in stored["bounds"]] == sorted(
        (row["ratio"] for row in stored["bounds"]), reverse=True
    )
    monkeypatch.setitem(
        BOUNDS, "escape-chernoff", dataclasses.replace(BOUNDS["escape-chernoff"], ratio=lambda instance: 1.5)
    )
    assert CliRunner().invoke(gmlm, arguments).exit_code == 1


def test_the_atlas_has_a_row_for_each_bound() -> None:
    (axes,) = draw_atlas([tighten(bound, starts=1, evaluations=5) for bound in of("C8")]).axes
    assert len(axes.get_yticks()) == len(of("C8"))
    assert "bound" in axes.get_xlabel()


def test_bad_input() -> None:
    with pytest.raises(InvalidInput, match="bound = C99"):
        of("C99")
    with pytest.raises(InvalidInput, match="starts = 0"):
        tighten(BOUNDS["efficiency"], starts=0)
