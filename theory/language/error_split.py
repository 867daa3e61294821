r"""The divergence of decoded translations from the true law, split into errors of length, tokens and coherence.

Let p(l, y) be the law of a translation y of l tokens, q that of a decoder, which fixes the length first. Then

    KL(p || q) = KL(p_L || q_L) + sum_l p(l) [ KL(q* || q) + KL(p || q*) ],

all given l in the brackets, where q* is the law nearest to q, in KL(. || q), among those whose tokens at each position
have their true frequencies, q*_i = p_i for every i (the I-projection):

- *length* error KL(p_L || q_L);
- *token* error KL(q* || q): what it takes to give every position the right frequencies, and leave alone how tokens
  depend on one another;
- *coherence* error KL(p || q*): what is still wrong then, the dependence between positions.

Proof. q*(y) = q(y) prod_i a_i(y_i), so that ln q*/q is a sum of functions of single tokens, whose expectation is the
same under p and under q*; hence KL(p || q) - KL(p || q*) = E_p ln q*/q = E_{q*} ln q*/q = KL(q* || q). (Csiszár 1975,
"I-divergence geometry of probability distributions and minimization problems"; a Pythagorean identity.)

None of the parts is negative. One parallel step has a product law, whatever network made it: q* is the product of the
true marginals, the token error is sum_i KL(p_i || q_i), and the coherence error is the total correlation TC(y | x, l).

q* is found by minimising ln sum_y q(y) exp(sum_i theta_i(y_i)) - sum_i E_{p_i} theta_i, convex in the logarithms theta
of the factors a, by Newton's method. Proportional fitting, position after position, is slow where positions depend on
one another almost wholly, as they do after some steps of refinement.

Legend: ``l`` positions, ``q`` tokens that are possible at a position, ``S`` combinations of them, ``K`` targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, softmax

from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.language.parallel_language import TargetLaw

Array = NDArray[np.float64]

FITTED, MET = 1e-14, 1e-9
"""Marginals that differ by no more need no further step; and what is good enough where rounding allows no more."""

MOST_STEPS = 100
"""Of Newton's method; some ten are usual."""

SMALLEST_STEP, ROUNDING = 1e-6, 1e-13
"""Of the line search: share of a step, and the error of the function that is minimised."""


class ErrorSplit(NamedTuple):
    """KL(p || q) given the length, in nats: the sum of its two parts."""

    tokens: float
    coherence: float


def split_error(truth: TargetLaw, choices: Sequence[NDArray[np.int64]], decoded: ArrayLike) -> ErrorSplit:
    """The errors of tokens and of coherence of a decoder at one length.

    Args:
        truth: p(y | x, l).
        choices: tokens that are possible at each position, ascending, [q] each.
        decoded: q on their combinations in the order of `numpy.meshgrid` with ``indexing="ij"``, [S]. Mass may be
            missing, on outputs with other tokens; what is missing counts as an error of tokens.

    Raises:
        InvalidInput: choices that do not hold the targets, a law of another size, or one that gives a target nothing,
            so that the divergence is infinite.
    """
    shape = tuple(len(choice) for choice in choices)
    table = np.asarray(decoded, dtype=np.float64)
    if table.size != np.prod(shape) or not (table >= 0).all():
        raise InvalidInput("decoded", table.shape, f"numbers >= 0, one for each of the {np.prod(shape)} combinations")
    table = table.reshape(shape)
    wanted = np.zeros(shape)
    places = []
    for column, choice in zip(truth.sequences.T, choices, strict=True):
        place = np.searchsorted(choice, column)
        if (place == len(choice)).any() or (choice[np.minimum(place, len(choice) - 1)] != column).any():
            raise InvalidInput("choices", [c.tolist() for c in choices], "the tokens of every target are needed")
        places.append(place)
    np.add.at(wanted, tuple(places), truth.probabilities)
    if (table[wanted > 0] == 0).any():
        raise InvalidInput("decoded", "probability 0", "every target needs some: the divergence is infinite")
    fitted = with_marginals(table, wanted)
    return ErrorSplit(kullback_leibler(fitted, table), kullback_leibler(wanted, fitted))


def with_marginals(table: Array, wanted: Array) -> Array:
    """The law nearest to ``table``, in KL(. || table), with the marginals of ``wanted`` at every position.

    Args:
        table: q, any shape; positive wherever ``wanted`` is.
        wanted: p, a law of the same shape.

    Raises:
        ArithmeticError: Newton's steps lead no nearer to the marginals, and they are not met.
    """
    marginals = [wanted.sum(axis=tuple(set(range(wanted.ndim)) - {axis})) for axis in range(wanted.ndim)]
    # Where a token never occurs the law has no mass; it needs no factor there.
    inside = np.flatnonzero((table > 0).ravel())
    tokens = np.array(np.unravel_index(inside, table.shape))
    inside, tokens = (
        each[..., np.all([law[column] > 0 for law, column in zip(marginals, tokens, strict=True)], axis=0)]
        for each in (inside, tokens)
    )
    indicators = np.concatenate(
        [column[:, None] == np.arange(len(law)) for law, column in zip(marginals, tokens, strict=True)], axis=1
    ).astype(np.float64)
    means = np.concatenate(marginals)
    logs = np.log(table.ravel()[inside])
    factors = np.zeros(len(means))

    def value(at: Array) -> float:
        return float(logsumexp(logs + indicators @ at) - means @ at)

    for _ in range(MOST_STEPS):
        law = softmax(logs + indicators @ factors)
        found = indicators.T @ law
        gap = found - means
        if np.abs(gap).max() <= FITTED:
            break
        curvature = (indicators * law[:, None]).T @ indicators - np.outer(found, found)
        step = -np.linalg.lstsq(curvature, gap, rcond=1e-13)[0]
        size, now, slope = 1.0, value(factors), float(gap @ step)
        while size > SMALLEST_STEP and value(factors + size * step) > now + 0.25 * size * slope + ROUNDING:
            size /= 2
        factors = factors + size * step
    if np.abs(gap).max() > MET:
        raise ArithmeticError(f"the marginals still differ by {np.abs(gap).max():.2g}")
    fitted = np.zeros(table.size)
    fitted[inside] = law
    return fitted.reshape(table.shape)
