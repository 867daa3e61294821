"""N6: attention between two sites of a trained Transformer beside their exact conditional mutual information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, MARKERS, headline, new_figure, style
from experiments.learned import Learning, new_network, train_network
from experiments.statistics import PermutationTest, site_permutation_test
from theory.conditionals import ConditionalModel, TableConditionals
from theory.dependence import conditional_mutual_information, revealed_information
from theory.laws import JointLaw, random_ising
from theory.masks import uniform_ratio
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-10
"""Rounding allowed between two routes to a mutual information, in nats."""

FALSE_ALARM = 0.01
"""Probability with which each permutation test finds a relation where there is none, in each direction."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(6, "sites N of the random Ising models", full=7, minimum=3, maximum=8)
    scale: float = parameter(0.5, "standard deviation of fields and couplings", minimum=0.01, maximum=3.0)
    seeds: int = parameter(4, "models, each with its own network", full=10, minimum=2)
    width: int = parameter(16, "width of the Transformer", minimum=2)
    layers: int = parameter(1, "layers of the Transformer", full=2, minimum=1)
    steps: int = parameter(500, "training steps on fresh samples of 64 sequences", full=2000, minimum=1)
    draws: int = parameter(2000, "random relabellings in each permutation test", full=5000, minimum=99)


@dataclass(frozen=True, eq=False)
class Reading:
    """One Transformer, before and after training.

    Attributes:
        before, after: attention averaged over heads and the data law, [layers, N, N].
        model: conditionals after training.
    """

    before: Array
    after: Array
    model: ConditionalModel


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=parameters.steps)
    exact, check = [], []
    readings: dict[str, list[Array]] = {}
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"model and network {index + 1} of {parameters.seeds}")
        law = random_ising(parameters.sites, np.random.default_rng([seed, 1, index]), parameters.scale)
        reading = read(law, learning, 1000 * seed + index)
        exact.append(conditional_mutual_information(law))
        check.append(revealed_information(TableConditionals(law), law))
        found = {
            BEFORE: reading.before.mean(axis=0),
            AFTER: reading.after.mean(axis=0),
            **{f"layer {number + 1}": layer for number, layer in enumerate(reading.after) if len(reading.after) > 1},
            PREDICTIONS: revealed_information(reading.model, law),
        }
        for name, matrix in found.items():
            readings.setdefault(name, []).append((matrix + matrix.T) / 2)
    generator = np.random.default_rng([seed, 2])
    tests = {name: site_permutation_test(found, exact, parameters.draws, generator) for name, found in readings.items()}
    rejected = float(tests[BEFORE].greater > FALSE_ALARM)
    checks = [
        Check.equal(
            "information that exact predictions reveal against mutual information from entropies",
            check,
            exact,
            ROUNDING,
            "nats; every pair of sites and model: the instrument reads what it should",
        ).by_algebra(),
        _test_check(
            "what a network's predictions reveal ranks the pairs as mutual information does", tests[PREDICTIONS]
        ).against("attention before training", rejected),
        _test_check(
            "attention of the trained network ranks the pairs as mutual information does", tests[AFTER]
        ).against("attention before training", rejected),
    ]
    columns = ["reading of the network", "mean rank correlation", "s.d. over networks", "p, greater", "p, less"]
    rows = [
        [name, float(t.correlations.mean()), float(t.correlations.std(ddof=1)), t.greater, t.less]
        for name, t in tests.items()
    ]
    data = {
        "exact": exact,
        "readings": readings,
        "correlations": {name: test.correlations for name, test in tests.items()},
        "null": np.quantile(tests[AFTER].null, [FALSE_ALARM, 1 - FALSE_ALARM]),
    }
    takeaway = (
        f"What a trained network's predictions reveal ranks pairs of sites as mutual information does (mean rank "
        f"correlation {tests[PREDICTIONS].correlations.mean():.2f}); its attention does so at "
        f"{tests[AFTER].correlations.mean():.2f}, before training at {tests[BEFORE].correlations.mean():.2f}."
    )
    return Findings(checks, Table(columns, rows), data, takeaway)


BEFORE, AFTER, PREDICTIONS = "attention, untrained", "attention, trained", "revealed by predictions"


def read(law: JointLaw, learning: Learning, seed: int) -> Reading:
    """Train a Transformer on a law and read its attention before and after."""
    from simulators.gmlm.attention import mean_attention
    from simulators.gmlm.induced import induced_conditionals
    from simulators.gmlm.transformer import Transformer

    network = new_network(law, learning, seed)
    assert isinstance(network, Transformer)  # what `Learning` builds here
    before = mean_attention(network, law).mean(axis=1)
    train_network(network, law, uniform_ratio(law.sites), learning, seed)
    return Reading(before, mean_attention(network, law).mean(axis=1), induced_conditionals(network))


