"""Decoding rules on a perfectly trained denoiser: the exact twin of what a refining network does with masks.

A rule of `theory.decoding` runs on any `Predictor`. A `Denoiser` is one: at a masked position it gives
f_i(. | u), the law from which a trained network draws there. So the recipe that works best for translation,
mask-predict (draw everything, then mask and draw again what was least likely when it was drawn), has an exact output
law, as has every other rule that draws at masked positions.

Networks break ties between positions by their rounding errors, so `ties="random"` is what they come nearest to.

Legend: ``l`` positions, ``q`` the largest number of tokens that are possible at a position, ``S`` states, ``B`` rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.decoding.enumeration import decode
from theory.decoding.refinement import MaskPredict
from theory.decoding.rule import Rule
from theory.language.denoising import MASK, RefinementChain

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

TWIN = MaskPredict(ties="random")
"""Mask-predict as networks do it."""


class DenoiserPredictor:
    """A denoiser as a `theory.decoding.rule.Predictor`: symbol a at position i is the a-th token possible there.

    Args:
        chain: of the denoiser; for the tokens that are possible.

    Attributes:
        sites: l.
        symbols: q; positions with fewer tokens give the others probability 0.
    """

    def __init__(self, chain: RefinementChain) -> None:
        self.chain = chain
        self.sites = len(chain.choices)
        self.symbols = max(2, *(len(choice) for choice in chain.choices))

    def predict(self, tokens: Tokens) -> Array:
        """f_i at masked positions (symbol q), one-hot elsewhere; [B, l] -> [B, l, q]."""
        hidden = tokens == self.symbols
        inputs = np.full(tokens.shape, MASK)
        for position, choice in enumerate(self.chain.choices):
            shown = ~hidden[:, position]
            inputs[shown, position] = choice[tokens[shown, position]]
        patterns, inverse = np.unique(inputs, axis=0, return_inverse=True)
        factors = self.chain.denoiser.factors(patterns)[inverse.reshape(-1)]
        laws = np.zeros((*tokens.shape, self.symbols))
        for position, choice in enumerate(self.chain.choices):
            laws[:, position, : len(choice)] = factors[:, position, choice]
        shown_laws = np.eye(self.symbols + 1)[tokens][..., : self.symbols]
        return np.where(hidden[..., None], laws, shown_laws)


def decoded_law(chain: RefinementChain, rule: Rule, calls: int) -> Array:
    """The exact law of what a rule puts out when it is asked for so many calls, on ``chain.states``, [S].

    Raises:
        InvalidInput, ExceedsMemory: see `theory.decoding.enumeration.decode`.
    """
    table = decode(DenoiserPredictor(chain), rule, calls).law.table
    for position, choice in enumerate(chain.choices):
        table = table.take(range(len(choice)), axis=position)
    return np.asarray(table.reshape(-1))
