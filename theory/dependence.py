r"""How much one site of a sequence tells about another, given all the rest.

The conditional mutual information of two sites is what revealing the one adds to predicting the other:

    I(x_i ; x_j | x_{-ij}) = E_x KL( p(x_i | x_{-i}) || p(x_i | x_{-ij}) )        (nats, symmetric in i and j).

The right-hand side needs nothing but conditionals with one and with two masked sites, and so has a meaning for a
network as well, where it is the *revealed information*; it need not be symmetric then.

Legend: ``N`` sites, ``q`` symbols. Source: Cover and Thomas, *Elements of Information Theory*, ch. 2.
"""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import ConditionalModel
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw

Array = NDArray[np.float64]


def conditional_mutual_information(law: JointLaw) -> Array:
    """I(x_i ; x_j | x_{-ij}) for every pair, from entropies of the joint table, shape [N, N], symmetric, diagonal 0."""
    result = np.zeros((law.sites, law.sites))
    for i, j in combinations(range(law.sites), 2):
        rest = [site for site in range(law.sites) if site not in (i, j)]
        result[i, j] = result[j, i] = law.mutual_information((i,), (j,), rest)
    return result


def revealed_information(model: ConditionalModel, law: JointLaw) -> Array:
    """E_{x ~ p} KL(model's x_i given all others || the same without x_j), shape [N, N], entry [i, j]; diagonal 0.

    Args:
        model: the conditionals.
        law: p, the law of the contexts.

    Raises:
        InvalidInput: another number of sites or symbols.
    """
    if (model.sites, model.symbols) != (law.sites, law.symbols):
        raise InvalidInput("law", law, f"{model.sites} sites over {model.symbols} symbols are needed")
    result = np.zeros((law.sites, law.sites))
    for i, j in permutations(range(law.sites), 2):
        grid = (law.symbols,) * (law.sites - 1) + (law.symbols,)
        seen = model.token_conditionals((i,))[0].reshape(grid)
        hidden = model.token_conditionals((i, j))[0 if i < j else 1]
        # Contexts of {i} are ordered by the sites except i: put x_j back as one of them.
        spread = np.expand_dims(hidden.reshape(grid[1:]), j if j < i else j - 1)
        weights = law.context_probabilities((i,)).reshape((*grid[:-1], 1))
        result[i, j] = kullback_leibler(weights * seen, weights * spread)
    return result
