"""C10: conditionals of a trained masked network come from no joint law, and what they sample depends on the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, MARKERS, new_figure, style
from experiments.learned import Learning, learn
from theory.bounds.perturbation import conditional_errors, stationary_distance_bound
from theory.chains import DenseOperator, stationary_law
from theory.conditionals import ConditionalModel, TableConditionals
from theory.divergences import total_variation
from theory.incompatibility import decoding_order_gap, rectangle_test, scan_order_gap, scan_order_laws
from theory.laws import JointLaw, random_ising
from theory.masks import k_uniform, uniform_ratio
from theory.parameters import parameter
from theory.samplers import block_gibbs, metropolis_hastings, systematic_scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-9
"""Rounding allowed in stationary laws and odds of exact conditionals."""

CLEARLY = 1e-3
"""|rho| and total variations above this are far beyond the rounding of a network in float32 (about 1e-6)."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N of the random Ising model", full=5, minimum=2, maximum=9)
    scale: float = parameter(0.4, "standard deviation of fields and couplings", minimum=0.0, maximum=3.0)
    samples: tuple[int, ...] = parameter((300, 3000), "sizes n of the data set", full=(300, 3000, 30_000), minimum=1)
    seeds: int = parameter(3, "data sets and networks for each n", full=6, minimum=2)
    steps: int = parameter(500, "training steps", full=1500, minimum=1)
    width: int = parameter(16, "width of the Transformer", full=32, minimum=2)
    layers: int = parameter(1, "layers of the Transformer", minimum=1)
    orders: int = parameter(6, "random orders of the scan, beside the ascending one", full=20, minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = random_ising(parameters.sites, np.random.default_rng([seed, 1]), parameters.scale)
    generator = np.random.default_rng([seed, 2])
    orders = [tuple(range(parameters.sites))]
    orders += [tuple(int(i) for i in generator.permutation(parameters.sites)) for _ in range(parameters.orders)]
    exact = _measure(TableConditionals(law), law, orders)
    rows = []
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=parameters.steps)
    cases = [(n, index) for n in parameters.samples for index in range(parameters.seeds)]
    for done, (n, index) in enumerate(cases):
        progress(done / len(cases), f"n = {n}, network {index + 1} of {parameters.seeds}")
        conditionals = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index, n)
        rows.append({"samples": n, "seed": index} | _measure(conditionals, law, orders))
    checks = [
        Check.equal(
            "exact conditionals: largest |ρ|, gap between scan orders, distance to p",
            [exact["largest"], exact["order_gap"], max(exact["distances"])],
            0.0,
            ROUNDING,
            "the instruments read zero where there is a joint law",
        ).by_algebra(),
        Check.at_least(
            "learned conditionals: mean |ρ| over all rectangles",
            [row["mean"] for row in rows],
            CLEARLY,
            detail="smallest over all networks; 0 for conditionals of a joint law",
        ),
        Check.at_least(
            "learned conditionals: TV between stationary laws of scans in different orders",
            [row["order_gap"] for row in rows],
            CLEARLY,
            detail="smallest over all networks of the largest over the orders; 0 for conditionals of a joint law",
        ),
        Check.at_most(
            "TV of each scan's stationary law to p is at most Σ e_i t / (1 - δ(Q^t))",
            [row["distances"] for row in rows],
            [row["bounds"] for row in rows],
            ROUNDING,
            "every network and order; e_i from the conditionals, δ from the kernel; "
            f"{np.mean([bound < 1 for row in rows for bound in row['bounds']]):.0%} of the bounds are below 1",
            trivial=1.0,
        ),
        Check.equal(
            "Metropolis-Hastings with the network as proposal: TV of its stationary law to p",
            [row["corrected"] for row in rows],
            0.0,
            ROUNDING,
            "stationary law computed from the matrix",
        ).by_algebra(),
    ]
    columns = [
        "n",
        "network",
        "mean |ρ|",
        "max |ρ|",
        "TV between scan orders",
        "TV to p (worst order)",
        "decoding gap",
        "1-Gibbs: TV to p",
        "KL(p ‖ its law) (nats)",
        "t_mix (steps)",
        "C_AT of its law, at least",
        "C_AT, at most",
    ]
    table = [_row(None, None, exact), *(_row(row["samples"], row["seed"], row) for row in rows)]
    few, many = (
        [float(np.mean([row[name] for row in rows if row["samples"] == n])) for name in ("mean", "order_gap")]
        for n in (min(parameters.samples), max(parameters.samples))
    )
    takeaway = (
        f"No network's conditionals come from a joint law: with {min(parameters.samples)} to {max(parameters.samples)} "
        f"sequences the mean log odds of a rectangle are {few[0]:.2g} to {many[0]:.2g} instead of 0, and what is "
        f"sampled moves with the order of the scan by a total variation of {few[1]:.2g} to {many[1]:.2g}."
    )
    return Findings(checks, Table(columns, table), {"rows": rows, "exact": exact, "orders": orders}, takeaway)


