"""C10: conditionals of a trained masked network come from no joint law, and what they sample depends on the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading
from experiments.figures import headline, line, logarithmic, marks, new_figure
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


@dataclass(frozen=True)
class Row:
    """Incompatibility of one network, or without a data set of the data law's own conditionals, and its consequences.

    ``distances`` and ``bounds`` are for every order of the scan.
    """

    distances: list[float]
    bounds: list[float]
    corrected: float
    samples: int | None = heading("n")
    network: int | None = heading("network")
    mean: float = heading("mean |ρ|")
    largest: float = heading("max |ρ|")
    order_gap: float = heading("TV between scan orders")
    worst_distance: float = heading("TV to p (worst order)")
    decoding_gap: float = heading("decoding gap")
    gibbs_distance: float = heading("1-Gibbs: TV to p")
    gibbs_divergence: float = heading("KL(p ‖ its law) (nats)")
    gibbs_mixing: float = heading("t_mix (steps)")
    tensorization_lower: float = heading("C_AT of its law, at least")
    tensorization_upper: float = heading("C_AT, at most")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = random_ising(parameters.sites, np.random.default_rng([seed, 1]), parameters.scale)
    generator = np.random.default_rng([seed, 2])
    orders = [tuple(range(parameters.sites))]
    orders += [tuple(int(i) for i in generator.permutation(parameters.sites)) for _ in range(parameters.orders)]
    exact = _measure(TableConditionals(law), law, orders, None, None)
    rows = []
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=parameters.steps)
    cases = [(n, index) for n in parameters.samples for index in range(parameters.seeds)]
    for done, (n, index) in enumerate(cases):
        progress(done / len(cases), f"n = {n}, network {index + 1} of {parameters.seeds}")
        conditionals = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index, n)
        rows.append(_measure(conditionals, law, orders, n, index))
    found = columns(rows)
    rejected = ("conditionals of a joint law", float(max(exact.mean, exact.order_gap) < CLEARLY))
    checks = [
        Check.equal(
            "exact conditionals: largest |ρ|, gap between scan orders, distance to p",
            [exact.largest, exact.order_gap, exact.worst_distance],
            0.0,
            ROUNDING,
            "the instruments read zero where there is a joint law",
        ).by_algebra(),
        Check.at_least(
            "learned conditionals: mean |ρ| over all rectangles",
            found["mean"],
            CLEARLY,
            detail="smallest over all networks; 0 for conditionals of a joint law",
        ).against(*rejected),
        Check.at_least(
            "learned conditionals: TV between stationary laws of scans in different orders",
            found["order_gap"],
            CLEARLY,
            detail="smallest over all networks of the largest over the orders; 0 for conditionals of a joint law",
        ).against(*rejected),
        Check.at_most(
            "TV of each scan's stationary law to p is at most Σ e_i t / (1 - δ(Q^t))",
            found["distances"],
            found["bounds"],
            ROUNDING,
            "every network and order; e_i from the conditionals, δ from the kernel; "
            f"{np.mean(found['bounds'] < 1):.0%} of the bounds are below 1",
            trivial=1.0,
            wrong=("a tenth of the bound", found["bounds"] / 10),
        ),
        Check.equal(
            "Metropolis-Hastings with the network as proposal: TV of its stationary law to p",
            found["corrected"],
            0.0,
            ROUNDING,
            "stationary law computed from the matrix",
        ).by_algebra(),
    ]
    few, many = (
        [float(found[name][found["samples"] == n].mean()) for name in ("mean", "order_gap")]
        for n in (min(parameters.samples), max(parameters.samples))
    )
    takeaway = (
        f"No network's conditionals come from a joint law: with {min(parameters.samples)} to {max(parameters.samples)} "
        f"sequences the mean log odds of a rectangle are {few[0]:.2g} to {many[0]:.2g} instead of 0, and what is "
        f"sampled moves with the order of the scan by a total variation of {few[1]:.2g} to {many[1]:.2g}."
    )
    data = {"rows": rows, "exact": exact, "orders": orders}
    return Findings(checks, Table.of([exact, *rows]), data, takeaway)


def _measure(
    conditionals: ConditionalModel,
    law: JointLaw,
    orders: list[tuple[int, ...]],
    samples: int | None,
    network: int | None,
) -> Row:
    from simulators.gmlm.induced import describe

    test = rectangle_test(conditionals)
    laws = scan_order_laws(conditionals, orders)
    error = float(conditional_errors(conditionals, law).sum())
    proposal = metropolis_hastings(conditionals, k_uniform(law.sites, max(1, law.sites // 2)), law)
    corrected = stationary_law(DenseOperator(proposal.to_dense())).law
    masks = k_uniform(law.sites, 1)
    gibbs = describe(DenseOperator(block_gibbs(conditionals, masks).to_dense()), law, masks)
    distances = [total_variation(found, law.probabilities) for found in laws]
    return Row(
        distances=distances,
        bounds=[
            stationary_distance_bound(systematic_scan(conditionals, [(i,) for i in order]), error) for order in orders
        ],
        corrected=total_variation(corrected, law.probabilities),
        samples=samples,
        network=network,
        mean=test.mean,
        largest=test.maximum,
        order_gap=scan_order_gap(laws),
        worst_distance=max(distances),
        decoding_gap=float(decoding_order_gap(conditionals, (0, law.sites - 1)).mean()),
        gibbs_distance=gibbs.total_variation,
        gibbs_divergence=gibbs.kullback_leibler,
        gibbs_mixing=gibbs.mixing_time,
        tensorization_lower=gibbs.tensorization.lower,
        tensorization_upper=gibbs.tensorization.upper,
    )


def draw_incompatibility(data: Mapping[str, Any]) -> Figure:
    """Rectangle test and distances against the size of the data set."""
    found = columns(data["rows"])
    sizes = sorted(set(found["samples"].tolist()))
    figure, (above, below) = new_figure(2, 1, width=5.0, height=8.0)
    bounds = np.array([found["bounds"][found["samples"] == n].max(axis=1).mean() for n in sizes])
    drawn = {
        above: logarithmic(above, found["largest"], found["mean"], [0.0]),
        below: logarithmic(below, found["order_gap"], found["worst_distance"], bounds, [0.0]),
    }
    series: tuple[tuple[Any, str, str], ...] = (
        (above, "largest", "largest |ρ| of a network"),
        (above, "mean", "mean |ρ|"),
        (below, "order_gap", "between scan orders (largest)"),
        (below, "worst_distance", "to the data law (worst order)"),
    )
    for place, (axes, name, label) in enumerate(series):
        index = place % 2
        # Side by side, so that marks of two series do not hide each other.
        marks(axes, _aside(found["samples"], index), drawn[axes](found[name]), index, label, hollow=index == 1)
    line(below, sizes, bounds, 1, "bound on the distance to the data law (mean)", dash="--")
    for axes in (above, below):
        axes.axhline(float(drawn[axes](0.0)), linestyle=":", color="black", label="any joint law: 0")
        axes.set(xlabel="training sequences n", xscale="log")
        axes.set_xticks(sizes, [str(n) for n in sizes])
        axes.set_xlim(sizes[0] / 1.5, sizes[-1] * 1.5)
        axes.minorticks_off()
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17))
    above.set_ylabel("ln of odds around a rectangle (nats)")
    below.set_ylabel("total variation")
    headline(
        figure,
        f"None of {len(found['mean'])} networks has a joint law: mean |ρ| is at least {found['mean'].min():.2g}, and "
        f"the order of the scan moves what is sampled by {found['order_gap'].min():.1g} to "
        f"{found['order_gap'].max():.1g}",
    )
    return figure


def _aside(samples: ArrayLike, index: int) -> Any:
    return np.asarray(samples) * 1.05 ** (2 * index - 1)


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
            "Above: rectangle test of trained networks (markers, one for each), 0 for any joint law (dotted, in the "
            "grey strip). Below: distance between the stationary laws of scans in different orders, and to the data "
            "law (markers), with the bound from the errors of the conditionals (dashed).",
            draw_incompatibility,
        ),
    ),
)
