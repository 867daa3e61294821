"""N2: sampling with learned conditionals: distance to the data law against steps, beside the exact curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import headline, line, logarithmic, marks, name_ends, new_figure
from experiments.learned import Learning, learn, untrained
from theory.bounds.perturbation import divergence_of_runs_bound, stationary_distance_bound
from theory.chains import DenseOperator, mixing_time, stationary_law
from theory.conditionals import ConditionalModel, TableConditionals
from theory.divergences import total_variation
from theory.laws import JointLaw, random_ising
from theory.masks import k_uniform, uniform_ratio
from theory.parameters import parameter
from theory.samplers import block_gibbs, independent_parallel, k_parallel, mask_predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-9
"""Rounding allowed in total variations after at most a few hundred steps."""

UNTRAINED = "the same network before training, held to the bounds of the trained one"

SMALLEST_DRAWN = 1e-4
"""Total variations up to this are drawn as zero."""

SHARE = 0.5
"""Of networks and samplers at least, for which the untrained network must be told from the trained one."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(5, "sites N of the random Ising model", full=6, minimum=2, maximum=8)
    scale: float = parameter(0.4, "standard deviation of fields and couplings", minimum=0.0, maximum=3.0)
    k: int = parameter(3, "sites redrawn in a step of k-Gibbs and k-parallel", minimum=1)
    last: int = parameter(48, "last sampling step", full=128, minimum=1)
    network: str = parameter("mlp", "architecture", full="transformer", choices=("mlp", "transformer"))
    width: int = parameter(64, "width of the network", full=32, minimum=2)
    layers: int = parameter(2, "layers of the network", minimum=1)
    seeds: int = parameter(4, "networks", full=6, minimum=2)
    steps: int = parameter(1000, "training steps on fresh samples of 128 sequences", full=2000, minimum=1)


@dataclass(frozen=True)
class Run:
    """One network in one sampler, from the worst start, in total variation.

    ``curve`` is the distance to p after every number of steps, ``gap`` its distance from the exact curve and ``bound``
    the bound on that; ``plateau`` is where the chain settles, with its bound, and ``mixing`` its mixing time (steps).
    ``raw`` tells of the untrained network at which steps it leaves the bound, ``raw_plateau`` where it settles.
    """

    network: int
    sampler: str
    curve: list[float]
    gap: list[float]
    bound: list[float]
    plateau: float
    plateau_bound: float
    mixing: float
    raw: list[bool]
    raw_plateau: float


