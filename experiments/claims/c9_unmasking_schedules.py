"""C9: the error of parallel unmasking is a sum of total correlations, and what that says about speed and quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns
from experiments.decoding.speed_quality import BenchmarkParameters, Series, speed_and_quality
from experiments.figures import DASHES, differences, headline, line, logarithmic, marks, new_figure
from theory.conditionals import TableConditionals
from theory.decoding import (
    Schedule,
    SubsetEntropies,
    cut,
    decoding_error,
    optimal_schedules,
    output_law,
    sequential,
    total_correlations,
)
from theory.divergences import total_variation
from theory.laws import JointLaw, random_law, sparse_random_law
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-10
"""Rounding allowed between two float64 routes to the same number of nats."""

SEQUENTIAL_ERROR = 1e-12
"""Rounding allowed in the total variation between two products of the same conditionals."""

SMALLEST_DRAWN = 1e-6
"""Errors below this many nats, exact zeros among them, are drawn here on the logarithmic axis."""

DRAWN = {
    "optimal schedule": "optimal schedule",
    "left-to-right blocks": "left-to-right blocks",
    "random order, cosine sizes": "random order, cosine sizes",
    "masked diffusion": "masked diffusion",
    "entropy order": "entropy order",
    "sampled confidence (MaskGIT)": "sampled confidence",
}
"""Series of the speed-quality figure, and how they are called there; the data hold those that nearly coincide too."""


@dataclass(frozen=True)
class Identity:
    """One random schedule: its error by two routes, and the least error of so many steps, in nats."""

    law: str
    steps: int
    measured: float
    predicted: float
    least: float


@dataclass(frozen=True)
class Parameters(BenchmarkParameters):
    """What is varied."""

    sites: int = parameter(6, "sites N of every law", full=8, minimum=3, maximum=9)
    symbols: int = parameter(3, "symbols q of the Markov sequence, the mixture and the HMM", minimum=2, maximum=4)
    schedules: int = parameter(30, "random schedules for each law", full=300, minimum=1)
    random_laws: int = parameter(4, "random laws, dense and sparse, binary and ternary in turn", full=20, minimum=0)


def _random_laws(parameters: Parameters, generator: np.random.Generator) -> list[JointLaw]:
    laws = []
    for number in range(parameters.random_laws):
        symbols = 2 + number // 2 % 2
        # About as many states for three symbols as for two.
        sites = parameters.sites if symbols == 2 else max(2, int(parameters.sites * np.log(2) / np.log(3)))
        if number % 2:
            laws.append(sparse_random_law(sites, symbols, generator, support=symbols**sites // 3))
        else:
            laws.append(random_law(sites, symbols, generator, concentration=0.3))
    return laws


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    benchmarks = parameters.laws(parameters.sites, parameters.symbols)
    laws = benchmarks + _random_laws(parameters, generator)
    identities: list[Identity] = []
    optima: dict[str, NDArray[np.float64]] = {}
    sequential_errors = []
    frontiers: list[dict[str, Any]] = []
    for done, law in enumerate(laws):
        progress(done / len(laws), law.name)
        entropies, model = SubsetEntropies(law), TableConditionals(law)
        best = optimal_schedules(entropies)
        optima[law.name] = best.errors
        for _ in range(parameters.schedules):
            schedule = _random_schedule(law.sites, generator)
            measured = decoding_error(law, output_law(model, schedule))
            predicted = float(total_correlations(entropies, schedule).sum())
            least = float(best.errors[schedule.length - 1])
            identities.append(Identity(law.name, schedule.length, measured, predicted, least))
        in_turn = output_law(model, sequential(generator.permutation(law.sites).tolist()))
        sequential_errors.append(total_variation(in_turn.probabilities, law.probabilities))
        if done < len(benchmarks):
            frontiers.append({"law": law.name, "series": speed_and_quality(law, entropies, best)})
    identity = columns(identities)
    checks = [
        Check.equal(
            "random schedules: KL(p‖q_S) against the sum of total correlations",
            identity["measured"],
            identity["predicted"],
            ROUNDING,
            f"nats; {len(identities)} schedules over {len(laws)} laws",
        ).by_algebra(),
        Check.at_least(
            "no random schedule beats the optimal one of its length",
            identity["measured"],
            identity["least"],
            ROUNDING,
            "nats; the optimum by dynamic programming over subsets",
            wrong=("the optimum of one step less", [_one_less(row, optima[row.law]) for row in identities]),
        ),
        Check.at_most(
            "one token at a time in random orders: total variation to p", sequential_errors, 0.0, SEQUENTIAL_ERROR
        ).by_algebra(),
        *_frontier_checks([series for frontier in frontiers for series in frontier["series"]]),
    ]
    data = {"identity": identities, "frontiers": frontiers, "sites": parameters.sites}
    return Findings(checks, _table(frontiers), data, _learned(frontiers, parameters.sites // 2))


def _one_less(row: Identity, errors: NDArray[np.float64]) -> float:
    """The least error of one step less; of a single step, twice its own."""
    return float(errors[row.steps - 2]) if row.steps > 1 else 2 * row.least


def _nats(error: float) -> float:
    """An error to be told: what rounding makes of none is none."""
    return error if error > ROUNDING else 0.0


def _learned(frontiers: list[dict[str, Any]], steps: int) -> str:
    parts = []
    for frontier in frontiers:
        # Errors at that number of steps, best order first.
        errors = sorted((_nats(series["measured"][steps - 1]), series["name"]) for series in frontier["series"])
        parts.append(f"{frontier['law']}: {errors[0][1]} {errors[0][0]:.2g} nats, {errors[-1][1]} {errors[-1][0]:.2g}")
    return f"With {steps} steps the best and the worst order lose, on " + "; ".join(parts) + "."


def _random_schedule(sites: int, generator: np.random.Generator) -> Schedule:
    """A uniform number of steps, uniform cuts, a uniform order."""
    steps = int(generator.integers(1, sites + 1))
    cuts = np.sort(generator.choice(np.arange(1, sites), size=steps - 1, replace=False))
    return cut(generator.permutation(sites).tolist(), np.diff([0, *cuts, sites]).tolist())


def _frontier_checks(series: Sequence[Series]) -> list[Check]:
    def of(field: str, relation: str) -> NDArray[np.float64]:
        return np.array([value for s in series if s["relation"] == relation for value in s[field]], dtype=float)

    random_orders = [s for s in series if s["name"].startswith("random order")]
    exact_at_the_end = [s for s in series if s["name"] not in ("masked diffusion", "sampled confidence (MaskGIT)")]
    at_once = [s["measured"][0] for s in series]
    return [
        Check.equal(
            "optimal, left-to-right, confidence and entropy orders: KL(p‖q) against total correlations",
            of("measured", "equal"),
            of("predicted", "equal"),
            ROUNDING,
            "nats; orders driven by the tokens use the chain rule over their decision tree",
            wrong=("the optimum of as many steps", of("least", "equal")),
        ),
        Check.at_most(
            "random orders and masked diffusion: KL(p‖E_S q_S) against the mean of KL(p‖q_S)",
            of("measured", "bound"),
            of("predicted", "bound"),
            ROUNDING,
            "nats",
            wrong=("half the mean", of("predicted", "bound") / 2),
        ),
        Check.at_least(
            "no mean over random orders beats the optimal schedule",
            [s["predicted"] for s in random_orders],
            [s["least"] for s in random_orders],
            ROUNDING,
            "nats",
            wrong=("the error of one step", [[s["least"][0]] * len(s["least"]) for s in random_orders]),
        ),
        Check.equal(
            "one step: every order puts out the product of the marginals",
            at_once,
            [s["least"][0] for s in series],
            ROUNDING,
            "nats",
        ).by_algebra(),
        Check.at_most(
            "N steps leave no error",
            [s["measured"][-1] for s in exact_at_the_end],
            0.0,
            ROUNDING,
            "nats; all but masked diffusion, whose steps may coincide, and sampled confidence, which is biased",
        ).by_algebra(),
    ]


def _table(frontiers: Sequence[Mapping[str, Any]]) -> Table:
    names = [series["name"] for series in frontiers[0]["series"] if series["name"] != "masked diffusion"]
    rows = []
    for frontier in frontiers:
        chosen = {series["name"]: series for series in frontier["series"]}
        for step in range(len(chosen[names[0]]["calls"])):
            rows.append([frontier["law"], step + 1, *(chosen[name]["measured"][step] for name in names)])
    return Table(["law", "steps T", *(f"{name} (nats)" for name in names)], rows)


def draw_identity(data: Mapping[str, Any]) -> Figure:
    """Difference of KL and the sum of total correlations, for random schedules."""
    rows = data["identity"]
    groups = {}
    for steps, name in ((1, "T = 1"), (2, "T = 2"), (3, "T = 3"), (4, "T ≥ 4")):
        chosen = [row for row in rows if (row["steps"] >= 4 if steps == 4 else row["steps"] == steps)]
        if chosen:
            found = columns(chosen)
            groups[name] = (found["predicted"], found["measured"], found["predicted"])
    figure, (axes,) = new_figure(width=5.0, height=4.2)
    differences(axes, groups, ROUNDING, "nats")
    axes.set_xlabel("predicted: sum of total correlations of the steps (nats)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=3)
    worst = max(abs(row["measured"] - row["predicted"]) for row in rows)
    headline(
        figure,
        f"KL(p ‖ q_S) of {len(rows)} random schedules, up to {max(row['measured'] for row in rows):.2g} nats, is the "
        f"sum of total correlations to {worst:.1g}",
    )
    return figure


def draw_frontier(data: Mapping[str, Any]) -> Figure:
    """Error against network calls for every law."""
    figure, panels = new_figure(4, 1, width=5.0, height=12.0)
    half = data["sites"] // 2
    series = [[entry for entry in frontier["series"] if entry["name"] in DRAWN] for frontier in data["frontiers"]]
    errors = [value for chosen in series for entry in chosen for value in (*entry["measured"], *_predicted(entry))]
    for axes, frontier, chosen in zip(panels, data["frontiers"], series, strict=True):
        drawn = logarithmic(axes, errors, floor=SMALLEST_DRAWN)
        for index, entry in enumerate(chosen):
            marks(axes, entry["calls"], drawn(entry["measured"]), index, DRAWN[entry["name"]], hollow=index % 2 == 1)
            if entry["relation"] == "bound":
                line(axes, entry["calls"], drawn(entry["predicted"]), index, dash=DASHES[index])
            elif entry["relation"] == "equal":
                line(axes, entry["calls"], drawn(entry["predicted"]), index)
        axes.set(
            xlabel="expected network calls", ylabel="KL(p ‖ q) (nats)", title=f"{frontier['law']}, N = {data['sites']}"
        )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    best, blocks = (
        [_at(chosen, name, half) for chosen in series] for name in ("optimal schedule", "left-to-right blocks")
    )
    headline(
        figure,
        f"With {half} calls the best schedule loses at most {max(best):.1g} nats, left-to-right blocks at least "
        f"{min(blocks):.1g} (marks exact; solid: predicted; dashed: upper bounds)",
    )
    return figure


def _predicted(series: Series) -> list[float]:
    return series["predicted"] or []


def _at(chosen: Sequence[Series], name: str, steps: int) -> float:
    """The error of a series with that many steps; rounding may leave less than nothing."""
    return max(0.0, *(entry["measured"][steps - 1] for entry in chosen if entry["name"] == name))


CLAIM = Claim(
    id="C9",
    name="unmasking-schedules",
    title="The error of parallel unmasking is the total correlation inside its steps",
    statement=(
        "For a schedule S = (S₁, …, S_T), an ordered partition of the sites, decoding with the exact conditionals of p "
        "puts out q_S(x) = ∏ₜ ∏_{i ∈ Sₜ} p(xᵢ | x_{S<t}), and KL(p ‖ q_S) = ∑ₜ TC(x_{Sₜ} | x_{S<t}) exactly. Averaged "
        "over random schedules it bounds KL(p ‖ E_S q_S). It is 0 for one token at a time in any order. For orders "
        "driven by confidence or entropy the same sum runs over the decision tree: KL(p ‖ q) = E ∑ₜ TC at the nodes "
        "that x ∼ p visits."
    ),
    source=(
        "chain rule of relative entropy; Lavenant and Zanella 2025 (arXiv:2510.25544) and "
        "Chen, Cong and Li 2025 (arXiv:2511.04647) for random orders"
    ),
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "frontier",
            "Speed against quality: KL from p to the output law (markers, measured on the exact output law) and the "
            "prediction from total correlations (solid lines; dashed, for random orders and masked diffusion: an upper "
            f"bound) against expected network calls. Errors up to {SMALLEST_DRAWN:g} nats, zero among them, lie in the "
            "grey strip. Sampled confidence has no prediction. Confidence and two more size plans are in the table.",
            draw_frontier,
        ),
        FigureSpec(
            "identity",
            "KL from p to the output law of random schedules (measured) less the sum of the total correlations of "
            "their steps (predicted): size of the difference (markers), zero in the grey strip, against the "
            "prediction; dashed: what rounding explains.",
            draw_identity,
        ),
    ),
)
