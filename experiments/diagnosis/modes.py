"""The failure modes: what is measured, from which number on it matters, and why from there.

A *severity* is a number over its threshold: below 1 nothing need be done, at 10 it is ten times what is harmless.
Thresholds are of four kinds, each declared once:

    SLOWER      times the steps that independent sites take until every one has been drawn anew
    SHARE       total variation: the share of sequences that come out other than they should
    NATS        nats a token
    DATA        times the sequences that masks of all sites need

Of translations there are three more, in the units in which translators are compared.
"""

from __future__ import annotations

from dataclasses import dataclass

SLOWER = 10.0
"""An order of magnitude: less is lost among starts, thinning and the choice of epsilon."""

SHARE = 0.1
"""One sequence in ten: the total variation that `gmlm sample-size` aims at, and within the sampling error of what is
read by eye."""

NATS = 0.01
"""1% of perplexity: about what two seeds of one training differ by."""

DATA = 2.0
"""Twice the data is a cost that is noticed, and no constant of an asymptotic formula."""


STUTTER = 0.01
"""Share of neighbours, above that of the references: a repeated word in one of nine sentences of twelve tokens."""

LENGTH = 0.5
"""Tokens a sentence: every second sentence is one token too long or too short."""

BLEU = 1.0
"""The difference that papers on translation report as a gain."""


@dataclass(frozen=True)
class Mode:
    """A way to fail.

    Attributes:
        name: in words.
        claims: that say when and why.
        unit: of the number.
        threshold: the number from which on it matters.
        reason: why from there.
    """

    name: str
    claims: tuple[str, ...]
    unit: str
    threshold: float
    reason: str


_SLOWER = "less is lost among starts and thinning"
_SHARE = "one sequence in ten comes out wrong, as `gmlm sample-size` allows by default"
_NATS = "1% of perplexity, about what two seeds of a training differ by"

MIXING = Mode("slow mixing", ("C6", "C8"), "times independent sites", SLOWER, _SLOWER)
STUCK = Mode("stuck in parallel", ("C8",), "times independent sites", SLOWER, _SLOWER)
PARALLEL_LAW = Mode("parallel sampling", ("C7",), "total variation", SHARE, _SHARE)
PARALLEL_DECODING = Mode("parallel decoding", ("C9", "C7"), "nats a token", NATS, _NATS)
ORDER = Mode("order of unmasking", ("D3",), "nats a token", NATS, _NATS)
TIES = Mode("ties to the first site", ("D3",), "nats a token", NATS, _NATS)
DRAWN_FIRST = Mode("choosing after drawing", ("D2",), "nats a token", NATS, _NATS)
SCAN_ORDER = Mode("incompatible conditionals, sampling", ("C10", "N8"), "total variation", SHARE, _SHARE)
TOKEN_ORDER = Mode("incompatible conditionals, decoding", ("C10", "N8"), "nats a token", NATS, _NATS)
MASKING = Mode("masks that teach little", ("C2", "C3"), "times the sequences", DATA, "a cost that is noticed")
TOO_FEW = Mode("too few sequences", ("C1", "C4"), "total variation", SHARE, _SHARE)

REPEATS = Mode("stutter", ("P1", "P2"), "share of neighbours", STUTTER, "a repeated word in one of nine sentences")
LENGTHS = Mode("wrong lengths", ("P5",), "tokens a sentence", LENGTH, "every second sentence is a token off")
_BLEU = "what papers report as a gain"
SEEN_TOKENS = Mode("updates of tokens that are seen", ("P3", "P4"), "BLEU", BLEU, _BLEU)
FEW_STEPS = Mode("too few steps", ("P1", "P5"), "BLEU", BLEU, _BLEU)

OF_LAWS = (MIXING, STUCK, PARALLEL_LAW, PARALLEL_DECODING, ORDER, TIES, DRAWN_FIRST, MASKING, TOO_FEW)
OF_NETWORKS = (*OF_LAWS, SCAN_ORDER, TOKEN_ORDER)
OF_TRANSLATORS = (REPEATS, LENGTHS, SEEN_TOKENS, FEW_STEPS)
EVERY = (*OF_NETWORKS, *OF_TRANSLATORS)
