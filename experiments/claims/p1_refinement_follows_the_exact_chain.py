"""P1: a trained refinement decoder mixes registers at its first step and mends them as the exact chain says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading, select
from experiments.figures import DASHES, headline, line, marks, new_figure
from experiments.language.checks import Case, nearer, pooled, within_own_error
from experiments.language.exact import (
    MEASURES,
    Exact,
    accumulated,
    claim_memory,
    distances,
    measured,
    next_steps,
    possible,
    wrong_chains,
)
from experiments.language.study import (
    MASK_PREDICT,
    WRONG_STEPS,
    StudyParameters,
    draw_networks,
    exact_mask_predict,
    mask_predict,
    redrawing,
    spread,
)
from experiments.language.translators import Decoding, fresh_rows, noise_of, train, training_pairs
from experiments.learned import networks_at_most
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Parameters(StudyParameters):
    """What is varied."""

    weights: tuple[float, ...] = parameter(
        (0.5, 0.9), "weight of the first of two registers", full=(0.5, 0.6, 0.75, 0.9, 1.0), minimum=0.0, maximum=1.0
    )
    steps: int = parameter(4, "refinement steps", full=8, minimum=2)


@dataclass(frozen=True)
class Row:
    """Outputs after so many steps of redrawing everything; the lists have a share for each network.

    ``law`` is the sum over registers of w^l, which one parallel step predicts for outputs in one register.
    """

    law: float
    possible: list[float]
    coherent: list[float]
    stutters: list[float]
    weight: float = heading("w")
    step: int = heading("step")
    exact_possible: float = heading("translations, exact")
    mean_possible: float = heading("network (mean)")
    error: float = heading("s.e.")
    exact_coherent: float = heading("one register, exact")
    mean_coherent: float = heading("network")
    exact_stutters: float = heading("stutter, exact")
    mean_stutters: float = heading("network")
    limit: float = heading("limit of deviations")


@dataclass(frozen=True)
class Recipe:
    """Mask-predict in so many steps at the first weight: share of translations of its exact twin and of networks."""

    step: int
    exact: float
    possible: list[float]


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    training = parameters.training()
    decoding: Decoding | None = None
    recipe: Decoding | None = None
    rows: list[Row] = []
    recipes: list[Recipe] = []
    chains: list[Case] = []
    steps: dict[str, list[Case]] = {name: [] for name in MEASURES}
    last: list[Case] = []
    wrong: dict[str, list[Array]] = {}
    masked: list[Case] = []
    wrong_steps: dict[str, list[Array]] = {name: [] for name in WRONG_STEPS}
    for place, weight in enumerate(parameters.weights):
        language = parameters.language(weight)
        exact = Exact(language, noise_of(language, training))
        sentences = fresh_rows(language, parameters.rows, seed)
        expected = {name: exact.expected(sentences, measure, parameters.steps) for name, measure in MEASURES.items()}
        pairs = training_pairs(language, parameters.pairs, seed)
        law = float(np.mean([language.coherent_probability(int(length)) for length in sentences.lengths]))
        learned: dict[str, list[list[float]]] = {name: [] for name in MEASURES}
        limits: list[Array] = []
        by_recipe: list[list[float]] = []
        if place == 0:
            twin = np.array([exact_mask_predict(exact, sentences, step + 1) for step in range(parameters.steps)])
            listed = ~np.isnan(twin[0])
        for index in range(parameters.seeds):
            done = (place + index / parameters.seeds) / len(parameters.weights)
            progress(done, f"w = {weight:g}, network {index + 1} of {parameters.seeds}")
            network = train(language, pairs, training, 1000 * seed + index)
            decoding = decoding or Decoding(network, redrawing())
            decoded = decoding(network, language, sentences, range(1, parameters.steps + 1), seed)
            distance = distances(exact, sentences, network, decoded.inputs)
            far = accumulated(distance)
            limits.append(np.minimum(far.mean(axis=1), 1.0))
            for name, measure in MEASURES.items():
                found = [measured(exact, sentences, outputs, measure) for outputs in decoded.outputs]
                learned[name].append([float(values.mean()) for values in found])
                one = next_steps(exact, sentences, decoded.inputs, measure)
                for step, values in enumerate(found):
                    label = f"w = {weight:g}, network {index + 1}, step {step + 1}"
                    steps[name].append(Case(label, values, one[step], distance[step]))
                    if name == "possible":
                        chains.append(Case(label, values, expected[name][step], far[step]))
            if place == 0:
                recipe = recipe or Decoding(network, mask_predict())
                decoded = recipe(network, language, sentences, range(1, parameters.steps + 1), seed)
                found = [measured(exact, sentences, outputs, possible) for outputs in decoded.outputs]
                by_recipe.append([float(values[listed].mean()) for values in found])
                distance = distances(exact, sentences, network, decoded.inputs, only_masked=True)
                one = next_steps(exact, sentences, decoded.inputs, possible, "masks")
                masked += [
                    Case(f"{MASK_PREDICT}, network {index + 1}, step {step + 1}", *numbers)
                    for step, numbers in enumerate(zip(found, one, distance, strict=True))
                ]
                for name, drawn in WRONG_STEPS.items():
                    wrong_steps[name] += list(next_steps(exact, sentences, decoded.inputs, possible, drawn))
        label = f"w = {weight:g}, step {parameters.steps}"
        last.append(
            pooled(chains[-parameters.steps * parameters.seeds :][parameters.steps - 1 :: parameters.steps], label)
        )
        for name, shares in wrong_chains(expected["possible"]).items():
            wrong.setdefault(name, []).append(shares[-1])
        rows += _rows(weight, law, learned, expected, limits)
        if place == 0:
            means = twin[:, listed].mean(axis=1)
            recipes = [
                Recipe(step + 1, float(means[step]), [shares[step] for shares in by_recipe])
                for step in range(parameters.steps)
            ]
    data = {"rows": rows, "recipe": recipes, "curve": _first_step_curve(parameters, seed)}
    checks = _checks(rows, steps, chains, parameters.steps)
    checks += [
        nearer(f"translations after {parameters.steps} steps: a chain that {name} is rejected", last, others, name)
        for name, others in wrong.items()
    ]
    title = f"{MASK_PREDICT}, one step, translations"
    checks.append(within_own_error(f"{title}: |network - exact law|", masked))
    # The last steps draw a single mask, of which all three laws are nearly the same.
    early = range(max(parameters.steps // 2, 2))
    pools = [pooled(masked[step :: parameters.steps], f"{MASK_PREDICT}, step {step + 1}") for step in early]
    title = f"{MASK_PREDICT}, one of the first {len(early)} steps, translations"
    for name, by_step in wrong_steps.items():
        otherwise = [np.mean(by_step[step :: parameters.steps], axis=0) for step in early]
        checks.append(nearer(f"{title}: a step that {name} is rejected", pools, otherwise, name))
    return Findings(checks, Table.of(rows), data, _learned(rows, recipes[-1], checks))


def _rows(
    weight: float,
    law: float,
    learned: Mapping[str, list[list[float]]],
    expected: Mapping[str, Array],
    limits: Sequence[Array],
) -> list[Row]:
    """Rows of one weight, from the shares of every network and step, and exact shares [steps, B]."""
    result = []
    for step, limit in enumerate(np.mean(limits, axis=0)):
        found = {name: [shares[step] for shares in networks] for name, networks in learned.items()}
        exact = {name: float(values[step].mean()) for name, values in expected.items()}
        means = {name: spread(shares) for name, shares in found.items()}
        result.append(
            Row(
                law,
                found["possible"],
                found["coherent"],
                found["stutters"],
                weight,
                step + 1,
                exact["possible"],
                *means["possible"],
                exact["coherent"],
                means["coherent"][0],
                exact["stutters"],
                means["stutters"][0],
                float(limit),
            )
        )
    return result


def _learned(rows: Sequence[Row], recipe: Recipe, checks: Sequence[Check]) -> str:
    first = min((row for row in rows if row.step == 1), key=lambda row: row.law)
    last = next(row for row in rows if (row.weight, row.step) == (first.weight, recipe.step))
    rejected = [check for check in checks if "rejected" in check.name]
    return (
        f"With registers of weight {first.weight:g} and {1 - first.weight:.3g} a first parallel step gives "
        f"{first.mean_possible:.0%} translations (exact chain: {first.exact_possible:.0%}), step {last.step} "
        f"{last.mean_possible:.0%} (exact: {last.exact_possible:.0%}); {recipe.step} steps of {MASK_PREDICT} give "
        f"{np.mean(recipe.possible):.0%} (exact twin: {recipe.exact:.0%}). {checks[0].informative} of "
        f"{checks[0].comparisons} single steps tell, and "
        f"{sum(check.verdict is Verdict.HOLDS for check in rejected)} of {len(rejected)} wrong chains and steps are "
        "rejected."
    )


def _first_step_curve(parameters: Parameters, seed: int) -> dict[str, Any]:
    """Exact shares at the first step for weights on a grid, from the closed forms of the language."""
    grid = np.linspace(min(0.5, *parameters.weights), 1.0, 21)
    sentences = fresh_rows(parameters.language(0.5), 256, seed)
    together, repeated = [], []
    for weight in grid:
        language = parameters.language(weight)
        pairs = [(source, int(length)) for source, length in zip(sentences.sources, sentences.lengths, strict=True)]
        together.append(np.mean([language.coherent_probability(length) for _, length in pairs]))
        repeated.append(np.mean([language.expected_stutters(*pair) / max(pair[1] - 1, 1) for pair in pairs]))
    return {"weights": grid, "one register": together, "repeated neighbours": repeated}


def _checks(rows: Sequence[Row], single: Mapping[str, list[Case]], chains: list[Case], steps: int) -> list[Check]:
    first, last = ([row for row in rows if row.step == step] for step in (1, steps))
    names = {
        "possible": "share of outputs that are translations",
        "coherent": "share of outputs in one register",
        "stutters": "share of repeated neighbours",
    }
    checks = [
        within_own_error(f"one step from where the network came, {title}: |network - exact law|", single[name])
        for name, title in names.items()
    ]
    # Errors add up: as many must tell as there are first steps.
    title = f"all steps from masks, {names['possible']}: |network - exact chain|"
    checks.append(within_own_error(title, chains, 1 / steps))
    checks.append(
        Check.equal(
            "exact chain, step 1: share in one register against sum over registers of w^l",
            [row.exact_coherent for row in first],
            [row.law for row in first],
            1e-9,
            "mean over the lengths of the test sentences",
        ).by_algebra()
    )
    for start, end in zip(first, last, strict=True):
        checks.append(
            networks_at_most(
                f"w = {start.weight:g}: share of translations at step 1 minus that at the last step",
                np.subtract(start.possible, end.possible),
            )
        )
    return checks


def draw_steps(data: Mapping[str, Any]) -> Figure:
    """Share of translations and stutter against steps."""
    weights = list(dict.fromkeys(row["weight"] for row in data["rows"]))
    figure, panels = new_figure(1, 2, height=4.4)
    for axes, name, label in (
        (panels[0], "possible", "outputs that are translations (share)"),
        (panels[1], "stutters", "neighbours that are equal (share)"),
    ):
        for series, weight in enumerate(weights):
            found = columns(select(data["rows"], weight=weight))
            title, shift = f"w = {weight:g}", 0.05 * (series - (len(weights) - 1) / 2)
            line(axes, found["step"], found[f"exact_{name}"], series, f"{title}, exact chain", dash=DASHES[series])
            draw_networks(axes, found["step"], found[name].T, series, f"{title}, networks", shift=shift)
        axes.set(xlabel="refinement steps", ylabel=label)
        axes.set_xticks(found["step"])
        axes.set_ylim(bottom=0)
    panels[0].set_ylim(0, 1.02)
    place, title = len(weights), f"w = {weights[0]:g}, {MASK_PREDICT}"
    recipe = columns(data["recipe"])
    line(panels[0], recipe["step"], recipe["exact"], place, f"{title}, exact twin", dash=DASHES[place])
    draw_networks(panels[0], recipe["step"], recipe["possible"].T, place, f"{title}, networks", shift=0.08)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    first, *_, last = select(data["rows"], weight=weights[0])
    headline(
        figure,
        f"w = {weights[0]:g}: the first step gives {first['mean_possible']:.0%} translations, step {last['step']} "
        f"{last['mean_possible']:.0%} where every position is drawn anew (exact: {last['exact_possible']:.0%}) and "
        f"{recipe['possible'][-1].mean():.0%} by mask-predict (exact: {recipe['exact'][-1]:.0%})",
    )
    return figure


def draw_first_step(data: Mapping[str, Any]) -> Figure:
    """Register mixing and stutter of the first step against the weights of the registers."""
    rows, curve = sorted(select(data["rows"], step=1), key=lambda row: row["weight"]), data["curve"]
    figure, (axes,) = new_figure()
    for series, (name, title, label) in enumerate(
        (
            ("coherent", "one register", "one register: mean of Σ w$_z^l$"),
            ("stutters", "repeated neighbours", "repeated neighbours, exact"),
        )
    ):
        line(axes, curve["weights"], curve[title], series, label, dash=DASHES[series])
        for place, row in enumerate(rows):
            shown = None if place else f"{title}, networks"
            marks(axes, [row["weight"]] * len(row[name]), row[name], series, shown, hollow=True)
    axes.set(xlabel="weight w of the first register", ylabel="share at the first step", ylim=(0, None))
    axes.legend()
    ends = [f"{row['mean_coherent']:.0%} at w = {row['weight']:g} (exact: {row['law']:.0%})" for row in rows]
    headline(figure, f"One parallel step stays in one register in {', '.join(ends)} of outputs")
    return figure


CLAIM = Claim(
    id="P1",
    name="refinement-follows-the-exact-chain",
    title="Refinement steps of a trained T5 improve translations as the exact chain predicts",
    statement=(
        "On the parallel language p(y|x) is known. A T5 that refines, trained with uniformly noised targets, draws "
        "from all masks at the true length. Its shares of translations, of one register and of repeated neighbours "
        "differ, one step from where it came, from those of the exact law (the posterior under the noise, all "
        "positions drawn at once) by at most the mean total variation between its laws and the exact ones there; "
        "after t steps from those of the exact chain by at most the sum of that. Step 1 stays in one register with "
        "probability Σ_z w_z^l; later steps mend what it mixed: by the last the share of translations has grown, and "
        "is nearer the exact chain's than those of chains that draw all tokens together, or that start from masks at "
        "every step. Decoded by mask-predict, the recommended way, each step is within the network's own error of the "
        "exact one that draws the masked positions alone, and is seen neither to draw them together nor to ignore what "
        "is kept; what its exact twin gives in all steps is reported beside it."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; parallel language as in theory.language.parallel_language",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "steps",
            "Share of outputs that are possible translations, and share of repeated neighbours, against refinement "
            "steps, for two registers of weights w and 1 - w, where every step draws all positions anew, and for "
            "mask-predict. Lines: exact chains. Marks: trained networks (bars: 2 standard errors).",
            draw_steps,
        ),
        FigureSpec(
            "first-step",
            "The first step against the weight of the first register: share of outputs in one register, and of "
            "repeated neighbours. Lines: exact. Marks: one for each trained network.",
            draw_first_step,
        ),
    ),
    memory=claim_memory,
)
