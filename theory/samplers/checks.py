"""What every sampler asks of its inputs."""

from __future__ import annotations

from theory.conditionals import ConditionalModel
from theory.errors import InvalidInput
from theory.masks import AdaptiveMaskLaw, MaskLaw


def require_same_sites(conditionals: ConditionalModel, masks: MaskLaw | AdaptiveMaskLaw) -> None:
    """Raise unless masks and conditionals speak of the same sites."""
    if masks.sites != conditionals.sites:
        raise InvalidInput("masks", f"over {masks.sites} sites", f"the conditionals have {conditionals.sites} sites")
