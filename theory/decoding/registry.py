"""The decoding rules by name, and the text that names a rule with its options.

A new rule is its class, in the file of its family, and one line here.
"""

from __future__ import annotations

import re

from theory.decoding.candidates import Dream, LLaDA, MaskGIT
from theory.decoding.chain_steps import ChainSteps, Followed, GibbsSteps, MetropolisSteps, ParallelSteps
from theory.decoding.drafting import AdaptiveParallel, Speculative
from theory.decoding.fixed_orders import Dyadic, LeftToRight, OneShot, Optimal, Strided, TreeDepth
from theory.decoding.klass import Klass
from theory.decoding.moment import Moment
from theory.decoding.noise import Euler, Planner, TauLeaping, Tweedie
from theory.decoding.random_orders import FirstHitting, MaskedDiffusion, RandomOrder
from theory.decoding.refinement import Edit, Informed, MaskPredict, PathPlanning
from theory.decoding.remasking import FlowMatching, ForwardBackward, ReMDM
from theory.decoding.rule import Rule
from theory.decoding.scored import Confidence, Entropy, EntropyBound, Factor, Margin, Threshold
from theory.parameters import named

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        OneShot,
        LeftToRight,
        RandomOrder,
        Strided,
        Dyadic,
        Optimal,
        TreeDepth,
        MaskedDiffusion,
        FirstHitting,
        Confidence,
        Entropy,
        Margin,
        Threshold,
        Factor,
        EntropyBound,
        MaskGIT,
        LLaDA,
        Dream,
        Moment,
        Klass,
        ReMDM,
        ForwardBackward,
        FlowMatching,
        PathPlanning,
        Informed,
        MaskPredict,
        Edit,
        Speculative,
        AdaptiveParallel,
        Tweedie,
        Euler,
        TauLeaping,
        Planner,
    )
}
"""Every rule by its name."""


CHAIN_STEPS: dict[str, type[ChainSteps]] = {steps.name: steps for steps in (GibbsSteps, ParallelSteps, MetropolisSteps)}
"""What can follow a rule, by name."""


def parse(text: str) -> Rule:
    """A rule from its name and options: ``llada:temperature=0.7,block=32``, or ``llada+k-gibbs:k=2,times=3``.

    Raises:
        InvalidInput: an unknown rule or option, or a value that is not allowed; it names them.
    """
    # A plus before a letter: the one in 1e+3 is part of a number.
    first, *later = re.split(r"\+(?=[a-z])", text.strip())
    rule: Rule = named(first, RULES, "decoder")
    for then in later:
        rule = Followed(first=rule, then=named(then, CHAIN_STEPS, "decoder"))
    return rule
