"""What a decoder thinks of given sequences: -ln q(x) under the decoder, on any network.

A masked model has no likelihood of its own; a model *as it is decoded* has one, q(x). Where the decoder's sites are a
function of the tokens so far it is exact; where they are drawn, or candidates are drawn first in blocks of more than 12
sites, the number is a bound from above. Intervals are over the sequences.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.decoding.estimates import Estimate
from theory.decoding.candidate_paths import keeps_candidates, path_sums
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Predictor, Rule, Setting

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

PATHS = 4
"""Paths that a bound by weighted paths is the mean of."""

ROWS = 32
"""Rows at a time: the token laws of 32 sequences of 1,024 sites over 65 symbols take 17 MB."""


@dataclass(frozen=True, eq=False)
class Scored:
    """Losses of sequences under a decoder.

    Attributes:
        losses: [B], -ln q(x) in nats, or a bound of it in the mean.
        calls: [B].
        kind: of their mean as an estimate of E[-ln q(x)]: unbiased, or upper.
    """

    losses: Array
    calls: Array
    kind: str

    @property
    def loss(self) -> Estimate:
        """Their mean, with its kind and interval."""
        return Estimate.mean(self.losses, self.kind)

    @property
    def expected_calls(self) -> float:
        """Mean over the sequences."""
        return float(self.calls.mean())


def has_score(rule: Rule, setting: Setting) -> bool:
    """Whether `score` has an answer."""
    return can_replay(rule) or keeps_candidates(rule, setting)


def score(model: Predictor, rule: Rule, calls: int, sequences: Tokens, seed: int = 0) -> Scored:
    """-ln q(x) of every sequence.

    Args:
        model: the network.
        rule: with its options; one that can be replayed, or that keeps the best drawn candidates.
        calls: T asked for.
        sequences: [B, N].
        seed: of the rule's own choices.

    Raises:
        InvalidInput: a rule of another kind (remasking, ...), or one that does not fit the model.
    """
    setting = Setting.of(model, calls)
    rule.steps(setting)
    losses, spent = [], []
    exact = has_one_path(rule, setting)
    for chunk, first in enumerate(range(0, len(sequences), ROWS)):
        rows = np.asarray(sequences[first : first + ROWS], dtype=np.int64)
        generator = np.random.default_rng((seed, chunk))
        if keeps_candidates(rule, setting):
            sums = path_sums(model, rule, setting, rows, generator, PATHS)
            exact = sums.exact
            losses.append(-sums.log_probability)
            spent.append(sums.calls)
        else:
            found = replay(model, rule, setting, rows, generator)
            losses.append(-found.log_probability)
            spent.append(found.calls)
    return Scored(np.concatenate(losses), np.concatenate(spent), "unbiased" if exact else "upper")
