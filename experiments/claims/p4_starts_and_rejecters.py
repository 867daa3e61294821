"""P4: start tokens, replacement and rejecters of refinement, and the attention where neighbours repeat each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, Verdict, columns, heading, select
from experiments.figures import headline, line, marks, new_figure
from experiments.language.checks import Case, nearer, pooled, within_own_error
from experiments.language.exact import (
    Exact,
    claim_memory,
    distances,
    measured,
    next_steps,
    possible,
    stutters,
    wrong_chains,
)
from experiments.language.study import (
    MASK_PREDICT,
    MOST_STATES,
    WRONG_STEPS,
    OneLanguage,
    draw_networks,
    exact_mask_predict,
    mask_predict,
    redrawing,
    spread,
)
from experiments.language.translators import (
    Decoding,
    Rows,
    fresh_rows,
    neighbour_attention,
    noise_of,
    train,
    training_pairs,
)
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulators.t5.decoding.settings import RefinementSettings

MEASURES = {"possible": possible, "stutters": stutters}
TITLES = {"possible": "outputs that are translations (share)", "stutters": "neighbours that are equal (share)"}

SCHEMES = ("masks", "random", "linear", MASK_PREDICT, "previous", "summed", "constant", "stutter", "learned")
"""Two starts; four ways to treat what a linear schedule rejects (masks again, and every position is drawn anew; masks
again, and only they are drawn, the others keep their confidences: mask-predict; the tokens before; the likeliest by
logits summed over the steps); three more rejecters whose positions become masks again."""


@dataclass(frozen=True)
class Parameters(OneLanguage):
    """What is varied."""

    schemes: tuple[str, ...] = parameter(
        ("masks", "random", "linear", MASK_PREDICT, "stutter"),
        "ways to refine: starts, replacements of what is rejected, rejecters",
        full=SCHEMES,
        choices=SCHEMES,
    )
    steps: int = parameter(4, "refinement steps", full=8, minimum=2)


@dataclass(frozen=True)
class Row:
    """A scheme after so many steps, with the shares of each network; or an exact chain; or attention of networks."""

    possible: list[float] | None
    stutters: list[float] | None
    scheme: str = heading("scheme")
    step: int | None = heading("step")
    translations: float | None = heading("translations (mean)")
    translations_error: float | None = heading("s.e.")
    stutter: float | None = heading("stutter (mean)")
    stutter_error: float | None = heading("s.e.")
    attention: float | None = heading("attention")


def settings_of(scheme: str) -> RefinementSettings:
    """How a scheme decodes; every last step draws all positions, or all masks, and keeps what it draws."""
    from simulators.t5.decoding.rejecters import REJECTERS, ConstantSchedule, LinearSchedule

    if scheme == MASK_PREDICT:
        return mask_predict()
    changes: dict[str, Any] = {}
    if scheme == "random":
        changes = {"start": "random"}
    elif scheme in ("previous", "summed"):
        changes = {"rejecter": LinearSchedule(), "replacement": scheme}
    elif scheme == "constant":
        changes = {"rejecter": ConstantSchedule(count=1), "replacement": "initial"}
    elif scheme != "masks":
        changes = {"rejecter": REJECTERS[scheme](), "replacement": "initial"}
    return replace(redrawing(), **changes)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    training = parameters.training(learned_rejecter="learned" in parameters.schemes)
    language = parameters.language(parameters.weight)
    exact = Exact(language, noise_of(language, training))
    rows = fresh_rows(language, parameters.rows, seed)
    pairs = training_pairs(language, parameters.pairs, seed)
    decodings: dict[str, Decoding] = {}
    outcomes: dict[str, dict[str, list[list[float]]]] = {
        scheme: {name: [] for name in MEASURES} for scheme in parameters.schemes
    }
    cases: dict[str, list[Case]] = {name: [] for name in MEASURES}
    attention = []
    wrong: dict[str, tuple[list[Case], list[NDArray[np.float64]]]] = {}
    last: dict[str, list[Case]] = {}
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"network {index + 1} of {parameters.seeds}")
        network = train(language, pairs, training, 1000 * seed + index)
        for scheme in parameters.schemes:
            decoding = decodings.setdefault(scheme, Decoding(network, settings_of(scheme)))
            decoded = decoding(network, language, rows, range(1, parameters.steps + 1), seed)
            # The last step draws independently, whatever was done before: it can be held to the exact law.
            only_masked = scheme == MASK_PREDICT
            distance = distances(exact, rows, network, decoded.inputs, only_masked)
            for name, measure in MEASURES.items():
                found = [measured(exact, rows, outputs, measure) for outputs in decoded.outputs]
                outcomes[scheme][name].append([float(values.mean()) for values in found])
                expected = next_steps(exact, rows, decoded.inputs, measure, "masks" if only_masked else "all")
                cases[name] += [
                    Case(f"{scheme}, network {index + 1}, step {step + 1}", *numbers)
                    for step, numbers in enumerate(zip(found, expected, distance, strict=True))
                ]
            steps = cases["possible"][-parameters.steps :]
            if only_masked:
                for name, drawn in WRONG_STEPS.items():
                    known, other = wrong.setdefault(f"{MASK_PREDICT}, one step: a step that {name}", ([], []))
                    known += steps
                    other += list(next_steps(exact, rows, decoded.inputs, possible, drawn))
            else:
                last.setdefault(scheme, []).append(steps[-1])
            if scheme == parameters.schemes[0]:
                attention.append(_attention(network, rows, decoded.inputs[1], decoded.outputs[0]))
    chains = _exact_chains(exact, rows, parameters.steps) if MASK_PREDICT in parameters.schemes else {}
    result = [
        Row(possible, stutter, scheme, step, *spread(possible), *spread(stutter), None)
        for scheme, by_measure in outcomes.items()
        for step, (possible, stutter) in enumerate(
            zip(*(np.transpose(by_measure[name]).tolist() for name in MEASURES), strict=True), start=1
        )
    ]
    reported = [
        Row(None, None, f"exact, all steps: {name}", None, share, None, None, None, None)
        for name, share in chains.items()
    ]
    for kind in ("repeated", "other"):
        mean = float(np.mean([entry[kind] for entry in attention]))
        reported.append(Row(None, None, f"{kind} neighbours", 2, None, None, None, None, mean))
    data = {"rows": result, "attention": attention, "chains": chains}
    pools = [pooled(networks, f"{scheme}, step {parameters.steps}") for scheme, networks in last.items()]
    masks = np.broadcast_to(exact.expected(rows, possible, 1), (parameters.steps, len(rows.sources)))
    for name, shares in wrong_chains(masks).items() if pools else ():
        wrong[f"other schemes, step {parameters.steps}: a step that {name}"] = (pools, [shares[-1]] * len(pools))
    checks = _checks(cases)
    checks += [nearer(f"{name} is rejected, translations", *compared, name) for name, compared in wrong.items()]
    return Findings(checks, Table.of([*result, *reported]), data, _learned(result, checks))


def _learned(rows: Sequence[Row], checks: Sequence[Check]) -> str:
    first, last = ([row for row in rows if row.step == step] for step in (1, rows[-1].step))
    best, worst = (choose(last, key=lambda row: row.translations or 0.0) for choose in (max, min))
    start = {row.scheme: row.translations for row in first}
    rejected = [check for check in checks if "rejected" in check.name]
    return (
        f"After {best.step} steps {best.scheme} gives {best.translations:.0%} translations and {worst.scheme} "
        f"{worst.translations:.0%}, from {start[best.scheme]:.0%} and {start[worst.scheme]:.0%} in one step; "
        f"{checks[0].informative} of {checks[0].comparisons} comparisons of single steps with the exact law tell, and "
        f"{sum(check.verdict is Verdict.HOLDS for check in rejected)} of {len(rejected)} wrong steps are rejected."
    )


def _exact_chains(exact: Exact, rows: Rows, steps: int) -> dict[str, float]:
    """Exact share of translations of whole decodings, mean over the sentences that can be listed."""
    from theory.decoding.random_orders import RandomOrder

    found = {
        "mask-predict": exact_mask_predict(exact, rows, steps),
        "tokens revealed in random order": exact.decoded(rows, RandomOrder(), steps, possible, MOST_STATES),
        "every position redrawn": exact.expected(rows, possible, steps)[-1],
    }
    listed = ~np.isnan(found["mask-predict"])
    return {name: float(values[listed].mean()) for name, values in found.items()}


def _attention(network: Any, rows: Any, inputs: NDArray[np.int32], tokens: NDArray[np.int64]) -> dict[str, float]:
    """Mean self-attention at the second step between neighbours that the first step made equal, and between others."""
    weights = neighbour_attention(network, rows, inputs)
    inside = np.arange(1, tokens.shape[1]) < rows.lengths[:, None]
    equal = (tokens[:, 1:] == tokens[:, :-1]) & inside
    return {
        "repeated": float(weights[equal].mean()) if equal.any() else float("nan"),
        "other": float(weights[inside & ~equal].mean()),
    }


def _checks(cases: dict[str, list[Case]]) -> list[Check]:
    return [
        within_own_error(f"one step from where each scheme came, {TITLES[name]}: |network - exact law|", cases[name])
        for name in MEASURES
    ]


def draw_schemes(data: Mapping[str, Any]) -> Figure:
    """Translations and stutter against steps for each scheme."""
    rows = data["rows"]
    figure, panels = new_figure(1, 2, height=4.0)
    for axes, name in zip(panels, MEASURES, strict=True):
        for series, scheme in enumerate(dict.fromkeys(row["scheme"] for row in rows)):
            found = columns(select(rows, scheme=scheme))
            shift = 0.05 * (series - 1.5)
            draw_networks(axes, found["step"], found[name].T, series, scheme, shift=shift, joined=True)
        axes.set(xlabel="refinement steps T", ylabel=TITLES[name], ylim=(0, None))
        axes.set_xticks(found["step"])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    last = select(rows, step=rows[-1]["step"])
    best, worst = (choose(last, key=lambda row: row["translations"]) for choose in (max, min))
    headline(
        figure,
        f"After {best['step']} steps {best['scheme']} gives {best['translations']:.0%} translations, "
        f"{worst['scheme']} {worst['translations']:.0%}",
    )
    return figure


def draw_attention(data: Mapping[str, Any]) -> Figure:
    """Attention between repeated neighbours against that between others, one mark for each network."""
    entries = columns(data["attention"])
    figure, (axes,) = new_figure()
    limit = 1.1 * np.nanmax([*entries["other"], *entries["repeated"]])
    line(axes, [0, limit], [0, limit], 7, "no difference", dash="--")
    marks(axes, entries["other"], entries["repeated"], 1, "networks")
    less = int((entries["repeated"] < entries["other"]).sum())
    headline(
        figure, f"In {less} of {len(data['attention'])} networks repeated neighbours see each other less than others do"
    )
    axes.set(xlabel="attention between other neighbours", ylabel="attention between repeated neighbours")
    axes.set(xlim=(0, limit), ylim=(0, limit))
    axes.legend()
    return figure


CLAIM = Claim(
    id="P4",
    name="starts-and-rejecters",
    title="Starts, replacements and rejecters change where refinement goes, not what a step does there",
    statement=(
        "Whatever refinement starts from (masks or random tokens), whichever rejecter takes predictions back (a "
        "linear schedule, a constant one, repeated tokens, a learned head) and whatever fills their place (masks, the"
        " tokens before, the likeliest by summed logits), the last step of a trained T5 gives as many translations "
        "and repeated neighbours as the exact law does from the same inputs, up to the network's own error there. "
        "Decoded by mask-predict, the recommended way (only masks are drawn, kept tokens keep the confidence that "
        "they had), its steps are seen to be neither joint draws of all masks nor draws that ignore what is kept; "
        "those of the others neither joint draws nor steps that see masks alone. What each scheme reaches by T steps "
        "is reported with its spread, and so is the self-attention of the second step between neighbours that the "
        "first step made equal, beside that between others: no theory says how large it is."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 5; Ghazvininejad et al. 2019 (arXiv:1904.09324)",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "schemes",
            "Share of outputs that are possible translations, and of repeated neighbours, against the number of "
            "steps for each way to refine (measured; bars: 2 standard errors over networks).",
            draw_schemes,
        ),
        FigureSpec(
            "attention",
            "Mean decoder self-attention of the second step between neighbours that the first step made equal, against "
            "that between other neighbours; one mark for each network. The line is equality, the prediction that "
            "attention does not see the difference.",
            draw_attention,
        ),
    ),
    memory=claim_memory,
)