@dataclass(frozen=True)
class Sampler:
    """One sampler with exact conditionals, and with those of all networks, for the reader."""

    curve: list[float]
    name: str = heading("sampler")
    plateau: float = heading("plateau, exact")
    learned: float = heading("plateau, learned (mean)")
    spread: float = heading("s.d. over networks")
    mixing: float = heading("t_mix exact")
    learned_mixing: float = heading("t_mix learned")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = random_ising(parameters.sites, np.random.default_rng([seed, 1]), parameters.scale)
    times, passes = list(range(parameters.last + 1)), list(range(1, parameters.sites + 1))
    exact_model = TableConditionals(law)
    exact = _chains(exact_model, parameters)
    curves = {name: _curve(chain, law, times) for name, chain in exact.items()}
    learning = Learning(parameters.network, parameters.width, parameters.layers, parameters.steps, batch=128)
    runs: list[Run] = []
    predicted = [_mask_predict(exact_model, law, count) for count in passes]
    decoded = []
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"network {index + 1} of {parameters.seeds}")
        model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
        before = _chains(untrained(law, learning, 1000 * seed + index), parameters)
        decoded.append([_mask_predict(model, law, count) for count in passes])
        for name, chain in _chains(model, parameters).items():
            curve = _curve(chain, law, times)
            bound = divergence_of_runs_bound(exact[name], chain, times)
            runs.append(
                Run(
                    index,
                    name,
                    curve.tolist(),
                    np.abs(curve - curves[name]).tolist(),
                    bound.tolist(),
                    plateau=_plateau(chain, law),
                    plateau_bound=_plateau_bound(chain, law),
                    mixing=mixing_time(chain).steps,
                    raw=(np.abs(_curve(before[name], law, times) - curves[name]) > bound).tolist(),
                    raw_plateau=_plateau(before[name], law),
                )
            )
    samplers = []
    for name, chain in exact.items():
        own = columns([run for run in runs if run.sampler == name])
        samplers.append(
            Sampler(
                curves[name].tolist(),
                name,
                _plateau(chain, law),
                float(own["plateau"].mean()),
                float(own["plateau"].std(ddof=1)),
                mixing_time(chain).steps,
                float(own["mixing"].mean()),
            )
        )
    r = columns(runs)
    checks = [
        Check.equal(
            "exact conditionals: distance of the stationary law of k-Gibbs to p",
            [sampler.plateau for sampler in samplers if "Gibbs" in sampler.name],
            0.0,
            ROUNDING,
            "stationary law computed from the matrix",
        ).by_algebra(),
        Check.at_most(
            "|learned curve - exact curve| is at most max_x TV(Q(x,·), P(x,·)) Σ_{s<t} δ(P^s)",
            r["gap"][:, 1:],
            r["bound"][:, 1:],
            ROUNDING,
            "every network, sampler and step t ≥ 1, worst start",
            trivial=1.0,
        ).against(UNTRAINED, float(r["raw"][:, 1:].mean())),
        Check.at_most(
            "distance of each learned chain's stationary law to p is at most t TV(pQ, p) / (1 - δ(Q^t))",
            r["plateau"],
            r["plateau_bound"],
            ROUNDING,
            "every network and sampler; what parallel samplers lose with exact conditionals is in TV(pQ, p) as well",
            trivial=1.0,
        ).against(UNTRAINED, float((r["raw_plateau"] > r["plateau_bound"]).mean())),
        Check.at_least(
            "the untrained network is rejected: samplers whose curve leaves the trained network's bound at some step",
            r["raw"][:, 1:].any(axis=1).mean(),
            SHARE,
            0.0,
            "share of networks and samplers",
        ),
    ]
    data = {
        "times": times,
        "samplers": samplers,
        "runs": runs,
        "passes": passes,
        "mask_predict": predicted,
        "mask_predict_learned": decoded,
    }
    takeaway = "Learned chains level off at a distance from p of " + ", ".join(
        f"{row.learned:.2g} ({row.name}; {row.plateau:.2g} with exact conditionals)" for row in samplers
    )
    return Findings(checks, Table.of(samplers), data, takeaway + ".")


def _chains(model: ConditionalModel, parameters: Parameters) -> dict[str, DenseOperator]:
    """The samplers by name, without what their builders know of their stationary laws."""
    k = min(parameters.k, parameters.sites)
    operators = {
        "1-Gibbs": block_gibbs(model, k_uniform(parameters.sites, 1)),
        f"{k}-Gibbs": block_gibbs(model, k_uniform(parameters.sites, k)),
        f"{k}-parallel": k_parallel(model, k_uniform(parameters.sites, k)),
        "independent parallel": independent_parallel(model),
    }
    return {name: DenseOperator(operator.to_dense()) for name, operator in operators.items()}


def _curve(chain: DenseOperator, law: JointLaw, times: list[int]) -> Array:
    """max_x TV(P^t(x, .), p) for every time: the distance to the data law, not to the chain's own stationary law."""
    power, result = np.eye(chain.states), []
    for _ in times:
        result.append(0.5 * np.abs(power - law.probabilities).sum(axis=1).max())
        power = power @ chain.matrix
    return np.array(result)


def _plateau(chain: DenseOperator, law: JointLaw) -> float:
    return total_variation(stationary_law(chain).law, law.probabilities)


def _plateau_bound(chain: DenseOperator, law: JointLaw) -> float:
    return stationary_distance_bound(chain, total_variation(chain.propagate(law.probabilities), law.probabilities))


