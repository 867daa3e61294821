"""``gmlm t5``: translation with a T5, from a vocabulary to scores.

One module per subcommand, added to the group here. As everywhere in the command line, modules import what they need
inside their functions, so that help starts at once.
"""

from __future__ import annotations

import click


@click.group()
def t5() -> None:
    """Train, distil and run T5 translation models, autoregressive or by parallel refinement."""
