"""The decoding rules by name, and the text that names a rule with its options.

A new rule is its class, in the file of its family, and one line here.
"""

from __future__ import annotations

from theory.decoding.candidates import Dream, LLaDA, MaskGIT
from theory.decoding.fixed_orders import Dyadic, LeftToRight, OneShot, Optimal, Strided
from theory.decoding.moment import Moment
from theory.decoding.random_orders import FirstHitting, MaskedDiffusion, RandomOrder
from theory.decoding.rule import Rule
from theory.decoding.scored import Confidence, Entropy, EntropyBound, Factor, Margin, Threshold
from theory.errors import InvalidInput
from theory.parameters import assignments, build, describe

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        OneShot,
        LeftToRight,
        RandomOrder,
        Strided,
        Dyadic,
        Optimal,
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
    )
}
"""Every rule by its name."""


def parse(text: str) -> Rule:
    """A rule from its name and options: ``llada:temperature=0.7,block=32``.

    Raises:
        InvalidInput: an unknown rule or option, or a value that is not allowed; it names them.
    """
    name, _, options = text.strip().partition(":")
    if name not in RULES:
        raise InvalidInput("decoder", name, "one of " + ", ".join(RULES))
    values = assignments([option for option in options.split(",") if option.strip()], f"decoder {name}")
    known = describe(RULES[name])
    for option in values:
        if option not in known:
            raise InvalidInput(f"option of {name}", option, "one of " + ", ".join(known))
    rule: Rule = build(RULES[name], values=values)
    return rule
