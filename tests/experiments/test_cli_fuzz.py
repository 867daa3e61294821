"""Whatever is typed or given as a file, the command line ends with 0, 1, 2 or 130: no traceback, no hang, no kill.

Commands and their options are read from the command line itself, so that new ones are tried as soon as they exist. A
value is a usual small one, or a nasty one. The commands run in a process of their own within limits of memory and time
(`tests.experiments.command_worker`); what trains or starts processes is tried with values that are refused before.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.cli import gmlm
from tests.experiments import command_worker
from tests.experiments.sweep_subjects import CHEAP_NAME
from tests.experiments.test_sweeps_results import fill

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs limits on memory and time")

ALLOWED = {0, 1, 2, 130}

HUGE = "9" * 400
NASTY = [
    "", " ", "0", "-1", "1e400", "-1e308", "nan", "inf", "-inf", HUGE, "9" * 5000, "999999999", "1100", "0x10", "1_000",
    "١", "1,2,,3", "1..", "3..1", "1..1e9", "0:1:0", "0:1e308:1e-308", "a=b", "=", "=1", "x", "..", "/dev/zero", "/",
    "[/x]", "$x$", "%s", "\x1b[2J", "a\nb", "--", "-", "🦊", "\ud800".encode("utf-8", "surrogatepass").decode("latin1"),
    "k=999999999", "k-uniform:k=999999999", "blocks:of=0/0", "blocks:of=9//", "bernoulli:ratio=nan", "log:0..1",
    "uniform:1..2", "os:system", "a:b:c", ":", "k" * 300,
]  # fmt: skip

USUAL = {
    "model": ["ising", "curie-weiss", "random", "markov", "hmm", "potts", "parity", "mixture", "strong-clique"],
    "graph": ["cycle", "path", "complete", "grid", "empty", "hypercube"],
    "sampler": ["k-gibbs", "k-parallel", "independent-parallel", "systematic-scan", "locally-balanced"],
    "masks": [
        "k-uniform:k=1",
        "k-uniform:k=2",
        "uniform-ratio",
        "bernoulli:ratio=0.5",
        "spans:length=2",
        "blocks:of=0/1+2",
    ],
    "sites": ["3", "4"],
    "symbols": ["2", "3"],
    "clique": ["2", "3"],
    "coupling": ["0", "0.5", "-1", "30"],
    "field": ["0", "0.1", "60"],
    "temperature": ["1", "0", "0.3"],
    "seeds": ["1", "2", "3,8"],
    "settings": [
        "sites=3",
        "k=1..2",
        "coupling=0:1:0.5",
        "masks=k-uniform:k=1",
        "model=parity",
        "sites=2,3",
        "coupling=0:1",
    ],
    "conditions": ["k=1", "sites>2", "subject=chain", "mode=good", "a=1..2"],
    "cells": ["1", "5"],
    "design": ["grid", "random", "latin"],
    "claims": ["C8", "c7"],
    "claim": ["C8", "N1"],
    "subject": ["chain", "C8", "escape", "information", "unmasking", CHEAP_NAME],
    "calls": ["1", "1,2"],
    "name": ["mixing-time", "chain", CHEAP_NAME],
    "x": ["a", "k"],
    "y": ["value", "b"],
    "value": ["value", "kind"],
    "series": ["b", "mode"],
    "budget": ["1"],
    "scheduler": ["tcp://127.0.0.1:1"],
    "target": ["t.csv", "t.parquet"],
    "steps": ["1", "2"],
}
"""Values that commands take, by the names of their parameters."""

FILES = ["law.npy", "J.npy", "h.npy", "bad.npy", "sweep.toml", "store.sqlite", "damaged.sqlite", "none", "pipe", "."]

LIKELY = {"couplings": "J.npy", "fields": "h.npy", "path": "store.sqlite", "table": "law.npy", "file": "sweep.toml"}
"""The file that fits a parameter."""

FIXED = {
    ("sweep",): ["--dry-run"],
    ("chain",): ["--sites", "4", "--budget", "1"],
    ("decode",): ["--sites", "3", "--calls", "1,2", "--decoder", "random-order"],
    ("diagnose",): ["--sites", "3", "--budget", "1"],
    ("t5", "train"): ["--steps", "0"],
    ("text", "train"): ["--steps", "0", "--window", "4", "--width", "4", "--layers", "1"],
    ("reproduce",): ["C8", "--set", "C8.sites=0"],
    ("results",): ["--store", "store.sqlite"],
    ("plot",): ["--store", "store.sqlite", "--x", "a", "--y", "value", "--where", "b=0.1", "--where", "mode=good"],
}
"""Words that keep a command small, before what is drawn."""

LEFT_OUT = {("t5", "bench"), ("t5", "ablate"), ("t5", "recipe")}
"""Commands whose every run computes for long."""


def commands(group: click.Group = gmlm, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that lead to it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
            if not command.invoke_without_command:
                continue
        if (*path, name) not in LEFT_OUT:
            yield (*path, name), command


def values(parameter: click.Parameter) -> st.SearchStrategy[str]:
    """A value for a parameter: usual ones by its name, files, numbers, and nasty ones."""
    usual = USUAL.get(parameter.name or "", [])
    if isinstance(parameter.type, click.Choice):
        usual = [str(choice) for choice in parameter.type.choices]
    if isinstance(parameter.type, click.Path):
        usual = [*3 * [LIKELY[parameter.name]], *FILES] if parameter.name in LIKELY else FILES
    nasty = st.sampled_from(NASTY) | st.text(string.printable, max_size=8)
    numbers = st.integers(-2, 5).map(str) | st.floats().map(str)
    if usual:
        return st.sampled_from(usual) | st.sampled_from(usual) | nasty
    return numbers | nasty


@st.composite
def command_lines(draw: st.DrawFn, path: tuple[str, ...], command: click.Command) -> list[str]:
    """A command with some of its options and arguments."""
    words = [*path, *FIXED.get(path, [])]
    parameters = [parameter for parameter in command.params if parameter.name != "help"]
    options = [parameter for parameter in parameters if isinstance(parameter, click.Option)]
    needed = [option for option in options if option.required]
    for option in needed + draw(st.lists(st.sampled_from(options), max_size=4) if options else st.just([])):
        flag = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
        words += [flag] if option.is_flag or option.count else [flag, draw(values(option))]
    for parameter in parameters:
        if isinstance(parameter, click.Argument) and (parameter.required or draw(st.booleans())):
            words.append(draw(values(parameter)))
    return [word.replace("\0", "") for word in words]


class Worker:
    """The process that runs commands; a new one where it has died."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def run(self, arguments: list[str]) -> dict[str, Any]:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", command_worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps({"folder": str(self.folder), "arguments": arguments}), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            return {"code": None, "out": "", "err": "", "trace": f"the process ended with {self.process.wait()}"}
        return dict(json.loads(answer))

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind."""
    folder = tmp_path_factory.mktemp("fuzz")
    np.save(folder / "law.npy", np.array([[0.4, 0.1], [0.2, 0.3]]))
    np.save(folder / "J.npy", 0.3 * (np.ones((3, 3)) - np.eye(3)))
    np.save(folder / "h.npy", np.array([0.1, 0.0, -0.1]))
    (folder / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'shape': (2,)*60}")
    (folder / "sweep.toml").write_text('subject = "chain"\n[set]\nsites = [3]\n')
    fill(folder / "store.sqlite", CHEAP_NAME, {"a": "0..2", "b": "0.1,0.2", "mode": "good,fail"})
    content = (folder / "store.sqlite").read_bytes()
    (folder / "damaged.sqlite").write_bytes(content[: len(content) // 2])
    subprocess.run(["mkfifo", str(folder / "pipe")], check=True)
    return folder


@pytest.fixture(scope="module")
def worker(folder: Path) -> Iterator[Worker]:
    worker = Worker(folder)
    yield worker
    worker.close()


def ends_well(worker: Worker, *arguments: str) -> dict[str, Any]:
    """Run a command line and see that it ends as it should."""
    found = worker.run(list(arguments))
    assert found["trace"] == "", f"{arguments}\n{found['trace']}"
    assert found["code"] in ALLOWED, (arguments, found)
    assert "Traceback" not in found["err"], (arguments, found)
    if found["code"] == 2:
        errors = [line for line in found["err"].splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1, (arguments, found)
    return found


quick = settings(max_examples=25, suppress_health_check=list(HealthCheck), print_blob=False)


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_any_command_line_ends_well(path: tuple[str, ...], worker: Worker) -> None:
    command = dict(commands())[path]

    @quick
    @given(command_lines(path, command))
    def ends(words: list[str]) -> None:
        ends_well(worker, *words)

    ends()


NUMBERS = st.sampled_from([0.0, 0.25, 0.5, 1.0, -1.0, 1e-300, 1e308, float("nan"), float("inf"), -float("inf")])


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """A file of an array: any kind and shape, and perhaps cut or changed."""
    import io

    if draw(st.booleans()):  # a law, or couplings
        shape = draw(st.sampled_from([(2,), (3,), (2, 2), (3, 3), (2, 2, 2)]))
        array = np.array(draw(st.lists(st.sampled_from([1.0, 2.0, 0.0, 1e-9]), min_size=9, max_size=9)))
        array = np.resize(array, shape) / max(np.resize(array, shape).sum(), 1e-9)
        if draw(st.booleans()):
            array = array + array.T
            np.fill_diagonal(np.atleast_2d(array), 0.0)
    else:
        shape = draw(st.sampled_from([(), (0,), (2,), (2, 2), (2, 3), (2, 2, 2), (2,) * 5, (1, 1), (4, 4)]))
        kind = draw(st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?", "c16", "U3", ">f8", "M8[s]"]))
        size = int(np.prod(shape))
        values = np.array(draw(st.lists(NUMBERS, min_size=size, max_size=size)), dtype=float)
        with np.errstate(all="ignore"):
            array = np.zeros(shape, kind) if kind[0] in "iuM" else values.astype(kind).reshape(shape)
    file = io.BytesIO()
    np.save(file, array)
    return draw(changed(file.getvalue()))


@st.composite
def changed(draw: st.DrawFn, content: bytes) -> bytes:
    """The content as it is, cut, or with some bytes changed."""
    if draw(st.booleans()):
        return content
    if draw(st.booleans()):
        return content[: draw(st.integers(0, len(content)))]
    result = bytearray(content)
    for place in draw(st.lists(st.integers(0, max(0, len(content) - 1)), min_size=1, max_size=4)):
        result[place : place + 1] = bytes([draw(st.integers(0, 255))])
    return bytes(result)


@settings(quick, max_examples=60)
@given(arrays(), arrays())
def test_any_array_ends_well(worker: Worker, first: bytes, second: bytes) -> None:
    (worker.folder / "any.npy").write_bytes(first)
    (worker.folder / "other.npy").write_bytes(second)
    ends_well(worker, "chain", "--table", "any.npy", "--json", "--budget", "1")
    ends_well(worker, "information", "--couplings", "any.npy", "--fields", "other.npy", "--k", "1")


TOML = {
    "subject": ['"chain"', '"escape"'],
    "design": ['"grid"', '"random"', '"latin"'],
    "cells": ["3", "5"],
    "seeds": ["2", '"7..9"', "[3, 8]"],
    "name": ['"first"', '["a", "b"]'],
    "set.sites": ["[3]", '"3..5"', "4"],
    "set.k": ["[1, 2]", '"1..3"'],
    "set.coupling": ['"0:1:0.5"', "[0.5, 1]", '"log:0.1..1"'],
    "set.masks": ['["k-uniform:k=1", "uniform-ratio"]'],
    "other": ["1"],
}
"""Lines of a sweep's file, and values that fit."""

