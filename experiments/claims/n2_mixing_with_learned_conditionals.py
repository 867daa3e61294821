"""N2: sampling with learned conditionals: distance to the data law against steps, beside the exact curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, MARKERS, headline, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    law = random_ising(parameters.sites, np.random.default_rng([seed, 1]), parameters.scale)
    times = list(range(parameters.last + 1))
    exact_model = TableConditionals(law)
    exact = _chains(exact_model, parameters)
    passes = list(range(1, parameters.sites + 1))
    curves = {name: _curve(chain, law, times) for name, chain in exact.items()}
    plateaus = {name: _plateau(chain, law) for name, chain in exact.items()}
    predicted = [total_variation(_mask_predict(exact_model, count), law.probabilities) for count in passes]
    learning = Learning(parameters.network, parameters.width, parameters.layers, parameters.steps, batch=128)
    networks: list[dict[str, Any]] = []
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"network {index + 1} of {parameters.seeds}")
        model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
        learned = _chains(model, parameters)
        networks.append(
            {
                "curves": {name: _curve(chain, law, times) for name, chain in learned.items()},
                "bounds": {name: divergence_of_runs_bound(exact[name], learned[name], times) for name in exact},
                "plateaus": {name: _plateau(chain, law) for name, chain in learned.items()},
                "plateau_bounds": {name: _plateau_bound(learned[name], law) for name in exact},
                "mixing": {name: mixing_time(chain).steps for name, chain in learned.items()},
                "mask_predict": [total_variation(_mask_predict(model, n), law.probabilities) for n in passes],
            }
        )
    names = list(exact)
    raw = [_chains(untrained(law, learning, 1000 * seed + index), parameters) for index in range(parameters.seeds)]
    beyond = [
        [[np.abs(_curve(chains[name], law, times) - curves[name])[1:] > n["bounds"][name][1:] for name in names]]
        for chains, n in zip(raw, networks, strict=True)
    ]
    far = [
        [_plateau(chains[name], law) > n["plateau_bounds"][name] for name in names]
        for chains, n in zip(raw, networks, strict=True)
    ]
    gibbs = [name for name in names if "Gibbs" in name]
    checks = [
        Check.equal(
            "exact conditionals: distance of the stationary law of k-Gibbs to p",
            [plateaus[name] for name in gibbs],
            0.0,
            ROUNDING,
            "stationary law computed from the matrix",
        ).by_algebra(),
        Check.at_most(
            "|learned curve - exact curve| is at most max_x TV(Q(x,·), P(x,·)) Σ_{s<t} δ(P^s)",
            [[np.abs(n["curves"][name] - curves[name])[1:] for name in names] for n in networks],
            [[n["bounds"][name][1:] for name in names] for n in networks],
            ROUNDING,
            "every network, sampler and step t ≥ 1, worst start",
            trivial=1.0,
        ).against(UNTRAINED, float(np.mean(beyond))),
        Check.at_most(
            "distance of each learned chain's stationary law to p is at most t TV(pQ, p) / (1 - δ(Q^t))",
            [[n["plateaus"][name] for name in names] for n in networks],
            [[n["plateau_bounds"][name] for name in names] for n in networks],
            ROUNDING,
            "every network and sampler; what parallel samplers lose with exact conditionals is in TV(pQ, p) as well",
            trivial=1.0,
        ).against(UNTRAINED, float(np.mean(far))),
        Check.at_least(
            "the untrained network is rejected: samplers whose curve leaves the trained network's bound at some step",
            np.mean([[rejected.any() for rejected in network[0]] for network in beyond]),
            SHARE,
            0.0,
            "share of networks and samplers",
        ),
    ]
    columns = [
        "sampler",
        "plateau, exact",
        "plateau, learned (mean)",
        "s.d. over networks",
        "t_mix exact",
        "t_mix learned",
    ]
    rows = []
    for name in names:
        values = np.array([n["plateaus"][name] for n in networks])
        spread = float(values.std(ddof=1))
        mixing = [n["mixing"][name] for n in networks]
        rows.append(
            [name, plateaus[name], float(values.mean()), spread, mixing_time(exact[name]).steps, float(np.mean(mixing))]
        )
    data = {
        "times": times,
        "exact": curves,
        "networks": [{"curves": n["curves"], "mask_predict": n["mask_predict"]} for n in networks],
        "bounds": networks[0]["bounds"],
        "mask_predict": predicted,
        "passes": passes,
    }
    ends = {name: float(np.mean([n["plateaus"][name] for n in networks])) for name in names}
    takeaway = "Learned chains level off at a distance from p of " + ", ".join(
        f"{ends[name]:.2g} ({name}; {plateaus[name]:.2g} with exact conditionals)" for name in names
    )
    return Findings(checks, Table(columns, rows), data, takeaway + ".")


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


def _mask_predict(model: ConditionalModel, passes: int) -> Array:
    """Output law after that many passes; floor(N (T - t) / T) tokens are masked again after pass t."""
    sizes = [model.sites * (passes - done) // passes for done in range(1, passes)]
    return mask_predict(model, [size for size in sizes if size])


def draw_curves(data: Mapping[str, Any]) -> Figure:
    """Distance to the data law against sampling steps."""
    with style():
        figure, (left, right) = new_figure(1, 2, width=9.6, height=4.2)
        for index, (name, exact) in enumerate(data["exact"].items()):
            left.plot(data["times"], exact, "-", color=COLOURS[index], label=f"{name}, exact")
            for number, network in enumerate(data["networks"]):
                label = f"{name}, learned" if number == 0 else None
                left.plot(
                    data["times"][::4],
                    network["curves"][name][::4],
                    MARKERS[index],
                    color=COLOURS[index],
                    alpha=0.5,
                    label=label,
                )
        left.set(yscale="log", xlabel="sampling steps t", ylabel="TV to p, worst start", ylim=(1e-4, 1.5))
        right.plot(data["passes"], data["mask_predict"], "-", color=COLOURS[0], label="exact conditionals")
        for number, network in enumerate(data["networks"]):
            label = "learned, one mark for each network" if number == 0 else None
            right.plot(data["passes"], network["mask_predict"], MARKERS[1], color=COLOURS[1], alpha=0.6, label=label)
        right.set(xlabel="passes T of mask-predict", ylabel="TV of the output law to p", ylim=(0, None))
        right.set_xticks(data["passes"])
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7)
        right.legend()
        ends = {name: np.mean([network["curves"][name][-1] for network in data["networks"]]) for name in data["exact"]}
        shown = ", ".join(f"{distance:.2g} ({name})" for name, distance in ends.items())
        headline(
            figure,
            f"TV of learned chains to p after {data['times'][-1]} steps: {shown}",
        )
    return figure


def draw_bound(data: Mapping[str, Any]) -> Figure:
    """Distance between learned and exact curves of the first network, and its bound."""
    with style():
        figure, (axes,) = new_figure(width=5.2, height=3.6)
        for index, (name, exact) in enumerate(data["exact"].items()):
            difference = np.abs(np.array(data["networks"][0]["curves"][name]) - np.array(exact))
            axes.plot(data["times"][1::4], difference[1::4], MARKERS[index], color=COLOURS[index], label=name)
            axes.plot(data["times"][1:], data["bounds"][name][1:], "-", color=COLOURS[index])
        axes.plot([], [], "-", color="0.4", label="bound")
        axes.set(yscale="log", xlabel="sampling steps t", ylabel="|learned curve - exact curve| (TV)")
        axes.set_ylim(bottom=1e-5)
        axes.legend()
        tight = max(
            np.max(
                np.abs(np.array(data["networks"][0]["curves"][name]) - np.array(exact))[1:] / data["bounds"][name][1:]
            )
            for name, exact in data["exact"].items()
        )
        headline(figure, f"Learned and exact curves differ by at most {tight:.2g} of the bound")
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
