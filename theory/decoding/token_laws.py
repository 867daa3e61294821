"""The law from which a token is drawn: the network's, tempered and then cut to the likeliest tokens (top-p).

Top-p keeps the likeliest tokens until the mass before the next one exceeds the given share, so at least one; equally
likely tokens are kept in the order of their symbols. Probabilities that agree to 12 decimals are tied.
Source of the order (first temper, then cut): the released code of Dream 7B.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import temper

Array = NDArray[np.float64]

TIES = ("first", "random")
"""Equal sites or tokens: the lowest number, or each with the same probability."""

TIE_DECIMALS = 12
"""Scores are compared after rounding to this many decimals, so that rounding errors do not decide."""


def token_laws(laws: Array, temperature: float, top_p: float, ties: str) -> Array:
    """Laws [..., q] to the power 1/T, then cut; T = 0 gives the likeliest token, or the tied ones equally."""
    if temperature == 0:
        if ties == "first":
            return temper(laws, 0.0)
        tied = np.round(laws, TIE_DECIMALS) == np.round(laws.max(axis=-1, keepdims=True), TIE_DECIMALS)
        return np.asarray(tied / tied.sum(axis=-1, keepdims=True))
    tempered = laws if temperature == 1 else temper(laws, temperature)
    return tempered if top_p == 1 else cut(tempered, top_p)


def cut(laws: Array, top_p: float) -> Array:
    """Laws [..., q] restricted to their likeliest tokens, renormalised."""
    order = np.argsort(-np.round(laws, TIE_DECIMALS), axis=-1, kind="stable")
    ranked = np.take_along_axis(laws, order, axis=-1)
    before = np.round(np.cumsum(ranked, axis=-1) - ranked, TIE_DECIMALS)
    kept = np.where(before <= top_p, ranked, 0.0)
    kept[..., 0] = ranked[..., 0]
    result = np.empty_like(laws)
    np.put_along_axis(result, order, kept / kept.sum(axis=-1, keepdims=True), axis=-1)
    return result
