"""Pictures of decoding: the best schedules, divergences, samples, the path of one sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.figures import logarithmic, marks
from experiments.pictures.drawers import drawn_before, draws, look
from theory.decoding import Divergences, Frontier, Sampled, SizeFrontier, Unmasking

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ZERO = 1e-12
"""Nats: smaller errors are drawn as zero."""
MOST_SAMPLES = 60
"""Sequences of the picture of samples."""
MOST_LETTERS = 1200
"""Cells of a path that have letters."""


@draws(Frontier, SizeFrontier)
def draw_frontiers(axes: Axes, named: Mapping[str, Frontier | SizeFrontier]) -> None:
    """The least error for every number of steps."""
    start = drawn_before(axes)
    places = logarithmic(axes, *(found.errors for found in named.values()), floor=ZERO)
    for series, (name, found) in enumerate(named.items(), start):
        axes.plot(np.arange(1, len(found.errors) + 1), places(found.errors), label=name or None, **look(series))
    axes.set(xlabel="steps T (network calls)", ylabel="least KL(p‖q) (nats)")


@draws(Divergences)
def draw_divergences(axes: Axes, named: Mapping[str, Divergences]) -> None:
    """Both divergences of each, with the total variation beside the name."""
    kl, reverse = ([getattr(found, name) for found in named.values()] for name in ("kl", "reverse_kl"))
    drawn = logarithmic(axes, kl, reverse, floor=ZERO)
    places = np.arange(len(named))
    marks(axes, places, drawn(kl), 0, "KL(p‖q)")
    marks(axes, places, drawn(reverse), 1, "KL(q‖p)", hollow=True)
    labels = [f"{name}\nTV {found.total_variation:.3f}".strip() for name, found in named.items()]
    axes.set_xticks(places, labels)
    axes.set(xlim=(-0.6, len(named) - 0.4), xlabel="output law q", ylabel="divergence from p (nats)")


@draws(Sampled, several=False)
def draw_samples(axes: Axes, named: Mapping[str, Sampled]) -> None:
    """The first sequences, a row each, symbols in shades of grey."""
    (found,) = named.values()
    shown = found.sequences[:MOST_SAMPLES]
    axes.imshow(shown, cmap="Greys", aspect="auto", interpolation="nearest", vmin=-0.5)
    axes.grid(visible=False)
    _number_sites(axes)
    axes.set(
        xlabel="site (darker: a higher symbol)",
        ylabel=f"sample ({len(shown)} of {len(found.sequences)})",
        title=f"{found.calls.mean():.4g} network calls on average",
    )


def _number_sites(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("site")


@draws(Unmasking, several=False)
def draw_unmasking(axes: Axes, named: Mapping[str, Unmasking]) -> None:
    """A row for every step from the top: blanks white, what the step filled dark, what stood already grey."""
    (path,) = named.values()
    shades = np.where(path.blank, 0.0, 0.25)
    shades[1:][path.filled] = 0.85
    axes.imshow(shades, cmap="Greys", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.grid(visible=False)
    for step, row in enumerate(path.tokens if path.tokens.size <= MOST_LETTERS else ()):
        for site, token in enumerate(row):
            if not path.blank[step, site]:
                dark = shades[step, site] > 0.5
                axes.text(site, step, path.letter(int(token)), ha="center", va="center", fontsize=8,
                          color="white" if dark else "black")  # fmt: skip
    axes.set_yticks(range(len(path.tokens)))
    _number_sites(axes)
    axes.set_ylabel("step")
