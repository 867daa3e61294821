"""Decoders that judge the tokens so far and predict the doubtful ones again.

They rank sites by the probability of a token at its site. At a revealed site that is the *leave-one-out* law
p(x_i | the other revealed tokens): the law when the site is masked too. A network with a hollow or planner head gives
it at all sites in one further pass, which is what a step counts; a plain masked network needs one pass a site.

Legend: ``R`` rows, ``N`` sites, ``q`` symbols, ``T`` steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.rule import LooksAt, Needs, Predictor, Rule, Setting, State
from theory.parameters import parameter

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_PROBABILITY = 1e-12
"""Probabilities below it count as it where their logarithm is taken, so that no token is infinitely doubtful."""


def site_laws(model: Predictor, tokens: Integers) -> Array:
    """p(x_i | x_A) at hidden sites, the leave-one-out law at revealed ones; [R, N] -> [R, N, q]."""
    laws = np.array(model.predict(tokens))
    for site in np.flatnonzero((tokens != model.symbols).any(axis=0)):
        alone = tokens.copy()
        alone[:, site] = model.symbols
        laws[:, site] = model.predict(alone)[:, site]
    return laws


def of_tokens(laws: Array, tokens: Integers) -> Array:
    """The probability of a token at each site; laws [R, N, q], tokens [R, N] -> [R, N]."""
    return np.take_along_axis(laws, tokens[:, :, None], axis=2)[:, :, 0]


def log_of(probabilities: Array) -> Array:
    """Logarithms, from `LEAST_PROBABILITY` up."""
    return np.log(np.maximum(probabilities, LEAST_PROBABILITY))


@dataclass(frozen=True)
class RevisingRule(Rule):
    """A rule of T steps that may change every token again until the last of them."""

    remasks: ClassVar[bool] = True

    def horizon(self, setting: Setting) -> int:
        return setting.calls


@dataclass(frozen=True)
class PathPlanning(RevisingRule):
    """Path planning with the network as its own planner.

    Tokens are drawn at all sites; the floor(N (1 - t/T)) sites of lowest score ln p_i(drawn token), revealed ones times
    eta, are masked, newly open ones take their draw, and the others keep their token.
    """

    name: ClassVar[str] = "p2"
    summary: ClassVar[str] = (
        "path planning: draw everywhere, mask the sites of lowest score; revealed sites' scores times eta"
    )
    source: ClassVar[str] = (
        "Peng et al. 2025 (arXiv:2502.03540); p2.py of pengzhangzhi/Path-Planning, which ranks by the softmax of the "
        "Gumbel-noised logits where the paper, and this rule, rank by the probability of the drawn token"
    )

    eta: float = parameter(1.0, "factor of revealed sites' scores; 0: they are never masked again", minimum=0.0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn"

    @property
    def needs(self) -> Needs:
        return "leave-one-out" if self.eta > 0 else ""

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        hidden = state.tokens == setting.symbols
        judged = self.eta > 0
        laws = site_laws(model, state.tokens) if judged else model.predict(state.tokens)
        rows, drawn = choose.tokens(self.token_laws(laws), np.ones_like(hidden) if judged else hidden)
        hidden, tokens = hidden[rows], state.tokens[rows]
        score = log_of(of_tokens(laws[rows], drawn))
        # Above every logarithm: what is never masked again also wins a tie with a certain candidate.
        score = np.where(hidden, score, self.eta * score if judged else 1.0)
        masked = setting.sites * (setting.calls - number - 1) // setting.calls
        again, kept = choose.top(score, np.full(len(score), setting.sites - masked), self.ties)
        hidden, drawn, tokens = hidden[again], drawn[again], tokens[again]
        after = np.where(kept, np.where(hidden, drawn, tokens), setting.symbols)
        return State(after), 1.0 + (~hidden.all(axis=1) if judged else np.zeros(len(after)))


@dataclass(frozen=True)
class Informed(RevisingRule):
    """Masked diffusion, each step followed by a corrector that redraws the least confident revealed sites.

    The confidence of a revealed token is ln p_i(x_i) in its leave-one-out law, less the largest ln p_i(a) of the other
    tokens where `score` is margin. With Gumbel noise tau the k sites are Plackett-Luce with weights
    exp(-confidence/tau). All k are redrawn at once, each from its own leave-one-out law.
    """

    name: ClassVar[str] = "informed"
    summary: ClassVar[str] = (
        "masked diffusion whose every step is followed by redrawing the k least confident revealed sites at once"
    )
    source: ClassVar[str] = (
        "Zhao et al. 2024 (arXiv:2407.21243): abstract, and the corrector step in a third party's code; "
        "the authors' code was not at hand"
    )

    k: int = parameter(1, "sites redrawn after each step", minimum=1)
    tau: float = parameter(0.0, "Gumbel noise in the ranking of the confidences", minimum=0.0)
    score: str = parameter("margin", "what the confidence is", choices=("margin", "probability"))

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    @property
    def needs(self) -> Needs:
        return "leave-one-out"

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        hidden = state.tokens == setting.symbols
        laws = self.token_laws(model.predict(state.tokens))
        rows, opens = choose.coins(np.where(hidden, 1 / (setting.calls - number), 0.0))
        again, drawn = choose.tokens(laws[rows], opens)
        rows, opens = rows[again], opens[again]
        tokens = np.where(opens, drawn, state.tokens[rows])
        calls = hidden.any(axis=1)[rows].astype(float)

        shown = tokens < setting.symbols
        laws = site_laws(model, tokens)
        rows, chosen = self._doubtful(laws, tokens, shown, choose)
        again, drawn = choose.tokens(self.token_laws(laws)[rows], chosen)
        rows, chosen = rows[again], chosen[again]
        return State(np.where(chosen, drawn, tokens[rows])), calls[rows] + np.asarray(shown.any(axis=1))[rows]

    def _doubtful(
        self, laws: Array, tokens: Integers, shown: NDArray[np.bool_], choose: Choices
    ) -> tuple[Integers, NDArray[np.bool_]]:
        current = np.where(shown, tokens, 0)
        confidence = log_of(of_tokens(laws, current))
        if self.score == "margin":
            others = laws.copy()
            np.put_along_axis(others, current[:, :, None], 0.0, axis=2)
            confidence -= log_of(others.max(axis=2))
        keys = np.where(shown, -confidence, -np.inf)
        counts = np.minimum(self.k, shown.sum(axis=1))
        return choose.subset(keys / self.tau, counts) if self.tau > 0 else choose.top(keys, counts, self.ties)


@dataclass(frozen=True)
class MaskPredict(RevisingRule):
    """Everything is predicted at once; then the least confident tokens are masked and predicted again.

    Step t = 1, ..., T - 1 masks the floor(N (T - t)/T) tokens of lowest confidence. The confidence of a token is the
    probability that it had when it was predicted, kept until it is predicted again. The paper predicts by argmax
    (temperature=0).
    """

    name: ClassVar[str] = "mask-predict"
    summary: ClassVar[str] = (
        "predict everything, then mask and predict again the tokens that were least likely when predicted"
    )
    source: ClassVar[str] = "Ghazvininejad et al. 2019 (arXiv:1904.09324)"

    @property
    def looks_at(self) -> LooksAt:
        return "drawn"

    def memory(self, setting: Setting, rows: int) -> Mapping[str, NDArray]:
        return {"confidence": np.zeros((rows, setting.sites))}

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        confidence = state.memory["confidence"]
        count = setting.sites if number == 0 else setting.sites * (setting.calls - number) // setting.calls
        rows, masked = choose.top(-confidence, np.full(len(confidence), count), self.ties)
        tokens = np.where(masked, setting.symbols, state.tokens[rows])
        laws = model.predict(tokens)
        again, drawn = choose.tokens(self.token_laws(laws), masked)
        rows, masked = rows[again], masked[again]
        trust = np.where(masked, of_tokens(laws[again], drawn), confidence[rows])
        return State(np.where(masked, drawn, tokens[again]), {"confidence": trust}), masked.any(axis=1).astype(float)


@dataclass(frozen=True)
class Edit(Rule):
    """Threshold decoding that also overwrites revealed tokens.

    A token is drawn at every site (temperature=0: the argmax). Hidden sites whose draw has probability above theta
    open, the likeliest one if there is none; a revealed token is overwritten where the draw differs and its probability
    exceeds theta_e. Ends with the first pass without a mask that overwrites nothing, or after `edits` such passes.
    """

    name: ClassVar[str] = "edit"
    summary: ClassVar[str] = (
        "threshold decoding that overwrites revealed tokens where another one is likelier than theta_e"
    )
    source: ClassVar[str] = (
        "LLaDA2.1 (arXiv:2602.08676); its generate as rewritten in ZHZisZZ/dllm, pipelines/llada21/sampler.py"
    )
    remasks: ClassVar[bool] = True
    reads_calls: ClassVar[bool] = False

    theta: float = parameter(0.95, "a hidden site opens above this probability", minimum=0.0, maximum=1.0)
    theta_e: float = parameter(0.9, "a token is overwritten above this probability", minimum=0.0, maximum=1.0)
    edits: int = parameter(16, "most passes after the last mask is gone", minimum=0)

    @property
    def looks_at(self) -> LooksAt:
        return "drawn"

    @property
    def needs(self) -> Needs:
        return "leave-one-out"

    def horizon(self, setting: Setting) -> int:
        # A pass over a sequence with masks opens at least one.
        return setting.sites + self.edits

    def memory(self, setting: Setting, rows: int) -> Mapping[str, NDArray]:
        return {"passes": np.zeros(rows, dtype=np.int64)}

    def finished(self, setting: Setting, state: State) -> NDArray[np.bool_]:
        complete = (state.tokens != setting.symbols).all(axis=1)
        return np.asarray(complete & (state.memory["passes"] >= self.edits)) if state.memory else complete & False

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        laws = site_laws(model, state.tokens)
        rows, drawn = choose.tokens(self._offered(setting, state.tokens, laws), np.ones(state.tokens.shape, dtype=bool))
        tokens = state.tokens[rows]
        hidden, trust = tokens == setting.symbols, of_tokens(laws[rows], drawn)
        sure = hidden & (trust > self.theta)
        needed = np.where(sure.any(axis=1), 0, hidden.any(axis=1)).astype(np.int64)
        again, best = choose.top(np.where(hidden, trust, -np.inf), needed, self.ties)
        rows, drawn, tokens, hidden, trust = rows[again], drawn[again], tokens[again], hidden[again], trust[again]
        edited = ~hidden & (trust > self.theta_e) & (drawn != tokens)
        complete = ~hidden.any(axis=1)
        passes = state.memory["passes"][rows] + complete
        passes[complete & ~edited.any(axis=1)] = self.edits
        after = np.where(sure[again] | best | edited, drawn, tokens)
        return State(after, {"passes": passes}), 1.0 + ~hidden.all(axis=1)

    def _offered(self, setting: Setting, tokens: Integers, laws: Array) -> Array:
        """What is drawn from, [R, N, q]; at a revealed site draws that overwrite nothing count as the token itself."""
        offered = self.token_laws(laws)
        own = tokens[:, :, None] == np.arange(setting.symbols)
        edits = np.where(own | (laws <= self.theta_e), 0.0, offered)
        kept = own * (1 - edits.sum(axis=2, keepdims=True))
        return np.where((tokens == setting.symbols)[:, :, None], offered, edits + np.maximum(kept, 0.0))
