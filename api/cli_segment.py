"""`tessera segment`: how many members are in each segment, of which day, by which rule."""

from typing import Annotated

import typer

from api.composition import BAD_INPUT, opened
from config.roles import reader_role

segment_app = typer.Typer(
    no_args_is_help=True,
    help="""Segments: members that belong together, by the rules of the live programme; the night finds them.

    Who has not consented to a fact that a segment asks for is not in it. docs/programmes.md tells the rest.
    """,
    epilog="Example: tessera segment show regulars",
)
_NOT_YET = "not found yet: the next night does it"


@segment_app.command("list")
def list_segments() -> None:
    """Every segment: how many members it has now, of which day they were found, and what it is."""
    from network.programme.spec import read_programme
    from network.programmes import live_source
    from network.segments import read_states

    with opened(reader_role) as (_, database), database.connect() as connection:
        live = {one.id: one.says for one in read_programme(live_source(connection)).segment}
        states = {one.segment: one for one in read_states(connection)}
    if not live and not states:
        typer.echo("There are no segments: the live programme has none.")
    for name in sorted({*live, *states}):
        state = states.get(name)
        found = "" if state is None or state.found_on is None else f"{state.found_on}"
        says = live.get(name, "not in the live programme: the next night empties it" if found else "by hand")
        many = 0 if state is None else state.members
        typer.echo(f"{name:<24} {many:>9,} members  {found or '-':<10}  {says}")


@segment_app.command("show")
def show(name: Annotated[str, typer.Argument(help="A segment of the live programme, by its id.")]) -> None:
    """One segment: how many members, of which day, its rule in words, and the consent that it needs."""
    from network.programme.spec import read_programme
    from network.programme.telling import conditions
    from network.programmes import live_source
    from network.segments import read_states

    with opened(reader_role) as (_, database), database.connect() as connection:
        live = {one.id: one for one in read_programme(live_source(connection)).segment}
        state = next((one for one in read_states(connection) if one.segment == name), None)
    if name not in live:
        known = ", ".join(sorted(live)) or "it has none"
        typer.echo(f"tessera segment: the live programme has no segment {name!r}: {known}", err=True)
        raise typer.Exit(BAD_INPUT)
    segment = live[name]
    typer.echo(f"{name}: {segment.says}")
    found = None if state is None else state.found_on
    many = 0 if state is None else state.members
    typer.echo(_NOT_YET if found is None else f"{many:,} members, as of the beginning of {found}")
    typer.echo("a member is in it who")
    for condition in conditions(segment.when):
        typer.echo(f"  {condition}")
    needed = sorted(segment.when.needs)
    typer.echo("needs consent to: " + ", ".join(needed) if needed else "needs no consent")
