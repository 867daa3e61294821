"""P1: a trained refinement decoder mixes registers at its first step and mends them as the exact chain says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    training = parameters.training()
    decoding: Decoding | None = None
    recipe: Decoding | None = None
    rows: list[dict[str, Any]] = []
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
        row: dict[str, Any] = {
            "weight": weight,
            "law": float(np.mean([language.coherent_probability(int(length)) for length in sentences.lengths])),
            "exact": {name: values.mean(axis=1) for name, values in expected.items()},
            "learned": {name: [] for name in MEASURES},
            "limits": [],
        }
        if place == 0:
            twin = exact_mask_predict(exact, sentences, parameters.steps)
            listed = ~np.isnan(twin[0])
            row["recipe"] = {"exact": twin[:, listed].mean(axis=1), "learned": [], "sentences": int(listed.sum())}
        for index in range(parameters.seeds):
            done = (place + index / parameters.seeds) / len(parameters.weights)
            progress(done, f"w = {weight:g}, network {index + 1} of {parameters.seeds}")
            network = train(language, pairs, training, 1000 * seed + index)
            decoding = decoding or Decoding(network, redrawing())
            decoded = decoding(network, language, sentences, range(1, parameters.steps + 1), seed)
            distance = distances(exact, sentences, network, decoded.inputs)
            far = accumulated(distance)
            row["limits"].append(np.minimum(far.mean(axis=1), 1.0))
            for name, measure in MEASURES.items():
                found = [measured(exact, sentences, outputs, measure) for outputs in decoded.outputs]
                row["learned"][name].append([values.mean() for values in found])
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
                row["recipe"]["learned"].append([values[listed].mean() for values in found])
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
        rows.append(row)
    data = {"rows": rows, "curve": _first_step_curve(parameters, seed)}
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
    return Findings(checks, _table(rows), data, _learned(rows, checks))


def _learned(rows: list[dict[str, Any]], checks: list[Check]) -> str:
    row = min(rows, key=lambda row: row["law"])
    found, exact = np.mean(row["learned"]["possible"], axis=0), row["exact"]["possible"]
    rejected = [check for check in checks if "rejected" in check.name]
    recipe = rows[0]["recipe"]
    recipe_found, recipe_exact = np.mean(recipe["learned"], axis=0)[-1], recipe["exact"][-1]
    return (
        f"With registers of weight {row['weight']:g} and {1 - row['weight']:.3g} a first parallel step gives "
        f"{found[0]:.0%} translations (exact chain: {exact[0]:.0%}), step {len(found)} {found[-1]:.0%} (exact: "
        f"{exact[-1]:.0%}); {len(found)} steps of {MASK_PREDICT} give {recipe_found:.0%} (exact twin: "
        f"{recipe_exact:.0%}). {checks[0].informative} of {checks[0].comparisons} single steps tell, and "
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


def _checks(rows: list[dict[str, Any]], single: dict[str, list[Case]], chains: list[Case], steps: int) -> list[Check]:
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
            [row["exact"]["coherent"][0] for row in rows],
            [row["law"] for row in rows],
            1e-9,
            "mean over the lengths of the test sentences",
        ).by_algebra()
    )
    for row in rows:
        shares = np.array(row["learned"]["possible"])
        checks.append(
            networks_at_most(
                f"w = {row['weight']:g}: share of translations at step 1 minus that at the last step",
                shares[:, 0] - shares[:, -1],
            )
        )
    return checks


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = ["w", "step", "translations, exact", "network (mean)", "s.e.", "one register, exact", "network"]
    columns += ["stutter, exact", "network", "limit of deviations"]
    table: list[list[Any]] = []
    for row in rows:
        learned = {name: np.array(values) for name, values in row["learned"].items()}
        for step in range(learned["possible"].shape[1]):
            shares = learned["possible"][:, step]
            entry = [row["weight"], step + 1, row["exact"]["possible"][step], shares.mean()]
            entry.append(shares.std(ddof=1) / np.sqrt(len(shares)))
            for name in ("coherent", "stutters"):
                entry += [row["exact"][name][step], learned[name][:, step].mean()]
            table.append([float(value) for value in [*entry, np.mean([limits[step] for limits in row["limits"]])]])
    return Table(columns, table)


def draw_steps(data: Mapping[str, Any]) -> Figure:
    """Share of translations and stutter against steps."""
    with style():
        figure, panels = new_figure(1, 2, height=4.4)
        for axes, name, label in (
            (panels[0], "possible", "outputs that are translations (share)"),
            (panels[1], "stutters", "neighbours that are equal (share)"),
        ):
            for index, row in enumerate(data["rows"]):
                values = np.array(row["learned"][name])
                steps = np.arange(1, values.shape[1] + 1)
                colour = COLOURS[index % len(COLOURS)]
                weight = f"w = {row['weight']:g}"
                axes.plot(steps, row["exact"][name], DASHES[index], color=colour, label=f"{weight}, exact chain")
                shift = 0.05 * (index - (len(data["rows"]) - 1) / 2)
                draw_networks(axes, steps, values, index, f"{weight}, networks", shift=shift)
            axes.set(xlabel="refinement steps", ylabel=label)
            axes.set_xticks(steps)
            axes.set_ylim(bottom=0)
        panels[0].set_ylim(0, 1.02)
        first = data["rows"][0]
        place = len(data["rows"])
        label = f"w = {first['weight']:g}, {MASK_PREDICT}"
        panels[0].plot(
            steps, first["recipe"]["exact"], DASHES[place], color=COLOURS[place], label=f"{label}, exact twin"
        )
        draw_networks(panels[0], steps, first["recipe"]["learned"], place, f"{label}, networks", shift=0.08)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        found, recipe = (
            np.mean(values, axis=0) for values in (first["learned"]["possible"], first["recipe"]["learned"])
        )
        headline(
            figure,
            f"w = {first['weight']:g}: the first step gives {found[0]:.0%} translations, step {len(found)} "
            f"{found[-1]:.0%} where every position is drawn anew (exact: {first['exact']['possible'][-1]:.0%}) and "
            f"{recipe[-1]:.0%} by mask-predict (exact: {first['recipe']['exact'][-1]:.0%})",
        )
    return figure


def draw_first_step(data: Mapping[str, Any]) -> Figure:
    """Register mixing and stutter of the first step against the weights of the registers."""
    rows = sorted(data["rows"], key=lambda row: row["weight"])
    with style():
        figure, (axes,) = new_figure()
        x = [row["weight"] for row in rows]
        curve = data["curve"]
        for index, label in enumerate(("one register: mean of Σ w$_z^l$", "repeated neighbours, exact")):
            values = curve[("one register", "repeated neighbours")[index]]
            axes.plot(curve["weights"], values, DASHES[index], color=COLOURS[index], label=label)
        series = (("coherent", "one register"), ("stutters", "repeated neighbours"))
        for index, (name, title) in enumerate(series):
            for place, row in enumerate(rows):
                values = [network[0] for network in row["learned"][name]]
                shown = f"{title}, networks" if place == 0 else None
                axes.plot(
                    [x[place]] * len(values), values, MARKERS[index], color=COLOURS[index], alpha=0.6, label=shown
                )
        axes.set(xlabel="weight w of the first register", ylabel="share at the first step", ylim=(0, None))
        axes.legend()
        ends = [
            f"{np.mean([network[0] for network in row['learned']['coherent']]):.0%} at w = {row['weight']:g} "
            f"(exact: {row['law']:.0%})"
            for row in rows
        ]
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
