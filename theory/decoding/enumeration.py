"""The exact output law of a rule on a small table, and what its site choices cost.

Decoding is a Markov chain on partial sequences (with the rule's memory). Its decision tree merges where tokens and
memory agree, so a rule without memory has at most (q + 1)^N states in a step, and no list of schedules is needed.

Legend: ``R`` states of a step, ``N`` sites, ``q`` symbols.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Enumerated, distinct
from theory.decoding.ranking import SiteRule
from theory.decoding.rule import Branches, Predictor, Rule, Setting, State
from theory.decoding.token_laws import TIE_DECIMALS
from theory.divergences import kullback_leibler, total_variation
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws.joint import JointLaw
from theory.memory import require_memory
from theory.pictures import Pictured
from theory.states import require_states, state_index

Array = NDArray[np.float64]

SUCCESSORS_AT_ONCE = 2**13
"""States are expanded in chunks that lead to about as many successors as this."""


MAXIMUM_STATES = 2**21
"""More partial sequences than this (with the rule's memory) take minutes a step."""

MAXIMUM_SUCCESSORS = 2**25
"""As do more successors of all partial sequences of a step, before those that agree are made one."""


@dataclass(frozen=True)
class Decoded(Pictured):
    """What a rule puts out.

    Attributes:
        law: q, the law of the finished sequence.
        expected_calls, worst_calls: network calls for a sequence, on average and at most.
        steps: of the rule.
        states: the most partial sequences (with memory) that a step held.
    """

    law: JointLaw
    expected_calls: float
    worst_calls: float
    steps: int
    states: int


@dataclass(frozen=True)
class Divergences(Pictured):
    """Between a truth p and an output law q: KL(p || q), KL(q || p) in nats (inf where mass is missed), TV."""

    kl: float
    reverse_kl: float
    total_variation: float


def divergences(truth: JointLaw, output: JointLaw) -> Divergences:
    """KL both ways and total variation.

    Raises:
        InvalidInput: laws over different sequence spaces.
    """
    if truth.table.shape != output.table.shape:
        raise InvalidInput("output", f"shape {output.table.shape}", f"shape {truth.table.shape} is needed")
    p, q = truth.probabilities, output.probabilities
    return Divergences(kullback_leibler(p, q), kullback_leibler(q, p), total_variation(p, q))


def decode(model: Predictor, rule: Rule, calls: int) -> Decoded:
    """The exact output law of a rule asked for ``calls`` calls.

    Raises:
        InvalidInput: the rule does not fit the model.
        ExceedsMemory: too many partial sequences.
    """
    setting = Setting.of(model, calls)
    require_states(setting.sites, setting.symbols, 24.0, "the output law")
    steps = rule.steps(setting)
    state, mass, worst = rule.start(setting, 1), np.ones(1), np.zeros(1)
    expected, most = 0.0, 1
    for step in range(steps):
        state, mass, worst, spent = _step(setting, rule, step, state, mass, worst, model)
        expected += spent
        most = max(most, len(mass))
        if most > MAXIMUM_STATES:
            raise _too_many(setting, rule, f"{most} partial sequences, at most {MAXIMUM_STATES}")
    if (state.tokens == setting.symbols).any():
        raise RuntimeError(f"{rule.name} left sites masked after its {steps} steps")  # a wrong rule, not wrong input
    table = np.bincount(
        state_index(state.tokens, setting.symbols), mass, minlength=setting.symbols**setting.sites
    ).reshape((setting.symbols,) * setting.sites)
    return Decoded(JointLaw(table, f"output of {rule.name}"), expected, float(worst.max()), steps, most)


def _too_many(setting: Setting, rule: Rule, what: str) -> ExceedsMemory:
    return ExceedsMemory(
        "sites", setting.sites, f"{rule.name} leads to {what} are followed; choose fewer sites, or sample"
    )


def _step(
    setting: Setting, rule: Rule, step: int, state: State, mass: Array, worst: Array, model: Predictor
) -> tuple[State, Array, Array, float]:
    """All states after one step, merged chunk by chunk, with their masses, worst calls, and the calls expected."""
    parts: list[tuple[State, Array, Array]] = []
    spent, first, size, successors = 0.0, 0, 1, 0
    # The most masked first: they lead to the most successors, so that a chunk leads to fewer than the one before.
    order = np.argsort(-(state.tokens == setting.symbols).sum(axis=1), kind="stable")
    while first < len(mass):
        rows = order[first : first + size]
        first += size
        branches: Branches = rule.branches(setting, step, state.rows(rows), model)
        parent = rows[branches.parent]
        successors += len(parent)
        if successors > MAXIMUM_SUCCESSORS:
            raise _too_many(setting, rule, f"over {MAXIMUM_SUCCESSORS} successors in a step, as many")
        weights = mass[parent] * branches.probability
        spent += float(weights @ branches.calls)
        parts.append(_merged(branches.state, weights, worst[parent] + branches.calls))
        size = min(8 * size, max(1, SUCCESSORS_AT_ONCE * len(rows) // len(parent)))
    if len(parts) == 1:
        return *parts[0], spent
    memory = {name: np.concatenate([part[0].memory[name] for part in parts]) for name in parts[0][0].memory}
    whole = State(np.concatenate([part[0].tokens for part in parts]), memory)
    return *_merged(
        whole, np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts])
    ), spent


def _merged(state: State, mass: Array, worst: Array) -> tuple[State, Array, Array]:
    """States that agree in tokens and memory made one."""
    columns = [state.tokens]
    for values in state.memory.values():
        flat = values.reshape(len(mass), -1)
        if np.issubdtype(flat.dtype, np.floating):
            # Adding 0 turns -0 into 0.
            flat = (np.round(flat, TIE_DECIMALS) + 0.0).view(np.int64)
        columns.append(flat.astype(np.int64))
    keys = np.concatenate(columns, axis=1)
    require_memory(3.0 * keys.nbytes, "states", len(keys), "merging the partial sequences of a step")
    kept, group = distinct(keys)
    worst_of = np.zeros(len(kept))
    np.maximum.at(worst_of, group, worst)
    return state.rows(kept), np.bincount(group, mass, minlength=len(kept)).astype(np.float64), worst_of


def expected_total_correlation(model: Predictor, rule: SiteRule, calls: int) -> float:
    """E sum_t TC(x_{D_t} | x_{A_t} = its tokens) in nats: KL(p || q), or a bound where the rule draws its sites.

    Works on the law p itself, never on the output law: after the rule has chosen D, its tokens are drawn one by one, so
    that x ~ p, and what is summed is the mean of ln p(x_D | x_A) - sum_{i in D} ln p(x_i | x_A).

    Args:
        model: the exact conditionals of p.

    Raises:
        InvalidInput: a rule that looks at drawn tokens, or draws from other laws than p_i: the chain rule is about
            tokens drawn from the conditionals.
        ExceedsMemory: as `decode`.
    """
    setting = Setting.of(model, calls)
    if not isinstance(rule, SiteRule) or rule.looks_at == "drawn":
        raise InvalidInput("decoder", rule.name, "a rule that chooses sites without looking at drawn tokens is needed")
    if not rule.draws_from_network:
        raise InvalidInput("decoder", rule.name, "the chain rule holds for tokens drawn from p_i as they are")
    if rule.block:
        raise InvalidInput("block", rule.block, "0 is needed here: the whole sequence")
    state, mass, total = rule.start(setting, 1), np.ones(1), 0.0
    for step in range(rule.steps(setting)):
        done = rule.finished(setting, state)
        choose = Enumerated(int((~done).sum()))
        before = state.rows(~done).tokens
        laws = model.predict(before)
        rows, chosen = rule.sites(setting, step, before, laws, choose)
        moved = State(before[rows], {"chosen": chosen, "laws": laws[rows], "gain": np.zeros(len(rows))})
        for site in np.flatnonzero(chosen.any(axis=0)):
            given, now = model.predict(moved.tokens)[:, site], moved.memory["chosen"][:, site]
            # Rows that do not choose this site keep their token: one value for them.
            rows, token = choose.index(np.where(now[:, None], given, np.eye(1, setting.symbols)))
            moved, given = moved.rows(rows), given[rows]
            now = np.flatnonzero(moved.memory["chosen"][:, site])
            moved.tokens[now, site] = token[now]
            apart = moved.memory["laws"][now, site, token[now]]
            moved.memory["gain"][now] += np.log(given[now, token[now]] / apart)
        weights = mass[~done][choose.parent] * choose.probability
        total += float(weights @ moved.memory["gain"])
        everything = State(np.concatenate([moved.tokens, state.tokens[done]]))
        masses = np.concatenate([weights, mass[done]])
        state, mass, _ = _merged(everything, masses, np.zeros(len(masses)))
    return total
