"""Sweeps under fire: killed coordinators, killed workers, killing cells, failing cells, joined clusters, Ctrl-C.

The reference is what the cells give when they are computed here one after the other, without Dask or a database.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from distributed.comm import connect

from experiments.sweeps import cluster, open_results
from experiments.sweeps.cell import CellKey, Outcome, code_version, compute_cell
from experiments.sweeps.plan import SweepPlan, make_plan
from experiments.sweeps.store import open_store
from experiments.sweeps.subjects import load_subject
from experiments.sweeps.sweep import compute_waiting, look_up
from tests.experiments.sweep_subjects import CHEAP_NAME
from theory.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
GMLM = [sys.executable, "-c", "from experiments.cli import main; main()"]
PATIENCE = 120
"""Seconds after which a test gives up; nothing is asserted about times."""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def reference(plan: SweepPlan) -> dict[CellKey, str | None]:
    return {key: compute_cell(plan.subject, key).record for key in plan.cells}


def stored(plan: SweepPlan, path: Path) -> dict[CellKey, str | None]:
    """The records of the sweep as they lie in the database, which must hold each cell once."""
    import sqlite3

    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT parameters, seed, record FROM cells").fetchall()
    connection.close()
    assert len(rows) == len({row[:2] for row in rows})
    return {CellKey(parameters, seed): record for parameters, seed, record in rows}


def count(path: Path) -> int:
    if not path.exists():
        return 0
    import sqlite3

    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("SELECT count(*) FROM cells").fetchone()[0])
    except sqlite3.OperationalError:  # not laid out yet
        return 0
    finally:
        connection.close()


def wait_until(condition: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@contextmanager
def started(*arguments: str, folder: Path = ROOT) -> Iterator[subprocess.Popen[str]]:
    """A process of its own group; it and its children are gone afterwards."""
    process = subprocess.Popen(
        list(arguments),
        env=environment(),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def killed_and_resumed(path: Path, settings: Sequence[str], stops: Sequence[int]) -> None:
    """Run `gmlm sweep`, kill it with SIGKILL when so many cells are stored, and at last let it end."""
    arguments = [*GMLM, "sweep", CHEAP_NAME, *settings, "--workers", "1", "--store", str(path)]
    for stop in stops:
        with started(*arguments) as process:
            wait_until(lambda stop=stop: count(path) >= stop or process.poll() is not None, f"{stop} cells")
            assert process.poll() is None, process.communicate()
            workers = psutil.Process(process.pid).children(recursive=True)
            os.kill(process.pid, signal.SIGKILL)  # the coordinator alone: its workers must notice
            process.wait()
            wait_until(lambda workers=workers: not any(alive(worker) for worker in workers), "the workers are to end")
    with started(*arguments) as process:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        assert "done before" in output


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_sweep_killed_twice_ends_with_the_records_of_an_undisturbed_one(tmp_path: Path) -> None:
    settings = ["--set", "a=0..15", "--set", "b=0:1:0.25", "--set", "delay=0.02"]
    path = tmp_path / "s.sqlite"
    killed_and_resumed(path, settings, [5, 40])
    plan = make_plan(load_subject(CHEAP_NAME), {"a": "0..15", "b": "0:1:0.25", "delay": "0.02"})
    assert len(plan.cells) == 80
    assert stored(plan, path) == reference(plan)


def test_a_joined_cluster_gives_the_same_and_losing_a_worker_costs_nothing(tmp_path: Path) -> None:
    file, path = tmp_path / "scheduler.json", tmp_path / "s.sqlite"
    plan = make_plan(load_subject(CHEAP_NAME), {"a": "0..39", "delay": "0.05"}, seeds=(0, 1))
    dask = [sys.executable, "-m", "dask"]
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    worker = [*dask, "worker", *where, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    with (
        started(*dask, "scheduler", *where, "--host", "127.0.0.1", "--port", "0"),
        started(*worker) as first,
        started(*worker),
    ):
        wait_until(file.exists, "the scheduler")
        address = json.loads(file.read_text())["address"]

        def kill_one(outcomes: Sequence[Outcome]) -> None:
            if first.poll() is None:
                first.kill()

        with open_store(path, create=True) as store:
            state = look_up(plan, store)
            compute_waiting(plan, state, store, 1, address, kill_one)
        assert first.wait() == -signal.SIGKILL
    assert stored(plan, path) == reference(plan)


def test_cells_that_fail_or_end_their_worker_do_not_stop_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    plan = make_plan(load_subject(CHEAP_NAME), {"a": "1..6", "mode": "fail,die,good"})
    found: list[Outcome] = []
    with open_store(path, create=True) as store:
        compute_waiting(plan, look_up(plan, store), store, 1, report=found.extend)
        state = look_up(plan, store)
    assert len(found) == 18
    assert len(state.finished) == 16
    assert state.failed == len(state.waiting) == 2
    rows = open_results(path).rows("status=failed")
    assert {(row["a"], row["mode"], row["failure"].partition(":")[0]) for row in rows} == {
        (2, "fail", "ArithmeticError"),
        (2, "die", "WorkerDied"),
    }
    done = {key: record for key, record in stored(plan, path).items() if record is not None}
    expected = {key: compute_cell(plan.subject, key).record for key in plan.cells if key in done}
    assert done == expected


def test_ctrl_c_stops_cleanly_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    arguments = ["sweep", CHEAP_NAME, "--set", "a=0..99", "--set", "delay=0.1", "--workers", "1", "--store", str(path)]
    with started(*GMLM, *arguments) as process:
        wait_until(lambda: count(path) >= 3 or process.poll() is not None, "3 cells")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, errors
    assert "100 cells (grid design)" in output
    assert "estimate: 0.1" in output
    lines = [line for line in errors.splitlines() if line.strip() and not line.startswith("cells ")]
    assert lines == [lines[0], "Interrupted."]
    assert "are kept; the same command continues" in lines[0]
    with open_store(path) as store:
        kept = [cell for cell in store.cells() if cell.record is not None]
    assert 3 <= len(kept) < 100


def test_workers_with_other_code_are_refused(tmp_path: Path) -> None:
    from experiments.sweeps.cluster import local_cluster
    from experiments.sweeps.engine import SweepStopped, run_cells

    plan = make_plan(load_subject(CHEAP_NAME), {"a": "1..3"})
    with open_store(tmp_path / "s.sqlite", create=True) as store, local_cluster(1) as client:
        with pytest.raises(SweepStopped, match=r"planned by another.*a worker runs"):
            run_cells(client, CHEAP_NAME, "another", plan.cells, store)
        assert list(store.cells()) == []
        run_cells(client, CHEAP_NAME, code_version(CHEAP_NAME), plan.cells, store)
    assert stored(plan, tmp_path / "s.sqlite") == reference(plan)


SILENT = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
kept = []
while True:
    connection, _ = server.accept()
    kept.append(connection)
    connection.sendall(bytes.fromhex(sys.argv[1]))
"""