def _test_check(name: str, test: PermutationTest) -> Check:
    """Holds where the ranks agree, violated where they are opposed, else inconclusive."""
    verdict = (
        Verdict.HOLDS
        if test.greater <= FALSE_ALARM
        else Verdict.VIOLATED
        if test.less <= FALSE_ALARM
        else Verdict.INCONCLUSIVE
    )
    detail = (
        f"mean rank correlation {test.correlations.mean():.3f} over {len(test.correlations)} models and networks; "
        f"p = {test.greater:.2g} by relabelling the sites, false-alarm rate {FALSE_ALARM:g}"
    )
    return Check(name, verdict, FALSE_ALARM - test.greater, test.greater, FALSE_ALARM, "<=", 0.0, detail)


def draw_pairs(data: Mapping[str, Any]) -> Figure:
    """Attention and revealed information against mutual information, pair by pair."""
    exact = np.array(data["exact"])
    upper = np.triu_indices(exact.shape[1], 1)
    with style():
        figure, panels = new_figure(1, 3, width=12.6, height=3.8)
        for axes, name in zip(panels, (BEFORE, AFTER, PREDICTIONS), strict=True):
            for index, (found, truth) in enumerate(zip(np.array(data["readings"][name]), exact, strict=True)):
                axes.plot(
                    truth[upper],
                    found[upper],
                    MARKERS[index % 8],
                    color=COLOURS[index % 8],
                    alpha=0.7,
                    label=f"model {index + 1}" if index < 8 else None,
                )
            mean = np.mean(data["correlations"][name])
            axes.set(xlabel="I($x_i$; $x_j$ | rest), exact (nats)", title=f"{name}: {mean:.2f}")
            if name == PREDICTIONS:
                axes.plot([0, exact.max()], [0, exact.max()], "--", color="0.3", label="predicted: equal")
                axes.set_ylabel("E KL when $x_j$ is revealed (nats)")
            else:
                axes.set_ylabel("attention, both directions (mean)")
        panels[2].legend(fontsize=7)
        headline(
            figure,
            "Dependence of pairs of sites, as read from the network and exactly; mean rank correlation of each reading",
        )
    return figure


def draw_correlations(data: Mapping[str, Any]) -> Figure:
    """Rank correlations of every reading, with what unrelated matrices give."""
    with style():
        figure, (axes,) = new_figure(width=6.4, height=3.4)
        for index, values in enumerate(data["correlations"].values()):
            axes.plot(values, [index] * len(values), MARKERS[0], color=COLOURS[2], alpha=0.5)
            axes.plot([np.mean(values)], [index], "|", color=COLOURS[0], markersize=16, markeredgewidth=2)
        axes.plot([], [], MARKERS[0], color=COLOURS[2], alpha=0.5, label="one model and network")
        axes.plot([], [], "|", color=COLOURS[0], markersize=10, markeredgewidth=2, label="mean")
        axes.axvspan(*data["null"], color="0.85", zorder=0, label="98% of means if unrelated")
        axes.set_yticks(range(len(data["correlations"])), list(data["correlations"]))
        axes.set(xlabel="rank correlation with I($x_i$; $x_j$ | rest)", xlim=(-1.02, 1.02))
        axes.set_ylim(len(data["correlations"]) - 0.5, -0.5)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        means = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in data["correlations"].items())
        headline(figure, f"Rank correlation with exact dependence: {means}")
    return figure


CLAIM = Claim(
    id="N6",
    name="attention-follows-dependence",
    title="A trained Transformer looks at the sites on which the masked one depends",
    statement=(
        "I(x_i; x_j | x_-ij) = E KL(p(x_i | x_-i) ‖ p(x_i | x_-ij)): what revealing x_j adds to predicting x_i. For a "
        "Transformer trained on a random Ising model, that gain of its own predictions ranks the pairs of sites as the "
        "exact mutual information does, and so does the attention that a masked site gives to the others (mean over "
        "heads, layers, data and both directions). The second is an observation, not a theorem: attention of an "
        "untrained network is drawn beside it, and the test may find the opposite or nothing."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4 (attention); Cover and Thomas, ch. 2; Mantel 1967",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "pairs",
            "Every pair of sites: attention before and after training, and what the trained network's predictions "
            "gain from the other site (marks, measured), against the exact conditional mutual information; the last "
            "should lie on the dashed line.",
            draw_pairs,
        ),
        FigureSpec(
            "correlations",
            "Rank correlation of each reading of the network with the exact conditional mutual information (marks: one "
            "for each model and network, bars: mean). Shaded: where means lie if the two have nothing in common.",
            draw_correlations,
        ),
    ),
)
