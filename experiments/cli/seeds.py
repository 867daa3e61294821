"""The kind of every ``--seed``: a whole number that each random source takes."""

from __future__ import annotations

import click

from theory.parameters import LARGEST_SEED

SEED = click.IntRange(0, LARGEST_SEED)
