"""What decoders do on a network whose law is not known: the loss of held-out sequences as they are decoded.

With x ~ p held out, E_p[-ln q(x)] = KL(p || q) + H(p), so that the *loss* ranks decoders and their options as the
divergence does. Rules that give a text no probability (remasking) are sampled, and the laws of neighbouring pairs of
tokens compared with those of the held-out sequences.

Legend: ``B`` sequences, ``N`` sites, ``q`` symbols, ``T`` calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.decoding.estimates import Estimate
from experiments.decoding.score import has_score, score
from experiments.decoding.studies import FEWEST_SLOW, MOST_SLOW, Outcome, pair_distance
from theory.decoding.faces import why_no_path
from theory.decoding.noise import lacks_noise
from theory.decoding.rule import Predictor, Rule, Setting
from theory.decoding.sampling import sample
from theory.errors import InvalidInput

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

UNKNOWN = "the law behind the sequences is not known"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A network and sequences that it was not trained on.

    Attributes:
        name: of both, for the reader.
        parts: networks and the sequences [B, N] that each is asked about: one for all, or one a sequence where the
            context differs. All have the same number of sites and of symbols.

    Raises:
        InvalidInput: fewer than two sequences, or parts of different sizes.
    """

    name: str
    parts: tuple[tuple[Predictor, Tokens], ...]

    def __post_init__(self) -> None:
        if self.count < 2:
            raise InvalidInput("sequences", self.count, "at least 2 are needed: intervals are over sequences")
        sizes = sorted({model.sites for model, _ in self.parts})
        if len(sizes) > 1:
            raise InvalidInput(
                "sequences", f"{sizes[0]} to {sizes[-1]} sites", "one number of sites is needed: name a region"
            )

    @property
    def count(self) -> int:
        """How many sequences there are."""
        return sum(len(x) for _, x in self.parts)

    @property
    def sites(self) -> int:
        """N."""
        return self.parts[0][0].sites

    @property
    def symbols(self) -> int:
        """q."""
        return self.parts[0][0].symbols


class NetworkStudy:
    """Decoders on a network: scored on held-out sequences where they can be, else sampled."""

    entropy = None

    def __init__(self, held: HeldOut, samples: int, seed: int) -> None:
        self.held, self.samples, self.seed = held, samples, seed

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        if rule.needs == "noise":
            raise lacks_noise(rule)
        setting = Setting.of(self.held.parts[0][0], calls)
        rule.steps(setting)
        if not has_score(rule, setting) and (len(self.held.parts) > 1 or self.held.count < FEWEST_SLOW):
            raise InvalidInput(
                "decoder",
                rule.name,
                f"a text has no probability ({why_no_path(rule)}), and the output is compared with at least "
                f"{FEWEST_SLOW} sequences of one context only",
            )

    def outcome(self, text: str, rule: Rule, calls: int) -> Outcome:
        """The loss of the sequences, or how far the output's neighbouring pairs are from theirs."""
        (model, x), *_ = self.held.parts
        if not has_score(rule, Setting.of(model, calls)):
            count = max(self.samples or MOST_SLOW, FEWEST_SLOW)
            drawn = sample(model, rule, calls, count, np.random.default_rng((self.seed, 3)))
            pairs = pair_distance(drawn.sequences, x, self.held.symbols)
            return _outcome(text, calls, drawn.calls, pair_distance=pairs, reason=why_no_path(rule))
        found = [score(model, rule, calls, x, self.seed) for model, x in self.held.parts]
        kind = "upper" if any(part.kind == "upper" for part in found) else "unbiased"
        losses = np.concatenate([part.losses for part in found])
        spent = np.concatenate([part.calls for part in found])
        return _outcome(text, calls, spent, reason=UNKNOWN, loss=Estimate.mean(losses, kind), rows=losses)


def _outcome(text: str, calls: int, spent: Array, **found: Any) -> Outcome:
    return Outcome(text, calls, float(spent.mean()), float(spent.max()), **found)
