"""What decoders do to a law: the record behind ``gmlm decode``.

Every number says what it is:

    exact       by enumeration, or by a formula
    unbiased    a mean over samples; the interval covers the true value in 95% of the runs
    upper       a bound from above (where it is a mean over samples, the interval is that of the bound)
    lower       a bound from below

On a table every decoder is enumerated. At length, rules whose sites do not depend on tokens drawn with them are
replayed: KL(p || q) along sequences drawn from p, the same for all decoders, and KL(q || p) along sequences drawn by
the decoder; for random orders these bound the divergences of the mixture over orders from above. Rules that keep the
best drawn candidates are summed over their paths in blocks of at most 12 sites, and bounded from above in wider ones.
For other rules there remain a lower bound of KL(q || p); E_q[-ln p] - H(p), which is no divergence: 0 for the truth,
negative where a decoder makes text that is too likely; and the squared distance of the laws of neighbouring pairs.

Without a number of samples, rows are added until the half-width of the interval falls below `TARGET` nats a site.

Legend: ``N`` sites, ``T`` calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import student_limit
from theory.blas import one_blas_thread
from theory.decoding.candidate_paths import keeps_candidates, path_sums
from theory.decoding.enumeration import decode, divergences
from theory.decoding.known_sequence import KnownSequence, exact_divergence
from theory.decoding.registry import RULES, parse
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Rule, Setting
from theory.decoding.sampled_estimates import reverse_divergence_bound, window_distance
from theory.decoding.sampling import sample
from theory.decoding.tables import KnownLaw
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import MarkovLaw, SequenceLaw
from theory.memory import require_memory
from theory.samplers.threads import run_tasks, thread_count

Array = NDArray[np.float64]
Progress = Callable[[int, int, str], None]

LEVEL = 0.95
ROUNDING = 1e-10
"""Nats of a whole sequence below which a number is zero up to rounding."""

TARGET = 0.0014
"""Half-width of the interval of KL(p || q), in nats a site, at which no more rows are added."""

FEWEST, MOST = 64, 1024
"""Rows without a number of samples, for laws whose conditionals are cheap."""

FEWEST_SLOW, MOST_SLOW = 24, 48
"""The same for laws whose every call is a sweep over contexts or hidden states."""

PATHS = 4
"""Paths that a bound by weighted paths is the mean of."""

ROWS = 32
"""Rows at a time: the token laws of 32 sequences of 1,024 sites over 65 symbols take 17 MB."""


@dataclass(frozen=True)
class Estimate:
    """A number, what it is, and the interval of what was estimated (both ends alike where that is exact)."""

    value: float
    kind: str
    interval: tuple[float, float]

    @staticmethod
    def exact(value: float, kind: str = "exact") -> Estimate:
        value = 0.0 if abs(value) < ROUNDING else value
        return Estimate(value, kind, (value, value))

    @staticmethod
    def mean(values: Array, kind: str) -> Estimate:
        """The mean of independent values; where one is infinite, so is what they estimate."""
        if np.isinf(values).any():
            return Estimate.exact(math.inf, "exact" if kind == "unbiased" else kind)
        if np.abs(values).max() < ROUNDING:
            return Estimate.exact(0.0, kind)
        center = float(values.mean())
        width = half_width(values)
        return Estimate(center, kind, (center - width, center + width))


def half_width(values: Array) -> float:
    """Half the length of the interval for the mean; 0 where more values would say nothing (one is infinite)."""
    if np.isinf(values).any():
        return 0.0
    if len(values) < 2:
        return math.inf
    return student_limit((1 - LEVEL) / 2, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))


@dataclass(frozen=True)
class Outcome:
    """One decoder at one number of calls; divergences in nats for the whole sequence, None where there is no number."""

    decoder: str
    calls: int
    expected_calls: float
    worst_calls: float
    kl: Estimate | None
    reverse_kl: Estimate | None
    total_variation: Estimate | None
    excess_loss: Estimate | None
    pair_distance: Estimate | None = None


def decode_record(
    law: JointLaw | SequenceLaw,
    decoders: Sequence[str],
    calls: Sequence[int],
    *,
    samples: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The record: law, sites, symbols, entropy (nats, whole sequence), decoders, skipped.

    Args:
        law: p.
        decoders: rules with their options; ``all`` stands for every rule with its defaults, those that do not fit the
            law left out (and named under ``skipped``).
        calls: numbers of calls T.
        samples: rows for sampled numbers; 0: as many as the intervals need.
        seed: of all samples.
        progress: told how many of how many cells are done, and the last one.

    Raises:
        InvalidInput: an unknown decoder or option, or one that does not fit the law or the calls.
    """
    if not decoders:
        raise InvalidInput("decoder", "none", "at least one is needed; " + ", ".join(RULES) + " or all")
    for count in calls:
        if not 1 <= count <= law.sites:
            raise InvalidInput("calls", count, f"1 to {law.sites}, the number of sites")
    if samples < 0 or samples == 1:
        raise InvalidInput("samples", samples, "at least 2 are needed for an interval")
    study = TableStudy(law) if isinstance(law, JointLaw) else LengthStudy(law, samples, seed)
    cells, skipped = _cells(study, decoders, calls)
    found: list[Outcome | None] = [None] * len(cells)
    done = 0

    def task(index: int, thread: int) -> None:
        nonlocal done
        text, rule, count = cells[index]
        found[index] = study.outcome(text, rule, count)
        done += 1
        if progress is not None:
            progress(done, len(cells), f"{text}, {count} calls")

    with one_blas_thread():
        run_tasks(task, len(cells), thread_count())
    outcomes = [outcome for outcome in found if outcome is not None]
    # A rule that does not read the calls is decoded once and listed for each.
    listed = [
        {**asdict(outcome), "calls": count}
        for outcome, (_, rule, first) in zip(outcomes, cells, strict=True)
        for count in ([first] if rule.reads_calls else calls)
    ]
    return {
        "law": law.name,
        "sites": law.sites,
        "symbols": law.symbols,
        "entropy": study.entropy,
        "level": LEVEL,
        "seed": seed,
        "decoders": listed,
        "skipped": skipped,
    }