@pytest.mark.parametrize("answer", ["", b"HTTP/1.1 200 OK\r\n\r\n".hex(), "ff" * 64], ids=["silence", "http", "noise"])
def test_what_is_no_scheduler_is_left_in_time(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 2)
    with started(sys.executable, "-c", SILENT, answer) as server:
        assert server.stdout is not None
        address = f"tcp://127.0.0.1:{server.stdout.readline().strip()}"
        with (
            pytest.raises(InvalidInput, match=r"scheduler = tcp.*no Dask scheduler answers there"),
            cluster.joined_cluster(address),
        ):
            pass
    for address in ("tcp://127.0.0.1:1", "nonsense://x", "127.0.0.1:x", ""):
        with pytest.raises(InvalidInput, match="no Dask scheduler"), cluster.joined_cluster(address):
            pass


def test_the_cluster_of_a_sweep_answers_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no key of it cannot talk to the scheduler or a worker, encrypted or not."""
    from distributed.security import Security

    monkeypatch.setattr(cluster, "CONNECT", 3)
    with cluster.local_cluster(1) as client:
        addresses = [client.scheduler.address, *client.scheduler_info()["workers"]]
        assert all(address.startswith("tls://127.0.0.1:") for address in addresses)
        for address in addresses:
            with pytest.raises(InvalidInput), cluster.joined_cluster(address.replace("tls", "tcp")):
                pass
            stranger = Security.temporary().get_connection_args("client")
            with pytest.raises(OSError, match=r"(?i)certificate|ssl|tls|timed out"):
                asyncio.run(connect(address, timeout=3, **stranger))
        assert client.submit(sum, [1, 2]).result() == 3


def test_a_scheduler_without_workers_is_waited_for(tmp_path: Path) -> None:
    file, said = tmp_path / "scheduler.json", []
    dask = [sys.executable, "-m", "dask"]
    where = ["--scheduler-file", str(file), "--no-dashboard"]
    worker = [*dask, "worker", *where, "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path)]
    plan = make_plan(load_subject(CHEAP_NAME), {"a": "1..3"})
    with started(*dask, "scheduler", *where, "--host", "127.0.0.1", "--port", "0"), ExitStack() as later:
        wait_until(file.exists, "the scheduler")

        def say(line: str) -> None:
            said.append(line)
            later.enter_context(started(*worker))

        with open_store(tmp_path / "s.sqlite", create=True) as store:
            address = json.loads(file.read_text())["address"]
            compute_waiting(plan, look_up(plan, store), store, 1, address, say=say)
            assert look_up(plan, store).waiting == []
    assert said == ["waiting for workers: the scheduler has none yet"]
