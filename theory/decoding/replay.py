"""Replay: the exact probability of a given sequence under a decoder, at any length.

Where the sites of a step do not depend on tokens that are drawn in it, a sequence x fixes every step: given the sites,
the decoder puts out x with probability prod_t prod_{i in D_t} w_i(x_i | x_{A_t}), where tokens are drawn from w.

    sites a function of (A, x_A)    one path, and the product is q(x) exactly; with x ~ p, ln p(x) - ln q(x) has the
                                    mean KL(p || q). On a network, -ln q(x) is the loss of a text under the decoder
    sites drawn (random orders)     the paths mix: the mean over paths bounds KL(p || q), and -ln q(x), from above

On a known law each step's share is replaced by its mean given x_A: KL(p || q) = E sum_t KL(p(x_D | x_A) || prod w_i),
with x ~ p, and KL(q || p) = E sum_t KL(prod w_i || p(x_D | x_A)), with x ~ q, both by `SequenceLaw.block_divergence`.
The same x serve all rules, so that differences between rules are known better than either. A rule may remember earlier
steps (KLASS): what it remembers follows from x too.

One token a call has no share: it is exact for every rule of this kind. Only rules that look at drawn tokens are biased
there.

Legend: ``B`` rows, ``N`` sites, ``q`` symbols, ``T`` calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.decoding.choices import Drawn, Given
from theory.decoding.ranking import RankedRule, SiteRule
from theory.decoding.rule import Predictor, Rule, Setting, windows
from theory.errors import InvalidInput
from theory.laws.length import Reader, SequenceLaw, draw

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Tokens = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Replayed:
    """What a decoder does with some sequences.

    Attributes:
        sequences: [B, N], those given, or drawn by the decoder.
        log_probability: [B], ln of the product along the path, in nats: ln q(x) where there is one path.
        divergence: [B], sum over the steps of the divergence between the truth and what is drawn, in nats; None without
            a truth.
        calls: [B].
    """

    sequences: Tokens
    log_probability: Array
    divergence: Array | None
    calls: Array


def can_replay(rule: Rule) -> bool:
    """Whether the sites of every step are chosen without looking at tokens that are drawn in it."""
    if isinstance(rule, SiteRule):
        plain = type(rule).step in (SiteRule.step, RankedRule.step)
        return plain and not rule.remasks and rule.looks_at != "drawn"
    return rule.chooses_first


def has_one_path(rule: Rule, setting: Setting) -> bool:
    """Whether the sites of every step are a function of the tokens so far, so that replay gives q(x) itself."""
    if isinstance(rule, SiteRule):
        return can_replay(rule) and isinstance(rule, RankedRule) and rule.replayable(setting)
    return rule.chooses_first and rule.looks_at == "revealed" and rule.ties == "first"


def replay(
    model: Predictor,
    rule: Rule,
    setting: Setting,
    sequences: Tokens | int,
    generator: np.random.Generator,
    truth: SequenceLaw | None = None,
) -> Replayed:
    """Walk along the decoder's path of given sequences, or of new ones.

    Args:
        model: the network: the truth itself, or a learned one.
        rule: one that `can_replay` allows.
        setting: as the rule is asked.
        sequences: x, [B, N]; or the number of sequences to draw from the decoder.
        generator: for the rule's own choices, and for tokens that are drawn.
        truth: p, for `Replayed.divergence`: of p from q along given sequences (which must be drawn from p), of q from p
            along sequences that the decoder draws.

    Raises:
        InvalidInput: a rule whose sites depend on drawn tokens, or sequences that do not fit the model.
    """
    if not can_replay(rule):
        raise InvalidInput("decoder", rule.name, "its sites depend on tokens that are drawn with them: no replay")
    given = None if isinstance(sequences, int) else _checked(sequences, setting)
    rows = sequences if isinstance(sequences, int) else len(sequences)
    if not isinstance(rule, SiteRule):
        return _followed(model, rule, setting, given, rows, generator, truth)
    shown = np.full((rows, setting.sites), setting.symbols, dtype=np.int64)
    reader = model.reader(shown) if hasattr(model, "reader") else Reader(model, shown)
    log_probability, divergence, calls = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    keys: dict[int, Array] = {}
    for window in windows(rule, setting):
        part = slice(window.start, window.stop)
        hidden = shown[:, part] == setting.symbols
        active = np.flatnonzero(hidden.any(axis=1))
        if not len(active):
            continue
        chosen = np.zeros(shown.shape, dtype=bool)
        chosen[active, part] = _sites(rule, window, shown, reader, hidden, active, keys, generator)
        calls[active] += rule.spent(chosen[active])
        if not chosen.any():
            continue
        laws = rule.step_laws(window.setting, window.step, reader.laws[chosen][None])[0]
        tokens = draw(laws, generator) if given is None else given[chosen]
        after = shown.copy()
        after[chosen] = tokens
        row = np.nonzero(chosen)[0]
        with np.errstate(divide="ignore"):
            gained = np.log(laws[np.arange(len(tokens)), tokens])
        log_probability += np.bincount(row, gained, minlength=rows)
        if truth is not None:
            divergence += truth.block_divergence(shown, after, chosen, laws, forward=given is not None)
        shown = after
        reader.reveal(shown)
    if (shown == setting.symbols).any():
        raise RuntimeError(f"{rule.name} left sites masked")  # a wrong rule, not wrong input
    return Replayed(shown, log_probability, None if truth is None else divergence, calls)


def _followed(
    model: Predictor,
    rule: Rule,
    setting: Setting,
    given: Tokens | None,
    rows: int,
    generator: np.random.Generator,
    truth: SequenceLaw | None,
) -> Replayed:
    """The rule's own steps, tokens given where it draws."""
    state = rule.start(setting, rows)
    log_probability, divergence, calls = np.zeros(rows), np.zeros(rows), np.zeros(rows)
    for step, window in enumerate(windows(rule, setting)):
        part, shown = slice(window.start, window.stop), state.tokens
        made: list[tuple[NDArray[np.int64], Given]] = []

        def choices(
            active: NDArray[np.int64], part: slice = part, made: list[tuple[NDArray[np.int64], Given]] = made
        ) -> Given:
            made.append((active, Given(None if given is None else given[active, part], len(active), generator)))
            return made[0][1]

        state, spent = rule.follow(setting, step, state, model, choices)
        calls += spent
        active, choose = made[0]
        if not len(active):
            continue
        chosen = np.zeros(shown.shape, dtype=bool)
        chosen[active, part] = choose.where
        row = np.nonzero(chosen)[0]
        with np.errstate(divide="ignore"):
            gained = np.log(choose.laws[np.arange(len(row)), state.tokens[chosen]])
        log_probability += np.bincount(row, gained, minlength=rows)
        if truth is not None and len(row):
            divergence += truth.block_divergence(shown, state.tokens, chosen, choose.laws, forward=given is not None)
    return Replayed(state.tokens, log_probability, None if truth is None else divergence, calls)


