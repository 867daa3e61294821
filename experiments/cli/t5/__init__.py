"""``gmlm t5``: translation with a T5, from a vocabulary to scores.

One module per subcommand, added to the group here. As everywhere in the command line, modules import what they need
inside their functions, so that help starts at once.
"""

from __future__ import annotations

import click

from experiments.cli.t5.ablate import ablate
from experiments.cli.t5.bench import bench
from experiments.cli.t5.convert import convert
from experiments.cli.t5.distill import distill
from experiments.cli.t5.evaluate import evaluate
from experiments.cli.t5.recipe import recipe
from experiments.cli.t5.recommend import recommend
from experiments.cli.t5.train import train
from experiments.cli.t5.translate import translate
from experiments.cli.t5.vocab import vocab


@click.group()
def t5() -> None:
    """Train, distil and run T5 translation models, autoregressive or by parallel refinement."""


for command in (vocab, recipe, train, distill, translate, evaluate, ablate, recommend, bench, convert):
    t5.add_command(command)
