"""D5: what remasking, correctors and chain steps repair, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.decoding.speed_quality import BenchmarkParameters
from experiments.figures import COLOURS, DASHES, MARKERS, headline, line, logarithmic, marks, new_figure, style
from theory.chains import stationary_law
from theory.conditionals import TableConditionals
from theory.decoding.enumeration import decode, divergences
from theory.decoding.registry import parse
from theory.decoding.remasking import FlipRule
from theory.decoding.rule import Rule, Setting
from theory.decoding.tables import KnownLaw
from theory.divergences import kullback_leibler, total_variation
from theory.laws import JointLaw
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import block_gibbs, k_parallel, metropolis_hastings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROUNDING = 1e-12
"""Rounding allowed in divergences and distances of laws that are equal, and in calls."""

STEPS = (2, 4, 8, 16, 32)
"""Numbers of steps T."""

CHAIN_STEPS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
"""Steps of a chain after a decoder."""

BLIND = (
    "masked-diffusion",
    "remdm:schedule=cap,eta=0.2",
    "remdm:schedule=rescale,eta=0.2",
    "forward-backward:tail=drawn",
    "dfm:eta=1,tail=drawn",
)
"""Rules that open and close sites without looking at tokens, at rates that fall with the length of a step."""

LOOP = "remdm:schedule=loop,eta=0.05,alpha_on=0.7,tail=drawn"
"""The same at a rate that does not fall: each step of its window closes a share eta of the revealed sites."""

CONFIDENT = ("p2", "informed", "informed:tau=1", "mask-predict", "edit:theta=0.5,theta_e=0.5", "remdm:schedule=conf")
"""Rules that remask or redraw by the probabilities of drawn tokens."""

MOST_STEPS = {"remdm:schedule=conf": 4}
"""It remembers a probability for every revealed token, so that its states multiply with the steps."""

MOST_SEQUENCES = 32
"""With more sequences, rules of `MOST_STEPS` are left out."""

FALLS = 1 / 1.5
"""Largest share of KL(p || q) that may be left when T doubles, for the rules of `BLIND`, from T = 4 on."""

BIASED = 1e-5
"""Nats by which the rules of `CONFIDENT` must miss a law of independent sites at one T at least; ReMDM-conf, whose
softmax of probabilities is nearly flat, comes closest."""

BEHIND = 10.0
"""How many times the error of masked diffusion they must have at their largest T."""

CHAINS = {"k-gibbs": block_gibbs, "metropolis-hastings": metropolis_hastings, "k-parallel": k_parallel}

LIMIT = 1e-4
"""Largest total variation between k-parallel's law after the last of `CHAIN_STEPS` and its stationary law."""

SMALLEST_DRAWN = 1e-6
"""Errors below this many nats are drawn here on logarithmic axes."""


@dataclass(frozen=True)
class Parameters(BenchmarkParameters):
    """What is varied."""

    sites: int = parameter(4, "sites N of every law", full=5, minimum=3, maximum=5)
    symbols: int = parameter(2, "symbols q of all laws but the ring, which is binary", minimum=2, maximum=3)
    k: int = parameter(2, "sites masked in a step of the chains", minimum=1, maximum=5)


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    laws = parameters.laws(parameters.sites, parameters.symbols)
    generator = np.random.default_rng(seed)
    table = np.ones(())
    for site in generator.dirichlet(np.full(parameters.symbols, 2.0), size=parameters.sites):
        table = np.multiply.outer(table, site)
    laws.append(JointLaw(table, "independent sites"))
    series: list[dict[str, Any]] = []
    for done, law in enumerate(laws):
        progress(0.8 * done / len(laws), law.name)
        tried = [text for text in CONFIDENT if text not in MOST_STEPS or law.states <= MOST_SEQUENCES]
        series += [_series(law, text) for text in (*BLIND, LOOP, *tried)]
    plain = [
        total_variation(
            decode(KnownLaw(law), parse(text), 4).law.probabilities,
            decode(KnownLaw(law), parse("masked-diffusion"), 4).law.probabilities,
        )
        for law in laws
        for text in ("remdm:schedule=cap,eta=0", "remdm:schedule=rescale,eta=0")
    ]
    progress(0.8, "chains")
    chains = [_chain(laws[1], first, name, parameters.k) for first in ("one-shot", "llada") for name in CHAINS]
    data = {
        "laws": [law.name for law in laws],
        "series": series,
        "eta 0": plain,
        "chains": chains,
        "sites": parameters.sites,
    }
    return Findings(_checks(data), _table(data), data, _learned(data))


