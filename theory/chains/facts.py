"""What is known about a chain, computed once and shared by everything that asks.

A *fact* is a function of the chain alone: its classes, stationary laws, spectrum. The first call computes it and keeps
the result with the operator; later calls, from whatever function, return the same object. Results are therefore never
to be changed. A matrix has no place to keep facts: make it a `DenseOperator` first where several questions are asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from theory.chains.operator import Chain, TransitionOperator, as_operator

Result = TypeVar("Result")


def fact(compute: Callable[[TransitionOperator], Result]) -> Callable[[Chain], Result]:
    """A function of a chain that is computed at most once for each operator. What it raises is not kept."""
    name = f"{compute.__module__}.{compute.__qualname__}"

    @wraps(compute)
    def known(chain: Chain) -> Result:
        operator = as_operator(chain)
        facts = operator.facts
        if name not in facts:
            facts[name] = compute(operator)
        result: Result = facts[name]
        return result

    return known
