"""D6: enumeration, replay and sampling agree for every decoding rule of the registry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, MARKERS, differences, headline, new_figure, style
from experiments.statistics import chi_squared_deviation, normal_limit
from theory.decoding.enumeration import Decoded, decode
from theory.decoding.registry import RULES, parse
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Predictor, Rule, Setting
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
    found: list[dict[str, Any]] = []
    left_out = []
    for done, text in enumerate(texts):
        progress(done / len(texts), text)
        rule = parse(text)
        for name, model in models.items():
            # They follow a known law of the whole sequence.
            if rule.needs in ("noise", "law") and (name == INCOMPATIBLE or rule.block):
                left_out.append([text, name])
            else:
                found.append({"rule": text, "law": name, **_compared(model, rule, parameters, generator)})
    data = {"found": found, "left out": left_out, "rows": parameters.rows}
    return Findings(_checks(data), _table(data), data, _learned(data))


def _learned(data: Mapping[str, Any]) -> str:
    found = data["found"]
    one = [entry for entry in found if entry["paths"] == "one"]
    apart = max(float(np.abs(np.subtract(entry["replayed"], entry["enumerated"])).max()) for entry in one)
    worst = max(found, key=lambda entry: entry["deviation"])
    return (
        f"{len(found)} comparisons of {data['rows']} samples with the enumerated law deviate by "
        f"{worst['deviation']:.2g} standard deviations at most ({worst['rule']}); {len(one)} replays of every sequence "
        f"differ from it by {apart:.1g} at most."
    )


def _compared(model: Predictor, rule: Rule, parameters: Parameters, generator: np.random.Generator) -> dict[str, Any]:
    """Samples and replays of one rule against its enumerated law."""
    exact = decode(model, rule, parameters.calls)
    drawn = sample(model, rule, parameters.calls, parameters.rows, generator)
    counts = np.bincount(state_index(drawn.sequences, model.symbols), minlength=model.symbols**model.sites)
    law = exact.law.probabilities
    return {
        "impossible": int(counts[law == 0].sum()),
        "deviation": _pearson(counts, law),
        "calls": exact.expected_calls,
        "calls deviation": _mean_deviation(drawn.calls, exact.expected_calls),
        "worst calls": [float(drawn.calls.max()), exact.worst_calls],
        **_replayed(model, rule, exact, parameters, generator),
    }


def _pearson(counts: NDArray[np.int64], law: Array) -> float:
    """Pearson's statistic as a standard normal deviation."""
    expected = law * counts.sum()
    rare = expected < FEWEST_EXPECTED
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    observed, wanted = observed[wanted > 0], wanted[wanted > 0]
    if len(wanted) < 2:
        return 0.0
    return float(chi_squared_deviation(((observed - wanted) ** 2 / wanted).sum(), len(wanted) - 1))


def _mean_deviation(values: Array, expected: float) -> float:
    """(mean - expected) in standard errors; where nothing varies, 0 or infinite."""
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    apart = float(values.mean()) - expected
    if error < 1e-12:
        return 0.0 if abs(apart) < 1e-9 else math.inf
    return apart / error


def _replayed(
    model: Predictor, rule: Rule, exact: Decoded, parameters: Parameters, generator: np.random.Generator
) -> dict[str, Any]:
    """q(x) along the path of x, for every x; where paths are random, the mean over them in one direction."""
    if not can_replay(rule):
        return {"paths": "none"}
    setting = Setting.of(model, parameters.calls)
    sequences = all_sequences(model.sites, model.symbols)
    law = exact.law.probabilities
    if has_one_path(rule, setting):
        replayed = np.exp(replay(model, rule, setting, sequences, generator).log_probability)
        return {"paths": "one", "replayed": replayed, "enumerated": law}
    rows = np.tile(sequences, (parameters.repeats, 1))
    products = np.exp(replay(model, rule, setting, rows, generator).log_probability).reshape(parameters.repeats, -1)
    # The mean over paths is q(x): compared in the direction of q itself, one number a repeat.
    return {"paths": "random", "path deviation": _mean_deviation(products @ law, float(law @ law))}


