"""N7: a trained Transformer decoding in parallel beside the best product kernel, and how close training comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table, columns, heading, select
from experiments.figures import DASHES, headline, line, marks, new_figure
from experiments.learned import Learning, learn, mean_interval, untrained
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, ising_on, named_graph, product_law
from theory.masks import Listed, MaskLaw, k_uniform, uniform_ratio
from theory.parallel_decoding import (
    ProductKernel,
    block_update,
    conditional_total_correlation,
    parallel_update,
    product_divergence,
    random_product_kernel,
)
from theory.parameters import parameter
from theory.samplers import block_gibbs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

ROUNDING = 1e-9
"""Rounding allowed between two routes to the same number of nats."""

LEVEL = 0.99
"""Confidence level of each interval over networks."""

UNTRAINED = "the same networks before training"


@dataclass(frozen=True)
class Parameters:
    """What is varied."""

    ring: int = parameter(6, "sites N of the Ising ring that is updated in blocks", minimum=3, maximum=7)
    couplings: tuple[float, ...] = parameter((0.3, 0.8), "couplings J of the ring", full=(0.0, 0.3, 0.8))
    field: float = parameter(0.1, "field h of the ring")
    steps: tuple[int, ...] = parameter(
        (30, 300), "lengths of training, each with fresh samples of 64 sequences", full=(50, 200, 800), minimum=1
    )
    kernel_sites: int = parameter(3, "sites of the kernels that are imitated", minimum=2, maximum=4)
    kernel_steps: tuple[int, ...] = parameter((2,), "steps t of 2-Gibbs that are imitated", full=(1, 2, 4), minimum=1)
    seeds: int = parameter(3, "networks for each setting", full=5, minimum=2)
    width: int = parameter(16, "width of the Transformer", full=32, minimum=2)
    layers: int = parameter(1, "layers of the Transformer", minimum=1)


@dataclass(frozen=True)
class Block:
    """One Transformer as a parallel block update, told the mask; nats, for every number of masked sites.

    ``losses`` is from dense kernels, ``floors`` the conditional total correlation, ``errors`` those of the token
    conditionals, ``raw`` those before training, ``ignorant`` those of the best predictor that does not look at the
    visible sites, ``elsewhere`` the network's mean error on the law of every coupling.
    """

    coupling: float
    steps: int
    seed: int
    sizes: list[int]
    floors: list[float]
    losses: list[float]
    errors: list[float]
    raw: list[float]
    ignorant: list[float]
    elsewhere: list[float]


@dataclass(frozen=True)
class Imitation:
    """One Transformer that imitates a whole kernel: its loss in nats, beside those of the best product kernel, of the
    best one blind to x, and of the Transformer before training."""

    target: str
    seed: int
    floor: float
    ignorant: float
    raw: float
    loss: float


@dataclass(frozen=True)
class Summary:
    """What is imitated, for the reader."""

    target: str = heading("what is imitated")
    floor: float = heading("floor (nats)")
    loss: float = heading("loss of the trained Transformer (mean)")
    spread: float = heading("s.d. over networks")


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if len(set(parameters.steps)) < 2:
        raise InvalidInput("steps", parameters.steps, "at least two lengths of training are needed")
    blocks = _blocks(parameters, seed, lambda done, text: progress(0.6 * done, text))
    kernels = _kernels(parameters, seed, lambda done, text: progress(0.6 + 0.4 * done, text))
    first, last = min(parameters.steps), max(parameters.steps)
    excess = {
        steps: np.concatenate([_excess(blocks, coupling, steps) for coupling in parameters.couplings])
        for steps in (first, last)
    }
    b, k = columns(blocks), columns(kernels)
    # With every site masked there is nothing to look at.
    late, raw = ((b[name] / b["ignorant"])[b["steps"] == last, :-1] for name in ("errors", "raw"))
    seen = k["ignorant"] - k["floor"] > ROUNDING
    above, untaught = (((k[name] - k["floor"])[seen] / (k["ignorant"] - k["floor"])[seen]) for name in ("loss", "raw"))
    checks = [
        Check.at_least(
            "loss of a trained parallel step against block updates: at least the conditional total correlation",
            (b["losses"] - b["floors"]).min(axis=1),
            0.0,
            ROUNDING,
            "nats; least difference over the numbers of masked sites, for every network and length of training",
        ).by_algebra(),
        Check.equal(
            "that loss minus the errors of the token conditionals: the conditional total correlation",
            np.abs(b["losses"] - b["errors"] - b["floors"]).max(axis=1),
            0.0,
            ROUNDING,
            "nats; largest difference; dense kernels against conditionals token by token and entropies of the table",
        ).by_algebra(),
        Check.at_least(
            "loss of a trained Transformer that imitates a whole kernel: at least E TC(x′ | x)",
            k["loss"],
            k["floor"],
            ROUNDING,
            "nats; a random product kernel, whose floor is 0, and powers of 2-Gibbs; it is not told the mask",
        ).by_algebra(),
        Check.at_most(
            f"loss above the floor after {last} steps over that of the best predictor that does not look",
            late,
            1.0,
            detail="every network and number of masked sites below N; the best one that does not look loses "
            "E_K Σᵢ I(xᵢ; x_-K) above the floor, exact",
        ).against(UNTRAINED, float((raw > 1).mean())),
        Check.at_most(
            "loss above the floor of a Transformer that imitates a whole kernel, over that of the best one blind to x",
            above,
            1.0,
            detail="every network; blind to x it loses Σᵢ I(x′ᵢ; x) above the floor, exact",
        ).against(UNTRAINED, float((untaught > 1).mean())),
        Check.interval_at_most(
            f"ln of the loss above the floor after {last} training steps minus after {first}",
            mean_interval(np.log(excess[last] / excess[first]), LEVEL),
            0.0,
            f"mean over k; Student's {LEVEL:.0%} interval over networks and couplings, paired by seed",
        ),
    ]
    if len(parameters.couplings) > 1:
        checks.append(_told_apart(blocks, parameters.couplings, last))
    data = {"blocks": blocks, "kernels": kernels, "ring": parameters.ring}
    floors, losses = (b[name][b["steps"] == last].mean() for name in ("floors", "losses"))
    takeaway = (
        f"After {last} training steps a parallel step loses {losses:.3g} nats of a block update, "
        f"{floors:.3g} of which no training can remove; what it can has shrunk to "
        f"{np.mean(excess[last] / excess[first]):.2g} of its value after {first} steps."
    )
    return Findings(checks, Table.of(_summaries(blocks, kernels, last)), data, takeaway)


def _told_apart(blocks: Sequence[Block], couplings: Sequence[float], steps: int) -> Check:
    """Networks trained at another coupling are rejected: on the law of this one they lose twice as much, by seed."""
    differences: list[float] = []
    for place, coupling in enumerate(couplings):
        right = _excess(blocks, coupling, steps)
        for other in [value for value in couplings if value != coupling]:
            rows = [row for row in blocks if (row.coupling, row.steps) == (other, steps)]
            differences += [np.log(mine / row.elsewhere[place]) for mine, row in zip(right, rows, strict=True)]
    return Check.interval_at_most(
        f"ln of the loss above the floor after {steps} steps, minus that of a network trained at another coupling",
        mean_interval(differences, LEVEL),
        -float(np.log(2)),
        f"on the same law, mean over k; Student's {LEVEL:.0%} interval over pairs of networks of the same seed",
    ).against("a network trained at another coupling", float(np.mean(np.array(differences) < -np.log(2))))


def _blocks(parameters: Parameters, seed: int, progress: Progress) -> list[Block]:
    """Transformers trained to fill in masks of every size, as parallel block updates told the mask."""
    graph = named_graph("cycle", parameters.ring)
    sizes = range(1, parameters.ring + 1)
    masks = [k_uniform(parameters.ring, k) for k in sizes]
    laws = {coupling: ising_on(graph, coupling, parameters.field) for coupling in parameters.couplings}
    cases = [
        (coupling, steps, index)
        for coupling in parameters.couplings
        for steps in sorted(set(parameters.steps))
        for index in range(parameters.seeds)
    ]
    rows = []
    for done, (coupling, steps, index) in enumerate(cases):
        progress(done / len(cases), f"block updates, J = {coupling:g}, {steps} steps")
        law = laws[coupling]
        learning = Learning(width=parameters.width, layers=parameters.layers, steps=steps)
        model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
        raw = untrained(law, learning, 1000 * seed + index)
        blind = TableConditionals(product_law([law.marginal((site,)) for site in range(law.sites)]))
        rows.append(
            Block(
                coupling,
                steps,
                index,
                sizes=list(sizes),
                floors=[conditional_total_correlation(law, chosen) for chosen in masks],
                losses=[_block_loss(law, model, chosen) for chosen in masks],
                errors=[_token_errors(law, model, chosen) for chosen in masks],
                raw=[_token_errors(law, raw, chosen) for chosen in masks],
                ignorant=[_token_errors(law, blind, chosen) for chosen in masks],
                elsewhere=[
                    float(np.mean([_token_errors(other, model, chosen) for chosen in masks])) for other in laws.values()
                ],
            )
        )
    return rows


def _block_loss(law: JointLaw, model: ConditionalModel, masks: MaskLaw) -> float:
    """E_K E_{x~p} KL(block update || the model's parallel step), in nats, from dense kernels."""
    return float(
        sum(
            chance * (law.probabilities @ product_divergence(block_update(law, mask), parallel_update(model, mask)))
            for mask, chance in zip(masks.masks, masks.probabilities, strict=True)
        )
    )


def _token_errors(law: JointLaw, model: ConditionalModel, masks: MaskLaw) -> float:
    """E_K sum_{i in K} E KL(p(x_i | x_{-K}) || the model's), in nats."""
    exact, total = TableConditionals(law), 0.0
    for mask, chance in zip(masks.masks, masks.probabilities, strict=True):
        divergences = rel_entr(exact.token_conditionals(mask), model.token_conditionals(mask)).sum(axis=(0, 2))
        total += chance * float(law.context_probabilities(mask) @ divergences)
    return total


def _kernels(parameters: Parameters, seed: int, progress: Progress) -> list[Imitation]:
    """Transformers that see x and predict x′ ~ R(x, ·), every token of it at once."""
    sites = parameters.kernel_sites
    law = ising_on(named_graph("path", sites), max(parameters.couplings), parameters.field)
    step = block_gibbs(TableConditionals(law), k_uniform(sites, 2)).to_dense()
    product = random_product_kernel(sites, 2, np.random.default_rng([seed, 1]))
    targets = {"random product kernel": product.to_matrix()}
    targets |= {f"2-Gibbs, t = {t}": np.linalg.matrix_power(step, t) for t in parameters.kernel_steps}
    learning = Learning(width=parameters.width, layers=parameters.layers, steps=max(parameters.steps))
    # One law of 2N sites, the present sequence and the next; the mask is always the next one.
    after = tuple(range(sites, 2 * sites))
    masks = Listed(2 * sites, (after,), np.ones(1), "next sequence")
    rows = []
    for done, (name, target) in enumerate(targets.items()):
        pairs = JointLaw((law.probabilities[:, None] * target).reshape((2,) * (2 * sites)), name)
        floor = pairs.total_correlation(after, range(sites))
        ignorant = floor + sum(pairs.mutual_information((site,), range(sites)) for site in after)
        for index in range(parameters.seeds):
            progress((done + index / parameters.seeds) / len(targets), f"imitating {name}")
            models = (
                untrained(pairs, learning, 1000 * seed + index),
                learn(pairs, masks, learning, 1000 * seed + index),
            )
            kernels = (ProductKernel(model.token_conditionals(after).transpose(1, 0, 2)) for model in models)
            losses = [float(law.probabilities @ product_divergence(target, kernel)) for kernel in kernels]
            rows.append(Imitation(name, index, floor, ignorant, *losses))
    return rows


def _excess(blocks: Sequence[Block], coupling: float, steps: int) -> Array:
    """Loss above the floor, by the errors of the token conditionals, mean over mask sizes, for every network."""
    return np.array([np.mean(row.errors) for row in blocks if (row.coupling, row.steps) == (coupling, steps)])


def _summaries(blocks: Sequence[Block], kernels: Sequence[Imitation], steps: int) -> list[Summary]:
    found: dict[str, tuple[float, list[float]]] = {}
    for block in blocks:
        if block.steps == steps:
            for k, floor, loss in zip(block.sizes, block.floors, block.losses, strict=True):
                found.setdefault(f"block update, J = {block.coupling:g}, k = {k}", (floor, []))[1].append(loss)
    for row in kernels:
        found.setdefault(row.target, (row.floor, []))[1].append(row.loss)
    return [
        Summary(name, max(0.0, floor), float(np.mean(losses)), float(np.std(losses, ddof=1)))
        for name, (floor, losses) in found.items()
    ]


def draw_blocks(data: Mapping[str, Any]) -> Figure:
    """Loss of the trained parallel block update against the mask size, and its way to the floor."""
    rows = data["blocks"]
    steps = sorted({row["steps"] for row in rows})
    figure, (left, right) = new_figure(1, 2, height=3.9)
    shrunk: list[float] = []
    for index, coupling in enumerate(dict.fromkeys(row["coupling"] for row in rows)):
        last = columns(select(rows, coupling=coupling, steps=steps[-1]))
        line(left, last["sizes"][0], last["floors"][0], index, f"floor, J = {coupling:g}", DASHES[index])
        marks(left, last["sizes"].ravel(), last["losses"].ravel(), index, f"trained, J = {coupling:g}")
        excess = np.array([columns(select(rows, coupling=coupling, steps=n))["errors"].mean(axis=1) for n in steps])
        line(right, steps, np.exp(np.log(excess).mean(axis=1)), index, dash=DASHES[index])
        marks(right, np.repeat(steps, excess.shape[1]), excess.ravel(), index)
        shrunk += (excess[-1] / excess[0]).tolist()
    left.set(xlabel="masked sites k", ylabel="loss against the block update (nats)", xticks=rows[0]["sizes"])
    left.set_title(f"ring of {data['ring']} sites, {steps[-1]} training steps")
    right.set(xscale="log", yscale="log", xlabel="training steps", ylabel="loss above the floor, mean over k (nats)")
    right.set_xticks(steps, [str(count) for count in steps])
    right.minorticks_off()
    right.set_title("how close training comes")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    headline(
        figure,
        f"After {steps[-1]} training steps the loss above the total correlation, which no training removes, is "
        f"{np.mean(shrunk):.2g} of what it was after {steps[0]}",
    )
    return figure


def draw_kernels(data: Mapping[str, Any]) -> Figure:
    """Loss of Transformers that imitate whole kernels, beside the floor of each and what being blind to x costs."""
    rows = data["kernels"]
    names = list(dict.fromkeys(row["target"] for row in rows))
    figure, (axes,) = new_figure(width=6.0, height=3.6)
    for place, name in enumerate(names):
        c = columns(select(rows, target=name))
        first = place == 0
        for level, dash, text in (("floor", "-", "floor: E TC(x′ | x)"), ("ignorant", "--", "best kernel blind to x")):
            label = f"predicted {text}" if first else None
            line(axes, [place - 0.3, place + 0.3], [c[level][0]] * 2, 0, label, dash)
        marks(axes, [place] * len(c["loss"]), c["loss"], 1, "trained Transformer (one mark each)" if first else None)
    axes.set(ylabel="loss against the kernel (nats)", ylim=(0, None), xlim=(-0.6, len(names) - 0.4))
    axes.set_xticks(range(len(names)), names)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1)
    c = columns(rows)
    above, blind = c["loss"] - c["floor"], c["ignorant"] - c["floor"]
    headline(
        figure,
        f"Trained Transformers are {above.min():.2g} to {above.max():.2g} nats above the floor of their kernel, "
        f"{(above / blind)[blind > ROUNDING].max():.0%} at most of what a kernel blind to x loses",
    )
    return figure


