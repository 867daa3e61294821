"""D3: at equal calls the choice of sites decides: the surest ones, spread ones, or random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiments.chains.model_spec import ModelSpec
from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.decoding.estimates import LEVEL, Estimate
from experiments.decoding.laws import AT_LENGTH
from experiments.decoding.record import decode_record
from experiments.figures import DASHES, headline, line, logarithmic, marks, new_figure
from experiments.statistics import normal_limit
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECODERS = ("random-order", "strided", "confidence", "confidence:ties=random", "entropy", "left-to-right")

COUPLINGS = {"markov": 2.0, "topic": 1.0, "copying": 1.5, "brackets": 0.0, "urn": 1.0}
"""The laws, the strength of their dependence as in `experiments.decoding.laws`."""

LOCAL = ("markov", "topic", "copying", "brackets")
"""Laws in which some pairs of sites depend on each other more than others."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(32, "sites N", full=128, minimum=8, maximum=512)
    symbols: int = parameter(4, "symbols q", minimum=4, maximum=16)
    calls: tuple[int, ...] = parameter((4, 8), "numbers of calls T", full=(4, 8, 16, 32), minimum=2)
    samples: int = parameter(100, "sequences for each number", full=400, minimum=20)


@dataclass(frozen=True)
class Cost:
    """One decoder at one number of calls: KL(p‖q) in nats, its 95% interval, and what it is the mean of, if of any."""

    rows: NDArray[np.float64] | None
    law: str = heading("law")
    decoder: str = heading("decoder")
    calls: int = heading("calls")
    kl: float = heading("KL(p‖q) (nats)")
    kind: str = heading("which is")
    low: float = heading("from")
    high: float = heading("to")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    calls = [count for count in parameters.calls if count < parameters.sites]
    found: list[Cost] = []
    for done, (name, coupling) in enumerate(COUPLINGS.items()):
        progress(done / len(COUPLINGS), name)
        law = AT_LENGTH[name](ModelSpec(name, parameters.sites, parameters.symbols, coupling=coupling))
        record = decode_record(law, DECODERS, calls, samples=parameters.samples, seed=seed, keep_rows=True)
        for row in record["decoders"]:
            kl = row["kl"]
            found.append(
                Cost(row["rows"], name, row["decoder"], row["calls"], kl["value"], kl["kind"], *kl["interval"])
            )
    costs = [vars(cost) for cost in found]
    data = {"calls": calls, "sites": parameters.sites, "costs": [{**cost, "rows": None} for cost in costs]}
    return Findings(_checks(costs), Table.of(found), data, _learned(costs, parameters.sites))


def _ratio(costs: Sequence[Mapping[str, Any]], law: str, decoder: str, other: str = "random-order") -> float:
    """How many times as much as another a decoder costs, with the most calls."""
    return float(_costs(costs, law, decoder)[-1]["kl"] / _costs(costs, law, other)[-1]["kl"])


def _costs(costs: Sequence[Mapping[str, Any]], law: str, decoder: str) -> list[Mapping[str, Any]]:
    return select(costs, law=law, decoder=decoder)


def _learned(costs: Sequence[Mapping[str, Any]], sites: int) -> str:
    ratios = ", ".join(f"{law} {_ratio(costs, law, 'confidence'):.3g}" for law in LOCAL)
    ties = _ratio(costs, "markov", "confidence", "confidence:ties=random")
    return (
        f"With {costs[-1]['calls']} calls for {sites} sites confidence costs this many times a random order: {ratios}; "
        f"on the urn {_ratio(costs, 'urn', 'confidence'):.3g}. On the chain ties to the first site cost {ties:.3g} "
        f"times ties at random; strided steps cost {_ratio(costs, 'markov', 'strided'):.2g} times a random order on "
        f"the chain and {_ratio(costs, 'copying', 'strided'):.2g} times where a sequence is copied."
    )


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float]:
    """The 95% interval of KL of one decoder less that of another.

    Along the same sequences the differences vary less than either; else it spans both intervals.
    """
    if one["rows"] is None or other["rows"] is None:
        return one["low"] - other["high"], one["high"] - other["low"]
    return Estimate.mean(one["rows"] - other["rows"], "unbiased").interval


def _worse(name: str, costs: Sequence[Mapping[str, Any]], law: str, first: str, second: str) -> Check:
    """KL of the first decoder less that of the second is positive at every number of calls."""
    gaps = [
        _difference(better, bad)
        for bad, better in zip(_costs(costs, law, first), _costs(costs, law, second), strict=True)
    ]
    # A gap on the other side is seen where its whole interval is: it ends 1.96 standard errors from the middle.
    middle, half = (np.array([(high + sign * low) / 2 for low, high in gaps]) for sign in (1, -1))
    with np.errstate(divide="ignore"):
        power = ndtr(normal_limit((1 - LEVEL) / 2) * (np.abs(middle) / half - 1)).min()
    detail = "nats, the second minus the first; 95% intervals, along the same sequences where both are sampled"
    return Check.interval_at_most(f"{law}: {name}", max(gaps, key=lambda gap: gap[1]), 0.0, detail).against(
        "as large a difference the other way", float(power)
    )


