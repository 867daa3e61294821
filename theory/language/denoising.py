r"""What a perfectly trained refinement decoder predicts, and the chain that its steps make.

*Noise.* In training each position i of a target y is noised with probability r, independently given r, which is fixed
or drawn from U(0, 1) for the whole sentence. A noised token stays with probability a, becomes one of V tokens at
random with probability b, and becomes MASK else:

    P(u_i | y_i, r) = 1 - r + r a + r b / V   if u_i = y_i,
                      r b / V                 if u_i is another token,
                      r (1 - a - b)           if u_i = MASK.

*Denoiser.* A network that is trained by cross-entropy at every position predicts, at the optimum, the posterior

    f_i(v | u) = P(y_i = v | u),      P(y | u) proportional to p(y) E_r prod_j P(u_j | y_j, r).

Trained at noised positions only, it predicts P(y_i = v | u, i was noised) instead, which trusts the token at i less.
Either way it sees its own token at i, other than the leave-one-out conditionals of
`theory.samplers.independent_parallel`; from all masks both predict the marginals of p. Inputs that no y can have become
have no posterior; with b > 0 every input has one, also a mixture of modes, which it resolves towards the mode that most
positions belong to.

*Chain.* One step of refinement draws every position anew, u_i' ~ f_i(. | u), independently: a product kernel on the
tokens that are possible at each position. The law after t steps from all masks is exact where the states can be
listed.

Legend: ``l`` positions, ``K`` sequences of positive probability, ``q`` tokens (0..q-1 and MASK = -1), ``B`` inputs,
``S`` states.
Source: Li et al. 2024 (arXiv:2407.21046), sections 3 and 4; Vincent et al. 2008 for denoising.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from theory.errors import InvalidInput
from theory.memory import require_memory

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

MASK = -1
"""A position that tells nothing."""


@dataclass(frozen=True)
class Noise:
    """The noise of training.

    Attributes:
        ratio: r; None for r ~ U(0, 1).
        keep: a.
        replace: b.
        tokens: V, how many tokens a random one is drawn from; the true one is among them.
    """

    ratio: float | None = None
    keep: float = 0.1
    replace: float = 0.1
    tokens: int = 1

    def __post_init__(self) -> None:
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise InvalidInput("ratio", self.ratio, "a number in (0, 1], or None for a uniform one, is needed")
        for name in ("keep", "replace"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(name, getattr(self, name), "a probability is needed")
        if self.keep + self.replace > 1:
            raise InvalidInput("replace", self.replace, f"at most 1 - keep = {1 - self.keep:g}")
        if self.tokens < 1:
            raise InvalidInput("tokens", self.tokens, "at least 1 is needed")

    def likelihoods(self, length: int, noised: int = 0) -> Array:
        """E_r r^noised prod_j P(u_j | y_j, r) by the numbers of equal and of different ones of l positions, the rest
        masked: [l + 1, l + 1].

        The integrand is a polynomial in r of degree l + noised, so that Gauss-Legendre quadrature is exact.
        """
        if self.ratio is None:
            nodes, weights = np.polynomial.legendre.leggauss((length + noised) // 2 + 1)
            r, weights = (nodes + 1) / 2, weights / 2
        else:
            r, weights = np.array([self.ratio]), np.ones(1)
        different = r * self.replace / self.tokens
        equal = 1 - r + r * self.keep + different
        masked = r * (1 - self.keep - self.replace)
        weights = weights * r**noised
        table = np.zeros((length + 1, length + 1))
        for same in range(length + 1):
            for other in range(length + 1 - same):
                table[same, other] = weights @ (equal**same * different**other * masked ** (length - same - other))
        return table


class Denoiser:
    """Posterior of every position given a noised sequence.

    Args:
        sequences: the support of p, tokens 0..q-1, [K, l].
        probabilities: p, [K], summing to 1.
        noise: of training.
        weighting: positions that were trained: "all", or those that "noise" chose.

    Raises:
        InvalidInput: shapes that do not belong together, negative tokens, or probabilities that are none.
    """

    def __init__(
        self, sequences: Tokens, probabilities: Array, noise: Noise, weighting: Literal["all", "noise"] = "all"
    ) -> None:
        self.sequences = np.asarray(sequences, dtype=np.int64)
        self.probabilities = np.asarray(probabilities, dtype=np.float64)
        if self.sequences.ndim != 2 or self.sequences.size == 0 or self.sequences.min() < 0:
            raise InvalidInput("sequences", self.sequences, "tokens >= 0 of shape [K, l] are needed")
        valid = self.probabilities.shape == self.sequences.shape[:1] and (self.probabilities >= 0).all()
        if not valid or abs(self.probabilities.sum() - 1) > 1e-9:
            raise InvalidInput("probabilities", self.probabilities, "numbers >= 0 that sum to 1, one for each sequence")
        if weighting not in ("all", "noise"):
            raise InvalidInput("weighting", weighting, "all or noise")
        self.noise = noise
        self.weighting = weighting
        self.length = self.sequences.shape[1]
        self.symbols = int(self.sequences.max()) + 1
        self._indicators = (self.sequences[..., None] == np.arange(self.symbols)).astype(np.float64)

    def posteriors(self, inputs: Tokens) -> Array:
        """P(y | u) as each position judges it, [B, K, l], for inputs u [B, l] of tokens and MASK.

        Raises:
            InvalidInput: an input that no sequence can have become.
        """
        inputs = np.asarray(inputs, dtype=np.int64)
        if inputs.ndim != 2 or inputs.shape[1] != self.length:
            raise InvalidInput("inputs", inputs.shape, f"shape [B, {self.length}] is needed")
        require_memory(40.0 * inputs.size * len(self.sequences), "inputs", f"{len(inputs)} inputs", "their posteriors")
        visible = np.broadcast_to((inputs != MASK)[:, None], (len(inputs), *self.sequences.shape))
        equal = (inputs[:, None] == self.sequences) & visible
        same, seen = equal.sum(axis=2), visible.sum(axis=2)
        if self.weighting == "all":
            weights = np.broadcast_to(self.noise.likelihoods(self.length)[same, seen - same][..., None], equal.shape)
        else:
            others = self.noise.likelihoods(self.length - 1, noised=1)
            same_elsewhere = same[..., None] - equal
            here = np.where(visible, self.noise.replace / self.noise.tokens, 1 - self.noise.keep - self.noise.replace)
            here = here + self.noise.keep * equal
            weights = here * others[same_elsewhere, seen[..., None] - visible - same_elsewhere]
        weights = weights * self.probabilities[:, None]
        total = weights.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise InvalidInput(
                "inputs", inputs[np.argmin(total.min(axis=2)[:, 0])], "has probability 0 under this noise"
            )
        return weights / total

    def factors(self, inputs: Tokens) -> Array:
        """f_i(v | u), [B, l, q]."""
        return np.einsum("bki,kiv->biv", self.posteriors(inputs), self._indicators)


class RefinementChain:
    """The exact chain of refinement steps that draw every position from the denoiser's factors.

    Args:
        denoiser: of the sequences.

    Attributes:
        choices: the tokens that are possible at each position.
        states: every combination of them, [S, l].

    Raises:
        ExceedsMemory: the matrix [S, S] does not fit.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self.choices = [np.unique(column) for column in denoiser.sequences.T]
        count = int(np.prod([len(choice) for choice in self.choices], dtype=np.float64))
        require_memory(16.0 * count**2, "states", count, "the matrix of the chain")
        self.states: Tokens = np.stack(np.meshgrid(*self.choices, indexing="ij"), axis=-1).reshape(count, -1)

    def rows(self, inputs: Tokens) -> Array:
        """Law of the next state after each input, [B, S]; inputs may hold masks and any other token."""
        factors = self.denoiser.factors(inputs)
        result = np.ones((len(factors), 1))
        for position, choice in enumerate(self.choices):
            result = (result[:, :, None] * factors[:, position][:, None, choice]).reshape(len(factors), -1)
        return result

    def laws(self, steps: int) -> Array:
        """Law after 1..steps steps from all masks, [steps, S].

        Raises:
            InvalidInput: no step.
        """
        if steps < 1:
            raise InvalidInput("steps", steps, "at least 1 is needed")
        law = self.rows(np.full((1, self.denoiser.length), MASK))[0]
        found = [law]
        if steps > 1:
            matrix = self.rows(self.states)
            for _ in range(steps - 1):
                found.append(found[-1] @ matrix)
        return np.array(found)
