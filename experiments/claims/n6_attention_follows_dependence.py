"""N6: attention between two sites of a trained Transformer beside their exact conditional mutual information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, heading
from experiments.figures import COLOURS, headline, line, marks, new_figure, one_scale
from experiments.learned import Learning, new_network, train_network, untrained
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


ATTENTION, PREDICTIONS = "attention", "revealed by predictions"
UNTRAINED, TRAINED = "untrained", "trained"


@dataclass(frozen=True, eq=False)
class Reading:
    """One Transformer before or after training.

    Attributes:
        attention: averaged over heads and the data law, [layers, N, N].
        model: its conditionals.
    """

    attention: Array
    model: ConditionalModel


@dataclass(frozen=True)
class Ranking:
    """How one reading of the networks ranks the pairs of sites, against the exact mutual information."""

    correlations: list[float]
    reading: str = heading("reading of the network")
    mean: float = heading("mean rank correlation")
    spread: float = heading("s.d. over networks")
    greater: float = heading("p, greater")
    less: float = heading("p, less")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=parameters.steps)
    exact: list[Array] = []
    check: list[Array] = []
    readings: dict[str, list[Array]] = {}
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"model and network {index + 1} of {parameters.seeds}")
        law = random_ising(parameters.sites, np.random.default_rng([seed, 1, index]), parameters.scale)
        before, after = read(law, learning, 1000 * seed + index)
        exact.append(conditional_mutual_information(law))
        check.append(revealed_information(TableConditionals(law), law))
        layers = {f"layer {number}": layer for number, layer in enumerate(after.attention, 1)}
        found = {
            f"{ATTENTION}, {UNTRAINED}": before.attention.mean(axis=0),
            f"{ATTENTION}, {TRAINED}": after.attention.mean(axis=0),
            **(layers if len(layers) > 1 else {}),
            PREDICTIONS: revealed_information(after.model, law),
            f"{PREDICTIONS}, {UNTRAINED}": revealed_information(before.model, law),
        }
        for name, matrix in found.items():
            readings.setdefault(name, []).append((matrix + matrix.T) / 2)
    generator = np.random.default_rng([seed, 2])
    tests = {name: site_permutation_test(found, exact, parameters.draws, generator) for name, found in readings.items()}
    attention, predictions = tests[f"{ATTENTION}, {TRAINED}"], tests[PREDICTIONS]
    raw = {name: tests[f"{name}, {UNTRAINED}"] for name in (ATTENTION, PREDICTIONS)}
    checks = [
        Check.equal(
            "information that exact predictions reveal against mutual information from entropies",
            [float(np.abs(found - truth).max()) for found, truth in zip(check, exact, strict=True)],
            0.0,
            ROUNDING,
            "nats; the worst pair of sites of every model: the instrument reads what it should",
        ).by_algebra(),
        _test_check(
            "what a network's predictions reveal ranks the pairs as mutual information does", predictions
        ).against("predictions before training", float(raw[PREDICTIONS].greater > FALSE_ALARM)),
        _test_check("attention of the trained network ranks the pairs as mutual information does", attention).against(
            "attention before training", float(raw[ATTENTION].greater > FALSE_ALARM)
        ),
        _size_check(readings, exact),
    ]
    rankings = [
        Ranking(
            test.correlations.tolist(),
            name,
            float(test.correlations.mean()),
            float(test.correlations.std(ddof=1)),
            test.greater,
            test.less,
        )
        for name, test in tests.items()
    ]
    data = {
        "exact": exact,
        "readings": readings,
        "rankings": rankings,
        "null": np.quantile(attention.null, [FALSE_ALARM, 1 - FALSE_ALARM]),
    }
    takeaway = (
        f"What a trained network's predictions reveal ranks pairs of sites as mutual information does (mean rank "
        f"correlation {predictions.correlations.mean():.2f}); its attention does so at "
        f"{attention.correlations.mean():.2f}, before training at {raw[ATTENTION].correlations.mean():.2f}."
    )
    return Findings(checks, Table.of(rankings), data, takeaway)


def read(law: JointLaw, learning: Learning, seed: int) -> tuple[Reading, Reading]:
    """Train a Transformer on a law; what it attends to and predicts before and after."""
    from simulators.gmlm.attention import mean_attention
    from simulators.gmlm.induced import induced_conditionals
    from simulators.gmlm.transformer import Transformer

    network = new_network(law, learning, seed)
    assert isinstance(network, Transformer)  # what `Learning` builds here
    before = Reading(mean_attention(network, law).mean(axis=1), untrained(law, learning, seed))
    train_network(network, law, uniform_ratio(law.sites), learning, seed)
    return before, Reading(mean_attention(network, law).mean(axis=1), induced_conditionals(network))


def _size_check(readings: Mapping[str, list[Array]], exact: list[Array]) -> Check:
    """What is revealed has the size of the mutual information: 1 is the error of revealing nothing anywhere."""

    def errors(found: list[Array]) -> Array:
        return np.array([np.abs(a - b).sum() / b.sum() for a, b in zip(found, exact, strict=True)])

    others = errors(exact[1:] + exact[:1]) >= 1
    return Check.at_most(
        "what a network's predictions reveal: its error over all pairs, as a share of the mutual information",
        errors(readings[PREDICTIONS]),
        1.0,
        detail=f"every model; 1 if nothing is revealed. The dependence of another model is rejected for "
        f"{int(others.sum())} of {len(others)}",
    ).against("predictions before training", float((errors(readings[f"{PREDICTIONS}, {UNTRAINED}"]) > 1).mean()))


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
    figure, panels = new_figure(1, 3, width=12.6, height=4.1)
    means = {row["reading"]: row["mean"] for row in data["rankings"]}
    names = (f"{ATTENTION}, {UNTRAINED}", f"{ATTENTION}, {TRAINED}", PREDICTIONS)
    for axes, name in zip(panels, names, strict=True):
        for index, (found, truth) in enumerate(zip(data["readings"][name], exact, strict=True)):
            marks(axes, truth[upper], np.array(found)[upper], index, f"model {index + 1}", hollow=index % 2 == 1)
        axes.set(xlabel="I($x_i$; $x_j$ | rest), exact (nats)", title=f"{name}: {means[name]:.2f}")
        axes.set_ylabel("attention, both directions (mean)")
    line(panels[2], [0, exact.max()], [0, exact.max()], 0, "predicted: equal", "--")
    panels[2].set_ylabel("E KL when $x_j$ is revealed (nats)")
    one_scale(panels[:2], "y")
    figure.legend(*panels[2].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    headline(
        figure,
        f"Mean rank correlation with the exact dependence of pairs: attention {means[names[0]]:.2f} before training, "
        f"{means[names[1]]:.2f} after it; what predictions reveal {means[names[2]]:.2f}",
    )
    return figure


def draw_correlations(data: Mapping[str, Any]) -> Figure:
    """Rank correlations of every reading, with what unrelated matrices give."""
    rows = data["rankings"]
    figure, (axes,) = new_figure(width=6.4, height=3.6)
    for place, row in enumerate(rows):
        marks(axes, row["correlations"], [place] * len(row["correlations"]), 2, "one network" if place == 0 else None)
    means = [row["mean"] for row in rows]
    axes.plot(means, range(len(rows)), "|", color=COLOURS[0], markersize=16, label="mean")
    axes.axvspan(*data["null"], color="0.85", zorder=0, label="98% of means if unrelated")
    axes.set_yticks(range(len(rows)), [row["reading"].replace(", ", ",\n").replace(" by ", " by\n") for row in rows])
    axes.set(xlabel="rank correlation with I($x_i$; $x_j$ | rest)", xlim=(-1.02, 1.02), ylim=(len(rows) - 0.5, -0.5))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    beyond = [row["reading"] for row in rows if row["mean"] > data["null"][1]]
    headline(
        figure,
        f"{len(beyond)} of {len(rows)} readings rank pairs as exact dependence does, beyond chance: "
        f"{'; '.join(beyond) or 'none'}",
    )
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
