"""The named options of parallel decoding; `simulators.t5.decoding.refinement` says what each of them does.

Legend: ``T`` steps, ``M`` hypotheses of a sentence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from simulators.t5.decoding.rejecters import Passthrough, Rejecter
from simulators.t5.decoding.sampling import Sampling
from theory.errors import InvalidInput

Start = Literal["mask", "random", "range mask"]
Replacement = Literal["previous", "initial", "summed"]
Update = Literal["all", "rejected"]
StutterRemoval = Literal["never", "end", "each step"]


@dataclass(frozen=True)
class RefinementSettings:
    """How to decode.

    Attributes:
        steps: T.
        start: "mask", "random" tokens, or "range mask" (one mask for each position).
        replacement: what fills a rejected position: the "previous" token, the "initial" one, or the choice by logits
            "summed" over the steps.
        rejecter: see `simulators.t5.decoding.rejecters`.
        update: "all" open positions are predicted at each step, or, after the first, only the "rejected" ones.
        sampling: how to choose a token.
        remove_stutter: whether tokens that equal their left neighbour are removed: "never", at the "end", "each step".
        early_exit: stop a sentence that cannot change any more.
        length_candidates: k most likely lengths; more than 1 needs the "token" length predictor.
        length_beam: odd number of lengths around each.
        parallel_decodes: random starts, or draws, for each length.
        n_best: hypotheses to return, at most M.
        length_penalty: alpha of the choice among hypotheses.
        scores: whether to compute the score of a single hypothesis too; several always have scores.
        record: whether to keep the tokens after each step.
    """

    steps: int = 4
    start: Start = "mask"
    replacement: Replacement = "previous"
    rejecter: Rejecter = field(default_factory=Passthrough)
    update: Update = "all"
    sampling: Sampling = field(default_factory=Sampling)
    remove_stutter: StutterRemoval = "never"
    early_exit: bool = True
    length_candidates: int = 1
    length_beam: int = 1
    parallel_decodes: int = 1
    n_best: int = 1
    length_penalty: float = 0.6
    scores: bool = False
    record: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "length_candidates", "length_beam", "parallel_decodes", "n_best"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidInput(name, value, "a whole number of at least 1 is needed")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, getattr(self, name), f"one of {', '.join(allowed)}")
        if not isinstance(self.rejecter, Rejecter):
            raise InvalidInput("rejecter", self.rejecter, "a rejecter of simulators.t5.decoding.rejecters is needed")
        if self.length_beam % 2 == 0:
            raise InvalidInput(
                "length_beam", self.length_beam, "an odd number is needed: the length and its neighbours"
            )
        if not np.isfinite(self.length_penalty):
            raise InvalidInput("length_penalty", self.length_penalty, "a finite number is needed")
        if self.parallel_decodes > 1 and not self.random:
            raise InvalidInput(
                "parallel_decodes", self.parallel_decodes, "without a random start or a temperature all would be equal"
            )

        if self.n_best > self.hypotheses:
            raise InvalidInput(
                "n_best",
                self.n_best,
                f"at most as many as hypotheses, {self.hypotheses}: length candidates times length beam times decodes",
            )

    @property
    def random(self) -> bool:
        """Whether decoding draws random numbers."""
        return self.start == "random" or not self.sampling.greedy

    @property
    def scored(self) -> bool:
        """Whether hypotheses have scores."""
        return self.scores or self.hypotheses > 1

    @property
    def hypotheses(self) -> int:
        """M: hypotheses of each sentence."""
        return self.length_candidates * self.length_beam * self.parallel_decodes


CHOICES: dict[str, tuple[str, ...]] = {
    "start": get_args(Start),
    "replacement": get_args(Replacement),
    "update": get_args(Update),
    "remove_stutter": get_args(StutterRemoval),
}

DEFAULT = RefinementSettings()
"""Four steps from masks, every position predicted at each."""
