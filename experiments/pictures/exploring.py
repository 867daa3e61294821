"""Sliders under a picture that stays when nobody listens to them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

from experiments.figures import render
from theory.errors import InvalidInput

COLOURS = 32
"""Colours of an animation."""
SECONDS = 0.9
"""Time that a value is shown in an animation."""


def explore(draw: Callable[..., Any], *, play: bool = False, **choices: Iterable[Any]) -> None:
    """Draw a picture in a notebook, with a slider for every argument.

    The picture for the first choices is an ordinary output of the cell: it stays in the saved notebook and is seen
    where no kernel runs. The sliders draw it anew.

    Args:
        draw: takes an argument of each name; draws, and returns Matplotlib axes or a figure.
        play: the picture that stays is animated (an animated PNG) and goes through all values of the one argument.
        choices: for each argument the values of its slider, the first of which is drawn first.

    Raises:
        InvalidInput: an animation over several arguments, an argument without values, a function that returns neither
            axes nor a figure, or no IPython.
    """
    try:
        from IPython.display import display
    except ImportError:
        raise InvalidInput("library", "IPython", "is not installed: pip install 'gmlm-workbench[notebooks]'") from None

    values = {name: list(given) for name, given in choices.items()}
    for name, given in values.items():
        if not given:
            raise InvalidInput(name, given, "a slider needs values")
    if play and len(values) != 1:
        raise InvalidInput("play", f"{len(values)} arguments", "an animation goes through the values of one")
    first = {name: given[0] for name, given in values.items()}
    picture = display(_animated(draw, values) if play else _drawn(draw, first), display_id=True)
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


def _animated(draw: Callable[..., Any], values: dict[str, list[Any]]) -> Any:
    """An animated PNG of the figures for all values, shown again and again."""
    from IPython.display import Image as Shown
    from PIL import Image

    (name,) = values
    full = [
        Image.open(io.BytesIO(render(_drawn(draw, {name: value}), "png", 90))).convert("RGB") for value in values[name]
    ]
    few = full[-1].quantize(COLOURS, dither=Image.Dither.NONE)  # the last frame has all colours
    frames = [frame.quantize(palette=few, dither=Image.Dither.NONE) for frame in full]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=int(1000 * SECONDS), loop=0)
    return Shown(buffer.getvalue(), format="png")


def _drawn(draw: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """The figure, closed, so that it is shown once."""
    from matplotlib import pyplot

    found = draw(**arguments)
    figure = getattr(found, "figure", found)
    if not hasattr(figure, "savefig"):
        raise InvalidInput("draw", found, "the function must return the axes, or the figure, that it drew on")
    pyplot.close(figure)
    return figure
