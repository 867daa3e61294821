"""Decoding: the rules of masked and diffusion models, their exact output laws, and the best schedules (claim C9)."""

from theory.decoding.entropies import SubsetEntropies, binary_exchangeable_curve
from theory.decoding.enumeration import Decoded, Divergences, decode, divergences, expected_total_correlation
from theory.decoding.optimal import Frontier, SizeFrontier, optimal_schedules, optimal_sizes
from theory.decoding.output_law import (
    decoding_error,
    masked_diffusion_error,
    mean_total_correlation,
    mixture_output_law,
    output_law,
    random_order_error,
    total_correlations,
)
from theory.decoding.registry import RULES, parse
from theory.decoding.rule import Rule, Setting
from theory.decoding.sampling import Sampled, sample
from theory.decoding.schedules import (
    SIZE_PLANS,
    Schedule,
    ScheduleLaw,
    cosine_sizes,
    cut,
    geometric_sizes,
    mixture,
    one_shot,
    random_order,
    sequential,
    uniform_sizes,
)
from theory.decoding.tables import ConditionalTables, FunctionPredictor, KnownLaw
from theory.decoding.unmasking import Unmasking, unmask

__all__ = [
    "RULES",
    "SIZE_PLANS",
    "ConditionalTables",
    "Decoded",
    "Divergences",
    "Frontier",
    "FunctionPredictor",
    "KnownLaw",
    "Rule",
    "Sampled",
    "Schedule",
    "ScheduleLaw",
    "Setting",
    "SizeFrontier",
    "SubsetEntropies",
    "Unmasking",
    "binary_exchangeable_curve",
    "cosine_sizes",
    "cut",
    "decode",
    "decoding_error",
    "divergences",
    "expected_total_correlation",
    "geometric_sizes",
    "masked_diffusion_error",
    "mean_total_correlation",
    "mixture",
    "mixture_output_law",
    "one_shot",
    "optimal_schedules",
    "optimal_sizes",
    "output_law",
    "parse",
    "random_order",
    "random_order_error",
    "sample",
    "sequential",
    "total_correlations",
    "uniform_sizes",
    "unmask",
]
