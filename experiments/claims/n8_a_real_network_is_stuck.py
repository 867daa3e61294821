"""N8: a published antibody model's own Gibbs sampler is stuck between two modes; blocks free it, and move its law."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, heading
from experiments.figures import COLOURS, DASHES, headline, line, marks, new_figure, readable
from experiments.learned import mean_interval
from theory.cached_conditionals import CachedConditionals
from theory.chains import arnoldi_gaps, geometric_times
from theory.chains.leading_modes import Distances, escape_time, leading_modes, slow_sets, slow_starts
from theory.conditionals import ConditionalModel, TemperedConditionals
from theory.divergences import total_variation
from theory.incompatibility import rectangle_test
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

HEAVY_CHAIN = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFTFSSYAMSWVRQAPGKGLEWVSAISGSGGSTYYADSVKG"
    "RFTISRDNSKNTLYLQMNSLRAEDTAVYYCAKDRGYYDSSGYYWYFDLWGQGTLVTVSS"
)
WINDOW = range(103, 107)
"""Four sites of CDR-H3: DSSG in the sequence."""
SIZES = (1, 2, 3)

INCOMPATIBLE = 0.1
"""Log odds of a rectangle, nats, that rounding of float32 (1e-4 at most) cannot make."""
SLOWER = 100.0
"""How many times slower single sites are than blocks of three, at least."""
MOVED = 0.05
"""Total variation between the laws of the two, at least."""
LEVEL = 0.99
"""Confidence level of the simulated escape time."""
LONGEST = 200
"""Escape times after which a simulated chain is given up."""


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    symbols: int = parameter(5, "likeliest amino acids at each of the four sites", full=8, minimum=3, maximum=12)
    temperature: float = parameter(0.6, "conditionals to the power 1/T", full=0.5, minimum=0.3, maximum=1.0)
    chains: int = parameter(200, "chains whose escape is simulated", full=400, minimum=20)


@dataclass(frozen=True)
class Mode:
    """A set of states that block Gibbs seldom leaves, by its likeliest state; all states where there is one set."""

    size: int = heading("k")
    relaxation: float = heading("relaxation time (steps)")
    mixing: int = heading("mixing time from the slowest start found")
    top: str = heading("mode")
    mass: float = heading("mass")
    escape: float | None = heading("left after")


@dataclass(frozen=True)
class Curve:
    """TV to the chain's own stationary law at some times (steps), from the slowest start found, and 1/gap (steps)."""

    size: int
    relaxation: float
    times: list[int]
    distances: list[float]


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    from simulators.masked_lm import MaskedLM
    from simulators.masked_lm.alphabets import AMINO_ACIDS
    from simulators.masked_lm.sapiens import convert, published

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        published("dict.txt", root)
        convert(published("checkpoint_vh.pt", root), root / "model")
        model = MaskedLM.open(root / "model")
    model = model.with_alphabet(model.spell(AMINO_ACIDS))
    window = model.window(
        HEAVY_CHAIN,
        WINDOW,
        parameters.symbols,
        progress=lambda done, total: progress(0.7 * done / total, "rows of the network"),
    )
    window.compute_all()

    def text(state: int) -> str:
        return window.region.text(np.array(np.unravel_index(state, (window.symbols,) * window.sites)))

    progress(0.7, "chains")
    return examine(window, parameters, seed, text)