def _learned(data: Mapping[str, Any]) -> str:
    *dependent, independent = data["laws"]

    def at_last(rules: Sequence[str], law: str) -> dict[str, float]:
        return {e["rule"]: max(e["kl"][-1], 0.0) for e in data["series"] if e["law"] == law and e["rule"] in rules}

    law = dependent[1]
    blind, confident = (
        at_last([rule for rule in rules if rule not in MOST_STEPS], law) for rules in (BLIND, CONFIDENT)
    )
    alone = max(at_last((*BLIND, LOOP), independent).values())
    worst = max(confident, key=lambda rule: confident[rule])
    chains = {entry["chain"]: entry["measured"][-1] for entry in data["chains"] if entry["first"] == "one-shot"}
    return (
        f"With {STEPS[-1]} steps on the {law} rules that do not look miss p by {min(blind.values()):.2g} to "
        f"{max(blind.values()):.2g} nats, those that remask by confidence by up to {confident[worst]:.2g} ({worst}); "
        f"on independent sites the former by {alone:.1g}. After {CHAIN_STEPS[-1]} chain steps KL(q‖p) of one-shot "
        "decoding is " + ", ".join(f"{max(value, 0.0):.2g} ({name})" for name, value in chains.items()) + "."
    )


def _series(law: JointLaw, text: str) -> dict[str, Any]:
    """Errors in nats and calls of a rule for every T, and the calls predicted without its tokens."""
    model, rule = KnownLaw(law), parse(text)
    steps = [count for count in STEPS if count <= MOST_STEPS.get(text, STEPS[-1])]
    outputs = [decode(model, rule, count) for count in steps]
    apart = [divergences(law, output.law) for output in outputs]
    return {
        "law": law.name,
        "rule": text,
        "steps": steps,
        "kl": [entry.kl for entry in apart],
        "reverse_kl": [entry.reverse_kl for entry in apart],
        "calls": [output.expected_calls for output in outputs],
        "predicted_calls": [predicted_calls(rule, Setting.of(model, count)) for count in steps],
    }


def predicted_calls(rule: Rule, setting: Setting) -> float | None:
    """E calls of a rule that opens and closes sites without looking at tokens; None for others.

    The sites are independent: each is open with a probability a that follows a -> a (1 - closes) + (1 - a) opens, and a
    step needs no call if no site flips, which has probability (1 - flip)^N.
    """
    if not isinstance(rule, FlipRule) or rule.looks_at != "nothing":
        return None
    is_open, calls = 0.0, 0.0
    nothing = rule.start(setting, 1)
    for number in range(rule.flips(setting)):
        opens, closes = (min(float(rate), 1.0) for rate in rule.rates(setting, number, nothing))
        flip = (1 - is_open) * opens + is_open * closes
        calls += 1 - (1 - flip) ** setting.sites
        is_open = is_open * (1 - closes) + (1 - is_open) * opens
    return calls + (1 - is_open**setting.sites if rule.leaves_masks(setting) else 0.0)


def _chain(law: JointLaw, first: str, name: str, k: int) -> dict[str, Any]:
    """KL(q || p) after n steps of a chain on a decoder's output: enumerated, and by the chain's transition matrix."""
    model, masks = KnownLaw(law), k_uniform(law.sites, min(k, law.sites))
    chain = CHAINS[name](TableConditionals(law), masks)
    matrix, start = chain.to_dense(), decode(model, parse(first), law.sites).law.probabilities
    measured, predicted, apart = [], [], []
    for count in CHAIN_STEPS:
        text = f"{first}+{name}:k={min(k, law.sites)},times={count}" if count else first
        enumerated = decode(model, parse(text), law.sites).law.probabilities
        expected = start @ np.linalg.matrix_power(matrix, count)
        measured.append(kullback_leibler(enumerated, law.probabilities))
        predicted.append(kullback_leibler(expected, law.probabilities))
        apart.append(total_variation(enumerated, expected))
    limit = stationary_law(matrix).law
    return {
        "first": first,
        "chain": name,
        "measured": measured,
        "predicted": predicted,
        "apart": apart,
        "limit": kullback_leibler(limit, law.probabilities),
        "to_limit": total_variation(enumerated, limit),
    }


