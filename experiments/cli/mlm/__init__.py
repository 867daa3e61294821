"""``gmlm mlm``: a masked language model of one's own, exactly."""

from __future__ import annotations

import click

from experiments.cli.commands import commands


@click.group(commands=commands("experiments.cli.mlm", "check convert window scan sample score"))
def mlm() -> None:
    """Your own masked language model, exactly: is its chain stuck, does the order matter, which law is sampled?

    FOLDER is a model in the layout of transformers (BERT, RoBERTa, DistilBERT, ESM-2, ModernBERT and others), with its
    tokenizer; nothing is fetched and no code of the folder is run. Needs the extra `mlm`.
    """
