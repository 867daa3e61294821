"""``gmlm t5 recommend``: the table of recommendations, from the record of ``gmlm t5 ablate``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("record", type=click.Path(path_type=Path))
def recommend(record: Path) -> None:
    """Print what RECORD, the record.json of `gmlm t5 ablate`, says, in Markdown.

    Each choice has its effect with a 95% interval over test sentences, the paper's advice, and a verdict; each attempt
    to come near the teacher its gap; quality stands beside time, and errors are split by steps.
    """
    from experiments.documentation.ablations import section
    from experiments.files import read_json
    from theory.errors import InvalidInput

    found = read_json(record)
    if found is None:
        raise InvalidInput("RECORD", str(record), "there is no such file, or it is not JSON")
    try:
        text = section(found)
    except (KeyError, TypeError, ValueError, StopIteration):
        raise InvalidInput("RECORD", str(record), "is not a record of gmlm t5 ablate") from None
    click.echo(text, nl=False)