def _checks(data: Mapping[str, Any]) -> list[Check]:
    series, independent = data["series"], data["laws"][-1]

    def of(rules: Sequence[str], alone: bool) -> list[dict[str, Any]]:
        return [entry for entry in series if entry["rule"] in rules and (entry["law"] == independent) == alone]

    blind = of(BLIND, alone=False)
    confident = of(CONFIDENT, alone=False)
    diffusion = {entry["law"]: entry for entry in series if entry["rule"] == BLIND[0]}
    counted = [entry for entry in series if entry["predicted_calls"][0] is not None]
    gibbs = [entry for entry in data["chains"] if entry["chain"] != "k-parallel"]
    parallel = [entry for entry in data["chains"] if entry["chain"] == "k-parallel"]
    return [
        Check.at_most(
            "independent sites: KL(p‖q) of rules that remask without looking at tokens",
            [value for entry in of((*BLIND, LOOP), alone=True) for value in entry["kl"]],
            0.0,
            ROUNDING,
            f"nats; T = {STEPS[0]} to {STEPS[-1]}",
        ),
        Check.at_least(
            "independent sites: KL(p‖q) of rules that remask by confidence, at their worst T",
            [max(entry["kl"]) for entry in of(CONFIDENT, alone=True)],
            BIASED,
            0.0,
            "nats",
        ),
        Check.at_most(
            "without looking: KL(p‖q) against its fall when T doubles",
            [value for entry in blind for value in entry["kl"][2:]],
            [FALLS * value for entry in blind for value in entry["kl"][1:-1]],
            ROUNDING,
            f"nats, against {FALLS:.3g} times that of half the steps; {len(BLIND)} rules, laws of dependent sites",
        ),
        Check.at_least(
            "by confidence: KL(p‖q) against that of masked diffusion with as many steps",
            [entry["kl"][-1] for entry in confident if entry["rule"] not in MOST_STEPS],
            [BEHIND * diffusion[entry["law"]]["kl"][-1] for entry in confident if entry["rule"] not in MOST_STEPS],
            ROUNDING,
            f"nats, against {BEHIND:g} times that of masked diffusion, T = {STEPS[-1]}",
        ),
        Check.equal(
            "expected calls of rules that do not look, against a recursion for one site",
            [value for entry in counted for value in entry["calls"]],
            [value for entry in counted for value in entry["predicted_calls"]],
            1e-9,
            "calls",
        ),
        Check.at_most(
            "ReMDM with eta = 0 against masked diffusion: total variation", data["eta 0"], 0.0, ROUNDING, "T = 4"
        ).by_algebra(),
        Check.at_most(
            "chain steps: total variation between the enumerated law and the chain's matrix power",
            [value for entry in data["chains"] for value in entry["apart"]],
            0.0,
            ROUNDING,
        ).by_algebra(),
        Check.at_most(
            "k-Gibbs and Metropolis-Hastings steps never raise KL(q‖p)",
            [value for entry in gibbs for value in np.diff(entry["measured"])],
            0.0,
            ROUNDING,
            "nats; from one number of steps to the next",
        ),
        Check.at_most(
            "k-parallel steps end in their own stationary law: total variation",
            [entry["to_limit"] for entry in parallel],
            LIMIT,
            0.0,
            f"after {CHAIN_STEPS[-1]} steps",
        ),
        Check.at_least(
            "which is not p: KL(q‖p) that no number of steps removes",
            [entry["measured"][-1] for entry in parallel],
            [0.5 * entry["limit"] for entry in parallel],
            0.0,
            "nats, against half of that of the stationary law",
        ),
    ]


def _table(data: Mapping[str, Any]) -> Table:
    rows = []
    for entry in data["series"]:
        for count, kl, reverse, calls in zip(
            entry["steps"], entry["kl"], entry["reverse_kl"], entry["calls"], strict=True
        ):
            rows.append([entry["law"], entry["rule"], count, calls, max(kl, 0.0), max(reverse, 0.0)])
    return Table(["law", "rule", "steps T", "expected calls", "KL(p‖q) (nats)", "KL(q‖p) (nats)"], rows)


