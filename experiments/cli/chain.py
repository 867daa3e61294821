"""``gmlm chain``: one sampler on one law, analysed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from experiments.chains.law_files import ChainFiles
from experiments.chains.model_spec import ModelSpec
from experiments.cli.declared import Registered, declared_values, model_names, sampler_names
from experiments.cli.law_options import law_options
from experiments.cli.paths import FIGURES, WrittenFile
from theory.parameters import describe


@click.command()
@law_options(model_names, sites=8, files=ChainFiles)
@click.option(
    "--sampler",
    cls=Registered,
    names=sampler_names,
    default="k-gibbs",
    show_default=True,
)
@click.option("--k", type=int, default=None, help="Mask size; short for --masks k-uniform:k=K.  [default: 1]")
@click.option(
    "--masks",
    default=None,
    metavar="LAW",
    help="k-uniform:k=2, bernoulli:ratio=0.3, uniform-ratio, spans:length=3,periodic=true or blocks:of=0+1/2+3.",
)
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Conditionals^(1/T); 0 is greedy.")
@click.option("--epsilon", type=float, default=0.25, show_default=True, help="Total variation that counts as mixed.")
@click.option("--explain", is_flag=True, help="Say first which method is used, how much memory and how long it takes.")
@click.option(
    "--budget",
    type=float,
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    help="Leave out a mixing time or a spectrum that would take longer.",
)
@click.option(
    "--simulate",
    is_flag=True,
    help="Run chains instead, at any size: means with intervals, R-hat, and a bound on mixing by coupling.",
)
@click.option("--chains", type=int, default=8, show_default=True, help="With --simulate: how many.")
@click.option("--sweeps", type=int, default=1000, show_default=True, help="With --simulate: N site updates each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--plot", type=WrittenFile(*FIGURES), help="Draw the total-variation curve with bounds: .svg, .png, .pdf."
)
@click.pass_context
def chain(context: click.Context, /, **options: Any) -> None:
    """Analyse one sampler on one law: stationary law, gap, exact mixing time, bounds.

    The first line is the answer; the details follow. The mixing time is the worst case over all starting sequences. In
    JSON, a number that does not exist (a chain that never mixes, a bound that does not apply) is null.
    """
    from experiments.chains.curve import draw_curve
    from experiments.cli.output import show_json
    from experiments.figures import render, style
    from experiments.files import write_atomically
    from theory.errors import InvalidInput

    plot = options["plot"]
    given = {name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    if not 0 < options["epsilon"] < 1:
        raise InvalidInput("--epsilon", options["epsilon"], "must lie strictly between 0 and 1")
    _refuse_without_effect(options, given)
    if options["simulate"]:
        _simulate(options)
        return
    record, title = _analysed(options)
    if plot is not None and "curve" in record:
        with style():
            figure = draw_curve(record, title)
        write_atomically(plot, render(figure, plot.suffix[1:]))
    if options["as_json"]:
        show_json(record)
    else:
        _print(record, title)
    if plot is not None and "curve" not in record:
        reason = record["missing"].get("curve", record["mixing_time_reason"])
        raise InvalidInput("--plot", str(plot), f"there is no curve to draw ({reason})")


_NOT_SIMULATED = (*describe(ChainFiles), "explain", "plot")


def _refuse_without_effect(options: dict[str, Any], given: set[str]) -> None:
    """An option that would be read and not used is a misunderstanding: say so."""
    from experiments.chains.inputs import refuse_without_effect
    from theory.errors import InvalidInput

    for name in ("chains", "sweeps"):
        if name in given and not options["simulate"]:
            raise InvalidInput(f"--{name}", options[name], "goes with --simulate")
    for name in _NOT_SIMULATED:
        if name in given and options["simulate"]:
            raise InvalidInput(f"--{name}", str(options[name]), "has no effect with --simulate; leave it out")
    if options["k"] is not None and options["masks"] is not None:
        raise InvalidInput("--masks", options["masks"], "give either --k or --masks")
    files = ChainFiles(**declared_values(ChainFiles, options))
    refuse_without_effect(files, options, given, seeded=options["simulate"], flag="--")


def _analysed(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The record, and what it is about."""
    from experiments.chains.inputs import law_from_files, load_transition, source_of
    from experiments.chains.models import build_law
    from experiments.chains.plan import ChainPlan
    from experiments.chains.record import chain_record, matrix_record
    from experiments.cli.output import say
    from theory.masks import parse_masks

    def planned(plan: ChainPlan) -> None:
        if options["explain"]:
            for line in plan.lines():
                say(line, err=True)

    epsilon, budget, curve = options["epsilon"], options["budget"], options["plot"] is not None
    files = ChainFiles(**declared_values(ChainFiles, options))
    if files.transition:
        path = Path(files.transition)
        operator = load_transition(path, files.normalise)
        found = matrix_record(operator, epsilon, curve=curve, budget=budget, planned=planned)
        return {"transition": path.name, **found}, f"the chain of {path.name}, {operator.states} states"
    spec, names = None, None
    if source_of(files) is None:
        spec = ModelSpec(**declared_values(ModelSpec, options))
        law = build_law(spec)
    else:
        law, names = law_from_files(files, options["coupling"], options["field"])
    sampler = options["sampler"]
    text = options["masks"] if options["k"] is None else f"k-uniform:k={options['k']}"
    masks = None if text is None else parse_masks(text, law.sites)
    found = chain_record(
        law,
        sampler,
        masks,
        options["temperature"],
        epsilon,
        spec=spec,
        names=names,
        curve=curve,
        budget=budget,
        planned=planned,
    )
    about = {
        "law": law.name,
        "sites": law.sites,
        "symbols": law.symbols,
        "sampler": sampler,
        "masks": text,
        "temperature": options["temperature"],
        **({} if names is None else {"site_names": names}),
    }
    return {**about, **found}, f"{sampler}{'' if text is None else ' ' + text} on {law.name}, N = {law.sites}"


