"""Mask laws: which sites are hidden, with what probability. Listed where somebody asks, drawn at any size."""

from theory.masks.families import (
    MASK_LAWS,
    Bernoulli,
    KUniform,
    Spans,
    UniformRatio,
    bernoulli,
    k_uniform,
    parse_masks,
    partition,
    spans,
    uniform_ratio,
)
from theory.masks.law import AdaptiveMaskLaw, Listed, Mask, MaskLaw, adaptive

__all__ = [
    "MASK_LAWS",
    "AdaptiveMaskLaw",
    "Bernoulli",
    "KUniform",
    "Listed",
    "Mask",
    "MaskLaw",
    "Spans",
    "UniformRatio",
    "adaptive",
    "bernoulli",
    "k_uniform",
    "parse_masks",
    "partition",
    "spans",
    "uniform_ratio",
]
