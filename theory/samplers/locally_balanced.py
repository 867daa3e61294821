"""Locally balanced proposals: move the one site whose new token the conditionals like best, and correct.

From x a pair (i, a) of a site and a symbol is proposed with probability

    g(c_i(a) / c_i(x_i)) / Z(x),        c_i = p(. | x_-i),        Z(x) = sum over all i, a of the numerators,

where g is *balanced*: g(t) = t g(1/t). With the conditionals of p itself the ratio is p(y) / p(x), so that the proposal
alone is reversible with respect to p Z, and a Metropolis-Hastings step, accepted with probability min(1, Z(x) / Z(y)),
makes it reversible with respect to p; with other conditionals (tempered, learned) the general ratio corrects towards
the target. Pairs with a = x_i are among the proposals, which keeps the chain aperiodic. Where one site is clearly wrong
it is found at once instead of after N tries; the price is all N conditionals in every step.
Both balancing functions are at most 1, so that a token that the conditionals rule out costs nothing but itself.

Legend: ``N`` sites, ``q`` symbols, ``S`` states.
Source: Zanella 2020, "Informed proposals for local MCMC in discrete spaces", JASA 115 (arXiv:1711.07286).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from theory.chains.operator import SparseOperator, TransitionOperator
from theory.conditionals import ConditionalModel, TableConditionals
from theory.laws.joint import JointLaw
from theory.masks import MaskLaw
from theory.parameters import parameter
from theory.samplers.checks import require_target
from theory.samplers.sampler import Sampler
from theory.states import all_sequences, require_states

Array = NDArray[np.float64]

BALANCES = ("barker", "minimum")
"""g(t) = t / (1 + t), and g(t) = min(1, t)."""


def locally_balanced(
    conditionals: ConditionalModel, target: JointLaw | None = None, balance: str = "barker"
) -> SparseOperator:
    """The operator of a locally balanced proposal with its correction; no more than N (q - 1) + 1 entries a row.

    Args:
        conditionals: where the c_i come from.
        target: the law to keep stationary; by default the joint law of the conditionals.
        balance: one of `BALANCES`.

    Raises:
        InvalidInput: no target is known, or sizes differ.
        ExceedsMemory: the entries would not fit.
    """
    law = require_target(conditionals, target)
    sites, symbols = conditionals.sites, conditionals.symbols
    states = require_states(sites, symbols, 80.0 * sites * symbols, "the moves of single sites")
    sequences = all_sequences(sites, symbols)
    here = sequences[:, :, None]
    tokens = conditionals.leave_one_out()
    own = np.take_along_axis(tokens, here, axis=2)
    stays = np.arange(symbols) == here
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = tokens / (tokens + own) if balance == "barker" else np.minimum(1.0, tokens / own)
    wanted = np.where(tokens > 0, wanted, 0.0)
    wanted[stays] = 0.5 if balance == "barker" else 1.0
    proposal = wanted / wanted.sum(axis=(1, 2), keepdims=True)

    strides = symbols ** np.arange(sites - 1, -1, -1)
    there = np.arange(states)[:, None, None] + (np.arange(symbols) - here) * strides[:, None]
    back = proposal[there, np.arange(sites)[:, None], np.broadcast_to(here, there.shape)]
    exact = tokens if conditionals.law is law else TableConditionals(law).leave_one_out()
    possible = law.support.reshape(-1, 1, 1)
    odds = np.where(possible, np.take_along_axis(exact, here, axis=2), 1.0)
    # Q(x, y) min(1, p(y) Q(y, x) / (p(x) Q(x, y))); from p(x) = 0 everything is accepted.
    moves = np.where(possible, np.minimum(proposal, exact / odds * back), proposal)
    moves[(proposal == 0) | stays] = 0.0
    stay = np.maximum(1.0 - moves.sum(axis=(1, 2)), 0.0)
    own_state = np.arange(states)
    rows = np.concatenate([np.repeat(own_state, sites * symbols), own_state])
    columns = np.concatenate([there.reshape(-1), own_state])
    entries = np.concatenate([moves.reshape(-1), stay])
    kept = entries > 0
    matrix = csr_array((entries[kept], (rows[kept], columns[kept])), shape=(states, states))
    return SparseOperator(matrix, reversible=True, stationary=law.probabilities)


@dataclass(frozen=True)
class LocallyBalanced(Sampler):
    """`locally_balanced` by its name."""

    name: ClassVar[str] = "locally-balanced"
    step: ClassVar[str] = "one site and its token, chosen by how much likelier they make x, accepted so that p is kept"
    reversible: ClassVar[bool] = True
    keeps_target: ClassVar[bool] = True
    uses_masks: ClassVar[str] = "none"
    redraws: ClassVar[str] = "one"
    reads_masked: ClassVar[bool] = True
    needs_law: ClassVar[bool] = True

    balance: str = parameter("barker", "barker: g(t) = t/(1+t); minimum: g(t) = min(1, t)", choices=BALANCES)

    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        return locally_balanced(conditionals, target, self.balance)
