"""C8 holds, matches a value known beforehand, and reports planted falsehoods."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.claim import Findings, Verdict, no_progress, overall
from experiments.claims import c8_large_cliques as large_cliques
from experiments.claims import c8_strong_clique as c8
from experiments.plain import plain
from theory.chains import DenseOperator
from theory.errors import InvalidInput
from theory.laws import spins, strong_clique
from theory.parameters import build


def run(**values: object) -> Findings:
    settings = {"sites": 5, "cliques": (3, 4), "couplings": (0.5, 1.0), **values}
    return c8.compute(build(c8.Parameters, "quick", settings), 0, no_progress)


def verdicts(findings: Findings) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in findings.checks}


def test_holds() -> None:
    assert overall(run().checks) is Verdict.HOLDS


def test_the_worked_example_of_the_theory() -> None:
    findings = run(sites=8, cliques=(8,), couplings=(1.0,))
    (row,) = findings.data["parallel"]
    assert row.escape == pytest.approx(0.00142, abs=5e-6)
    assert row.escape_bound == pytest.approx(0.042, abs=5e-5)


def test_figures_are_drawn_from_plain_data() -> None:
    data = plain(run().data)
    for spec in c8.CLAIM.figures:
        figure = spec.draw(data)
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


def test_a_sampler_that_never_masks_the_clique_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted falsehood: k-Gibbs replaced by a chain that does nothing half of the time."""
    true = c8.block_gibbs

    def lazy(conditionals, masks):
        matrix = true(conditionals, masks).to_dense()
        return DenseOperator(0.5 * matrix + 0.5 * np.eye(len(matrix)))

    monkeypatch.setattr(c8, "block_gibbs", lazy)
    found = verdicts(run())
    assert found["k-Gibbs misses the right mode within T steps with probability at most (1 - c)^T"] is Verdict.VIOLATED
    assert found["expected steps of k-Gibbs to the right mode are at most 1/c"] is Verdict.VIOLATED


def test_parallel_decoding_with_the_joint_law_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted falsehood: every step redraws the whole sequence from p, which no parallel step can do."""
    monkeypatch.setattr(
        c8.parallel,
        "independent_parallel",
        lambda conditionals: DenseOperator(np.tile(conditionals.law.probabilities, (conditionals.law.states, 1))),
    )
    found = verdicts(run(couplings=(1.0, 1.5)))
    assert [name for name, verdict in found.items() if verdict is Verdict.VIOLATED and "independent parallel" in name]


def test_a_bound_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    true = c8.parallel.escape_probability_bound
    monkeypatch.setattr(c8.parallel, "escape_probability_bound", lambda m, j, h: true(m, j, h) / 100)
    assert overall(run().checks) is Verdict.VIOLATED


def test_a_two_stage_bound_that_is_too_small_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted falsehood: the horizon forgotten."""
    true = c8.parallel.log_two_stage_bound
    monkeypatch.setattr(c8.parallel, "log_two_stage_bound", lambda logs, wrong, steps: true(logs, wrong, 1) - 0.1)
    found = verdicts(run(cliques=(4,), couplings=(1.0,)))
    assert found["the same probability is at most b₁ + (T − 1) b₂, two stages"] is Verdict.VIOLATED


@pytest.mark.parametrize(("m", "coupling", "exact", "bound"), [(8, 1.0, 0.00145, 0.0039), (12, 0.5, 0.0110, 0.0526)])
def test_the_two_stage_bound_of_the_worked_examples(m: int, coupling: float, exact: float, bound: float) -> None:
    """T b_1 is .142 and 1.05."""
    parameters = build(c8.Parameters, "quick", {"sites": m})
    wrong = spins(m).sum(axis=1) <= -2
    row = c8.parallel.measure(strong_clique(m, m, coupling, parameters.field), m, coupling, wrong, parameters)
    assert (row.left, row.two_stage) == pytest.approx((exact, bound), rel=0.01)


def test_escape_from_large_cliques_grows_like_the_square_of_their_size() -> None:
    rows = run(large=(20, 51, 200), couplings=(1.0,)).data["large"]
    for row in rows:
        # The sandwich: two bounds from the reversible law around the exact time.
        assert row.lower - 1e-6 <= row.from_all_minus <= row.upper + 1e-6
    assert rows[-1].from_all_minus == pytest.approx(200**2, rel=0.03)


def test_too_fast_an_escape_from_a_large_clique_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted falsehood: the chain of a clique with hardly any coupling, the bounds of the true one."""
    true = large_cliques.log_independent_parallel
    weak = lambda law: true(large_cliques.clique_counts(law.sites, 0.001, 0.05))  # noqa: E731
    monkeypatch.setattr(large_cliques, "log_independent_parallel", weak)
    found = {name: verdict for name, verdict in verdicts(run()).items() if name.startswith("large cliques")}
    assert len(found) == 5
    assert list(found.values()).count(Verdict.VIOLATED) >= 2


@pytest.mark.parametrize(
    ("values", "message"),
    [({"cliques": (3, 6)}, "cliques = 6"), ({"couplings": (0.01,)}, "couplings = 0.01"), ({"sites": 99}, "sites = 99")],
)
def test_bad_input(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        run(**values)
