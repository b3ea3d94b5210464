"""`tessera draw`: prizes drawn by a seed whose hash was published before; anybody can recompute who won."""

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from api.cli_desk import By
from api.composition import BAD_INPUT
from api.identity import acting

draw_app = typer.Typer(
    no_args_is_help=True,
    help="""Draws of the programme (docs/programmes.md): announced with the hash of a seed, closed with the
    tickets, revealed with seed and winners. `tessera draw check FILE` needs no network.
    """,
    epilog="Example: tessera draw check spring.json",
)
Done = TypeVar("Done")
_Draw = Annotated[str, typer.Argument(metavar="DRAW", help="A draw of the live programme.")]
_Out = Annotated[Path, typer.Option("--out", help="The file to publish.")]


@draw_app.command("announce")
def announce(draw: _Draw, *, by: By = None) -> None:
    """Fix a seed that nobody sees, and say its hash, which is to be published now."""
    from network.draws import SEED_BYTES
    from network.draws import announce as begin
    from network.service import load_rules, network_now, read_network

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        zone = ZoneInfo(read_network(connection).time_zone)
        today = network_now(connection).astimezone(zone).date()
        seed = secrets.token_bytes(SEED_BYTES)
        rules = load_rules(connection)
        typer.echo(_or_exit(lambda: begin(connection, rules, draw, seed=seed, today=today, by=who)))


@draw_app.command("close")
def close(draw: _Draw, *, out: _Out, by: By = None) -> None:
    """After its last day: fix who takes part, and write the list of tickets with its hash."""
    import msgspec

    from network.draws import close as fix
    from network.service import load_rules, network_now, read_network

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        zone = ZoneInfo(read_network(connection).time_zone)
        today = network_now(connection).astimezone(zone).date()
        rules = load_rules(connection)
        told = _or_exit(lambda: fix(connection, rules, draw, today=today, by=who))
        out.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    typer.echo(f"{len(told.tickets)} tickets, SHA-256 {told.tickets_sha256}: {out}")


@draw_app.command("reveal")
def reveal(draw: _Draw, *, out: _Out, by: By = None) -> None:
    """Write seed and winners, and give winners the points of the prize."""
    import msgspec

    from network.draws import give_prizes
    from network.draws import reveal as show
    from network.service import load_rules

    with acting("maker", by=by) as (_, database, who):
        with database.begin() as connection:
            told = _or_exit(lambda: show(connection, draw, by=who))
            rules = load_rules(connection)
        out.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
        given = give_prizes(database, rules, draw)
    typer.echo(f"{len(told.winners)} of {len(told.tickets)} tickets win; {given} members got points: {out}")


@draw_app.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]) -> None:
    """Compute a revealed draw again from its file alone; exit status 1 where something else comes out."""
    from network.draws import read_published
    from network.programme.raffle import faults_of

    try:
        raw = file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error
    told = _or_exit(lambda: read_published(raw))
    faults = faults_of(told)
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        raise typer.Exit(1)
    typer.echo(f"{told.draw}: {len(told.winners)} of {len(told.tickets)} tickets win, as published")


def _or_exit(act: Callable[[], Done]) -> Done:
    from network.draws import DrawUnfit

    try:
        return act()
    except DrawUnfit as error:
        typer.echo(f"tessera draw: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
