"""`plot`: draws any result, or compares several of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.figures import MOST_SERIES, style
from experiments.pictures import chains, decoding, diagnoses, laws, learning, numbers, records
from experiments.pictures.drawers import Drawer, drawer_of, drawn_before, known
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODULES = (chains, decoding, diagnoses, laws, learning, numbers, records)
"""Where the drawers are; importing a module registers those in it."""


def plot(result: Any, ax: Axes | None = None, **settings: Any) -> Axes:
    """Draw a result, or compare several.

    Axes have labels with units and series differ in grey. A result of the face has this function as its method:
    ``result.plot(ax)``.

    Args:
        result: what a function of `gmlm` returned; a record that a command printed with ``--json``; two sequences
            ``(x, y)``, or ``(x, y, "line")`` for a prediction, ``(x, y, "marks")`` for a measurement; an interval
            ``(low, high)``, as of `mixing_time_bounds`. Or names with up to six results of one kind, to compare.
        ax: Matplotlib axes to draw on; None for new ones, which a notebook shows.
        settings: for ``ax.set``: ``title``, ``xlabel``, ``yscale``, ...

    Returns:
        The axes, to draw more on, or to save: ``axes.figure.savefig("picture.svg")``.

    Raises:
        InvalidInput: nothing that can be drawn, results of different kinds, more than six series, an ``ax`` that is
            none, or a setting that axes do not have.
    """
    drawer, named = _understood(result)
    axes = _axes(ax)
    if drawer.several and drawn_before(axes) + len(named) > MOST_SERIES:
        raise InvalidInput("result", f"{drawn_before(axes) + len(named)} series", f"at most {MOST_SERIES} are legible")
    with style():
        legend = axes.get_legend()
        drawer.draw(axes, named)
        try:
            axes.set(**settings)
        except AttributeError as error:
            raise InvalidInput(
                "settings", ", ".join(settings), f"Matplotlib's axes do not have them: {error}"
            ) from None
        if drawn_before(axes) and axes.get_legend() is legend:  # the drawer made none of its own
            axes.legend()
    return axes


def _understood(result: Any) -> tuple[Drawer, Mapping[str, Any]]:
    """What draws, and the results by name."""
    drawer = drawer_of(result)
    if drawer is not None:
        return drawer, {"": result}
    if not isinstance(result, Mapping) or not result:
        raise InvalidInput("result", result, f"is none of: {known()}; nor names with such results")
    found = {str(name): drawer_of(value) for name, value in result.items()}
    first = next(iter(found.values()))
    for name, other in found.items():
        if other is None:
            raise InvalidInput(f"result[{name!r}]", result[name], f"is none of: {known()}")
        if first is None or other.draw is not first.draw:
            raise InvalidInput("result", ", ".join(found), "results of one kind can be compared")
    assert first is not None
    if len(found) > 1 and not first.several:
        raise InvalidInput(
            "result", ", ".join(found), f"pictures of {first.what} cannot share axes; draw one at a time"
        )
    return first, {str(name): value for name, value in result.items()}


def _axes(ax: Any) -> Axes:
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot

        with style():
            return pyplot.subplots(figsize=(5.6, 3.5))[1]
    if not isinstance(ax, Axes):
        raise InvalidInput("ax", ax, "Matplotlib axes are needed, or None for new ones")
    return ax
