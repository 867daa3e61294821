"""Which options of a decoder are best: a search over a grid, on a law or a network, at a given number of calls.

All settings see the same sequences, so that they are compared better than their intervals say. The least KL(p || q) is
sought; on a network whose law is not known the least E_p[-ln q(x)] over held-out sequences, which is KL(p || q) + H(p).
Settings without either (remasking) come last, by their lower bounds of KL(q || p), or by the distance of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby, product
from typing import Any

import numpy as np

from experiments.decoding.estimates import Estimate
from experiments.decoding.network_study import HeldOut
from experiments.decoding.record import decode_record, require_fit
from theory.decoding.registry import parse
from theory.decoding.rule import Predictor
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw

MOST = 2000
"""Settings of one search."""


def best_settings(
    law: JointLaw | SequenceLaw | HeldOut,
    decoder: str,
    options: Mapping[str, Sequence[str]],
    calls: Sequence[int],
    *,
    network: Predictor | None = None,
    samples: int = 0,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """The record of `decode_record` with its decoders ranked, the best first, for each number of calls.

    Each has ``behind`` too: the mean difference, sequence by sequence, of its number to that of the best (an
    `Estimate`), None for the best itself and where either is a bound or no mean over sequences.

    Args:
        law: p; or a network with held-out sequences.
        decoder: a rule, with options that stay as they are.
        options: values to try, by option.
        calls: numbers of calls T.
        network, samples, seed, progress: as in `decode_record`.

    Raises:
        InvalidInput: nothing to try, too many settings, an unknown option, or no setting that fits.
    """
    if not options:
        raise InvalidInput("try", "nothing", "give an option and its values, such as temperature=0.5,1,2")
    count = 1
    for values in options.values():
        count *= len(values)
    if count > MOST:
        raise InvalidInput("try", f"{count} settings", f"at most {MOST} can be searched")
    texts, refused = [], None
    for values in product(*options.values()):
        named = ",".join(f"{name}={value}" for name, value in zip(options, values, strict=True))
        text = f"{decoder}{',' if ':' in decoder else ':'}{named}"
        parse(text)
        try:
            require_fit(law, text, calls, network)
        except InvalidInput as error:
            refused = error
            continue
        texts.append(text)
    if not texts:
        assert refused is not None
        raise refused
    record = decode_record(
        law, texts, calls, network=network, samples=samples, seed=seed, progress=progress, keep_rows=True
    )
    record["decoders"].sort(key=lambda row: (row["calls"], *_rank(row)))
    for _, group in groupby(record["decoders"], key=lambda row: row["calls"]):
        first, *others = group
        first["behind"] = None
        for row in others:
            row["behind"] = _behind(row, first)
    for row in record["decoders"]:
        del row["rows"]
    return record


def _behind(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any] | None:
    one, other = row["rows"], first["rows"]
    if one is None or other is None or any((r["kl"] or r["loss"])["kind"] != "unbiased" for r in (row, first)):
        return None
    # Rows are added until a number is known well enough, so that some settings have more of them.
    shared = min(len(one), len(other))
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    return asdict(Estimate.mean(one[:shared] - other[:shared], "unbiased"))


def _rank(row: Mapping[str, Any]) -> tuple[int, float]:
    for level, name in enumerate(("kl", "loss", "reverse_kl", "pair_distance")):
        if row[name] is not None:
            return level, float(row[name]["value"])
    return 4, 0.0
