"""The record behind ``gmlm decode``: decoders, numbers of calls, and what `experiments.decoding.studies` finds.

Legend: ``N`` sites, ``T`` calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from experiments.decoding.estimates import LEVEL
from experiments.decoding.network_study import HeldOut, NetworkStudy
from experiments.decoding.studies import LengthStudy, Outcome, Study, TableStudy
from theory.blas import one_blas_thread
from theory.decoding.registry import RULES, parse
from theory.decoding.rule import Predictor, Rule
from theory.errors import ExceedsMemory, InvalidInput
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw
from theory.samplers.threads import run_tasks, thread_count

Progress = Callable[[int, int, str], None]


def decode_record(
    law: JointLaw | SequenceLaw | HeldOut,
    decoders: Sequence[str],
    calls: Sequence[int],
    *,
    network: Predictor | None = None,
    samples: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    keep_rows: bool = False,
) -> dict[str, Any]:
    """The record: law, sites, symbols, entropy (nats, whole sequence), decoders, skipped.

    Args:
        law: p; or a network with held-out sequences.
        decoders: rules with their options; ``all`` stands for every rule with its defaults, those that do not fit the
            law left out (and named under ``skipped``).
        calls: numbers of calls T.
        network: conditionals learned from p, which are decoded in place of the true ones.
        samples: rows for sampled numbers; 0: as many as the intervals need.
        seed: of all samples.
        progress: told how many of how many cells are done, and the last one.
        keep_rows: leave `Outcome.rows` in the record, which is then no plain data.

    Raises:
        InvalidInput: an unknown decoder or option, or one that does not fit the law or the calls.
        ExceedsMemory: no decoder fits. Where another does, the row of one that does not has a reason and no numbers.
    """
    require_known(decoders, calls, law.sites)
    if samples < 0 or samples == 1:
        raise InvalidInput("samples", samples, "at least 2 are needed for an interval")
    study = study_of(law, network, samples, seed)
    cells, skipped = _cells(study, decoders, calls)
    found: list[Outcome | None] = [None] * len(cells)
    refused: list[ExceedsMemory] = []
    done = 0

    def task(index: int, thread: int) -> None:
        nonlocal done
        text, rule, count = cells[index]
        try:
            found[index] = study.outcome(text, rule, count)
        except ExceedsMemory as error:
            refused.append(error)
            found[index] = Outcome(text, count, reason=str(error))
        done += 1
        if progress is not None:
            progress(done, len(cells), f"{text}, {count} calls")

    with one_blas_thread():
        run_tasks(task, len(cells), thread_count())
    if len(refused) == len(cells) > 0:
        raise refused[0]
    outcomes = [outcome for outcome in found if outcome is not None]
    # A rule that does not read the calls is decoded once and listed for each.
    listed = [
        {**asdict(outcome), "calls": count}
        for outcome, (_, rule, first) in zip(outcomes, cells, strict=True)
        for count in ([first] if rule.reads_calls else calls)
    ]
    for row in listed if not keep_rows else ():
        del row["rows"]
    return {
        "law": law.name,
        "learned": network is not None,
        "sites": law.sites,
        "symbols": law.symbols,
        "entropy": study.entropy,
        "level": LEVEL,
        "seed": seed,
        "decoders": listed,
        "skipped": skipped,
    }


def require_known(decoders: Sequence[str], calls: Sequence[int], sites: int) -> None:
    """Refuse what no law or network of N sites allows.

    Raises:
        InvalidInput: no decoder, an unknown one or an unknown option, or calls outside 1..N.
    """
    if not decoders:
        raise InvalidInput("decoder", "none", "at least one is needed; " + ", ".join(RULES) + " or all")
    for text in decoders:
        if text.strip() != "all":
            parse(text)
    for count in calls:
        if not 1 <= count <= sites:
            raise InvalidInput("calls", count, f"1 to {sites}, the number of sites")


def _cells(
    study: Study, decoders: Sequence[str], calls: Sequence[int]
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


def require_fit(
    law: JointLaw | SequenceLaw | HeldOut, decoder: str, calls: Sequence[int], network: Predictor | None = None
) -> None:
    """Refuse a decoder that does not fit the law or the calls, before anything is decoded.

    Raises:
        InvalidInput: as `decode_record`.
    """
    _cells(study_of(law, network, 0, 0), [decoder], calls)


def study_of(
    law: JointLaw | SequenceLaw | HeldOut, network: Predictor | None, samples: int, seed: int
) -> TableStudy | LengthStudy | NetworkStudy:
    """The study of a law, with learned conditionals or its own, or of a network with held-out sequences.

    Raises:
        InvalidInput: a network of another size than the law.
        ExceedsMemory: the token laws do not fit.
    """
    if isinstance(law, HeldOut):
        return NetworkStudy(law, samples, seed)
    if network is not None and (network.sites, network.symbols) != (law.sites, law.symbols):
        found, needed = (f"{model.sites} sites, {model.symbols} symbols" for model in (network, law))
        raise InvalidInput("network", found, f"{needed} are needed, as the law has")
    return TableStudy(law, network) if isinstance(law, JointLaw) else LengthStudy(law, samples, seed, network)
