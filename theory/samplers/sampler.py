"""What a sampler is: one step's kernel, what is known of it, and its options, declared once in the sampler's file.

The exact chain, the Monte Carlo simulator, the command line, sweeps and tests read these declarations. A new sampler is
its class in a file of its own and one line in `theory.samplers.SAMPLERS`; its Monte Carlo twin is registered under the
same name in `simulators.montecarlo.samplers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from theory.chains.operator import TransitionOperator
from theory.conditionals import ConditionalModel
from theory.laws.joint import JointLaw
from theory.masks import MaskLaw


class Sampler(ABC):
    """A sampler; its options are the fields of its dataclass.

    Attributes:
        name: as written on the command line.
        step: one step in words.
        reversible: whether the chain is reversible with respect to p when the conditionals are exact.
        keeps_target: whether p is stationary when the conditionals are exact.
        one_class: whether positive conditionals and masks that reach every site make an irreducible, aperiodic chain.
        uses_masks: ``"law"`` (masks are drawn), ``"order"`` (used one after the other) or ``"none"``.
        redraws: the sites of one step: ``"mask"`` (those of one mask), ``"all"`` or ``"one"``.
        reads_masked: whether a step looks at the tokens that it redraws (to score or to accept), so that it needs full
            sequences; the others look at visible tokens only.
        needs_law: whether a law must be known up to a constant; the others run on learned conditionals alone.
    """

    name: ClassVar[str]
    step: ClassVar[str]
    reversible: ClassVar[bool] = False
    keeps_target: ClassVar[bool] = False
    one_class: ClassVar[bool] = True
    uses_masks: ClassVar[str] = "law"
    redraws: ClassVar[str] = "mask"
    reads_masked: ClassVar[bool] = False
    needs_law: ClassVar[bool] = False

    @abstractmethod
    def build(
        self, conditionals: ConditionalModel, masks: MaskLaw, target: JointLaw | None = None
    ) -> TransitionOperator:
        """The operator of one step.

        Args:
            conditionals: where p(x_K | x_-K) comes from; tempered and learned ones are fine.
            masks: the mask law; samplers without masks do not look at it.
            target: the law that a correction keeps, where `needs_law`; by default that of the conditionals.

        Raises:
            InvalidInput: masks over another number of sites, or no target where one is needed.
        """
