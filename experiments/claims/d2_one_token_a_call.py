"""D2: one token a call is exact where a site is chosen before its token is drawn, and biased otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.decoding.speed_quality import BenchmarkParameters
from experiments.figures import COLOURS, DASHES, MARKERS, differences, headline, new_figure, style
from theory.decoding.enumeration import decode, divergences
from theory.decoding.registry import parse
from theory.decoding.rule import Rule
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

FLOOR = 1e-16
"""Divergences below this are drawn here on the logarithmic axis."""


@dataclass(frozen=True)
class Parameters(BenchmarkParameters):
    """What is varied."""

    sites: int = parameter(4, "sites N of every law", full=5, minimum=3, maximum=6)
    symbols: int = parameter(3, "symbols q of all laws but the ring, which is binary", minimum=2, maximum=4)
    pairs: int = parameter(40, "random laws of two sites for the closed form", full=400, minimum=1)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    generator = np.random.default_rng(seed)
    laws = parameters.laws(parameters.sites, parameters.symbols)
    states = parameters.symbols**parameters.sites
    laws.append(random_law(parameters.sites, parameters.symbols, generator, concentration=0.3))
    laws.append(sparse_random_law(parameters.sites, parameters.symbols, generator, support=max(2, states // 3)))
    models = [KnownLaw(law) for law in laws]
    errors: dict[str, list[float]] = {}
    calls: dict[str, list[float]] = {}
    for done, text in enumerate((*REVEALED_ONLY, *DRAWN_FIRST)):
        progress(0.6 * done / (len(REVEALED_ONLY) + len(DRAWN_FIRST)), text)
        outputs = [decode(model, parse(text), parameters.sites) for model in models]
        errors[text] = [divergences(law, output.law).kl for law, output in zip(laws, outputs, strict=True)]
        calls[text] = [output.worst_calls for output in outputs]
    progress(0.6, "blocks and noise")
    blocks = _series(laws, models, [f"llada:block={width}" for width in range(1, parameters.sites + 1)])
    noises = _series(laws, models, [f"maskgit:sizes=uniform,tau={tau:g}" for tau in NOISES])
    progress(0.8, "pairs")
    pairs = _pairs(parameters, generator)
    data = {
        "laws": [law.name for law in laws],
        "errors": errors,
        "calls": calls,
        "blocks": blocks,
        "noises": noises,
        "pairs": pairs,
        "sites": parameters.sites,
    }
    return Findings(_checks(data), _table(data), data, _learned(data))


def _learned(data: Mapping[str, Any]) -> str:
    exact = max(0.0, *(error for text in REVEALED_ONLY for error in data["errors"][text]))
    biased = {text: max(data["errors"][text]) for text in DRAWN_FIRST}
    least, most = (choose(biased, key=lambda text: biased[text]) for choose in (min, max))
    blocks = np.array(data["blocks"]).max(axis=1)
    noises = np.array(data["noises"]).max(axis=1)
    return (
        f"With one token a call {len(REVEALED_ONLY)} rules that choose the site first miss p by at most {exact:.1g} "
        f"nats; {len(DRAWN_FIRST)} that look at drawn tokens miss their worst law by {biased[least]:.2g} ({least}) to "
        f"{biased[most]:.2g} nats ({most}). The worst bias of llada goes from {max(blocks[0], 0.0):.1g} in blocks "
        f"of one site to {blocks[-1]:.2g} in one block, that of maskgit from {noises[0]:.2g} without noise to "
        f"{noises[-1]:.2g} at τ = {NOISES[-1]:g}."
    )


def _series(laws: Sequence[JointLaw], models: Sequence[KnownLaw], texts: Sequence[str]) -> list[list[float]]:
    """KL(p || q) in nats with one token a call, a row for each text and a column for each law."""
    return [
        [
            divergences(law, decode(model, parse(text), law.sites).law).kl
            for law, model in zip(laws, models, strict=True)
        ]
        for text in texts
    ]


def _pairs(parameters: Parameters, generator: np.random.Generator) -> dict[str, Any]:
    """Output laws of two sites: enumerated, and by the closed form, the state of the largest distance of each law."""
    found: dict[str, Any] = {"rule": [], "enumerated": [], "closed": []}
    for _ in range(parameters.pairs):
        law = random_law(2, parameters.symbols, generator, concentration=0.5)
        for text, noise in (("llada", 0.0), ("maskgit:sizes=uniform,tau=1", 0.5)):
            enumerated = decode(KnownLaw(law), parse(text), 2).law.table
            closed = pair_law(law, noise)
            place = np.unravel_index(int(np.abs(enumerated - closed).argmax()), closed.shape)
            found["rule"].append(text)
            found["enumerated"].append([float(enumerated[place]), *enumerated.ravel()[:2].tolist()])
            found["closed"].append([float(closed[place]), *closed.ravel()[:2].tolist()])
    return found


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
    sites = data["sites"]
    exact = [error for text in REVEALED_ONLY for error in data["errors"][text]]
    rules: dict[str, Rule] = {text: parse(text) for text in (*REVEALED_ONLY, *DRAWN_FIRST)}
    blocks, noises = np.array(data["blocks"]), np.array(data["noises"])
    return [
        Check.at_most(
            "rules that look at revealed tokens only: KL(p‖q) with one token a call",
            exact,
            0.0,
            ROUNDING,
            f"nats; {len(REVEALED_ONLY)} rules on {len(data['laws'])} laws, their tokens drawn from p_i",
        ),
        Check.at_least(
            "rules that look at drawn tokens: KL(p‖q) with one token a call, on the law where it is largest",
            [max(data["errors"][text]) for text in DRAWN_FIRST],
            BIASED,
            0.0,
            "nats",
        ),
        Check.equal(
            "what the rules say that they look at",
            [float(rule.looks_at == "drawn") for rule in rules.values()],
            [float(text in DRAWN_FIRST) for text in rules],
            0.0,
            "1: drawn tokens",
        ).by_algebra(),
        Check.equal(
            "each of them takes a call for each site, at most",
            [count for text in (*REVEALED_ONLY, *DRAWN_FIRST) for count in data["calls"][text]],
            float(sites),
            0.0,
            "calls; tokens that are certain may come out together, so that some sequences take fewer",
        ).by_algebra(),
        Check.equal(
            "two sites, likelier candidate first: enumerated law against the closed form",
            data["pairs"]["enumerated"],
            data["pairs"]["closed"],
            PAIR_ROUNDING,
            f"probabilities; llada and maskgit with noise on {len(data['pairs']['rule']) // 2} random laws",
        ),
        Check.at_most("llada in blocks of one site: KL(p‖q)", blocks[0], 0.0, ROUNDING, "nats; left to right"),
        Check.at_least(
            "llada: a larger block has a larger bias",
            np.diff(blocks, axis=0) if len(blocks) > 1 else [[0.0]],
            0.0,
            ROUNDING,
            "nats, KL(p‖q) of blocks of B + 1 sites less that of B, on every law",
        ),
        Check.at_most(
            "maskgit: more noise in the ranking has a smaller bias",
            np.diff(noises, axis=0),
            0.0,
            ROUNDING,
            "nats; noise is what the ranking forgets of the drawn tokens",
        ),
    ]


def _table(data: Mapping[str, Any]) -> Table:
    rows = [
        [text, "drawn" if text in DRAWN_FIRST else "revealed or nothing", *(max(value, 0.0) for value in values)]
        for text, values in data["errors"].items()
    ]
    return Table(["rule", "looks at", *(f"KL(p‖q) on {name} (nats)" for name in data["laws"])], rows)


def draw_rules(data: Mapping[str, Any]) -> Figure:
    """The error of every rule on every law."""
    texts = [*REVEALED_ONLY, *DRAWN_FIRST]
    with style():
        figure, (axes,) = new_figure(width=7.6, height=5.6)
        for index, name in enumerate(data["laws"]):
            values = [max(float(data["errors"][text][index]), FLOOR) for text in texts]
            axes.plot(
                values,
                range(len(texts)),
                MARKERS[index],
                color=COLOURS[index],
                fillstyle="none",
                label=name,
            )
        axes.axvline(
            ROUNDING, color="grey", linestyle="-", label=f"predicted for the upper {len(REVEALED_ONLY)}: left of this"
        )
        axes.axhline(len(REVEALED_ONLY) - 0.5, color="grey", linestyle=":")
        axes.set_xscale("log")
        axes.set_yticks(range(len(texts)), texts)
        axes.invert_yaxis()
        axes.set(
            xlabel="KL from p to the output law (nats), one token a call",
            title=f"N = {data['sites']}; above the dotted line: rules that look at revealed tokens only",
        )
        least = min(max(data["errors"][text]) for text in DRAWN_FIRST)
        headline(
            figure,
            f"One token a call: rounding where the site is chosen first, {least:.2g} nats or more on some law where "
            "drawn tokens choose it",
        )
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_bias(data: Mapping[str, Any]) -> Figure:
    """The closed form for two sites; the bias by block and by noise."""
    with style():
        figure, (left, middle, right) = new_figure(1, 3, width=11.0, height=3.8)
        groups = {}
        for text in dict.fromkeys(data["pairs"]["rule"]):
            chosen = [place for place, rule in enumerate(data["pairs"]["rule"]) if rule == text]
            closed, enumerated = (
                np.array([data["pairs"][name][place] for place in chosen], dtype=float).ravel()
                for name in ("closed", "enumerated")
            )
            groups[text] = (closed, enumerated, closed)
        differences(left, groups, PAIR_ROUNDING, "probability")
        left.set(xlabel="q(x), closed form", title="two sites: enumerated law")
        left.legend()
        widths = range(1, len(data["blocks"]) + 1)
        for index, name in enumerate(data["laws"]):
            look: dict[str, Any] = {
                "color": COLOURS[index],
                "marker": MARKERS[index],
                "linestyle": DASHES[index],
                "fillstyle": "none",
            }
            middle.plot(widths, [max(row[index], 0.0) for row in data["blocks"]], label=name, **look)
            right.plot(NOISES, [row[index] for row in data["noises"]], **look)
        middle.set(xlabel="block (sites)", ylabel="KL(p‖q) (nats)", title="llada", xticks=list(widths))
        right.set(xlabel="Gumbel noise τ of the ranking", ylabel="KL(p‖q) (nats)", title="maskgit, sizes uniform")
        right.set_xscale("symlog", linthresh=0.5)
        right.set_xticks(NOISES, [f"{tau:g}" for tau in NOISES])
        right.minorticks_off()
        right.set_yscale("log")
        figure.legend(*middle.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        headline(figure, "Bias of choosing among drawn tokens, against the block and against noise in the choice")
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
            "by revealed tokens (above the dotted line; predicted: 0 up to rounding, left of the grey line) and by "
            f"drawn candidates (below it). Smaller values are drawn at {FLOOR:g}.",
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
