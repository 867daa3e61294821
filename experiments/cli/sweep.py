"""``gmlm sweep``: many cells of one subject, planned, estimated, computed, kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.cli.declared import Declared, declared_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.sweeps.cell import Outcome
    from experiments.sweeps.plan import SweepPlan
    from experiments.sweeps.store import Store
    from experiments.sweeps.subject import Subject
    from experiments.sweeps.sweep import State

_PATH = click.Path(dir_okay=False, path_type=Path)


def _files() -> list[click.Option]:
    """The files of ``gmlm chain``, each short for an axis of one value."""
    from experiments.chains.law_files import ChainFiles

    return declared_options(ChainFiles)


@click.command(cls=Declared, declared=_files)
@click.argument("subject", required=False)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUES", help="An axis: 4,6,8 or 1..6 or 0:2:0.1.")
@click.option("--seeds", metavar="N|LIST", help="N seeds 0..N-1, or a list such as 7,8.  [default: 1]")
@click.option("--design", type=click.Choice(["grid", "random", "latin"]), help="How axes combine.  [default: grid]")
@click.option("--cells", type=int, help="Combinations to draw, for the designs random (the default then) and latin.")
@click.option("--name", "--tag", "names", multiple=True, metavar="NAME", help="Find the cells again by this name.")
@click.option("--file", "file", type=_PATH, help="TOML file with subject, seeds, design, cells and a table [set].")
@click.option("--store", "path", type=_PATH, default=Path("results/sweeps.sqlite"), show_default=True, help="Database.")
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes; by default one per processor.")
@click.option("--scheduler", metavar="ADDRESS", help="Join a Dask cluster, for instance tcp://10.0.0.1:8786.")
@click.option("--fresh", is_flag=True, help="Forget what the database holds of this sweep, and start again.")
@click.option("--dry-run", is_flag=True, help="Plan and estimate only.")
@click.option("--describe", is_flag=True, help="Show the subject's parameters and outcomes, and stop.")
def sweep(
    subject: str | None,
    settings: tuple[str, ...],
    seeds: str | None,
    design: str | None,
    cells: int | None,
    names: tuple[str, ...],
    file: Path | None,
    path: Path,
    workers: int | None,
    scheduler: str | None,
    fresh: bool,
    dry_run: bool,
    describe: bool,
    **files: str | bool,
) -> int:
    """Compute SUBJECT for many parameter values: a claim (C8), chain, decode, escape, information,
    t5 or training.

    Or a function of your own, MODULE:FUNCTION of a file MODULE.py in this folder: its arguments are the parameters, and
    it returns a number or a mapping of numbers. Designs that draw take intervals too: --set rate=log:1e-4..1e-1, --set
    coupling=uniform:0..2. Files of your own stand for the law of chain and of decode, and a changed file is another
    sweep: --table law.npy, or --set table=a.npy,b.npy.

    The same command continues an interrupted sweep and tries failed cells again; options given here win over --file.
    Exit code 0: every cell is done; 1: some failed; 2: unusable input, and nothing was run.
    """
    from experiments.cli.output import say
    from experiments.cli.progress import progress
    from experiments.reproduce import cpus
    from experiments.sweeps.design import read_seeds
    from experiments.sweeps.engine import SweepStopped
    from experiments.sweeps.file import read_file
    from experiments.sweeps.plan import fitting_workers, make_plan
    from experiments.sweeps.store import open_store
    from experiments.sweeps.subjects import load_subject
    from experiments.sweeps.sweep import compute_waiting, default_design, look_up
    from theory.errors import InvalidInput
    from theory.memory import available_bytes
    from theory.parameters import assignments

    if scheduler is not None and workers is not None:
        raise InvalidInput("--workers", workers, "has no effect: a cluster that is joined has workers of its own")
    written = read_file(file)
    name = subject or written.subject
    if name is None:
        raise InvalidInput("subject", "none", "name what to sweep, for instance: gmlm sweep chain --set k=1..3")
    chosen = load_subject(name)
    if describe:
        _describe(chosen)
        return 0
    count = cells if cells is not None else written.cells
    plan = make_plan(
        chosen,
        {**written.settings, **assignments(settings), **_given(files, settings)},
        design or written.design or default_design(count),
        count,
        read_seeds(seeds or written.seeds or "1"),
    )
    for line in plan.lines():
        say(line)
    processes = workers or cpus()
    if scheduler is None:
        processes = fitting_workers(plan, processes, available_bytes())
    if dry_run and not path.exists():
        _announce(plan, look_up(plan, None), processes, scheduler)
        return 0
    with open_store(path, create=not dry_run) as store:
        state = look_up(plan, store)
        if dry_run:
            _announce(plan, state, processes, scheduler)
            return 0
        if fresh and (state.finished or state.failed):
            say(f"forgetting {len(state.finished) + state.failed} cells of this sweep")
            store.forget(chosen.name, state.code, plan.cells)
            state = look_up(plan, store)
        _announce(plan, state, processes, scheduler)
        failed = 0
        with progress("cells", len(state.waiting), parts=10) as task:

            def show(outcomes: Sequence[Outcome]) -> None:
                nonlocal failed
                failed += sum(outcome.error is not None for outcome in outcomes)
                task.update(task.done + len(outcomes), text=f"{failed} failed" if failed else "")

            try:
                compute_waiting(plan, state, store, processes, scheduler, show, lambda line: say(line, err=True))
            except KeyboardInterrupt:
                say(f"Stopped. {task.done:.0f} cells were computed and are kept; the same command continues.", err=True)
                raise
            except SweepStopped as stopped:
                say(f"Error: {stopped}. Finished cells are kept; the same command continues.", err=True)
                return 1
            finally:
                for label in dict.fromkeys((*written.names, *names)):
                    store.name(label, chosen.name, state.code, plan.cells)
        return _summarise(plan, store, path)


def _given(files: dict[str, str | bool], settings: Sequence[str]) -> dict[str, list[Any]]:
    """The files of the command line as axes of one value."""
    from theory.errors import InvalidInput
    from theory.parameters import assignments

    given: dict[str, list[Any]] = {name: [value] for name, value in files.items() if value}
    for name in given.keys() & assignments(settings).keys():
        raise InvalidInput(f"--{name}", given[name][0], f"give either it or --set {name}=...")
    return given


def _announce(plan: SweepPlan, state: State, workers: int, scheduler: str | None) -> None:
    from experiments.cli.output import in_words, say
    from experiments.sweeps.sweep import estimate

    done = f"{len(state.finished)} done before, {len(state.waiting)} to compute"
    say(f"{done} ({state.failed} of them failed before)" if state.failed else done)
    cost = estimate(plan, state)
    if cost is None:
        return
    total = cost.seconds * len(state.waiting)
    where = "on the cluster, divided by its threads" if scheduler else f"with {workers} workers"
    if scheduler is None:
        total /= min(workers, len(state.waiting))
    say(f"estimate: {in_words(cost.seconds)} a cell ({cost.how}), {in_words(total)} in all {where}")


def _summarise(plan: SweepPlan, store: Store, path: Path) -> int:
    from experiments.cli.output import say
    from experiments.sweeps.sweep import look_up

    state = look_up(plan, store)
    say(f"{len(state.finished)} of {len(plan.cells)} cells are done, in {path}")
    if state.waiting:
        say(f"{len(state.waiting)} failed; see: gmlm results {plan.subject.name} --errors --store {path}", err=True)
        return 1
    say(f"see: gmlm results {plan.subject.name} --store {path}")
    return 0


def _describe(subject: Subject) -> None:
    from experiments.cli.output import say, show_table
    from experiments.sweeps.design import show
    from theory.parameters import describe, type_name

    say(f"{subject.name}: {subject.title}")
    rows = [(p.name, type_name(p.type), show(p.default), p.rule.help) for p in describe(subject.parameters).values()]
    show_table(("parameter", "type", "default", "meaning"), rows)
    if subject.quantities:
        outcomes = [
            (column, quantity.label, ", ".join(t for t in (quantity.lower, quantity.predicted, quantity.upper) if t))
            for column, quantity in subject.quantities.items()
        ]
        show_table(("outcome", "meaning", "theory"), outcomes)
