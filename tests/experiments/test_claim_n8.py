"""N8 holds for the published model; the checks see laws that are compatible, quick or of one mode."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.claim import Verdict, overall
from experiments.claims import load
from experiments.claims.n8_a_real_network_is_stuck import Parameters, examine, simulated_escapes
from experiments.plain import plain
from tests.masked_lm_examples import sapiens_folder
from theory.conditionals import TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, strong_clique


def test_the_claim_holds_and_its_figures_are_drawn() -> None:
    pytest.importorskip("torch")
    sapiens_folder()  # skips where the model's files are not at hand
    claim = load("N8")
    found = claim.compute(Parameters(), 0, lambda fraction, message: None)
    assert overall(found.checks) is Verdict.HOLDS, [check for check in found.checks if check.margin < 0]
    assert [row[3] for row in found.table.rows if row[0] == 1] == ["DSSG", "GSGS"]
    for figure in claim.figures:
        assert figure.draw(plain(found.data)).axes


def test_a_compatible_law_that_mixes_at_once_violates_it() -> None:
    law = JointLaw.from_weights(np.random.default_rng(0).random((3,) * 4) + 0.5)
    found = examine(TableConditionals(law), Parameters(temperature=1.0), 0)
    verdicts = [check.verdict for check in found.checks]
    violated = Verdict.VIOLATED
    assert verdicts == [violated, Verdict.HOLDS, violated, violated, violated]


def test_simulated_escapes_have_the_mean_of_a_dense_solve() -> None:
    """Within 5 standard errors: false-alarm rate below 1e-6."""
    law = strong_clique(4, 4, 0.6, 0.1)
    model = TableConditionals(law)
    from theory.masks import k_uniform
    from theory.samplers import block_gibbs

    matrix = block_gibbs(model, k_uniform(4, 1)).to_dense()
    inside = np.flatnonzero(np.array([bin(state).count("1") for state in range(16)]) <= 1)
    block = matrix[np.ix_(inside, inside)]
    times = np.linalg.solve(np.eye(len(inside)) - block, np.ones(len(inside)))
    weights = law.probabilities[inside] / law.probabilities[inside].sum()
    exact = float(weights @ times)
    found = simulated_escapes(model, law.probabilities, inside, exact, 2000, 0)
    assert abs(found.mean() - exact) <= 5 * found.std() / np.sqrt(2000)


def test_without_the_models_files_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("GMLM_SAPIENS", "/nowhere")
    with pytest.raises(InvalidInput, match=r"pip download --no-deps sapiens==1\.0\.5"):
        load("N8").compute(Parameters(), 0, lambda fraction, message: None)
