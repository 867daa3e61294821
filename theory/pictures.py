"""The method `plot` of results; whoever can draw says so.

Theory draws nothing and imports nothing from above. A class that inherits `Pictured` has the method, and what draws is
handed in by `draw_with`: the face does that (`gmlm`), so that results draw themselves wherever ``import gmlm`` gave
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_draw: Callable[..., Axes] | None = None


def draw_with(draw: Callable[..., Axes]) -> None:
    """From now on ``draw(result, ax, **settings)`` draws results."""
    global _draw
    _draw = draw


class Pictured:
    """A result with a picture."""

    def plot(self, ax: Axes | None = None, **settings: Any) -> Axes:
        """Draw the result; `gmlm.plot` of it, which says what the arguments are.

        Raises:
            RuntimeError: nothing that draws was imported.
        """
        if _draw is None:
            raise RuntimeError("nothing that draws is imported: `import gmlm`, then gmlm.plot(result)")
        return _draw(self, ax, **settings)
