"""The command line ``gmlm``.

One module per command, of its name; a command parses, calls the experiments and prints. Modules are imported when their
command is named, and import what they need inside their functions, so that ``gmlm --help`` starts at once. Input that
cannot be used ends with one line on standard error and exit code 2.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from experiments.cli.commands import commands
from experiments.cli.output import prepare_streams, say
from theory.errors import InvalidInput, shortened

OPTIONAL = {
    "dask": "sweeps",
    "distributed": "sweeps",
    "cryptography": "sweeps",
    "pandas": "sweeps",
    "pyarrow": "sweeps",
    "flint": "certify",
    "flax": "simulators",
    "jax": "simulators",
    "optax": "simulators",
    "sacrebleu": "simulators",
    "safetensors": "simulators",
    "sentencepiece": "simulators",
    "torch": "mlm",
    "transformers": "mlm",
    "tokenizers": "mlm",
}
"""Packages that not every installation has, and the extra that brings each."""

COMMANDS = "reproduce claims chain decode diagnose information sample-size tighten mlm text t5 sweep results plot"


@click.group(
    commands=commands("experiments.cli", COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="gmlm-workbench", prog_name="gmlm")
def gmlm() -> None:
    """Workbench for generative masked language models: exact theory, checked claims, figures.

    Start with `gmlm reproduce`, which checks every claim and writes a report.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (a claim is violated, a cell failed), 2 (unusable input) or 130 (interrupted)."""
    # Figures go to files. A terminal started from a notebook inherits a backend that only the notebook can load.
    os.environ["MPLBACKEND"] = "agg"
    prepare_streams()
    try:
        code = gmlm.main(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _refuse(error.format_message(), error)
    except InvalidInput as error:
        _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        say("Interrupted.", err=True)
        sys.exit(130)
    except RuntimeError as error:
        # A numerical iteration that did not converge: no result, and no traceback.
        if type(error).__name__ != "NotConverged":
            raise
        say(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has left; nothing more can be told to it.
        _give_up_output()
        sys.exit(1)
    except OSError as error:
        try:
            sys.stdout.flush()
        except OSError:
            _give_up_output()
        named = f"{error.filename}: " if error.filename else ""
        _refuse(f"{named}{error.strerror or error}")
    except MemoryError as error:
        _refuse(f"there is not enough memory for this size ({error or 'out of memory'})")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in OPTIONAL:
            raise
        extra = OPTIONAL[error.name.partition(".")[0]]
        _refuse(f"this needs {error.name}: pip install 'gmlm-workbench[{extra}]'")
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(message: str, error: click.ClickException | None = None) -> NoReturn:
    """One line on standard error, after the usage where the command line itself is wrong; exit code 2."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        say(f"Try '{error.ctx.command_path} --help'.", err=True)
    say(f"Error: {shortened(message, 600)}", err=True)
    sys.exit(2)


def _give_up_output() -> None:
    """Let the end of the process not write again what could not be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
