"""What the networks of the study do on the test sentences, as plain data.

text, settings, steps        what was studied
networks    NAME -> text, steps, best step, validation (nats a token), seconds of training
quality     ABLATION -> rows: the fields of `experiments.translation.quality.Quality`, with ``half_width`` of the
            95% bootstrap interval of BLEU and ``p_value`` of the difference from the first row of as many steps
attention   self-attention of the second step between neighbours that the first step made equal, and between others
provenance  by what
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.provenance import provenance
from experiments.translation.ablations.training import Networks
from experiments.translation.ablations.variants import (
    ATTENTION,
    BASE,
    DECODING,
    SCHEMES,
    TRAINED,
    VARIANTS,
    networks_of,
)
from experiments.translation.quality import Quality, measure_quality

if TYPE_CHECKING:
    from simulators.t5.decoding.translation import Settings
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.network.network import T5

Say = Callable[[str], None]

BOOTSTRAP = 1000
"""Samples of the intervals."""


def measure(
    networks: Networks, test: Pairs, ablations: tuple[str, ...], steps: Sequence[int], rows: int, say: Say
) -> dict[str, Any]:
    """Train what the ablations need, decode the test sentences and score them.

    Args:
        networks: of the study.
        test: sentence pairs to decode.
        ablations: names of `ABLATIONS`.
        steps: numbers of refinement steps.
        rows: sentences at once.
        say: told what is being decoded.

    Raises:
        InvalidInput: see `Networks` and `measure_quality`.
    """
    for name in networks_of(ablations):
        networks(name)
    decoded: dict[str, list[tuple[Quality, list[str]]]] = {}
    quality: dict[str, list[dict[str, Any]]] = {}
    for ablation in ablations:
        if ablation == ATTENTION:
            continue
        found = []
        for name, network, settings in _cases(networks, ablation):
            if name not in decoded:
                decoded[name] = list(
                    measure_quality(
                        name,
                        network,
                        networks.vocabulary,
                        test,
                        settings,
                        steps,
                        rows=rows,
                        seed=networks.settings.seed,
                        bootstrap=BOOTSTRAP,
                        report=say,
                    )
                )
            found += decoded[name]
        say(f"{ablation}: bootstrap")
        quality[ablation] = _compared(found, test.targets)
    return {
        "text": networks.text.fingerprint,
        "sentences": len(test.sources),
        "settings": dataclasses.asdict(networks.settings),
        "steps": list(steps),
        "networks": networks.trainings,
        "quality": quality,
        "attention": _attention(networks, test, rows) if ATTENTION in ablations else None,
        "provenance": provenance(),
    }


def _cases(networks: Networks, ablation: str) -> Iterator[tuple[str, T5, Settings]]:
    """Name, network and way to decode of each row of an ablation."""
    from simulators.t5.decoding.autoregressive import GenerationSettings

    if ablation == SCHEMES:
        for name, scheme in DECODING.items():
            yield name, networks(BASE), scheme
        return
    for name in TRAINED[ablation]:
        if VARIANTS[name].decoder == "autoregressive":
            yield name, networks(name), GenerationSettings(max_length=networks.settings.max_length)
        else:
            yield name, networks(name), next(iter(DECODING.values()))


def _compared(found: Sequence[tuple[Quality, list[str]]], references: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with the bootstrap of each number of steps, the first of them as its baseline."""
    from simulators.t5.decoding.evaluation import PairedBleu, paired_bleu

    bootstrap: dict[int, PairedBleu] = {}
    for steps in dict.fromkeys(quality.steps for quality, _ in found):
        same = [index for index, (quality, _) in enumerate(found) if quality.steps == steps]
        texts = [found[index][1] for index in same]
        bootstrap |= dict(zip(same, paired_bleu(texts[0], texts[1:], references), strict=True))
    return [dataclasses.asdict(quality) | bootstrap[index]._asdict() for index, (quality, _) in enumerate(found)]


def _attention(networks: Networks, test: Pairs, rows: int) -> dict[str, Any]:
    """Means over neighbours, and the mean difference within sentences that have both kinds, with its standard error."""
    from simulators.t5.decoding.position_laws import neighbour_attention
    from simulators.t5.decoding.refinement import RefinementDecoder
    from simulators.t5.decoding.settings import RefinementSettings
    from simulators.t5.network.batches import source_batch

    network = networks(BASE)
    decoder = RefinementDecoder(network, RefinementSettings(steps=1))
    sources = sorted(networks.vocabulary.encode(test.sources), key=len)
    repeated: list[float] = []
    other: list[float] = []
    differences: list[float] = []
    for start in range(0, len(sources), rows):
        batch = sources[start : start + rows]
        found = decoder(batch)
        padded = source_batch(network.config, batch)[: len(batch)]
        weights = neighbour_attention(network, padded, found.tokens)
        inside = np.arange(1, found.tokens.shape[1]) < found.lengths[:, None] - 1
        equal = (found.tokens[:, 1:] == found.tokens[:, :-1]) & inside
        repeated += weights[equal].tolist()
        other += weights[inside & ~equal].tolist()
        for values, here, there in zip(weights, equal, inside, strict=True):
            if here.any() and (there & ~here).any():
                differences.append(float(values[here].mean() - values[there & ~here].mean()))
    return {
        "repeated": float(np.mean(repeated)) if repeated else None,
        "other": float(np.mean(other)) if other else None,
        "repeated neighbours": len(repeated),
        "sentences": len(differences),
        "difference": float(np.mean(differences)) if differences else None,
        "standard error": float(np.std(differences, ddof=1) / len(differences) ** 0.5)
        if len(differences) > 1
        else None,
    }
