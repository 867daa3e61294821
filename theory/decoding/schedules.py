"""Unmasking schedules: in which steps the sites of a sequence are revealed.

A *schedule* S = (S_1, ..., S_T) is an ordered partition of the N sites into non-empty steps: decoding starts from the
fully masked sequence and step t fills the sites of S_t in parallel, each from p(x_i | x_{S_<t}). A *size plan*
(n_1, ..., n_T) fixes only |S_t|. A *schedule law* draws the schedule before decoding, without looking at tokens.

Legend: ``N`` sites, ``T`` steps, ``n_t`` sites revealed in step t, ``m_t`` sites still masked after step t.

Sources: masked diffusion as random unmasking: Sahoo et al. 2024 (arXiv:2406.07524, MDLM), Lou et al. 2024
(arXiv:2310.16834, SEDD); the cosine plan: Chang et al. 2022 (arXiv:2202.04200, MaskGIT, section 3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import ceil, comb, cos, pi, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput
from theory.memory import require_memory
from theory.states import check_sites

Array = NDArray[np.float64]
Step = tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """An ordered partition of the sites.

    Attributes:
        sites: N.
        steps: T non-empty steps; the sites within a step are kept in ascending order.

    Raises:
        InvalidInput: a step is empty, or the steps do not cover each site exactly once.
    """

    sites: int
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if self.sites < 1:
            raise InvalidInput("sites", self.sites, "at least 1 site is needed")
        steps = tuple(check_sites(step, self.sites, "step") for step in self.steps)
        if any(len(step) == 0 for step in steps):
            raise InvalidInput("steps", steps, "a step must reveal at least one site")
        if sorted(site for step in steps for site in step) != list(range(self.sites)):
            raise InvalidInput("steps", steps, f"the steps must cover each of 0..{self.sites - 1} exactly once")
        object.__setattr__(self, "steps", steps)

    @property
    def length(self) -> int:
        """T."""
        return len(self.steps)

    @property
    def sizes(self) -> tuple[int, ...]:
        """(n_1, ..., n_T)."""
        return tuple(len(step) for step in self.steps)

    def with_revealed(self) -> Iterator[tuple[Step, Step]]:
        """Pairs (S_<t, S_t), both ascending, for t = 1..T."""
        revealed: Step = ()
        for step in self.steps:
            yield revealed, step
            revealed = tuple(sorted(revealed + step))


def one_shot(sites: int) -> Schedule:
    """Every site at once: T = 1."""
    return Schedule(sites, (tuple(range(sites)),))


def sequential(order: Sequence[int]) -> Schedule:
    """One site at a time in the given order: T = N."""
    return Schedule(len(order), tuple((site,) for site in order))


def cut(order: Sequence[int], sizes: Sequence[int]) -> Schedule:
    """An order of the sites cut into consecutive steps of the given sizes.

    Raises:
        InvalidInput: the order is no permutation, or the sizes are not positive integers that sum to N.
    """
    plan = check_sizes(len(order), sizes)
    ends = np.cumsum(plan)
    return Schedule(len(order), tuple(tuple(order[end - n : end]) for n, end in zip(plan, ends, strict=True)))


def check_sizes(sites: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """A size plan as a tuple of ints.

    Raises:
        InvalidInput: a size below 1, or a sum that is not N.
    """
    plan = tuple(int(size) for size in sizes)
    if any(size < 1 for size in plan) or sum(plan) != sites:
        raise InvalidInput("sizes", plan, f"step sizes are >= 1 and sum to {sites}")
    return plan


MASKED_FRACTIONS: dict[str, Callable[[float, int], float]] = {
    "uniform": lambda s, sites: 1 - s,
    "cosine": lambda s, sites: cos(pi * s / 2),
    "geometric": lambda s, sites: float(sites) ** -s,
}
"""gamma(s), the fraction of N sites still masked at time s in [0, 1]; uniform: as in masked diffusion with the
"log-linear" noise of SEDD and MDLM; cosine: MaskGIT's, small steps first; geometric: large steps first, the number of
masked sites falls by the same factor N^(-1/T) in every step."""


def _sizes_from_curve(sites: int, steps: int, name: str) -> tuple[int, ...]:
    """m_t = ceil(N gamma(t/T)), moved by as little as is needed for every step to reveal at least one site."""
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    if not 1 <= steps <= sites:
        raise InvalidInput("steps", steps, f"between 1 and {sites} steps can each reveal at least one site")
    masked = [sites]
    for step in range(1, steps + 1):
        # The small subtraction keeps exact integers from being rounded up by floating point.
        wanted = 0 if step == steps else ceil(sites * MASKED_FRACTIONS[name](step / steps, sites) - 1e-9)
        masked.append(min(max(wanted, steps - step), masked[-1] - 1))
    return tuple(before - after for before, after in pairwise(masked))


def uniform_sizes(sites: int, steps: int) -> tuple[int, ...]:
    """Equal steps up to rounding; also the expected step sizes of masked diffusion."""
    return _sizes_from_curve(sites, steps, "uniform")


def cosine_sizes(sites: int, steps: int) -> tuple[int, ...]:
    """MaskGIT's plan, small steps first."""
    return _sizes_from_curve(sites, steps, "cosine")