def _checks(data: Mapping[str, Any]) -> list[Check]:
    found = data["found"]
    one, random = ([entry for entry in found if entry["paths"] == kind] for kind in ("one", "random"))
    limit = normal_limit(FALSE_ALARM / len(found))
    two_sided = normal_limit(FALSE_ALARM / (2 * len(found)))
    rate = f"the chance that any of them fails by accident is {FALSE_ALARM:g}"
    return [
        Check.equal(
            "every rule of the registry is compared",
            len({entry["rule"].partition(":")[0] for entry in found}),
            len(RULES),
            0.0,
            "rules",
        ).by_algebra(),
        Check.at_most(
            "sampled sequences against the enumerated law: Pearson's statistic as a normal deviation",
            [entry["deviation"] for entry in found],
            limit,
            0.0,
            f"{len(found)} comparisons of {data['rows']} sequences; {rate}",
        ),
        Check.equal(
            "sampled sequences of probability zero",
            [entry["impossible"] for entry in found],
            0.0,
            0.0,
            "sequences",
        ),
        Check.at_most(
            "sampled calls against the expected calls, in standard errors",
            np.abs([entry["calls deviation"] for entry in found]),
            two_sided,
            0.0,
            rate,
        ),
        Check.at_most(
            "no sample takes more calls than the worst case",
            [entry["worst calls"][0] for entry in found],
            [entry["worst calls"][1] for entry in found],
            0.0,
            "calls",
        ),
        Check.equal(
            "rules with one path: replayed q(x) against the enumerated law, every x",
            np.concatenate([entry["replayed"] for entry in one]),
            np.concatenate([entry["enumerated"] for entry in one]),
            ROUNDING,
            f"{len(one)} rules and laws",
        ),
        Check.at_most(
            "rules with random paths: the mean of the replayed products against q(x), in standard errors",
            np.abs([entry["path deviation"] for entry in random]),
            normal_limit(FALSE_ALARM / (2 * len(random))),
            0.0,
            f"{len(random)} rules and laws; {rate}",
        ),
    ]


def _table(data: Mapping[str, Any]) -> Table:
    rows = [
        [
            entry["rule"],
            entry["law"],
            entry["calls"],
            entry["deviation"],
            entry["calls deviation"],
            entry["paths"],
        ]
        for entry in data["found"]
    ]
    columns = ["rule", "conditionals", "expected calls", "deviation of samples (σ)", "of calls (σ)", "paths of x"]
    return Table(columns, rows)


def draw_agreement(data: Mapping[str, Any]) -> Figure:
    """The deviations of samples from the enumerated law, and replay against enumeration."""
    found = data["found"]
    names = list(dict.fromkeys(entry["rule"].partition(":")[0] for entry in found))
    limit = normal_limit(FALSE_ALARM / len(found))
    replays: dict[str, tuple[Any, Any, Any]] = {}
    with style():
        figure, (left, right) = new_figure(1, 2, width=10.4, height=1.6 + 0.18 * max(len(names), 12))
        for index, law in enumerate((ZEROS, INCOMPATIBLE)):
            chosen = [entry for entry in found if entry["law"] == law]
            left.plot(
                [entry["deviation"] for entry in chosen],
                [names.index(entry["rule"].partition(":")[0]) for entry in chosen],
                MARKERS[index],
                color=COLOURS[index],
                fillstyle="none",
                label=law,
            )
            replayed = [entry for entry in chosen if entry["paths"] == "one"]
            enumerated = np.concatenate([entry["enumerated"] for entry in replayed])
            path = np.concatenate([entry["replayed"] for entry in replayed])
            replays[f"{law}, {len(replayed)} rules"] = (enumerated, path, enumerated)
        left.axvline(limit, color="grey", label="limit for all comparisons together")
        left.axvline(0, color="grey", linestyle=":", label="predicted: scattered around 0, width 1")
        left.set_yticks(range(len(names)), names)
        left.invert_yaxis()
        left.set(
            xlabel="deviation of samples from the enumerated law (σ)",
            title=f"{len(found)} comparisons of {data['rows']} sequences",
        )
        differences(right, replays, ROUNDING, "probability")
        right.set(xlabel="q(x), enumerated", title="rules with one path, every x")
        right.legend()
        most = max(float(entry["deviation"]) for entry in found)
        headline(
            figure,
            f"Samples of {len(names)} rules deviate from the enumerated laws by {most:.2g} σ at most, limit "
            f"{limit:.2g}; replays by rounding",
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
            "(markers, measured), and the limit that all of them keep together. Right: q(x) of every x replayed along "
            "its path less the enumerated law (line: what rounding allows).",
            draw_agreement,
        ),
    ),
)
