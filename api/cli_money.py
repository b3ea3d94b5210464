"""`tessera correction` and `tessera calendar`: what two decide about money and the days of banks."""

from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

from api.composition import day_of, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from partners.people.model import Proposal

correction_app = typer.Typer(
    no_args_is_help=True,
    help="""Debts for what was wrong in a night whose payments have left: one proposes them, another approves.

    A night that was not instructed is done again instead: tessera night reopen.
    """,
)
calendar_app = typer.Typer(
    no_args_is_help=True, help="On which days banks work, and how long payments take; changed by two."
)
By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
Currency = Annotated[str, typer.Argument(metavar="CURRENCY", help="EUR, USD, ...")]


@correction_app.command("propose")
def propose_correction(
    debtor: Annotated[str, typer.Argument(help="Who pays, by its code; a partner or operator.")],
    creditor: Annotated[str, typer.Argument(help="Who receives.")],
    amount: Annotated[str, typer.Argument(help="In major units, as 12.50.")],
    currency: Currency,
    *,
    night: Annotated[str, typer.Option(help="The night that it corrects, as 2017-05-31.")],
    reason: Annotated[str, typer.Option(help="What was wrong, and what shows it.")],
    by: By = None,
) -> None:
    """Propose a debt; approved, it falls into the window that is open then, and names the night."""
    from settlement import corrections

    try:
        owed = Decimal(amount)
    except InvalidOperation:
        raise typer.BadParameter(f"{amount!r} is no amount: 12.50", param_hint="AMOUNT") from None
    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = corrections.propose_correction(
            connection,
            debtor=debtor,
            creditor=creditor,
            currency=currency,
            amount=owed,
            of_night=day_of(night, "--night"),
            reason=reason,
            by=who,
        )
    _proposed(made)


@correction_app.command("list")
def list_corrections(
    *, limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")] = 50
) -> None:
    """Debts that no posting made: corrections, disputes, defaults, exits."""
    from network.service import date_of_window
    from settlement import corrections
    from settlement.bank.store import load_names

    with opened(reader_role) as (_, database), database.connect() as connection:
        codes = {who: code for who, (code, _) in load_names(connection).items()}
        found = corrections.list_adjustments(connection, since=date(2000, 1, 1), limit=limit)
    for one in found:
        of = f", of {date_of_window(one['origin_window_id'])}" if one["origin_window_id"] else ""
        typer.echo(
            f"{date_of_window(one['window_id'])}  {codes[one['debtor_id']]} to {codes[one['creditor_id']]}:"
            f" {one['currency']} {one['amount']:f}, {one['origin']}{of}"
        )
        typer.echo(f"  {one['reason']}; by {one['prepared_by']} and {one['approved_by']}")
    typer.echo(f"{len(found)} debts")


@calendar_app.command("set")
def set_calendar(
    currency: Currency,
    calendar: Annotated[str, typer.Argument(help="A country, AT; a part, DE-BY; a market, XECB; or ''.")],
    *,
    value_days: Annotated[int, typer.Option(min=0, max=10, help="Business days that payments take.")] = 1,
    by: By = None,
) -> None:
    """Propose whose holidays a currency's payments keep."""
    from settlement import corrections

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = corrections.propose_calendar(
            connection, currency=currency, calendar=calendar, value_days=value_days, by=who
        )
    _proposed(made)


@calendar_app.command("day")
def set_day(
    currency: Currency,
    day: Annotated[str, typer.Argument(metavar="DAY", help="As 2017-12-27.")],
    *,
    is_open: Annotated[bool, typer.Option("--open/--closed", help="Whether banks work on it.")],
    reason: Annotated[str, typer.Option(help="Why it is other than the calendar says.")],
    by: By = None,
) -> None:
    """Propose a day on which banks work, or do not, other than the calendar says."""
    from settlement import corrections

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = corrections.propose_day(
            connection, currency=currency, day=day_of(day, "DAY"), is_open=is_open, reason=reason, by=who
        )
    _proposed(made)


@calendar_app.command("list")
def list_calendars() -> None:
    """Calendars by currency, and days that are other than these say."""
    from settlement import corrections

    with opened(reader_role) as (_, database), database.connect() as connection:
        calendars, days = corrections.list_calendars(connection)
    for one in calendars:
        name = one["calendar"] or "Monday to Friday"
        typer.echo(f"{one['currency']}  {name}, payments take {one['value_days']} business days")
    for one in days:
        word = "open" if one["is_open"] else "closed"
        typer.echo(f"{one['currency']}  {one['day']} is {word}: {one['reason']}")
    typer.echo(f"{len(calendars)} calendars; other currencies rest at weekends, and payments take one day")


def _proposed(made: "Proposal") -> None:
    typer.echo(f"proposed; another approves it: tessera proposal approve {made.proposal_id} \\")
    typer.echo(f"  --sha256 {made.sha256.hex()}")