CLAIM = Claim(
    id="N7",
    name="trained-transformer-against-product-kernels",
    title="A trained Transformer's parallel step comes down to the loss of the best product kernel, and no further",
    statement=(
        "One parallel step of a Transformer is a product kernel ∏ᵢ Pᵢ(x′ᵢ | x). Trained by masked prediction on an "
        "Ising ring and told the mask K, it loses against the block update E_K E KL(p(x_K | x_-K) ‖ ∏ᵢ Pᵢ) = "
        "E_K TC(x_K | x_-K) + E_K Σᵢ E KL(p(xᵢ | x_-K) ‖ Pᵢ): at least the conditional total correlation, and what "
        "training removes is the second term. Trained to imitate a whole kernel R it loses at least E TC(x′ | x), "
        "which is 0 for a product kernel and positive for powers of 2-Gibbs. In both cases it loses less than the best "
        "predictor that does not look at what it sees, which loses the mutual information of each token with it more."
    ),
    source="Li et al. 2024 (arXiv:2407.21046), section 4; exact loss as in C7",
    parameters=Parameters,
    compute=compute,
    figures=(
        FigureSpec(
            "blocks",
            "Left: loss of trained Transformers as parallel block updates (marks, one for each network) and the "
            "conditional total correlation, below which no product kernel comes (lines). Right: what is left above "
            "that floor against the length of training (marks: one for each network, lines: geometric mean).",
            draw_blocks,
        ),
        FigureSpec(
            "kernels",
            "Transformers trained to imitate a whole kernel from its samples: loss (marks, measured), the least that a "
            "product kernel can lose (solid, predicted; 0 for the product kernel), and what the best kernel that does "
            "not depend on x loses (dashed, predicted).",
            draw_kernels,
        ),
    ),
)
