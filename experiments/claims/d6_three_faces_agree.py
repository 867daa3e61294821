"""D6: enumeration, replay and sampling agree for every decoding rule of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, chndtr, ndtr

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import differences, headline, marks, new_figure
from experiments.statistics import chi_squared_deviation, normal_limit
from theory.decoding.enumeration import decode
from theory.decoding.registry import RULES, parse
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Predictor, Setting
from theory.decoding.sampling import sample
from theory.decoding.tables import FunctionPredictor, KnownLaw
from theory.laws import sparse_random_law
from theory.parameters import parameter
from theory.states import all_sequences, state_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

FALSE_ALARM = 1e-6
"""Probability that chance alone makes any of the sampled comparisons of one kind fail."""

ROUNDING = 1e-12
"""Rounding allowed between a product along a path and the enumerated probability."""

FEWEST_EXPECTED = 5.0
"""Sequences expected less often than this are counted together in Pearson's statistic."""

SHARPER = 0.7
"""Temperature of the wrong law whose samples must be rejected."""

VARIANTS = ("", "block=2", "temperature=0.5,top_p=0.9,ties=random")
"""Options with which every rule is checked, as many of them as `Parameters.variants` says."""

ZEROS, INCOMPATIBLE = "law with zeros", "incompatible conditionals"


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    sites: int = parameter(4, "sites N", minimum=3, maximum=5)
    symbols: int = parameter(3, "symbols q", minimum=2, maximum=3)
    calls: int = parameter(3, "calls T asked for", minimum=2)
    rows: int = parameter(5000, "sequences sampled by each rule", full=50000, minimum=200)
    repeats: int = parameter(100, "replays of every sequence by rules whose paths are random", full=1000, minimum=20)
    variants: int = parameter(2, "sets of options of every rule", full=3, minimum=1, maximum=3)


