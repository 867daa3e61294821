"""Pictures of results in Python: `experiments.sweeps.results.Results.plot`.

Nothing that a database names is imported, so that a function of the user is known by the columns that it left there,
unless the program that draws has imported its module itself.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.figures import style
from experiments.sweeps.picture import Picture, draw_on, draw_rows
from experiments.sweeps.results import Results
from experiments.sweeps.subject import Subject
from experiments.sweeps.subjects import load_subject, own_subject
from theory.errors import InvalidInput
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def show_results(
    results: Results,
    x: str | None,
    y: str | None,
    subject: str | None,
    where: Sequence[str],
    ax: Axes | None,
    asked: Mapping[str, Any],
) -> Axes:
    """See `experiments.sweeps.results.Results.plot`."""
    fields = [field.name for field in dataclasses.fields(Picture)]
    for name in asked:
        if name not in fields:
            raise InvalidInput("argument", name, "one of " + ", ".join(fields))
    picture = Picture(x=x, y=y, **{**asked, "parallel": tuple(asked.get("parallel", ()))})
    conditions = [*where, "status=done"]
    if subject is not None:
        own = own_subject(subject)
        conditions.insert(0, f"subject={subject if own is None else own.name}")
    rows = results.rows(*conditions)
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    if not subjects:
        raise InvalidInput("results", "no finished cells", f"there is nothing to draw: {results.why_none(*conditions)}")
    if len(subjects) > 1:
        raise InvalidInput("subject", "none", "one of " + ", ".join(subjects))
    known = stored_subject(results, subjects[0])
    with style():
        if ax is None:
            return draw_rows(known, rows, picture, _shown_figure).axes[0]
        draw_on(ax, known, rows, picture)
    return ax


def stored_subject(results: Results, name: str) -> Subject:
    """The subject of some cells, without importing what is not imported yet."""
    own = own_subject(name)
    if own is not None:
        return own
    if name.partition(":")[0] in sys.modules:
        return load_subject(name)
    fields = [(column, str, parameter("", column)) for column in results.names(name)[0]]
    columns = dataclasses.make_dataclass("Columns", fields, frozen=True, namespace={"__doc__": "What was swept."})

    def compute(parameters: Any, seed: int) -> Mapping[str, Any]:
        raise NotImplementedError(f"{name} is not imported")

    return Subject(name, name, columns, compute)


def _shown_figure(rows: int, columns: int, width: float) -> tuple[Figure, list[Axes]]:
    """A figure that a notebook shows."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=(width, 3.4 * rows + 0.4), squeeze=False)
    return figure, list(axes.flat)
