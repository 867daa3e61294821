"""Joint laws on Omega^N: tables, exponential families and the models that the experiments use."""

from theory.laws.exchangeable import ExchangeableLaw, clique_counts, curie_weiss_counts
from theory.laws.exponential_family import ExponentialFamily, ExponentialLaw
from theory.laws.files import load_table, open_numbers
from theory.laws.graphs import GRAPH_NAMES, named_graph
from theory.laws.ising import (
    IsingLaw,
    curie_weiss,
    ising,
    ising_family,
    ising_on,
    magnetisation,
    spins,
    strong_clique,
)
from theory.laws.joint import JointLaw
from theory.laws.parity import parity_law
from theory.laws.potts import potts, potts_family
from theory.laws.products import mixture_of_products, product_law
from theory.laws.random import random_ising, random_law, sparse_random_law
from theory.laws.sequences import hidden_markov_sequence, markov_sequence

__all__ = [
    "GRAPH_NAMES",
    "ExchangeableLaw",
    "ExponentialFamily",
    "ExponentialLaw",
    "IsingLaw",
    "JointLaw",
    "clique_counts",
    "curie_weiss",
    "curie_weiss_counts",
    "hidden_markov_sequence",
    "ising",
    "ising_family",
    "ising_on",
    "load_table",
    "magnetisation",
    "markov_sequence",
    "mixture_of_products",
    "named_graph",
    "open_numbers",
    "parity_law",
    "potts",
    "potts_family",
    "product_law",
    "random_ising",
    "random_law",
    "sparse_random_law",
    "spins",
    "strong_clique",
]
