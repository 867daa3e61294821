"""Ising model with one strong clique: how long k-Gibbs and independent parallel need out of the wrong mode (claim C8).

Exact on the number of + sites in the clique, which is a Markov chain for both samplers, so that hundreds of sites cost
little. Independent parallel updates the clique by itself. A k-uniform mask holds j of its m sites with hypergeometric
probability and redraws those jointly, so that the counts move by the mixture over j of block Gibbs with j sites.

All times are decimal logarithms of expected steps, since they exceed every float:

- ``gibbs``: k-Gibbs, worst start, until x_C = (+1, ..., +1); ``gibbs_bound``: 1/c, for k >= m.
- ``parallel``: independent parallel, best start in {S_C <= -2}, until it leaves; ``parallel_bound``: 1/Chernoff.
- ``ratio``: parallel minus gibbs, the orders of magnitude by which k-Gibbs is faster; ``ratio_bound`` the same of the
  bounds, which lies below ``ratio``.

Legend: ``N`` sites, ``m`` of them in the clique, ``k`` masked, coupling ``J`` in the clique, field ``h``.
Source: Li et al. 2024 (arXiv:2407.21046), section 3; bounds as in `theory.bounds.strong_clique`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log10
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from experiments.sweeps.subject import Quantity, Subject
from experiments.sweeps.subjects.models import check_size
from theory.bounds import log_escape_probability_bound, redraw_probability
from theory.chains.birth_death import log_expected_escape_times
from theory.errors import InvalidInput
from theory.laws import ExchangeableLaw, clique_counts
from theory.parameters import parameter
from theory.symmetry import block_gibbs_counts, log_independent_parallel


@dataclass(frozen=True)
class Parameters:
    """Which clique, how many sites are masked."""

    sites: int = parameter(12, "sites N", minimum=2, maximum=1000)
    clique: int = parameter(4, "sites m of the clique", minimum=2)
    coupling: float = parameter(1.0, "coupling J inside the clique", minimum=0.0)
    field: float = parameter(0.05, "field h of every site; below J", minimum=0.0)
    k: int = parameter(0, "mask size k of k-Gibbs; 0 is k = m", minimum=0)


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """See the module's description. Everything is exact; the seed is not used."""
    m, k = parameters.clique, parameters.k or parameters.clique
    law = clique_counts(m, parameters.coupling, parameters.field)
    with np.errstate(divide="ignore"):
        gibbs = np.log(_counts_matrix(law, parameters.sites, k))
    gibbs_time = float(log_expected_escape_times(gibbs, np.arange(m + 1) < m).max()) / log(10)
    wrong = law.magnetisations <= -2
    parallel_time = float(log_expected_escape_times(log_independent_parallel(law), wrong).min()) / log(10)
    parallel_bound = -log_escape_probability_bound(m, parameters.coupling, parameters.field) / log(10)
    gibbs_bound = -log10(redraw_probability(parameters.sites, m, k, float(law.masses[m]))) if k >= m else None
    return {
        "gibbs": gibbs_time,
        "gibbs_bound": gibbs_bound,
        "parallel": parallel_time,
        "parallel_bound": parallel_bound,
        "ratio": parallel_time - gibbs_time,
        "ratio_bound": None if gibbs_bound is None else parallel_bound - gibbs_bound,
    }


def _counts_matrix(law: ExchangeableLaw, sites: int, k: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """k-Gibbs on the number of + sites of the clique, shape [m+1, m+1]."""
    m = law.sites
    matrix = np.zeros((m + 1, m + 1))
    for inside in range(max(0, k - (sites - m)), min(k, m) + 1):
        weight = float(hypergeom.pmf(inside, sites, m, k))
        matrix += weight * (block_gibbs_counts(law, inside).to_dense() if inside else np.eye(m + 1))
    return matrix


def check(parameters: Parameters) -> None:
    """Refuse sizes that do not go together, and a field that is not below the coupling."""
    if parameters.clique > parameters.sites:
        raise InvalidInput("clique", parameters.clique, f"a clique has at most N = {parameters.sites} sites")
    if parameters.k:
        check_size("k", parameters.k, parameters.sites)
    if parameters.coupling <= parameters.field:
        raise InvalidInput("coupling", parameters.coupling, f"must be above the field, {parameters.field:g}")


def memory(parameters: Parameters) -> float:
    """Bytes: half a dozen matrices over the counts, and the banded factors of one block size."""
    return 6 * 8.0 * (parameters.clique + 1) ** 2 + 100.0 * (parameters.clique + 1) ** 2


SUBJECT = Subject(
    "escape",
    "Strong clique: expected steps of k-Gibbs to the right mode and of independent parallel out of the wrong one",
    Parameters,
    compute,
    check,
    memory,
    {
        "gibbs": Quantity("k-Gibbs: log₁₀ of expected steps to the right mode", upper="gibbs_bound"),
        "parallel": Quantity("independent parallel: log₁₀ of expected steps to leave", lower="parallel_bound"),
        "ratio": Quantity("orders of magnitude by which k-Gibbs is faster", lower="ratio_bound"),
    },
    seeded=False,
)
