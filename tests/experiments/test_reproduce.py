"""Running claims: same result whatever the workers; nothing finished is lost; broken claims do not hide the others."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from experiments import records, reproduce
from experiments.claim import Check
from experiments.claims import load
from experiments.files import write_json
from experiments.plain import plain
from experiments.report import render_report
from experiments.reproduce import Event, plan, run
from experiments.workers import work
from theory.errors import InvalidInput
from theory.parameters import build

reproduce_command = import_module("experiments.cli.reproduce")  # the name in the package is the command itself

SETTINGS = {
    "C7.sites": "1,2",
    "C7.ring": "3",
    "C7.couplings": "0.5",
    "C7.kernels": "1",
    "C8.sites": "4",
    "C8.cliques": "3,4",
    "C8.couplings": "0.5,1",
}


def results(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Records without what legitimately differs between runs: when, and how long."""
    return [
        {**record, "provenance": {k: v for k, v in record["provenance"].items() if k not in {"started", "duration"}}}
        for record in found
    ]


def test_the_number_of_workers_does_not_matter(tmp_path: Path) -> None:
    jobs = plan(["C7", "C8"], "quick", 3, SETTINGS)
    one = run(jobs, tmp_path / "one", workers=1)
    two = run(jobs, tmp_path / "two", workers=2)
    assert results(one) == results(two)
    for path in (tmp_path / "one").rglob("*.svg"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_finished_claims_are_taken_over_and_changed_ones_computed(tmp_path: Path) -> None:
    events: list[Event] = []
    run(plan(["C8"], "quick", 0, {"sites": "4", "cliques": "3"}), tmp_path, 1)
    run(plan(["C8"], "quick", 0, {"sites": "4", "cliques": "3"}), tmp_path, 1, report=events.append)
    assert [event.kind for event in events] == ["reused"]
    events.clear()
    run(plan(["C8"], "quick", 0, {"sites": "4", "cliques": "4"}), tmp_path, 1, report=events.append)
    assert events[-1].kind == "finished"
    events.clear()
    run(plan(["C8"], "quick", 0, {"sites": "4", "cliques": "4"}), tmp_path, 1, fresh=True, report=events.append)
    assert events[-1].kind == "finished"


def test_a_damaged_record_is_computed_again(tmp_path: Path) -> None:
    jobs = plan(["C8"], "quick", 0, {"sites": "4", "cliques": "3"})
    first = run(jobs, tmp_path, 1)
    path = records.folder(tmp_path, jobs[0].claim) / "record.json"
    path.write_text(path.read_text()[:500])
    assert results(run(jobs, tmp_path, 1)) == results(first)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look for left-over processes")
def test_a_killed_run_leaves_no_worker_and_continues(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from experiments.cli import main; main()", "reproduce", "C8", "C6", "C5"]
    command += ["--set", "C8.sites=4", "--set", "C8.cliques=3", "--workers", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record = tmp_path / "C8-strong-clique" / "record.json"
    deadline = time.monotonic() + 120
    while not record.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    workers = children(process.pid)
    process.kill()
    process.wait()
    assert workers
    while any(Path(f"/proc/{pid}").exists() and not zombie(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its killed parent"
        time.sleep(0.05)
    before = json.loads(record.read_text())
    events: list[Event] = []
    (after,) = run(plan(["C8"], "quick", 0, {"sites": "4", "cliques": "3"}), tmp_path, 1, report=events.append)
    assert [event.kind for event in events] == ["reused"]
    assert after == before


def children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from experiments.cli import main; main()", "reproduce", "C8", "C5", "C6"]
    command += ["--set", "C8.sites=4", "--set", "C8.cliques=3", "--workers", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    assert "C8 holds" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command continues" in err
    assert "Traceback" not in err
    assert (tmp_path / "C8-strong-clique" / "record.json").exists()


def test_a_worker_that_is_killed_costs_its_claim_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worker of C5, whose work is long, is killed from outside; the table and the summary name it."""
    from experiments.cli import main

    killed: list[int] = []
    show = reproduce_command._Progress.show

    def kill(self: Any, event: Event) -> None:
        show(self, event)
        if event.claim == "C5" and event.kind == "progress" and not killed:
            (worker,) = multiprocessing.active_children()
            killed.append(worker.pid or 0)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(reproduce_command._Progress, "show", kill)
    settings = ["--set", "C8.sites=4", "--set", "C8.cliques=3"]
    with pytest.raises(SystemExit) as exit_:
        main(["reproduce", "C5", "C8", *settings, "--workers", "1", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert exit_.value.code == 1
    assert killed
    assert "WorkerDied: its process was ended by SIGKILL" in out
    assert re.search(r"C8 .*holds", out)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [record["verdict"] for record in summary["records"]] == ["failed", "holds"]
    assert "WorkerDied" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "C5-functional-inequalities" / "record.json").exists()


def act(number: int, report: Any) -> int:
    """A job for the test below."""
    report(0.5, f"job {number}")
    if number == 1:
        raise ArithmeticError("one [/x] is too many")
    if number == 2:
        raise InvalidInput("number", number, "two is refused")
    return 10 * number


def test_what_happens_to_a_job_is_told_and_hides_nothing() -> None:
    messages = list(work(act, [(number,) for number in range(4)], 1))
    ends = {place: (kind, content) for place, kind, content in messages if kind not in ("started", "progress")}
    assert [place for place, kind, _ in messages if kind == "started"] == [0, 1, 2, 3]
    assert [content for _, kind, content in messages if kind == "progress"] == [(0.5, f"job {n}") for n in range(4)]
    assert (ends[0], ends[3]) == (("finished", 0), ("finished", 30))
    assert ends[1] == ("failed", "ArithmeticError: one [/x] is too many")
    assert (ends[2][0], str(ends[2][1])) == ("refused", "number = 2: two is refused")


def test_a_failed_claim_is_shown_and_makes_the_run_fail(capsys: pytest.CaptureFixture[str]) -> None:
    claim = load("C7")
    failed = records.failed(claim, build(claim.parameters), 0, "quick", "ZeroDivisionError: [/x] \x1b[2Jplanted")
    assert reproduce.exit_code([failed]) == 1
    reproduce_command._print_table([failed])
    assert "ZeroDivisionError: [/x] \\x1b[2Jplanted" in capsys.readouterr().out
    assert "planted" in render_report([failed], "title")


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: [record],
        lambda record: {**record, "checks": ["holds"]},
        lambda record: {**record, "table": {}},
        lambda record: {**record, "provenance": {"duration": "long"}},
        lambda record: {**record, "verdict": "nobody knows"},
    ],
)
def test_what_is_no_record_is_computed_again(tmp_path: Path, damage: Any) -> None:
    claim = load("C8")
    record = records.failed(claim, build(claim.parameters), 0, "quick", "")
    record |= {"verdict": "holds", "checks": [plain(dataclasses.asdict(Check.at_most("n", 1.0, 2.0)))]}
    path = records.folder(tmp_path, claim) / "record.json"
    write_json(path, record)
    assert records.find(tmp_path, claim, record["key"]) == record
    write_json(path, damage(record))
    assert records.find(tmp_path, claim, record["key"]) is None
    path.write_text("[" * 100_000)
    assert records.find(tmp_path, claim, record["key"]) is None


def test_exit_codes() -> None:
    assert reproduce.exit_code([{"verdict": "holds"}, {"verdict": "inconclusive"}]) == 0
    assert reproduce.exit_code([{"verdict": "holds"}, {"verdict": "violated"}]) == 1


def test_the_key_of_a_record_depends_on_everything_that_decides_it() -> None:
    claim = load("C8")
    base = build(claim.parameters)
    keys = {
        records.key(claim, base, 0),
        records.key(claim, base, 1),
        records.key(claim, build(claim.parameters, "full"), 0),
        records.key(load("C7"), build(load("C7").parameters), 0),
    }
    assert len(keys) == 4


def test_a_record_is_plain_json_and_redraws_its_figures() -> None:
    claim = load("C8")
    record = records.compute(claim, build(claim.parameters, "quick", {"sites": "3", "cliques": "3"}), 0, "quick")
    again = json.loads(json.dumps(record, allow_nan=False))
    assert records.draw(claim, again) == records.draw(claim, record)


def test_settings_name_their_claim() -> None:
    with pytest.raises(InvalidInput, match=r"CLAIM\.NAME"):
        plan(["C7", "C8"], "quick", 0, {"sites": "3"})
    jobs = plan(["c8", "strong-clique"], "quick", 0, {"sites": "8"})
    assert len(jobs) == 1
