"""Training the networks of the study in a folder, each in a folder of its own, so that a stopped study goes on.

study.json      what the study is of: text, sizes, lengths of training; another study is refused
vocabulary/     joint pieces of the training text
greedy.tsv, beam.tsv    training sources with the teacher's translations
NAME/, NAME-SEED/       checkpoint and snapshot of a variant that is trained once, and of one that is with each seed
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.files import read_json, write_json
from experiments.translation.ablations.text import Text
from experiments.translation.ablations.variants import TEACHER, VARIANTS
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5
    from simulators.t5.training.corpus import Corpus
    from simulators.t5.training.loop import Report

STUDY, VOCABULARY, TRAINING = "study.json", "vocabulary", "processor.json"

BEAMS = 4
"""Of beam translations."""

CHECKS = 5
"""Validations of a training."""


@dataclass(frozen=True)
class StudySettings:
    """Sizes of the study.

    Attributes:
        pieces: of the vocabulary.
        max_length: most tokens of a sentence, EOS counted; longer pairs are left out of training.
        width, layers: of every network; the feed-forward layers are twice as wide, heads have 32 units.
        teacher_steps, steps: optimiser steps of networks that start at random, and of those that do not.
        batch_tokens: padded target tokens of a step.
        learning_rate: the largest one, relative to parameters, where training starts at random.
        seed: the first, of weights, order and noise.
    """

    pieces: int = 4096
    max_length: int = 48
    width: int = 192
    layers: int = 3
    teacher_steps: int = 10_000
    steps: int = 5000
    batch_tokens: int = 2048
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest in (("width", 32), ("layers", 1), ("teacher_steps", 1), ("steps", 1)):
            if getattr(self, name) < lowest:
                raise InvalidInput(name, getattr(self, name), f"at least {lowest} is needed")
        if self.width % 32:
            raise InvalidInput("width", self.width, "a multiple of 32 is needed")


class Networks:
    """The networks of a study; each is trained when it is asked for, or read where it was trained before.

    Args:
        folder: of the study.
        text: what to train on.
        settings: sizes.
        say: told what begins.
        watch: makes, for a number of steps, a context manager that shows the progress of one training.
        count: makes a context manager that shows how many sentences are distilled.

    Raises:
        InvalidInput: the folder holds a study of other text or other sizes.
    """

    def __init__(
        self,
        folder: Path,
        text: Text,
        settings: StudySettings,
        say: Callable[[str], None],
        watch: Callable[[int], Any],
        count: Callable[[str], Any],
    ) -> None:
        self.folder, self.text, self.settings = folder, text, settings
        self._say, self._watch, self._count = say, watch, count
        self._claim()
        self.vocabulary = self._vocabulary()
        self._corpora: dict[str, Corpus] = {}
        self._ready: dict[str, T5] = {}
        self.trainings: dict[str, dict[str, Any]] = {}

    def _claim(self) -> None:
        identity = {"text": self.text.fingerprint, **dataclasses.asdict(self.settings)}
        there = read_json(self.folder / STUDY)
        if there is None:
            write_json(self.folder / STUDY, identity)
            return
        for name, value in identity.items():
            if not isinstance(there, dict) or there.get(name) != value:
                old = there.get(name) if isinstance(there, dict) else there
                raise InvalidInput(
                    name, value, f"the study in {self.folder} was begun with {old!r}; choose that, or another folder"
                )

    def _vocabulary(self) -> Vocabulary:
        from simulators.t5.files.vocabulary import MODEL, load_vocabulary, train_vocabulary

        place = self.folder / VOCABULARY
        if (place / MODEL).exists():
            return load_vocabulary(place)
        self._say(f"vocabulary of {self.settings.pieces} pieces")
        found = train_vocabulary([*self.text.train.sources, *self.text.train.targets], self.settings.pieces)
        found.save(place)
        return found

    def _corpus(self, name: str) -> Corpus:
        """What to train on, or "validation", tokenised once."""
        from simulators.t5.files.parallel_text import read_pairs
        from simulators.t5.training.corpus import make_corpus

        if name not in self._corpora:
            if name == "references":
                pairs = self.text.train
            elif name == "validation":
                pairs = self.text.valid
            else:
                pairs = read_pairs(self._distilled(name, BEAMS if name == "beam" else 1))
            self._corpora[name] = make_corpus(pairs, self.vocabulary, self.settings.max_length)
        return self._corpora[name]

    def fitting(self, pairs: Pairs) -> Pairs:
        """The pairs without a sentence that is longer than those of the training."""
        sides = (self.vocabulary.encode(pairs.sources), self.vocabulary.encode(pairs.targets))
        kept = [
            number
            for number, rows in enumerate(zip(*sides, strict=True))
            if max(map(len, rows)) <= self.settings.max_length
        ]
        return pairs._replace(sources=[pairs.sources[i] for i in kept], targets=[pairs.targets[i] for i in kept])

    def _distilled(self, name: str, beams: int) -> Path:
        """The file of the teacher's translations."""
        from simulators.t5.decoding.settings import GenerationSettings
        from simulators.t5.decoding.translation import Translator
        from simulators.t5.training.distillation import distil

        place = self.folder / f"{name}.tsv"
        if not place.exists():
            # One token less than a target may have: what never ends must still get its EOS.
            settings = GenerationSettings(max_length=self.settings.max_length - 1, beams=beams)
            translator = Translator(self(TEACHER), settings)
            with self._count(f"distilling, {name}") as report:
                found = distil(
                    translator,
                    self.vocabulary,
                    self.text.train.sources,
                    place,
                    longest=self.settings.max_length,
                    teacher={"study": self.text.fingerprint, "beams": beams},
                    report=report,
                )
            if not found.pairs:
                place.unlink()
                raise InvalidInput(
                    "teacher_steps", self.settings.teacher_steps, "the teacher translates nothing; train it longer"
                )
        return place

    def place(self, name: str, seed: int) -> Path:
        """The folder of a network; those that do not refine are trained with the first seed only."""
        return self.folder / (name if VARIANTS[name].decoder == "autoregressive" else f"{name}-{seed}")

    def trained(self, name: str, seed: int) -> bool:
        """Whether a network is there, trained to the end."""
        from simulators.t5.training.loop import read_history

        try:
            history = read_history(self.place(name, seed))
        except InvalidInput:
            return False
        return bool(history) and history[-1].step == self._training(name, seed).steps

    def __call__(self, name: str, seed: int | None = None) -> T5:
        """The trained network of a variant.

        Args:
            name: of `VARIANTS`.
            seed: of a network that refines; by default the first.

        Raises:
            InvalidInput: see `simulators.t5.training.loop.fit`.
            Interrupted: Ctrl-C, after a snapshot.
        """
        from simulators.t5.training.loop import fit, read_history

        variant = VARIANTS[name]
        if seed is None or variant.decoder == "autoregressive":
            seed = self.settings.seed
        folder = self.place(name, seed)
        if folder.name in self._ready:
            return self._ready[folder.name]
        network = self._first(name, seed)
        corpus = self._corpus(variant.data)
        validation = self._corpus("validation")
        settings = self._training(name, seed)
        self._say(f"{folder.name}: {variant.text}, {settings.steps} steps")
        before = time.process_time()
        with self._watch(settings.steps) as report:
            watched: Report = report
            run = fit(
                network,
                corpus,
                settings,
                validation=validation,
                folder=folder,
                check_every=max(settings.steps // CHECKS, 1),
                report=watched,
                description={"variant": dataclasses.asdict(variant), "vocabulary": self.vocabulary.fingerprint},
            )
        spent = time.process_time() - before
        self.vocabulary.save(folder)
        history = read_history(folder)
        best = next(entry for entry in history if entry.step == run.best_step)
        if run.started_at == 0:
            write_json(folder / TRAINING, {"processor_seconds": spent})
        self.trainings[folder.name] = {
            "text": variant.text,
            "seed": seed,
            "steps": settings.steps,
            "best step": run.best_step,
            "validation": best.validation,
            # Of one run from the first step to the last; what was interrupted has none.
            "processor_seconds": (read_json(folder / TRAINING) or {}).get("processor_seconds"),
        }
        self._ready[folder.name] = network
        return network

    def _first(self, name: str, seed: int) -> T5:
        """The network of a variant before training."""
        from simulators.t5.files.checkpoints import adapt
        from simulators.t5.network.config import T5Config
        from simulators.t5.network.network import fresh_network

        variant, settings = VARIANTS[name], self.settings
        if variant.origin is not None:
            return adapt(
                self(variant.origin, seed),
                seed,
                length_predictor="token",
                learned_rejecter=True,
                range_masks=variant.range_masks,
                positional_attention=variant.range_masks,
            )
        encoder, decoder = variant.layers(settings.layers)
        config = T5Config(
            vocab_size=self.vocabulary.size,
            d_model=settings.width,
            d_kv=32,
            d_ff=2 * settings.width,
            num_layers=encoder,
            num_decoder_layers=decoder,
            num_heads=settings.width // 32,
            tied=True,
            scale_decoder_outputs=True,
            decoder=variant.decoder,
            max_target_length=settings.max_length,
        )
        return fresh_network(config, seed)

    def _training(self, name: str, seed: int) -> Any:
        """How a variant is trained."""
        from simulators.t5.training.settings import (
            NoiseSettings,
            ObjectiveSettings,
            OptimiserSettings,
            TrainingSettings,
        )

        variant, settings = VARIANTS[name], self.settings
        steps = settings.teacher_steps if variant.origin is None else settings.steps
        return TrainingSettings(
            steps=steps,
            batch_tokens=settings.batch_tokens,
            optimiser=OptimiserSettings(
                learning_rate=settings.learning_rate * variant.rate, warmup_steps=max(steps // 20, 1)
            ),
            objective=ObjectiveSettings(
                stages=variant.stages,
                noise=NoiseSettings(variant.density, variant.correct, variant.random),
                glancing=variant.glancing,
            ),
            average=variant.average,
            seed=seed,
        )
