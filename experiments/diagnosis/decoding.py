"""Failure modes of a decoder: what is lost in parallel whatever the order, and what its order loses on top of that.

The loss of a decoder is split: the best order that was tried loses what is lost to *parallel decoding*; *order* is what
the decoder loses beyond that, and *ties* the part that goes away when equal scores are broken at random. A rule that
draws tokens before it chooses sites is biased even with a call for each site. All are KL(p || q) a token.

Legend: ``N`` sites, ``T`` calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from experiments.decoding.laws import LARGEST_TABLE, enumerable
from experiments.decoding.record import decode_record
from experiments.diagnosis.commands import Commands
from experiments.diagnosis.findings import KINDS, Diagnosis, shown
from experiments.diagnosis.modes import DRAWN_FIRST, NATS, ORDER, PARALLEL_DECODING, TIES
from theory.decoding.chain_steps import Followed
from theory.decoding.registry import parse
from theory.decoding.rule import Predictor
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw

DECODER = "confidence"
"""The order of most released samplers."""

ORDERS = ("random-order", "strided", "confidence", "left-to-right")
"""Orders that need nothing but the network."""

TOKENS_A_CALL = 4
"""Calls are so chosen where none are given: fewer tokens a call would hardly be called parallel."""


def default_calls(sites: int) -> int:
    """T for N sites."""
    return max(1, ceil(sites / TOKENS_A_CALL))


@dataclass(frozen=True)
class Loss:
    """KL(p || q) a token, what kind of number it is, and why there is none (then the value is nan)."""

    value: float
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{KINDS[self.kind]}{shown(self.value)} nats a token"


@dataclass(frozen=True)
class Decoders:
    """Decoders of a subject.

    Attributes:
        law: p; of a network, the law of its sampler.
        network: what is decoded where that is not the law itself.
        seed: of replays at length.
    """

    law: JointLaw | SequenceLaw
    network: Predictor | None = None
    seed: int = 0

    def losses(self, decoders: tuple[str, ...], calls: int) -> dict[str, Loss]:
        """The losses of decoders that fit; those that do not are left out."""
        record = decode_record(self.law, decoders, [calls], network=self.network, seed=self.seed)
        return {row["decoder"]: self._loss(row) for row in record["decoders"]}

    def _loss(self, row: dict[str, Any]) -> Loss:
        if row["kl"] is None:
            return Loss(float("nan"), "exact", row["reason"] or "there is no divergence")
        return Loss(row["kl"]["value"] / self.law.sites, row["kl"]["kind"], "")


def decoding(diagnosis: Diagnosis, decoders: Decoders, decoder: str, calls: int, commands: Commands) -> None:
    """Add what decoders tell.

    Args:
        diagnosis: added to.
        decoders: of the subject.
        decoder: the one that is used.
        calls: T.
        commands: of the subject.

    Raises:
        InvalidInput: an unknown decoder or option.
    """
    rule, law = parse(decoder), decoders.law
    every = (PARALLEL_DECODING, ORDER, TIES, DRAWN_FIRST)
    if law.sites == 1:
        diagnosis.leave_out("does not apply: there is one site, so there is no order", *every)
        return
    table = isinstance(law, JointLaw)
    if table and not enumerable(law.sites, law.symbols, LARGEST_TABLE):
        diagnosis.leave_out(
            f"not measured: {law.symbols + 1}^{law.sites} partial sequences are more than {LARGEST_TABLE:,}", *every
        )
        return
    at_random = f"{decoder}{',' if ':' in decoder else ':'}ties=random"
    untied = isinstance(rule, Followed) or rule.ties == "random"
    tried = tuple(dict.fromkeys((*ORDERS, decoder, *(() if untied else (at_random,)))))
    try:
        found = decoders.losses(tried, calls)
    except InvalidInput as error:
        diagnosis.leave_out(f"not measured: {error}", *every)
        return
    known = {name: loss for name, loss in found.items() if isfinite(loss.value)}
    if not known:
        diagnosis.leave_out("not measured: every order tried loses sequences that the law has", *every)
        return
    best = min(known, key=lambda name: known[name].value)
    least, own = known[best], found[decoder]
    asked = f"with {calls} call{'s' * (calls > 1)} for {law.sites} sites"
    remedy, effect = _more_calls(decoders, best, calls, commands) if least.value >= NATS else ("", "")
    says = f"{asked} the best order tried, {best}, loses {least}"
    diagnosis.add(PARALLEL_DECODING, least.value, says, least.kind, remedy, effect)
    if own.reason:
        diagnosis.leave_out(f"not measured: {own.reason}", ORDER, TIES)
    else:
        says = f"{asked} {decoder} loses {own}, {best} {least}"
        remedy = commands.decoder(best, calls)
        diagnosis.add(ORDER, own.value - least.value, says, _of_difference(own, least), remedy, str(least))
        if untied:
            diagnosis.leave_out(f"does not apply: {decoder} does not break ties to the first site", TIES)
        else:
            spread = found[at_random]
            says = f"{asked} {decoder} loses {own} with ties to the first site, {spread} with ties at random"
            remedy = commands.decoder(at_random, calls)
            diagnosis.add(TIES, own.value - spread.value, says, _of_difference(own, spread), remedy, str(spread))
    if rule.looks_at != "drawn":
        diagnosis.leave_out(f"does not apply: {decoder} chooses a site before it draws the token", DRAWN_FIRST)
    elif not table:
        diagnosis.leave_out("not measured: at length only loose bounds are known of rules that draw first", DRAWN_FIRST)
    else:
        sites = law.sites
        one_a_call = decoders.losses((decoder, DECODER), sites)
        biased, unbiased = one_a_call[decoder], one_a_call[DECODER]
        says = f"{decoder}, which draws tokens before it chooses sites, loses {biased} even with {sites} calls"
        remedy = commands.decoder(DECODER, sites)
        diagnosis.add(DRAWN_FIRST, biased.value - unbiased.value, says, biased.kind, remedy, str(unbiased))


def _more_calls(decoders: Decoders, decoder: str, calls: int, commands: Commands) -> tuple[str, str]:
    """Twice as many calls until the loss does not matter, and what they give."""
    sites = decoders.law.sites
    while True:
        calls = min(2 * calls, sites)
        loss = decoders.losses((decoder,), calls)[decoder]
        if loss.value < NATS or calls == sites:
            return commands.decoder(decoder, calls), str(loss)


def _of_difference(own: Loss, other: Loss) -> str:
    """What the difference of two losses is: no bound, where one of them is a bound."""
    if own.kind == other.kind == "exact":
        return "exact"
    return "lower" if other.kind == "upper" and own.kind != "upper" else "unbiased"
