"""``gmlm diagnose``: what is likely to fail, ranked, and what to try."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from experiments.chains.model_spec import ModelSpec
from experiments.cli.declared import declared_values, length_model_names
from experiments.cli.law_options import corpus_options, law_options, read_law
from experiments.cli.paths import FIGURES, WrittenFile
from theory.parameters import describe

if TYPE_CHECKING:
    from experiments.diagnosis.findings import Diagnosis

_OF_MODELS = tuple(describe(ModelSpec))
_OF_FILES = {
    "table": ("table",),
    "couplings": ("couplings", "fields"),
    "edges": ("edges", "coupling", "field"),
    "corpus": ("corpus", "sites", "order", "smoothing", "alphabet"),
}
"""The options that name a law, by the one that names its file."""

_OF_WINDOWS = ("mlm", "sequence", "region", "alphabet")
_OF_TRANSLATORS = ("t5", "source", "target", "limit", "steps")
_SETTINGS = ("decoder", "calls", "k", "data", "budget")
"""Of all but translators."""

_EVERY = dict.fromkeys(
    (*_OF_MODELS, *(name for names in _OF_FILES.values() for name in names), *_OF_WINDOWS, *_OF_TRANSLATORS, *_SETTINGS)
)


@click.command()
@law_options(length_model_names, sites=8)
@corpus_options("A text file, whose character model is the law.")
@click.option("--mlm", type=click.Path(path_type=Path), help="A masked network's folder, as for `gmlm mlm window`.")
@click.option("--sequence", metavar="FASTA|TEXT", help="With --mlm: the sequence around the window.")
@click.option("--region", metavar="103:105", help="With --mlm: sites of the window from 0, the end left out; or 3,5.")
@click.option(
    "--alphabet",
    default=None,
    help="With --corpus: letters (a to z and a space) or all. With --mlm: aa, top:K or a file.",
)
@click.option("--t5", type=click.Path(path_type=Path), help="A translation checkpoint, as for `gmlm t5 evaluate`.")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="With --t5: sentences, or sentence TAB reference.  [default: the synthetic language of `gmlm t5 train`]",
)
@click.option("--target", type=click.Path(path_type=Path), help="With --t5: the references of --source, line by line.")
@click.option("--limit", type=int, default=200, show_default=True, help="With --t5: the first so many pairs.")
@click.option("--steps", type=int, default=4, show_default=True, help="With --t5: refinement steps.")
@click.option(
    "--decoder", default="confidence", show_default=True, metavar="NAME[:OPTION=VALUE,...]", help="The rule you use."
)
@click.option("--calls", type=int, default=None, help="Network calls for a sequence.  [default: one for four sites]")
@click.option("--k", type=int, default=1, show_default=True, help="Sites of a mask, in sampling and in learning.")
@click.option("--data", type=int, default=None, help="Sequences that there are to learn from.")
@click.option(
    "--budget",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="For each exact mixing time; beyond, bounds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--figure", type=WrittenFile(*FIGURES), help="Draw the ranking: a .svg, .png or .pdf file.")
@click.pass_context
def diagnose(context: click.Context, as_json: bool, figure: Path | None, **options: Any) -> None:
    """What is likely to fail with a law, a masked network or a translator, ranked, and what to try.

    Slow mixing, independent parallel steps, parallel decoding, the order of unmasking, ties, rules that draw before
    they choose, incompatible conditionals, masks that teach little, too few sequences; of translators stutter,
    lengths, updates of tokens that are seen, too few steps. Each has a number in its own unit, the threshold from
    which on it matters, its claim, and a command to try. A severity is the number over the threshold. The first
    line is the answer.

    \b
    gmlm diagnose --model strong-clique --clique 6 --coupling 1 --field 0.05
    gmlm diagnose --table law.npy --decoder llada --calls 2 --data 1000
    gmlm diagnose --corpus text.txt --sites 64 --figure ranking.svg
    gmlm diagnose --mlm FOLDER --sequence EVQLV... --region 103:105
    gmlm diagnose --t5 FOLDER --source test.tsv --steps 4
    """
    from experiments.cli.output import show_json
    from experiments.cli.progress import progress
    from experiments.diagnosis.drawing import draw_diagnosis
    from experiments.figures import render
    from experiments.files import write_atomically

    given = {name for name in options if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    _refuse_without_effect(options, given)
    with progress("diagnosing") as shown:

        def say(text: str) -> None:
            shown.update(shown.done + 1, text=text, now=True)

        if options["t5"] is not None:
            found = _translator(options, say)
        else:
            found = _window(options, say) if options["mlm"] is not None else _law(options, given, say)
    if figure is not None:
        write_atomically(figure, render(draw_diagnosis(found.record()), figure.suffix[1:]))
    if as_json:
        show_json(found.record())
    else:
        _print(found)


def _source(options: dict[str, Any]) -> str | None:
    """The option that names what is diagnosed; None for a model."""
    return next((name for name in (*_OF_FILES, "mlm") if options[name]), None)


def _refuse_without_effect(options: dict[str, Any], given: set[str]) -> None:
    """An option that would be read and not used is a misunderstanding: say so."""
    from experiments.chains.inputs import refuse_two, refuse_unused
    from experiments.chains.models import MODELS, used_fields

    sources = [name for name in (*_OF_FILES, "mlm", "t5") if options[name]]
    refuse_two(sources, options, "--")
    if sources:
        named = {"mlm": _OF_WINDOWS, "t5": _OF_TRANSLATORS, **_OF_FILES}[sources[0]]
        used, why = set(named), f"with --{sources[0]}"
    else:
        model = options["model"]
        used = {"model", *used_fields(model, options["graph"])} if model in MODELS else set(_OF_MODELS)
        why = f"on the model {model}"
    used |= set() if sources == ["t5"] else set(_SETTINGS)
    refuse_unused(_EVERY, given, used, options, why, "--")


def _numbers(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _SETTINGS}


def _law(options: dict[str, Any], given: set[str], say: Any) -> Diagnosis:
    from experiments.chains.models import MODELS
    from experiments.diagnosis.commands import Commands
    from experiments.diagnosis.subjects import diagnose

    source = _source(options)
    named = _OF_FILES[source] if source else _OF_MODELS
    # Defaults of other commands differ in the number of sites.
    needed = {"sites"} if source in (None, "corpus") else set()
    words = " ".join(f"--{name} {shlex.quote(str(options[name]))}" for name in named if name in given | needed)
    read = {name: options[name] for names in (_OF_MODELS, *_OF_FILES.values()) for name in names}
    law = read_law(**{**read, "alphabet": options["alphabet"] or "letters"}, large_tables=True)
    spec = ModelSpec(**declared_values(ModelSpec, options)) if not source and options["model"] in MODELS else None
    commands = Commands.of_law(words, chains=spec is not None or source not in (None, "corpus"))
    return diagnose(law, **_numbers(options), commands=commands, spec=spec, seed=options["seed"], say=say)


def _window(options: dict[str, Any], say: Any) -> Diagnosis:
    from experiments.cli.mlm.options import open_window
    from experiments.diagnosis.commands import Commands
    from experiments.diagnosis.subjects import diagnose
    from theory.errors import InvalidInput

    folder, sequence, region, alphabet = (options[name] for name in ("mlm", "sequence", "region", "alphabet"))
    if sequence is None or region is None:
        raise InvalidInput("--mlm", str(folder), "--sequence and --region are needed too")
    window = open_window(folder, sequence, region, alphabet, "--region")
    say(f"{window.rows_missing} rows of the network")
    window.compute_all()
    commands = Commands.of_window(folder, sequence, region, alphabet)
    name = f"window {region} of {folder.name}, N = {window.sites}"
    places = [str(place) for place in window.region.places]
    return diagnose(window, **_numbers(options), name=name, site_names=places, commands=commands, say=say)


def _translator(options: dict[str, Any], say: Any) -> Diagnosis:
    from experiments.cli.t5.data import validation_pairs
    from experiments.cli.t5.decoding import load_translation_model
    from experiments.diagnosis.translation import Evaluation, diagnose_translator
    from experiments.translation.quality import first_pairs
    from simulators.t5.files.parallel_text import read_pairs
    from theory.errors import InvalidInput
    from theory.language import ParallelLanguage

    folder, source, target = options["t5"], options["source"], options["target"]
    if target is not None and source is None:
        raise InvalidInput("--target", str(target), "needs --source")
    known = validation_pairs(ParallelLanguage(), 0) if source is None else read_pairs(source, target)
    pairs = first_pairs(known, options["limit"])
    network, vocabulary = load_translation_model(folder)
    evaluation = Evaluation.of(folder, source, target, options["limit"], network.config.range_masks)
    return diagnose_translator(folder.name, network, vocabulary, pairs, options["steps"], evaluation, say)


def _print(found: Diagnosis) -> None:
    from experiments.cli.output import say, show_table, text_of
    from experiments.diagnosis.findings import shown

    say(found.answer)
    rows = []
    for entry in found.ranked:
        style = "bold" if entry.matters else "dim"
        times = "∞" if entry.severity == float("inf") else shown(entry.severity)
        rows.append(
            (
                text_of(times, style),
                text_of(entry.mode.name, style),
                text_of(", ".join(entry.mode.claims), style),
                text_of(entry.says, style),
            )
        )
    if rows:
        say("")
        show_table(("severity", "failure mode", "claims", "what was measured"), rows, ("severity",))
    tries = [
        (entry.mode.name, entry.remedy, f"gives {entry.effect}" if entry.effect else "")
        for entry in found.ranked
        if entry.remedy
    ]
    if tries:
        say("")
        show_table(("to mend", "try", ""), tries)
    if rows:
        say("")
        say(
            "Severity: the number over its threshold, which is "
            + "; ".join(dict.fromkeys(f"{e.mode.threshold:g} {e.mode.unit} ({e.mode.reason})" for e in found.ranked))
            + "."
        )
    for reason in dict.fromkeys(found.left_out.values()):
        say(f"{', '.join(mode for mode, why in found.left_out.items() if why == reason)}: {reason}")
