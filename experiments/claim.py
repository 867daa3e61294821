"""A claim of the theory: its statement, its computation, its verdict and its figures.

One module of `experiments.claims` per claim. The module declares a parameter dataclass (fields made by
`theory.parameters.parameter`), a function ``compute(parameters, seed, progress) -> Findings`` and functions that
draw figures from the findings' plain data, and binds them in a `Claim` named ``CLAIM``.

The computation never decides on its own what is true: it lists `Check`s, each of which compares a measured quantity
with a predicted one that was obtained by another route, and carries the margin by which it holds. The verdict of the
claim is the worst of its checks.

A check *tells* something only where it excludes a value that was possible: a bound of 1 on a probability does not, nor
does an identity of algebra, which is true of any chain and tests the software. So every check knows how many of its
comparisons were informative, and a claim of which none was is inconclusive.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theory.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Progress = Callable[[float, str], None]
"""Called with the fraction that is done (0..1) and what is being done."""


def no_progress(fraction: float, message: str) -> None:
    """A `Progress` that shows nothing."""


class Verdict(enum.StrEnum):
    """What a check or a claim found."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    PROVED = "proved for this instance"
    """Holds in float64, and every statement of its certificate is decided on rational laws."""


Alternative = tuple[str, ArrayLike]
"""A wrong statement by name, and what it predicts for each comparison."""


@dataclass(frozen=True)
class Check:
    """One comparison of a measurement with a prediction.

    Attributes:
        name: what is compared, in a few words.
        verdict: the outcome.
        margin: distance to the boundary between holding and violated, in units of the quantity; negative if violated.
        measured, predicted: the two sides at the worst place.
        relation: ``"<="``, ``">="``, ``"="`` or ``"in"``.
        tolerance: rounding or sampling error that is allowed for, in units of the quantity.
        detail: one sentence for the reader: where the worst place is, what the false-alarm rate is.
        comparisons: how many pairs of numbers were compared.
        informative: how many of them exclude a value that was possible; 0 for an identity.
        tightness: of a bound between positive numbers, the largest quotient of the exact value and the bound (the
            inverse for lower bounds) over the informative comparisons: 1 where the bound is attained. None otherwise.
        alternative: a named wrong statement in place of the prediction.
        power: the share of the comparisons that reject the alternative or, of a statistical check, the probability
            with which it does.
    """

    name: str
    verdict: Verdict
    margin: float
    measured: float
    predicted: float
    relation: str
    tolerance: float = 0.0
    detail: str = ""
    comparisons: int = 1
    informative: int = 1
    tightness: float | None = None
    alternative: str = ""
    power: float | None = None

    @staticmethod
    def at_most(
        name: str,
        measured: ArrayLike,
        bound: ArrayLike,
        tolerance: ArrayLike = 0.0,
        detail: str = "",
        *,
        trivial: ArrayLike = math.inf,
        wrong: Alternative | None = None,
    ) -> Check:
        """measured <= bound everywhere, up to ``tolerance`` for rounding; arrays are compared entry by entry.

        ``trivial`` is the largest value that the quantity can have whatever is true, 1 for a probability: a bound at
        or above it excludes nothing. ``wrong`` names another bound, and what it is, that should be rejected.
        """
        return _worst(name, measured, bound, tolerance, detail, "<=", trivial, wrong)

    @staticmethod
    def at_least(
        name: str,
        measured: ArrayLike,
        bound: ArrayLike,
        tolerance: ArrayLike = 0.0,
        detail: str = "",
        *,
        trivial: ArrayLike = -math.inf,
        wrong: Alternative | None = None,
    ) -> Check:
        """measured >= bound everywhere, up to ``tolerance``; a bound at or below ``trivial`` excludes nothing.

        ``wrong`` is as for `at_most`.
        """
        return _worst(name, measured, bound, tolerance, detail, ">=", trivial, wrong)

    @staticmethod
    def equal(
        name: str,
        measured: ArrayLike,
        predicted: ArrayLike,
        tolerance: ArrayLike,
        detail: str = "",
        *,
        wrong: Alternative | None = None,
    ) -> Check:
        """|measured - predicted| <= tolerance everywhere: a statement about the world that could have been false.

        ``wrong`` is as for `at_most`.
        """
        return _worst(name, measured, predicted, tolerance, detail, "=", None, wrong)

    def by_algebra(self) -> Check:
        """The same check, marked as true by algebra: it tests the software and excludes nothing about the claim."""
        return replace(self, informative=0)

    def against(self, alternative: str, power: float) -> Check:
        """The same check, with the probability that it rejects the named wrong alternative."""
        return replace(self, alternative=alternative, power=power)

    @staticmethod
    def interval_at_most(
        name: str, interval: tuple[float, float], bound: float, detail: str = "", *, trivial: float = math.inf
    ) -> Check:
        """A quantity known up to a confidence interval is at most ``bound``.

        Holds where the whole interval is, is violated where none of it is, and is inconclusive in between. ``detail``
        states the confidence level. A bound at or above ``trivial`` excludes nothing.
        """
        low, high = interval
        if not low <= high:
            raise InvalidInput("interval", interval, "lower end <= upper end")
        verdict = Verdict.HOLDS if high <= bound else Verdict.VIOLATED if low > bound else Verdict.INCONCLUSIVE
        margin = bound - low if verdict is Verdict.VIOLATED else bound - high
        return Check(name, verdict, margin, high, bound, "<=", 0.0, detail, informative=int(bound < trivial))

    @staticmethod
    def interval_contains(name: str, interval: tuple[float, float], predicted: float, detail: str = "") -> Check:
        """A predicted value lies in the measurement's confidence interval; ``detail`` states the false-alarm rate."""
        low, high = interval
        if not low <= high:
            raise InvalidInput("interval", interval, "lower end <= upper end")
        margin = min(predicted - low, high - predicted)
        verdict = Verdict.HOLDS if margin >= 0 else Verdict.VIOLATED
        return Check(name, verdict, margin, (low + high) / 2, predicted, "in", (high - low) / 2, detail)