def _cells(
    study: TableStudy | LengthStudy, decoders: Sequence[str], calls: Sequence[int]
) -> tuple[list[tuple[str, Rule, int]], list[dict[str, str]]]:
    """What is to be decoded, everything checked beforehand."""
    cells, skipped = [], []
    named = {text.strip() for text in decoders}
    every = [name for given in decoders for name in (RULES if given.strip() == "all" else [given.strip()])]
    for text in dict.fromkeys(every):
        rule = parse(text)
        try:
            for count in calls if rule.reads_calls else calls[:1]:
                study.check(rule, count)
                cells.append((text, rule, count))
        except InvalidInput as error:
            if text in named:
                raise
            cells = [cell for cell in cells if cell[0] != text]
            skipped.append({"decoder": text, "reason": str(error)})
    return cells, skipped


def require_fit(law: JointLaw | SequenceLaw, decoder: str, calls: Sequence[int]) -> None:
    """Refuse a decoder that does not fit the law or the calls, before anything is decoded.

    Raises:
        InvalidInput: as `decode_record`.
    """
    study = TableStudy(law) if isinstance(law, JointLaw) else LengthStudy(law, 0, 0)
    _cells(study, [decoder], calls)


class TableStudy:
    """Decoders on a table: enumerated."""

    def __init__(self, law: JointLaw) -> None:
        self.law, self.model = law, KnownLaw(law)
        self.entropy: float | None = law.entropy()

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        rule.steps(Setting.of(self.model, calls))

    def outcome(self, text: str, rule: Rule, calls: int) -> Outcome:
        """Everything exact."""
        output = decode(self.model, rule, calls)
        apart = divergences(self.law, output.law)
        with np.errstate(divide="ignore"):
            logs = np.log(self.law.probabilities)
        made = output.law.probabilities > 0
        excess = -float(output.law.probabilities[made] @ logs[made]) - self.law.entropy()
        return Outcome(
            text,
            calls,
            output.expected_calls,
            output.worst_calls,
            Estimate.exact(apart.kl),
            Estimate.exact(apart.reverse_kl),
            Estimate.exact(apart.total_variation),
            Estimate.exact(excess),
        )


