"""Failure modes of samplers: how long they take, and where independent parallel steps lead.

Independent sites are the measure of speed: there, what a mask shows is drawn from its own law, so that a chain is
within epsilon once every site has been masked with probability 1 - epsilon. The union bound gives the steps after which
that is so,

    B_k = ln(N / epsilon) / -ln(1 - k/N),      B_N = 1.

Legend: ``N`` sites, ``k`` masked sites, ``S`` states.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, log, log1p
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.chains.model_spec import ModelSpec
from experiments.chains.record import chain_record
from experiments.diagnosis.commands import Commands
from experiments.diagnosis.findings import Diagnosis, shown
from experiments.diagnosis.modes import MIXING, PARALLEL_LAW, STUCK
from experiments.masked_lm.chains import Sampled, analyse, gibbs, redraw
from theory.chains import NotConverged
from theory.conditionals import ConditionalModel
from theory.divergences import total_variation
from theory.errors import InvalidInput
from theory.laws import JointLaw
from theory.masks import k_uniform
from theory.samplers import independent_parallel

Array = NDArray[np.float64]

EPSILON = 0.25
"""Total variation that counts as mixed, as for `gmlm chain`."""

REMEDY_STATES = 2048
"""Up to this many states larger masks are tried one after the other."""


class Unknown(Exception):
    """A number that cannot be had; says why."""


@dataclass(frozen=True)
class Run:
    """How a sampler does.

    Attributes:
        steps: its mixing time from the worst start; infinite where it never mixes.
        kind: exact, or lower where that is a lower bound.
        reason: why it never mixes.
        distance: total variation of its stationary law from the law that is wanted; None where it has several.
    """

    steps: float
    kind: str
    reason: str
    distance: float | None


class Samplers(Protocol):
    """The samplers of a subject."""

    sites: int
    states: int

    def gibbs(self, k: int) -> Run:
        """Block Gibbs with masks of k sites.

        Raises:
            Unknown: nothing can be said.
        """
        ...

    def parallel(self) -> Run:
        """Every site at once, from the others.

        Raises:
            Unknown: nothing can be said.
        """
        ...


class LawSamplers:
    """Of a known law: exact, or between bounds where that would take longer than the budget.

    Args:
        law: the target.
        spec: where the law comes from, if it has a name: its symmetries are then known.
        budget: seconds for each sampler.
    """

    def __init__(self, law: JointLaw, spec: ModelSpec | None, budget: float) -> None:
        self.sites, self.states = law.sites, law.states
        self._law, self._spec, self._budget = law, spec, budget

    def gibbs(self, k: int) -> Run:
        """See `Samplers`."""
        return self._run("k-gibbs", k)

    def parallel(self) -> Run:
        """See `Samplers`."""
        return self._run("independent-parallel", None)

    def _run(self, sampler: str, k: int | None) -> Run:
        masks = None if k is None else k_uniform(self.sites, k)
        try:
            record = chain_record(self._law, sampler, masks, epsilon=EPSILON, spec=self._spec, budget=self._budget)
        except (InvalidInput, NotConverged) as error:
            raise Unknown(str(error)) from None
        return _read(record)


def _read(record: dict[str, Any]) -> Run:
    steps, between = record["mixing_time"], record["mixing_time_interval"]
    distance = record["stationary_tv_to_target"]
    if steps is not None:
        return Run(steps, "exact" if record["mixing_time_certain"] else "unbiased", "", distance)
    if between is None:
        return Run(inf, "exact", record["mixing_time_reason"], distance)
    if not between[0]:
        raise Unknown(record["mixing_time_reason"].removeprefix("left out: "))
    return Run(between[0], "lower", "", distance)


class NetworkSamplers:
    """Of conditionals that need not have a joint law; the law that is wanted is that of single-site Gibbs.

    Attributes:
        law: that law, [S].

    Raises:
        Unknown: single-site Gibbs has no stationary law that can be found.
    """

    def __init__(self, conditionals: ConditionalModel) -> None:
        self.sites, self.states = conditionals.sites, conditionals.symbols**conditionals.sites
        self._conditionals = conditionals
        self._known: dict[int, Sampled] = {}
        self.law: Array = self._gibbs(1).law

    def gibbs(self, k: int) -> Run:
        """See `Samplers`."""
        return self._read(self._gibbs(k))

    def parallel(self) -> Run:
        """See `Samplers`."""
        return self._read(_found(lambda: analyse(independent_parallel(self._conditionals), None, str)))

    def _gibbs(self, k: int) -> Sampled:
        if k not in self._known:
            if k == self.sites:
                joint = self._conditionals.joint_conditional(range(k))[0]
                self._known[k] = redraw(np.asarray(joint).ravel(), str, None)
            else:
                self._known[k] = _found(lambda: analyse(gibbs(self._conditionals, k), None, str))  # type: ignore[arg-type]
        return self._known[k]

    def _read(self, found: Sampled) -> Run:
        steps = found.record["mixing_time"]
        kind = "exact" if found.record["mixing_time_is"] == "exact" else "lower"
        distance = total_variation(found.law, self.law)
        if steps is None:
            return Run(inf, "exact", "it has several closed classes, or a period", distance)
        return Run(steps, kind, "", distance)


def _found(compute: Callable[[], Sampled]) -> Sampled:
    try:
        return compute()
    except (InvalidInput, NotConverged, np.linalg.LinAlgError) as error:
        raise Unknown(str(error)) from None


def independent_steps(sites: int, k: int, epsilon: float = EPSILON) -> int:
    """B_k: steps that independent sites take at most; see the module's description."""
    return 1 if k >= sites else max(1, ceil(log(sites / epsilon) / -log1p(-k / sites)))


