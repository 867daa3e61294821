"""``gmlm reproduce``: check claims, write records, figures and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.cli.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.records import Record
    from experiments.reproduce import Event, Job


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@click.option(
    "--profile",
    type=click.Choice(["quick", "full"]),
    default="quick",
    show_default=True,
    help="quick: minutes on 2 cores; full: sizes that persuade.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="[CLAIM.]NAME=VALUE", help="A parameter; see `gmlm claims CLAIM`."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every random draw.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder for records, figures and report.html.",
)
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; by default one per CPU.")
@click.option("--fresh", is_flag=True, help="Compute again what the folder already holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON on standard output.")
def reproduce(
    claims: tuple[str, ...],
    profile: str,
    settings: tuple[str, ...],
    seed: int,
    out: Path,
    workers: int | None,
    fresh: bool,
    as_json: bool,
) -> int:
    """Check the named claims (by default all that the installed packages allow) and write the report.

    A run that was interrupted continues when the same command is given again. Exit code 0: nothing is violated;
    1: something is; 2: unusable input.
    """
    import json

    from experiments.claims import MODULES, runnable
    from experiments.files import write_atomically, write_json
    from experiments.report import render_report
    from experiments.reproduce import cpus, exit_code, plan, run
    from theory.parameters import assignments

    chosen = claims or tuple(runnable())
    if not claims and len(chosen) < len(MODULES):
        left_out = ", ".join(key for key in MODULES if key not in chosen)
        click.echo(f"Left out: {left_out}; they need pip install 'gmlm-workbench[simulators]'.", err=True)
    jobs = plan(chosen, profile, seed, assignments(settings))
    display = _Display(jobs)
    with display:
        try:
            records = run(jobs, out, workers or cpus(), fresh, display.show)
        except KeyboardInterrupt:
            click.echo(f"\nInterrupted. Finished claims are kept in {out}; the same command continues.", err=True)
            raise
    report = out / "report.html"
    write_atomically(report, render_report(records, f"GMLM workbench: {profile} profile, seed {seed}", out))
    summary = {"profile": profile, "seed": seed, "exit_code": exit_code(records), "records": records}
    write_json(out / "summary.json", {**summary, "records": [_brief(record) for record in records]})
    if as_json:
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        _print_table(records)
        click.echo(f"Report: {report}")
    return exit_code(records)


def _brief(record: Record) -> dict[str, object]:
    return {name: record[name] for name in ("claim", "name", "verdict", "parameters", "checks", "key")}


class _Display:
    """Progress bars on standard error, one per running claim and one for all."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=Console(stderr=True),
        )
        self._total = self._bars.add_task("all claims", total=float(len(jobs)), message="")
        self._tasks = {
            job.claim.id: self._bars.add_task(job.claim.id, total=1.0, visible=False, start=False, message="")
            for job in jobs
        }
        self._fractions = dict.fromkeys(self._tasks, 0.0)
        self._interactive = self._bars.console.is_terminal
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> _Display:
        if self._interactive:
            self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._interactive:
            self._bars.stop()

    def show(self, event: Event) -> None:
        """Update the bars; without a terminal, print a line when a claim is done, and now and then before."""
        task = self._tasks[event.claim]
        if event.kind == "started":
            self._bars.start_task(task)
            self._bars.update(task, visible=True)
        self._fractions[event.claim] = event.fraction
        self._bars.update(task, completed=event.fraction, message=event.message)
        self._bars.update(self._total, completed=sum(self._fractions.values()))
        if event.kind == "started":
            self._paces[event.claim] = Pace(parts=0)
            # What is begun is not yet worth a line.
            self._paces[event.claim].due(0, 1)
        elif event.kind == "progress" and not self._interactive and self._paces[event.claim].due(event.fraction, 1):
            self._bars.console.print(f"{event.claim} {event.fraction:.0%}  {event.message}", highlight=False)
        if event.record is not None:
            self._bars.update(task, visible=False)
            duration = event.record["provenance"]["duration"]
            how = "taken over from an earlier run" if event.kind == "reused" else f"{duration:.1f} s"
            self._bars.console.print(f"{event.claim} {event.record['verdict']} ({how})", highlight=False)


def _print_table(records: Sequence[Record]) -> None:
    from rich.console import Console
    from rich.table import Table

    from experiments.records import worst_check
    from experiments.report import VERDICT_MARKS, format_number

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("claim", "statement", "verdict", "checks", "closest check", "margin", "seconds"):
        table.add_column(title, justify="right" if title in {"checks", "margin", "seconds"} else "left")
    colours = {"holds": "green", "violated": "red", "failed": "red", "inconclusive": "yellow"}
    for record in records:
        verdict = record["verdict"]
        worst = worst_check(record) if record["checks"] else None
        table.add_row(
            record["claim"],
            record["title"],
            f"[{colours[verdict]}]{VERDICT_MARKS[verdict]} {verdict}[/]",
            str(len(record["checks"])),
            worst["name"] if worst else record["error"],
            format_number(worst["margin"]) if worst else "",
            f"{record['provenance']['duration']:.1f}",
        )
    Console().print(table)
