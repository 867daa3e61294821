"""Which options of a decoder are best: a search over a grid, on a law, at a given number of calls.

All settings see the same sequences of the law, so that they are compared better than their intervals say. The
least KL(p || q) is sought; settings without one (remasking) are ranked by their lower bounds of KL(q || p), last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from experiments.decoding.record import decode_record, require_fit
from theory.decoding.registry import parse
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.laws.length import SequenceLaw

MOST = 2000
"""Settings of one search."""


def best_settings(
    law: JointLaw | SequenceLaw,
    decoder: str,
    options: Mapping[str, Sequence[str]],
    calls: Sequence[int],
    *,
    samples: int = 0,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> dict[str, Any]:
    """The record of `decode_record` with its decoders ranked, the best first, for each number of calls.

    Args:
        law: p.
        decoder: a rule, with options that stay as they are.
        options: values to try, by option.
        calls: numbers of calls T.
        samples, seed, progress: as in `decode_record`.

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
            require_fit(law, text, calls)
        except InvalidInput as error:
            refused = error
            continue
        texts.append(text)
    if not texts:
        assert refused is not None
        raise refused
    record = decode_record(law, texts, calls, samples=samples, seed=seed, progress=progress)
    record["decoders"].sort(key=lambda row: (row["calls"], *_rank(row)))
    return record


def _rank(row: Mapping[str, Any]) -> tuple[bool, float]:
    found = row["kl"] or row["reverse_kl"]
    return row["kl"] is None, float("inf") if found is None else float(found["value"])
