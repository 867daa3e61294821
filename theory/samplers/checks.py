"""What every sampler asks of its inputs."""

from __future__ import annotations

from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw
from theory.masks import AdaptiveMaskLaw, MaskLaw


def require_same_sites(conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw) -> None:
    """Raise unless masks and conditionals speak of the same sites."""
    if masks.sites != conditionals.sites:
        raise InvalidInput("masks", f"over {masks.sites} sites", f"the conditionals have {conditionals.sites} sites")


def require_target(conditionals: ConditionalModel, target: JointLaw | None) -> JointLaw:
    """The law that a correction keeps: the target, or the joint law of the conditionals.

    Raises:
        InvalidInput: there is neither, or the target is over other sequences.
    """
    law = target if target is not None else conditionals.law
    if law is None:
        raise InvalidInput("target", None, "these conditionals come from no joint law; name the law to correct towards")
    if (law.sites, law.symbols) != (conditionals.sites, conditionals.symbols):
        raise InvalidInput("target", law, f"a law of {conditionals.sites} sites over {conditionals.symbols} symbols")
    return law