def _sites(
    rule: SiteRule,
    window: Any,
    shown: Tokens,
    reader: Reader,
    hidden: Flags,
    active: NDArray[np.int64],
    keys: dict[int, Array],
    generator: np.random.Generator,
) -> Flags:
    """The sites of a step in the active rows, [R, width of the window]."""
    part = slice(window.start, window.stop)
    choose = Drawn(len(active), generator)
    if not isinstance(rule, RankedRule):
        return rule.sites(window.setting, window.step, shown[active, part], reader.laws[active, part], choose)[1]
    if rule.looks_at != "revealed":
        found = rule.keys(window.setting, window.step, np.broadcast_to(_NOTHING, (len(active), hidden.shape[1], 1)))
    else:
        # A key is read off the law of its site, so only laws that have changed need new ones.
        known = keys.setdefault(0, np.empty(shown.shape))
        stale = reader.changed
        known[stale] = rule.keys(window.setting, window.step, reader.laws[stale][None])[0]
        found = known[active, part]
    found = np.where(hidden[active], found, -np.inf)
    return rule.ranked(window.setting, window.step, found, choose)[1]


_NOTHING = np.zeros((1, 1, 1))
"""Stands for the laws where the keys do not look at them."""


def _checked(sequences: Tokens, setting: Setting) -> Tokens:
    rows = np.ascontiguousarray(sequences, dtype=np.int64)
    if rows.ndim != 2 or rows.shape[1] != setting.sites:
        raise InvalidInput("sequences", f"an array of shape {rows.shape}", f"shape [rows, {setting.sites}] is needed")
    if rows.size and not (rows.min() >= 0 and rows.max() < setting.symbols):
        raise InvalidInput("sequences", int(rows.max()), f"symbols 0..{setting.symbols - 1} are needed")
    return rows
