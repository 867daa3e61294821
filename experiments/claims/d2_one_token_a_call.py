"""D2: one token a call is exact where a site is chosen before its token is drawn, and biased otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.decoding.speed_quality import BenchmarkParameters
from experiments.figures import DASHES, differences, headline, line, marks, new_figure
from theory.decoding.enumeration import decode, divergences
from theory.decoding.registry import parse
from theory.decoding.tables import KnownLaw
from theory.laws import JointLaw, random_law, sparse_random_law
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-12
"""Nats allowed for rounding in a divergence of two laws that are equal."""

PAIR_ROUNDING = 1e-13
"""Rounding allowed between two float64 routes to one probability."""

BIASED = 0.01
"""Nats by which a rule that looks at drawn tokens must miss p on the law where it does worst."""

REVEALED_ONLY = (
    "left-to-right",
    "random-order",
    "strided",
    "first-hitting",
    "confidence",
    "entropy",
    "margin",
    "threshold:theta=1",
    "factor:f=0",
    "entropy-bound:gamma=0",
    "klass:theta=1",
    "llada:remasking=random",
)
"""Rules that reveal one site a call and choose it without drawing its token first."""

DRAWN_FIRST = (
    "llada",
    "maskgit:sizes=uniform,tau=1",
    "threshold:theta=1,candidates=drawn",
    "factor:f=0,candidates=drawn",
    "dream",
    "p2:eta=0",
)
"""Rules that reveal one site a call and choose it by the candidates that were drawn for all sites."""

NOISES = (0.0, 0.5, 1.0, 2.0, 5.0, 20.0)
"""Gumbel noise tau of the maskgit series."""


@dataclass(frozen=True)
class Parameters(BenchmarkParameters):
    """What is varied."""

    sites: int = parameter(4, "sites N of every law", full=5, minimum=3, maximum=6)
    symbols: int = parameter(3, "symbols q of all laws but the ring, which is binary", minimum=2, maximum=4)
    pairs: int = parameter(40, "random laws of two sites for the closed form", full=400, minimum=1)


@dataclass(frozen=True)
class Error:
    """What a rule misses with one token a call: KL(p‖q) in nats, and its calls at most, on each of the laws."""

    errors: list[float]
    calls: list[float]
    rule: str = heading("rule")
    looks_at: str = heading("looks at")
    least: float = heading("least KL(p‖q) (nats)")
    largest: float = heading("largest KL(p‖q) (nats)")
    worst: str = heading("on")


@dataclass(frozen=True)
class Pair:
    """Probabilities that a rule gives to three states of a random law of two sites: enumerated, in closed form, and
    where both candidates are kept. The first of the states is where enumeration and closed form differ most."""

    rule: str
    enumerated: list[float]
    closed: list[float]
    both_kept: list[float]


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    laws = parameters.laws(parameters.sites, parameters.symbols)
    states = parameters.symbols**parameters.sites
    laws.append(random_law(parameters.sites, parameters.symbols, generator, concentration=0.3))
    laws.append(sparse_random_law(parameters.sites, parameters.symbols, generator, support=max(2, states // 3)))
    models = [KnownLaw(law) for law in laws]
    series = {
        "rules": (*REVEALED_ONLY, *DRAWN_FIRST),
        "blocks": [f"llada:block={width}" for width in range(1, parameters.sites + 1)],
        "noises": [f"maskgit:sizes=uniform,tau={tau:g}" for tau in NOISES],
    }
    found: dict[str, list[Error]] = {}
    for done, (name, texts) in enumerate(series.items()):
        progress(0.3 * done, name)
        found[name] = [_error(models, text) for text in texts]
    progress(0.9, "pairs")
    data = {"laws": [law.name for law in laws], **found, "pairs": _pairs(parameters, generator)}
    return Findings(_checks(data), Table.of(found["rules"]), data | {"sites": parameters.sites}, _learned(data))


def _error(models: Sequence[KnownLaw], text: str) -> Error:
    outputs = [decode(model, parse(text), model.sites) for model in models]
    errors = [divergences(model.law, output.law).kl for model, output in zip(models, outputs, strict=True)]
    worst = int(np.argmax(errors))
    looks = "drawn tokens" if text in DRAWN_FIRST else "revealed tokens or nothing"
    calls = [output.worst_calls for output in outputs]
    return Error(errors, calls, text, looks, min(errors), errors[worst], models[worst].law.name)


def _pairs(parameters: Parameters, generator: np.random.Generator) -> list[Pair]:
    found = []
    for _ in range(parameters.pairs):
        law = random_law(2, parameters.symbols, generator, concentration=0.5)
        for text, noise in (("llada", 0.0), ("maskgit:sizes=uniform,tau=1", 0.5)):
            enumerated, closed = decode(KnownLaw(law), parse(text), 2).law.table.ravel(), pair_law(law, noise).ravel()
            both = np.outer(law.table.sum(axis=1), law.table.sum(axis=0)).ravel()
            places = [int(np.abs(enumerated - closed).argmax()), 0, 1]
            found.append(Pair(text, *(table[places].tolist() for table in (enumerated, closed, both))))
    return found


def _learned(data: Mapping[str, Any]) -> str:
    exact, biased = ([row for row in data["rules"] if row.rule in group] for group in (REVEALED_ONLY, DRAWN_FIRST))
    least, most = (choose(biased, key=lambda row: row.largest) for choose in (min, max))
    (alone, *_, whole), (quiet, *_, noisy) = data["blocks"], data["noises"]
    return (
        f"With one token a call {len(exact)} rules that choose the site first miss p by at most "
        f"{max(row.largest for row in exact):.1g} nats; {len(biased)} that look at drawn tokens miss their worst law "
        f"by {least.largest:.2g} ({least.rule}) to {most.largest:.2g} nats ({most.rule}). The worst bias of llada goes "
        f"from {alone.largest:.1g} in blocks of one site to {whole.largest:.2g} in one block, that of maskgit from "
        f"{quiet.largest:.2g} without noise to {noisy.largest:.2g} at τ = {NOISES[-1]:g}."
    )


def pair_law(law: JointLaw, noise: float) -> np.ndarray:
    """q(x) for two sites, one token a call, the likelier candidate first, shape [q, q].

    Candidates a ~ p_0 and b ~ p_1; site 0 is first if p_0(a) >= p_1(b), or with Gumbel noise s with probability
    p_0(a)^(1/s) / (p_0(a)^(1/s) + p_1(b)^(1/s)); the other site is then drawn anew given the first:
    q(a, b) = P(a first) p(b | a) + P(b first) p(a | b).
    """
    first, second = law.table.sum(axis=1), law.table.sum(axis=0)
    if noise == 0:
        # Ties go to the lower site.
        wins = (np.round(first, 12)[:, None] >= np.round(second, 12)[None, :]).astype(float)
    else:
        left, right = first[:, None] ** (1 / noise), second[None, :] ** (1 / noise)
        wins = left / (left + right)
    drawn = first[:, None] * second[None, :]
    with np.errstate(invalid="ignore"):
        given_first = np.nan_to_num(law.table / first[:, None])
        given_second = np.nan_to_num(law.table / second[None, :])
    chosen_first = (drawn * wins).sum(axis=1)
    chosen_second = (drawn * (1 - wins)).sum(axis=0)
    return np.asarray(chosen_first[:, None] * given_first + chosen_second[None, :] * given_second)


def _checks(data: Mapping[str, Any]) -> list[Check]:
    rows = data["rules"]
    exact, biased = (columns([row for row in rows if row.rule in group]) for group in (REVEALED_ONLY, DRAWN_FIRST))
    blocks, noises, pairs = (columns(data[name]) for name in ("blocks", "noises", "pairs"))
    wider, noisier = (np.diff(found["errors"], axis=0) for found in (blocks, noises))
    sites = len(data["blocks"])
    return [
        Check.at_most(
            "rules that look at revealed tokens only: KL(p‖q) with one token a call",
            exact["errors"],
            0.0,
            ROUNDING,
            f"nats; {len(REVEALED_ONLY)} rules on {len(data['laws'])} laws, their tokens drawn from p_i",
        ).against("drawn tokens choose the site", float((biased["errors"] > ROUNDING).mean())),
        Check.at_least(
            "rules that look at drawn tokens: KL(p‖q) with one token a call, on the law where it is largest",
            biased["largest"],
            BIASED,
            0.0,
            "nats",
        ).against("the site is chosen first", float((exact["largest"] < BIASED).mean())),
        Check.equal(
            "what the rules say that they look at",
            [float(parse(row.rule).looks_at == "drawn") for row in rows],
            [float(row.rule in DRAWN_FIRST) for row in rows],
            0.0,
            "1: drawn tokens",
        ).by_algebra(),
        Check.equal(
            "each of them takes a call for each site, at most",
            [row.calls for row in rows],
            float(sites),
            0.0,
            "calls; tokens that are certain may come out together, so that some sequences take fewer",
        ).by_algebra(),
        Check.equal(
            "two sites, likelier candidate first: enumerated law against the closed form",
            pairs["enumerated"],
            pairs["closed"],
            PAIR_ROUNDING,
            f"probabilities; llada and maskgit with noise on {len(data['pairs']) // 2} random laws",
            wrong=("both candidates are kept", pairs["both_kept"]),
        ),
        Check.at_most(
            "llada in blocks of one site: KL(p‖q)", blocks["errors"][0], 0.0, ROUNDING, "nats; left to right"
        ).against("one block of all sites", float((blocks["errors"][-1] > ROUNDING).mean())),
        Check.at_least(
            "llada: a larger block has a larger bias",
            wider,
            0.0,
            ROUNDING,
            "nats, KL(p‖q) of blocks of B + 1 sites less that of B, on every law",
        ).against("a larger block has a smaller bias", float((wider > ROUNDING).mean())),
        Check.at_most(
            "maskgit: more noise in the ranking has a smaller bias",
            noisier,
            0.0,
            ROUNDING,
            "nats; noise is what the ranking forgets of the drawn tokens",
        ).against("more noise has a larger bias", float((noisier < -ROUNDING).mean())),
    ]


def draw_rules(data: Mapping[str, Any]) -> Figure:
    """The error of every rule on every law."""
    rows = data["rules"]
    figure, (axes,) = new_figure(width=7.6, height=5.6)
    for series, law in enumerate(data["laws"]):
        marks(axes, [row["errors"][series] for row in rows], range(len(rows)), series, law, hollow=True)
    axes.axhline(len(REVEALED_ONLY) - 0.5, color="grey", linestyle=":")
    axes.set_yticks(range(len(rows)), [row["rule"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("KL(p‖q) (nats)")
    exact, biased = ([row["largest"] for row in rows if row["rule"] in group] for group in (REVEALED_ONLY, DRAWN_FIRST))
    headline(
        figure,
        f"One token a call, {data['sites']} sites: at most {max(exact):.1g} nats where the site is chosen first (above "
        f"the dotted line; predicted 0), {min(biased):.2g} nats or more on some law where drawn tokens choose it",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_bias(data: Mapping[str, Any]) -> Figure:
    """The closed form for two sites; the bias by block and by noise."""
    figure, (left, middle, right) = new_figure(1, 3, width=11.0, height=3.8)
    groups = {}
    for text in dict.fromkeys(pair["rule"] for pair in data["pairs"]):
        pairs = columns(select(data["pairs"], rule=text))
        closed = pairs["closed"].ravel()
        groups[text.partition(":")[0]] = (closed, pairs["enumerated"].ravel(), closed)
    differences(left, groups, PAIR_ROUNDING, "probability")
    left.set(xlabel="q(x), closed form", title="two sites: enumerated law")
    left.legend(loc="center right")
    blocks, noises = (columns(data[name])["errors"] for name in ("blocks", "noises"))
    widths = np.arange(1, len(blocks) + 1)
    for series, name in enumerate(data["laws"]):
        for axes, x, errors in ((middle, widths, blocks), (right, NOISES, noises)):
            marks(axes, x, errors[:, series], series, name, hollow=True)
            line(axes, x, errors[:, series], series, dash=DASHES[series])
    middle.set(xlabel="block (sites)", ylabel="KL(p‖q) (nats)", title="llada", xticks=widths)
    right.set(xlabel="Gumbel noise τ of the ranking", ylabel="KL(p‖q) (nats)", title="maskgit, sizes uniform")
    right.set_xscale("symlog", linthresh=0.5)
    right.set_xticks(NOISES, [f"{tau:g}" for tau in NOISES])
    right.minorticks_off()
    right.set_yscale("log")
    figure.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    headline(
        figure,
        f"Choosing among drawn tokens: the largest bias is {blocks[0].max():.1g} nats in blocks of one site and "
        f"{blocks[-1].max():.2g} in one block; noise in the choice takes it from {noises[0].max():.2g} to "
        f"{noises[-1].max():.2g} nats",
    )
    return figure


CLAIM = Claim(
    id="D2",
    name="one-token-a-call",
    title="One token a call is exact if the site is chosen before its token is drawn, and biased otherwise",
    statement=(
        "Let a rule reveal one site a call, chosen from the revealed tokens and its own randomness, and draw the token "
        "from p(xᵢ | x_A). Then q = p, whatever the order: the path to x has probability p(x) times that of the "
        "order. If candidates are drawn at all hidden sites and the site is chosen by them, the kept token is no "
        "longer distributed as p(xᵢ | x_A), and q ≠ p: for two sites q(a, b) = P(a first) p(b | a) + "
        "P(b first) p(a | b), with P(a first) = p₀(a) P(p₁(b′) ≤ p₀(a)) for b′ ∼ p₁. The bias grows with the block "
        "among which the site is chosen, and falls with noise in the choice."
    ),
    source=(
        "the rules as in MaskGIT (arXiv:2202.04200), LLaDA (arXiv:2502.09992), Dream and Fast-dLLM (arXiv:2505.22618); "
        "the closed form is elementary"
    ),
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "rules",
            "KL(p‖q) of the exact output law with one token a call (markers, measured), for rules that choose a site "
            "by revealed tokens (above the dotted line; predicted: 0) and by drawn candidates (below it).",
            draw_rules,
        ),
        FigureSpec(
            "bias",
            "Left: output probabilities of two sites, enumerated less the closed form (line: rounding). Middle and "
            "right: the measured bias of choosing among drawn candidates grows with the block and falls with noise.",
            draw_bias,
        ),
    ),
)