def draw_steps(data: Mapping[str, Any]) -> Figure:
    """The error against the steps, on laws of dependent sites and on independent ones; a row for each kind of rule."""
    shown = (data["laws"][1], data["laws"][2], data["laws"][-1])
    kinds = {"without looking": (*BLIND, LOOP), "by confidence": CONFIDENT}
    with style():
        figure, panels = new_figure(2, 3, width=11.0, height=8.0)
        for row, (kind, texts) in enumerate(kinds.items()):
            for axes, law in zip(panels[3 * row : 3 * row + 3], shown, strict=True):
                entries = {text: e for text in texts for e in data["series"] if (e["law"], e["rule"]) == (law, text)}
                places = logarithmic(axes, *(entry["kl"] for entry in entries.values()), floor=SMALLEST_DRAWN)
                for series, (text, entry) in enumerate(entries.items()):
                    marks(axes, entry["steps"], places(entry["kl"]), series, text, hollow=series % 2 == 1)
                    line(axes, entry["steps"], places(entry["kl"]), series, dash=DASHES[series % len(DASHES)])
                axes.set(xlabel="steps T", title=f"{law}, N = {data['sites']}", xscale="log")
                axes.set_xticks(STEPS, [str(count) for count in STEPS])
                axes.set_xticks([], minor=True)
            panels[3 * row].set_ylabel(f"KL(p‖q) (nats), remasking {kind}")
            panels[3 * row + 2].legend(fontsize=7, loc="upper right" if row == 0 else (0.42, 0.12))
        last = {
            kind: [max(e["kl"][-1], 0.0) for e in data["series"] if e["law"] == shown[0] and e["rule"] in texts]
            for kind, texts in kinds.items()
        }
        headline(
            figure,
            f"At the most steps tried, {shown[0]}: "
            + ", ".join(f"remasking {kind} costs {min(kl):.1g} to {max(kl):.1g} nats" for kind, kl in last.items()),
        )
    return figure


def draw_chains(data: Mapping[str, Any]) -> Figure:
    """What steps of a chain do to the output of two decoders."""
    positions = range(len(CHAIN_STEPS))
    with style():
        figure, panels = new_figure(1, 2, width=9.0, height=4.2)
        for axes, first in zip(panels, ("one-shot", "llada"), strict=True):
            for index, entry in enumerate(e for e in data["chains"] if e["first"] == first):
                look: dict[str, Any] = {"color": COLOURS[index]}
                axes.plot(
                    positions,
                    np.maximum(entry["measured"], SMALLEST_DRAWN),
                    MARKERS[index],
                    fillstyle="none",
                    label=f"{entry['chain']}, measured",
                    **look,
                )
                predicted = np.maximum(entry["predicted"], SMALLEST_DRAWN)
                axes.plot(positions, predicted, linestyle=DASHES[index], label="predicted by its matrix", **look)
                if entry["chain"] == "k-parallel":
                    axes.axhline(entry["limit"], color="grey", linestyle=":", label="k-parallel's stationary law")
            axes.set(xlabel="steps of the chain", title=f"after {first}, {data['laws'][1]}", yscale="log")
            axes.set_xticks(positions, [str(count) for count in CHAIN_STEPS])
        panels[0].set_ylabel("KL from the output law to p (nats)")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        ends = [
            f"{max(entry['measured'][-1], 0.0):.1g} nats ({entry['chain']})"
            for entry in data["chains"]
            if entry["first"] == "one-shot"
        ]
        headline(figure, f"KL to p after {CHAIN_STEPS[-1]} steps of a chain: " + ", ".join(ends))
    return figure


CLAIM = Claim(
    id="D5",
    name="what-remasking-repairs",
    title="Remasking without looking at tokens costs less with more steps; remasking by confidence is a bias",
    statement=(
        "(a) A rule that opens and closes sites at rates that do not depend on tokens, as ReMDM (cap, rescale, loop), "
        "the forward-backward corrector and discrete flow matching do, puts out p exactly if the sites are "
        "independent, for every T; where they depend on each other and its rates fall with the length of a step, "
        "KL(p‖q) → 0 as T grows. It needs ∑ₜ 1 − (1 − fₜ)^N calls on average, fₜ the chance that a site flips. (b) A "
        "rule that remasks by the probabilities of drawn tokens (P2, informed correctors, mask-predict, token "
        "editing, ReMDM-conf) misses p even on independent sites; on the laws tried all but ReMDM-conf, whose bias is "
        "small, stay far behind masked diffusion with as many steps. (c) Steps of k-Gibbs or "
        "Metropolis-Hastings after any decoder never raise KL(q‖p), and lower it to 0; k-parallel steps lead to their "
        "own stationary law."
    ),
    source=(
        "the rules as in ReMDM (arXiv:2503.00307), P2 (arXiv:2502.03540), arXiv:2407.21243, arXiv:1904.09324; (c) is "
        "the data processing inequality"
    ),
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "steps",
            "KL(p‖q) of the exact output law against the steps of the rule (measured): remasking without looking at "
            "tokens (above) and by confidence (below). On independent sites the former is predicted to be 0; the grey "
            f"strip holds errors below {SMALLEST_DRAWN:g} nats.",
            draw_steps,
        ),
        FigureSpec(
            "chains",
            "KL(q‖p) after steps of a chain on a decoder's output: enumerated as part of the decoder (markers, "
            "measured) and by powers of the chain's transition matrix (lines, predicted).",
            draw_chains,
        ),
    ),
)
