"""P5: quality against decoder passes and time, autoregressive against refinement, with deep and shallow decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import COLOURS, headline, new_figure
from experiments.language.study import draw_networks, likeliest, spread
from experiments.language.translators import (
    BEYOND,
    AutoregressiveDecoding,
    Decoding,
    Pair,
    Training,
    fresh_rows,
    make_rows,
    small_language,
    train,
    training_pairs,
)
from experiments.learned import networks_at_most
from theory.language.parallel_language import ParallelLanguage
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EQUIVALENT = 0.05
"""A loss of translations up to this share counts as none."""

TIMED = 5
"""Runs of which the fastest counts as the time of a network."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    depths: tuple[int, ...] = parameter((1,), "decoder layers", full=(1, 3), minimum=1)
    steps: tuple[int, ...] = parameter((1, 2, 4), "refinement steps", full=(1, 2, 4, 8), minimum=1)
    weight: float = parameter(0.5, "weight of the first of two registers", minimum=0.0, maximum=1.0)
    longest: int = parameter(4, "words of a sentence at most", full=7, minimum=2, maximum=7)
    rows: int = parameter(256, "test sentences", full=1024, minimum=20)
    seeds: int = parameter(3, "networks of each kind", minimum=2)
    training_steps: int = parameter(600, "optimiser steps", full=4000, minimum=1)
    pairs: int = parameter(4000, "training pairs", full=20_000, minimum=1)
    width: int = parameter(32, "width of the network", full=64, minimum=8)


@dataclass(frozen=True)
class Row:
    """Networks of one kind, decoded with one number of steps; ``shares`` are the translations of each."""

    shares: list[float]
    decoder: str = heading("decoder")
    data: str = heading("trained on")
    layers: int = heading("layers")
    steps: int | None = heading("steps")
    passes: float = heading("passes")
    mean: float = heading("translations (mean)")
    error: float = heading("s.e.")
    milliseconds: float = heading("ms per sentence")


KINDS = {
    "base": ("autoregressive", "drawn"),
    "drawn": ("refinement", "drawn"),
    "distilled": ("refinement", "distilled"),
}
"""Decoders and what they are trained on."""


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    plain = Training(width=parameters.width, steps=parameters.training_steps, layers=max(parameters.depths))
    language = small_language((parameters.weight, 1 - parameters.weight), longest=parameters.longest)
    drawn = training_pairs(language, parameters.pairs, seed)
    modes: list[Pair] = [(source, language.mode(source)) for source, _ in drawn]
    test = fresh_rows(language, parameters.rows, seed)
    # Without doubling a translation has as many tokens as its source has words, whatever is trained on.
    test = make_rows(test.sources, [len(source) for source in test.sources])
    rows: list[Row] = []
    for depth in parameters.depths:
        for place, (decoder, data) in enumerate(KINDS.values()):
            training = replace(plain, decoder_layers=depth, decoder=decoder)  # type: ignore[arg-type]
            decoding: Decoding | AutoregressiveDecoding | None = None
            efforts = parameters.steps if decoder == "refinement" else (0,)
            shares, times, passes = [], [], []
            for index in range(parameters.seeds):
                done = (place + index / parameters.seeds) / len(KINDS)
                progress(done, f"{decoder}, {data}, {depth} layers, network {index + 1}")
                network = train(language, modes if data == "distilled" else drawn, training, 1000 * seed + index)
                if decoding is None:
                    autoregressive = decoder == "autoregressive"
                    decoding = AutoregressiveDecoding(network) if autoregressive else Decoding(network, likeliest())
                # The first run compiles. The fastest of the others was disturbed least by what else the machine does.
                runs = [decoding(network, language, test, efforts) for _ in range(1 + TIMED)]
                shares.append([_translations(language, test.sources, outputs) for outputs in runs[-1].outputs])
                times.append(np.min([run.milliseconds for run in runs[1:]], axis=0))
                passes.append(runs[-1].passes)
            numbers = zip(efforts, np.transpose(shares), np.mean(passes, axis=0), np.median(times, axis=0), strict=True)
            for steps, found, spent, took in numbers:
                kind = (decoder, data, depth, steps or None, float(spent))
                rows.append(Row(found.tolist(), *kind, *spread(found), float(took)))
    # Of unequal registers the likeliest tokens are all of one: only a tie is sure to be mixed up.
    return Findings(_checks(rows, parameters.weight == 0.5), Table.of(rows), {"rows": rows}, _learned(rows))


def _kinds(rows: Sequence[Mapping[str, Any]], layers: int) -> list[list[Mapping[str, Any]]]:
    """The rows of each of `KINDS` with so many layers, by steps."""
    return [select(rows, layers=layers, decoder=decoder, data=data) for decoder, data in KINDS.values()]


