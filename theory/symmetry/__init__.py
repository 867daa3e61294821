"""Symmetry: what makes chains on far more states tractable, exactly.

Two levels. *Automorphisms* of any law (found or claimed, always checked) give orbits of states: one start per orbit
for worst-case mixing times, and the lumped chain of orbits. *Exchangeable* laws need no table at all: their chains on
the number of plus spins are built directly, and single-site dynamics is a birth-and-death chain whose gaps, hitting
times and mixing times are exact for thousands of sites at every temperature.
"""

from __future__ import annotations

from theory.symmetry.automorphisms import (
    Relabelling,
    SymmetryGroup,
    global_flip,
    invariant_subgroup,
    site_permutation,
    symmetry_group,
    violation,
)
from theory.symmetry.birth_death import BirthDeathChain
from theory.symmetry.birth_death_gap import SlowestMode, gaps, slowest_mode, smallest_eigenvalue
from theory.symmetry.birth_death_mixing import BirthDeathMixing, birth_death_mixing_time
from theory.symmetry.exchangeable import ExchangeableLaw, clique_counts, curie_weiss_counts
from theory.symmetry.exchangeable_chains import (
    BlockGibbsCounts,
    block_gibbs_counts,
    independent_parallel_counts,
    log_independent_parallel,
    log_parallel_law,
    single_site,
)
from theory.symmetry.graph_symmetries import graph_symmetries, is_graph_automorphism
from theory.symmetry.log_escape import log_exit_probabilities, log_expected_escape_times
from theory.symmetry.lumping import OrbitChain
from theory.symmetry.orbits import (
    Orbits,
    orbits,
    require_symmetric,
    symmetric_orbits,
    symmetry_violation,
    worst_case_starts,
)
from theory.symmetry.search import find_automorphisms

__all__ = [
    "BirthDeathChain",
    "BirthDeathMixing",
    "BlockGibbsCounts",
    "ExchangeableLaw",
    "OrbitChain",
    "Orbits",
    "Relabelling",
    "SlowestMode",
    "SymmetryGroup",
    "birth_death_mixing_time",
    "block_gibbs_counts",
    "clique_counts",
    "curie_weiss_counts",
    "find_automorphisms",
    "gaps",
    "global_flip",
    "graph_symmetries",
    "independent_parallel_counts",
    "invariant_subgroup",
    "is_graph_automorphism",
    "log_exit_probabilities",
    "log_expected_escape_times",
    "log_independent_parallel",
    "log_parallel_law",
    "orbits",
    "require_symmetric",
    "single_site",
    "site_permutation",
    "slowest_mode",
    "smallest_eigenvalue",
    "symmetric_orbits",
    "symmetry_group",
    "symmetry_violation",
    "violation",
    "worst_case_starts",
]