_SLACK: dict[str, Callable[[Any, Any], Any]] = {
    "<=": lambda measured, bound: bound - measured,
    ">=": lambda measured, bound: measured - bound,
    "=": lambda measured, predicted: -np.abs(measured - predicted),
}


def _worst(
    name: str,
    measured: ArrayLike,
    predicted: ArrayLike,
    tolerance: ArrayLike,
    detail: str,
    relation: str,
    trivial: ArrayLike | None,
    wrong: Alternative | None,
) -> Check:
    m, p, t, limit = np.broadcast_arrays(
        *(
            np.asarray(value, dtype=float)
            for value in (measured, predicted, tolerance, 0.0 if trivial is None else trivial)
        )
    )
    if m.size == 0:
        raise InvalidInput("measured", "an empty array", f"the check '{name}' has nothing to compare")
    with np.errstate(invalid="ignore"):
        margins = _SLACK[relation](m, p) + t
        telling = np.ones(m.shape, bool) if trivial is None else _SLACK[relation](limit, p) < 0
    # inf <= inf and inf = inf hold; anything else that is not a number is a failure of the computation, not a success.
    margins = np.where(np.isinf(m) & (m == p), np.inf, margins)
    margins = np.where(np.isnan(margins), -np.inf, margins)
    place = np.unravel_index(int(margins.argmin()), margins.shape)
    margin = float(margins[place])
    return Check(
        name,
        Verdict.HOLDS if margin >= 0 else Verdict.VIOLATED,
        margin,
        float(m[place]),
        float(p[place]),
        relation,
        float(t[place]),
        detail,
        m.size,
        int(telling.sum()),
        None if trivial is None else _tightness(m[telling], p[telling], relation),
        *(("", None) if wrong is None else (wrong[0], float((_SLACK[relation](m, wrong[1]) + t < 0).mean()))),
    )


