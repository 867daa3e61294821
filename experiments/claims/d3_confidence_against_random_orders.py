"""D3: at equal calls the choice of sites decides: the surest ones, spread ones, or random ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.chains.model_spec import ModelSpec
from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.decoding.laws import AT_LENGTH
from experiments.decoding.record import decode_record
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    calls = [count for count in parameters.calls if count < parameters.sites]
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for done, (name, coupling) in enumerate(COUPLINGS.items()):
        progress(done / len(COUPLINGS), name)
        law = AT_LENGTH[name](ModelSpec(name, parameters.sites, parameters.symbols, coupling=coupling))
        record = decode_record(law, DECODERS, calls, samples=parameters.samples, seed=seed)
        found[name] = {
            decoder: [row["kl"] for row in record["decoders"] if row["decoder"] == decoder] for decoder in DECODERS
        }
    rows = [
        [name, count, *(found[name][decoder][index]["value"] for decoder in DECODERS)]
        for name in COUPLINGS
        for index, count in enumerate(calls)
    ]
    data = {"calls": calls, "sites": parameters.sites, "kl": found}
    return Findings(
        _checks(found), Table(["law", "calls", *(f"{name} (nats)" for name in DECODERS)], rows), data, _learned(data)
    )


def _learned(data: Mapping[str, Any]) -> str:
    last = -1

    def value(law: str, decoder: str) -> float:
        return float(data["kl"][law][decoder][last]["value"])

    ratios = [f"{law} {value(law, 'confidence') / value(law, 'random-order'):.3g}" for law in LOCAL]
    ties = value("markov", "confidence") / value("markov", "confidence:ties=random")
    return (
        f"With {data['calls'][last]} calls for {data['sites']} sites confidence costs this many times a random order: "
        + ", ".join(ratios)
        + f"; on the urn {value('urn', 'confidence') / value('urn', 'random-order'):.3g}. On the chain ties to the "
        f"first site cost {ties:.3g} times ties at random; strided steps cost "
        f"{value('markov', 'strided') / value('markov', 'random-order'):.2g} times a random order on the chain and "
        f"{value('copying', 'strided') / value('copying', 'random-order'):.2g} times where a sequence is copied."
    )


def _checks(found: Mapping[str, Mapping[str, list[dict[str, Any]]]]) -> list[Check]:
    level = "95% intervals of both sides"

    def worse(name: str, law: str, first: str, second: str) -> Check:
        """KL of the first decoder minus that of the second is positive at every number of calls."""
        gaps = [
            (better["interval"][0] - bad["interval"][1], better["interval"][1] - bad["interval"][0])
            for bad, better in zip(found[law][first], found[law][second], strict=True)
        ]
        return Check.interval_at_most(
            name, max(gaps, key=lambda gap: gap[1]), 0.0, f"nats, the second minus the first; {level}"
        )

    checks = [
        worse(f"{law}: confidence costs more than a random order", law, "confidence", "random-order") for law in LOCAL
    ]
    checks += [
        worse("markov: a random order costs more than strided steps", "markov", "random-order", "strided"),
        worse("copying: strided steps cost more than a random order", "copying", "strided", "random-order"),
        worse(
            "markov: ties to the first site cost more than ties at random",
            "markov",
            "confidence",
            "confidence:ties=random",
        ),
    ]
    apart = []
    for decoder in DECODERS:
        for one, other in zip(found["urn"][decoder], found["urn"]["random-order"], strict=True):
            width = sum(kl["interval"][1] - kl["interval"][0] for kl in (one, other))
            apart.append((one["value"] - other["value"] - width, one["value"] - other["value"] + width))
    worst = min(apart, key=lambda gap: min(-gap[0], gap[1]))
    detail = f"nats; twice the 95% intervals, the worst of {len(apart)}: false alarm in fewer than 2e-3 of the seeds"
    checks.append(Check.interval_contains("urn: every order costs the same", worst, 0.0, detail))
    return checks


def draw_orders(data: Mapping[str, Any]) -> Figure:
    """KL a site against calls, a panel for each law."""
    laws = data["kl"]
    with style():
        figure, panels = new_figure(2, 3, width=9.6, height=6.0)
        for axes, (law, decoders) in zip(panels, laws.items(), strict=False):
            for index, (decoder, kls) in enumerate(decoders.items()):
                values = np.array([kl["value"] for kl in kls], dtype=float) / data["sites"]
                low, high = np.array([kl["interval"] for kl in kls], dtype=float).T / data["sites"]
                axes.errorbar(
                    data["calls"],
                    values,
                    yerr=[values - low, high - values],
                    marker=MARKERS[index],
                    linestyle=DASHES[index],
                    color=COLOURS[index],
                    capsize=2,
                    label=decoder,
                )
            axes.set(title=law, xlabel="network calls", ylabel="KL(p‖q) (nats a site)", yscale="log")
            axes.set_xscale("log", base=2)
            axes.set_xticks(data["calls"], [str(count) for count in data["calls"]])
        panels[-1].axis("off")
        handles, labels = panels[0].get_legend_handles_labels()
        panels[-1].legend(handles, labels, loc="center")
        ratios = [
            float(laws[law]["confidence"][-1]["value"]) / float(laws[law]["random-order"][-1]["value"]) for law in LOCAL
        ]
        calls, sites = data["calls"][-1], data["sites"]
        urn = float(laws["urn"]["confidence"][-1]["value"]) / float(laws["urn"]["random-order"][-1]["value"])
        headline(
            figure,
            f"{calls} calls, {sites} sites: confidence costs {min(ratios):.2g} to {max(ratios):.2g} times a random "
            f"order where dependence is local, {urn:.2g} times on the urn",
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
