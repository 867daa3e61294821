"""Symmetry: what makes chains on far more states tractable, exactly.

Two levels. *Automorphisms* of any law (found or claimed, always checked) give orbits of states: one start per orbit
for worst-case mixing times, and a partition that lumps the chain. *Exchangeable* laws need no table at all: their
chains on the number of plus spins are built directly, and single-site dynamics is a birth-and-death chain whose gaps,
hitting times and mixing times are exact for thousands of sites at every temperature.
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
from theory.symmetry.exchangeable_chains import (
    block_gibbs_counts,
    log_independent_parallel,
    log_parallel_law,
    single_site,
)
from theory.symmetry.graph_symmetries import graph_symmetries
from theory.symmetry.orbits import (
    orbits,
    symmetric_orbits,
    symmetry_violation,
)
from theory.symmetry.search import find_automorphisms

__all__ = [
    "Relabelling",
    "SymmetryGroup",
    "block_gibbs_counts",
    "find_automorphisms",
    "global_flip",
    "graph_symmetries",
    "invariant_subgroup",
    "log_independent_parallel",
    "log_parallel_law",
    "orbits",
    "single_site",
    "site_permutation",
    "symmetric_orbits",
    "symmetry_group",
    "symmetry_violation",
    "violation",
]
