"""What steps of a chain do to a decoder's output law: the third part of claim D5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, columns, select
from experiments.figures import DASHES, headline, line, logarithmic, marks, new_figure
from theory.chains import stationary_law
from theory.conditionals import TableConditionals
from theory.decoding.enumeration import decode
from theory.decoding.registry import parse
from theory.decoding.tables import KnownLaw
from theory.divergences import kullback_leibler, total_variation
from theory.laws import JointLaw
from theory.masks import k_uniform
from theory.samplers import block_gibbs, k_parallel, metropolis_hastings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-12
"""Rounding allowed in divergences and distances of laws that are equal, and in calls."""

SMALLEST_DRAWN = 1e-6
"""Errors up to this many nats are drawn as zero."""

CHAIN_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""Steps of a chain after a decoder."""

CHAINS = {"k-gibbs": block_gibbs, "metropolis-hastings": metropolis_hastings, "k-parallel": k_parallel}

LIMIT = 1e-4
"""Largest total variation between k-parallel's law after the last of `CHAIN_STEPS` and its stationary law."""


@dataclass(frozen=True)
class Chain:
    """KL(q‖p) in nats after `CHAIN_STEPS` of a chain on a decoder's output, enumerated and by its matrix.

    Attributes:
        apart: total variation of the two laws.
        limit: KL(q‖p) of the chain's stationary law.
        to_limit, to_truth: total variation of the last law to that law and to p.
        from_truth: KL(q‖p) after one step from p.
    """

    first: str
    chain: str
    measured: list[float]
    predicted: list[float]
    apart: list[float]
    limit: float
    to_limit: float
    to_truth: float
    from_truth: float


def chain_on(law: JointLaw, first: str, name: str, k: int) -> Chain:
    model, masks = KnownLaw(law), k_uniform(law.sites, min(k, law.sites))
    truth = law.probabilities
    matrix = CHAINS[name](TableConditionals(law), masks).to_dense()
    start = decode(model, parse(first), law.sites).law.probabilities
    measured, predicted, apart = [], [], []
    for count in CHAIN_STEPS:
        text = f"{first}+{name}:k={min(k, law.sites)},times={count}" if count else first
        enumerated = decode(model, parse(text), law.sites).law.probabilities
        expected = start @ np.linalg.matrix_power(matrix, count)
        measured.append(kullback_leibler(enumerated, truth))
        predicted.append(kullback_leibler(expected, truth))
        apart.append(total_variation(enumerated, expected))
    limit = stationary_law(matrix).law
    last = (total_variation(enumerated, limit), total_variation(enumerated, truth))
    ends = kullback_leibler(limit, truth), *last, kullback_leibler(truth @ matrix, truth)
    return Chain(first, name, measured, predicted, apart, *ends)


def chain_checks(chains: Sequence[Chain]) -> list[Check]:
    """The checks of this part."""
    reversible = columns([chain for chain in chains if chain.chain != "k-parallel"])
    parallel = columns([chain for chain in chains if chain.chain == "k-parallel"])
    return [
        Check.at_most(
            "chain steps: total variation between the enumerated law and the chain's matrix power",
            [chain.apart for chain in chains],
            0.0,
            ROUNDING,
        ).by_algebra(),
        Check.at_most(
            "k-Gibbs and Metropolis-Hastings steps never raise KL(q‖p)",
            np.diff(reversible["measured"], axis=1),
            0.0,
            ROUNDING,
            "nats; from one number of steps to the next",
        ).against("a step of k-parallel from p", share(parallel["from_truth"] > ROUNDING)),
        Check.at_most(
            "k-parallel steps end in their own stationary law: total variation",
            parallel["to_limit"],
            LIMIT,
            0.0,
            f"after {CHAIN_STEPS[-1]} steps",
        ).against("they end in p", share(parallel["to_truth"] > LIMIT)),
        Check.at_least(
            "which is not p: KL(q‖p) that no number of steps removes",
            parallel["measured"][:, -1],
            0.5 * parallel["limit"],
            0.0,
            "nats, against half of that of the stationary law",
        ).against(
            "steps of k-Gibbs or Metropolis-Hastings",
            share(reversible["measured"][:, -1] < 0.5 * parallel["limit"].min()),
        ),
    ]


def share(rejected: Iterable[bool]) -> float:
    """Of the cases that reject an alternative."""
    return float(np.mean(list(rejected)))


def draw_chains(data: Mapping[str, Any]) -> Figure:
    """What steps of a chain do to the output of two decoders."""
    positions = range(len(CHAIN_STEPS))
    figure, panels = new_figure(1, 2, width=9.0, height=4.2)
    for axes, first in zip(panels, ("one-shot", "llada"), strict=True):
        chains = select(data["chains"], first=first)
        drawn = logarithmic(axes, *(chain["measured"] for chain in data["chains"]), floor=SMALLEST_DRAWN)
        for series, chain in enumerate(chains):
            marks(axes, positions, drawn(chain["measured"]), series, f"{chain['chain']}, enumerated", hollow=True)
            label = None if series else "lines: predicted by the chain's matrix"
            line(axes, positions, drawn(chain["predicted"]), series, label, dash=DASHES[series])
        (parallel,) = select(chains, chain="k-parallel")
        axes.axhline(parallel["limit"], color="grey", linestyle=":", label="k-parallel's stationary law")
        axes.set(xlabel="steps of the chain", title=f"after {first}, {data['laws'][1]}")
        axes.set_xticks(positions, [str(count) for count in CHAIN_STEPS])
    panels[0].set_ylabel("KL(q‖p) of the output law (nats)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    ends: dict[str, list[float]] = {}
    for chain in data["chains"]:
        ends.setdefault(chain["chain"], []).append(chain["measured"][-1])
    left = ", ".join(f"{_left(max(values))} ({name})" for name, values in ends.items())
    headline(figure, f"What {CHAIN_STEPS[-1]} steps of a chain leave of a decoder's KL(q‖p): {left}")
    return figure


def _left(nats: float) -> str:
    return f"at most {SMALLEST_DRAWN:g} nats" if nats <= SMALLEST_DRAWN else f"{nats:.2g} nats"
