"""What the study on real text varies: networks that differ from one another in one choice of training each, and ways to
decode one of them.

The *base* refines, starts from the weights of an autoregressive teacher, is trained on the teacher's translations
(sequence-level distillation) with uniformly noised targets, in one stage. Each *ablation* compares it with networks in
which one of these choices is another one. All that refine have a rejecter head; it passes no gradient to the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulators.t5.decoding.rejecters import ConstantSchedule, Learned, LinearSchedule, Stutter
from simulators.t5.decoding.settings import RefinementSettings

TEACHER, BASE = "teacher", "base"


@dataclass(frozen=True)
class Variant:
    """A network of the study.

    Attributes:
        text: what it differs in, for tables.
        decoder: "autoregressive" or "refinement".
        origin: variant whose weights it starts from; None: random ones.
        distilled: trained on the teacher's translations instead of the references.
        density: share of noised tokens; None draws it from U(0, 1).
        stages: 2: also on the network's own predictions.
        shallow: a decoder of one layer.
    """

    text: str
    decoder: Literal["autoregressive", "refinement"] = "refinement"
    origin: str | None = TEACHER
    distilled: bool = True
    density: float | None = None
    stages: int = 1
    shallow: bool = False


VARIANTS = {
    TEACHER: Variant("autoregressive", "autoregressive", None, distilled=False),
    BASE: Variant("distilled, uniform noise, one stage"),
    "references": Variant("on the references", distilled=False),
    "fixed-15": Variant("15% noise", density=0.15),
    "fixed-50": Variant("50% noise", density=0.5),
    "two-stages": Variant("two stages", stages=2),
    "shallow-teacher": Variant("autoregressive, distilled, one decoder layer", "autoregressive", None, shallow=True),
    "shallow": Variant("one decoder layer", origin="shallow-teacher", shallow=True),
}
"""By name, which is also the name of the folder; an origin comes before what starts from it."""

TRAINED = {
    "mask-ratio": (BASE, "fixed-15", "fixed-50"),
    "stages": (BASE, "two-stages"),
    "distillation": (BASE, "references"),
    "frontier": (TEACHER, "shallow-teacher", BASE, "shallow"),
}
"""Networks that each ablation of training compares; the first one is the baseline."""

SCHEMES, ATTENTION = "schemes", "attention"

ABLATIONS = (*TRAINED, SCHEMES, ATTENTION)
"""`SCHEMES`: ways to decode the base. `ATTENTION`: what its positions look at where neighbours repeat each other."""

DECODING = {
    "masks, all kept": RefinementSettings(),
    "random start": RefinementSettings(start="random"),
    "linear, masked again": RefinementSettings(rejecter=LinearSchedule(), replacement="initial"),
    "mask-predict": RefinementSettings(rejecter=LinearSchedule(), replacement="initial", update="rejected"),
    "linear, summed logits": RefinementSettings(rejecter=LinearSchedule(), replacement="summed"),
    "one masked again": RefinementSettings(rejecter=ConstantSchedule(count=1), replacement="initial"),
    "stutter masked again": RefinementSettings(rejecter=Stutter(), replacement="initial"),
    "learned, masked again": RefinementSettings(rejecter=Learned(), replacement="initial"),
    "stutter removed": RefinementSettings(remove_stutter="end"),
}
"""The schemes by name: start, rejecter, replacement. The first one is the baseline."""


def networks_of(ablations: tuple[str, ...]) -> list[str]:
    """Names of the variants that the ablations need, each after those that it depends on."""
    wanted = {name for ablation in ablations for name in TRAINED.get(ablation, (BASE,))}
    for name in reversed(VARIANTS):
        variant = VARIANTS[name]
        if name in wanted:
            wanted |= {origin for origin in (variant.origin, TEACHER if variant.distilled else None) if origin}
    return [name for name in VARIANTS if name in wanted]
