"""The workbench's public names, each imported when it is first used.

    import gmlm

    law = gmlm.ising_on(gmlm.named_graph("cycle", 8), coupling=0.5, field=0.1)
    chain = gmlm.block_gibbs(gmlm.TableConditionals(law), gmlm.k_uniform(8, 2))
    gmlm.mixing_time(chain).steps
    gmlm.total_variation_curve(chain, range(60)).plot()

These names are stable. What is not listed here is internal and may change; the docstring of each name, and of the
module of `theory`, `simulators` or `experiments` that it comes from, is the reference. ``dir(gmlm)`` lists the names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

HOMES = {
    # Joint laws, as tables and at real length.
    "theory.laws": (
        "JointLaw",
        "curie_weiss",
        "hidden_markov_sequence",
        "ising",
        "ising_on",
        "load_table",
        "markov_sequence",
        "mixture_of_products",
        "named_graph",
        "parity_law",
        "potts",
        "product_law",
        "random_ising",
        "random_law",
        "strong_clique",
    ),
    "theory.laws.length": ("HiddenMarkovLaw", "MarkovLaw", "MixtureLaw", "fit_markov"),
    # Masks and conditional models.
    "theory.masks": ("bernoulli", "k_uniform", "spans", "uniform_ratio"),
    "theory.conditionals": ("FunctionConditionals", "TableConditionals", "TemperedConditionals"),
    # Samplers: Markov operators.
    "theory.samplers": (
        "SAMPLERS",
        "block_gibbs",
        "confidence_remasking",
        "independent_parallel",
        "k_parallel",
        "metropolis_hastings",
        "systematic_scan",
    ),
    # What a chain does.
    "theory.chains": (
        "metastable_sets",
        "mixing_time",
        "spectral_gap",
        "spectrum",
        "stationary_law",
        "total_variation_curve",
    ),
    "theory.divergences": ("kullback_leibler", "total_variation"),
    # Inequalities, information and bounds.
    "theory.inequalities": ("approximate_tensorization", "poincare_constant"),
    "theory.estimation": ("asymptotic_covariance", "fit"),
    "theory.bounds": ("mixing_time_bounds",),
    "theory.incompatibility": ("rectangle_test", "scan_order_gap"),
    # Decoders: rules, their exact output law, samples, and the best schedules.
    "theory.decoding": (
        "RULES",
        "ConditionalTables",
        "FunctionPredictor",
        "decode",
        "divergences",
        "optimal_schedules",
        "parse",
        "sample",
        "unmask",
    ),
    # What is likely to fail, and what to try.
    "experiments.diagnosis.subjects": ("diagnose",),
    # Pictures of all of these.
    "experiments.pictures": ("explore", "plot"),
    # Networks, results and errors.
    "simulators.masked_lm": ("MaskedLM",),
    "experiments.sweeps": ("open_results", "run_sweep"),
    "theory.errors": ("InvalidInput",),
}
"""Module -> the names that the face takes from it."""

_MODULE = {name: module for module, names in HOMES.items() for name in names}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'gmlm' has no attribute {name!r}; dir(gmlm) lists its names")
    value = getattr(import_module(_MODULE[name]), name)
    import_module("theory.pictures").draw_with(_draw)  # results have their method `plot` from here on
    globals()[name] = value
    return value


def _draw(result: Any, ax: Any = None, **settings: Any) -> Any:
    from experiments.pictures import plot

    return plot(result, ax, **settings)


def __dir__() -> list[str]:
    return list(__all__)
