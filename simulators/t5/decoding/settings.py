"""How a T5 decodes: the one declaration behind options of commands, records and sweeps; no JAX.

`simulators.t5.decoding.refinement`, `simulators.t5.decoding.autoregressive` and `simulators.t5.decoding.sampling` say
what each option does. Fields that are no options of a command are listed as attributes.

Legend: ``T`` steps, ``M`` hypotheses of a sentence, ``W`` beam width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulators.t5.decoding.rejecters import Passthrough, Rejecter
from theory.errors import InvalidInput
from theory.parameters import check_all, parameter

STARTS = ("mask", "random", "range-mask")
REPLACEMENTS = ("previous", "initial", "summed")
UPDATES = ("all", "rejected")
STUTTER_REMOVALS = ("never", "end", "each-step")
EARLY_STOPPINGS = ("heuristic", "never", "always")


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen."""

    temperature: float = parameter(0.0, "0: the most likely token, the first one of several", minimum=0)
    top_k: int = parameter(0, "draw from the k likeliest; 0: all", minimum=0)
    top_p: float = parameter(1.0, "draw from this mass", above=0, maximum=1)

    def __post_init__(self) -> None:
        check_all(self)

    @property
    def greedy(self) -> bool:
        """Whether the choice is deterministic."""
        return self.temperature == 0


@dataclass(frozen=True)
class RefinementSettings:
    """How to decode in parallel.

    Attributes:
        rejecter: see `simulators.t5.decoding.rejecters`.
        sampling: how to choose a token.
        scores: whether to compute the score of a single hypothesis too; several always have scores.
        record: whether to keep the tokens after each step.
    """

    steps: int = parameter(4, "steps", minimum=1)
    start: str = parameter("mask", "first tokens; range-mask: one mask for each position", choices=STARTS)
    replacement: str = parameter("previous", "what fills a rejected position", choices=REPLACEMENTS)
    rejecter: Rejecter = field(default_factory=Passthrough)
    update: str = parameter(
        "all", "predict all positions each step, or only rejected ones (mask-predict)", choices=UPDATES
    )
    sampling: Sampling = field(default_factory=Sampling)
    remove_stutter: str = parameter("never", "remove repeated neighbours", choices=STUTTER_REMOVALS)
    shortlist: int = parameter(
        0, "after the first step, choose among so many pieces of the sentence, its likeliest then; 0: all", minimum=0
    )
    early_exit: bool = parameter(True, "stop a sentence that cannot change")
    length_candidates: int = parameter(1, "likely lengths to try", minimum=1)
    length_beam: int = parameter(1, "odd number of lengths around each", minimum=1)
    parallel_decodes: int = parameter(1, "random starts or draws each", minimum=1)
    n_best: int = parameter(1, "hypotheses to return", minimum=1)
    length_penalty: float = parameter(0.6, "exponent, in choosing among hypotheses")
    scores: bool = False
    record: bool = False

    def __post_init__(self) -> None:
        check_all(self)
        if not isinstance(self.rejecter, Rejecter):
            raise InvalidInput("rejecter", self.rejecter, "a rejecter of simulators.t5.decoding.rejecters is needed")
        if self.length_beam % 2 == 0:
            raise InvalidInput(
                "length_beam", self.length_beam, "an odd number is needed: the length and its neighbours"
            )
        if self.shortlist and (self.replacement == "summed" or self.start == "random"):
            why = "the logits of all pieces are summed" if self.replacement == "summed" else "a start may be any piece"
            raise InvalidInput("shortlist", self.shortlist, f"0 is needed: {why}")
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


DEFAULT = RefinementSettings()
"""Four steps from masks, every position predicted at each."""


@dataclass(frozen=True)
class GenerationSettings:
    """How to decode token by token; a single beam is greedy decoding or sampling.

    Attributes:
        sampling: of a single beam.
        scores: whether to compute the log-probabilities of a single beam too; beam search always has scores.
    """

    max_length: int = parameter(128, "most tokens, the end symbol counted", minimum=1)
    min_length: int = parameter(1, "fewest tokens, the end symbol counted", minimum=1)
    beams: int = parameter(1, "width of beam search", minimum=1)
    length_penalty: float = parameter(1.0, "exponent, in choosing among hypotheses")
    early_stopping: str = parameter("heuristic", "when a beam stops, as in transformers", choices=EARLY_STOPPINGS)
    n_best: int = parameter(1, "hypotheses to return", minimum=1)
    sampling: Sampling = field(default_factory=Sampling)
    scores: bool = False

    def __post_init__(self) -> None:
        check_all(self)
        if self.min_length > self.max_length:
            raise InvalidInput("min_length", self.min_length, f"at most max_length, {self.max_length}")
        if self.n_best > self.beams:
            raise InvalidInput("n_best", self.n_best, f"at most as many as beams, {self.beams}")
        if self.beams > 1 and not self.sampling.greedy:
            raise InvalidInput("beams", self.beams, "beam search does not sample: a temperature needs one beam")


GREEDY = GenerationSettings()
"""The most likely token, one after the other."""
