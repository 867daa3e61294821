"""Which method a chain is analysed by, what it needs, and why: decided before anything large is computed.

Two methods. *Dense*: the transition matrix and its powers, which answers every question for any chain. *Matrix-free*:
the operator is only applied; gaps by Lanczos or Arnoldi iteration, mixing times step by step from some starts that
settle all the others (`theory.chains.covering`), one per orbit of the symmetry group. It needs a chain that is known
to be irreducible and aperiodic.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.chains.model_spec import ModelSpec
from theory.chains import SparseOperator, TransitionOperator, communicating_classes
from theory.chains.lanczos import KEPT_BYTES
from theory.chains.operator import MatrixOperator
from theory.laws import JointLaw
from theory.masks import MaskLaw
from theory.memory import format_bytes
from theory.samplers import parse_sampler
from theory.symmetry import (
    SymmetryGroup,
    find_automorphisms,
    global_flip,
    graph_symmetries,
    invariant_subgroup,
    orbits,
    symmetry_violation,
)

Array = NDArray[np.float64]

DENSE_STATES = 2048
"""Up to this many states the dense method takes seconds and tells more."""

DENSE_FLOPS = 2e10
"""Floating-point operations per second that the estimate for dense products assumes."""

GAP_FLOPS, MIXING_FLOPS = 10, 60
"""Operations for eigenvalues, and for some 30 products of doubling and descent, in units of S^3."""

FOLLOWED = 0.1
"""Part of the orbits whose starts are followed until the others are settled, about, for estimates of the time."""

ROUNDS = 4
"""Rounds of choosing starts that this takes, about; each costs a product a step."""

GAP_PRODUCTS = 150
"""Products that the iteration for the gap takes, about."""

LONG_PRODUCT = 5.0
"""Seconds above which a product is timed once only."""

SYMMETRIC = 1e-9
"""Violation of symmetry that counts as rounding."""


@dataclass(frozen=True, eq=False)
class ChainPlan:
    """How a chain will be analysed.

    Attributes:
        method: "dense" or "matrix-free".
        reason: why.
        memory: bytes that it needs at most, about.
        seconds: rough time of the whole analysis (dense) or of one step from one start (matrix-free).
        alike: the number of the orbit of every state for the matrix-free method, [S]; None for dense.
    """

    method: str
    reason: str
    memory: float
    seconds: float
    alike: NDArray[np.int64] | None

    @property
    def orbits(self) -> int:
        """Orbits of states."""
        return 0 if self.alike is None else int(self.alike.max()) + 1

    def lines(self) -> list[str]:
        """The plan in words."""
        if self.alike is None:
            return [
                f"method: {self.method} ({self.reason})",
                f"memory: about {format_bytes(self.memory)}; time: about {max(self.seconds, 1):.0f} s",
            ]
        return [
            f"method: {self.method} ({self.reason})",
            f"mixing time from as many starts as settle the others, at most one for each of {self.orbits} orbits",
            f"memory: about {format_bytes(self.memory)}; time: about {GAP_PRODUCTS * self.seconds:.2g} s for the gap, "
            f"and {mixing_seconds(self.seconds, self.orbits, 100):.2g} s for every 100 steps of the mixing time",
        ]


def dense_memory(states: int) -> float:
    """Bytes of the dense method: eight matrices at a time."""
    return 8 * 8.0 * states * states


def dense_seconds(states: int, flops: float) -> float:
    """Rough seconds of so many S^3 operations."""
    return flops * float(states) ** 3 / DENSE_FLOPS


def matrix_free_memory(states: int) -> float:
    """Bytes of the matrix-free method: a few dozen vectors, those that the gap takes, and a block of starts."""
    return 8.0 * states * 48 + min(8.0 * states * GAP_PRODUCTS, KEPT_BYTES) + 2.0**28


def mixing_seconds(product: float, orbits: int, steps: float) -> float:
    """Rough seconds that a matrix-free mixing time of so many steps takes, ``product`` being those of one product."""
    return product * steps * (FOLLOWED * orbits + ROUNDS)


def surely_irreducible(law: JointLaw, sampler: str, masks: MaskLaw | None, temperature: float) -> bool:
    """Whether the chain is irreducible and aperiodic without looking at its matrix.

    It is where every sequence has positive probability, so that every conditional is positive, and every site is
    masked sooner or later: each site can take any symbol, or keep its own.
    """
    kind = parse_sampler(sampler)
    if temperature == 0 or not law.support.all() or not kind.one_class:
        return False
    return kind.uses_masks == "none" or masks is None or bool((masks.inclusion > 0).all())


def symmetries(law: JointLaw, spec: ModelSpec | None) -> SymmetryGroup:
    """Automorphisms of the law: those of the named graph where they fix the law, else by search."""
    if spec is not None and spec.model in {"ising", "potts"} and spec.graph != "random-regular":
        candidates = list(graph_symmetries(spec.graph, law.sites, symbols=law.symbols))
        if law.symbols == 2:
            candidates.append(global_flip(law.sites))
        return invariant_subgroup(law, candidates)
    return find_automorphisms(law, budget=2000)


def plan_matrix(operator: MatrixOperator) -> ChainPlan:
    """Choose the method for a chain that is given as a matrix."""
    states = operator.states
    if states <= DENSE_STATES or not isinstance(operator, SparseOperator):
        return _dense_plan(states, f"{states} states are few" if states <= DENSE_STATES else "the matrix is held")
    classes = communicating_classes(operator)
    if not (classes.irreducible and classes.aperiodic):
        return _dense_plan(states, "the chain is not one aperiodic class")
    row = _seconds_of_a_product(operator, np.full(states, 1 / states))
    reason = f"{states} states in a sparse matrix, which are one aperiodic class"
    return ChainPlan("matrix-free", reason, matrix_free_memory(states), row, np.arange(states))


def _dense_plan(states: int, reason: str) -> ChainPlan:
    seconds = dense_seconds(states, GAP_FLOPS + MIXING_FLOPS)
    return ChainPlan("dense", reason, dense_memory(states), seconds, None)


def _seconds_of_a_product(operator: TransitionOperator, law: Array) -> float:
    """Seconds of nu P; the first call, which may load compiled code, counts only where it is long."""
    for _ in range(2):
        start = time.perf_counter()
        operator.propagate(law)
        taken = time.perf_counter() - start
        if taken > LONG_PRODUCT:
            break
    return taken


def plan_chain(
    law: JointLaw,
    operator: TransitionOperator,
    sampler: str,
    masks: MaskLaw | None,
    temperature: float,
    spec: ModelSpec | None = None,
) -> ChainPlan:
    """Choose the method for a chain; see the module's description."""
    states = operator.states
    if states <= DENSE_STATES:
        return _dense_plan(states, f"{states} states are few")
    if not surely_irreducible(law, sampler, masks, temperature):
        return _dense_plan(states, "whether the chain is irreducible can only be told from its matrix")
    group = symmetries(law, spec)
    if group.generators and symmetry_violation(operator, group) <= SYMMETRIC:
        alike = orbits(group).labels
        reason = f"{states} states; {len(group.generators)} generators of symmetries of the law and the sampler"
    else:
        alike = np.arange(states)
        reason = f"{states} states; no symmetry that the sampler shares"
    row = _seconds_of_a_product(operator, law.probabilities)
    return ChainPlan("matrix-free", reason, matrix_free_memory(states), row, alike)
