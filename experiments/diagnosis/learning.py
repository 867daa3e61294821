"""Failure modes of learning: masks that teach little, and too few sequences.

An Ising model is learned among Ising models, any other law among all laws on its support. A sequence is shown under
every mask of its size, so that what counts are sequences, not masks; the expected total variation is that of the
asymptotic law, to first order in 1/sqrt(n).

Legend: ``N`` sites, ``k`` masked sites, ``n`` sequences.
"""

from __future__ import annotations

from math import inf, sqrt

import numpy as np

from experiments.diagnosis.commands import Commands
from experiments.diagnosis.findings import Diagnosis, shown
from experiments.diagnosis.modes import DATA, MASKING, SHARE, TOO_FEW
from experiments.estimation.sample_size import among_all_laws, sample_sizes
from theory.bounds.sample_size import asymptotic_total_variation
from theory.errors import InvalidInput
from theory.estimation import asymptotic_covariance
from theory.laws import ExponentialLaw, IsingLaw, JointLaw
from theory.masks import k_uniform

LARGEST_ISING = 2**12
"""States of an Ising model whose information matrices take seconds."""


def learning(diagnosis: Diagnosis, law: JointLaw, k: int, data: int | None, commands: Commands) -> None:
    """Add what masked learning of the law tells.

    Args:
        diagnosis: added to.
        law: the truth.
        k: mask size.
        data: sequences that there are to learn from; None where that is not known.
        commands: of the subject.
    """
    try:
        learned = _learned(law)
        least = _unit_distance(learned, law.sites)
    except InvalidInput as error:
        diagnosis.leave_out(f"not measured: {error}", MASKING, TOO_FEW)
        return
    own = _distance_or_infinite(learned, k)
    factor, needed = (own / least) ** 2, (own / SHARE) ** 2
    remedy, effect = "", ""
    if factor >= DATA:
        size, taken = _enough(learned, k, least)
        remedy, effect = commands.again(k=size), _times((taken / least) ** 2)
    says = f"masks of {k} site{'s' * (k > 1)} need {_times(factor)} sequences as masks of all sites"
    if needed < inf:
        says += f", about {shown(np.ceil(needed))} for a total variation of {SHARE:g}"
    diagnosis.add(MASKING, factor, says, "exact", remedy, effect)
    if data is None:
        diagnosis.leave_out("say with --data how many sequences there are to learn from", TOO_FEW)
        return
    distance = min(1.0, own / sqrt(data))
    row = sample_sizes(learned, [k], SHARE)["by_k"][0] if needed < inf else {"guaranteed": None}
    guaranteed = "no number" if row["guaranteed"] is None else f"{row['guaranteed']:.3g}"
    says = (
        f"{data:,} sequences bring the learned law to an expected total variation of {shown(distance)} "
        f"(bound C4 guarantees {SHARE:g} from {guaranteed} on)"
    )
    remedy = commands.again(data=int(np.ceil(needed))) if needed < inf else commands.again(k=law.sites, data=data)
    diagnosis.add(TOO_FEW, distance, says, "unbiased", remedy, f"a total variation of {SHARE:g}")


def _learned(law: JointLaw) -> ExponentialLaw:
    if not isinstance(law, IsingLaw):
        return among_all_laws(law)
    if law.states > LARGEST_ISING:
        raise InvalidInput("law", f"{law.states} states", f"at most {LARGEST_ISING} for information matrices")
    return law


def _unit_distance(law: ExponentialLaw, k: int) -> float:
    """lim sqrt(n) E TV with masks of k sites."""
    covariance = asymptotic_covariance(law.family, law.theta, k_uniform(law.sites, k), "all")
    return asymptotic_total_variation(law.family, law.theta, covariance)


def _distance_or_infinite(law: ExponentialLaw, k: int) -> float:
    """As `_unit_distance`; infinite where the masked tokens do not identify the law."""
    try:
        return _unit_distance(law, k)
    except InvalidInput:
        return inf


def _enough(law: ExponentialLaw, k: int, least: float) -> tuple[int, float]:
    """The smallest masks that need no more data than is noticed, and their distance."""
    for size in range(k + 1, law.sites):
        distance = _distance_or_infinite(law, size)
        if (distance / least) ** 2 < DATA:
            return size, distance
    return law.sites, least


def _times(factor: float) -> str:
    return f"{shown(factor)} times as many" if factor > 1.005 else "as many"
