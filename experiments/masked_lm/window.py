"""A window of a real network, exactly: how incompatible it is, which law each sampler has, how long each takes.

Everything is computed from one table of conditionals a mask; the network is not asked again. The record is plain data
from which the figure is drawn.

Legend: ``n`` sites, ``q`` symbols, ``S = q**n`` states.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.files import read_json, write_json
from experiments.masked_lm.chains import analyse, gibbs, redraw, scan
from experiments.masked_lm.decoders import decoder_records
from simulators.masked_lm import Region, WindowConditionals
from simulators.masked_lm.window import rows_of, table_bytes
from theory.cached_conditionals import CachedConditionals
from theory.chains import NotConverged
from theory.conditionals import TemperedConditionals
from theory.decoding import output_law, sequential
from theory.dependence import conditional_mutual_information
from theory.divergences import entropy, kullback_leibler, total_variation
from theory.errors import InvalidInput
from theory.incompatibility import rectangle_test, scan_order_gap, scan_order_laws
from theory.laws.joint import JointLaw
from theory.memory import available_bytes, format_bytes

Array = NDArray[np.float64]
Say = Callable[[str], None]

FORMAT = 1
"""Number of the record's layout; kept results of another one are not read."""
WORKING_VECTORS = 140
"""Vectors over the states that the analyses hold at most, tables of joint blocks included."""


@dataclass(frozen=True)
class Options:
    """What is computed.

    Attributes:
        temperatures: of the samplers, in order; the first is that of scan orders and decoders' reference.
        sizes: mask sizes k of Gibbs.
        decoder_seconds: processor time after which no further decoder is enumerated.
    """

    temperatures: tuple[float, ...] = (1.0,)
    sizes: tuple[int, ...] = (1, 2, 3)
    decoder_seconds: float = 45.0


def cost(region: Region) -> dict[str, Any]:
    """What a window will take, before it is begun: rows of the network, seconds (from one row), bytes."""
    rows, states = rows_of(region.sites, region.symbols), float(region.symbols) ** region.sites
    masked = np.full((1, region.sites), region.symbols)
    region.laws(masked, [0])  # the first row of all pays for what is set up once
    began = time.perf_counter()
    region.laws(masked, [0])
    return {
        "rows": rows,
        "states": int(states),
        "network_seconds": rows * (time.perf_counter() - began),
        "bytes": table_bytes(region.sites, region.symbols) + 8.0 * states * WORKING_VECTORS,
    }


def require_room(found: dict[str, Any]) -> None:
    """Raise unless the analyses would fit into memory.

    Raises:
        InvalidInput: names rows, seconds and memory.
    """
    free = available_bytes()
    if found["bytes"] > free:
        raise InvalidInput(
            "--sites",
            f"{found['states']} states",
            f"{found['rows']} rows of the network, about {found['network_seconds']:.3g} s, and "
            f"{format_bytes(found['bytes'])} would be needed, {format_bytes(free)} are free; fewer sites, or a smaller "
            "--alphabet such as top:8",
        )


def window_record(
    window: WindowConditionals, options: Options, say: Say = lambda text: None, cache: Path | None = None
) -> dict[str, Any]:
    """Everything about a window, as plain data.

    Args:
        window: the network's conditionals.
        options: what is computed.
        say: told what is being done.
        cache: folder in which a finished record is kept, and from which it is read.

    Raises:
        InvalidInput: a mask size outside 1..n.
    """
    for size in options.sizes:
        if not 1 <= size <= window.sites:
            raise InvalidInput("--k", size, f"the window has {window.sites} sites: 1..{window.sites}")
    began = time.perf_counter()
    kept = None if cache is None else _kept_name(cache, window, options)
    known = None if kept is None else read_json(kept)
    if known is not None:
        return {**known, "seconds": time.perf_counter() - began, "rows_asked": 0}
    say(f"{window.rows_missing} of {window.rows} rows of the network")
    window.compute_all()
    record = _computed(window, options, say)
    record["rows_asked"] = window.rows_asked
    record["seconds"] = record["seconds_computed"] = time.perf_counter() - began
    if kept is not None:
        write_json(kept, record)
    return record


