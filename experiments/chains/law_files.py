"""Which files stand for a law or a chain: the one declaration behind the options of commands and the axes of sweeps.

An empty text is no file. What the files hold is described, and read, in `experiments.chains.inputs`.
"""

from __future__ import annotations

from dataclasses import dataclass

from theory.parameters import parameter


@dataclass(frozen=True)
class LawFiles:
    """A law of one's own, in place of a model."""

    table: str = parameter("", "a law of your own: .npy of shape (q,)*N that sums to 1", file=True)
    couplings: str = parameter("", "your own Ising model: J.npy, symmetric [N, N]", file=True)
    fields: str = parameter("", "with couplings: h.npy, [N]", file=True)
    edges: str = parameter(
        "",
        "your own Ising network: lines 'node node [coupling]', or .graphml; coupling and field fill in",
        file=True,
    )


@dataclass(frozen=True)
class ChainFiles(LawFiles):
    """The same, or a whole chain."""

    transition: str = parameter(
        "", "any Markov chain: P.npy, or P.npz (sparse too), rows sum to 1; replaces model and sampler", file=True
    )
    normalise: bool = parameter(False, "with transition: divide every row by its sum, whatever that is")
