"""Decoders that follow the score of a noised law: mask or uniform noise (SEDD), and a planner (DDPD).

Noise of survival alpha keeps each token with probability alpha and replaces it otherwise, by the mask or by a uniform
token. The *score* of a sequence x at time t is s_i(z) = p_t(x with z at site i)/p_t(x), p_t the law p after noise of
survival alpha(t) = 1 - t. A step from t to s = t - 1/T treats the sites independently, with sigma = -ln alpha:

    tweedie      site i becomes z with probability P(x_i at time s = z | x at time t), which is in proportion to
                 (e^{-(sigma_t - sigma_s) Q} s_i)(z) (e^{(sigma_t - sigma_s) Q})(x_i, z)
    euler        rates r_i(z) = sigma'(t) s_i(z) Q(z, x_i) held for 1/T: z with probability r_i(z)/T, else no change;
                 a negative rest counts as 0 and the others are scaled to 1
    tau-leaping  the number of jumps to z is Poisson with mean r_i(z)/T; a site takes its jump if it is the only one

Under mask noise scores are p_i(z) alpha/(1 - alpha) at hidden sites, so any network will do; tweedie and euler are then
masked diffusion itself. Under uniform noise they are those of a known law (a network would have to be trained on
noise). At t = 1 uniform noise leaves nothing: rates are infinite, and the formulas are taken in the limit.

Legend: ``R`` rows, ``N`` sites, ``q`` symbols, ``S = q**N`` sequences, ``T`` steps.
"""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Choices
from theory.decoding.remasking import FlipRule
from theory.decoding.rule import LooksAt, Needs, Predictor, Rule, Setting, State
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory
from theory.parameters import parameter
from theory.states import state_index

Array = NDArray[np.float64]


def known_law(rule: Rule, model: Predictor) -> JointLaw:
    """The law p of the whole sequence that the scores come from.

    Raises:
        InvalidInput: the model has none.
    """
    law = getattr(model, "law", None)
    if isinstance(law, JointLaw):
        return law
    raise lacks_noise(rule)


def lacks_noise(rule: Rule) -> InvalidInput:
    """What to say of a rule that ``needs`` noise where there is no known table."""
    return InvalidInput("decoder", rule.name, "needs scores under noise, which only the table of a known law has")


@dataclass(frozen=True)
class ScoreRule(FlipRule):
    """Follows the score from pure noise to none in T equal steps. Uniform noise needs a known law."""

    noise: str = parameter("mask", "what a lost token is replaced by", choices=("mask", "uniform"))

    @property
    def chooses_first(self) -> bool:
        # Under mask noise sites open and stay as they are.
        return self.noise == "mask"

    @property
    def needs(self) -> Needs:
        return "" if self.noise == "mask" else "noise"

    def opened(self, setting: Setting, number: int) -> float:
        """Mask noise: the probability that a hidden site opens in this step, (alpha_s - alpha_t)/(1 - alpha_t)."""
        return 1 / (setting.calls - number)

    @abstractmethod
    def site_laws(self, law: JointLaw, now: float, then: float) -> Array:
        """Uniform noise: the law of each site after a step from survival ``now`` to ``then``, [S, N, q]."""

    def leaves_masks(self, setting: Setting) -> bool:
        return self.noise == "mask" and self.opened(setting, setting.calls - 1) < 1

    def rates(self, setting: Setting, number: int, state: State) -> tuple[Array | float, Array | float]:
        return self.opened(setting, number), 0.0

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        if self.noise == "mask":
            return super().step(setting, number, state, model, choose)
        law = known_law(self, model)
        tokens = start_from_noise(setting, number, state, choose)
        laws = self.site_laws(law, number / setting.calls, (number + 1) / setting.calls)
        laws = laws.reshape(-1, setting.sites, setting.symbols)[state_index(tokens, setting.symbols)]
        _, drawn = choose.tokens(self.token_laws(laws), np.ones(tokens.shape, dtype=bool))
        return State(drawn), np.ones(len(drawn))


def start_from_noise(setting: Setting, number: int, state: State, choose: Choices) -> NDArray[np.int64]:
    """The tokens with which a step begins: uniform ones before the first step."""
    if number > 0:
        return state.tokens
    uniform = np.full((*state.tokens.shape, setting.symbols), 1 / setting.symbols)
    return choose.tokens(uniform, np.ones(state.tokens.shape, dtype=bool))[1]