def sampling(diagnosis: Diagnosis, samplers: Samplers, k: int, commands: Commands, budget: float) -> None:
    """Add what samplers tell.

    Args:
        diagnosis: added to.
        samplers: of the subject.
        k: mask size of Gibbs.
        commands: of the subject.
        budget: seconds of processor time after which no larger mask is tried.
    """
    remedy, effect = commands.decoder("left-to-right", samplers.sites), "the law without a chain, a token a call"
    try:
        run = samplers.gibbs(k)
        base = independent_steps(samplers.sites, k)
        if run.steps / base < MIXING.threshold:
            remedy, effect = commands.masks(k), _law_in(run.steps)
        else:
            remedy, effect = _larger_masks(samplers, k, commands, budget) or (remedy, effect)
        says = f"Gibbs with masks of {k} site{'s' * (k != 1)} {_time(run)}; independent sites take {base}"
        diagnosis.add(MIXING, run.steps / base, says, run.kind, remedy, effect)
    except Unknown as error:
        diagnosis.leave_out(f"not measured: {error}", MIXING)
    if samplers.sites == 1:
        diagnosis.leave_out("does not apply: there is one site, so nothing is parallel", STUCK, PARALLEL_LAW)
        return
    try:
        run = samplers.parallel()
    except Unknown as error:
        diagnosis.leave_out(f"not measured: {error}", STUCK, PARALLEL_LAW)
        return
    says = f"redrawing every site at once, from the others, {_time(run)}; independent sites take 1"
    diagnosis.add(STUCK, run.steps, says, run.kind, remedy, effect)
    if run.distance is None:
        reason = "does not apply: redrawing every site at once has several stationary laws"
        diagnosis.leave_out(reason, PARALLEL_LAW)
        return
    says = f"redrawing every site at once ends at a law that is {shown(run.distance)} away in total variation"
    diagnosis.add(PARALLEL_LAW, run.distance, says, "exact", remedy, effect)


def _larger_masks(samplers: Samplers, k: int, commands: Commands, budget: float) -> tuple[str, str] | None:
    """The smallest masks with which Gibbs is not slow, and what they give; the fastest ones where there are none."""
    best: tuple[float, int] | None = None
    until = time.process_time() + budget
    for size in range(k + 1, samplers.sites):
        if best is not None and (samplers.states > REMEDY_STATES or time.process_time() > until):
            break
        try:
            steps = samplers.gibbs(size).steps
        except Unknown:
            continue
        if best is None or steps < best[0]:
            best = (steps, size)
        if steps / independent_steps(samplers.sites, size) < MIXING.threshold:
            break
    if best is None or best[0] == inf:
        return None
    return commands.masks(best[1]), _law_in(best[0])


def _time(run: Run) -> str:
    if run.steps == inf:
        return f"never mixes ({run.reason})"
    least = "at least " if run.kind == "lower" else ""
    return f"takes {least}{shown(run.steps)} step{'s' * (run.steps != 1)} from the worst start"


def _law_in(steps: float) -> str:
    return f"the law in {shown(steps)} step{'s' * (steps != 1)}"
