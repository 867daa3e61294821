"""Enumeration of the sequence space Omega^N.

Legend: ``N`` sites, ``q`` symbols, ``S = q**N`` states, ``k`` masked sites, ``C = q**(N-k)`` contexts.

Sequences are numbered in C order of the joint table: state ``s`` is the sequence whose digits in base q are
``x_0 x_1 ... x_{N-1}``, the first site the most significant. Every table, vector and matrix of the package
follows this order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from theory.errors import ExceedsMemory, InvalidInput
from theory.memory import require_memory

LARGEST_SPACE = 2**1000
"""No list of more states fits anywhere; their number is not even computed."""


def state_count(sites: int, symbols: int) -> int:
    """q**N as an exact integer.

    Raises:
        InvalidInput: ``sites`` < 1 or ``symbols`` < 2.
        ExceedsMemory: more than 2^1000 states.
    """
    if sites < 1:
        raise InvalidInput("sites", sites, "at least 1 site is needed")
    if symbols < 2:
        raise InvalidInput("symbols", symbols, "an alphabet needs at least 2 symbols")
    if int(sites) * (int(symbols).bit_length() - 1) > LARGEST_SPACE.bit_length():
        name, value = ("sites", sites) if sites > int(symbols).bit_length() else ("symbols", symbols)
        raise ExceedsMemory(name, value, "such sequences are more than any memory holds; choose a smaller size")
    return int(symbols) ** int(sites)


def require_states(sites: int, symbols: int, bytes_per_state: float = 8.0, purpose: str = "the joint table") -> int:
    """State count, refused before allocation where ``bytes_per_state * q**N`` would not fit in memory.

    Raises:
        ExceedsMemory: with the amount that would be needed.
    """
    count = state_count(sites, symbols)
    require_memory(count * bytes_per_state, "sites", sites, f"{purpose} over {symbols}^{sites} states")
    return count


def all_sequences(sites: int, symbols: int) -> NDArray[np.int64]:
    """Every sequence, shape [S, N], row s the digits of s."""
    count = require_states(sites, symbols, 8.0 * sites, "the list of all sequences")
    return np.stack(np.unravel_index(np.arange(count), (symbols,) * sites), axis=1)


def state_index(sequences: NDArray[np.integer], symbols: int) -> NDArray[np.int64]:
    """Numbers of sequences: shape [..., N] -> [...]."""
    sequences = np.asarray(sequences)
    index = np.zeros(sequences.shape[:-1], dtype=np.int64)
    for site in range(sequences.shape[-1]):
        index = index * symbols + sequences[..., site]
    return index


def check_sites(masked: Iterable[int], sites: int, argument: str = "masked") -> tuple[int, ...]:
    """A set of sites as an ascending tuple.

    Raises:
        InvalidInput: a site outside 0..N-1, or one named twice.
    """
    chosen = tuple(sorted(int(site) for site in masked))
    if chosen and (chosen[0] < 0 or chosen[-1] >= sites):
        raise InvalidInput(argument, chosen, f"sites are numbered 0..{sites - 1}")
    if len(set(chosen)) != len(chosen):
        raise InvalidInput(argument, chosen, "each site may be named once")
    return chosen


def block_indices(sites: int, symbols: int, masked: Sequence[int]) -> NDArray[np.int64]:
    """State numbers grouped by context: shape [C, q**k].

    Row c holds the states that agree with context c (an assignment of the unmasked sites, in C order of
    those sites), column b the assignment b of the masked sites (in C order of the ascending masked sites).
    """
    chosen = check_sites(masked, sites)
    kept = [site for site in range(sites) if site not in chosen]
    grid = np.arange(state_count(sites, symbols)).reshape((symbols,) * sites)
    return np.ascontiguousarray(grid.transpose(kept + list(chosen)).reshape(-1, symbols ** len(chosen)))
