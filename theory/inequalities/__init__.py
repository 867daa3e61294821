"""Functional inequalities of block dynamics, and coupling bounds: how fast a sampler forgets, and what that costs.

`masking_channel` holds the local functionals (variance, entropy, relative entropy given what masking leaves visible);
`poincare`, `tensorization` and `log_sobolev` the constants that compare them with the global ones; `dobrushin` and
`path_coupling` bounds from the influence of sites on each other.
"""

from theory.inequalities.dobrushin import DobrushinCriterion, dobrushin
from theory.inequalities.entropy_contraction import (
    branch_and_bound,
    dobrushin_tensorization_bound,
    smallest_overlap,
    step_branch_and_bound,
)
from theory.inequalities.log_sobolev import entropy_production, modified_log_sobolev
from theory.inequalities.masking_channel import MaskingChannel
from theory.inequalities.path_coupling import Contraction, ollivier_curvature, path_coupling
from theory.inequalities.poincare import PoincareConstant, poincare_constant, slowest_functions
from theory.inequalities.step_contraction import step_contraction, step_ratio
from theory.inequalities.tensorization import (
    TensorizationConstant,
    approximate_tensorization,
    complete_graph_factor,
    product_constant,
    tensorization_ratio,
    tensorization_upper_bound,
    tensorization_upper_bounds,
)

__all__ = [
    "Contraction",
    "DobrushinCriterion",
    "MaskingChannel",
    "PoincareConstant",
    "TensorizationConstant",
    "approximate_tensorization",
    "branch_and_bound",
    "complete_graph_factor",
    "dobrushin",
    "dobrushin_tensorization_bound",
    "entropy_production",
    "modified_log_sobolev",
    "ollivier_curvature",
    "path_coupling",
    "poincare_constant",
    "product_constant",
    "slowest_functions",
    "smallest_overlap",
    "step_branch_and_bound",
    "step_contraction",
    "step_ratio",
    "tensorization_ratio",
    "tensorization_upper_bound",
    "tensorization_upper_bounds",
]