class LengthStudy:
    """Decoders on a law at length: replayed where they can be, else sampled."""

    def __init__(self, law: SequenceLaw, samples: int, seed: int) -> None:
        self.law, self.model, self.samples, self.seed = law, KnownSequence(law), samples, seed
        self.entropy = law.entropy
        rows = 3.0 * ROWS * law.sites * law.symbols * 8 * thread_count()
        require_memory(rows, "sites", law.sites, f"the token laws of {ROWS} sequences at a time")
        cheap = isinstance(law, MarkovLaw) and law.markov_order == 1
        self._limits = (FEWEST, MOST) if cheap else (FEWEST_SLOW, MOST_SLOW)

    def check(self, rule: Rule, calls: int) -> None:
        """Refuse what does not fit."""
        if rule.needs == "noise":
            raise InvalidInput("decoder", rule.name, "needs scores under noise, which only tables have")
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
        exact = exact_divergence(self.model, rule, calls)

        def forward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            x = self.truths(chunk, count)
            return [_known(replay(self.model, rule, setting, x, generator, self.law).divergence)]

        def backward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            drawn = replay(self.model, rule, setting, count, generator, self.law)
            return [_known(drawn.divergence), drawn.calls, -self.law.log_probability(drawn.sequences)]

        if exact is None:
            kl = Estimate.mean(self.rows(forward, 1)[0], kind)
        else:
            kl = Estimate.exact(exact[0], "exact" if exact[1] else "upper")
        reverse, spent, losses = self.rows(backward, 2)
        return Outcome(
            text,
            calls,
            float(spent.mean()),
            float(spent.max()),
            kl,
            # Where q = p, both are zero.
            Estimate.exact(0.0) if kl == Estimate.exact(0.0) else Estimate.mean(reverse, kind),
            None,
            self._excess(losses),
        )

    def _excess(self, losses: Array) -> Estimate | None:
        return None if self.entropy is None else Estimate.mean(losses - self.entropy, "unbiased")

    def _candidates(self, text: str, rule: Rule, setting: Setting) -> Outcome:
        """By sums over paths."""
        exact = True

        def forward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            nonlocal exact
            x = self.truths(chunk, count)
            sums = path_sums(self.model, rule, setting, x, generator, PATHS)
            exact = sums.exact
            return [self.law.log_probability(x) - sums.log_probability]

        def backward(chunk: int, count: int, generator: np.random.Generator) -> list[Array]:
            sums = path_sums(self.model, rule, setting, count, generator, PATHS)
            losses = -self.law.log_probability(sums.sequences)
            return [sums.log_probability + losses, sums.calls, losses]

        apart = self.rows(forward, 4, slow=True)[0]
        reverse, spent, losses = self.rows(backward, 5, slow=True)
        kind = "unbiased" if exact else "upper"
        return Outcome(
            text,
            setting.calls,
            float(spent.mean()),
            float(spent.max()),
            Estimate.mean(apart, kind),
            Estimate.mean(reverse, kind),
            None,
            self._excess(losses),
        )

    def _sampled(self, text: str, rule: Rule, setting: Setting) -> Outcome:
        """By samples of the output alone."""

        def drawn(chunk: int, count: int, generator: np.random.Generator) -> list[Any]:
            result = sample(self.model, rule, setting.calls, count, generator)
            return [-self.law.log_probability(result.sequences), result.calls, result.sequences]

        losses, spent, sequences = self.rows(drawn, 3, slow=True)
        kl = reverse = pairs = None
        exact = exact_divergence(self.model, rule, setting.calls)
        if exact is not None:
            kl = reverse = Estimate.exact(exact[0])
        elif len(sequences) >= FEWEST_SLOW:
            bound = reverse_divergence_bound(self.law, sequences.astype(np.int64), LEVEL)
            # Not below 0, which is a bound of every divergence.
            reverse = Estimate(max(bound.value, 0.0), "lower", (max(bound.low, 0.0), max(bound.value, 0.0)))
            true = self.law.sample(2 * len(sequences), np.random.default_rng((self.seed, 6)))
            apart = window_distance(sequences.astype(np.int64), true, self.law.symbols, min(2, self.law.sites), LEVEL)
            pairs = Estimate(apart.value, apart.kind, (apart.low, apart.high))
        calls, worst = float(spent.mean()), float(spent.max())
        return Outcome(text, setting.calls, calls, worst, kl, reverse, None, self._excess(losses), pairs)


def _known(divergence: Array | None) -> Array:
    assert divergence is not None
    return divergence
