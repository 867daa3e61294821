"""P5: quality against decoder passes and time, autoregressive against refinement, with deep and shallow decoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    plain = Training(width=parameters.width, steps=parameters.training_steps, layers=max(parameters.depths))
    language = small_language((parameters.weight, 1 - parameters.weight), longest=parameters.longest)
    drawn = training_pairs(language, parameters.pairs, seed)
    modes: list[Pair] = [(source, language.mode(source)) for source, _ in drawn]
    rows = fresh_rows(language, parameters.rows, seed)
    # Without doubling a translation has as many tokens as its source has words, whatever is trained on.
    rows = make_rows(rows.sources, [len(source) for source in rows.sources])
    kinds = [("autoregressive", "drawn"), ("refinement", "drawn"), ("refinement", "distilled")]
    entries = []
    for depth in parameters.depths:
        for place, (decoder, data) in enumerate(kinds):
            training = replace(plain, decoder_layers=depth, decoder=decoder)  # type: ignore[arg-type]
            decoding: Decoding | AutoregressiveDecoding | None = None
            efforts = parameters.steps if decoder == "refinement" else (0,)
            shares, times, passes = [], [], []
            for index in range(parameters.seeds):
                done = (place + index / parameters.seeds) / len(kinds)
                progress(done, f"{decoder}, {data}, {depth} layers, network {index + 1}")
                network = train(language, modes if data == "distilled" else drawn, training, 1000 * seed + index)
                decoding = decoding or _decoding(network, decoder)
                # The first run compiles. The fastest of the others was disturbed least by what else the machine does.
                runs = [decoding(network, language, rows, efforts) for _ in range(1 + TIMED)]
                decoded = runs[-1]
                shares.append([_translations(language, rows.sources, outputs) for outputs in decoded.outputs])
                times.append(np.min([run.milliseconds for run in runs[1:]], axis=0))
                passes.append(decoded.passes)
            entries.append(
                {
                    "decoder": decoder,
                    "data": data,
                    "layers": depth,
                    "steps": list(efforts),
                    "shares": np.array(shares),
                    "milliseconds": np.median(times, axis=0),
                    "passes": np.mean(passes, axis=0),
                }
            )
    # Of unequal registers the likeliest tokens are all of one: only a tie is sure to be mixed up.
    return Findings(
        _checks(entries, parameters.weight == 0.5), _table(entries), {"entries": entries}, _learned(entries)
    )


def _learned(entries: list[dict[str, Any]]) -> str:
    shallow = min(entry["layers"] for entry in entries)
    kinds = {(entry["decoder"], entry["data"]): entry for entry in entries if entry["layers"] == shallow}
    base, drawn, distilled = (
        kinds[kind] for kind in (("autoregressive", "drawn"), ("refinement", "drawn"), ("refinement", "distilled"))
    )
    most = drawn["steps"][-1]
    return (
        f"With {shallow} decoder layer{'s' if shallow > 1 else ''} one distilled pass gives "
        f"{distilled['shares'][:, 0].mean():.0%} translations where token-by-token decoding gives "
        f"{base['shares'].mean():.0%} in {base['passes'][0]:.2g} passes; without distillation one pass gives "
        f"{drawn['shares'][:, 0].mean():.0%} and {most} steps {drawn['shares'][:, -1].mean():.0%}."
    )


def _decoding(network: Any, decoder: str) -> Decoding | AutoregressiveDecoding:
    """The likeliest tokens, by either decoder; every refinement step is done."""
    from simulators.t5.decoding.settings import RefinementSettings

    if decoder == "autoregressive":
        return AutoregressiveDecoding(network)
    return Decoding(network, RefinementSettings(early_exit=False))


def _translations(language: ParallelLanguage, sources: list[tuple[int, ...]], outputs: Any) -> float:
    """Share of outputs that are possible translations."""
    found = [
        language.log_probability(source, [int(token) for token in output if token != BEYOND]) > -np.inf
        for source, output in zip(sources, outputs, strict=True)
    ]
    return float(np.mean(found))


def _checks(entries: list[dict[str, Any]], tie: bool) -> list[Check]:
    checks = []
    for depth in dict.fromkeys(entry["layers"] for entry in entries):
        by_kind = {(entry["decoder"], entry["data"]): entry for entry in entries if entry["layers"] == depth}
        base = by_kind["autoregressive", "drawn"]["shares"][:, 0]
        distilled, drawn = (by_kind["refinement", data]["shares"] for data in ("distilled", "drawn"))
        checks += [
            networks_at_most(
                f"{depth} layers: translations lost by one distilled refinement step against autoregressive decoding",
                base - distilled[:, 0],
                EQUIVALENT,
                f"a loss of {EQUIVALENT:g} counts as none",
                # No network can lose more than there is.
                trivial=float(base.mean()),
            ),
            networks_at_most(
                f"{depth} layers: translations of one step trained on drawn ones, minus autoregressive",
                drawn[:, 0] - base,
                -EQUIVALENT if tie else 0.0,
                "at equal weights the test that the distilled step passes must reject this one" if tie else "",
                trivial=1 - float(base.mean()),
            ),
        ]
    return checks


def _table(entries: list[dict[str, Any]]) -> Table:
    columns = ["decoder", "trained on", "layers", "steps", "passes", "translations (mean)", "s.e.", "ms per sentence"]
    rows: list[list[Any]] = []
    for entry in entries:
        shares = entry["shares"]
        for place, steps in enumerate(entry["steps"]):
            values = shares[:, place]
            row = [entry["decoder"], entry["data"], entry["layers"], steps or None, float(entry["passes"][place])]
            row += [float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))]
            rows.append([*row, float(entry["milliseconds"][place])])
    return Table(columns, rows)


def draw(data: Mapping[str, Any]) -> Figure:
    """Share of translations against passes and against time."""
    from matplotlib.ticker import MaxNLocator

    with style():
        figure, panels = new_figure(1, 2, height=4.2)
        for axes, name, label in (
            (panels[0], "passes", "decoder passes of a sentence"),
            (panels[1], "milliseconds", "milliseconds for a sentence, batched"),
        ):
            for index, entry in enumerate(data["entries"]):
                shares = np.array(entry["shares"])
                axes.errorbar(
                    entry[name],
                    shares.mean(axis=0),
                    yerr=2 * shares.std(axis=0, ddof=1) / np.sqrt(len(shares)),
                    marker=MARKERS[index % len(MARKERS)],
                    color=COLOURS[index % len(COLOURS)],
                    linestyle=DASHES[index % len(DASHES)],
                    capsize=2,
                    label=f"{entry['decoder']}, {entry['data']}, layers: {entry['layers']}",
                )
            axes.axhline(1.0, color=COLOURS[7], linewidth=0.8, label="predicted: distilled, and token by token")
            axes.set(xlabel=label, ylabel="outputs that are translations (share)", ylim=(0, 1.05))
        panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[1].set_xscale("log")
        for scale in (panels[1].xaxis.set_major_formatter, panels[1].xaxis.set_minor_formatter):
            scale("{x:.2g}")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        kinds = {(entry["decoder"], entry["data"]): entry for entry in data["entries"]}
        base, one = kinds["autoregressive", "drawn"], kinds["refinement", "distilled"]
        headline(
            figure,
            f"Distilled, one pass gives {np.mean(one['shares'], axis=0)[0]:.0%} translations, token by token "
            f"{np.mean(base['shares'], axis=0)[0]:.0%} in {base['passes'][0]:.2g} passes; in time, on networks this "
            f"small, one pass takes {one['milliseconds'][0] / base['milliseconds'][0]:.2g} times as long",
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
