"""Samplers of a generative masked language model: from masked-conditionals and a mask law to a Markov operator.

One file per sampler, which also declares what is known of it (`theory.samplers.sampler`); `SAMPLERS` lists them, so
that the command line, the claims and the tests treat every sampler alike. Tempered and greedy versions of each come
from wrapping the conditionals in `theory.conditionals.TemperedConditionals`. No operator forms its dense matrix to act;
the compiled loops (`*_kernels.py`) are loaded when one first acts, and use the threads that `thread_limit` allows.
"""

from __future__ import annotations

from theory.parameters import named
from theory.samplers.block_gibbs import KGibbs, block_gibbs
from theory.samplers.confidence_remasking import Remasking, confidence_remasking, least_confident, mask_predict
from theory.samplers.independent_parallel import ParallelSteps, independent_parallel
from theory.samplers.k_parallel import KParallelSteps, k_parallel
from theory.samplers.locally_balanced import LocallyBalanced, locally_balanced
from theory.samplers.metropolis_hastings import CorrectedParallel, metropolis_hastings
from theory.samplers.sampler import Sampler
from theory.samplers.systematic_scan import Scan, systematic_scan

__all__ = [
    "SAMPLERS",
    "Sampler",
    "block_gibbs",
    "confidence_remasking",
    "independent_parallel",
    "k_parallel",
    "least_confident",
    "locally_balanced",
    "mask_predict",
    "metropolis_hastings",
    "parse_sampler",
    "systematic_scan",
]

SAMPLERS: dict[str, type[Sampler]] = {
    sampler.name: sampler
    for sampler in (
        KGibbs,
        Scan,
        ParallelSteps,
        KParallelSteps,
        Remasking,
        CorrectedParallel,
        LocallyBalanced,
    )
}
"""Every sampler by its name."""


def parse_sampler(text: str) -> Sampler:
    """A sampler from its name and options: ``k-gibbs``, ``locally-balanced:balance=minimum``.

    Raises:
        InvalidInput: an unknown sampler or option, or a value that is not allowed; it names them.
    """
    sampler: Sampler = named(text, SAMPLERS, "sampler")
    return sampler
