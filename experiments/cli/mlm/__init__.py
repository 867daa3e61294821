"""``gmlm mlm``: a masked language model of one's own, exactly."""

from __future__ import annotations

import click

from experiments.cli.mlm.check import check
from experiments.cli.mlm.convert import convert
from experiments.cli.mlm.sample import sample
from experiments.cli.mlm.scan import scan
from experiments.cli.mlm.score import score
from experiments.cli.mlm.window import window


@click.group()
def mlm() -> None:
    """Your own masked language model, exactly: is its chain stuck, does the order matter, which law is sampled?

    FOLDER is a model in the layout of transformers (BERT, RoBERTa, DistilBERT, ESM-2, ModernBERT and others), with its
    tokenizer; nothing is fetched and no code of the folder is run. Needs the extra `mlm`.
    """


for command in (check, convert, window, scan, sample, score):
    mlm.add_command(command)