def geometric_sizes(sites: int, steps: int) -> tuple[int, ...]:
    """Large steps first."""
    return _sizes_from_curve(sites, steps, "geometric")


SIZE_PLANS: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "uniform": uniform_sizes,
    "cosine": cosine_sizes,
    "geometric": geometric_sizes,
}
"""Named size plans: (sites, steps) -> (n_1, ..., n_T)."""


@dataclass(frozen=True, eq=False)
class ScheduleLaw:
    """A law over schedules that does not look at the tokens.

    Attributes:
        sites: N.
        schedules: the distinct schedules of positive probability.
        probabilities: one per schedule, summing to 1.
        name: shown in results.
    """

    sites: int
    schedules: tuple[Schedule, ...]
    probabilities: Array
    name: str

    def __post_init__(self) -> None:
        if not self.schedules:
            raise InvalidInput("schedules", "an empty list", "at least one schedule is needed")
        if {schedule.sites for schedule in self.schedules} != {self.sites}:
            raise InvalidInput("schedules", "their sites", f"every schedule must have {self.sites} sites")
        if len(set(self.schedules)) != len(self.schedules):
            raise InvalidInput("schedules", f"{len(self.schedules)} schedules", "each schedule may be listed once")
        weights = np.asarray(self.probabilities, dtype=np.float64)
        if weights.shape != (len(self.schedules),):
            raise InvalidInput("probabilities", f"shape {weights.shape}", f"({len(self.schedules)},) is needed")
        if not (weights >= 0).all() or not abs(weights.sum() - 1) <= 1e-9:
            raise InvalidInput("probabilities", weights.tolist(), "probabilities are >= 0 and sum to 1")
        object.__setattr__(self, "probabilities", weights / weights.sum())

    def sample(self, count: int, generator: np.random.Generator) -> tuple[Schedule, ...]:
        """Independent schedules."""
        drawn = generator.choice(len(self.schedules), size=count, p=self.probabilities)
        return tuple(self.schedules[int(index)] for index in drawn)


def mixture(
    schedules: Iterable[Schedule], probabilities: ArrayLike | None = None, name: str = "mixture"
) -> ScheduleLaw:
    """A law over listed schedules, uniform by default."""
    listed = tuple(schedules)
    weights = np.full(len(listed), 1 / max(len(listed), 1)) if probabilities is None else np.asarray(probabilities)
    return ScheduleLaw(listed[0].sites if listed else 0, listed, weights, name)


def random_order(sites: int, sizes: Sequence[int]) -> ScheduleLaw:
    """A uniformly random order of the sites, cut by a size plan: N! / prod n_t! schedules, each equally likely.

    Raises:
        InvalidInput: not a size plan of N.
        ExceedsMemory: too many schedules to list; `rules.RandomOrder` decodes without listing them.
    """
    plan = check_sizes(sites, sizes)
    count = prod(comb(sum(plan[t:]), size) for t, size in enumerate(plan))
    require_memory(count * (200.0 + 64 * len(plan) + 8 * sites), "sizes", plan, f"the list of {count} schedules")
    schedules = tuple(Schedule(sites, steps) for steps in _ordered_partitions(tuple(range(sites)), plan))
    return ScheduleLaw(sites, schedules, np.full(count, 1 / count), f"random order, sizes {plan}")


def _ordered_partitions(sites: Step, sizes: tuple[int, ...]) -> Iterator[tuple[Step, ...]]:
    if not sizes:
        yield ()
        return
    for step in combinations(sites, sizes[0]):
        rest = tuple(site for site in sites if site not in step)
        for steps in _ordered_partitions(rest, sizes[1:]):
            yield (step, *steps)


def check_step_weights(step_weights: ArrayLike) -> Array:
    """Probabilities of the steps of masked diffusion, shape [T].

    Raises:
        InvalidInput: not one-dimensional, negative, or not summing to 1.
    """
    weights = np.asarray(step_weights, dtype=np.float64)
    if weights.ndim != 1 or weights.size == 0:
        raise InvalidInput("step_weights", f"shape {weights.shape}", "one probability per step, shape [T], is needed")
    if not (weights >= 0).all() or not abs(weights.sum() - 1) <= 1e-9:
        raise InvalidInput("step_weights", weights.tolist(), "probabilities are >= 0 and sum to 1")
    return np.asarray(weights / weights.sum())
