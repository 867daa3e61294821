"""Which law: the one declaration behind the options of `gmlm chain` and `gmlm decode`, sweeps and records."""

from __future__ import annotations

from dataclasses import dataclass

from theory.parameters import parameter


@dataclass(frozen=True)
class ModelSpec:
    """Which law; the names of models and graphs are in `experiments.chains.models` and `theory.laws`."""

    model: str = parameter("ising", "the law")
    sites: int = parameter(8, "sites N", minimum=1, maximum=62)
    symbols: int = parameter(2, "symbols q, for models with a free alphabet", minimum=2, maximum=1000)
    graph: str = parameter(
        "cycle",
        "graph of ising and potts: complete, cycle, empty, grid, hypercube, path, random-regular, star, torus",
    )
    coupling: float = parameter(0.5, "coupling J of every edge; β of curie-weiss; else strength of dependence, nats")
    field: float = parameter(0.0, "field h of every site; preference for some symbols")
    clique: int = parameter(4, "sites m of the strong clique", minimum=2)
    seed: int = parameter(0, "seed of random models and graphs", minimum=0)
