"""P6: the divergence of translations from the truth, split into errors of length, tokens and coherence, by steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, headline, new_figure, style
from experiments.language.checks import FALSE_ALARM
from experiments.language.divergence import (
    first_register,
    length_errors,
    mean_split,
    rows_of_shapes,
    shapes,
    splits,
    twin_laws,
    visited,
)
from experiments.language.exact import Exact, claim_memory, measured, possible
from experiments.language.study import OneLanguage, draw_networks, mask_predict, spread
from experiments.language.translators import Decoding, noise_of, train, training_pairs
from experiments.learned import networks_at_most
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

PARTS = ("tokens", "coherence")

SAME = 0.05
"""A coherence error of a first step that differs from the total correlation by this share of it counts as equal to it:
the sources of a shape, whose laws are put together, are not translated quite alike."""


@dataclass(frozen=True)
class Parameters(OneLanguage):
    """What is varied."""

    longest: int = parameter(3, "words of a sentence at most", minimum=2, maximum=3)
    rows: int = parameter(256, "test sentences of each number of words and length", full=1024, minimum=20)
    steps: tuple[int, ...] = parameter((1, 2, 3, 4, 6), "refinement steps; the first is always measured", minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    steps = sorted({1, *parameters.steps})
    language = parameters.language(parameters.weight)
    training = parameters.training(length_predictor="token")
    exact = Exact(language, noise_of(language, training))
    laws = twin_laws(exact, steps)
    twin = [splits(exact, each) for each in laws]
    sentences = rows_of_shapes(language, parameters.rows, seed)
    pairs = training_pairs(language, parameters.pairs, seed)
    found: list[Any] = []
    lengths: list[Any] = []
    registers: list[float] = []
    drawn: list[tuple[Array, Array]] = []
    decoding: Decoding | None = None
    for index in range(parameters.seeds):
        progress(index / parameters.seeds, f"network {index + 1} of {parameters.seeds}")
        network = train(language, pairs, training, 1000 * seed + index)
        decoding = decoding or Decoding(network, mask_predict())
        decoded = decoding(network, language, sentences, steps, seed)
        seen = visited(exact, sentences, network, decoded)
        found.append([mean_split(language, splits(exact, each)) for each in seen.laws])
        registers.append(first_register(exact, seen.laws[-1]))
        lengths.append(length_errors(network, language, sentences))
        for outputs, expected in zip(decoded.outputs, seen.translations, strict=True):
            drawn.append((measured(exact, sentences, outputs, possible), expected))
    correlations = {(n, length): language.total_correlation(range(n), length) for n, length in shapes(language)}
    data = {
        "steps": steps,
        "exact": np.array([mean_split(language, parts) for parts in twin]),  # [T, parts]
        "networks": np.array(found),  # [networks, T, parts]
        "length": np.array([each.drawn for each in lengths]),
        "weight": parameters.weight,
        "first register": {"exact": first_register(exact, laws[-1]), "networks": np.array(registers)},
        "likeliest length": np.array([each.likeliest for each in lengths]),
    }
    checks = [
        Check.equal(
            "exact twin, 1 step: coherence error against the total correlation TC(y | x, l) in closed form",
            [twin[0][shape].coherence for shape in correlations],
            list(correlations.values()),
            1e-9,
            "nats; for each number of words and length",
        ),
        _as_drawn(drawn),
        *_checks(data, lengths),
    ]
    return Findings(checks, _table(data), data, _learned(data))


def _as_drawn(drawn: list[tuple[Array, Array]]) -> Check:
    """Outputs are drawn from the laws of the last step: shares of translations, up to Bernstein's inequality."""
    apart = [abs(float((found - expected).mean())) for found, expected in drawn]
    logarithm = np.log(2 * len(drawn) / FALSE_ALARM)
    limits = [
        np.sqrt(2 * logarithm * (expected * (1 - expected)).mean() / len(expected)) + logarithm / (3 * len(expected))
        for _, expected in drawn
    ]
    return Check.at_most(
        "share of translations among the outputs: |measured - by the laws of the last step|",
        apart,
        limits,
        detail=f"for each network and number of steps; false-alarm rate {FALSE_ALARM:g} for all of them",
        trivial=1.0,
    )


def _checks(data: Mapping[str, Any], lengths: list[Any]) -> list[Check]:
    tokens, coherence = np.moveaxis(data["networks"], 2, 0)  # [networks, T] each
    twin_tokens, twin_coherence = data["exact"].T
    first, last = twin_coherence[0], data["steps"][-1]
    middle_length = np.mean([each.uniform for each in lengths]) / 2
    return [
        networks_at_most(
            "1 step: |coherence error - total correlation|, in shares of it",
            np.abs(coherence[:, 0] - first) / first,
            SAME,
            "any product law has this coherence error, however it was learned",
        ),
        networks_at_most(
            f"{last} steps: coherence error, beyond the middle between the exact twin's and that of one step",
            coherence[:, -1] - (twin_coherence[-1] + first) / 2,
            detail="rejected: steps that ignore what is kept",
        ),
        networks_at_most(
            f"{last} steps: middle between the exact twin's token error and none, minus the token error",
            twin_tokens[-1] / 2 - tokens[:, -1],
            detail="rejected: steps that draw all masks together",
        ),
        networks_at_most(f"token error of 1 step minus that of {last} steps: it grows", tokens[:, 0] - tokens[:, -1]),
        networks_at_most(
            "1 step: token error minus coherence error: parallel decoding is incoherent", tokens[:, 0] - coherence[:, 0]
        ),
        networks_at_most(
            f"{last} steps: coherence error minus token error: the order has turned", coherence[:, -1] - tokens[:, -1]
        ),
        networks_at_most(
            f"all errors but of length, {last} steps minus 1 step",
            (tokens + coherence)[:, -1] - (tokens + coherence)[:, 0],
        ),
        networks_at_most(
            "length error minus half of that of a uniform law of lengths",
            data["length"] - middle_length,
            detail="rejected: lengths that are not learned",
        ),
    ]