def _mask_predict(model: ConditionalModel, law: JointLaw, passes: int) -> float:
    """TV of the output law to p after that many passes; floor(N (T - t) / T) tokens are masked again after pass t."""
    sizes = [model.sites * (passes - done) // passes for done in range(1, passes)]
    return total_variation(mask_predict(model, [size for size in sizes if size]), law.probabilities)


def draw_curves(data: Mapping[str, Any]) -> Figure:
    """Distance to the data law against sampling steps."""
    figure, (left, right) = new_figure(1, 2, width=9.6, height=4.2)
    every = slice(None, None, 4)
    times = data["times"]
    runs = columns(data["runs"])
    drawn = logarithmic(left, runs["curve"], columns(data["samplers"])["curve"], floor=SMALLEST_DRAWN)
    for index, row in enumerate(data["samplers"]):
        line(left, times, drawn(row["curve"]), index, f"{row['name']}, exact")
        own = runs["curve"][runs["sampler"] == row["name"]][:, every]
        marks(left, np.tile(times[every], len(own)), drawn(own.ravel()), index, f"{row['name']}, learned")
    left.set(xlabel="sampling steps t", ylabel="TV to p, worst start")
    line(right, data["passes"], data["mask_predict"], 0, "exact conditionals")
    learned = np.array(data["mask_predict_learned"])
    marks(right, np.tile(data["passes"], len(learned)), learned.ravel(), 1, "learned, one mark for each network")
    right.set(xlabel="passes T of mask-predict", ylabel="TV of the output law to p", ylim=(0, None))
    right.set_xticks(data["passes"])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)
    right.legend()
    ends = []
    for row in data["samplers"]:
        reached = runs["curve"][runs["sampler"] == row["name"]][:, -1].mean()
        ends.append(f"{reached:.2g} ({row['name']}; exact {row['curve'][-1]:.2g})")
    headline(figure, f"TV of learned chains to p after {times[-1]} steps: {', '.join(ends)}")
    return figure


def draw_bound(data: Mapping[str, Any]) -> Figure:
    """Distance between learned and exact curves of the first network, and its bound."""
    runs = select(data["runs"], network=0)
    figure, (axes,) = new_figure(width=5.6, height=3.8)
    times = data["times"]
    drawn = logarithmic(axes, *(run[name][1:] for run in runs for name in ("gap", "bound")), floor=SMALLEST_DRAWN)
    ends = {}
    for index, run in enumerate(runs):
        marks(axes, times[1::4], drawn(run["gap"][1::4]), index)
        line(axes, times[1:], run["bound"][1:], index)
        ends[run["sampler"].removeprefix("independent ")] = (index, run["bound"][-1])
    axes.set(xlabel="sampling steps t", ylabel="|learned curve - exact curve| (TV)")
    axes.axhspan(1.0, axes.get_ylim()[1], color="0.9", zorder=0)
    name_ends(axes, ends)
    tight = max(np.max(np.array(run["gap"][1:]) / run["bound"][1:]) for run in runs)
    headline(
        figure,
        f"Learned and exact curves differ by at most {tight:.2g} of the bound (marks measured, lines bounds; 1 says "
        "nothing)",
    )
    return figure


CLAIM = Claim(
    id="N2",
    name="mixing-with-learned-conditionals",
    title="Learned conditionals mix like the true ones, up to a plateau that their error bounds",
    statement=(
        "Let P be a sampler with the true conditionals of p and Q the same with a trained network's. From any start "
        "TV(νQ^t, νP^t) ≤ max_x TV(Q(x,·), P(x,·)) Σ_{s<t} δ(P^s), δ the contraction coefficient: with learned "
        "conditionals the distance to p first falls along the exact curve and then stays on a plateau, the distance "
        "of Q's stationary law to p, at most t TV(pQ, p) / (1 - δ(Q^t)) for every t. With true conditionals the "
        "plateau is 0 for k-Gibbs, and that of parallel samplers is what they lose by drawing tokens independently."
    ),
    source="Mitrophanov 2005; Li et al. 2024 (arXiv:2407.21046), section 3; mask-predict: arXiv:1904.09324",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "curves",
            "Total variation to the data law against sampling steps (left) and against passes of mask-predict (right): "
            "true conditionals (lines, exact) and learned ones (marks, exact kernels of each network).",
            draw_curves,
        ),
        FigureSpec(
            "bound",
            "Difference between the learned and the exact curve of the first network (marks, measured) and its bound "
            "(lines, predicted).",
            draw_bound,
        ),
    ),
)
