"""The command line ``gmlm``.

One module per command; a command parses, calls the experiments and prints. Modules import what they need inside their
functions, so that ``gmlm --help`` starts at once. Input that cannot be used ends with one line on standard error and
exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from experiments.cli.chain import chain
from experiments.cli.claims import claims
from experiments.cli.information import information
from experiments.cli.plot import plot
from experiments.cli.reproduce import reproduce
from experiments.cli.results import results
from experiments.cli.sweep import sweep
from experiments.cli.t5 import t5
from experiments.cli.text import text
from theory.errors import InvalidInput


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="gmlm-workbench", prog_name="gmlm")
def gmlm() -> None:
    """Workbench for generative masked language models: exact theory, checked claims, figures.

    Start with `gmlm reproduce`, which checks every claim and writes a report.
    """


for command in (reproduce, claims, chain, information, text, t5, sweep, results, plot):
    gmlm.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 1 (a claim is violated), 2 (unusable input) or 130 (interrupted)."""
    try:
        code = gmlm.main(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except InvalidInput as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except RuntimeError as error:
        # A numerical iteration that did not converge: no result, and no traceback.
        if type(error).__name__ != "NotConverged":
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # The reader of our output has left; nothing more can be told to it.
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
