"""``gmlm reproduce``: check claims, write records, figures and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.cli.paths import WrittenFolder
from experiments.cli.seeds import SEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from experiments.cli.progress import Display
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
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of every random draw.")
@click.option(
    "--out",
    type=WrittenFolder(),
    default=Path("results"),
    show_default=True,
    help="Folder for records, figures and report.html.",
)
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes; by default one per CPU.")
@click.option(
    "--certify",
    is_flag=True,
    help="Also prove C2, C3, C5, C6, C8 and C9 on rational laws, in exact and ball arithmetic (extra certify).",
)
@click.option("--fresh", is_flag=True, help="Compute again what the folder already holds.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON on standard output.")
def reproduce(
    claims: tuple[str, ...],
    profile: str,
    settings: tuple[str, ...],
    seed: int,
    out: Path,
    workers: int | None,
    certify: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Check the named claims (by default all that the installed packages allow) and write the report.

    A run that was interrupted continues when the same command is given again. Exit code 0: nothing is violated;
    1: something is; 2: unusable input.
    """
    from experiments.claims import MODULES, PRETRAINED, runnable
    from experiments.cli.output import say, show_json
    from experiments.cli.progress import Display
    from experiments.files import write_atomically, write_json
    from experiments.report import render_report
    from experiments.reproduce import cpus, exit_code, plan, run
    from theory.parameters import assignments

    chosen = claims or tuple(runnable())
    if not claims and len(chosen) < len(MODULES):
        left_out = [key for key in MODULES if key not in chosen]
        trained = ", ".join(key for key in left_out if key not in PRETRAINED)
        if trained:
            say(f"Left out: {trained}; they need pip install 'gmlm-workbench[simulators]'.", err=True)
        for key in set(left_out) & set(PRETRAINED):
            say(
                f"Left out: {key}; it needs pip install 'gmlm-workbench[mlm]', and GMLM_SAPIENS to name the wheel of "
                "sapiens 1.0.5.",
                err=True,
            )
    jobs = plan(chosen, profile, seed, assignments(settings), certify)
    with Display() as display:
        try:
            records = run(jobs, out, workers or cpus(), fresh, _Progress(display, jobs).show)
        except KeyboardInterrupt:
            display.say(f"Finished claims are kept in {out}; the same command continues.")
            raise
    report = out / "report.html"
    write_atomically(report, render_report(records, f"GMLM workbench: {profile} profile, seed {seed}", out))
    summary = {"profile": profile, "seed": seed, "exit_code": exit_code(records), "records": records}
    write_json(out / "summary.json", {**summary, "records": [_brief(record) for record in records]})
    if as_json:
        show_json(summary)
    else:
        _print_table(records)
        say(f"Report: {report}")
    return exit_code(records)


def _brief(record: Record) -> dict[str, object]:
    return {
        name: record[name]
        for name in ("claim", "name", "verdict", "learned", "parameters", "checks", "certificate", "key")
    }


class _Progress:
    """A bar for each running claim and one for all; without a terminal, a line for each claim that is done."""

    def __init__(self, display: Display, jobs: Sequence[Job]) -> None:
        self._display = display
        self._all = display.task("all claims", len(jobs), parts=0)
        self._tasks = {job.claim.id: display.task(job.claim.id, 1, parts=0, visible=False) for job in jobs}

    def show(self, event: Event) -> None:
        """Update the bars, and say what is done."""
        task = self._tasks[event.claim]
        if event.kind == "started":
            task.start()
        elif event.kind == "progress":
            task.update(event.fraction, text=event.message)
        if event.record is not None:
            task.finish(1)
            duration = event.record["provenance"]["duration"]
            how = "taken over from an earlier run" if event.kind == "reused" else f"{duration:.1f} s"
            self._display.say(f"{event.claim} {event.record['verdict']} ({how})")
        self._all.show(sum(task.done for task in self._tasks.values()))


def _print_table(records: Sequence[Record]) -> None:
    from experiments.claim import Verdict
    from experiments.cli.output import show_table, text_of
    from experiments.records import certified, deciding, telling
    from experiments.report import VERDICT_MARKS

    colours = {
        Verdict.HOLDS: "green",
        Verdict.PROVED: "green",
        Verdict.VIOLATED: "red",
        "failed": "red",
        Verdict.INCONCLUSIVE: "yellow",
    }
    rows = []
    for record in records:
        verdict = record["verdict"]
        if not record["checks"]:
            found = record["error"]
        elif verdict in (Verdict.HOLDS, Verdict.PROVED):
            found = record["learned"] or record["title"]
        else:
            found = f"{record['title']}: {deciding(record)}"
        if proof := certified(record):
            found += f" Certificate: {proof}."
        rows.append(
            (
                record["claim"],
                text_of(f"{VERDICT_MARKS[verdict]} {verdict}", colours[verdict]),
                found,
                "{} of {}".format(*telling(record)),
                f"{record['provenance']['duration']:.1f}",
            )
        )
    titles = ("claim", "verdict", "what was learned", "comparisons that tell", "seconds")
    show_table(titles, rows, right=("comparisons that tell", "seconds"))
