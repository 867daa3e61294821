"""N7: a trained Transformer decoding in parallel beside the best product kernel, and how close training comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from experiments.claim import Check, Claim, FigureSpec, Findings, Progress, Table
from experiments.figures import COLOURS, DASHES, MARKERS, headline, new_figure, style
from experiments.learned import Learning, learn, mean_interval
from theory.conditionals import ConditionalModel, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw, ising_on, named_graph
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


def compute(parameters: Parameters, seed: int, progress: Progress) -> Findings:
    """See `CLAIM`."""
    if len(set(parameters.steps)) < 2:
        raise InvalidInput("steps", parameters.steps, "at least two lengths of training are needed")
    blocks = _blocks(parameters, seed, lambda done, text: progress(0.6 * done, text))
    kernels = _kernels(parameters, seed, lambda done, text: progress(0.6 + 0.4 * done, text))
    first, last = min(parameters.steps), max(parameters.steps)
    excess = [
        {steps: _excess(blocks, coupling, steps)[index] for steps in (first, last)}
        for coupling in parameters.couplings
        for index in range(parameters.seeds)
    ]
    checks = [
        Check.at_least(
            "loss of a trained parallel step against block updates: at least the conditional total correlation",
            [row["losses"] for row in blocks],
            [row["floors"] for row in blocks],
            ROUNDING,
            "nats; every network, length of training and number of masked sites",
        ).by_algebra(),
        Check.equal(
            "that loss minus the errors of the token conditionals: the conditional total correlation",
            [row["losses"] - row["errors"] for row in blocks],
            [row["floors"] for row in blocks],
            ROUNDING,
            "nats; dense kernels against conditionals token by token and entropies of the joint table",
        ).by_algebra(),
        Check.at_least(
            "loss of a trained Transformer that imitates a whole kernel: at least E TC(x′ | x)",
            [row["loss"] for row in kernels],
            [row["floor"] for row in kernels],
            ROUNDING,
            "nats; a random product kernel, whose floor is 0, and powers of 2-Gibbs; it is not told the mask",
        ).by_algebra(),
        Check.interval_at_most(
            f"ln of the loss above the floor after {last} training steps minus after {first}",
            mean_interval([np.log(rest[last] / rest[first]) for rest in excess], LEVEL),
            0.0,
            f"mean over k; Student's {LEVEL:.0%} interval over networks and couplings, paired by seed",
        ),
    ]
    if len(parameters.couplings) > 1:
        checks.append(_told_apart(blocks, parameters.couplings, last))
    data = {"blocks": blocks, "kernels": kernels, "ring": parameters.ring}
    floors, losses = (np.array([row[name] for row in blocks if row["steps"] == last]) for name in ("floors", "losses"))
    takeaway = (
        f"After {last} training steps a parallel step loses {losses.mean():.3g} nats of a block update, "
        f"{floors.mean():.3g} of which no training can remove; what it can has shrunk to "
        f"{np.mean([rest[last] / rest[first] for rest in excess]):.2g} of its value after {first} steps."
    )
    return Findings(checks, _table(blocks, kernels, last), data, takeaway)


def _told_apart(blocks: list[dict[str, Any]], couplings: Sequence[float], steps: int) -> Check:
    """Networks trained at another coupling are rejected: on the law of this one they lose twice as much, by seed."""
    differences = []
    for place, coupling in enumerate(couplings):
        right = _excess(blocks, coupling, steps)
        for other in [value for value in couplings if value != coupling]:
            rows = [row for row in blocks if (row["coupling"], row["steps"]) == (other, steps)]
            differences += [np.log(mine / row["elsewhere"][place]) for mine, row in zip(right, rows, strict=True)]
    return Check.interval_at_most(
        f"ln of the loss above the floor after {steps} steps, minus that of a network trained at another coupling",
        mean_interval(differences, LEVEL),
        -float(np.log(2)),
        f"on the same law, mean over k; Student's {LEVEL:.0%} interval over pairs of networks of the same seed",
    ).against("a network trained at another coupling", float(np.mean(np.array(differences) < -np.log(2))))


def _blocks(parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Transformers trained to fill in masks of every size, as parallel block updates told the mask."""
    graph = named_graph("cycle", parameters.ring)
    sizes = range(1, parameters.ring + 1)
    cases = [
        (coupling, steps, index)
        for coupling in parameters.couplings
        for steps in sorted(set(parameters.steps))
        for index in range(parameters.seeds)
    ]
    rows = []
    for done, (coupling, steps, index) in enumerate(cases):
        progress(done / len(cases), f"block updates, J = {coupling:g}, {steps} steps")
        law = ising_on(graph, coupling, parameters.field)
        learning = Learning(width=parameters.width, layers=parameters.layers, steps=steps)
        model = learn(law, uniform_ratio(law.sites), learning, 1000 * seed + index)
        masks = [k_uniform(law.sites, k) for k in sizes]
        rows.append(
            {
                "coupling": coupling,
                "steps": steps,
                "seed": index,
                "sizes": list(sizes),
                "floors": np.array([conditional_total_correlation(law, chosen) for chosen in masks]),
                "losses": np.array([_block_loss(law, model, chosen) for chosen in masks]),
                "errors": np.array([_token_errors(law, model, chosen) for chosen in masks]),
                "elsewhere": [
                    float(np.mean([_token_errors(other, model, chosen) for chosen in masks]))
                    for other in (ising_on(graph, value, parameters.field) for value in parameters.couplings)
                ],
            }
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


def _kernels(parameters: Parameters, seed: int, progress: Progress) -> list[dict[str, Any]]:
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
        for index in range(parameters.seeds):
            progress((done + index / parameters.seeds) / len(targets), f"imitating {name}")
            tokens = learn(pairs, masks, learning, 1000 * seed + index).token_conditionals(after)
            kernel = ProductKernel(tokens.transpose(1, 0, 2))
            loss = float(law.probabilities @ product_divergence(target, kernel))
            rows.append({"target": name, "seed": index, "floor": floor, "loss": loss})
    return rows


def _excess(blocks: list[dict[str, Any]], coupling: float, steps: int) -> Array:
    """Loss above the floor, by the errors of the token conditionals, mean over mask sizes, for every network."""
    chosen = [row for row in blocks if (row["coupling"], row["steps"]) == (coupling, steps)]
    return np.array([float(np.mean(row["errors"])) for row in chosen])


def _table(blocks: list[dict[str, Any]], kernels: list[dict[str, Any]], steps: int) -> Table:
    columns = ["what is imitated", "floor (nats)", "loss of the trained Transformer (mean)", "s.d. over networks"]
    table: list[list[Any]] = []
    for coupling in dict.fromkeys(row["coupling"] for row in blocks):
        chosen = [row for row in blocks if (row["coupling"], row["steps"]) == (coupling, steps)]
        losses = np.array([row["losses"] for row in chosen])
        for place, k in enumerate(chosen[0]["sizes"]):
            mean, spread = float(losses[:, place].mean()), float(losses[:, place].std(ddof=1))
            floor = max(0.0, float(chosen[0]["floors"][place]))
            table.append([f"block update, J = {coupling:g}, k = {k}", floor, mean, spread])
    for name in dict.fromkeys(row["target"] for row in kernels):
        values = np.array([row["loss"] for row in kernels if row["target"] == name])
        floor = max(0.0, next(row["floor"] for row in kernels if row["target"] == name))
        table.append([name, floor, float(values.mean()), float(values.std(ddof=1))])
    return Table(columns, table)


def draw_blocks(data: Mapping[str, Any]) -> Figure:
    """Loss of the trained parallel block update against the mask size, and its way to the floor."""
    rows = data["blocks"]
    steps = sorted({row["steps"] for row in rows})
    with style():
        figure, (left, right) = new_figure(1, 2)
        for index, coupling in enumerate(dict.fromkeys(row["coupling"] for row in rows)):
            chosen = [row for row in rows if (row["coupling"], row["steps"]) == (coupling, steps[-1])]
            colour = COLOURS[index % 8]
            left.plot(
                chosen[0]["sizes"],
                chosen[0]["floors"],
                linestyle=DASHES[index % 8],
                color=colour,
                label=f"total correlation, J = {coupling:g}",
            )
            for place, row in enumerate(chosen):
                left.plot(
                    row["sizes"],
                    row["losses"],
                    MARKERS[index % 8],
                    color=colour,
                    alpha=0.6,
                    label=f"trained, J = {coupling:g}" if place == 0 else None,
                )
            excess = [_excess(rows, coupling, count) for count in steps]
            middle = [np.exp(np.log(values).mean()) for values in excess]
            right.plot(steps, middle, linestyle=DASHES[index % 8], color=colour, label=f"J = {coupling:g}")
            for count, values in zip(steps, excess, strict=True):
                right.plot([count] * len(values), values, MARKERS[index % 8], color=colour, alpha=0.6)
        left.set(xlabel="masked sites k", ylabel="loss against the block update (nats)")
        left.set_xticks(rows[0]["sizes"])
        left.set_title(f"ring of {data['ring']} sites, {steps[-1]} training steps")
        right.set(
            xscale="log", yscale="log", xlabel="training steps", ylabel="loss above the floor, mean over k (nats)"
        )
        right.set_xticks(steps, [str(count) for count in steps])
        right.minorticks_off()
        right.set_title("how close training comes")
        for axes in (left, right):
            axes.legend(fontsize=7)
        last = [row for row in rows if row["steps"] == steps[-1]]
        gone = np.exp(
            np.mean(
                [
                    np.log(
                        np.mean(_excess(rows, row["coupling"], steps[-1]))
                        / np.mean(_excess(rows, row["coupling"], steps[0]))
                    )
                    for row in last
                ]
            )
        )
        headline(
            figure,
            f"After {steps[-1]} training steps the loss above the total correlation, which no training removes, is "
            f"{gone:.2g} of what it was after {steps[0]}",
        )
    return figure


def draw_kernels(data: Mapping[str, Any]) -> Figure:
    """Loss of Transformers that imitate whole kernels, beside the floor of each."""
    rows = data["kernels"]
    names = list(dict.fromkeys(row["target"] for row in rows))
    with style():
        figure, (axes,) = new_figure(width=6.0, height=3.4)
        floors = [next(row["floor"] for row in rows if row["target"] == name) for name in names]
        axes.bar(names, floors, width=0.6, color="0.85", edgecolor="0.3", label="predicted floor: E TC(x′ | x)")
        for place, name in enumerate(names):
            losses = [row["loss"] for row in rows if row["target"] == name]
            label = "trained Transformer (one mark for each network)" if place == 0 else None
            axes.plot([place] * len(losses), losses, MARKERS[1], color=COLOURS[1], alpha=0.6, label=label)
        axes.set(ylabel="loss against the kernel (nats)")
        axes.set_ylim(0, 1.05 * max(row["loss"] for row in rows))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=1, fontsize=7)
        above = [row["loss"] - row["floor"] for row in rows]
        headline(
            figure,
            f"Trained Transformers are {min(above):.2g} to {max(above):.2g} nats above the floor of their kernel",
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
        "which is 0 for a product kernel and positive for powers of 2-Gibbs."
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
            "Transformers trained to imitate a whole kernel from its samples: loss (marks, measured) and the least "
            "that a product kernel can lose (bars, predicted; 0 for the product kernel).",
            draw_kernels,
        ),
    ),
)
