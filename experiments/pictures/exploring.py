"""Sliders under a picture that stays when nobody listens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from theory.errors import InvalidInput


def explore(draw: Callable[..., Any], **choices: Iterable[Any]) -> None:
    """Draw a picture in a notebook, with a slider for every argument.

    The picture for the first choices is an ordinary output of the cell: it stays in the saved notebook and is seen
    where no kernel runs. The sliders draw it anew.

    Args:
        draw: takes an argument of each name; draws, and returns Matplotlib axes or a figure.
        choices: for each argument the values of its slider, the first of which is drawn first.

    Raises:
        InvalidInput: an argument without values, a function that returns neither axes nor a figure, or no IPython.
    """
    try:
        from IPython.display import display
    except ImportError:
        raise InvalidInput("library", "IPython", "is not installed: pip install 'gmlm-workbench[notebooks]'") from None

    values = {name: list(given) for name, given in choices.items()}
    for name, given in values.items():
        if not given:
            raise InvalidInput(name, given, "a slider needs values")
    picture = display(_drawn(draw, {name: given[0] for name, given in values.items()}), display_id=True)
    try:
        import ipywidgets
    except ImportError:  # the picture alone
        return
    sliders = {
        name: ipywidgets.SelectionSlider(
            options=[(f"{value:g}" if isinstance(value, float) else str(value), value) for value in sorted(given)],
            value=given[0],
            description=name.replace("_", " "),
            continuous_update=False,
        )
        for name, given in values.items()
    }

    def redraw(change: Any) -> None:
        picture.update(_drawn(draw, {name: slider.value for name, slider in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, names="value")
    display(ipywidgets.VBox(list(sliders.values())))


def _drawn(draw: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """The figure, closed, so that it is shown once."""
    from matplotlib import pyplot

    found = draw(**arguments)
    figure = getattr(found, "figure", found)
    if not hasattr(figure, "savefig"):
        raise InvalidInput("draw", found, "the function must return the axes, or the figure, that it drew on")
    pyplot.close(figure)
    return figure
