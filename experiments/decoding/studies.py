"""What one decoder does to a law, a table or one at length.

On a table every decoder is enumerated. At length, rules whose sites do not depend on tokens drawn with them are
replayed: KL(p || q) along sequences drawn from p, the same for all decoders, and KL(q || p) along sequences drawn by
the decoder; for random orders these bound the divergences of the mixture over orders from above. Rules that keep the
best drawn candidates are summed over their paths in blocks of at most 12 sites, and bounded from above in wider ones.
For other rules there remain a lower bound of KL(q || p); E_q[-ln p] - H(p), which is no divergence: 0 for the truth,
negative where a decoder makes text that is too likely; and the squared distance of the laws of neighbouring pairs.

A law can be decoded from *learned* conditionals, those of a network that was trained on it. Then KL(p || q_learned) is
split: the *decoding error* is KL(p || q) of the same decoder on the true conditionals, the *learned error* the rest.
Where both are bounds their difference is none, and there is no learned error.

Without a number of samples, rows are added until the half-width of the interval falls below `TARGET` nats a site.

Legend: ``B`` sequences, ``N`` sites, ``T`` calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.decoding.estimates import LEVEL, Estimate, half_width
from experiments.decoding.score import PATHS, ROWS
from theory.decoding.candidate_paths import keeps_candidates, path_sums
from theory.decoding.enumeration import decode, divergences
from theory.decoding.faces import why_no_path
from theory.decoding.known_sequence import KnownSequence, exact_divergence
from theory.decoding.noise import lacks_noise
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Predictor, Rule, Setting
from theory.decoding.sampled_estimates import reverse_divergence_bound, window_distance
from theory.decoding.sampling import sample
from theory.decoding.tables import KnownLaw, WithTruth
from theory.laws import JointLaw
from theory.laws.length import MarkovLaw, SequenceLaw
from theory.memory import require_memory
from theory.samplers.threads import thread_count

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

TARGET = 0.0014
"""Half-width of the interval of KL(p || q), in nats a site, at which no more rows are added."""

FEWEST, MOST = 64, 1024
"""Rows without a number of samples, for laws whose conditionals are cheap."""

FEWEST_SLOW, MOST_SLOW = 24, 48
"""The same for laws whose every call is a sweep over contexts or hidden states."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """One decoder at one number of calls; divergences in nats for the whole sequence, None where there is no number.

    Attributes:
        reason: why there is no ``kl``, or no number at all.
        rows: what ``kl`` or ``loss`` is the mean of, in the order of the sequences, which are the same for all
            decoders; None where it is no mean over sequences.
    """

    decoder: str
    calls: int
    expected_calls: float | None = None
    worst_calls: float | None = None
    kl: Estimate | None = None
    reverse_kl: Estimate | None = None
    total_variation: Estimate | None = None
    excess_loss: Estimate | None = None
    pair_distance: Estimate | None = None
    decoding_error: Estimate | None = None
    learned_error: Estimate | None = None
    loss: Estimate | None = None
    reason: str | None = None
    rows: Array | None = field(default=None, repr=False)


class Study(Protocol):
    """Something that decoders are tried on.

    Attributes:
        entropy: H(p) in nats of the whole sequence, None where it is not known.
    """

    @property
    def entropy(self) -> float | None: ...

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        ...

    def outcome(self, text: str, rule: Rule, calls: int) -> Outcome:
        """What the decoder, called ``text``, does in T calls."""
        ...


class TableStudy:
    """Decoders on a table: enumerated."""

    def __init__(self, law: JointLaw, network: Predictor | None = None) -> None:
        self.law, self.truth = law, KnownLaw(law)
        self.model: Predictor = self.truth if network is None else WithTruth(network, self.truth)
        self.entropy: float | None = law.entropy()

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        if rule.needs == "noise" and self.model is not self.truth:
            raise lacks_noise(rule)
        rule.steps(Setting.of(self.model, calls))

    def outcome(self, text: str, rule: Rule, calls: int) -> Outcome:
        """Everything exact."""
        output = decode(self.model, rule, calls)
        apart = divergences(self.law, output.law)
        made = output.law.probabilities > 0
        excess = -float(output.law.probabilities[made] @ self._logs[made]) - self.law.entropy()
        decoding = learned = None
        if self.model is not self.truth:
            decoding = Estimate.exact(divergences(self.law, decode(self.truth, rule, calls).law).kl)
            learned = _rest(Estimate.exact(apart.kl), decoding)
        return Outcome(
            text,
            calls,
            output.expected_calls,
            output.worst_calls,
            Estimate.exact(apart.kl),
            Estimate.exact(apart.reverse_kl),
            Estimate.exact(apart.total_variation),
            Estimate.exact(excess),
            decoding_error=decoding,
            learned_error=learned,
        )

    @cached_property
    def _logs(self) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(self.law.probabilities)


def _rest(total: Estimate, known: Estimate) -> Estimate | None:
    """What is left of a number without a part of it that is known exactly."""
    if not np.isfinite(known.value):
        return None
    value, low, high = (end - known.value for end in (total.value, *total.interval))
    return Estimate(value, total.kind, (low, high))


class LengthStudy:
    """Decoders on a law at length: replayed where they can be, else sampled."""

    def __init__(self, law: SequenceLaw, samples: int, seed: int, network: Predictor | None = None) -> None:
        self.law, self.truth, self.samples, self.seed = law, KnownSequence(law), samples, seed
        self.model: Predictor = self.truth if network is None else WithTruth(network, self.truth)
        self.entropy = law.entropy
        rows = 3.0 * ROWS * law.sites * law.symbols * 8 * thread_count()
        require_memory(rows, "sites", law.sites, f"the token laws of {ROWS} sequences at a time")
        cheap = network is None and isinstance(law, MarkovLaw) and law.markov_order == 1
        self._limits = (FEWEST, MOST) if cheap else (FEWEST_SLOW, MOST_SLOW)

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        if rule.needs == "noise":
            raise lacks_noise(rule)
        rule.steps(Setting.of(self.model, calls))

    def rows(
        self, draw: Callable[[int, int, np.random.Generator], list[Any]], stream: int, slow: bool = False
    ) -> list[Any]:
        """Columns of independent rows, chunk by chunk, until the first column's interval is narrow enough.

        Args:
            draw: from the number of a chunk, its rows and its generator to columns.
            stream: separates the random numbers of different purposes.
            slow: rows are dear, whatever the law.
        """
        limits = (FEWEST_SLOW, MOST_SLOW) if slow else self._limits
        fewest, most = (self.samples, self.samples) if self.samples else limits
        chunks: list[list[Any]] = []
        count = 0
        while count < most:
            wanted = min(ROWS, most - count)
            generator = np.random.default_rng((self.seed, stream, len(chunks)))
            chunks.append(draw(len(chunks), wanted, generator))
            count += wanted
            first = np.concatenate([chunk[0] for chunk in chunks])
            if count >= fewest and not half_width(first) > TARGET * self.law.sites:
                break
        return [np.concatenate(columns) for columns in zip(*chunks, strict=True)]

    def truths(self, chunk: int, count: int) -> NDArray[np.int64]:
        """Sequences drawn from p, the same for all decoders."""
        return self.law.sample(count, np.random.default_rng((self.seed, 0, chunk)))

    def outcome(self, text: str, rule: Rule, calls: int) -> Outcome:
        """See the module's description."""
        setting = Setting.of(self.model, calls)
        if keeps_candidates(rule, setting):
            return self._candidates(text, rule, setting)
        if not can_replay(rule):
            return self._sampled(text, rule, setting)
        kind = "unbiased" if has_one_path(rule, setting) else "upper"
        exact = self._exact(rule, calls)

        def forward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            x = self.truths(chunk, count)
            return [_known(replay(m, rule, setting, x, generator, self.law).divergence) for m in self._models]

        def backward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            drawn = replay(self.model, rule, setting, count, generator, self.law)
            return [_known(drawn.divergence), drawn.calls, -self.law.log_probability(drawn.sequences)]

        if exact is not None and not self._learned:
            errors = _Errors(exact)
        else:
            errors = _split(self.rows(forward, 1), kind, exact)
        reverse, spent, losses = self.rows(backward, 2)
        # Where q = p, both are zero.
        same = errors.total == Estimate.exact(0.0)
        return self._outcome(text, calls, spent, errors, None if same else Estimate.mean(reverse, kind), losses)

    @property
    def _learned(self) -> bool:
        return self.model is not self.truth

    @property
    def _models(self) -> list[Predictor]:
        """What is decoded, and the truth beside it where that is something else."""
        return [self.model, self.truth] if self._learned else [self.truth]

    def _exact(self, rule: Rule, calls: int) -> Estimate | None:
        """KL(p || q) on the true conditionals where there is a formula."""
        found = exact_divergence(self.truth, rule, calls)
        return None if found is None else Estimate.exact(found[0], "exact" if found[1] else "upper")

    def _outcome(
        self, text: str, calls: int, spent: Array, errors: _Errors, reverse: Estimate | None, losses: Array
    ) -> Outcome:
        return Outcome(
            text,
            calls,
            float(spent.mean()),
            float(spent.max()),
            errors.total,
            errors.total if reverse is None else reverse,
            None,
            self._excess(losses),
            decoding_error=errors.decoding,
            learned_error=errors.learned,
            rows=errors.rows,
        )

    def _excess(self, losses: Array) -> Estimate | None:
        return None if self.entropy is None else Estimate.mean(losses - self.entropy, "unbiased")

    def _candidates(self, text: str, rule: Rule, setting: Setting) -> Outcome:
        """By sums over paths."""
        exact = True

        def forward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            nonlocal exact
            x = self.truths(chunk, count)
            sums = [path_sums(model, rule, setting, x, generator, PATHS) for model in self._models]
            exact = sums[0].exact
            return [self.law.log_probability(x) - found.log_probability for found in sums]

        def backward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            sums = path_sums(self.model, rule, setting, count, generator, PATHS)
            losses = -self.law.log_probability(sums.sequences)
            return [sums.log_probability + losses, sums.calls, losses]

        apart = self.rows(forward, 4, slow=True)
        reverse, spent, losses = self.rows(backward, 5, slow=True)
        kind = "unbiased" if exact else "upper"
        errors = _split(apart, kind, None)
        return self._outcome(text, setting.calls, spent, errors, Estimate.mean(reverse, kind), losses)

    def _sampled(self, text: str, rule: Rule, setting: Setting) -> Outcome:
        """By samples of the output alone."""

        def drawn(chunk: int, count: int, generator: np.random.Generator) -> list[Any]:
            result = sample(self.model, rule, setting.calls, count, generator)
            return [-self.law.log_probability(result.sequences), result.calls, result.sequences]

        losses, spent, sequences = self.rows(drawn, 3, slow=True)
        decoding = self._exact(rule, setting.calls)
        kl = None if self._learned else decoding
        reverse, pairs = kl, None
        if kl is None and len(sequences) >= FEWEST_SLOW:
            bound = reverse_divergence_bound(self.law, sequences.astype(np.int64), LEVEL)
            # Not below 0, which is a bound of every divergence.
            reverse = Estimate(max(bound.value, 0.0), "lower", (max(bound.low, 0.0), max(bound.value, 0.0)))
            true = self.law.sample(2 * len(sequences), np.random.default_rng((self.seed, 6)))
            pairs = pair_distance(sequences, true, self.law.symbols)
        return Outcome(
            text,
            setting.calls,
            float(spent.mean()),
            float(spent.max()),
            kl,
            reverse,
            None,
            self._excess(losses),
            pairs,
            decoding_error=decoding if self._learned else None,
            reason=None if kl is not None else why_no_path(rule),
        )


