"""Sequences drawn by a rule from any network, with the network calls that each took.

Legend: ``B`` sequences, ``N`` sites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.decoding.rule import Predictor, Rule, Setting
from theory.pictures import Pictured

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sampled(Pictured):
    """What came out.

    Attributes:
        sequences: [B, N].
        calls: [B] network calls that each took.
    """

    sequences: NDArray[np.int64]
    calls: Array


def sample(
    model: Predictor,
    rule: Rule,
    calls: int,
    count: int,
    generator: np.random.Generator,
    report: Callable[[int, int], None] | None = None,
) -> Sampled:
    """Independent sequences; the result is a function of the generator's state.

    Args:
        model: table or network.
        rule: with its options.
        calls: T asked for.
        count: B.
        report: told the number of steps done and of all steps, after each.

    Raises:
        InvalidInput: the rule does not fit the model.
    """
    setting = Setting.of(model, calls)
    state, spent = rule.start(setting, count), np.zeros(count)
    steps = rule.steps(setting)
    for step in range(steps):
        state, taken = rule.advance(setting, step, state, model, generator)
        spent += taken
        if report is not None:
            report(step + 1, steps)
    return Sampled(state.tokens, spent)
