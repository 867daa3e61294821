"""Explicit bounds: on the error of learned laws, on mixing times, and on the strong-clique model."""

from theory.bounds.finite_sample import (
    best_cover_of_box,
    observed_loss_bound,
    smallest_conditional_in_box,
    total_variation_bound,
)
from theory.bounds.mixing_time import (
    bottleneck_bounds,
    entropy_contraction_bounds,
    mixing_time_bounds,
    relaxation_time_bounds,
)
from theory.bounds.sample_size import asymptotic_sample_size
from theory.bounds.strong_clique import (
    escape_probability_bound,
    escape_time_bound,
    log_escape_probability_bound,
    log_escape_probability_exponent,
    log_escape_probability_hoeffding,
    log_two_stage_bound,
    redraw_probability,
    right_mode_mass,
    staying_probability_bound,
    steps_to_right_mode,
)

__all__ = [
    "asymptotic_sample_size",
    "best_cover_of_box",
    "bottleneck_bounds",
    "entropy_contraction_bounds",
    "escape_probability_bound",
    "escape_time_bound",
    "log_escape_probability_bound",
    "log_escape_probability_exponent",
    "log_escape_probability_hoeffding",
    "log_two_stage_bound",
    "mixing_time_bounds",
    "observed_loss_bound",
    "redraw_probability",
    "relaxation_time_bounds",
    "right_mode_mass",
    "smallest_conditional_in_box",
    "staying_probability_bound",
    "steps_to_right_mode",
    "total_variation_bound",
]
