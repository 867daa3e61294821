"""``gmlm sweep``: many cells of one subject, planned, estimated, computed, kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.sweeps.cell import Outcome
    from experiments.sweeps.plan import SweepPlan
    from experiments.sweeps.store import Store
    from experiments.sweeps.subject import Subject
    from experiments.sweeps.sweep import State

_PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("subject", required=False)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUES", help="An axis: 4,6,8 or 1..6 or 0:2:0.1.")
@click.option("--seeds", metavar="N|LIST", help="N seeds 0..N-1, or a list such as 7,8.  [default: 1]")
@click.option("--design", type=click.Choice(["grid", "random", "latin"]), help="How axes combine.  [default: grid]")
@click.option("--cells", type=int, help="Combinations to draw, for the designs random and latin.")
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
    file: Path | None,
    path: Path,
    workers: int | None,
    scheduler: str | None,
    fresh: bool,
    dry_run: bool,
    describe: bool,
) -> int:
    """Compute SUBJECT for many parameter values: a claim (C8), chain, escape, information, t5, training or unmasking.

    The same command continues an interrupted sweep and tries failed cells again; options given here win over --file.
    Exit code 0: every cell is done; 1: some failed; 2: unusable input, and nothing was run.
    """
    from experiments.reproduce import cpus
    from experiments.sweeps.design import read_seeds
    from experiments.sweeps.engine import SweepStopped
    from experiments.sweeps.file import read_file
    from experiments.sweeps.plan import fitting_workers, make_plan
    from experiments.sweeps.store import open_store
    from experiments.sweeps.subjects import load_subject
    from experiments.sweeps.sweep import look_up, run_sweep
    from theory.errors import InvalidInput
    from theory.memory import available_bytes
    from theory.parameters import assignments

    written = read_file(file)
    name = subject or written.subject
    if name is None:
        raise InvalidInput("subject", "none", "name what to sweep, for instance: gmlm sweep chain --set k=1..3")
    chosen = load_subject(name)
    if describe:
        _describe(chosen)
        return 0
    plan = make_plan(
        chosen,
        {**written.settings, **assignments(settings)},
        design or written.design or "grid",
        cells if cells is not None else written.cells,
        read_seeds(seeds or written.seeds or "1"),
    )
    for line in plan.lines():
        click.echo(line)
    processes = workers or cpus()
    if scheduler is None:
        processes = fitting_workers(plan, processes, available_bytes())
    if dry_run and not path.exists():
        _announce(plan, look_up(plan, None), processes, scheduler)
        return 0
    with open_store(path, create=True) as store:
        state = look_up(plan, store)
        if dry_run:
            _announce(plan, state, processes, scheduler)
            return 0
        if fresh and (state.finished or state.failed):
            click.echo(f"forgetting {len(state.finished) + state.failed} cells of this sweep")
            store.forget(chosen.name, state.code, plan.cells)
            state = look_up(plan, store)
        _announce(plan, state, processes, scheduler)
        progress = _Progress(len(state.waiting))
        try:
            with progress:
                run_sweep(plan, state, store, processes, scheduler, progress.show)
        except KeyboardInterrupt:
            click.echo(
                f"\nStopped. {progress.done} cells were computed and are kept; the same command continues.", err=True
            )
            raise
        except SweepStopped as stopped:
            click.echo(f"Error: {stopped}. Finished cells are kept; the same command continues.", err=True)
            return 1
        return _summarise(plan, store, path)


def _announce(plan: SweepPlan, state: State, workers: int, scheduler: str | None) -> None:
    from experiments.sweeps.estimate import in_words
    from experiments.sweeps.sweep import estimate

    done = f"{len(state.finished)} done before, {len(state.waiting)} to compute"
    click.echo(f"{done} ({state.failed} of them failed before)" if state.failed else done)
    cost = estimate(plan, state)
    if cost is None:
        return
    total = cost.seconds * len(state.waiting)
    where = "on the cluster, divided by its threads" if scheduler else f"with {workers} workers"
    if scheduler is None:
        total /= min(workers, len(state.waiting))
    click.echo(f"estimate: {in_words(cost.seconds)} a cell ({cost.how}), {in_words(total)} in all {where}")


def _summarise(plan: SweepPlan, store: Store, path: Path) -> int:
    from experiments.sweeps.sweep import look_up

    state = look_up(plan, store)
    click.echo(f"{len(state.finished)} of {len(plan.cells)} cells are done, in {path}")
    if state.waiting:
        click.echo(
            f"{len(state.waiting)} failed; see: gmlm results {plan.subject.name} --errors --store {path}", err=True
        )
        return 1
    click.echo(f"see: gmlm results {plan.subject.name} --store {path}")
    return 0


def _describe(subject: Subject) -> None:
    from rich.console import Console
    from rich.table import Table

    from experiments.sweeps.design import show
    from theory.parameters import describe, type_name

    click.echo(f"{subject.name}: {subject.title}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("parameter", "type", "default", "meaning"):
        table.add_column(title)
    for parameter in describe(subject.parameters).values():
        table.add_row(parameter.name, type_name(parameter.type), show(parameter.default), parameter.rule.help)
    Console().print(table)
    outcomes = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("outcome", "meaning", "theory"):
        outcomes.add_column(title)
    for column, quantity in subject.quantities.items():
        theory = [entry for entry in (quantity.lower, quantity.predicted, quantity.upper) if entry]
        outcomes.add_row(column, quantity.label, ", ".join(theory))
    Console().print(outcomes)


class _Progress:
    """A bar with the time left; without a terminal, a line for every tenth of the way."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.total, self.done, self.failed, self._shown = total, 0, 0, 0
        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"))
        self._bars = Progress(*columns, console=Console(stderr=True), speed_estimate_period=120)
        self._task = self._bars.add_task("cells", total=total, failed="")
        self._interactive = self._bars.console.is_terminal
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> _Progress:
        if self._interactive and self.total:
            self._bars.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._interactive and self.total:
            self._bars.stop()

    def show(self, outcomes: Sequence[Outcome]) -> None:
        """Count outcomes and show the count."""
        import time

        from experiments.sweeps.estimate import in_words

        self.done += len(outcomes)
        if self._first is None:  # what starting the workers took says nothing of the time left
            self._first = time.monotonic(), self.done
        self.failed += sum(outcome.error is not None for outcome in outcomes)
        failed = f"{self.failed} failed" if self.failed else ""
        self._bars.update(self._task, completed=self.done, failed=failed)
        tenth = 10 * self.done // self.total
        if not self._interactive and tenth > self._shown:
            self._shown = tenth
            since, before = time.monotonic() - self._first[0], self._first[1]
            rest = ""
            if before < self.done < self.total:
                rest = f", about {in_words(since * (self.total - self.done) / (self.done - before))} left"
            click.echo(f"{self.done}/{self.total} cells{', ' + failed if failed else ''}{rest}", err=True)
