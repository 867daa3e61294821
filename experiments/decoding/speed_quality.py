"""Speed against quality of decoding by unmasking: decoders, their calls and their error, on benchmark laws.

A *series* is plain data: ``decoder``, its text; ``name``, in words; ``calls``, expected network calls for T = 1..N;
``measured``, KL(p || q) in nats of the exact output law; ``predicted``, the same from total correlations, without the
output law; ``relation``, how the two compare: ``equal`` where the sites are a function of the tokens so far, ``bound``
where they are drawn, ``none`` where tokens are drawn before sites are chosen (then ``predicted`` is None); ``least``,
the optimum of T steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from theory.decoding import (
    Frontier,
    KnownLaw,
    Setting,
    SubsetEntropies,
    decode,
    divergences,
    expected_total_correlation,
    masked_diffusion_error,
    parse,
    random_order_error,
    total_correlations,
)
from theory.decoding.fixed_orders import Optimal, ScheduledRule
from theory.decoding.random_orders import MaskedDiffusion, RandomOrder
from theory.decoding.ranking import RankedRule, SiteRule, size_plan
from theory.decoding.rule import Rule
from theory.laws import (
    JointLaw,
    hidden_markov_sequence,
    ising_on,
    markov_sequence,
    mixture_of_products,
    named_graph,
)
from theory.parameters import parameter

Array = NDArray[np.float64]
Series = dict[str, Any]


@dataclass(frozen=True)
class BenchmarkParameters:
    """How strongly the sites of the benchmark laws depend on each other: parameters of every claim that uses them."""

    coupling: float = parameter(0.6, "coupling J of the Ising ring")
    field: float = parameter(0.3, "fields of the Ising ring rise from -h to +h along the ring")
    stay: float = parameter(0.85, "probability that the Markov chain keeps symbol 0", minimum=0.0, maximum=1.0)
    agree: float = parameter(0.9, "probability that a site shows its latent symbol", minimum=0.0, maximum=1.0)

    def laws(self, sites: int, symbols: int) -> list[JointLaw]:
        """See `benchmark_laws`."""
        return benchmark_laws(sites, symbols, self.coupling, self.field, self.stay, self.agree)


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


DECODERS = {
    "optimal": "optimal schedule",
    "left-to-right": "left-to-right blocks",
    "random-order": "random order, uniform sizes",
    "random-order:sizes=cosine": "random order, cosine sizes",
    "random-order:sizes=geometric": "random order, geometric sizes",
    "masked-diffusion": "masked diffusion",
    "confidence": "confidence order",
    "entropy": "entropy order",
    "maskgit:sizes=uniform": "sampled confidence (MaskGIT)",
}
"""The decoders that are compared, and their names in words."""


def speed_and_quality(law: JointLaw, entropies: SubsetEntropies, best: Frontier) -> list[Series]:
    """The series of a law, for T = 1..N."""
    model = KnownLaw(law)
    return [series(decoder, model, entropies, best, range(1, law.sites + 1)) for decoder in DECODERS]


def series(decoder: str, model: KnownLaw, entropies: SubsetEntropies, best: Frontier, calls: Sequence[int]) -> Series:
    """One decoder on a law.

    Args:
        decoder: its name and options.
        model: the law p.
        entropies: of the subsets of its sites.
        best: its optimal schedules.
        calls: numbers of calls T.

    Raises:
        InvalidInput: a decoder that does not exist, or T that it cannot spend.
    """
    rule = parse(decoder)
    decoded = [decode(model, rule, count) for count in calls]
    predictions = [predicted_error(rule, model, entropies, best, count) for count in calls]
    relation = predictions[0][0]
    return {
        "decoder": decoder,
        "name": DECODERS.get(decoder, decoder),
        "relation": relation,
        "calls": [found.expected_calls for found in decoded],
        "measured": [divergences(model.law, found.law).kl for found in decoded],
        "predicted": None if relation == "none" else [value for _, value in predictions],
        "least": [float(best.errors[min(count, model.sites) - 1]) for count in calls],
    }


def predicted_error(
    rule: Rule, model: KnownLaw, entropies: SubsetEntropies, best: Frontier, calls: int
) -> tuple[str, float]:
    """How the sum of total correlations compares with KL(p || q), and the sum, from entropies alone where it can.

    The relation is ``equal``, ``bound`` or ``none`` (then the number is nan); see the module's description.
    """
    if not isinstance(rule, SiteRule) or rule.looks_at == "drawn" or not rule.draws_from_network or rule.block:
        return "none", float("nan")
    setting = Setting.of(model, calls)
    if isinstance(rule, Optimal):
        return "equal", float(best.errors[calls - 1])
    if isinstance(rule, ScheduledRule):
        return "equal", float(total_correlations(entropies, rule.schedule(setting)).sum())
    if isinstance(rule, RandomOrder):
        return "bound", random_order_error(entropies.information_curve(), size_plan(setting, rule.sizes))
    if isinstance(rule, MaskedDiffusion):
        return "bound", masked_diffusion_error(entropies.information_curve(), np.full(calls, 1 / calls))
    one_path = isinstance(rule, RankedRule) and rule.replayable(setting)
    return "equal" if one_path else "bound", expected_total_correlation(model, rule, calls)
