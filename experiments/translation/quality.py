"""Quality and cost of a checkpoint on sentence pairs, by refinement steps: the table and the figure of the frontier."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, plain_text, style
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simulators.t5.decoding.rescoring import Rescorer
    from simulators.t5.decoding.translation import Settings, Target, Translator
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5

Report = Callable[[str], None]


@dataclass(frozen=True)
class Quality:
    """One way to decode a test set.

    Attributes:
        model: name of the checkpoint.
        decoder: "autoregressive" or "refinement".
        steps: refinement steps; None for autoregressive decoding.
        passes: decoder passes of a sentence, mean.
        bleu, chrf: 0..100.
        bleu_interval, chrf_interval: half of their 95% bootstrap intervals over sentences; None where not asked for.
        ceiling: BLEU of the references, written with the vocabulary and read back; no output scores more by much.
        stutter, reference_stutter: share of equal neighbours in outputs and references.
        length_error, token_error, order_error: edits in tokens that a sentence lacks to its reference, mean: because
            the lengths differ, because tokens are wrong, and because they stand in the wrong place.
        milliseconds: for a sentence, batched, without compilation, tokenising not counted.
        processor_milliseconds: of all processor cores together, likewise; on a busy machine the number to compare.
        bleu_signature, chrf_signature: of sacrebleu.
    """

    model: str
    decoder: str
    steps: int | None
    passes: float
    bleu: float
    bleu_interval: float | None
    chrf: float
    chrf_interval: float | None
    ceiling: float
    stutter: float
    reference_stutter: float
    length_error: float
    token_error: float
    order_error: float
    milliseconds: float
    processor_milliseconds: float
    bleu_signature: str
    chrf_signature: str


def measure_quality(
    name: str,
    network: T5,
    vocabulary: Vocabulary,
    pairs: Pairs,
    settings: Settings,
    steps: Sequence[int],
    *,
    rows: int = 64,
    seed: int = 0,
    oracle_lengths: bool = False,
    tokenizer: str = "13a",
    bootstrap: int = 0,
    rescorer: Rescorer | None = None,
    report: Report = lambda text: None,
    translator: Translator | None = None,
) -> Iterator[tuple[Quality, list[Target], list[str]]]:
    """Decode the sources, with each number of steps where the network refines, and score the outputs.

    Args:
        name: of the checkpoint, for the table.
        network: of either kind.
        vocabulary: of the network.
        pairs: sources and references.
        settings: of the decoder.
        steps: refinement steps to try.
        rows: sentences of a batch.
        seed: of random starts and sampling.
        oracle_lengths: give refinement the length of the reference.
        tokenizer: of BLEU.
        bootstrap: samples of the intervals; 0 for none.
        rescorer: chooses among the hypotheses of refinement; its time counts.
        report: told what is being decoded.
        translator: timed, of the same configuration, settings and rescorer; takes the network's weights, and compiles
            nothing that it has compiled before.

    Yields:
        Scores and the translations that they are of, as tokens and as texts.

    Raises:
        InvalidInput: no steps, or a reference longer than the network allows where its length is to be given.
    """
    from simulators.t5.decoding.evaluation import edit_errors, stutter_rate, text_scores
    from simulators.t5.decoding.translation import Translator

    refines = network.config.decoder == "refinement"
    if refines and (not steps or min(steps) < 1):
        raise InvalidInput("steps", list(steps), "whole numbers of at least 1 are needed")
    sources, references = vocabulary.encode(pairs.sources), vocabulary.encode(pairs.targets)
    spoken = [row[:-1] for row in references]
    ceiling = text_scores(vocabulary.decode(references), pairs.targets, tokenizer).bleu
    lengths = (
        [len(row) for row in references] if oracle_lengths or network.config.length_predictor == "oracle" else None
    )
    if translator is None:
        translator = Translator(network, settings, rows, seed, timed=True, rescorer=rescorer)
    else:
        translator.load(network)
    for effort in steps if refines else (None,):
        report(name if effort is None else f"{name}, {effort} steps")
        translator.seconds = translator.processor_seconds = 0.0
        targets = translator(sources, lengths if refines else None, steps=effort)
        texts = vocabulary.decode(target.tokens for target in targets)
        scores = text_scores(texts, pairs.targets, tokenizer, bootstrap)
        tokens = [target.tokens for target in targets]
        errors = edit_errors(tokens, spoken)
        quality = Quality(
            model=name,
            decoder=network.config.decoder,
            steps=effort,
            passes=float(np.mean([target.passes for target in targets])),
            bleu=scores.bleu,
            bleu_interval=scores.bleu_interval,
            chrf=scores.chrf,
            chrf_interval=scores.chrf_interval,
            ceiling=ceiling,
            stutter=stutter_rate(tokens),
            reference_stutter=stutter_rate(spoken),
            length_error=errors.length,
            token_error=errors.tokens,
            order_error=errors.order,
            milliseconds=1000 * translator.seconds / len(sources),
            processor_milliseconds=1000 * translator.processor_seconds / len(sources),
            bleu_signature=scores.bleu_signature,
            chrf_signature=scores.chrf_signature,
        )
        yield quality, targets, texts


def with_interval(score: float, half: float | None) -> str:
    """A score as tables show it."""
    return f"{score:.2f}" if half is None else f"{score:.2f} ± {half:.2f}"


def first_pairs(pairs: Pairs, limit: int | None) -> Pairs:
    """The first so many pairs.

    Raises:
        InvalidInput: a limit below 1.
    """
    if limit is None:
        return pairs
    if limit < 1:
        raise InvalidInput("limit", limit, "at least 1 is needed")
    return pairs._replace(sources=pairs.sources[:limit], targets=pairs.targets[:limit])


def named_test_set(name: str, languages: str) -> Pairs:
    """A named test set of sacrebleu, from its cache, or from the network where there is one.

    Args:
        name: such as "wmt14".
        languages: such as "de-en".

    Raises:
        InvalidInput: an unknown name or pair of languages, or a set that cannot be fetched.
    """
    from sacrebleu import get_reference_files, get_source_file
    from sacrebleu.dataset import DATASETS

    from simulators.t5.files.parallel_text import read_pairs

    if name not in DATASETS:
        raise InvalidInput("test_set", name, "a name of `sacrebleu --list`, such as wmt14 or wmt16")
    if languages not in DATASETS[name].langpairs:
        raise InvalidInput("languages", languages, f"{name} has " + ", ".join(sorted(DATASETS[name].langpairs)))
    try:
        source, references = get_source_file(name, languages), get_reference_files(name, languages)
    except BaseException as error:  # sacrebleu leaves with SystemExit where a download fails
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InvalidInput(
            "test_set", name, "is not in sacrebleu's cache (~/.sacrebleu) and cannot be fetched"
        ) from None
    return read_pairs(Path(source), Path(references[0]))


def draw_frontier(rows: Sequence[Mapping[str, Any]], time: str = "milliseconds") -> Figure:
    """BLEU against milliseconds for a sentence; refinement is a line over its steps, which stand beside its marks, and
    autoregressive decoding a mark.

    Args:
        rows: fields of `Quality`.
        time: "milliseconds", or "processor_milliseconds", which what else the machine does changes little.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    with style():
        figure, (axes,) = new_figure(width=5.6, height=4.6)
        for index, model in enumerate(dict.fromkeys(row["model"] for row in rows)):
            own = [row for row in rows if row["model"] == model]
            times, scores = [row[time] for row in own], [row["bleu"] for row in own]
            axes.plot(
                times,
                scores,
                marker=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                linestyle=DASHES[index % len(DASHES)] if len(own) > 1 else "",
                label=textwrap.fill(plain_text(f"{model} ({own[0]['decoder']})"), 64),
            )
            for place, row in enumerate(own):
                if row["steps"] is not None:
                    # On both sides of the line in turn: steps that stop early take the same time.
                    shift = (0, 5) if place % 2 else (0, -12)
                    point = (row[time], row["bleu"])
                    axes.annotate(str(row["steps"]), point, shift, textcoords="offset points", fontsize=7, ha="center")
        axes.set(
            xscale="log",
            xlabel=f"{time.replace('_', ' ')} for a sentence in a batch; beside marks: steps",
            ylabel="BLEU",
        )
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
        axes.margins(x=0.12, y=0.12)
        figure.legend(loc="outside lower center")
    return figure
