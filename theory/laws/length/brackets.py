"""Brackets that must match: a random walk on stacks, conditioned on an empty stack at the end.

A site opens a bracket of any kind, or closes the one on top; at depth 0 it opens, at the greatest depth it closes. The
law is hidden Markov with states (stack, last symbol), and its tokens depend on each other over any distance.

Legend: ``N`` sites, ``K`` kinds of brackets, ``q = 2 K`` symbols: kind k is opened by k and closed by K + k.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from theory.errors import InvalidInput
from theory.laws.length.latent import HiddenMarkovLaw


def bracket_law(sites: int, kinds: int = 2, depth: int = 3, opening: float = 0.5) -> HiddenMarkovLaw:
    """Matching brackets.

    Args:
        sites: N, even.
        kinds: K.
        depth: greatest depth.
        opening: probability of opening at depths where both moves are allowed.

    Raises:
        InvalidInput: an odd N, or another value out of range.
    """
    if sites < 2 or sites % 2:
        raise InvalidInput("sites", sites, "an even number is needed: brackets come in pairs")
    if kinds < 1 or depth < 1:
        raise InvalidInput("kinds" if kinds < 1 else "depth", min(kinds, depth), "must be at least 1")
    if not 0 < opening < 1:
        raise InvalidInput("opening", opening, "must lie strictly between 0 and 1")
    stacks = [stack for height in range(depth + 1) for stack in product(range(kinds), repeat=height)]
    states = [(stack, stack[-1]) for stack in stacks if stack]
    states += [(stack, kinds + k) for stack in stacks if len(stack) < depth for k in range(kinds)]
    number = {state: index for index, state in enumerate(states)}

    def moves(stack: tuple[int, ...]) -> dict[int, float]:
        """Probability of every next state."""
        opens = 1.0 if not stack else 0.0 if len(stack) == depth else opening
        chances = {number[(*stack, k), k]: opens / kinds for k in range(kinds)} if opens else {}
        if stack:
            chances[number[stack[:-1], kinds + stack[-1]]] = 1 - opens
        return chances

    initial, transition = np.zeros(len(states)), np.zeros((len(states), len(states)))
    for target, chance in moves(()).items():
        initial[target] = chance
    for source, (stack, _) in enumerate(states):
        for target, chance in moves(stack).items():
            transition[source, target] = chance
    emission = np.eye(2 * kinds)[[symbol for _, symbol in states]]
    ending = np.array([not stack for stack, _ in states], dtype=np.float64)
    return HiddenMarkovLaw(initial, transition, emission, sites, ending, f"brackets of {kinds} kinds, depth {depth}")
