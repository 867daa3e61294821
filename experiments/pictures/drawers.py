"""Which function draws which results.

A drawer takes axes and results by name, ``{"": result}`` where one was given without a name. It is registered for
classes (`draws`), or for records, which are plain data and known by keys that they have (`draws_records`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.figures import COLOURS, DASHES, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Draw = Callable[["Axes", Mapping[str, Any]], None]


@dataclass(frozen=True)
class Drawer:
    """How one kind of results is drawn.

    Attributes:
        draw: puts results, by name, on axes.
        several: whether it can compare several results.
        what: what it draws, for messages.
    """

    draw: Draw
    several: bool
    what: str


BY_CLASS: dict[type, Drawer] = {}
BY_KEYS: list[tuple[frozenset[str], type, Drawer]] = []
"""Keys, ``dict`` for records or ``list`` for lists of them, drawer."""


def draws(*kinds: type, several: bool = True) -> Callable[[Draw], Draw]:
    """Register a drawer for results of some classes and of those derived from them."""

    def register(draw: Draw) -> Draw:
        for kind in kinds:
            BY_CLASS[kind] = Drawer(draw, several, kind.__name__)
        return draw

    return register


def draws_records(what: str, *keys: str, of: type = dict) -> Callable[[Draw], Draw]:
    """Register a drawer for records that have these keys, or (``of=list``) for lists of such records."""

    def register(draw: Draw) -> Draw:
        BY_KEYS.append((frozenset(keys), of, Drawer(draw, False, what)))
        return draw

    return register


def drawer_of(result: Any) -> Drawer | None:
    """What draws the result, None where nothing does."""
    for kind in type(result).__mro__:
        if kind in BY_CLASS:
            return BY_CLASS[kind]
    records = result if isinstance(result, list) else [result]
    if not records or not all(isinstance(record, Mapping) for record in records):
        return None
    for keys, kind, drawer in BY_KEYS:
        if (kind is list) == isinstance(result, list) and all(keys <= record.keys() for record in records):
            return drawer
    return None


def known() -> str:
    """What can be drawn, for messages."""
    names = {drawer.what for drawer in BY_CLASS.values()} | {f"a record of {drawer.what}" for *_, drawer in BY_KEYS}
    return ", ".join(sorted(names - {"tuple"}))


def drawn_before(axes: Axes) -> int:
    """How many named series the axes have already: the next one looks different."""
    return len(axes.get_legend_handles_labels()[1])


def look(series: int) -> dict[str, Any]:
    """Colour, dash and marker of a series."""
    return {
        "color": COLOURS[series % len(COLOURS)],
        "linestyle": DASHES[series % len(DASHES)],
        "marker": MARKERS[series % len(MARKERS)],
    }


def name_rows(axes: Axes, names: Mapping[str, Any], unnamed: str) -> list[int]:
    """Make y a list of names from the top; the place of each."""
    places = list(range(len(names)))
    axes.set_yticks(places, [name or unnamed for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    return places
