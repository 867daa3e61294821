"""Speed against quality of decoding by unmasking: every kind of order, its calls and its error, on benchmark laws.

A *series* is plain data: ``name``; ``calls``, expected network calls for T = 1..N; ``measured``, KL(p || q) in nats of
the exact output law; ``predicted``, the same from total correlations, without the output law; ``relation``, how the two
compare: ``equal`` where the block is a function of the tokens so far, ``bound`` where blocks are drawn, ``none`` where
tokens and blocks are drawn together (then ``predicted`` is None); ``least``, the optimum of T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.conditionals import TableConditionals
from theory.decoding import (
    SIZE_PLANS,
    Frontier,
    MaskedDiffusion,
    RandomOrder,
    SampledConfidence,
    Schedule,
    ScoredOrder,
    Sizes,
    SubsetEntropies,
    UnmaskingRule,
    cut,
    decode,
    decoding_error,
    masked_diffusion_error,
    output_law,
    random_order_error,
    rule_total_correlation,
    total_correlations,
)
from theory.laws import (
    JointLaw,
    hidden_markov_sequence,
    ising_on,
    markov_sequence,
    mixture_of_products,
    named_graph,
)

Array = NDArray[np.float64]
Series = dict[str, Any]


def benchmark_laws(
    sites: int, symbols: int, coupling: float, field: float, stay: float, agree: float
) -> list[JointLaw]:
    """An Ising ring, a Markov sequence, a mixture of products and a hidden Markov sequence.

    None is symmetric under a shift of the sites or a permutation of the symbols, so that confidence can choose.

    Args:
        sites: N.
        symbols: q of all but the ring, which is binary.
        coupling, field: J of the ring; its fields rise from -field at site 0 to +field at the last site.
        stay: probability that the (hidden) chain keeps symbol 0; less for the later symbols.
        agree: probability that site 0 of the mixture, and every site of the HMM, shows the latent; in the mixture less
            for the later sites.
    """
    start = np.arange(symbols, 0, -1) / np.arange(1, symbols + 1).sum()
    chain = _mostly_diagonal(_towards_uniform(stay, symbols, symbols))
    clarity = _towards_uniform(agree, symbols, sites)
    shown = np.stack([_mostly_diagonal(np.full(symbols, weight)) for weight in clarity], axis=1)
    laws = {
        "Ising ring": ising_on(named_graph("cycle", sites), coupling, np.linspace(-field, field, sites)),
        "Markov sequence": markov_sequence(start, chain, sites),
        "mixture of products": mixture_of_products(start, shown),
        "hidden Markov sequence": hidden_markov_sequence(start, chain, shown[:, 0], sites),
    }
    return [JointLaw(law.table, name) for name, law in laws.items()]


def _towards_uniform(weight: float, symbols: int, count: int) -> Array:
    """From ``weight`` half the way to 1/q in equal steps, shape [count]."""
    return np.linspace(weight, (weight + 1 / symbols) / 2, count)


def _mostly_diagonal(weights: Array) -> Array:
    """Row a has ``weights[a]`` on the diagonal and the rest spread evenly, shape [q, q]."""
    rest = (1 - weights) / (len(weights) - 1)
    return np.asarray(rest[:, None] + np.diag(weights - rest))


ORDERS = {
    "optimal": "optimal schedule",
    "left-to-right": "left-to-right blocks",
    "random-uniform": "random order, uniform sizes",
    "random-cosine": "random order, cosine sizes",
    "random-geometric": "random order, geometric sizes",
    "masked-diffusion": "masked diffusion",
    "max-probability": "max probability order",
    "entropy": "entropy order",
    "sampled-confidence": "sampled confidence (MaskGIT)",
}
"""Every kind of order: the word for it, and its name."""


def speed_and_quality(law: JointLaw, entropies: SubsetEntropies, best: Frontier) -> list[Series]:
    """The series of a law, for T = 1..N."""
    return [series(order, law, entropies, best, range(1, law.sites + 1)) for order in ORDERS]


def series(order: str, law: JointLaw, entropies: SubsetEntropies, best: Frontier, steps: Sequence[int]) -> Series:
    """One kind of order on a law.

    Args:
        order: a key of `ORDERS`.
        law: p.
        entropies: of the subsets of its sites.
        best: its optimal schedules.
        steps: numbers of steps T, each in 1..N.
    """
    name = ORDERS[order]
    kind, _, plan = order.partition("-")
    sizes = [SIZE_PLANS[plan if kind == "random" else "uniform"](law.sites, count) for count in steps]
    if order == "optimal":
        result = _fixed(name, law, [best.schedules[t - 1] for t in steps], [float(best.errors[t - 1]) for t in steps])
    elif order == "left-to-right":
        blocks = [cut(range(law.sites), plan) for plan in sizes]
        result = _fixed(name, law, blocks, [float(total_correlations(entropies, s).sum()) for s in blocks])
    elif kind == "random":
        curve = entropies.information_curve()
        mean_errors = [random_order_error(curve, plan) for plan in sizes]
        result = _rules(name, "bound", law, [RandomOrder(plan) for plan in sizes], mean_errors)
    elif order == "masked-diffusion":
        curve = entropies.information_curve()
        weights = [np.full(count, 1 / count) for count in steps]
        mean_errors = [masked_diffusion_error(curve, w) for w in weights]
        result = _rules(name, "bound", law, [MaskedDiffusion(w) for w in weights], mean_errors)
    elif order == "sampled-confidence":
        result = _rules(name, "none", law, [SampledConfidence(plan) for plan in sizes], None)
    else:
        rules = [ScoredOrder(order.replace("-", " "), Sizes(plan)) for plan in sizes]
        result = _rules(name, "equal", law, rules, [rule_total_correlation(law, rule) for rule in rules])
    result["least"] = [float(best.errors[t - 1]) for t in steps]
    return result


def _fixed(name: str, law: JointLaw, schedules: Sequence[Schedule], predicted: list[float]) -> Series:
    model = TableConditionals(law)
    measured = [decoding_error(law, output_law(model, schedule)) for schedule in schedules]
    calls = [float(schedule.length) for schedule in schedules]
    return {"name": name, "relation": "equal", "calls": calls, "measured": measured, "predicted": predicted}


def _rules(
    name: str, relation: str, law: JointLaw, rules: Sequence[UnmaskingRule], predicted: list[float] | None
) -> Series:
    decoded = [decode(TableConditionals(law), rule) for rule in rules]
    measured = [decoding_error(law, result.law) for result in decoded]
    calls = [result.expected_calls for result in decoded]
    return {"name": name, "relation": relation, "calls": calls, "measured": measured, "predicted": predicted}
