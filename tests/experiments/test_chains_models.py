"""Laws by name at strengths that floats do not hold."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import build_law
from theory.errors import InvalidInput


def test_a_product_of_any_field_keeps_all_its_states() -> None:
    """In closed form: ln p falls by 2 field for each site that is not the likeliest."""
    law = build_law(ModelSpec("product", sites=4, field=400.0))
    assert law.support.all()
    minus = 4 - law.sequences.sum(axis=1)
    np.testing.assert_allclose(law.log_probabilities, -800.0 * minus, atol=1e-12, rtol=1e-14)


def test_both_routes_to_a_product_agree() -> None:
    # 4 sites of field 80 are below what one float holds, 4 of field 82 are not.
    laws = [build_law(ModelSpec("product", sites=4, field=field)).log_probabilities / field for field in (80.0, 83.0)]
    np.testing.assert_allclose(laws[0], laws[1], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("model", "option"), [("markov", "coupling"), ("mixture", "coupling"), ("hmm", "field")])
def test_symbols_that_a_float_makes_impossible_are_refused(model: str, option: str) -> None:
    with pytest.raises(InvalidInput, match=f"{option} = 900.*rarest symbol"):
        build_law(ModelSpec(model, sites=3, **{option: 900.0}))
