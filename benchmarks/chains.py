"""Stationary laws, gaps and worst-case mixing times beside QuantEcon, deeptime and NumPy, paired in one run.

    python benchmarks/chains.py [--sites 6..12] [--masks 1,2] [--large] [--limit 30] [--threads 1] [--figure FILE]

The chain: k-Gibbs (k = 1 is random-scan Glauber) on the Ising ring, beta = 0.5, h = 0.1, 2^N states. The peers are
given its matrix, built here mask by mask without the library: dense for QuantEcon and NumPy, sparse for deeptime (in
both forms for its gap). Ours work from the model (operator and symmetry built within the time that is counted), and
for the stationary law also from the same dense matrix, with nothing known about it.

Every measurement runs in a forked process of its own, after all imports and a warm-up that loads compiled code. Seconds
are the smallest of up to 5 calls, without building the matrix; memory is what the process's peak resident set grew by,
with the matrix. A method that needs more than ``--limit`` seconds or dies is reported as such. All of them have
``--threads`` threads: the OpenMP and BLAS limits are set before anything is imported, and our kernels obey them. Run it
on a quiet machine; the load is printed.

Our law from the operator is the one that it carries, after checking that it is stationary and the only one; the peers
and ours from the dense matrix compute it.

``ratio`` is the seconds of a method over those of the quickest of ours for the same question, the one that the command
line would take: all eigenvalues of a small chain, Lanczos iteration on a large one. ``error`` is, for a law, the
largest difference from the Gibbs law of the model; for a gap, from our dense spectrum up to N = 10 and from our Lanczos
value above (0 for itself); for a mixing time, the difference of the integers.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

BETA, FIELD, EPSILON = 0.5, 0.1, 0.25
LARGE = 14
DENSE_REFERENCE = 10
"""Up to this many sites the reference for gaps is the full spectrum of the dense matrix."""


class Result(NamedTuple):
    """Seconds, bytes added, the value; or why there is none."""

    seconds: float
    memory: int
    value: Any
    failure: str = ""


class Case(NamedTuple):
    """One method for one question. ``prepare(N, k)`` gives its input, which ``answer`` turns into a value."""

    question: str
    name: str
    prepare: Callable[[int, int], Any]
    answer: Callable[[Any], Any]


def ring_masses(sites: int) -> Any:
    """The Gibbs law over spin sequences, directly from the energies."""
    import numpy as np

    bits = (np.arange(2**sites)[:, None] >> np.arange(sites)[::-1]) & 1
    spins = 2 * bits - 1
    energy = BETA * (spins * np.roll(spins, 1, axis=1)).sum(axis=1) + FIELD * spins.sum(axis=1)
    weights = np.exp(energy - energy.max())
    return weights / weights.sum()


def sparse_matrix(sites: int, size: int) -> Any:
    """The matrix of k-Gibbs, mask by mask."""
    import numpy as np
    from scipy import sparse

    masses, states = ring_masses(sites), np.arange(2**sites)
    total = sparse.csr_array((len(states), len(states)))
    masks = list(combinations(range(sites), size))
    for mask in masks:
        bits = np.array([1 << site for site in mask])
        choices = np.array([int(bits[[c >> i & 1 == 1 for i in range(size)]].sum()) for c in range(2**size)])
        targets = (states & ~bits.sum())[:, None] + choices
        conditional = masses[targets] / masses[targets].sum(axis=1, keepdims=True)
        rows = np.repeat(states, 2**size)
        total = total + sparse.csr_array((conditional.ravel() / len(masks), (rows, targets.ravel())), shape=total.shape)
    return total


def dense_matrix(sites: int, size: int) -> Any:
    return sparse_matrix(sites, size).toarray()


def model(sites: int, size: int) -> Any:
    from theory.laws import ising_on, named_graph

    return ising_on(named_graph("cycle", sites), BETA, FIELD), size


def operator(model: Any) -> Any:
    from theory.conditionals import TableConditionals
    from theory.masks import k_uniform
    from theory.samplers import block_gibbs

    law, size = model
    return block_gibbs(TableConditionals(law), k_uniform(law.sites, size))


def quantecon_law(matrix: Any) -> Any:
    import quantecon

    return quantecon.MarkovChain(matrix).stationary_distributions[0]


def deeptime_law(matrix: Any) -> Any:
    from deeptime.markov.tools.analysis import stationary_distribution

    return stationary_distribution(matrix)


def deeptime_gap(matrix: Any) -> float:
    """From the slowest timescale -1 / ln lambda_2, deeptime being told that the chain is reversible."""
    from deeptime.markov.tools.analysis import timescales

    return float(-math.expm1(-1 / timescales(matrix, k=2, reversible=True)[1]))


def numpy_mixing(matrix: Any) -> int:
    """Squares P^(2^j) until every row is near, then binary descent; the law is the limit of the squares."""
    import numpy as np

    squares = [matrix]
    while np.ptp(squares[-1], axis=0).max() > 1e-13:
        squares.append(squares[-1] @ squares[-1])
    law = squares[-1][0]

    def far(power: Any) -> bool:
        return bool(0.5 * np.abs(power - law).sum(axis=1).max() > EPSILON)

    steps, power = 0, None
    for level in reversed(range(len(squares))):
        longer = squares[level] if power is None else power @ squares[level]
        if far(longer):
            steps, power = steps + 2**level, longer
    return steps + 1


def our_law_of_matrix(matrix: Any) -> Any:
    from theory.chains import stationary_law

    return stationary_law(matrix).law


def our_law(model: Any) -> Any:
    from theory.chains import stationary_law

    return stationary_law(operator(model)).law


def our_spectrum(matrix: Any) -> float:
    from theory.chains import DenseOperator, spectrum

    return spectrum(DenseOperator(matrix, reversible=True)).gap


def our_gap(model: Any) -> float:
    from theory.chains import lanczos_gaps

    return lanczos_gaps(operator(model)).gap


def our_mixing(model: Any) -> int:
    """With the ring's rotations and reflections, which are checked against law and operator."""
    from theory.chains import mixing_time
    from theory.symmetry import graph_symmetries, symmetric_orbits, symmetry_group

    chain = operator(model)
    group = symmetry_group(model[0], graph_symmetries("cycle", model[0].sites))
    return int(mixing_time(chain, EPSILON, alike=symmetric_orbits(chain, group).labels).steps)


