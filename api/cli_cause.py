"""`tessera causes`: what causes have raised."""

import typer

from api.composition import opened
from config.roles import reader_role


def add_causes(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("causes")(causes)


def causes() -> None:
    """Show what each cause was given by donations and pledges; the same is public at /causes."""
    from api.routes.causes import plain
    from network.pledges import raised

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = raised(connection)
    for one in found:
        paid = (
            ", ".join(f"{plain(amount)} {currency}" for currency, amount in one.amounts.items()) or "nothing"
        )
        typer.echo(f"{one.code:<20} {one.points:>12,} points  {paid}  through {one.through or 'no day yet'}")
    typer.echo(f"{len(found)} causes")