NASTY_TOML = [
    "inf", "nan", "[inf]", "true", "{}", "{a = 1}", "[]", "1" + "0" * 400, "1979-05-27", "[" * 3000 + "]" * 3000, '""',
    '"\\u0000"', "[[1], [2]]", "-1", '"[/x]"', "1e400", '"' + "9" * 5000 + '"',
]  # fmt: skip


@st.composite
def toml(draw: st.DrawFn) -> bytes:
    """A sweep as somebody might write it."""
    lines = ['subject = "chain"'] if draw(st.booleans()) else []
    for key in draw(st.lists(st.sampled_from(list(TOML)), max_size=4, unique=True)):
        lines.append(f"{key} = {draw(st.sampled_from(TOML[key]) | st.sampled_from([*TOML[key], *NASTY_TOML]))}")
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf", b"\xff\xfe"]))
    return draw(changed(mark + draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode()))


@settings(quick, max_examples=60)
@given(toml())
def test_any_sweep_file_ends_well(worker: Worker, content: bytes) -> None:
    (worker.folder / "any.toml").write_bytes(content)
    ends_well(worker, "sweep", "--file", "any.toml", "--dry-run", "--store", "absent.sqlite")


@settings(quick, max_examples=40)
@given(st.data())
def test_any_database_ends_well(worker: Worker, data: st.DataObject) -> None:
    path = worker.folder / "any.sqlite"
    path.write_bytes(data.draw(changed((worker.folder / "store.sqlite").read_bytes())))
    for arguments in ([], ["--errors"], ["--json"], [CHEAP_NAME, "--where", "a=1"]):
        ends_well(worker, "results", *arguments, "--store", path.name)
    saved = worker.folder / "saved.sqlite"
    saved.unlink(missing_ok=True)
    ends_well(worker, "results", "--salvage", saved.name, "--store", path.name)