def _checks(costs: Sequence[Mapping[str, Any]]) -> list[Check]:
    ties = ("confidence", "confidence:ties=random")
    return [
        *(
            _worse("confidence costs more than a random order", costs, law, "confidence", "random-order")
            for law in LOCAL
        ),
        _worse("a random order costs more than strided steps", costs, "markov", "random-order", "strided"),
        _worse("strided steps cost more than a random order", costs, "copying", "strided", "random-order"),
        _worse("ties to the first site cost more than ties at random", costs, "markov", *ties),
        _alike(costs),
    ]


def _alike(costs: Sequence[Mapping[str, Any]]) -> Check:
    """On the urn every order costs what a random one does, which on the chain is seen to be false."""
    pairs = {
        law: [
            (one, other)
            for decoder in DECODERS
            for one, other in zip(_costs(costs, law, decoder), _costs(costs, law, "random-order"), strict=True)
        ]
        for law in ("urn", "markov")
    }
    widths = [sum(cost["high"] - cost["low"] for cost in pair) for pair in pairs["urn"]]
    gaps = [one["kl"] - other["kl"] for one, other in pairs["urn"]]
    apart = [(gap - width, gap + width) for gap, width in zip(gaps, widths, strict=True)]
    seen = [
        abs(one["kl"] - other["kl"]) > width
        for (one, other), width in zip(pairs["markov"], widths, strict=True)
        if one is not other
    ]
    return Check.interval_contains(
        "urn: every order costs the same",
        min(apart, key=lambda gap: min(-gap[0], gap[1])),
        0.0,
        f"nats; twice the 95% intervals, the worst of {len(apart)}: false alarm in fewer than 2e-3 of the seeds",
    ).against("orders differ as on the chain", float(np.mean(seen)))


def draw_orders(data: Mapping[str, Any]) -> Figure:
    """KL a site against calls, a panel for each law."""
    costs, sites, last = data["costs"], data["sites"], data["calls"][-1]
    figure, panels = new_figure(2, 3, width=9.6, height=6.4)
    for axes, law in zip(panels, COUPLINGS, strict=False):
        own = columns(select(costs, law=law))
        drawn = logarithmic(axes, *(own[name] / sites for name in ("kl", "low", "high")))
        for series, decoder in enumerate(DECODERS):
            found = columns(_costs(costs, law, decoder))
            values, low, high = (drawn(found[name] / sites) for name in ("kl", "low", "high"))
            # Side by side, so that decoders which cost the same do not hide each other.
            calls = found["calls"] * 1.03 ** (series - 2.5)
            marks(axes, calls, values, series, decoder, interval=(low, high), hollow=True)
            line(axes, calls, values, series, dash=DASHES[series])
        axes.set(title=law, xlabel="network calls", ylabel="KL(p‖q) (nats a site)")
        axes.set_xscale("log", base=2)
        axes.set_xticks(data["calls"], [str(count) for count in data["calls"]])
        axes.minorticks_off()
    panels[-1].axis("off")
    panels[-1].legend(*panels[0].get_legend_handles_labels(), loc="center")
    ratios = [_ratio(costs, law, "confidence") for law in LOCAL]
    headline(
        figure,
        f"{last} calls, {sites} sites: confidence costs {min(ratios):.2g} to {max(ratios):.2g} times a random order "
        f"where dependence is local, {_ratio(costs, 'urn', 'confidence'):.2g} times on the urn",
    )
    return figure


CLAIM = Claim(
    id="D3",
    name="confidence-against-random-orders",
    title="Confidence orders cost more than a random order wherever dependence is local",
    statement=(
        "At equal calls and with exact conditionals, revealing the surest sites first, ties to the first site, costs "
        "more KL(p‖q) than a uniformly random order on a Markov chain, a hidden topic over chains, a copied sequence "
        "and matching brackets: sure sites lie beside revealed ones and depend on each other. On an exchangeable law "
        "every order costs the same. Strided steps are nearly free on a chain and worse than random ones where a "
        "sequence is copied: short-ranged laws flatter them. Much of what confidence loses on a chain is lost to ties."
    ),
    source="Kim et al. 2025 (arXiv:2502.06768) and Chang et al. 2022 (arXiv:2202.04200) for the orders",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "orders",
            "KL(p‖q) a site against network calls (marks with 95% intervals: exact or measured along replayed "
            "sequences; random orders and random ties: their upper bound). On the urn theory predicts that all agree.",
            draw_orders,
        ),
    ),
)
