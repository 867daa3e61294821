"""Training the networks of the study in a folder, each in a folder of its own, so that a stopped study goes on.

study.json      what the study is of: text, sizes, lengths of training; another study is refused
vocabulary/     joint pieces of the training text
distilled.tsv   training sources with the teacher's translations
NAME/           checkpoint and snapshot of a variant
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.files import read_json, write_json
from experiments.translation.ablations.text import Text
from experiments.translation.ablations.variants import TEACHER, VARIANTS
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5
    from simulators.t5.training.corpus import Corpus
    from simulators.t5.training.loop import Report

STUDY, VOCABULARY, DISTILLED = "study.json", "vocabulary", "distilled.tsv"


@dataclass(frozen=True)
class StudySettings:
    """Sizes of the study.

    Attributes:
        pieces: of the vocabulary.
        max_length: most tokens of a sentence, EOS counted; longer pairs are left out of training.
        width, layers: of every network; the feed-forward layers are twice as wide, heads have 32 units.
        teacher_steps, steps: optimiser steps of networks that start at random, and of those that do not.
        batch_tokens: padded target tokens of a step.
        learning_rate: the largest one, relative to parameters; half of it where training starts from a network.
        seed: of weights, order and noise.
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
        """ "references", "teacher" (distilled) or "validation", tokenised once."""
        from simulators.t5.files.parallel_text import read_pairs
        from simulators.t5.training.corpus import make_corpus

        if name not in self._corpora:
            if name == "references":
                pairs = self.text.train
            elif name == "validation":
                pairs = self.text.valid
            else:
                pairs = read_pairs(self._distilled())
            self._corpora[name] = make_corpus(pairs, self.vocabulary, self.settings.max_length)
        return self._corpora[name]

    def _distilled(self) -> Path:
        """The file of the teacher's translations."""
        from simulators.t5.decoding.autoregressive import GenerationSettings
        from simulators.t5.decoding.translation import Translator
        from simulators.t5.training.distillation import distil

        place = self.folder / DISTILLED
        if not place.exists():
            # One token less than a target may have: what never ends must still get its EOS.
            settings = GenerationSettings(max_length=self.settings.max_length - 1)
            translator = Translator(self(TEACHER), settings)
            with self._count("distilling") as report:
                found = distil(
                    translator,
                    self.vocabulary,
                    self.text.train.sources,
                    place,
                    longest=self.settings.max_length,
                    teacher={"study": self.text.fingerprint},
                    report=report,
                )
            if not found.pairs:
                place.unlink()
                raise InvalidInput(
                    "teacher_steps", self.settings.teacher_steps, "the teacher translates nothing; train it longer"
                )
        return place

    def __call__(self, name: str) -> T5:
        """The trained network of a variant.

        Raises:
            InvalidInput: see `simulators.t5.training.loop.fit`.
            Interrupted: Ctrl-C, after a snapshot.
        """
        from simulators.t5.training.loop import fit, read_history

        if name in self._ready:
            return self._ready[name]
        variant = VARIANTS[name]
        network = self._first(name)
        corpus = self._corpus("teacher" if variant.distilled else "references")
        validation = self._corpus("validation")
        settings = self._training(name)
        self._say(f"{name}: {variant.text}, {settings.steps} steps")
        with self._watch(settings.steps) as report:
            watched: Report = report
            run = fit(
                network,
                corpus,
                settings,
                validation=validation,
                folder=self.folder / name,
                check_every=max(settings.steps // 10, 1),
                report=watched,
                description={"variant": dataclasses.asdict(variant), "vocabulary": self.vocabulary.fingerprint},
            )
        self.vocabulary.save(self.folder / name)
        history = read_history(self.folder / name)
        best = next(entry for entry in history if entry.step == run.best_step)
        self.trainings[name] = {
            "text": variant.text,
            "steps": settings.steps,
            "best step": run.best_step,
            "validation": best.validation,
            "seconds": history[-1].seconds,
        }
        self._ready[name] = network
        return network

    def _first(self, name: str) -> T5:
        """The network of a variant before training."""
        from simulators.t5.files.checkpoints import adapt
        from simulators.t5.network.config import T5Config
        from simulators.t5.network.network import fresh_network

        variant, settings = VARIANTS[name], self.settings
        if variant.origin is not None:
            return adapt(self(variant.origin), settings.seed, length_predictor="token", learned_rejecter=True)
        config = T5Config(
            vocab_size=self.vocabulary.size,
            d_model=settings.width,
            d_kv=32,
            d_ff=2 * settings.width,
            num_layers=settings.layers,
            num_decoder_layers=1 if variant.shallow else settings.layers,
            num_heads=settings.width // 32,
            tied=True,
            scale_decoder_outputs=True,
            decoder=variant.decoder,
            max_target_length=settings.max_length,
        )
        return fresh_network(config, settings.seed)

    def _training(self, name: str) -> Any:
        """How a variant is trained."""
        from simulators.t5.training.settings import (
            NoiseSettings,
            ObjectiveSettings,
            OptimiserSettings,
            TrainingSettings,
        )

        variant, settings = VARIANTS[name], self.settings
        fresh = variant.origin is None
        steps = settings.teacher_steps if fresh else settings.steps
        return TrainingSettings(
            steps=steps,
            batch_tokens=settings.batch_tokens,
            optimiser=OptimiserSettings(
                learning_rate=settings.learning_rate * (1 if fresh else 0.5), warmup_steps=max(steps // 20, 1)
            ),
            objective=ObjectiveSettings(stages=variant.stages, noise=NoiseSettings(variant.density)),
            seed=settings.seed,
        )
