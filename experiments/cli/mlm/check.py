"""``gmlm mlm check``: what a folder holds, and whether its numbers can be trusted."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.cli.mlm.options import ALPHABET, DEVICE, FOLDER, JSON, SEQUENCE, print_facts


@click.command()
@FOLDER
@SEQUENCE
@ALPHABET
@DEVICE
@JSON
def check(folder: Path, sequence: str, alphabet: str | None, device: str, as_json: bool) -> None:
    """Open a model, say what it is, and test it on a sequence.

    Reported: how often the masked token comes first, the mass that the model puts outside the alphabet, and the largest
    change of ln p between float32 and float64, between batches of 1 and of 64, and with padding. Exits with 1 where a
    row depends on its batch or on padding.
    """
    from experiments.cli.output import say, show_json
    from experiments.masked_lm.check import AGREES, check_record
    from experiments.masked_lm.inputs import choose_alphabet, read_sequence
    from simulators.masked_lm import Alphabet

    text = read_sequence(sequence)
    chosen = None
    if alphabet is not None:
        from simulators.masked_lm import MaskedLM
        from theory.errors import InvalidInput

        found = choose_alphabet(MaskedLM.open(folder), alphabet)
        if not isinstance(found, Alphabet):
            raise InvalidInput("--alphabet", alphabet, "aa or a file: the likeliest tokens differ from site to site")
        chosen = found
    record = check_record(folder, text, alphabet=chosen, device=device)
    depends = [
        name
        for name in ("batch_difference", "padding_difference")
        if record[name] is not None and record[name] > AGREES
    ]
    record["ok"] = not depends
    if as_json:
        show_json(record)
    else:
        print_facts(record, [name for name in record if name not in {"frame", "ok"}])
        for name in depends:
            say(f"Rows are not independent: {name.replace('_', ' ')} in ln p is {record[name]:.2g}.")
    if depends:
        click.get_current_context().exit(1)
