"""Return times and Kemeny's constant.

The mean return time of a recurrent state is E_x[min{t >= 1: X_t = x}] = 1 / pi_C(x), pi_C the law of its closed class
(Kac); of a transient state it is infinite.

*Kemeny's constant* K = sum_y pi(y) E_x[tau_y] is the expected time to reach a target drawn from pi, the same from every
start x, and the sum of 1 / (1 - lambda) over the other eigenvalues. With a state o and the expected visits G(x, y) to y
before o is reached,

    K = sum_y G(y, y) - sum_x pi(x) E_x[tau_o],

both sums by state reduction, without subtraction. The one difference costs few digits where o is the likeliest state:
at most some log10(1 + 1 / pi(o)) for reversible chains.

Legend: ``S`` states. Source: Levin, Peres, Wilmer, section 10.2 (random target lemma); Hunter 2006, *Linear Algebra and
its Applications* 417.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.chains.classes import communicating_classes
from theory.chains.facts import fact
from theory.chains.hitting import complement, until_left
from theory.chains.operator import TransitionOperator
from theory.chains.stationary import stationary_laws
from theory.errors import InvalidInput

Array = NDArray[np.float64]


@fact
def recurrence_times(operator: TransitionOperator) -> Array:
    """Mean return time of every state in steps, [S]; infinite for transient states.

    Raises:
        ExceedsMemory: a closed class is too large for state reduction.
    """
    times = np.full(operator.states, np.inf)
    for found in stationary_laws(operator):
        with np.errstate(divide="ignore"):
            times[found.states] = 1 / found.law[found.states]
    return times


@fact
def kemeny_constant(operator: TransitionOperator) -> float:
    """K of an irreducible chain, in steps: 0 for one state, S - 1 where the steps are independent draws.

    Raises:
        InvalidInput: the chain is not irreducible, or K exceeds the range of float64.
        ExceedsMemory: the factors would not fit.
    """
    if not (classes := communicating_classes(operator)).irreducible:
        raise InvalidInput("chain", classes.describe(), "Kemeny's constant needs an irreducible chain")
    law = stationary_laws(operator)[0].law
    if operator.states == 1:
        return 0.0
    target = np.array([int(law.argmax())])
    others = complement(target, operator.states)
    visits = until_left(operator, others, lambda entries: np.eye(len(others)))
    return float(np.trace(visits) - law[others] @ visits.sum(axis=1))