def incompatible_model(sites: int, symbols: int) -> FunctionPredictor:
    """Conditionals that no joint law has: a site looks at the mean of the revealed tokens and at where they are."""

    def predict(tokens: NDArray[np.int64]) -> Array:
        seen = tokens < symbols
        mean = np.where(seen, tokens, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
        tilt = np.cos(3 * mean[:, None] + np.arange(sites) + seen @ np.arange(sites)[:, None])
        weights = np.exp(tilt[:, :, None] * np.arange(symbols) + 0.1 * np.arange(symbols) ** 2)
        return np.asarray(weights / weights.sum(axis=2, keepdims=True))

    return FunctionPredictor(sites, symbols, predict)


@dataclass(frozen=True)
class Row:
    """Samples and replays of one rule against its enumerated law; what is about replays is None where there is none.

    Attributes:
        impossible: samples of probability zero.
        zeros: share of the sequences that have it.
        most_calls, worst_calls: of a sample, and in the worst case.
        power: with which the samples reject the law with its probabilities to the power 1/`SHARPER`.
        call_power: with which the calls of the samples reject one call less.
        path_deviation, root_deviation: of the products along random paths, and of their square roots, from q(x), in
            standard errors.
    """

    impossible: int
    zeros: float
    most_calls: float
    worst_calls: float
    power: float
    call_power: float
    rule: str = heading("rule")
    conditionals: str = heading("conditionals")
    calls: float = heading("expected calls")
    deviation: float = heading("deviation of samples (σ)")
    calls_deviation: float = heading("of calls (σ)")
    paths: str = heading("paths of x")
    path_deviation: float | None = None
    root_deviation: float | None = None


@dataclass(frozen=True)
class Replay:
    """q(x) of every x [q^N] by a rule that has one path to it: along the path, and enumerated."""

    conditionals: str
    replayed: Array
    enumerated: Array


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    states = parameters.symbols**parameters.sites
    law = sparse_random_law(parameters.sites, parameters.symbols, generator, support=2 * states // 3)
    models: dict[str, Predictor] = {
        ZEROS: KnownLaw(law),
        INCOMPATIBLE: incompatible_model(parameters.sites, parameters.symbols),
    }
    texts = [f"{name}:{options}".rstrip(":") for options in VARIANTS[: parameters.variants] for name in RULES]
    cases = [
        (text, name)
        for text in texts
        for name in models
        # Some follow a known law of the whole sequence.
        if parse(text).needs not in ("noise", "law") or (name == ZEROS and not parse(text).block)
    ]
    rows: list[Row] = []
    replays: list[Replay] = []
    for done, (text, name) in enumerate(cases):
        progress(done / len(cases), text)
        row, replay = _compared(text, name, models[name], parameters, generator, FALSE_ALARM / len(cases))
        rows.append(row)
        replays += replay
    data = {"rows": rows, "replays": replays, "sequences": parameters.rows}
    return Findings(
        _checks(rows, replays, parameters.rows), Table.of(rows), data, _learned(rows, replays, parameters.rows)
    )


def _learned(rows: Sequence[Row], replays: Sequence[Replay], sequences: int) -> str:
    apart = max(float(np.abs(replay.replayed - replay.enumerated).max()) for replay in replays)
    worst = max(rows, key=lambda row: row.deviation)
    return (
        f"{len(rows)} comparisons of {sequences} samples with the enumerated law deviate by {worst.deviation:.2g} "
        f"standard deviations at most ({worst.rule}); {len(replays)} replays of every sequence differ from it by "
        f"{apart:.1g} at most."
    )


def _compared(
    text: str, name: str, model: Predictor, parameters: Parameters, generator: np.random.Generator, tail: float
) -> tuple[Row, list[Replay]]:
    rule = parse(text)
    exact = decode(model, rule, parameters.calls)
    drawn = sample(model, rule, parameters.calls, parameters.rows, generator)
    law = exact.law.probabilities
    counts = np.bincount(state_index(drawn.sequences, model.symbols), minlength=len(law))
    calls, error = _mean_deviation(drawn.calls, exact.expected_calls)
    row = Row(
        impossible=int(counts[law == 0].sum()),
        zeros=float(np.mean(law == 0)),
        most_calls=float(drawn.calls.max()),
        worst_calls=exact.worst_calls,
        power=pearson_power(law, law ** (1 / SHARPER), parameters.rows, tail),
        call_power=1.0 if error == 0 else float(ndtr(1 / error - normal_limit(tail / 2))),
        rule=text,
        conditionals=name,
        calls=exact.expected_calls,
        deviation=_pearson(counts, law),
        calls_deviation=calls,
        paths="none",
    )
    if not can_replay(rule):
        return row, []
    setting = Setting.of(model, parameters.calls)
    x = all_sequences(model.sites, model.symbols)
    if has_one_path(rule, setting):
        along = np.exp(replay(model, rule, setting, x, generator).log_probability)
        return replace(row, paths="one"), [Replay(name, along, law)]
    x = np.tile(x, (parameters.repeats, 1))
    products = np.exp(replay(model, rule, setting, x, generator).log_probability).reshape(parameters.repeats, -1)
    # The mean over paths is q(x): compared in the direction of q itself, one number a repeat.
    found, root = (_mean_deviation(values @ law, float(law @ law))[0] for values in (products, np.sqrt(products)))
    return replace(row, paths="random", path_deviation=found, root_deviation=root), []


def _grouped(values: NDArray[Any], law: Array, total: int) -> NDArray[Any]:
    """Numbers for each sequence, those that are expected less often than `FEWEST_EXPECTED` together."""
    rare = law * total < FEWEST_EXPECTED
    return np.append(values[~rare], values[rare].sum())


def _pearson(counts: NDArray[np.int64], law: Array) -> float:
    """Pearson's statistic as a standard normal deviation."""
    total = int(counts.sum())
    observed, wanted = _grouped(counts, law, total), _grouped(law * total, law, total)
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    if len(wanted) < 2:
        return 0.0
    return float(chi_squared_deviation(((observed - wanted) ** 2 / wanted).sum(), len(wanted) - 1))


def pearson_power(law: Array, weights: Array, total: int, tail: float) -> float:
    """Probability that Pearson's statistic of so many samples of a wrong law exceeds its limit at that tail.

    Args:
        law: that the samples are compared with.
        weights: of the wrong law.
        total: samples.
        tail: probability that samples of the law exceed the limit.
    """
    wrong, wanted = (_grouped(p, law, total) for p in (weights / weights.sum(), law))
    wrong, wanted = wrong[wanted > 0], wanted[wanted > 0]
    if len(wanted) < 2:
        return 0.0
    # Close to the noncentral chi-squared law.
    apart = total * float(((wrong - wanted) ** 2 / wanted).sum())
    return 1 - float(chndtr(chdtri(len(wanted) - 1, tail), len(wanted) - 1, apart))


def _mean_deviation(values: Array, expected: float) -> tuple[float, float]:
    """(mean - expected) in standard errors, and a standard error; where nothing varies, 0 or infinite, and 0."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    apart = float(values.mean()) - expected
    if error < 1e-12:
        return (0.0 if abs(apart) < 1e-9 else math.inf), 0.0
    return apart / error, error


def _checks(rows: Sequence[Row], replays: Sequence[Replay], sequences: int) -> list[Check]:
    random = [row for row in rows if row.paths == "random"]
    found, replayed, paths = columns(rows), columns(replays), columns(random)
    limit, two_sided, of_paths = (
        normal_limit(FALSE_ALARM / count) for count in (len(rows), 2 * len(rows), 2 * len(random))
    )
    rate = f"the chance that any of them fails by accident is {FALSE_ALARM:g}"
    with_zeros = found["zeros"][found["zeros"] > 0]
    roots = "half of each logarithm is forgotten"
    return [
        Check.equal(
            "every rule of the registry is compared",
            len({row.rule.partition(":")[0] for row in rows}),
            len(RULES),
            0.0,
            "rules",
        ).by_algebra(),
        Check.at_most(
            "sampled sequences against the enumerated law: Pearson's statistic as a normal deviation",
            found["deviation"],
            limit,
            0.0,
            f"{len(rows)} comparisons of {sequences} sequences; {rate}",
        ).against(f"a temperature of {SHARPER:g}", float(found["power"].mean())),
        Check.equal(
            "sampled sequences of probability zero",
            found["impossible"],
            0.0,
            0.0,
            "sequences",
        ).against(
            "one in a hundred is uniform",
            float(1 - (1 - with_zeros / 100).max() ** sequences) if with_zeros.size else 0.0,
        ),
        Check.at_most(
            "sampled calls against the expected calls, in standard errors",
            np.abs(found["calls_deviation"]),
            two_sided,
            0.0,
            rate,
        ).against("one rule's last call is not counted", float(found["call_power"].min())),
        Check.at_most(
            "no sample takes more calls than the worst case",
            found["most_calls"],
            found["worst_calls"],
            0.0,
            "calls",
            wrong=("the worst case is the mean", found["calls"]),
        ),
        Check.equal(
            "rules with one path: replayed q(x) against the enumerated law, every x",
            replayed["replayed"],
            replayed["enumerated"],
            ROUNDING,
            f"{len(replays)} rules and laws",
            wrong=(roots, np.sqrt(replayed["enumerated"])),
        ),
        Check.at_most(
            "rules with random paths: the mean of the replayed products against q(x), in standard errors",
            np.abs(paths["path_deviation"].astype(float)),
            of_paths,
            0.0,
            f"{len(random)} rules and laws; {rate}",
        ).against(roots, float((np.abs(paths["root_deviation"].astype(float)) > of_paths).mean())),
    ]


def draw_agreement(data: Mapping[str, Any]) -> Figure:
    """The deviations of samples from the enumerated law, and replay against enumeration."""
    rows = data["rows"]
    names = list(dict.fromkeys(row["rule"].partition(":")[0] for row in rows))
    limit, most = normal_limit(FALSE_ALARM / len(rows)), max(row["deviation"] for row in rows)
    figure, (left, right) = new_figure(1, 2, width=10.4, height=1.6 + 0.18 * max(len(names), 12))
    replays: dict[str, tuple[Any, Any, Any]] = {}
    for series, law in enumerate((ZEROS, INCOMPATIBLE)):
        own = select(rows, conditionals=law)
        places = [names.index(row["rule"].partition(":")[0]) for row in own]
        marks(left, [row["deviation"] for row in own], places, series, law, hollow=True)
        found = columns(select(data["replays"], conditionals=law))
        place = np.abs(found["replayed"] - found["enumerated"]).argmax(axis=1)[:, None]
        replayed, enumerated = (np.take_along_axis(found[n], place, 1)[:, 0] for n in ("replayed", "enumerated"))
        replays[f"{law}, {len(place)} rules"] = (enumerated, replayed, enumerated)
    left.axvline(limit, color="grey", label="limit for all comparisons together")
    left.axvline(0, color="grey", linestyle=":", label="predicted: scattered around 0, width 1")
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    left.set(
        xlabel="deviation of the samples (σ)",
        title=f"{len(rows)} comparisons of {data['sequences']} sequences",
    )
    differences(right, replays, ROUNDING, "probability")
    right.set(xlabel="q(x), enumerated", title="one path: where replays differ most")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, 0.9))
    worst = max(float(np.abs(replayed - enumerated).max()) for enumerated, replayed, _ in replays.values())
    headline(
        figure,
        f"Samples of {len(names)} rules deviate from the enumerated laws by {most:.2g} σ at most (limit {limit:.2g}), "
        f"replays by {worst:.1g}",
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


CLAIM = Claim(
    id="D6",
    name="three-faces-agree",
    title="Every decoding rule has one law: enumerated, replayed and sampled",
    statement=(
        "For every rule of the registry, on a law with zeros and (where any network will do) on conditionals that no "
        "joint law has: sequences sampled by the rule have the law that the enumeration of its decision tree gives, "
        "their network calls have the enumerated mean and never exceed its worst case, and where the sites of a step "
        "depend on revealed tokens only, the product of token probabilities along the path of x is q(x), or has the "
        "mean q(x) where paths are random."
    ),
    source="Pearson, Philosophical Magazine 50 (1900), for the comparison; each rule names its own source",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "agreement",
            "Left: Pearson's statistic of sampled sequences against the enumerated law as a standard normal deviation "
            "(markers, measured), and the limit that all of them keep together. Right: q(x) replayed along the path of "
            "x less the enumerated law, at the x where they differ most (line: what rounding allows).",
            draw_agreement,
        ),
    ),
)
