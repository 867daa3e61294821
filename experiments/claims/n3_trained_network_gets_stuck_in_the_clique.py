"""N3: a network trained on the model with one strong clique is stuck in parallel decoding where the theory says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, MARKERS, headline, new_figure, style
from experiments.learned import Learning, learn, mean_interval, untrained
from theory.bounds import escape_probability_bound, redraw_probability
from theory.chains import DenseOperator, expected_escape_times, expected_hitting_times
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, spins, strong_clique
from theory.masks import k_uniform, uniform_ratio
from theory.parameters import parameter
from theory.samplers import block_gibbs, independent_parallel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-9
"""Relative rounding allowed in probabilities and expected times."""

LEVEL = 0.99
"""Confidence level of the intervals over networks."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(6, "sites N", full=7, minimum=2, maximum=9)
    clique: int = parameter(4, "size m of the strong clique", full=6, minimum=2, maximum=9)
    couplings: tuple[float, ...] = parameter((0.5, 1.0), "couplings J", full=(0.4, 0.8, 1.2), minimum=0.01)
    field: float = parameter(0.05, "field h of every site; below every coupling", minimum=0.0)
    network: str = parameter("mlp", "architecture", full="transformer", choices=("mlp", "transformer"))
    width: int = parameter(64, "width of the network", full=32, minimum=2)
    layers: int = parameter(2, "layers of the network", minimum=1)
    seeds: int = parameter(4, "networks for each coupling", full=5, minimum=2)
    steps: int = parameter(1000, "training steps on fresh samples of 128 sequences", full=1500, minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if parameters.clique > parameters.sites:
        raise InvalidInput("clique", parameters.clique, f"a clique has at most N = {parameters.sites} sites")
    learning = Learning(parameters.network, parameters.width, parameters.layers, parameters.steps, batch=128)
    rows = []
    for place, coupling in enumerate(parameters.couplings):
        if coupling <= parameters.field:
            raise InvalidInput("couplings", coupling, f"must be above the field, {parameters.field:g}")
        law = strong_clique(parameters.sites, parameters.clique, coupling, parameters.field)
        exact = _Chains(TableConditionals(law), law, parameters.clique)
        row: dict[str, Any] = {
            "coupling": coupling,
            "bound": escape_probability_bound(parameters.clique, coupling, parameters.field),
            "redraw": redraw_probability(
                law.sites, parameters.clique, parameters.clique, float(law.probabilities[exact.right].sum())
            ),
            "exact": exact.measure(),
            "learned": [],
            "untrained": [],
        }
        for index in range(parameters.seeds):
            done = (place + index / parameters.seeds) / len(parameters.couplings)
            progress(done, f"J = {coupling:g}, network {index + 1} of {parameters.seeds}")
            model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
            learned = _Chains(model, law, parameters.clique)
            row["learned"].append(learned.measure() | learned.errors(exact))
            raw = _Chains(untrained(law, learning, 1000 * seed + index), law, parameters.clique)
            row["untrained"].append(raw.measure())
        rows.append(row)
    table = _table(rows)
    last = dict(zip(table.columns, table.rows[-1], strict=True))
    takeaway = (
        f"At J = {last['J']:g} trained networks stay in the wrong mode for {table.rows[-1][5]:.2g} steps of parallel "
        f"decoding (exact: {table.rows[-1][4]:.2g}), while their k-Gibbs reaches the right one in "
        f"{table.rows[-1][7]:.2g} (exact: {table.rows[-1][6]:.2g})."
    )
    return Findings(_checks(rows), table, {"rows": rows, "clique": parameters.clique}, takeaway)


class _Chains:
    """Independent parallel and k-Gibbs (k = m) of one conditional model on the strong-clique law."""

    def __init__(self, model: ConditionalModel, law: JointLaw, clique: int) -> None:
        total = spins(law.sites)[:, :clique].sum(axis=1)
        self.wrong, self.right = total <= -2, total == clique
        self.typical: Array = np.where(self.wrong, law.probabilities, 0.0) / law.probabilities[self.wrong].sum()
        self.parallel = DenseOperator(independent_parallel(model).to_dense())
        self.gibbs = DenseOperator(block_gibbs(model, k_uniform(law.sites, clique)).to_dense())

    def measure(self) -> dict[str, float]:
        """Escape of independent parallel and arrival of k-Gibbs."""
        # Summed over the states outside, not 1 minus the sum inside: small probabilities keep their digits.
        escapes = self.parallel.matrix[:, ~self.wrong].sum(axis=1)
        return {
            "escape": float(self.typical @ escapes),
            "worst_escape": float(escapes[self.wrong].max()),
            "escape_time": float(self.typical @ expected_escape_times(self.parallel, self.wrong).times),
            "arrival": expected_hitting_times(self.gibbs, self.right).worst,
        }

    def errors(self, exact: _Chains) -> dict[str, float]:
        """max_x TV between the rows of this model's kernels and the exact ones."""
        parallel = 0.5 * np.abs(self.parallel.matrix - exact.parallel.matrix).sum(axis=1)
        gibbs = 0.5 * np.abs(self.gibbs.matrix - exact.gibbs.matrix).sum(axis=1)
        return {"parallel_error": float(parallel[self.wrong].max()), "gibbs_error": float(gibbs.max())}


def _checks(rows: list[dict[str, Any]]) -> list[Check]:
    learned = [(row, network) for row in rows for network in row["learned"]]
    chances = np.array([row["redraw"] - network["gibbs_error"] for row, network in learned])
    slowest = np.where(chances > 0, 1 / np.where(chances > 0, chances, 1.0), np.inf)
    checks = [
        Check.at_most(
            "learned parallel decoding leaves the wrong mode in one step with probability at most bound + error",
            [network["worst_escape"] for _, network in learned],
            [row["bound"] + network["parallel_error"] for row, network in learned],
            ROUNDING,
            "worst wrong-mode state of every network; error: largest TV between rows of the learned and exact kernel",
        ).by_algebra(),
        Check.at_most(
            "learned k-Gibbs, k = m: expected steps to the right mode are at most 1 / (c - error)",
            [network["arrival"] for _, network in learned],
            slowest,
            ROUNDING * np.where(np.isfinite(slowest), slowest, 1.0),
            "worst start of every network; no limit where the error exceeds c",
        ).against(
            "the same networks before training",
            float(np.mean([raw["arrival"] for row in rows for raw in row["untrained"]] > slowest)),
        ),
    ]
    for row in rows:
        checks.append(
            Check.interval_at_most(
                f"J = {row['coupling']:g}: ln of the chance to leave the wrong mode in a step, from typical states",
                mean_interval([np.log(network["escape"]) for network in row["learned"]], LEVEL),
                float(np.log(row["bound"])),
                f"start x ~ p(· | wrong mode); Student's {LEVEL:.0%} interval over networks, against ln of the bound",
            ).against(
                "the same networks before training", np.mean([raw["escape"] > row["bound"] for raw in row["untrained"]])
            )
        )
    return checks


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = [
        "J",
        "escape per step, exact",
        "learned (geometric mean)",
        "bound",
        "steps to leave, exact",
        "learned (geometric mean)",
        "k-Gibbs steps to the right mode, exact",
        "learned (mean)",
        "1 / c",
    ]

    def geometric(row: dict[str, Any], name: str) -> float:
        return float(np.exp(np.mean([np.log(network[name]) for network in row["learned"]])))

    return Table(
        columns,
        [
            [
                row["coupling"],
                row["exact"]["escape"],
                geometric(row, "escape"),
                row["bound"],
                row["exact"]["escape_time"],
                geometric(row, "escape_time"),
                row["exact"]["arrival"],
                float(np.mean([network["arrival"] for network in row["learned"]])),
                1 / row["redraw"],
            ]
            for row in rows
        ],
    )


def draw_times(data: Mapping[str, Any]) -> Figure:
    """Steps until independent parallel leaves the wrong mode and k-Gibbs reaches the right one."""
    rows = data["rows"]
    x = [row["coupling"] for row in rows]
    with style():
        figure, (left, right) = new_figure(1, 2, width=9.2, height=4.3)
        series = ((left, "escape", "bound"), (right, "escape_time", None), (right, "arrival", "redraw"))
        for index, (axes, name, bound) in enumerate(series):
            label = {
                "escape": "independent parallel",
                "escape_time": "independent parallel leaves",
                "arrival": "k-Gibbs arrives",
            }[name]
            axes.plot(x, [r["exact"][name] for r in rows], "-", color=COLOURS[index], label=f"{label}, exact law")
            for place, row in enumerate(rows):
                axes.plot(
                    [row["coupling"]] * len(row["learned"]),
                    [network[name] for network in row["learned"]],
                    MARKERS[index],
                    color=COLOURS[index],
                    alpha=0.6,
                    label=f"{label}, learned (one mark for each network)" if place == 0 else None,
                )
            if bound is not None:
                values = [row[bound] if bound == "bound" else 1 / row[bound] for row in rows]
                axes.plot(x, values, "--", color=COLOURS[index], label="upper bound" if bound == "bound" else "1 / c")
        left.set_ylabel("escape from the wrong mode per step")
        right.set_ylabel("expected steps")
        for axes in (left, right):
            axes.set(yscale="log", xlabel=f"coupling J inside the clique of {data['clique']}")
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16))
        last = rows[-1]
        slow, fast = (np.median([network[name] for network in last["learned"]]) for name in ("escape_time", "arrival"))
        headline(
            figure,
            f"J = {last['coupling']:g}: trained networks stay in the wrong mode for {slow:.2g} steps of parallel "
            f"decoding; k-Gibbs arrives at the right one in {fast:.2g}",
        )
    return figure


CLAIM = Claim(
    id="N3",
    name="trained-network-gets-stuck-in-the-clique",
    title="A trained network is stuck in parallel decoding where the theory of the strong clique says so",
    statement=(
        "A network is trained on samples of p(x) ∝ exp(h Σ x_i + J Σ_{i<j in C} x_i x_j), |C| = m. From the typical "
        "states of the wrong mode {Σ_C x_i ≤ -2} its independent-parallel decoding leaves in one step with "
        "probability at most the Chernoff bound of C8, and from every state with at most that plus the kernel's error. "
        "Its k-Gibbs with k = m reaches {x_C = +1} within 1/(c - error) expected steps, c = C(N-m, k-m)/C(N, k) "
        "p(x_C = +1). Errors are total variations between rows of the learned and the exact kernel. How much sooner "
        "or later than the true law a network leaves, for its errors in rare contexts, is reported, not predicted."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 3; constants as in C8",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "times",
            "Left: chance that one independent-parallel step leaves the wrong mode. Right: expected steps until it "
            "leaves, and until k-Gibbs (k = m) reaches the right mode. Lines: the true law, exact, and the bounds. "
            "Marks: exact kernels of the trained networks.",
            draw_times,
        ),
    ),
)
