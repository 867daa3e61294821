"""A law at length as the truth behind a decoder: its conditionals, and the schedules that can be computed from it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from theory.decoding import stationary_chain
from theory.decoding.drafting import Speculative
from theory.decoding.fixed_orders import Optimal, ScheduledRule, TreeDepth
from theory.decoding.optimal import SizeFrontier, optimal_sizes
from theory.decoding.output_law import random_order_error
from theory.decoding.random_orders import FirstHitting, RandomOrder
from theory.decoding.ranking import size_plan
from theory.decoding.rule import Rule, Setting, windows
from theory.decoding.schedules import Schedule, cut
from theory.decoding.treedepth import exact_schedule
from theory.errors import InvalidInput
from theory.laws.length import MarkovLaw, Reader, SequenceLaw, UrnLaw

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]


class KnownSequence:
    """The exact conditionals of a law at length (a `Predictor`), which is also the `Truth` behind them."""

    def __init__(self, law: SequenceLaw) -> None:
        self.law = law
        self.sites, self.symbols = law.sites, law.symbols

    def predict(self, tokens: Tokens) -> Array:
        """p(x_i = . | revealed tokens) at hidden sites, one-hot at revealed sites; [B, N] -> [B, N, q]."""
        return self.law.predict(tokens)

    def reader(self, tokens: Tokens) -> Reader:
        """The conditionals of some rows, kept up to date while tokens are revealed."""
        return self.law.reader(tokens)

    def _chain(self, wanted: str) -> MarkovLaw:
        if not isinstance(self.law, MarkovLaw) or self.law.markov_order != 1:
            raise InvalidInput("decoder", wanted, "at this length it is computed for Markov chains of order 1 only")
        return self.law

    def information_curve(self) -> Array:
        """h(n), the average entropy of n sites in nats, shape [N + 1].

        Raises:
            InvalidInput: neither a chain of order 1 nor an urn.
        """
        return self._curve

    @cached_property
    def _curve(self) -> Array:
        if isinstance(self.law, UrnLaw):
            return self.law.information_curve()
        return stationary_chain.information_curve(self._chain("sizes=optimal"))

    @cached_property
    def _sizes(self) -> SizeFrontier:
        return optimal_sizes(self._curve)

    @cached_property
    def _schedules(self) -> dict[int, Schedule]:
        return {}

    def best_sizes(self, calls: int) -> tuple[int, ...]:
        """The sizes of T steps with the least mean KL(p || q) over random orders."""
        return self._sizes.sizes[calls - 1]

    def best_schedule(self, calls: int) -> Schedule:
        """A schedule of at most T steps with the least KL(p || q).

        Raises:
            InvalidInput: a law for which it is not known: T steps are too few to be exact, and it is neither a chain of
                order 1 nor an urn.
        """
        if calls not in self._schedules:
            self._schedules[calls] = self._best_schedule(calls)
        return self._schedules[calls]

    def _best_schedule(self, calls: int) -> Schedule:
        if isinstance(self.law, UrnLaw):
            # All orders are alike.
            return cut(range(self.sites), self.best_sizes(calls))
        if isinstance(self.law, MarkovLaw) and self.law.markov_order == 1:
            return stationary_chain.best_schedule(self.law, calls)
        exact = exact_schedule(self.law)
        if exact is not None and exact.length <= calls:
            return exact
        known = "at this length it is computed for Markov chains of order 1 only"
        if exact is not None:
            known += f", or from {exact.length} calls on, which are exact here"
        raise InvalidInput("decoder", "optimal", known)

    def exact_schedule(self) -> Schedule:
        """A schedule with KL(p || q) = 0 in fewer calls than sites, from the graph of the law.

        Raises:
            InvalidInput: a law with something hidden that is never revealed.
        """
        found = exact_schedule(self.law)
        if found is None:
            raise InvalidInput(
                "decoder", "treedepth", f"all sites of {self.law.name} depend on each other until the last is revealed"
            )
        return found


def exact_divergence(truth: KnownSequence, rule: Rule, calls: int) -> tuple[float, bool] | None:
    """KL(p || q) in nats without sampling, and whether it is that (else a bound from above), where there is a formula.

    For schedules fixed beforehand on a chain of order 1, and those that are exact by the graph of the law; for random
    orders (of the whole sequence) the mean of
    KL(p || q_S) over the orders S, which bounds the KL of their mixture. One token a call and speculative decoding are
    exact. None where there is no formula.
    """
    if rule.temperature != 1 or rule.top_p != 1:
        return None
    law, setting = truth.law, Setting.of(truth, calls)
    if isinstance(rule, (FirstHitting, Speculative, TreeDepth)):
        return 0.0, True
    chain = isinstance(law, MarkovLaw) and law.markov_order == 1
    if isinstance(rule, ScheduledRule) and isinstance(law, MarkovLaw) and chain:
        return float(stationary_chain.schedule_costs(law, whole_schedule(rule, setting)).sum()), True
    if isinstance(rule, Optimal) and exact_schedule(law) is not None:
        return 0.0, True
    if isinstance(rule, RandomOrder) and not rule.block and (chain or isinstance(law, UrnLaw)):
        # All orders of an urn are alike, so the mixture over them is no mixture.
        return random_order_error(truth.information_curve(), size_plan(setting, rule.sizes)), isinstance(law, UrnLaw)
    return None


def whole_schedule(rule: ScheduledRule, setting: Setting) -> Schedule:
    """The schedule of the whole sequence, block by block."""
    steps = []
    for window in windows(rule, setting):
        inner = rule.schedule(window.setting).steps[window.step]
        steps.append(tuple(window.start + site for site in inner))
    return Schedule(setting.sites, tuple(steps))
