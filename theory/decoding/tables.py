"""Predictors: a table of conditionals or a plain function behind the one face that decoding sees.

Legend: ``B`` rows, ``N`` sites, ``q`` symbols (MASK is q).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import ConditionalModel, TableConditionals
from theory.decoding.entropies import SubsetEntropies
from theory.decoding.optimal import Frontier, SizeFrontier, optimal_schedules, optimal_sizes
from theory.decoding.rule import Predictor, Truth
from theory.decoding.schedules import Schedule
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]


EXACT = 1e-12
"""Nats below which a schedule of a table is exact: rounding leaves as much."""


class ConditionalTables:
    """The token laws of a conditional model at all (q + 1)^N partial sequences, each mask computed when first needed.

    Args:
        model: table or network.

    Raises:
        ExceedsMemory: the table does not fit.
    """

    def __init__(self, model: ConditionalModel) -> None:
        self.model, self.sites, self.symbols = model, model.sites, model.symbols
        states = float(self.symbols + 1) ** self.sites
        require_memory(
            8 * states * self.sites * self.symbols,
            "sites",
            self.sites,
            f"the token laws of {self.symbols + 1}^{self.sites} partial sequences",
        )
        self._laws = np.zeros((int(states), self.sites, self.symbols))
        self._strides = (self.symbols + 1) ** np.arange(self.sites - 1, -1, -1)
        self._known = np.zeros(2**self.sites, dtype=bool)

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens) at hidden sites, one-hot at revealed sites; [B, N] -> [B, N, q]."""
        masks = (tokens == self.symbols) @ (1 << np.arange(self.sites))
        for mask in np.unique(masks[~self._known[masks]]):
            self._fill(int(mask))
        return np.asarray(self._laws[tokens @ self._strides])

    def _fill(self, mask: int) -> None:
        hidden = [site for site in range(self.sites) if mask >> site & 1]
        kept = [site for site in range(self.sites) if not mask >> site & 1]
        contexts = self.symbols ** len(kept)
        tokens = np.full((contexts, self.sites), self.symbols)
        if kept:
            tokens[:, kept] = np.stack(np.unravel_index(np.arange(contexts), (self.symbols,) * len(kept)), axis=1)
        index = tokens @ self._strides
        if hidden:
            self._laws[index[:, None], hidden] = self.model.token_conditionals(hidden).transpose(1, 0, 2)
        if kept:
            self._laws[index[:, None], kept] = np.eye(self.symbols)[tokens[:, kept]]
        self._known[mask] = True


class KnownLaw(ConditionalTables):
    """The exact conditionals of a joint law, which is also the truth that schedules can be computed from."""

    def __init__(self, law: JointLaw) -> None:
        super().__init__(TableConditionals(law))
        self.law = law

    @cached_property
    def _entropies(self) -> SubsetEntropies:
        return SubsetEntropies(self.law)

    @cached_property
    def _schedules(self) -> Frontier:
        return optimal_schedules(self._entropies)

    @cached_property
    def _sizes(self) -> SizeFrontier:
        return optimal_sizes(self.information_curve())

    def information_curve(self) -> Array:
        """h(n), the average entropy of n sites in nats, shape [N + 1]."""
        return self._entropies.information_curve()

    def best_sizes(self, calls: int) -> tuple[int, ...]:
        """The sizes of T steps with the least mean KL(p || q) over random orders."""
        return self._sizes.sizes[calls - 1]

    def best_schedule(self, calls: int) -> Schedule:
        """A schedule of T steps with the least KL(p || q)."""
        return self._schedules.schedules[calls - 1]

    def exact_schedule(self) -> Schedule:
        """The shortest schedule with KL(p || q) = 0, up to rounding."""
        return self._schedules.schedules[int(np.argmax(self._schedules.errors <= EXACT))]


class WithTruth:
    """A network's conditionals beside the law that it learned, from which schedules are computed as for the law itself.

    Args:
        model: the network.
        truth: of the same sites and symbols.
    """

    def __init__(self, model: Predictor, truth: Truth) -> None:
        self.sites, self.symbols = model.sites, model.symbols
        self.predict = model.predict
        self.information_curve, self.best_sizes = truth.information_curve, truth.best_sizes
        self.best_schedule, self.exact_schedule = truth.best_schedule, truth.exact_schedule


class FunctionPredictor:
    """A function from partial sequences to token laws, such as a network, as a predictor.

    Args:
        sites, symbols: N and q.
        function: tokens [B, N] -> probabilities [B, N, q]; what it says at revealed sites is not read.

    Raises:
        InvalidInput: on use, probabilities of another shape.
    """

    def __init__(self, sites: int, symbols: int, function: Callable[[Tokens], Array]) -> None:
        self.sites, self.symbols, self.function = sites, symbols, function

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens) at hidden sites, one-hot at revealed sites; [B, N] -> [B, N, q]."""
        laws = np.asarray(self.function(tokens), dtype=np.float64)
        expected = (*tokens.shape, self.symbols)
        if laws.shape != expected:
            raise InvalidInput("function", f"an array of shape {laws.shape}", f"shape {expected} is needed")
        hidden = (tokens == self.symbols)[:, :, None]
        return np.where(hidden, laws, np.eye(self.symbols + 1, self.symbols)[tokens])