def _tightness(measured: np.ndarray, bound: np.ndarray, relation: str) -> float | None:
    small, large = (measured, bound) if relation == "<=" else (bound, measured)
    if not small.size or not (np.isfinite(small) & np.isfinite(large) & (small > 0) & (large > 0)).all():
        return None
    with np.errstate(over="ignore"):
        return float((small / large).max())


def worst(verdicts: Iterable[str]) -> Verdict:
    """Violated before inconclusive; where all hold, proved if one of them is a proof."""
    found = set(verdicts)
    for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.PROVED):
        if verdict in found:
            return verdict
    return Verdict.HOLDS


def overall(checks: Sequence[Check]) -> Verdict:
    """The worst verdict of the checks; inconclusive where none holds that excludes anything."""
    verdict = worst(check.verdict for check in checks)
    tells = any(check.informative for check in checks)
    return Verdict.INCONCLUSIVE if verdict is Verdict.HOLDS and not tells else verdict


def heading(text: str) -> Any:
    """A field of a typed row that the reader's table shows under this heading, which names the unit."""
    return field(metadata={"heading": text})


@dataclass(frozen=True)
class Table:
    """Rows that a reader would look at first.

    Attributes:
        columns: headings with units.
        rows: values (numbers, text or None).
        names: identifiers of the columns, where the rows are typed.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    names: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InvalidInput("rows", row, f"every row needs {len(self.columns)} values")

    @staticmethod
    def of(rows: Sequence[Any]) -> Table:
        """The fields that have a `heading` of at least one row, all of one dataclass."""
        shown = [entry for entry in fields(rows[0]) if "heading" in entry.metadata]
        return Table(
            [entry.metadata["heading"] for entry in shown],
            [[getattr(row, entry.name) for entry in shown] for row in rows],
            [entry.name for entry in shown],
        )


def columns(rows: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """An array for each field of at least one row: dataclasses while computing, dictionaries in plain data."""
    records = [vars(row) if is_dataclass(row) else row for row in rows]
    return {name: np.array([record[name] for record in records]) for name in records[0]}


def select(rows: Sequence[Mapping[str, Any]], **values: Any) -> list[Mapping[str, Any]]:
    """The rows of plain data with these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


@dataclass(frozen=True)
class Findings:
    """What a claim's computation returns.

    Attributes:
        checks: at least one.
        table: for the reader.
        data: numbers, text, lists, dictionaries, dataclasses and NumPy arrays; all that the figures need.
        learned: one sentence with this run's own numbers: what a reader takes away.
    """

    checks: Sequence[Check]
    table: Table
    data: Mapping[str, Any]
    learned: str = ""

    def __post_init__(self) -> None:
        if not self.checks:
            raise InvalidInput("checks", "an empty list", "a claim needs at least one check")


@dataclass(frozen=True)
class FigureSpec:
    """A figure of a claim.

    Attributes:
        name: file stem, unique within the claim.
        caption: one or two sentences: what is drawn, which marks are measured and which predicted.
        draw: from the plain data of the findings (after JSON: lists for arrays) to a figure; never from live objects,
            so that any figure can be drawn again later.
    """

    name: str
    caption: str
    draw: Callable[[Mapping[str, Any]], Figure]


@dataclass(frozen=True)
class Claim:
    """A claim and how it is checked.

    Attributes:
        id: ``"C1"``...
        name: the module's name without the number, with hyphens.
        title: one line.
        statement: the exact statement that is checked, Unicode mathematics, a few sentences.
        source: paper, theorem.
        parameters: dataclass of parameters.
        compute: see the module's description. It depends on its arguments only.
        figures: at least one, with prediction and measurement in one plot.
        memory: bytes that ``compute`` needs at most, about; None where the limits of the parameters keep it small.
    """

    id: str
    name: str
    title: str
    statement: str
    source: str
    parameters: type
    compute: Callable[[Any, int, Progress], Findings]
    figures: Sequence[FigureSpec]
    memory: Callable[[Any], float | None] = lambda parameters: None
