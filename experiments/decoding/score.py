"""What a decoder thinks of given sequences: -ln q(x) under the decoder, on any network, and what of it is whose fault.

A masked model has no likelihood of its own; a model *as it is decoded* has one, q(x). Where the decoder's sites are a
function of the tokens so far it is exact; where they are drawn, or candidates are drawn first in blocks of more than 12
sites, the number is a bound from above. Intervals are over the sequences.

With a known law p behind the sequences, KL(p || q) of the decoder on the true conditionals is the decoding error; what
the same decoder loses more on the learned ones is the learned error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.decoding.record import PATHS, ROWS, Estimate
from theory.decoding.candidate_paths import keeps_candidates, path_sums
from theory.decoding.known_sequence import KnownSequence
from theory.decoding.replay import has_one_path, replay
from theory.decoding.rule import Predictor, Rule, Setting
from theory.laws.length import SequenceLaw

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Scored:
    """Losses of sequences under a decoder.

    Attributes:
        losses: [B], -ln q(x) in nats, or a bound of it in the mean.
        loss: their mean, with its kind and interval.
        expected_calls: mean over the sequences.
    """

    losses: Array
    loss: Estimate
    expected_calls: float


def score(model: Predictor, rule: Rule, calls: int, sequences: Tokens, seed: int = 0) -> Scored:
    """-ln q(x) of every sequence.

    Args:
        model: the network.
        rule: with its options; one that can be replayed, or that keeps the best drawn candidates.
        calls: T asked for.
        sequences: [B, N], at least 2.
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
    values = np.concatenate(losses)
    return Scored(values, Estimate.mean(values, "unbiased" if exact else "upper"), float(np.concatenate(spent).mean()))


@dataclass(frozen=True)
class Blame:
    """KL(p || q) of a decoder on a learned network, in nats: ``decoding`` + ``learned`` = ``total``."""

    decoding: Estimate
    learned: Estimate
    total: Estimate


def learned_and_decoding_error(
    law: SequenceLaw, model: Predictor, rule: Rule, calls: int, count: int, seed: int = 0
) -> Blame:
    """How much of the divergence is the decoder's and how much the network's, along the same sequences.

    Args:
        law: p.
        model: learned conditionals.
        rule: as in `score`.
        calls: T asked for.
        count: sequences drawn from p.
        seed: of them.

    Raises:
        InvalidInput: as `score`.
    """
    x = law.sample(count, np.random.default_rng(seed))
    right = score(KnownSequence(law), rule, calls, x, seed)
    learned = score(model, rule, calls, x, seed)
    truth, kind = -law.log_probability(x), learned.loss.kind
    return Blame(
        Estimate.mean(right.losses - truth, kind),
        Estimate.mean(learned.losses - right.losses, kind),
        Estimate.mean(learned.losses - truth, kind),
    )