@dataclass(frozen=True)
class Tweedie(ScoreRule):
    """Each site from its own posterior given the noisy sequence, as if the sites were independent."""

    name: ClassVar[str] = "tweedie"
    summary: ClassVar[str] = (
        "score decoding: each site from its posterior given the noisy sequence, the sites independently"
    )
    source: ClassVar[str] = (
        "Lou, Meng and Ermon 2024 (arXiv:2310.16834), theorem 4.2; sampling.py (analytic) of "
        "louaaron/Score-Entropy-Discrete-Diffusion"
    )

    def site_laws(self, law: JointLaw, now: float, then: float) -> Array:
        kept, symbols = now / then, law.symbols
        kernel = kept * np.eye(symbols) + (1 - kept) / symbols
        cleaner = noised(law, then)

        def posterior(site: int) -> Array:
            # P(x_i at s = z, x at t), z last: noise on every other site, and the step from z to x_i on this one.
            joint = cleaner
            for other in range(law.sites):
                if other != site:
                    joint = spread(joint, kernel, other)
            return np.expand_dims(np.moveaxis(joint, site, -1), site) * np.moveaxis(
                kernel.T.reshape((symbols,) + (1,) * (law.sites - 1) + (symbols,)), 0, site
            )

        return normalised(by_site(law, posterior))


@dataclass(frozen=True)
class Euler(ScoreRule):
    """The rates of the reverse process held for a step, its probabilities to first order."""

    name: ClassVar[str] = "euler"
    summary: ClassVar[str] = (
        "score decoding: the rates of the reverse process held for a step, probabilities to first order"
    )
    source: ClassVar[str] = (
        "Lou, Meng and Ermon 2024 (arXiv:2310.16834); sampling.py (euler) of louaaron/Score-Entropy-Discrete-Diffusion"
    )

    def site_laws(self, law: JointLaw, now: float, then: float) -> Array:
        # Times alpha(t) to stay finite at t = 1: r/T = (then - now)/now s/q.
        jumps = (then - now) * np.where(staying(law), 0.0, scores(law, now)) / law.symbols
        stays = np.maximum(now - jumps.sum(axis=-1), 0.0)
        return normalised(jumps + stays[..., None] * staying(law))


@dataclass(frozen=True)
class TauLeaping(ScoreRule):
    """The rates of the reverse process held for a step, with Poisson numbers of jumps.

    Tokens have no order, so that a site which jumps more than once stays as it is: the option `reject_multiple_jumps`
    of the released code, which computes that and then does not use it. Where tokens are numbers, as in images, the
    code adds all jumps and clips. It ends with the argmax of the denoiser, as `tail` does under mask noise.
    """

    name: ClassVar[str] = "tau-leaping"
    summary: ClassVar[str] = (
        "score decoding: rates held for a step, Poisson numbers of jumps; several at one site cancel"
    )
    source: ClassVar[str] = (
        "Campbell et al. 2022 (arXiv:2205.14987), section 4.3; read in lib/sampling/sampling.py of andrew-cr/tauLDR; "
        "rates as in arXiv:2310.16834"
    )

    @property
    def chooses_first(self) -> bool:
        # Leftovers are likely here, and given tokens are never the argmax of all of them.
        return super().chooses_first and self.tail == "drawn"

    def opened(self, setting: Setting, number: int) -> float:
        mean = super().opened(setting, number)
        return mean * math.exp(-mean)

    def site_laws(self, law: JointLaw, now: float, then: float) -> Array:
        if now == 0:
            # Infinitely many jumps: surely several.
            return staying(law).astype(float)
        means = (then - now) / now * np.where(staying(law), 0.0, scores(law, now)) / law.symbols
        jumps = means * np.exp(-means.sum(axis=-1, keepdims=True))
        return np.asarray(jumps + (1 - jumps.sum(axis=-1))[..., None] * staying(law))


