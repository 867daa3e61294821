"""Generators of the automorphism groups of the named graphs of `theory.laws.graphs`.

cycle: dihedral group; complete and empty: symmetric group; star: symmetric group of the leaves; path: reversal; grid:
reflections, and the transposition where it is square; torus: translations and the same; hypercube: flips of one
coordinate and permutations of the coordinates. For a random regular graph none is known beforehand. These are all the
automorphisms except where a torus is a hypercube in disguise (sides of length 2 and 4, as 2 x 4 or 4 x 4).

A model on a graph has these symmetries where its couplings and fields do; `automorphisms.invariant_subgroup` keeps
those that fix a given law.

Legend: ``N`` sites.
"""

from __future__ import annotations

from collections.abc import Callable

from theory.errors import InvalidInput
from theory.laws.graphs import GRAPH_NAMES, named_graph
from theory.symmetry.automorphisms import Relabelling, site_permutation


def graph_symmetries(name: str, sites: int, *, rows: int | None = None, symbols: int = 2) -> tuple[Relabelling, ...]:
    """Generators for the graph ``named_graph(name, sites, rows=rows)``, without the identity.

    Raises:
        InvalidInput: an unknown name, or sizes that no such graph has.
    """
    if name not in GRAPH_NAMES:
        raise InvalidInput("graph", name, f"must be one of {', '.join(GRAPH_NAMES)}")
    if name != "random-regular":
        named_graph(name, sites, rows=rows)  # refuses sizes that do not exist
    match name:
        case "cycle":
            moves = [lambda i: (i + 1) % sites, lambda i: -i % sites]
        case "complete" | "empty":
            moves = _symmetric(sites, 0)
        case "star":
            moves = _symmetric(sites, 1 if sites > 2 else 0)  # two sites alone have no centre
        case "path":
            moves = [lambda i: sites - 1 - i]
        case "grid" | "torus":
            moves = _lattice(_height(name, sites, rows), sites, periodic=name == "torus")
        case "hypercube":
            moves = _hypercube(sites)
        case _:
            moves = []
    found = (site_permutation([move(site) for site in range(sites)], symbols) for move in moves)
    return tuple(dict.fromkeys(relabelling for relabelling in found if not relabelling.is_identity))


Move = Callable[[int], int]


def _symmetric(sites: int, first: int) -> list[Move]:
    """A transposition and a cycle of the sites first..N-1."""
    count = sites - first
    if count < 2:
        return []
    swap = {first: first + 1, first + 1: first}
    return [
        lambda i: swap.get(i, i),
        lambda i: i if i < first else first + (i - first + 1) % count,
    ]


def _height(name: str, sites: int, rows: int | None) -> int:
    """Rows of the lattice as `named_graph` chose them."""
    if rows is not None:
        return rows
    return max(height for height in range(1, sites + 1) if sites % height == 0 and height * height <= sites)


def _lattice(rows: int, sites: int, periodic: bool) -> list[Move]:
    columns = sites // rows
    moves: list[Move] = [
        lambda i: (rows - 1 - i // columns) * columns + i % columns,
        lambda i: (i // columns) * columns + columns - 1 - i % columns,
    ]
    if rows == columns:
        moves.append(lambda i: (i % columns) * columns + i // columns)
    if periodic:
        moves.append(lambda i: (i // columns + 1) % rows * columns + i % columns)
        moves.append(lambda i: i // columns * columns + (i % columns + 1) % columns)
    return moves


def _hypercube(sites: int) -> list[Move]:
    bits = sites.bit_length() - 1
    if bits == 0:
        return []

    def moved(order: list[int]) -> Move:
        return lambda i: sum((i >> bit & 1) << order[bit] for bit in range(bits))

    moves: list[Move] = [lambda i: i ^ 1]
    if bits > 1:
        moves += [moved([1, 0, *range(2, bits)]), moved([*range(1, bits), 0])]
    return moves
