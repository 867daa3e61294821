"""D5: what remasking, correctors and chain steps repair, exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.claims.d5_chains import (
    CHAIN_STEPS,
    CHAINS,
    ROUNDING,
    SMALLEST_DRAWN,
    chain_checks,
    chain_on,
    draw_chains,
    share,
)
from experiments.decoding.speed_quality import BenchmarkParameters
from experiments.figures import DASHES, headline, line, logarithmic, marks, new_figure
from theory.decoding.enumeration import decode, divergences
from theory.decoding.registry import parse
from theory.decoding.remasking import FlipRule
from theory.decoding.rule import Rule, Setting
from theory.decoding.tables import KnownLaw
from theory.divergences import total_variation
from theory.laws import JointLaw
from theory.parameters import parameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (2, 4, 8, 16, 32)
"""Numbers of steps T."""

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


@dataclass(frozen=True)
class Parameters(BenchmarkParameters):
    """What is varied."""

    sites: int = parameter(4, "sites N of every law", full=5, minimum=3, maximum=5)
    symbols: int = parameter(2, "symbols q of all laws but the ring, which is binary", minimum=2, maximum=3)
    k: int = parameter(2, "sites masked in a step of the chains", minimum=1, maximum=5)


@dataclass(frozen=True)
class Row:
    """A rule on a law with T steps; the calls predicted without its tokens, and the same if no site closed again."""

    predicted_calls: float | None
    without_closing: float | None
    law: str = heading("law")
    rule: str = heading("rule")
    steps: int = heading("steps T")
    calls: float = heading("expected calls")
    kl: float = heading("KL(p‖q) (nats)")
    reverse_kl: float = heading("KL(q‖p) (nats)")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    laws = parameters.laws(parameters.sites, parameters.symbols)
    generator = np.random.default_rng(seed)
    table = np.ones(())
    for site in generator.dirichlet(np.full(parameters.symbols, 2.0), size=parameters.sites):
        table = np.multiply.outer(table, site)
    laws.append(JointLaw(table, "independent sites"))
    rows: list[Row] = []
    plain: list[float] = []
    for done, law in enumerate(laws):
        progress(0.8 * done / len(laws), law.name)
        model = KnownLaw(law)
        tried = [text for text in CONFIDENT if text not in MOST_STEPS or law.states <= MOST_SEQUENCES]
        for text in (*BLIND, LOOP, *tried):
            rows += [_row(model, text, steps) for steps in STEPS if steps <= MOST_STEPS.get(text, STEPS[-1])]
        diffusion, *idle = (
            decode(model, parse(text), 4).law.probabilities
            for text in ("masked-diffusion", "remdm:schedule=cap,eta=0", "remdm:schedule=rescale,eta=0")
        )
        plain += [total_variation(law_of_none, diffusion) for law_of_none in idle]
    progress(0.8, "chains")
    chains = [chain_on(laws[1], first, name, parameters.k) for first in ("one-shot", "llada") for name in CHAINS]
    data = {
        "laws": [law.name for law in laws],
        "rows": rows,
        "eta 0": plain,
        "chains": chains,
        "sites": parameters.sites,
    }
    return Findings(_checks(data), Table.of(rows), data, _learned(data))


def _learned(data: Mapping[str, Any]) -> str:
    *dependent, independent = data["laws"]

    def at_last(rules: Sequence[str], law: str) -> dict[str, float]:
        return {
            row.rule: row.kl for row in data["rows"] if (row.law, row.steps) == (law, STEPS[-1]) and row.rule in rules
        }

    law = dependent[1]
    blind, confident = at_last((*BLIND, LOOP), law), at_last(CONFIDENT, law)
    alone = max(at_last((*BLIND, LOOP), independent).values())
    worst = max(confident, key=confident.__getitem__)
    ends = ", ".join(
        f"{chain.measured[-1]:.2g} ({chain.chain})" for chain in data["chains"] if chain.first == "one-shot"
    )
    return (
        f"With {STEPS[-1]} steps on the {law} rules that do not look miss p by {min(blind.values()):.2g} to "
        f"{max(blind.values()):.2g} nats, those that remask by confidence by up to {confident[worst]:.2g} ({worst}); "
        f"on independent sites the former by {alone:.1g}. After {CHAIN_STEPS[-1]} chain steps KL(q‖p) of one-shot "
        f"decoding is {ends}."
    )


def _row(model: KnownLaw, text: str, steps: int) -> Row:
    rule, setting = parse(text), Setting.of(model, steps)
    output = decode(model, rule, steps)
    apart = divergences(model.law, output.law)
    predicted, without_closing = (predicted_calls(rule, setting, closing) for closing in (True, False))
    return Row(
        predicted, without_closing, model.law.name, text, steps, output.expected_calls, apart.kl, apart.reverse_kl
    )


def predicted_calls(rule: Rule, setting: Setting, closing: bool = True) -> float | None:
    """E calls of a rule that opens and closes sites without looking at tokens; None for others.

    The sites are independent: each is open with a probability a that follows a -> a (1 - closes) + (1 - a) opens, and a
    step needs no call if no site flips, which has probability (1 - flip)^N.

    Args:
        rule, setting: what is asked.
        closing: whether open sites close; False is a falsehood that the calls must reject.
    """
    if not isinstance(rule, FlipRule) or rule.looks_at != "nothing":
        return None
    is_open, calls = 0.0, 0.0
    nothing = rule.start(setting, 1)
    for number in range(rule.flips(setting)):
        opens, closes = (min(float(rate), 1.0) for rate in rule.rates(setting, number, nothing))
        closes *= closing
        flip = (1 - is_open) * opens + is_open * closes
        calls += 1 - (1 - flip) ** setting.sites
        is_open = is_open * (1 - closes) + (1 - is_open) * opens
    return calls + (1 - is_open**setting.sites if rule.leaves_masks(setting) else 0.0)


def _checks(data: Mapping[str, Any]) -> list[Check]:
    independent = data["laws"][-1]

    def kls(rules: Sequence[str], alone: bool) -> dict[tuple[str, str], list[float]]:
        """KL(p‖q) by the steps, of each rule on each law."""
        found: dict[tuple[str, str], list[float]] = {}
        for row in data["rows"]:
            if row.rule in rules and (row.law == independent) == alone:
                found.setdefault((row.law, row.rule), []).append(row.kl)
        return found

    blind = np.array(list(kls(BLIND, alone=False).values()))
    blind_alone = np.array(list(kls((*BLIND, LOOP), alone=True).values()))
    confident, confident_alone = (kls(CONFIDENT, alone) for alone in (False, True))
    diffusion = {law: kl[-1] for (law, rule), kl in kls(BLIND[:1], alone=False).items()}
    at_last = {key: kl[-1] for key, kl in confident.items() if key[1] not in MOST_STEPS}
    others = {key: kl[-1] for key, kl in kls(BLIND[1:], alone=False).items()}
    counted = columns([row for row in data["rows"] if row.predicted_calls is not None])
    return [
        Check.at_most(
            "independent sites: KL(p‖q) of rules that remask without looking at tokens",
            blind_alone,
            0.0,
            ROUNDING,
            f"nats; T = {STEPS[0]} to {STEPS[-1]}",
        ).against("they remask by confidence", share(kl > ROUNDING for kls in confident_alone.values() for kl in kls)),
        Check.at_least(
            "independent sites: KL(p‖q) of rules that remask by confidence, at their worst T",
            [max(kl) for kl in confident_alone.values()],
            BIASED,
            0.0,
            "nats",
        ).against("they do not look at tokens", share(kl < BIASED for kl in blind_alone.max(axis=1))),
        Check.at_most(
            "without looking: KL(p‖q) against its fall when T doubles",
            blind[:, 2:],
            FALLS * blind[:, 1:-1],
            ROUNDING,
            f"nats, against {FALLS:.3g} times that of half the steps; {len(BLIND)} rules, laws of dependent sites",
            wrong=("it falls to a quarter", blind[:, 1:-1] / 4),
        ),
        Check.at_least(
            "by confidence: KL(p‖q) against that of masked diffusion with as many steps",
            list(at_last.values()),
            [BEHIND * diffusion[law] for law, _ in at_last],
            ROUNDING,
            f"nats, against {BEHIND:g} times that of masked diffusion, T = {STEPS[-1]}",
        ).against("they do not look at tokens", share(kl < BEHIND * diffusion[law] for (law, _), kl in others.items())),
        Check.equal(
            "expected calls of rules that do not look, against a recursion for one site",
            counted["calls"],
            counted["predicted_calls"],
            1e-9,
            "calls",
            wrong=("no site closes again", counted["without_closing"]),
        ),
        Check.at_most(
            "ReMDM with eta = 0 against masked diffusion: total variation", data["eta 0"], 0.0, ROUNDING, "T = 4"
        ).by_algebra(),
        *chain_checks(data["chains"]),
    ]


def short(rule: str) -> str:
    """A rule's name and what tells it from the others of its name: the value of its first option."""
    name, _, options = rule.partition(":")
    first = options.partition(",")[0].removeprefix("schedule=")
    return f"{name}, {first}" if name in ("remdm", "informed") and first else name