def _learned(rows: Sequence[Row]) -> str:
    shallow = min(row.layers for row in rows)
    base, drawn, distilled = _kinds([vars(row) for row in rows], shallow)
    return (
        f"With {shallow} decoder layer{'s' if shallow > 1 else ''} one distilled pass gives "
        f"{distilled[0]['mean']:.0%} translations where token-by-token decoding gives {base[0]['mean']:.0%} in "
        f"{base[0]['passes']:.2g} passes; without distillation one pass gives {drawn[0]['mean']:.0%} and "
        f"{drawn[-1]['steps']} steps {drawn[-1]['mean']:.0%}."
    )


def _translations(language: ParallelLanguage, sources: list[tuple[int, ...]], outputs: Any) -> float:
    """Share of outputs that are possible translations."""
    found = [
        language.log_probability(source, [int(token) for token in output if token != BEYOND]) > -np.inf
        for source, output in zip(sources, outputs, strict=True)
    ]
    return float(np.mean(found))


def _checks(rows: Sequence[Row], tie: bool) -> list[Check]:
    checks = []
    for depth in dict.fromkeys(row.layers for row in rows):
        base, drawn, distilled = (np.array(kind[0]["shares"]) for kind in _kinds([vars(row) for row in rows], depth))
        checks += [
            networks_at_most(
                f"{depth} layers: translations lost by one distilled refinement step against autoregressive decoding",
                base - distilled,
                EQUIVALENT,
                f"a loss of {EQUIVALENT:g} counts as none",
                # No network can lose more than there is.
                trivial=float(base.mean()),
            ),
            networks_at_most(
                f"{depth} layers: translations of one step trained on drawn ones, minus autoregressive",
                drawn - base,
                -EQUIVALENT if tie else 0.0,
                "at equal weights the test that the distilled step passes must reject this one" if tie else "",
                trivial=1 - float(base.mean()),
            ),
        ]
    return checks


def draw(data: Mapping[str, Any]) -> Figure:
    """Share of translations against passes and against time."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    rows = data["rows"]
    figure, panels = new_figure(1, 2, height=4.2)
    for axes, name, label in (
        (panels[0], "passes", "decoder passes of a sentence"),
        (panels[1], "milliseconds", "milliseconds for a sentence, batched"),
    ):
        depths = dict.fromkeys(row["layers"] for row in rows)
        series = [(depth, kind) for depth in depths for kind in _kinds(rows, depth)]
        for place, (depth, kind) in enumerate(series):
            title = f"{kind[0]['decoder']}, {kind[0]['data']}, layers: {depth}"
            found = columns(kind)
            draw_networks(axes, found[name], found["shares"].T, place, title, joined=True)
        axes.axhline(1.0, color=COLOURS[7], linewidth=0.8, label="predicted: distilled, and token by token")
        axes.set(xlabel=label, ylabel="outputs that are translations (share)", ylim=(0, 1.05))
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[1].set_xscale("log")
    panels[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[1].xaxis.set_major_formatter("{x:g}")
    panels[1].xaxis.set_minor_formatter(NullFormatter())
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    (base, *_), _, (one, *_) = _kinds(rows, rows[0]["layers"])
    headline(
        figure,
        f"Distilled, one pass gives {one['mean']:.0%} translations, token by token {base['mean']:.0%} in "
        f"{base['passes']:.2g} passes; in time, on networks this small, one pass takes "
        f"{one['milliseconds'] / base['milliseconds']:.2g} times as long",
    )
    return figure


CLAIM = Claim(
    id="P5",
    name="speed-quality-frontier",
    title="Distilled, one parallel pass translates as well as one autoregressive pass for each token",
    statement=(
        "The likeliest tokens of T5s on the parallel language with two registers, at true lengths. An autoregressive "
        "decoder commits itself to a register with its first token; one refinement step trained on the same drawn "
        "translations cannot: it gives no more translations, and between registers of equal weight loses more than "
        f"{EQUIVALENT:g} of their share. Trained on the modes (distillation), whose law is a product, one refinement "
        f"step loses at most {EQUIVALENT:g} of the autoregressive decoder's share of translations with one pass in "
        "place of l + 1. Passes and times by steps and depth are reported."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 5; Kasai et al. 2021 (arXiv:2006.10369) for shallow decoders",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "frontier",
            "Share of outputs that are possible translations against decoder passes (left) and against time on this "
            "machine (right), by decoder, training data and depth (marks: measured; bars: 2 standard errors over "
            "networks). Line: the law of modes is a product, which one pass can express.",
            draw,
        ),
    ),
)