def _computed(window: WindowConditionals, options: Options, say: Say) -> dict[str, Any]:
    region = window.region
    conditionals = CachedConditionals(window)
    native = None if region.native is None else _state(region.native, window.symbols)

    def text(state: int) -> str:
        return region.text(np.array(np.unravel_index(state, (window.symbols,) * window.sites)))

    mean, largest = window.outside_mass()
    record: dict[str, Any] = {
        "format": FORMAT,
        "sites": list(region.places),
        "window": region.network.show(region.context[list(region.places)]),
        "symbols": [
            [region.network.show(region.ids[i, a : a + 1]) for a in range(window.symbols)] for i in range(window.sites)
        ],
        "precision": region.network.precision,
        "rows": window.rows,
        "states": window.states,
        "outside_mass": mean,
        "outside_mass_largest": largest,
        "temperatures": list(options.temperatures),
    }
    samplers, laws, curves = [], [], []
    for temperature in options.temperatures:
        tempered = (
            conditionals if temperature == 1 else CachedConditionals(TemperedConditionals(conditionals, temperature))
        )
        plans: list[tuple[str, int]] = [("k-gibbs", size) for size in options.sizes]
        if window.sites > 1:
            plans.append(("systematic-scan", 1))
        for sampler, size in plans:
            say(f"{sampler}, k = {size}, temperature {temperature:g}")
            head = {"sampler": sampler, "k": size, "temperature": temperature}
            try:
                if size == window.sites:
                    found = redraw(tempered.joint_conditional(range(window.sites))[0], text, native)
                else:
                    found = analyse(
                        scan(tempered) if sampler == "systematic-scan" else gibbs(tempered, size), native, text
                    )
            except (NotConverged, InvalidInput) as error:
                # Said in the record; the other samplers are not to blame.
                samplers.append({**head, **_nothing(str(error))})
                continue
            samplers.append({**head, **found.record})
            laws.append((head, found.law))
            curves.append({**head, **found.curve})
    record["samplers"] = samplers
    record["law_distances"] = [
        {"of": one, "to": other, "total_variation": total_variation(p, r)}
        for index, (one, p) in enumerate(laws)
        for other, r in laws[index + 1 :]
        if one["temperature"] == other["temperature"]
    ]
    record["curves"] = curves
    say("incompatibility")
    reference = laws[0][1] if laws else np.full(window.states, 1 / window.states)
    record |= _incompatibility(conditionals, reference, options.temperatures)
    record |= _dependence(JointLaw(reference.reshape((window.symbols,) * window.sites), "stationary law"))
    record["likeliest"] = [
        {"sequence": text(int(state)), "probability": float(reference[state])} for state in np.argsort(-reference)[:8]
    ]
    say("decoders")
    record["decoders_reference"] = laws[0][0] if laws else None
    record["decoders"] = decoder_records(conditionals, reference, options.decoder_seconds, say)
    return record


def _incompatibility(conditionals: CachedConditionals, law: Array, temperatures: Sequence[float]) -> dict[str, Any]:
    sites = conditionals.sites
    if sites < 2:
        return {
            "largest_log_odds": 0.0,
            "mean_log_odds": 0.0,
            "weighted_log_odds": 0.0,
            "scan_order_total_variation": 0.0,
            "order_kl_per_token": 0.0,
        }
    plain, weighted = rectangle_test(conditionals), rectangle_test(conditionals, law)
    forward = output_law(conditionals, sequential(range(sites))).probabilities
    backward = output_law(conditionals, sequential(range(sites)[::-1])).probabilities
    by_temperature: dict[str, float | None] = {}
    for temperature in temperatures:
        tempered = (
            conditionals if temperature == 1 else CachedConditionals(TemperedConditionals(conditionals, temperature))
        )
        try:
            by_temperature[f"{temperature:g}"] = scan_order_gap(
                scan_order_laws(tempered, list(permutations(range(sites))))
            )
        except (NotConverged, InvalidInput):
            by_temperature[f"{temperature:g}"] = None
    return {
        "largest_log_odds": plain.maximum,
        "largest_log_odds_sites": list(plain.sites),
        "mean_log_odds": plain.mean,
        "weighted_log_odds": weighted.mean,
        "rectangles": plain.rectangles,
        "scan_order_total_variation": by_temperature[f"{temperatures[0]:g}"],
        "scan_order_total_variation_by_temperature": by_temperature,
        "order_kl_per_token": kullback_leibler(forward, backward) / sites,
        "order_kl_per_token_reversed": kullback_leibler(backward, forward) / sites,
        "order_total_variation": total_variation(forward, backward),
    }


def _dependence(law: JointLaw) -> dict[str, Any]:
    """Of the first sampler's stationary law, in nats."""
    single = [entropy(law.table.sum(axis=tuple(j for j in range(law.sites) if j != i))) for i in range(law.sites)]
    return {
        "conditional_mutual_information": conditional_mutual_information(law).tolist(),
        "total_correlation": float(sum(single) - entropy(law.probabilities)),
        "entropies": single,
    }


def _nothing(reason: str) -> dict[str, Any]:
    names = ("gap", "absolute_gap", "relaxation_time", "mixing_time", "worst_start", "mixing_time_native")
    return {**dict.fromkeys(names), "mixing_time_is": reason, "modes": [], "traps": 0}


def _state(symbols: NDArray[np.integer], size: int) -> int:
    return int(np.ravel_multi_index(tuple(symbols), (size,) * len(symbols)))


def _kept_name(cache: Path, window: WindowConditionals, options: Options) -> Path:
    key = json.dumps([FORMAT, window.key, options.temperatures, options.sizes, options.decoder_seconds])
    return cache / "records" / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".json")