def _measure(conditionals: ConditionalModel, law: JointLaw, orders: list[tuple[int, ...]]) -> dict[str, Any]:
    """Incompatibility of one model and its consequences."""
    from simulators.gmlm.induced import describe

    test = rectangle_test(conditionals)
    laws = scan_order_laws(conditionals, orders)
    error = float(conditional_errors(conditionals, law).sum())
    proposal = metropolis_hastings(conditionals, k_uniform(law.sites, max(1, law.sites // 2)), law)
    corrected = stationary_law(DenseOperator(proposal.to_dense())).law
    masks = k_uniform(law.sites, 1)
    gibbs = describe(DenseOperator(block_gibbs(conditionals, masks).to_dense()), law, masks)
    return {
        "mean": test.mean,
        "largest": test.maximum,
        "order_gap": scan_order_gap(laws),
        "distances": [total_variation(found, law.probabilities) for found in laws],
        "bounds": [
            stationary_distance_bound(systematic_scan(conditionals, [(i,) for i in order]), error) for order in orders
        ],
        "decoding_gap": float(decoding_order_gap(conditionals, (0, law.sites - 1)).mean()),
        "corrected": total_variation(corrected, law.probabilities),
        "gibbs": {
            "distance": gibbs.total_variation,
            "divergence": gibbs.kullback_leibler,
            "mixing": gibbs.mixing_time,
            "tensorization": [gibbs.tensorization.lower, gibbs.tensorization.upper],
        },
    }


def _row(samples: int | None, network: int | None, found: dict[str, Any]) -> list[Any]:
    """A row of the table; without a data set it is the data law's own."""
    names = ("mean", "largest", "order_gap")
    gibbs = found["gibbs"]
    chain = [gibbs[name] for name in ("distance", "divergence", "mixing")]
    consequences = [max(found["distances"]), found["decoding_gap"]]
    return [samples, network, *(found[name] for name in names), *consequences, *chain, *gibbs["tensorization"]]


def _by_samples(rows: list[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    return {n: [row for row in rows if row["samples"] == n] for n in sorted({row["samples"] for row in rows})}


def draw_incompatibility(data: Mapping[str, Any]) -> Figure:
    """Rectangle test and distances against the size of the data set."""
    groups = _by_samples(data["rows"])
    with style():
        figure, (left, right) = new_figure(1, 2)
        for index, (key, label) in enumerate((("largest", "largest |ρ|"), ("mean", "mean |ρ|"))):
            _spread(left, groups, lambda row, key=key: row[key], index, f"measured: {label}")
        left.axhline(0.0, linestyle="--", color="0.4", label="any joint law: 0")
        left.set(ylabel="ln of odds around a rectangle (nats)", xlabel="training sequences n", xscale="log")
        left.set_ylim(bottom=-0.1)
        series = (
            ("TV between scan orders (largest)", lambda row: row["order_gap"]),
            ("TV to the data law (worst order)", lambda row: max(row["distances"])),
        )
        for index, (label, read) in enumerate(series):
            _spread(right, groups, read, index, f"measured: {label}")
        bounds = [np.mean([max(row["bounds"]) for row in rows]) for rows in groups.values()]
        right.plot(list(groups), bounds, "--", color=COLOURS[3], label="bound on TV to the data law (mean)")
        right.set(ylabel="total variation", xlabel="training sequences n", xscale="log", yscale="log")
        for axes in (left, right):
            axes.set_xticks(list(groups), [str(n) for n in groups])
            axes.minorticks_off()
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return figure


def _spread(axes: Any, groups: Mapping[int, Any], read: Any, index: int, label: str) -> None:
    for position, (n, rows) in enumerate(groups.items()):
        values: NDArray[np.float64] = np.array([read(row) for row in rows])
        name = label if position == 0 else None
        axes.plot([n] * len(values), values, MARKERS[index], color=COLOURS[index], label=name, alpha=0.7)


CLAIM = Claim(
    id="C10",
    name="learned-conditionals-are-incompatible",
    title="Conditionals of a trained network come from no joint law, and the scan order decides what is sampled",
    statement=(
        "For positive conditionals p_i(· | x_-i) let ρ be the logarithm of the product of conditional odds around a "
        "2 x 2 cycle of states. Every ρ is 0 exactly if the conditionals have a joint law; then all systematic scans "
        "have the same stationary law. For a masked Transformer trained on samples ρ ≠ 0, and the stationary laws of "
        "scans in different orders differ in total variation. Each lies within Σ_i e_i t / (1 - δ(Q^t)) of the data "
        "law p for every t, where e_i is the mean TV error of the conditional of site i and δ the contraction "
        "coefficient of t sweeps Q. A Metropolis-Hastings correction restores p."
    ),
    source="Arnold and Press 1989; Heckerman et al. 2000; Li et al. 2024 (arXiv:2407.21046), section 4",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "incompatibility",
            "Left: rectangle test of trained networks (markers, one for each), 0 for any joint law (dashed). Right: "
            "distance between the stationary laws of scans in different orders, and to the data law (markers), with "
            "the bound from the errors of the conditionals (dashed).",
            draw_incompatibility,
        ),
    ),
)
