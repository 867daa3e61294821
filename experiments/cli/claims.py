"""``gmlm claims``: what can be checked."""

from __future__ import annotations

import click


@click.command()
@click.argument("claim", required=False)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def claims(claim: str | None, as_json: bool) -> None:
    """List the claims, or show the statement and the parameters of one CLAIM."""
    import textwrap

    from experiments.claim import Claim
    from experiments.claims import MODULES, load
    from experiments.cli.output import show_json
    from experiments.plain import plain
    from theory.parameters import describe, type_name

    def parameters(shown: Claim) -> list[dict[str, object]]:
        return [
            {
                "name": name,
                "type": type_name(entry.type),
                "quick": plain(entry.default),
                "full": plain(entry.rule.full),
                "help": entry.rule.help,
            }
            for name, entry in describe(shown.parameters).items()
        ]

    chosen = [load(claim)] if claim else [load(identifier) for identifier in MODULES]
    if as_json:
        entries = [
            {
                "id": c.id,
                "name": c.name,
                "title": c.title,
                "statement": c.statement,
                "source": c.source,
                "parameters": parameters(c),
            }
            for c in chosen
        ]
        show_json(entries[0] if claim else entries, indent=1)
        return
    if claim is None:
        for c in chosen:
            click.echo(f"{c.id:<4}{c.title}  [{c.source}]")
        return
    shown = chosen[0]
    click.echo(f"{shown.id} ({shown.name}): {shown.title}\nSource: {shown.source}\n")
    click.echo(textwrap.fill(shown.statement, 100))
    click.echo("\nParameters (--set NAME=VALUE):")
    for entry in parameters(shown):
        full = "" if entry["full"] == entry["quick"] else f", full: {_text(entry['full'])}"
        click.echo(f"  {entry['name']} ({entry['type']}; quick: {_text(entry['quick'])}{full})\n      {entry['help']}")


def _text(value: object) -> str:
    return ",".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