def pair_distance(sequences: Tokens, reference: Tokens, symbols: int) -> Estimate:
    """Squared distance between the laws of neighbouring pairs (of single tokens where N = 1), mean over the places."""
    width = min(2, sequences.shape[1])
    apart = window_distance(sequences.astype(np.int64), reference, symbols, width, LEVEL)
    return Estimate(apart.value, apart.kind, (apart.low, apart.high))


@dataclass(frozen=True)
class _Errors:
    """KL(p || q), its parts where the conditionals are learned, and the values that it is the mean of."""

    total: Estimate
    decoding: Estimate | None = None
    learned: Estimate | None = None
    rows: Array | None = None


def _split(columns: Sequence[Array], kind: str, exact: Estimate | None) -> _Errors:
    """The errors from divergences along the same sequences: of what is decoded, and of the truth where that differs.

    Args:
        columns: one or two arrays [B].
        kind: of their means.
        exact: the second mean, where it is known.
    """
    total, rows = Estimate.mean(columns[0], kind), columns[0]
    if len(columns) == 1:
        return _Errors(total, rows=rows)
    decoding = Estimate.mean(columns[1], kind) if exact is None else exact
    learned = None
    if "upper" not in (kind, decoding.kind) and np.isfinite(columns[1]).all():
        learned = Estimate.mean(columns[0] - columns[1], kind) if exact is None else _rest(total, exact)
    return _Errors(total, decoding, learned, rows)


def _known(divergence: Array | None) -> Array:
    assert divergence is not None
    return divergence
