"""Runs command lines in this process, under limits, for `test_cli_fuzz`: JSON lines in, JSON lines out.

The address space is limited, so that what is not refused before it is allocated fails; a command that takes too much
processor time, or waits for too long, is told as a hang.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from typing import Any

MEMORY = 6 * 2**30
"""Bytes of address space; importing JAX alone takes 2 GiB of it."""

PROCESSOR = 20.0
"""Seconds of processor time of a command."""

WAITING = 120.0
"""Seconds of a command."""


class Hang(BaseException):
    """A command takes too long."""


def hang(number: int, frame: Any) -> None:
    raise Hang(f"more than {PROCESSOR:g} s of work or {WAITING:g} s of waiting")


def run(arguments: list[str]) -> dict[str, Any]:
    """What a command line does: exit code, output, and a traceback where there is one."""
    from experiments.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    code, trace = None, ""
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        trace = traceback.format_exc(limit=-8)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout, sys.stderr = before
    texts = [stream.buffer.getvalue().decode("utf-8", "replace") for stream in (out, err)]
    return {"code": code, "out": texts[0][-2000:], "err": texts[1][-2000:], "trace": trace}


def serve() -> None:
    """Answer until there are no more lines."""
    import experiments.sweeps.sweep as sweep
    from experiments.sweeps.estimate import Estimate

    # Timing cells takes a process of its own each time.
    sweep.by_timing = lambda *arguments: Estimate(1.0, "not timed")  # type: ignore[assignment]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        request = json.loads(line)
        os.chdir(request["folder"])
        print(json.dumps(run(request["arguments"])), file=answers, flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, hang)
    signal.signal(signal.SIGALRM, hang)
    serve()