def examine(model: ConditionalModel, parameters: Parameters, seed: int, text: Any = str) -> Findings:
    """The claim's checks on any conditionals of at least four sites."""
    conditionals = CachedConditionals(TemperedConditionals(model, parameters.temperature))
    rows, laws, curves, times = [], {}, [], {}
    lightest, exact = np.array([], dtype=np.int64), None
    for size in SIZES:
        chain = block_gibbs(conditionals, k_uniform(model.sites, size))
        modes = leading_modes(chain)
        slowest = max((Distances(chain, modes, int(start)) for start in slow_starts(modes)), key=Distances.mixing_time)
        steps = slowest.mixing_time()
        laws[size] = modes.law
        times[size] = 1 / arnoldi_gaps(chain)[1].absolute_gap, 1 / (1 - float(np.abs(modes.values[1:]).max()))
        sets = slow_sets(modes, 50.0)
        escapes = [escape_time(chain, modes.law, inside) if len(sets) > 1 else None for inside in sets]
        for inside, escape in zip(sets, escapes, strict=True):
            top = text(int(inside[modes.law[inside].argmax()]))
            rows.append(Mode(size, times[size][0], steps, top, float(modes.law[inside].sum()), escape))
        if size == 1:
            lightest, exact = sets[-1], escapes[-1]
        moments = [int(time) for time in geometric_times(max(2 * steps, 4), 30)]
        curves.append(Curve(size, times[size][0], moments, [slowest.at(time) for time in moments]))
    simulated = (
        None if exact is None else simulated_escapes(conditionals, laws[1], lightest, exact, parameters.chains, seed)
    )
    odds = rectangle_test(model).maximum
    ratio = times[1][0] / times[3][0]
    moved = total_variation(laws[1], laws[3])
    checks = [
        Check.at_least(
            "largest log odds of a rectangle: the conditionals have no joint law",
            odds,
            INCOMPATIBLE,
            detail="nats; rounding of float32 moves it by 1e-4 at most",
        ),
        Check.equal(
            "relaxation times from the slow modes against Arnoldi iteration on the laws",
            [times[size][1] / times[size][0] for size in SIZES],
            1.0,
            1e-6,
            "relative; every block size",
            wrong=(
                "the time of another block size",
                [times[o][0] / times[n][0] for n, o in zip(SIZES, SIZES[1:] + SIZES[:1], strict=True)],
            ),
        ),
        Check.at_least("relaxation time of single sites over that of blocks of three", ratio, SLOWER),
        Check.at_least("total variation between the stationary laws of the two", moved, MOVED),
        _escape_check(simulated, exact),
    ]
    data = {
        "curves": curves,
        "escapes": [] if simulated is None else simulated,
        "escape": exact,
        "temperature": parameters.temperature,
    }
    learned = (
        f"Redrawing one amino acid at a time needs {readable(times[1][0])} steps to forget where it started, three at "
        f"a time {times[3][0]:.2g}; but the two sample laws {moved:.2f} apart in total variation."
    )
    return Findings(checks, Table.of(rows), data, learned)


def _escape_check(simulated: Array | None, exact: float | None) -> Check:
    name = "expected steps to leave the lighter mode, exact, in the interval of simulated chains"
    if simulated is None or exact is None:
        # One mode only: there is nothing to leave, which is what the claim denies.
        return Check.at_least("sets that single-site Gibbs seldom leaves", 1, 2)
    return Check.interval_contains(
        name, mean_interval(simulated, LEVEL), exact, f"false-alarm rate {1 - LEVEL:.2g}, {len(simulated)} chains"
    )


def simulated_escapes(
    conditionals: ConditionalModel, law: Array, inside: NDArray[np.int64], exact: float, chains: int, seed: int
) -> Array:
    """Steps until single-site Gibbs chains leave a set, started from the law restricted to it, [chains]."""
    generator = np.random.default_rng(seed)
    sites, symbols = conditionals.sites, conditionals.symbols
    shape = (symbols,) * sites
    within = np.zeros(symbols**sites, dtype=bool)
    within[inside] = True
    # Cumulative laws of each site at every state: one draw is one comparison.
    laws = np.cumsum(conditionals.leave_one_out(), axis=2)
    states = generator.choice(inside, size=chains, p=law[inside] / law[inside].sum())
    place = symbols ** np.arange(sites - 1, -1, -1)
    times = np.full(chains, np.nan)
    alive = np.arange(chains)
    for step in range(1, int(LONGEST * exact) + 1):
        site = generator.integers(sites, size=len(alive))
        drawn = (generator.random(len(alive))[:, None] > laws[states, site]).sum(axis=1).clip(0, symbols - 1)
        old = np.array(np.unravel_index(states, shape))[site, np.arange(len(alive))]
        states = states + (drawn - old) * place[site]
        left = ~within[states]
        times[alive[left]] = step
        alive, states = alive[~left], states[~left]
        if not len(alive):
            break
    # Chains that are still inside (none, but for a chance of e^-200) count as leaving now.
    return np.where(np.isnan(times), LONGEST * exact, times)


