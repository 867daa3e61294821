"""``gmlm t5``: translation with a T5, from a vocabulary to scores.

One module per subcommand, of its name. As everywhere in the command line, modules import what they need
inside their functions, so that help starts at once.
"""

from __future__ import annotations

import click

from experiments.cli.commands import commands


@click.group(
    commands=commands(
        "experiments.cli.t5", "vocab recipe train distill translate evaluate ablate recommend bench convert"
    )
)
def t5() -> None:
    """Train, distil and run T5 translation models, autoregressive or by parallel refinement."""
