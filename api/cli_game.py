"""`tessera game`: matches on which members stake points, opened, decided by two, paid out."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypeVar
from uuid import UUID

import typer

from api.cli_desk import By
from api.composition import BAD_INPUT, opened
from api.identity import acting
from config.roles import reader_role

game_app = typer.Typer(
    no_args_is_help=True,
    help="""Games of the programme (docs/programmes.md): a match is opened for stakes, closed by the clock,
    decided or called off by two people, and paid out.
    """,
    epilog="Example: tessera game open match 'Reds against Blues' --outcome home --outcome away"
    " --begins 2017-05-06T20:00+02:00",
)
Done = TypeVar("Done")
_Match = Annotated[str, typer.Argument(metavar="MATCH", help="A match's id, mat_...")]
_Why = Annotated[str, typer.Option("--why", help="Where that is known from.")]


@game_app.command("open")
def open_(
    game: Annotated[str, typer.Argument(help="A game of the live programme.")],
    title: Annotated[str, typer.Argument(help="What members read.")],
    *,
    outcome: Annotated[list[str], typer.Option(help="What may come about; with odds as home=2.50.")],
    begins: Annotated[str, typer.Option(help="When it begins, with a zone: 2017-05-06T20:00+02:00.")],
    by: By = None,
) -> None:
    """Open a match for stakes, until as many minutes before it begins as the game says."""
    from network.matches import open_match
    from network.service import load_rules

    outcomes = dict(_outcome(one) for one in outcome)
    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        match = _or_exit(
            lambda: open_match(
                connection,
                load_rules(connection),
                game=game,
                title=title,
                outcomes=outcomes,
                begins_at=_instant(begins),
                by=who,
            )
        )
    typer.echo(f"{_shown(match.match_id)} is open until {match.closes_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")


@game_app.command("list")
def list_() -> None:
    """Every match with its state, and how much is staked on what."""
    from network.matches import matches, staked

    with opened(reader_role) as (_, database), database.connect() as connection:
        for one in matches(connection):
            state = "paid out" if one.settled_at else one.state
            result = f": {one.result}" if one.result else ""
            on = ", ".join(
                f"{name} {points} in {many}"
                for name, (many, points) in staked(connection, one.match_id).items()
            )
            typer.echo(
                f"{_shown(one.match_id)}  {one.begins_at:%Y-%m-%d %H:%M}  {one.title}  {state}{result}"
            )
            typer.echo(f"    {on or 'no stakes'}")


@game_app.command("result")
def result(match: _Match, outcome: str, *, why: _Why, by: By = None) -> None:
    """Propose how a match ended; another approves it, and then it is paid out."""
    _propose(match, outcome, why, by)


@game_app.command("cancel")
def cancel(match: _Match, *, why: _Why, by: By = None) -> None:
    """Propose to call a match off; when another approves it, all stakes go back as they were."""
    _propose(match, None, why, by)


@game_app.command("settle")
def settle(*, by: By = None) -> None:
    """Pay out matches that have ended; each night does it, too."""
    from network.matches import settle as pay
    from network.service import load_rules

    with acting("maker", "checker", "admin", by=by) as (_, database, _who):
        with database.connect() as connection:
            rules = load_rules(connection)
        typer.echo(f"{pay(database, rules)} stakes were paid out")


def _propose(match: str, outcome: str | None, why: str, by: str | None) -> None:
    from network.matches import propose_end

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = _or_exit(lambda: propose_end(connection, _id(match), result=outcome, why=why, by=who))
    typer.echo(f"proposed; another approves it: tessera proposal approve {made.proposal_id} \\")
    typer.echo(f"  --sha256 {made.sha256.hex()}")


def _or_exit(act: Callable[[], Done]) -> Done:
    from network.matches import MatchUnfit

    try:
        return act()
    except MatchUnfit as error:
        typer.echo(f"tessera game: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error


def _outcome(given: str) -> tuple[str, int | None]:
    name, separator, odds = given.partition("=")
    if not separator:
        return name, None
    try:
        hundredths = Decimal(odds) * 100
    except InvalidOperation:
        raise typer.BadParameter(f"{odds!r} are no odds: 2.50", param_hint="--outcome") from None
    if hundredths != hundredths.to_integral_value():
        raise typer.BadParameter(f"{odds}: odds have two digits after the point", param_hint="--outcome")
    return name, int(hundredths)


def _instant(shown: str) -> datetime:
    try:
        at: datetime | None = datetime.fromisoformat(shown)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise typer.BadParameter(f"{shown!r}: give date, time and zone", param_hint="--begins")
    return at


def _id(shown: str) -> UUID:
    from network import ids

    match_id = ids.read("mat", shown)
    if match_id is None:
        raise typer.BadParameter(f"{shown!r} is no match's id", param_hint="MATCH")
    return match_id


def _shown(match_id: UUID) -> str:
    from network import ids

    return ids.show("mat", match_id)
