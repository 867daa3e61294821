"""N3: a network trained on the model with one strong clique is stuck in parallel decoding where the theory says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading
from experiments.figures import headline, line, marks, new_figure, readable
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

UNTRAINED = "the same networks before training"


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


@dataclass(frozen=True)
class Measured:
    """One conditional model: chance to leave the wrong mode in a step (from typical states, and the worst), and steps.

    ``parallel_error`` and ``gibbs_error`` are the largest TV between rows of its kernels and the exact ones.
    """

    escape: float
    worst_escape: float
    escape_time: float
    arrival: float
    parallel_error: float
    gibbs_error: float


@dataclass(frozen=True)
class Network(Measured):
    """One network at one coupling, with the bound and the chance to redraw at that coupling; ``raw``: untrained."""

    coupling: float
    bound: float
    redraw: float
    raw_escape: float
    raw_arrival: float


@dataclass(frozen=True)
class Row:
    """One coupling, for the reader; means of escapes are geometric."""

    coupling: float = heading("J")
    escape: float = heading("escape per step, exact")
    learned_escape: float = heading("learned (geometric mean)")
    bound: float = heading("bound")
    escape_time: float = heading("steps to leave, exact")
    learned_time: float = heading("learned (geometric mean)")
    arrival: float = heading("k-Gibbs steps to the right mode, exact")
    learned_arrival: float = heading("learned (mean)")
    slowest: float = heading("1 / c")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    clique = parameters.clique
    if clique > parameters.sites:
        raise InvalidInput("clique", clique, f"a clique has at most N = {parameters.sites} sites")
    learning = Learning(parameters.network, parameters.width, parameters.layers, parameters.steps, batch=128)
    rows: list[Row] = []
    networks: list[Network] = []
    for place, coupling in enumerate(parameters.couplings):
        if coupling <= parameters.field:
            raise InvalidInput("couplings", coupling, f"must be above the field, {parameters.field:g}")
        law = strong_clique(parameters.sites, clique, coupling, parameters.field)
        exact = _Chains(TableConditionals(law), law, clique)
        bound = escape_probability_bound(clique, coupling, parameters.field)
        redraw = redraw_probability(law.sites, clique, clique, float(law.probabilities[exact.right].sum()))
        found = []
        for index in range(parameters.seeds):
            done = (place + index / parameters.seeds) / len(parameters.couplings)
            progress(done, f"J = {coupling:g}, network {index + 1} of {parameters.seeds}")
            model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
            raw = _Chains(untrained(law, learning, 1000 * seed + index), law, clique).measure(exact)
            own = _Chains(model, law, clique).measure(exact)
            found.append(
                Network(
                    **vars(own),
                    coupling=coupling,
                    bound=bound,
                    redraw=redraw,
                    raw_escape=raw.escape,
                    raw_arrival=raw.arrival,
                )
            )
        networks += found
        rows.append(_row(coupling, bound, redraw, exact.measure(exact), found))
    last = rows[-1]
    takeaway = (
        f"At J = {last.coupling:g} trained networks stay in the wrong mode for {readable(last.learned_time)} steps of "
        f"parallel decoding (exact: {readable(last.escape_time)}), while their k-Gibbs reaches the right one in "
        f"{last.learned_arrival:.2g} (exact: {last.arrival:.2g})."
    )
    data = {"rows": rows, "networks": networks, "clique": clique}
    return Findings(_checks(networks), Table.of(rows), data, takeaway)


def _row(coupling: float, bound: float, redraw: float, exact: Measured, found: Sequence[Network]) -> Row:
    c = columns(found)
    escape, time = (float(np.exp(np.log(c[name]).mean())) for name in ("escape", "escape_time"))
    learned = float(c["arrival"].mean())
    return Row(coupling, exact.escape, escape, bound, exact.escape_time, time, exact.arrival, learned, 1 / redraw)


class _Chains:
    """Independent parallel and k-Gibbs (k = m) of one conditional model on the strong-clique law."""

    def __init__(self, model: ConditionalModel, law: JointLaw, clique: int) -> None:
        total = spins(law.sites)[:, :clique].sum(axis=1)
        self.wrong, self.right = total <= -2, total == clique
        self.typical: Array = np.where(self.wrong, law.probabilities, 0.0) / law.probabilities[self.wrong].sum()
        self.parallel = DenseOperator(independent_parallel(model).to_dense())
        self.gibbs = DenseOperator(block_gibbs(model, k_uniform(law.sites, clique)).to_dense())

    def measure(self, exact: _Chains) -> Measured:
        """Escape of independent parallel, arrival of k-Gibbs, and how far both kernels are from the exact ones."""
        # Summed over the states outside, not 1 minus the sum inside: small probabilities keep their digits.
        escapes = self.parallel.matrix[:, ~self.wrong].sum(axis=1)
        parallel, gibbs = (
            0.5 * np.abs(own.matrix - true.matrix).sum(axis=1)
            for own, true in ((self.parallel, exact.parallel), (self.gibbs, exact.gibbs))
        )
        return Measured(
            escape=float(self.typical @ escapes),
            worst_escape=float(escapes[self.wrong].max()),
            escape_time=float(self.typical @ expected_escape_times(self.parallel, self.wrong).times),
            arrival=expected_hitting_times(self.gibbs, self.right).worst,
            parallel_error=float(parallel[self.wrong].max()),
            gibbs_error=float(gibbs.max()),
        )


def _checks(networks: Sequence[Network]) -> list[Check]:
    c = columns(networks)
    chances = c["redraw"] - c["gibbs_error"]
    slowest = np.where(chances > 0, 1 / np.where(chances > 0, chances, 1.0), np.inf)
    checks = [
        Check.at_most(
            "learned parallel decoding leaves the wrong mode in one step with probability at most bound + error",
            c["worst_escape"],
            c["bound"] + c["parallel_error"],
            ROUNDING,
            "worst wrong-mode state of every network; error: largest TV between rows of the learned and exact kernel",
        ).by_algebra(),
        Check.at_most(
            "learned k-Gibbs, k = m: expected steps to the right mode are at most 1 / (c - error)",
            c["arrival"],
            slowest,
            ROUNDING * np.where(np.isfinite(slowest), slowest, 1.0),
            "worst start of every network; no limit where the error exceeds c",
        ).against(UNTRAINED, float((c["raw_arrival"] > slowest).mean())),
    ]
    for coupling in dict.fromkeys(row.coupling for row in networks):
        own = {name: values[c["coupling"] == coupling] for name, values in c.items()}
        checks.append(
            Check.interval_at_most(
                f"J = {coupling:g}: ln of the chance to leave the wrong mode in a step, from typical states",
                mean_interval(np.log(own["escape"]), LEVEL),
                float(np.log(own["bound"][0])),
                f"start x ~ p(· | wrong mode); Student's {LEVEL:.0%} interval over networks, against ln of the bound",
            ).against(UNTRAINED, float((own["raw_escape"] > own["bound"]).mean()))
        )
    return checks


def draw_times(data: Mapping[str, Any]) -> Figure:
    """Steps until independent parallel leaves the wrong mode and k-Gibbs reaches the right one."""
    rows, networks = columns(data["rows"]), columns(data["networks"])
    figure, (left, right) = new_figure(1, 2, width=9.2, height=4.3)
    for index, (axes, name, label) in enumerate(
        (
            (left, "escape", "independent parallel"),
            (right, "escape_time", "independent parallel leaves"),
            (right, "arrival", "k-Gibbs arrives"),
        )
    ):
        line(axes, rows["coupling"], rows[name], index, f"{label}, exact law")
        marks(axes, networks["coupling"], networks[name], index, f"{label}, learned (one mark for each network)")
    line(left, rows["coupling"], rows["bound"], 0, "upper bound", "--")
    line(right, rows["coupling"], rows["slowest"], 2, "1 / c", "--")
    left.set_ylabel("escape from the wrong mode per step")
    right.set_ylabel("expected steps")
    for axes in (left, right):
        axes.set(yscale="log", xlabel=f"coupling J inside the clique of {data['clique']}", xticks=rows["coupling"])
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    headline(
        figure,
        f"J = {rows['coupling'][-1]:g}: trained networks stay in the wrong mode for "
        f"{readable(rows['learned_time'][-1])} steps of parallel decoding; k-Gibbs arrives at the right one in "
        f"{rows['learned_arrival'][-1]:.2g}",
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
