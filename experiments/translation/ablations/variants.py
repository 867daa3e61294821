"""What the study on real text varies: networks that differ from one another in one choice of training each, and ways to
decode them.

The *base* refines, starts from the weights of an autoregressive teacher, is trained on the teacher's greedy
translations (sequence-level distillation) with uniformly noised targets, in one stage. Other networks differ from it in
one choice, and `TRAINED` groups them by what that is; the networks of "parity" are attempts to come as near to the
teacher as can be, where choices may be joined. All that refine have a rejecter head; it passes no gradient to the
rest. Networks that refine are trained with several seeds; the autoregressive ones that they start from with one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from simulators.t5.decoding.rejecters import ConstantSchedule, Learned, LinearSchedule, Stutter
from simulators.t5.decoding.settings import RefinementSettings

if TYPE_CHECKING:
    from simulators.t5.network.config import T5Config

TEACHER, BASE = "teacher", "base"

References = Literal["references", "greedy", "beam"]
"""What a network is trained on: the text's own targets, or the teacher's greedy or beam translations."""


@dataclass(frozen=True)
class Variant:
    """A network of the study.

    Attributes:
        text: what it differs in, for tables.
        decoder: "autoregressive" or "refinement".
        origin: variant whose weights it starts from; None: random ones.
        data: what it is trained on.
        density: share of noised tokens; None draws it from U(0, 1).
        correct, random: probabilities that a noised token stays, and that it becomes a random piece.
        range_masks: one mask for each position, and attention by position.
        stages: 2: also on the network's own predictions.
        glancing: lambda of glancing sampling; 0 for none.
        average: decay of the running mean of the weights; 0 for none.
        rate: largest learning rate, in that of networks that start at random.
        shape: "even": as many layers in both stacks; "shallow": a decoder of one layer; "deep": an encoder of one layer
            and a decoder of the layers that this saves.
    """

    text: str
    decoder: Literal["autoregressive", "refinement"] = "refinement"
    origin: str | None = TEACHER
    data: References = "greedy"
    density: float | None = None
    correct: float = 0.1
    random: float = 0.1
    range_masks: bool = False
    stages: int = 1
    glancing: float = 0.0
    average: float = 0.0
    rate: float = 0.5
    shape: Literal["even", "shallow", "deep"] = "even"

    def layers(self, layers: int) -> tuple[int, int]:
        """Layers of encoder and decoder, in a study of networks with so many layers."""
        return {"even": (layers, layers), "shallow": (layers, 1), "deep": (1, 2 * layers - 1)}[self.shape]


VARIANTS = {
    TEACHER: Variant("autoregressive", "autoregressive", None, data="references", rate=1.0),
    BASE: Variant("distilled, uniform noise, one stage"),
    "references": Variant("on the references", data="references"),
    "masks-only": Variant("masks only", correct=0.0, random=0.0),
    "fixed-15": Variant("15% noise", density=0.15),
    "range-masks": Variant("masks only, range masks", correct=0.0, random=0.0, range_masks=True),
    "second-leg": Variant(
        "masks only, range masks, a second leg",
        origin="range-masks",
        correct=0.0,
        random=0.0,
        range_masks=True,
        rate=0.25,
    ),
    "glancing": Variant("glancing sampling", glancing=0.5),
    "two-stages": Variant("two stages", stages=2),
    "fast": Variant("twice the learning rate", rate=1.0),
    "averaged": Variant("weights averaged", average=0.99),
    "fixed-50": Variant("50% noise", density=0.5),
    "beam": Variant("on beam translations", data="beam"),
    "slow": Variant("half the learning rate", rate=0.25),
    "shallow-teacher": Variant(
        "autoregressive, distilled, one decoder layer", "autoregressive", None, rate=1.0, shape="shallow"
    ),
    "shallow": Variant("one decoder layer", origin="shallow-teacher", shape="shallow"),
    "deep-teacher": Variant(
        "autoregressive, distilled, one encoder layer", "autoregressive", None, rate=1.0, shape="deep"
    ),
    "deep": Variant("one encoder layer, deep decoder", origin="deep-teacher", shape="deep"),
    "third-leg": Variant(
        "masks only, range masks, a third leg on beam translations, weights averaged",
        origin="second-leg",
        data="beam",
        correct=0.0,
        random=0.0,
        range_masks=True,
        average=0.99,
        rate=0.25,
    ),
}
"""By name, which is also the name of the folder; an origin comes before what starts from it."""

FRONTIER, PARITY, SCHEMES, ATTENTION = "frontier", "parity", "schemes", "attention"

TRAINED = {
    "mask-ratio": (BASE, "fixed-15", "fixed-50", "masks-only"),
    "stages": (BASE, "two-stages"),
    "distillation": (BASE, "references", "beam"),
    "range-masks": ("masks-only", "range-masks", "second-leg"),
    PARITY: (BASE, "glancing", "averaged", "fast", "slow", "range-masks", "second-leg", "beam", "deep", "third-leg"),
    FRONTIER: (TEACHER, "shallow-teacher", BASE, "shallow", "deep"),
}
"""Networks that each ablation of training compares; the first one is the baseline."""

ABLATIONS = (*TRAINED, SCHEMES, ATTENTION)
"""`PARITY`: attempts, each decoded in both ways of `experiments.translation.ablations.parity`. `SCHEMES`: ways to
decode the base. `ATTENTION`: what its positions look at where neighbours repeat each other."""


@dataclass(frozen=True)
class Scheme:
    """A way to decode.

    Attributes:
        settings: of the decoder.
        rescored: whether the teacher chooses among the hypotheses.
    """

    settings: RefinementSettings
    rescored: bool = False

    def of(self, config: T5Config) -> RefinementSettings:
        """The settings for a network: one that knows range masks starts from them instead of from masks."""
        if config.range_masks and self.settings.start == "mask":
            return dataclasses.replace(self.settings, start="range-mask")
        return self.settings


GREEDY = "greedy"
"""How autoregressive networks decode."""

MASK_PREDICT, CHOSEN_LENGTH = "mask-predict", "3 lengths, teacher's choice"

MASK_PREDICT_OPTIONS = "--rejecter linear --replacement initial --update rejected"
"""The same on the command line."""

_MASK_PREDICT = RefinementSettings(rejecter=LinearSchedule(), replacement="initial", update="rejected")
_THREE = dataclasses.replace(_MASK_PREDICT, length_candidates=3)

DECODING = {
    MASK_PREDICT: Scheme(_MASK_PREDICT),
    "masks, all kept": Scheme(RefinementSettings()),
    "random start": Scheme(RefinementSettings(start="random")),
    "linear, masked again": Scheme(RefinementSettings(rejecter=LinearSchedule(), replacement="initial")),
    "linear, previous": Scheme(RefinementSettings(rejecter=LinearSchedule())),
    "linear, summed logits": Scheme(RefinementSettings(rejecter=LinearSchedule(), replacement="summed")),
    "one masked again": Scheme(RefinementSettings(rejecter=ConstantSchedule(count=1), replacement="initial")),
    "stutter masked again": Scheme(RefinementSettings(rejecter=Stutter(), replacement="initial")),
    "learned, masked again": Scheme(RefinementSettings(rejecter=Learned(), replacement="initial")),
    "stutter removed": Scheme(dataclasses.replace(_MASK_PREDICT, remove_stutter="end")),
    "3 lengths, own choice": Scheme(_THREE),
    CHOSEN_LENGTH: Scheme(_THREE, rescored=True),
}
"""The schemes by name. The first one decodes every network that refines."""


def networks_of(ablations: tuple[str, ...]) -> list[str]:
    """Names of the variants that the ablations need, each after those that it depends on."""
    wanted = {name for ablation in ablations for name in TRAINED.get(ablation, (BASE,))}
    for name in reversed(VARIANTS):
        variant = VARIANTS[name]
        if name in wanted:
            taught = TEACHER if variant.data != "references" else None
            wanted |= {origin for origin in (variant.origin, taught) if origin}
    return [name for name in VARIANTS if name in wanted]
