"""The database: written once, durably; a full disk and a damaged file lose nothing and are said clearly."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from experiments.sweeps.cell import CellKey, Outcome
from experiments.sweeps.salvage import salvage
from experiments.sweeps.store import APPLICATION, LAYOUT, Store, StoreError, open_store

WRITER = """
import resource, signal, sys
from pathlib import Path
from experiments.sweeps.cell import CellKey, Outcome
from experiments.sweeps.store import StoreError, open_store
with open_store(Path(sys.argv[1]), create=True) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for index in range(1000):
        try:
            store.write("s", "v", [Outcome(CellKey(f"cell {index}", 0), '"' + "x" * 2000 + '"', None, 0.1)], "{}")
        except StoreError as error:
            print(index, error, flush=True)
            break
    import os
    os._exit(0)  # without closing: as if killed
"""


def outcome(name: str, record: str | None = '{"value": 1}', error: str | None = None) -> Outcome:
    return Outcome(CellKey(name, 0), record, error, 0.5)


def key(index: int) -> str:
    return f'{{"n": "{index:04d}"}}'


def names(store: Store) -> list[str]:
    return sorted(key.parameters for key in store.durations("s", "v"))


def fill(path: Path, cells: int) -> None:
    with open_store(path, create=True) as store:
        for index in range(cells):
            store.write("s", "v", [outcome(key(index), '{"text": "' + "x" * 500 + '"}')], '{"commit": "c"}')


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "sweeps.sqlite"
    with open_store(path, create=True) as store:
        store.write("s", "v", [outcome('{"a": 1}'), outcome('{"a": 2}', None, "Error: no")], '{"commit": "c"}')
    with open_store(path) as store:
        assert store.durations("s", "v") == {CellKey('{"a": 1}', 0): 0.5, CellKey('{"a": 2}', 0): None}
        assert store.durations("s", "other") == {}
        good, bad = store.cells()
    assert (good.parameters, good.record, good.error, good.provenance) == (
        {"a": 1},
        {"value": 1},
        None,
        {"commit": "c"},
    )
    assert (bad.record, bad.error) == (None, "Error: no")


def test_it_is_durable_by_its_settings(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.sqlite", create=True) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_finished_cell_is_written_once_and_a_failed_one_is_replaced(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.sqlite", create=True) as store:
        store.write("s", "v", [outcome('{"a": 1}', None, "Error: first")], "{}")
        store.write("s", "v", [outcome('{"a": 1}', '{"value": 1}')], "{}")
        store.write("s", "v", [outcome('{"a": 1}', '{"value": 2}')], "{}")
        store.write("s", "v", [outcome('{"a": 1}', None, "Error: late")], "{}")
        (cell,) = store.cells()
        assert cell.record == {"value": 1}
        store.forget("s", "v", [CellKey('{"a": 1}', 0)])
        assert list(store.cells()) == []


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path / "s.sqlite", create=True) as store:
        both = Outcome(CellKey('"b"', 0), "{}", "both a record and an error", 0.0)
        with pytest.raises(StoreError):
            store.write("s", "v", [outcome('"a"'), both], "{}")
        assert names(store) == []


def test_a_full_database_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    fill(path, 20)
    with open_store(path, create=True) as store:
        (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [outcome(f'"new {index}"', '"' + "x" * 3000 + '"') for index in range(100)]
        with pytest.raises(StoreError, match=r"disk is full.*kept.*give the command again"):
            store.write("s", "v", many, "{}")
    with open_store(path, create=True) as store:
        found = names(store)
        assert found == [key(index) for index in range(20)]
        store.write("s", "v", [outcome('"room again"')], "{}")
        assert len(names(store)) == len(found) + 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
def test_a_disk_that_fills_up_under_a_writer_loses_no_cell(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    run = subprocess.run([sys.executable, "-c", WRITER, str(path)], capture_output=True, text=True, check=True)
    written, _, message = run.stdout.partition(" ")
    assert int(written) > 5
    assert "disk is full" in message
    with open_store(path) as store:
        assert names(store) == sorted(f"cell {index}" for index in range(int(written)))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused_and_left_alone(tmp_path: Path, share: float) -> None:
    path = tmp_path / "s.sqlite"
    fill(path, 60)
    content = path.read_bytes()
    cut = content[: int(len(content) * share)]
    path.write_bytes(cut)
    for create in (False, True):
        with pytest.raises(StoreError, match=r"is damaged.*left as it is"):
            open_store(path, create=create)
    assert path.read_bytes() == cut
    assert [entry.name for entry in tmp_path.iterdir() if not entry.name.endswith(("-wal", "-shm"))] == ["s.sqlite"]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_a_truncated_file_still_holds_is_saved(tmp_path: Path, share: float) -> None:
    path, saved = tmp_path / "s.sqlite", tmp_path / "saved.sqlite"
    fill(path, 300)
    with open_store(path) as store:
        before = {cell.parameters["n"]: cell for cell in store.cells()}
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    count = salvage(path, saved)
    with open_store(saved) as store:
        after = {cell.parameters["n"]: cell for cell in store.cells()}
    assert len(after) == count >= 300 * (share - 0.2)
    assert all(cell == before[name] for name, cell in after.items())
    with pytest.raises(StoreError, match="exists already"):
        salvage(path, saved)


def test_nothing_to_salvage(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    with pytest.raises(StoreError, match="cannot be read"):
        salvage(path, tmp_path / "saved.sqlite")
    path.write_bytes(b"no database at all, just some text" * 50)
    with pytest.raises(StoreError, match="holds no cell"):
        salvage(path, tmp_path / "saved.sqlite")
    assert not (tmp_path / "saved.sqlite").exists()


@pytest.mark.parametrize("content", [b"no database at all, just some text" * 50, b"\0" * 5000])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.sqlite"
    path.write_bytes(content)
    with pytest.raises(StoreError):
        open_store(path, create=True)
    assert path.read_bytes() == content


def test_a_torn_write_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    copy = tmp_path / "copy"
    copy.mkdir()
    fill(path, 5)
    with open_store(path, create=True) as store:
        for index in range(5):
            store.write("s", "v", [outcome(f'"logged {index}"')], "{}")
        # As after a power failure: the log was written up to somewhere in the last frames.
        log = Path(f"{path}-wal").read_bytes()
        for cut in (len(log), len(log) - 100, len(log) - 5000, len(log) // 2, 40):
            shutil.copy(path, copy / "s.sqlite")
            (copy / "s.sqlite-wal").write_bytes(log[:cut])
            (copy / "s.sqlite-shm").unlink(missing_ok=True)
            with open_store(copy / "s.sqlite") as found:
                there = names(found)
            assert {key(index) for index in range(5)} <= set(there)
            logged = [name for name in there if "logged" in name]
            assert logged == [f'"logged {index}"' for index in range(len(logged))]
            assert len(logged) == 5 or cut < len(log)


def test_databases_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE cells (id INTEGER)")
    connection.commit()
    with pytest.raises(StoreError, match="another program"):
        open_store(path)
    connection.execute("PRAGMA application_id = 1196248141")
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="layout 99"):
        open_store(path)


def test_there_must_be_one_to_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        open_store(tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError):
        open_store(tmp_path, create=True)  # a folder


LAYOUT_1 = LAYOUT[: LAYOUT.index("CREATE TABLE IF NOT EXISTS names")]


def test_names_are_put_on_cells_and_an_older_layout_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1; {LAYOUT_1}")
    connection.execute("INSERT INTO provenance VALUES (1, '{}')")
    row = "INSERT INTO cells VALUES (1, 's', '{\"a\": 1}', 0, 'v', '{}', NULL, 0.5, 'now', 1)"
    connection.execute(row)
    connection.commit()
    connection.close()
    with open_store(path) as store:
        assert [cell.names for cell in store.cells()] == [()]
    with open_store(path, create=True) as store:
        for name in ("second", "first", "first"):
            store.name(name, "s", "v", [CellKey('{"a": 1}', 0), CellKey("absent", 0)])
    with open_store(path) as store:
        assert [cell.names for cell in store.cells()] == [("first", "second")]
    with open_store(path, create=True) as store:
        store.forget("s", "v", [CellKey('{"a": 1}', 0)])
        assert list(store.cells()) == []


FOREIGN = {
    "parameters": "'[1, 2]'",
    "record": "'" + "[" * 5000 + "'",
    "duration": "'long'",
    "seed": "'zero'",
    "finished": "x'ff'",
    "provenance": "7",
}


@pytest.mark.parametrize("column", FOREIGN)
def test_what_no_sweep_wrote_is_refused(tmp_path: Path, column: str) -> None:
    path = tmp_path / "s.sqlite"
    fill(path, 2)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE cells SET {column} = {FOREIGN[column]} WHERE id = 2")
    connection.commit()
    connection.close()
    if column == "provenance":  # the row it names is missing: the cell is not whole, and not listed
        with open_store(path) as store:
            assert len(list(store.cells())) == 1
        return
    with open_store(path) as store, pytest.raises(StoreError, match="cell 2 is not what a sweep stores"):
        list(store.cells())
    assert salvage(path, tmp_path / "saved.sqlite") == 1


def test_other_tables_under_our_sign_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 2; CREATE TABLE cells (a)")
    connection.close()
    with open_store(path) as store, pytest.raises(StoreError, match="does not hold what a sweep stores"):
        list(store.cells())


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        for act in (open_store, lambda path: open_store(path, create=True), lambda path: salvage(path, tmp_path / "t")):
            with pytest.raises(StoreError, match="no regular file"):
                act(path)


READER = """
import os, sys
from pathlib import Path
from experiments.sweeps.store import open_store
if os.getuid() == 0:
    os.setuid(65534)
try:
    open(Path(sys.argv[1]).parent / "new", "w")
    sys.exit("the folder can be written to")
except OSError:
    pass
with open_store(Path(sys.argv[1])) as store:
    print(len(list(store.cells())))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions")
@pytest.mark.parametrize("killed", [False, True])
def test_a_database_in_a_folder_of_others_can_be_read(killed: bool) -> None:
    """Also one whose last writer was killed, so that cells lie in its log."""
    with tempfile.TemporaryDirectory() as name:  # tmp_path lies in a folder that only its owner may enter
        folder = Path(name)
        path = folder / "s.sqlite"
        fill(path, 3)
        if killed:
            with open_store(path, create=True) as store:
                store.write("s", "v", [outcome(key(3))], "{}")
                for end in ("", "-wal"):
                    shutil.copy(f"{path}{end}", f"{folder / 'killed.sqlite'}{end}")
            path = folder / "killed.sqlite"
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        try:
            run = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True)
        finally:
            folder.chmod(0o755)
    assert (run.stdout, run.stderr) == ("4\n" if killed else "3\n", "")
