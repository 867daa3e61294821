"""Pictures of laws on states: of sequences, of a chain, of a decoder's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from experiments.chains.inputs import name_of_state
from experiments.figures import marks
from experiments.pictures.drawers import drawn_before, draws
from theory.chains import StationaryLaw
from theory.decoding import Decoded
from theory.errors import InvalidInput
from theory.laws import JointLaw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_STATES = 24
"""States that are drawn, the likeliest."""
MOST_LETTERS = 48
"""Letters of names that fit beside one another."""
MOST_STACKED = 10
"""Signs of a name that stand below one another."""


@draws(JointLaw)
def draw_laws(axes: Axes, named: Mapping[str, JointLaw]) -> None:
    """Probabilities of the likeliest sequences, in the order of the first law."""
    first = next(iter(named.values()))

    def sequence(state: int) -> str:
        return name_of_state(state, first.sites, first.symbols).replace(" ", "")

    _draw_states(axes, {name: law.probabilities for name, law in named.items()}, "sequences", sequence)


@draws(Decoded)
def draw_decoded(axes: Axes, named: Mapping[str, Decoded]) -> None:
    """The output laws."""
    draw_laws(axes, {name: decoded.law for name, decoded in named.items()})
    calls = {f"{decoded.expected_calls:.4g}" for decoded in named.values()}
    if len(calls) == 1:
        axes.set_title(f"{calls.pop()} network calls expected", loc="left")


@draws(StationaryLaw)
def draw_stationary_laws(axes: Axes, named: Mapping[str, StationaryLaw]) -> None:
    """Probabilities of the likeliest states, which have numbers."""
    _draw_states(axes, {name: found.law for name, found in named.items()}, "states", str)


def _draw_states(
    axes: Axes, named: Mapping[str, NDArray[np.float64]], what: str, name_of: Callable[[int], str]
) -> None:
    sizes = {len(masses) for masses in named.values()}
    if len(sizes) > 1:
        raise InvalidInput("result", f"laws on {sorted(sizes)} {what}", "laws on the same states can be compared")
    masses = next(iter(named.values()))
    shown = np.argsort(-masses, kind="stable")[:MOST_STATES]
    places, start = np.arange(len(shown)), drawn_before(axes)
    if len(named) == 1 and not start:
        axes.bar(places, masses[shown], color="0.75", edgecolor="black", label=next(iter(named)) or None)
    else:
        for series, (name, law) in enumerate(named.items(), start):
            marks(axes, places, law[shown], series, name, hollow=series % 2 == 1)
    names = [name_of(int(state)) for state in shown]
    longest = max(map(len, names))
    if longest * len(names) <= MOST_LETTERS:
        axes.set_xticks(places, names, fontsize=9, family="monospace")
    elif longest <= MOST_STACKED:  # signs stay upright, read downwards
        axes.set_xticks(places, ["\n".join(name) for name in names], fontsize=7, linespacing=0.9, family="monospace")
    else:
        axes.set_xticks(places, names, rotation=90, fontsize=8, family="monospace")
    axes.grid(axis="x", visible=False)
    all_of_them = len(masses) <= MOST_STATES
    axes.set(
        xlabel=what[:-1] if all_of_them else f"the {len(shown)} likeliest of {len(masses)} {what}",
        ylabel="probability",
        ylim=(0, None),
    )
