"""Analysis of Markov chains on a finite state space, whatever they came from.

Every function takes a `TransitionOperator` or a row-stochastic matrix: lists, arrays of any type, sparse matrices.
What one function computes about an operator is kept for the others (`theory.chains.facts`).
"""

from __future__ import annotations

from theory.chains.absorption import absorption, backward_committor, committor, hitting_probabilities
from theory.chains.classes import (
    closed_classes,
    communicating_classes,
    cyclic_classes,
    period,
    reachable_from,
    transient_states,
)
from theory.chains.conductance import bottleneck_ratio, bottleneck_ratio_of
from theory.chains.hitting import (
    escape_probability_within,
    expected_escape_times,
    expected_hitting_times,
    hitting_probability_within,
    hitting_time_law,
)
from theory.chains.iterative import (
    IterativeGaps,
    NotConverged,
    arnoldi_gaps,
    lanczos_gaps,
    sweep_ratio,
)
from theory.chains.lumping import lump
from theory.chains.metastability import MetastablePartition, metastable_sets
from theory.chains.mixing import MixingTime, NotMixedBy, mixing_time, mixing_time_from
from theory.chains.operator import (
    Composition,
    DenseOperator,
    SparseOperator,
    TransitionOperator,
    as_operator,
    restrict,
)
from theory.chains.paths import sample_paths, sample_states
from theory.chains.recurrence import kemeny_constant, recurrence_times
from theory.chains.reversibility import edge_measure, is_reversible
from theory.chains.spectrum import (
    Spectrum,
    absolute_spectral_gap,
    eigenvalues,
    relaxation_time,
    spectral_gap,
    spectrum,
)
from theory.chains.stationary import StationaryLaw, residual, stationary_law, stationary_laws
from theory.chains.total_variation import TotalVariationCurve, geometric_times, total_variation_curve

__all__ = [
    "Composition",
    "DenseOperator",
    "IterativeGaps",
    "MetastablePartition",
    "MixingTime",
    "NotConverged",
    "NotMixedBy",
    "SparseOperator",
    "Spectrum",
    "StationaryLaw",
    "TotalVariationCurve",
    "TransitionOperator",
    "absolute_spectral_gap",
    "absorption",
    "arnoldi_gaps",
    "as_operator",
    "backward_committor",
    "bottleneck_ratio",
    "bottleneck_ratio_of",
    "closed_classes",
    "committor",
    "communicating_classes",
    "cyclic_classes",
    "edge_measure",
    "eigenvalues",
    "escape_probability_within",
    "expected_escape_times",
    "expected_hitting_times",
    "geometric_times",
    "hitting_probabilities",
    "hitting_probability_within",
    "hitting_time_law",
    "is_reversible",
    "kemeny_constant",
    "lanczos_gaps",
    "lump",
    "metastable_sets",
    "mixing_time",
    "mixing_time_from",
    "period",
    "reachable_from",
    "recurrence_times",
    "relaxation_time",
    "residual",
    "restrict",
    "sample_paths",
    "sample_states",
    "spectral_gap",
    "spectrum",
    "stationary_law",
    "stationary_laws",
    "sweep_ratio",
    "total_variation_curve",
    "transient_states",
]
