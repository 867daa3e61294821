"""Windows along a sequence: where the order of decoding matters, where sites depend on each other, where they do not.

Every window of w neighbouring sites is opened in turn, the rest of the sequence held as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from simulators.masked_lm import Alphabet, MaskedLM, WindowConditionals
from simulators.masked_lm.window import rows_of
from theory.cached_conditionals import CachedConditionals
from theory.decoding import one_shot, output_law, sequential
from theory.divergences import kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.incompatibility import rectangle_test


def scan_record(
    model: MaskedLM,
    sequence: str,
    sites: Sequence[int],
    size: int,
    alphabet: Alphabet | int,
    cache: Path | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> dict[str, Any]:
    """One row for each window of ``size`` neighbours among some sites, as plain data.

    Raises:
        InvalidInput: a size other than 2 or 3, or fewer sites than that.
    """
    if size not in (2, 3):
        raise InvalidInput("--size", size, "pairs or triples: 2 or 3")
    starts = [site for site in sites if all(site + step in set(sites) for step in range(size))]
    if not starts:
        raise InvalidInput("--sites", f"{len(sites)} sites", f"at least {size} neighbouring ones are needed")
    ids = model.encode(sequence)
    rows = []
    for index, start in enumerate(starts):
        region = model.region(ids, range(start, start + size), alphabet)
        rows.append(_row(WindowConditionals(region, cache=cache), start))
        progress(index + 1, len(starts), rows[-1]["window"])
    symbols = alphabet if isinstance(alphabet, int) else alphabet.size
    return {
        "sequence": model.show(ids),
        "size": size,
        "symbols": symbols,
        "rows": len(starts) * rows_of(size, symbols),
        "windows": rows,
    }


def _row(window: WindowConditionals, start: int) -> dict[str, Any]:
    conditionals = CachedConditionals(window)
    sites = range(window.sites)
    forward = output_law(conditionals, sequential(sites))
    backward = output_law(conditionals, sequential(sites[::-1]))
    together = output_law(conditionals, one_shot(window.sites))
    p, r, product = forward.probabilities, backward.probabilities, together.probabilities
    odds, weighted = rectangle_test(conditionals), rectangle_test(conditionals, p)
    region = window.region
    own = list(region.places)
    return {
        "start": start,
        "window": region.network.show(region.context[own]),
        "largest_log_odds": odds.maximum,
        "weighted_log_odds": weighted.mean,
        "order_total_variation": total_variation(p, r),
        "order_kl_per_token": kullback_leibler(p, r) / window.sites,
        # What the tokens of one parallel call do not know of each other.
        "parallel_total_variation": total_variation(p, product),
        "total_correlation": kullback_leibler(p, product),
        "outside_mass": window.outside_mass()[0],
    }