TEXTS = [
    "'[]'",
    "'{}'",
    "'{\"a\": {}}'",
    "'{\"a\": [1, [2]]}'",
    "'[/x]'",
    "x'00ff'",
    "NULL",
    "7",
    "1e400",
    "''",
    "char(27)",
]


@settings(quick, max_examples=40)
@given(
    st.sampled_from(["subject", "parameters", "seed", "code", "record", "error", "duration", "finished"]),
    st.sampled_from(TEXTS),
)
def test_any_content_of_a_database_ends_well(worker: Worker, column: str, value: str) -> None:
    path = worker.folder / "any.sqlite"
    shutil.copy(worker.folder / "store.sqlite", path)
    connection = sqlite3.connect(path)
    try:
        connection.execute(f"UPDATE OR IGNORE cells SET {column} = {value} WHERE id IN (2, 9)")
        connection.commit()
    except sqlite3.Error:
        return  # the layout itself refuses it
    finally:
        connection.close()
    for arguments in ([], ["--errors"], ["--json"], ["--where", "status=done"], ["--export", "t.csv"]):
        ends_well(worker, "results", *arguments, "--store", path.name)
    ends_well(worker, "plot", CHEAP_NAME, "--x", "a", "--y", "value", "--where", "b=0.1", "--store", path.name)


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Path:
    """A small T5 as a folder."""
    pytest.importorskip("flax")
    from flax import nnx

    from simulators.t5.files.checkpoints import save_checkpoint
    from simulators.t5.network.network import T5
    from tests.simulators.t5_examples import small_config

    save_checkpoint(T5(small_config(), nnx.Rngs(0)), folder / "t5")
    return folder / "t5"


JSON_VALUES = [None, True, -1, 0, 1.5, 10**9, 10**400, "relu", "", [], {}, [[[]]], float("nan"), "x" * 1000, 3]


@settings(quick, max_examples=60)
@given(st.data())
def test_any_checkpoint_ends_well(worker: Worker, checkpoint: Path, data: st.DataObject) -> None:
    place = worker.folder / "any"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(checkpoint, place)
    config = json.loads((place / "config.json").read_text())
    if data.draw(st.booleans()):
        for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=2)):
            config[key] = data.draw(st.sampled_from(JSON_VALUES))
        (place / "config.json").write_text(json.dumps(config))
    else:
        file = place / data.draw(st.sampled_from(["config.json", "model.safetensors"]))
        content = file.read_bytes()
        head = data.draw(changed(content[:2000]))
        file.write_bytes(head + content[2000:] if data.draw(st.booleans()) else head)
    ends_well(worker, "t5", "convert", "any", "converted")
