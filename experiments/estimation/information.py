"""The information matrices of claims C1 to C3 for one Ising model, as a record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance, invert_information, loewner_margin
from theory.inequalities import poincare_constant
from theory.laws import IsingLaw
from theory.masks import k_uniform


def ising_information(law: IsingLaw, sizes: Iterable[int]) -> dict[str, Any]:
    """Learning with k-uniform masks against maximum likelihood and against mixing.

    Args:
        law: Ising model; its parameters are all fields and couplings.
        sizes: mask sizes k, each in 1..N.

    Returns:
        ``sites``, ``parameters`` (d), ``trace_inverse_fisher`` and ``by_k``, one row per size in the given order:
        ``k``; ``trace_asymptotic_covariance`` tr Gamma_k; ``loewner_margin`` smallest eigenvalue of
        Gamma_{k-1} - Gamma_k (None for k = 1); ``poincare_constant`` C_P of k-Gibbs in steps; ``poincare_margin``
        smallest eigenvalue of C_P I^{-1} - Gamma_k.

    Raises:
        InvalidInput: a size outside 1..N, or an information matrix that is singular to working precision.
    """
    chosen = list(sizes)
    for size in chosen:
        if not 1 <= size <= law.sites:
            raise InvalidInput("k", size, f"the mask size must lie in 1..{law.sites}")
    family, theta = law.family, law.theta
    needed = sorted(set(chosen) | {size - 1 for size in chosen if size > 1})
    covariance = {size: asymptotic_covariance(family, theta, k_uniform(law.sites, size)) for size in needed}
    inverse_fisher = invert_information(family.fisher_information(theta))
    rows = []
    for size in chosen:
        constant = poincare_constant(law, k_uniform(law.sites, size))
        rows.append(
            {
                "k": size,
                "trace_asymptotic_covariance": float(np.trace(covariance[size])),
                "loewner_margin": loewner_margin(covariance[size - 1], covariance[size]) if size > 1 else None,
                "poincare_constant": constant.value,
                "poincare_margin": loewner_margin(constant.interval[1] * inverse_fisher, covariance[size]),
            }
        )
    return {
        "sites": law.sites,
        "parameters": family.parameters,
        "trace_inverse_fisher": float(np.trace(inverse_fisher)),
        "by_k": rows,
    }