def our_powers(matrix: Any) -> int:
    """From every start; what the command line does up to 2^11 states."""
    from theory.chains import mixing_time

    return int(mixing_time(matrix, EPSILON).steps)


OURS = ("ours (operator)", "ours (Lanczos)", "ours (orbits)")
CASES = (
    Case("stationary law", OURS[0], model, our_law),
    Case("stationary law", "ours (dense matrix)", dense_matrix, our_law_of_matrix),
    Case("stationary law", "QuantEcon (dense)", dense_matrix, quantecon_law),
    Case("stationary law", "deeptime (sparse)", sparse_matrix, deeptime_law),
    Case("gap", OURS[1], model, our_gap),
    Case("gap", "ours (all eigenvalues)", dense_matrix, our_spectrum),
    Case("gap", "deeptime (sparse)", sparse_matrix, deeptime_gap),
    Case("gap", "deeptime (dense)", dense_matrix, deeptime_gap),
    Case("mixing time", OURS[2], model, our_mixing),
    Case("mixing time", "ours (dense powers)", dense_matrix, our_powers),
    Case("mixing time", "NumPy (dense powers)", dense_matrix, numpy_mixing),
)


def peak_bytes() -> int:
    """Largest resident set of this process so far (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(case: Case, sites: int, size: int, pipe: Any) -> None:
    before = peak_bytes()
    try:
        prepared = case.prepare(sites, size)
        pipe.send("prepared")
        times: list[float] = []
        while not times or (len(times) < 5 and sum(times) < 1.0):
            start = time.perf_counter()
            value = case.answer(prepared)
            times.append(time.perf_counter() - start)
        pipe.send(Result(min(times), peak_bytes() - before, value))
    except Exception as error:  # a peer's failure is a result
        pipe.send(Result(math.nan, 0, None, f"{type(error).__name__}: {error}"[:60]))


def measured(case: Case, sites: int, size: int, limit: float | None) -> Result:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(case, sites, size, there))
    process.start()
    there.close()
    try:
        received = here.recv()
        if received == "prepared":
            if not here.poll(limit):
                return Result(math.nan, 0, None, f"over {limit:g} s")
            received = here.recv()
        return received
    except EOFError:
        process.join()
        return Result(math.nan, 0, None, f"died (exit code {process.exitcode})")
    finally:
        process.kill()
        process.join()


def error(value: Any, reference: Any) -> float:
    import numpy as np

    return float(np.abs(np.asarray(value, dtype=float) - reference).max())


def reference(question: str, sites: int, results: dict[str, Result]) -> Any:
    if question == "stationary law":
        return ring_masses(sites)
    dense = results.get("ours (all eigenvalues)")
    if question == "gap" and dense is not None and not dense.failure and sites <= DENSE_REFERENCE:
        return dense.value
    return next(result.value for name, result in results.items() if name in OURS)


def compare(sites: int, size: int, cases: list[Case], limit: float) -> dict[tuple[str, str], Result]:
    """Measure and print every case at one size."""
    from theory.memory import format_bytes

    found: dict[tuple[str, str], Result] = {}
    for question in dict.fromkeys(case.question for case in cases):
        results = {
            case.name: measured(case, sites, size, None if case.name in OURS else limit)
            for case in cases
            if case.question == question
        }
        truth = reference(question, sites, results)
        ours = min(result.seconds for name, result in results.items() if name.startswith("ours") and not result.failure)
        for name, result in results.items():
            found[question, name] = result
            head = f"{sites:>3}{size:>3}  {question:<15}{name:<28}"
            if result.failure:
                print(f"{head}{result.failure}", flush=True)
                continue
            shown = f"t_mix = {result.value}" if question == "mixing time" else ""
            shown = f"gap = {result.value:.10g}" if question == "gap" else shown
            print(
                f"{head}{result.seconds:>10.4f}{result.seconds / ours:>9.2f}"
                f"{error(result.value, truth):>10.1e}{format_bytes(result.memory):>11}  {shown}",
                flush=True,
            )
    return found


def draw(found: dict[tuple[int, int], dict[tuple[str, str], Result]], size: int, file: Path) -> None:
    """Seconds and memory against N, one column a question."""
    from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, render, style

    questions = list(dict.fromkeys(case.question for case in CASES))
    with style():
        figure, panels = new_figure(2, len(questions), width=4.2 * len(questions), height=7.2)
        for column, question in enumerate(questions):
            for row, (label, quantity) in enumerate((("seconds", "seconds"), ("memory added (MiB)", "memory"))):
                axes = panels[row * len(questions) + column]
                for index, name in enumerate(case.name for case in CASES if case.question == question):
                    points = [
                        (sites, getattr(results[question, name], quantity) / (1 if quantity == "seconds" else 2**20))
                        for (sites, masked), results in sorted(found.items())
                        if masked == size and (question, name) in results and not results[question, name].failure
                    ]
                    drawn = [(sites, value) for sites, value in points if value > 0]
                    if drawn:
                        look = {"color": COLOURS[index], "linestyle": DASHES[index], "marker": MARKERS[index]}
                        axes.plot(*zip(*drawn, strict=True), label=name, **look)
                axes.set(xlabel="sites N (2$^N$ states)", ylabel=label, yscale="log", title=question)
                axes.set_xticks(sorted({sites for sites, masked in found if masked == size}))
                axes.legend()
        figure.suptitle(f"k-Gibbs on the Ising ring, k = {size}, beta = {BETA}, h = {FIELD}", fontsize=10)
    file.write_bytes(render(figure, file.suffix.lstrip(".") or "png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", default="6,8,10,12", help="numbers N of sites, such as 6,8,10 or 6..12")
    parser.add_argument("--masks", default="1,2", help="mask sizes k")
    parser.add_argument("--large", action="store_true", help=f"N = {LARGE} as well: our gap and mixing time")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds that a method may take")
    parser.add_argument("--threads", type=int, default=1, help="threads of every method")
    parser.add_argument("--figure", type=Path, help="draw cost against N into this file (png, svg, pdf)")
    options = parser.parse_args()
    from theory.parameters import parse_numbers

    limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    if any(os.environ.get(name) != str(options.threads) for name in limits):
        # Libraries read these when they are loaded, which has happened by now: start again.
        os.environ.update(dict.fromkeys(limits, str(options.threads)))
        os.execv(sys.executable, [sys.executable, *sys.argv])

    cases = list(CASES)
    for peer in ("quantecon", "deeptime.markov.tools.analysis"):
        try:
            __import__(peer)
        except ImportError as missing:
            print(f"{peer} is left out: {missing}")
            cases = [case for case in cases if not case.name.lower().startswith(peer.split(".")[0])]
    for case in cases:  # compiled code is loaded here, and shared by the forked processes
        case.answer(case.prepare(4, 1))

    print(f"{options.threads} thread(s) each, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"{'N':>3}{'k':>3}  {'question':<15}{'method':<28}{'seconds':>10}{'ratio':>9}{'error':>10}{'memory':>11}")
    found = {}
    for size in parse_numbers(options.masks, "masks", whole=True):
        for sites in parse_numbers(options.sites, "sites", whole=True):
            found[int(sites), int(size)] = compare(int(sites), int(size), cases, options.limit)
        if options.large:
            ours = [case for case in cases if case.name in OURS and case.question != "stationary law"]
            found[LARGE, int(size)] = compare(LARGE, int(size), ours, options.limit)
    if options.figure:
        draw(found, min(size for _, size in found), options.figure)
        print(f"figure: {options.figure}")


if __name__ == "__main__":
    main()