def _learned(data: Mapping[str, Any]) -> str:
    mean = data["networks"].mean(axis=0)
    register = data["first register"]
    (tokens, coherence), last = data["exact"][-1], data["steps"][-1]
    return (
        f"One step of mask-predict is {mean[0, 1]:.2f} nats incoherent (total correlation: {data['exact'][0, 1]:.2f}); "
        f"{last} steps leave {mean[-1, 1]:.2f} (exact twin: {coherence:.2f}), but the token error grows from "
        f"{mean[0, 0]:.2f} to {mean[-1, 0]:.2f} (exact: 0 to {tokens:.2f}): a register of weight "
        f"{data['weight']:g} then leads {np.mean(register['networks']):.0%} of the translations (exact: "
        f"{register['exact']:.0%}). The length costs {np.mean(data['length']):.3f} nats where it is drawn; taking the "
        f"likeliest one misses {np.mean(data['likeliest length']):.0%} of the mass."
    )


def _table(data: Mapping[str, Any]) -> Table:
    columns = ["steps", "length, networks"]
    for part in (*PARTS, "sum of both"):
        columns += [f"{part}, exact", "networks (mean)", "s.e."]
    rows = []
    for place, step in enumerate(data["steps"]):
        row: list[Any] = [step, float(np.mean(data["length"]))]
        exact, networks = data["exact"][place], data["networks"][:, place]
        for wanted, values in (*zip(exact, networks.T, strict=True), (exact.sum(), networks.sum(axis=1))):
            row += [float(wanted), *spread(values)]
        rows.append(row)
    return Table(columns, rows)


def draw(data: Mapping[str, Any]) -> Figure:
    """The parts and their sum against steps."""
    steps, exact, networks = (np.array(data[name]) for name in ("steps", "exact", "networks"))
    with style():
        figure, panels = new_figure(1, 2, height=4.2)
        for axes, series in zip(
            panels,
            (
                (("coherence", exact[:, 1], networks[..., 1]), ("tokens", exact[:, 0], networks[..., 0])),
                (("tokens and coherence", exact.sum(axis=1), networks.sum(axis=2)),),
            ),
            strict=True,
        ):
            for place, (name, wanted, values) in enumerate(series):
                place += 2 * (axes is panels[1])
                axes.plot(steps, wanted, linestyle=DASHES[place], color=COLOURS[place], label=f"{name}, exact twin")
                draw_networks(axes, steps, values, place, f"{name}, networks", shift=0.06 * (place - 0.5))
            axes.set(xlabel="steps of mask-predict", ylabel="divergence from the true law (nats)")
            axes.set_xticks(steps)
            axes.set_ylim(bottom=0)
            axes.legend()
        means = networks.mean(axis=0)
        headline(
            figure,
            f"From 1 to {steps[-1]} steps incoherence falls from {means[0, 1]:.2f} to {means[-1, 1]:.2f} nats (exact "
            f"twin: {exact[0, 1]:.2f} to {exact[-1, 1]:.2f}) and the token error grows from {means[0, 0]:.2f} to "
            f"{means[-1, 0]:.2f} (exact: {exact[0, 0]:.2f} to {exact[-1, 0]:.2f}); the length adds "
            f"{np.mean(data['length']):.3f}",
        )
    return figure


CLAIM = Claim(
    id="P6",
    name="errors-of-length-tokens-and-coherence",
    title="Refinement steps turn errors of coherence into smaller errors of tokens, as their exact twin does",
    statement=(
        "On the parallel language the divergence KL(p || q) of the decoded law from p(y | x) is the sum of a length "
        "error KL(p_L || q_L), a token error KL(q* || q) and a coherence error KL(p || q*), where q* is the law "
        "nearest to q whose tokens have the true frequencies at every position. After one step the coherence error "
        "is the total correlation TC(y | x, l), whatever the network; for the exact twin of mask-predict the token "
        "error is then 0. Further steps remove the coherence error and make a token error, smaller than what they "
        "remove: confident tokens are kept, and with them the commoner register. Trained networks do the same: they "
        "are nearer the twin than steps that ignore what is kept, or that draw all masks together, would be; their "
        "length error, of lengths drawn from the length head, is nearer to none than to that of a uniform law."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; the split: Csiszár 1975, I-divergence geometry",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "errors",
            "Divergence of translations from the true law given the length, by steps of mask-predict: errors of tokens "
            "and of coherence (left) and their sum (right). Lines: exact twin. Marks: trained networks (bars: 2 "
            "standard errors).",
            draw,
        ),
    ),
    memory=claim_memory,
)
