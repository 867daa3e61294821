"""What the networks of the study do on the test sentences, as plain data.

text, settings, seeds        what was studied
sentences, left_out          test pairs, and those that were left out because a side is longer than in training
networks    FOLDER -> text, seed, steps, best step, validation (nats a token), processor seconds of training
cells       one for each network, seed, scheme and number of steps: the fields of
            `experiments.translation.quality.Quality`, with 95% intervals over sentences
effects     of each choice, see `experiments.translation.ablations.recommendations`
parity      gaps of the attempts to their teacher, see `experiments.translation.ablations.parity`
untrained   networks that were asked for and left out, where only trained ones are measured
attention   for each seed: self-attention of the second step between neighbours that the first step made equal, and
            between others
provenance  by what

Translations are kept beside the networks as they are made, so that a stopped study goes on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.files import read_json, write_json
from experiments.provenance import provenance
from experiments.translation.ablations.parity import WAYS, gaps
from experiments.translation.ablations.recommendations import Way, effects
from experiments.translation.ablations.training import Networks
from experiments.translation.ablations.variants import (
    ATTENTION,
    BASE,
    DECODING,
    GREEDY,
    MASK_PREDICT,
    PARITY,
    SCHEMES,
    TEACHER,
    TRAINED,
    VARIANTS,
    networks_of,
)
from experiments.translation.quality import measure_quality
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.t5.decoding.paired_bootstrap import Scores
    from simulators.t5.decoding.translation import Translator
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.network.network import T5

Say = Callable[[str], None]

DRAWS = 1000
"""Of the bootstrap."""


def measure(
    networks: Networks,
    test: Pairs,
    ablations: tuple[str, ...],
    seeds: Sequence[int],
    steps: Sequence[int],
    rows: int,
    say: Say,
    only_trained: bool = False,
) -> dict[str, Any]:
    """Train what the ablations need, decode the test sentences and score them.

    Args:
        networks: of the study.
        test: sentence pairs to decode; those with longer sentences than the training are left out.
        ablations: names of `ABLATIONS`.
        seeds: of the networks that refine.
        steps: numbers of refinement steps.
        rows: sentences at once.
        say: told what is being decoded.
        only_trained: train nothing; networks of which a seed is not trained to the end are left out, and named.

    Raises:
        InvalidInput: no test sentence is short enough, or nothing is trained where nothing may be; see also `Networks`
            and `measure_quality`.
    """
    from simulators.t5.decoding.evaluation import edit_errors
    from simulators.t5.decoding.paired_bootstrap import drawn_scores, drawn_weights, interval

    names = networks_of(ablations)
    if only_trained:
        names = [name for name in names if all(networks.trained(name, seed) for seed in seeds)]
        if not {TEACHER, BASE} <= set(names):
            raise InvalidInput("only_trained", True, "the teacher and the base must be trained, with every seed")
    for name in names:
        for seed in seeds:
            networks(name, seed)
    fitting = networks.fitting(test)
    decoded = _Decoded(networks, fitting, steps, rows, say)
    weights = drawn_weights(len(fitting.sources), DRAWS)
    references = [row[:-1] for row in networks.vocabulary.encode(fitting.targets)]
    cells: list[dict[str, Any]] = []
    scores: dict[Way, list[Scores]] = {}
    for name, scheme in _ways(ablations):
        if name not in names:
            continue
        own = seeds if VARIANTS[name].decoder == "refinement" else seeds[:1]
        for seed in own:
            for entry in decoded(name, scheme, seed):
                found = drawn_scores(entry["texts"], entry["tokens"], fitting.targets, weights)
                scores.setdefault(Way(name, scheme, entry["quality"]["steps"]), []).append(found)
                bounds = {measure: list(interval(values)[1:]) for measure, values in found.items()}
                cell = {"network": name, "seed": seed, "scheme": scheme, **entry["quality"], "interval": bounds}
                # Of the tokens: what was decoded and kept by earlier versions lacks some of them.
                errors = edit_errors(entry["tokens"], references)._asdict()
                cells.append(cell | {f"{part.removesuffix('s')}_error": value for part, value in errors.items()})
    return {
        "text": networks.text.fingerprint,
        "sentences": len(fitting.sources),
        "left_out": len(test.sources) - len(fitting.sources),
        "settings": dataclasses.asdict(networks.settings),
        "seeds": list(seeds),
        "ablations": list(ablations),
        "networks": networks.trainings,
        "cells": cells,
        "effects": effects(scores),
        "parity": gaps(scores),
        "untrained": [name for name in networks_of(ablations) if name not in names],
        "attention": [_attention(networks, seed, fitting, rows) for seed in seeds] if ATTENTION in ablations else [],
        "provenance": provenance(),
    }


def _ways(ablations: Sequence[str]) -> list[tuple[str, str]]:
    """Networks and how they are decoded, each once."""
    found: dict[tuple[str, str], None] = {}
    for ablation in ablations:
        for name in TRAINED.get(ablation, (BASE,)):
            found[name, MASK_PREDICT if VARIANTS[name].decoder == "refinement" else GREEDY] = None
        if ablation == "stages":
            # Only where every token is predicted again does the network see its own predictions.
            found |= dict.fromkeys((name, "masks, all kept") for name in TRAINED[ablation])
        if ablation == PARITY:
            found |= dict.fromkeys((name, scheme) for name in TRAINED[ablation] for scheme in WAYS)
        if ablation == SCHEMES:
            found |= dict.fromkeys((BASE, scheme) for scheme in DECODING)
        if ablation in (PARITY, SCHEMES):
            found[TEACHER, GREEDY] = None
    return list(found)


class _Decoded:
    """Translations of the test sentences, kept in the study's folder as they are made."""

    def __init__(self, networks: Networks, test: Pairs, steps: Sequence[int], rows: int, say: Say) -> None:
        self._networks, self._test, self._steps, self._rows, self._say = networks, test, steps, rows, say
        self._translators: dict[Any, Translator] = {}
        digest = hashlib.sha256("\n".join([*test.sources, *test.targets]).encode()).hexdigest()[:16]
        self._identity = {"test": digest, "rows": rows}

    def __call__(self, name: str, scheme: str, seed: int) -> list[dict[str, Any]]:
        """Quality, tokens and texts of each number of steps, of one for an autoregressive network."""
        place = self._networks.place(name, seed)
        path = place / "decoded" / f"{re.sub('[^a-z0-9]+', '-', scheme)}.json"
        steps = list(self._steps) if VARIANTS[name].decoder == "refinement" else [None]
        identity = self._identity | {"scheme": scheme, "steps": steps}
        there = read_json(path)
        if isinstance(there, dict) and there.get("identity") == identity:
            return list(there["found"])
        found = list(self._decode(place.name, self._networks(name, seed), scheme))
        write_json(path, {"identity": identity, "found": found})
        return found

    def _decode(self, label: str, network: T5, scheme: str) -> Iterator[dict[str, Any]]:
        from simulators.t5.decoding.rescoring import Rescorer
        from simulators.t5.decoding.settings import GenerationSettings
        from simulators.t5.decoding.translation import Settings, Translator

        rescorer = None
        if scheme == GREEDY:
            settings: Settings = GenerationSettings(max_length=network.config.max_target_length)
        else:
            settings = DECODING[scheme].of(network.config)
            rescorer = Rescorer(self._networks(TEACHER)) if DECODING[scheme].rescored else None
        key = (network.config, scheme)
        if key not in self._translators:
            seed = self._networks.settings.seed
            self._translators[key] = Translator(network, settings, self._rows, seed, timed=True, rescorer=rescorer)
        for quality, targets, texts in measure_quality(
            f"{label}, {scheme}",
            network,
            self._networks.vocabulary,
            self._test,
            settings,
            self._steps,
            report=self._say,
            translator=self._translators[key],
        ):
            yield {
                "quality": dataclasses.asdict(quality),
                "tokens": [target.tokens for target in targets],
                "texts": texts,
            }


def _attention(networks: Networks, seed: int, test: Pairs, rows: int) -> dict[str, Any]:
    """Means over neighbours, and the mean difference within sentences that have both kinds, with its standard error."""
    from simulators.t5.decoding.position_laws import neighbour_attention
    from simulators.t5.decoding.refinement import RefinementDecoder
    from simulators.t5.decoding.settings import RefinementSettings
    from simulators.t5.network.batches import source_batch

    network = networks(BASE, seed)
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
        "seed": seed,
        "repeated": float(np.mean(repeated)) if repeated else None,
        "other": float(np.mean(other)) if other else None,
        "repeated neighbours": len(repeated),
        "sentences": len(differences),
        "difference": float(np.mean(differences)) if differences else None,
        "standard error": float(np.std(differences, ddof=1) / len(differences) ** 0.5)
        if len(differences) > 1
        else None,
    }