def draw_mixing(data: Mapping[str, Any]) -> Figure:
    """Distance over time for each block size, with the exponential that the relaxation time predicts."""
    figure, (axes,) = new_figure(width=6.0, height=3.8)
    for index, curve in enumerate(data["curves"]):
        times, distances, relaxation = np.array(curve["times"]), np.array(curve["distances"]), curve["relaxation"]
        marks(axes, np.maximum(times, 0.5), distances, index, f"k = {curve['size']}, exact")
        # A slope only: it starts where half of the distances are behind it.
        begin = len(times) // 2
        predicted = distances[begin] * np.exp(-(times[begin:] - times[begin]) / relaxation)
        line(
            axes, times[begin:], predicted, index, f"decay at relaxation time {readable(relaxation, 3)}", DASHES[index]
        )
    axes.axhline(0.25, color="0.4", linewidth=0.8)
    axes.set(xscale="log", ylim=(0, 1.02), xlabel="steps (0 is drawn at 0.5)", ylabel="TV to its own stationary law")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    ends = ", ".join(f"{readable(curve['relaxation'], 3)} for k = {curve['size']}" for curve in data["curves"])
    headline(
        figure,
        f"Sapiens VH, DSSG, T = {data['temperature']:g}, slowest start found: relaxation times (steps) {ends}",
    )
    return figure


def draw_escapes(data: Mapping[str, Any]) -> Figure:
    """Share of simulated chains that have not left the lighter mode, with the exponential of the exact mean."""
    figure, (axes,) = new_figure(width=5.4, height=3.6)
    found = np.sort(np.array(data["escapes"]))
    if found.size:
        left = 1 - np.arange(1, len(found) + 1) / len(found)
        axes.step(found, left, where="post", color=COLOURS[0], label="simulated")
        times, mean = np.linspace(0, found.max(), 200), readable(data["escape"], 3)
        line(axes, times, np.exp(-times / data["escape"]), 1, f"mean {mean}, exact", "--")
        axes.legend()
        headline(
            figure,
            f"Single-site Gibbs leaves the lighter mode after {mean} steps in the mean, {readable(found.mean(), 3)} in "
            f"{len(found)} simulated chains",
        )
    axes.set(xlabel="steps of single-site Gibbs", ylabel="share still in the lighter mode", ylim=(0, 1.02))
    return figure


CLAIM = Claim(
    id="N8",
    name="a-real-network-is-stuck",
    title="A published antibody model's Gibbs sampler is stuck; blocks free it, and move its law",
    statement=(
        "On four neighbouring sites of an antibody's CDR-H3 (the rest held, the likeliest amino acids of each site, "
        "conditionals to the power 1/T) the conditionals of Sapiens (VH, 568,985 parameters) come from no joint law. "
        "Gibbs sampling of one site at a time has two modes and a relaxation time over 100 times that of blocks of "
        "three sites (C8 on a real network), and the stationary laws of the two differ (C10): a faster sampler is a "
        "sampler of another law. All chains are exact; escape times are held against simulated chains."
    ),
    source="Li et al. 2024 (arXiv:2407.21046); Prihoda et al., BioPhi, mAbs 14 (2022), sapiens 1.0.5",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "mixing",
            "Exact distance to the stationary law from the slowest start found, for blocks of 1, 2 and 3 sites "
            "(marks), with the exponential decay of each relaxation time (lines).",
            draw_mixing,
        ),
        FigureSpec(
            "escapes",
            "Share of simulated single-site chains that have not yet left the lighter mode (steps), and the "
            "exponential of the exact mean (dashed).",
            draw_escapes,
        ),
    ),
)