@dataclass(frozen=True)
class Planner(Rule):
    """Discrete diffusion with planned denoising: a planner says which sites are noise, a denoiser redraws one of them.

    From uniform noise, T times: a site by the softmax of the log odds that it is noise; each other site is masked with
    its own probability of being noise; the site is drawn from p(x_i | the sites left). One pass more masks every site
    with its probability of being noise and draws all masked ones at once. The planner is exact: the posterior of the
    noisy sites of x under uniform noise of a survival that is uniform on (0, 1),
        P(M | x) in proportion to m! (N - m)! q^-m p(x outside M), m = |M|.
    Each pass takes a call of the planner and one of the denoiser.
    """

    name: ClassVar[str] = "ddpd"
    summary: ClassVar[str] = (
        "planned denoising from uniform noise: the planner picks a noisy site, the denoiser redraws it"
    )
    source: ClassVar[str] = "Liu et al. 2024 (arXiv:2410.06264); owt/sampling.py and sample_text8.py of liusulin/DDPD"
    remasks: ClassVar[bool] = True

    @property
    def looks_at(self) -> LooksAt:
        return "revealed"

    @property
    def needs(self) -> Needs:
        return "noise"

    def horizon(self, setting: Setting) -> int:
        return setting.calls + 1

    def step(
        self, setting: Setting, number: int, state: State, model: Predictor, choose: Choices
    ) -> tuple[State, Array]:
        law = known_law(self, model)
        tokens = start_from_noise(setting, number, state, choose)
        noisy = noise_posterior(law).reshape(-1, setting.sites)[state_index(tokens, setting.symbols)]
        last = number == setting.calls
        site = np.zeros(len(tokens), dtype=np.int64)
        if not last:
            again, site = choose.index(odds(noisy))
            tokens, noisy = tokens[again], noisy[again]
            noisy[np.arange(len(site)), site] = 1.0
        again, masked = choose.coins(noisy)
        tokens, site = tokens[again], site[again]
        laws = self.token_laws(model.predict(np.where(masked, setting.symbols, tokens)))
        redrawn = masked if last else np.arange(setting.sites) == site[:, None]
        again, drawn = choose.tokens(laws, redrawn)
        return State(np.where(redrawn[again], drawn, tokens[again])), np.full(len(drawn), 2.0)


def odds(chance: Array) -> Array:
    """chance/(1 - chance) along the last axis; where some are certain, only those, equally."""
    certain = chance > 1 - 1e-15
    finite = np.where(certain, 0.0, chance) / np.where(certain, 1.0, 1 - chance)
    return np.where(certain.any(axis=-1, keepdims=True), certain.astype(float), finite)


def noise_posterior(law: JointLaw) -> Array:
    """P(site i is noise | x) at every full sequence, uniform noise of uniform survival, shape [q]*N + [N].

    Raises:
        ExceedsMemory: 2^N subsets of sites and q^N sequences do not fit.
    """
    sites, symbols = law.sites, law.symbols
    require_memory(8.0 * (sites + 3) * symbols**sites, "sites", sites, "the planner's table")
    noisy, total = np.zeros((*law.table.shape, sites)), np.zeros(law.table.shape)
    for size in range(sites + 1):
        weight = math.factorial(size) * math.factorial(sites - size) / symbols**size
        for lost in itertools.combinations(range(sites), size):
            kept = weight * law.table.sum(axis=lost, keepdims=True)
            total += kept
            for site in lost:
                noisy[..., site] += kept
    return np.asarray(noisy / total[..., None])


def spread(table: Array, kernel: Array, axis: int) -> Array:
    """A table after a kernel [q, q] on one axis."""
    return np.moveaxis(np.tensordot(table, kernel, axes=(axis, 0)), -1, axis)


def noised(law: JointLaw, survival: float) -> Array:
    """The law after uniform noise, [q]*N."""
    kernel = survival * np.eye(law.symbols) + (1 - survival) / law.symbols
    table = law.table
    for site in range(law.sites):
        table = spread(table, kernel, site)
    return table


def by_site(law: JointLaw, of_site: Callable[[int], Array]) -> Array:
    """What a function of the site gives at every full sequence and new token, [q]*N + [q], as [q]*N + [N, q].

    Raises:
        ExceedsMemory: it does not fit.
    """
    size = law.table.size * law.sites * law.symbols
    require_memory(24.0 * size, "sites", law.sites, "the site laws of all sequences")
    return np.stack([of_site(site) for site in range(law.sites)], axis=-2)


def scores(law: JointLaw, survival: float) -> Array:
    """s_i(z) = p_t(x with z at i)/p_t(x), [q]*N + [N, q]; x has positive probability at every survival below 1."""
    table = noised(law, survival)
    return by_site(law, lambda site: np.expand_dims(np.moveaxis(table, site, -1), site) / table[..., None])


def staying(law: JointLaw) -> NDArray[np.bool_]:
    """Whether z = x_i, [q]*N + [N, q]."""
    sequences = np.moveaxis(np.indices(law.table.shape), 0, -1)
    return np.asarray(sequences[..., None] == np.arange(law.symbols))


def normalised(weights: Array) -> Array:
    """Weights scaled to sum 1 along the last axis."""
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