def draw_steps(data: Mapping[str, Any]) -> Figure:
    """The error against the steps, on laws of dependent sites and on independent ones; a row for each kind of rule."""
    shown = (data["laws"][1], data["laws"][2], data["laws"][-1])
    kinds = {"without looking": (*BLIND, LOOP), "by confidence": CONFIDENT}
    last: dict[str, list[float]] = {kind: [] for kind in kinds}
    figure, panels = new_figure(2, 3, width=11.0, height=8.0)
    for row, (kind, rules) in enumerate(kinds.items()):
        for axes, law in zip(panels[3 * row : 3 * row + 3], shown, strict=True):
            entries = {rule: columns(found) for rule in rules if (found := select(data["rows"], law=law, rule=rule))}
            drawn = logarithmic(axes, *(entry["kl"] for entry in entries.values()), floor=SMALLEST_DRAWN)
            for series, (rule, entry) in enumerate(entries.items()):
                marks(axes, entry["steps"], drawn(entry["kl"]), series, short(rule), hollow=series % 2 == 1)
                line(axes, entry["steps"], drawn(entry["kl"]), series, dash=DASHES[series % len(DASHES)])
                if law == shown[0] and rule not in MOST_STEPS:
                    last[kind].append(entry["kl"][-1])
            axes.set(xlabel="steps T", title=f"{law}, N = {data['sites']}", xscale="log")
            axes.set_xticks(STEPS, [str(count) for count in STEPS])
            axes.set_xticks([], minor=True)
        panels[3 * row].set_ylabel(f"KL(p‖q) (nats), remasking {kind}")
        panels[3 * row + 2].legend(loc="upper right" if row == 0 else (0.42, 0.12))
    costs = ", ".join(f"remasking {kind} costs {min(kl):.1g} to {max(kl):.1g} nats" for kind, kl in last.items())
    alone = max(row["kl"] for row in select(data["rows"], law=shown[-1]) if row["rule"] in kinds["without looking"])
    headline(
        figure,
        f"{STEPS[-1]} steps, {shown[0]}: {costs}; on independent sites the former costs {alone:.1g} nats at most",
    )
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
