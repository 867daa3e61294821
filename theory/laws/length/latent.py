"""Laws with something hidden behind the tokens: hidden Markov models, mixtures, urns.

Hidden Markov: p(x) in proportion to sum_z a(z_0) prod B_i(z_i, x_i) prod A(z_{i-1}, z_i) e(z_{N-1}), with weights e of
the last state (all 1 by default). Mixture: p = sum_k w_k p_k over any laws at length, so that a hidden topic is a
mixture of Markov chains. Urn (Pólya; Dirichlet-multinomial): exchangeable,
p(x_i = a | x_A) = (alpha_a + number of a in x_A) / (sum alpha + |A|).

No schedule makes these exact in few calls: the latent is never revealed.

Legend: ``N`` sites, ``q`` symbols, ``H`` hidden states, ``B`` rows, ``K`` components.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from theory.errors import InvalidInput
from theory.laws.length.law import Array, SequenceLaw, Tokens, draw, require_length
from theory.laws.products import stochastic


class HiddenMarkovLaw(SequenceLaw):
    """The first N emissions of a hidden Markov model.

    Args:
        initial: a, [H].
        transition: A, [H, H].
        emission: B, [H, q], or [N, H, q] where it depends on the site.
        sites: N.
        ending: e >= 0, [H]; None for all 1.
        name: shown in results.

    Raises:
        InvalidInput: shapes that do not go together, rows that are no laws, or an ending that cannot be reached.
    """

    def __init__(
        self,
        initial: ArrayLike,
        transition: ArrayLike,
        emission: ArrayLike,
        sites: int,
        ending: ArrayLike | None = None,
        name: str = "",
    ) -> None:
        require_length(sites, np.shape(emission)[-1] if np.ndim(emission) else 1)
        self.initial = stochastic(initial, "initial", 1)
        self.transition = stochastic(transition, "transition", 2)
        hidden = len(self.initial)
        if self.transition.shape != (hidden, hidden):
            raise InvalidInput("transition", f"shape {self.transition.shape}", f"shape ({hidden}, {hidden}) is needed")
        emits = stochastic(emission, "emission", np.ndim(emission))
        if emits.ndim == 2:
            emits = np.broadcast_to(emits, (sites, *emits.shape))
        if emits.shape[:2] != (sites, hidden):
            raise InvalidInput("emission", f"shape {emits.shape}", f"shape ({sites}, {hidden}, q) is needed")
        self.emission: Array = np.ascontiguousarray(emits)
        self.ending: Array = np.ones(hidden) if ending is None else np.asarray(ending, dtype=np.float64)
        if self.ending.shape != (hidden,) or not (self.ending >= 0).all():
            raise InvalidInput("ending", self.ending.tolist(), f"{hidden} weights >= 0 are needed")
        self.sites, self.symbols = int(sites), self.emission.shape[2]
        self.name = name or f"hidden Markov model, {hidden} states, {self.symbols} symbols"
        self.order = np.arange(self.sites)
        # h[i, z]: weight of the endings that can follow state z at site i, for drawing states.
        self._onward = np.empty((self.sites, hidden))
        self._onward[-1] = self.ending
        for i in range(self.sites - 2, -1, -1):
            self._onward[i] = self.transition @ self._onward[i + 1]
            self._onward[i] /= self._onward[i].max() or 1.0
        if not (self.initial * self._onward[0]).any():
            raise InvalidInput("ending", self.ending.tolist(), f"no path of {sites} states ends there")

    def sweep(self, before: Tokens, after: Tokens) -> Array:
        from theory.laws.length.latent_kernels import hidden_markov

        before, after = self.check(before), self.check(after)
        laws = np.empty((*before.shape, self.symbols))
        hidden_markov(before, after, self.initial, self.transition, self.emission, self.ending, laws)
        return laws

    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        tokens = np.empty((count, self.sites), dtype=np.int64)
        weights = np.broadcast_to(self.initial, (count, len(self.initial)))
        for i in range(self.sites):
            states = draw(weights * self._onward[i], generator)
            tokens[:, i] = draw(self.emission[i, states], generator)
            weights = self.transition[states]
        return tokens


class MixtureLaw(SequenceLaw):
    """p = sum_k w_k p_k.

    Args:
        weights: w, [K].
        components: K laws over the same sites and symbols whose sweeps visit the sites in the same order.
        name: shown in results.

    Raises:
        InvalidInput: components that do not go together.
    """

    def __init__(self, weights: ArrayLike, components: Sequence[SequenceLaw], name: str = "") -> None:
        self.weights = stochastic(weights, "weights", 1)
        self.components = tuple(components)
        if len(self.components) != len(self.weights):
            raise InvalidInput("weights", f"{len(self.weights)} weights", f"{len(self.components)} are needed")
        first = self.components[0]
        for law in self.components:
            if (law.sites, law.symbols) != (first.sites, first.symbols) or not np.array_equal(law.order, first.order):
                raise InvalidInput("components", law.name, "the same sites, symbols and order of the sweep are needed")
        self.sites, self.symbols, self.order = first.sites, first.symbols, first.order
        self.name = name or f"mixture of {len(self.components)}"

    def sweep(self, before: Tokens, after: Tokens) -> Array:
        before, after = self.check(before), self.check(after)
        added = (before == self.symbols) & (after < self.symbols)
        index = np.where(added, after, 0)[..., None]
        laws, logs = [], []
        with np.errstate(divide="ignore"):
            for weight, law in zip(self.weights, self.components, strict=True):
                swept = law.sweep(before, after)
                gained = np.where(added, np.log(np.take_along_axis(swept, index, axis=2)[..., 0]), 0.0)[:, self.order]
                earlier = np.cumsum(gained, axis=1) - gained
                known = (np.log(weight) + law.log_probability(before))[:, None] + earlier
                ordered = np.empty_like(known)
                ordered[:, self.order] = known
                laws.append(swept)
                logs.append(ordered)
        posterior = _normalised_exponential(np.stack(logs))
        return np.asarray(np.einsum("kbn,kbna->bna", posterior, np.stack(laws)))

    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        numbers = generator.multinomial(count, self.weights)
        drawn = np.concatenate([law.sample(int(n), generator) for n, law in zip(numbers, self.components, strict=True)])
        return np.asarray(drawn[generator.permutation(count)])


class UrnLaw(SequenceLaw):
    """The first N draws of Pólya's urn: after each draw one more ball of that colour.

    Args:
        balls: alpha > 0, [q].
        sites: N.
        name: shown in results.

    Raises:
        InvalidInput: fewer than two colours, or a number of balls that is not positive and finite.
    """

    def __init__(self, balls: ArrayLike, sites: int, name: str = "") -> None:
        self.balls = np.asarray(balls, dtype=np.float64)
        if self.balls.ndim != 1 or len(self.balls) < 2 or not ((self.balls > 0) & (self.balls < np.inf)).all():
            raise InvalidInput("balls", self.balls.tolist(), "at least two positive numbers are needed")
        require_length(sites, len(self.balls))
        self.sites, self.symbols = int(sites), len(self.balls)
        self.name = name or f"Pólya urn of {self.symbols} colours"
        self.order = np.arange(self.sites)
        self.entropy = float(self.information_curve()[-1])

    def information_curve(self) -> Array:
        """H of any n sites for n = 0..N, in nats, [N + 1]; each colour's number is beta-binomial."""
        total = float(self.balls.sum())
        curve = np.zeros(self.sites + 1)
        for n in range(1, self.sites + 1):
            counts = np.arange(n + 1)
            value = gammaln(total + n) - gammaln(total)
            for ball in self.balls:
                masses = np.exp(
                    gammaln(n + 1) - gammaln(counts + 1) - gammaln(n - counts + 1)
                    + gammaln(ball + counts) + gammaln(total - ball + n - counts) - gammaln(total + n)
                    + gammaln(total) - gammaln(ball) - gammaln(total - ball)
                )  # fmt: skip
                value -= masses @ (gammaln(ball + counts) - gammaln(ball))
            curve[n] = value
        return curve

    def sweep(self, before: Tokens, after: Tokens) -> Array:
        before, after = self.check(before), self.check(after)
        known = np.eye(self.symbols + 1)[before][..., : self.symbols]
        added = np.where((before == self.symbols)[..., None], np.eye(self.symbols + 1)[after][..., :-1], 0.0)
        weights = self.balls + known.sum(axis=1, keepdims=True) + np.cumsum(added, axis=1) - added
        hidden = (before == self.symbols)[..., None]
        return np.asarray(np.where(hidden, weights / weights.sum(axis=2, keepdims=True), known))

    def sample(self, count: int, generator: np.random.Generator) -> Tokens:
        chances = generator.dirichlet(self.balls, size=count)
        return draw(np.broadcast_to(chances[:, None], (count, self.sites, self.symbols)), generator)


def _normalised_exponential(logs: Array) -> Array:
    """exp(logs) scaled to sum 1 along the first axis; where all are -inf, equal weights."""
    top = logs.max(axis=0)
    weights = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
    total = weights.sum(axis=0)
    return np.asarray(np.where(total > 0, weights / np.where(total > 0, total, 1.0), 1.0 / len(logs)))