def _simulate(options: dict[str, Any]) -> None:
    """Chains at any size, and what they say."""
    from experiments.chains.simulation import simulation_record
    from experiments.cli.output import say, show_json, show_table
    from experiments.plain import format_number

    text = options["masks"] if options["k"] is None else f"k-uniform:k={options['k']}"
    found = simulation_record(
        ModelSpec(**declared_values(ModelSpec, options)),
        options["sampler"],
        text,
        options["temperature"],
        options["epsilon"],
        chains=options["chains"],
        sweeps=options["sweeps"],
        budget=options["budget"],
        seed=options["seed"],
    )
    about = {name: options[name] for name in ("model", "sites", "sampler", "temperature", "seed")} | {"masks": text}
    if options["as_json"]:
        show_json({**about, **found})
        return
    upper = found["mixing_time_upper"]
    r_hat = max((entry["r_hat"] or float("inf") for entry in found["statistics"].values()), default=float("inf"))
    apart = f"the chains do not agree (R-hat {r_hat:.4g}, above 1.01): run more sweeps before a mean is trusted"
    met = "the chains agree" if found["converged"] else apart
    bound = f"mixes within {upper} steps" if upper is not None else "no bound on the mixing time"
    title = f"{options['sampler']} on {options['model']}, N = {options['sites']}"
    say(f"{title}: {met}; {bound} ({found['coupling_reason']}).")
    say(f"{found['chains']} chains, {found['sweeps']} sweeps of {options['sites']} sites, {found['seconds']:.1f} s")
    columns = ("", "mean", "95% interval", "effective draws", "R-hat", "exact")
    rows = [
        (
            name,
            format_number(entry["mean"]),
            " .. ".join(format_number(end) for end in entry["interval"]),
            format_number(entry["effective_draws"]),
            format_number(entry["r_hat"]),
            format_number(entry["exact"]),
        )
        for name, entry in found["statistics"].items()
    ]
    show_table(columns, rows, columns[1:])


def _print(record: dict[str, Any], title: str) -> None:
    from experiments.chains.answer import answer, details
    from experiments.cli.output import say, show_table
    from experiments.plain import format_number

    say(f"{title}: {answer(record)}")
    rows = []
    for name, value, meaning in details(record):
        ends = isinstance(value, tuple)
        shown = f"{format_number(value[0])} .. {format_number(value[1])}" if ends else format_number(value)
        rows.append((name, shown, meaning))
    show_table(("", "", ""), rows)
    if record["classes"]:
        columns = [name.replace("_", " ") for name in record["classes"][0]]
        listed = [[format_number(value) for value in entry.values()] for entry in record["classes"]]
        show_table(columns, listed, columns, "closed classes, heaviest first")
