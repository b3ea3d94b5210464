"""`tessera exposure`: what partners may come to owe against their caps, and the warnings there were."""

from typing import TYPE_CHECKING, Annotated

import typer

from api.composition import FAILED, day_of, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from network.caps import Exposure

exposure_app = typer.Typer(
    no_args_is_help=True,
    help="""What partners may come to owe, against their caps.

    Exposure is what a partner owes of all windows that are not settled, with accrued fees, VAT and open
    holds, and what its outstanding points would cost at the highest live rate. An accrual that would take it
    over cap and deposit is refused, or flagged, as its contract says.
    """,
    epilog="Example: tessera exposure list",
)
_LEVELS = ("within", "warning", "alarm", "over the limit")
_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]


@exposure_app.command("list")
def list_exposures() -> None:
    """Show every partner that has a cap: what it owes, holds and has outstanding, its limit, its level."""
    from network.exposure_store import read_exposures
    from network.service import load_rules, network_now

    with opened(reader_role) as (_, database), database.connect() as connection:
        rules = load_rules(connection)
        found = read_exposures(connection, rules, rules.local_date(network_now(connection)))
    for one in found:
        typer.echo(_shown(rules.directory.participants[one.partner_id].code, one))
    typer.echo(f"{len(found)} partners have a cap")


@exposure_app.command("warnings")
def warnings(
    *,
    on: Annotated[str | None, typer.Option("--date", help="Of one business date, as 2017-05-31.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many, the latest.")] = 50,
) -> None:
    """Show who passed which threshold, up or down, the latest first."""
    from network.exposure_store import read_moves
    from network.service import window_id_of
    from partners.store import load_directory

    window_id = None if on is None else window_id_of(day_of(on))
    with opened(reader_role) as (_, database), database.connect() as connection:
        moves = read_moves(connection, window_id=window_id, limit=most)
        participants = load_directory(connection).participants
    for one in moves:
        limit = "no cap" if one.limit_amount is None else f"limit {one.limit_amount.normalize():f}"
        typer.echo(
            f"{one.moved_at:%Y-%m-%d %H:%M:%S}  {participants[one.partner_id].code}  "
            f"{_LEVELS[one.level_before]} -> {_LEVELS[one.level]}  "
            f"{one.amount.normalize():f} {one.currency}, {limit}, seen by {one.seen_by}"
        )
    typer.echo(f"{len(moves)} moves")


@exposure_app.command("check")
def check() -> None:
    """Count everything again from postings and the money ledger, and compare; exit status 1 if it differs."""
    from settlement.exposure_rows import problems

    with opened(reader_role) as (_, database):
        snapshot = database.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot as connection:
            found = problems(connection)
    for one in found:
        typer.echo(f"{one.where}: {one.detail}")
    typer.echo(f"{len(found)} differences" if found else "every row is what a recount makes of it")
    if found:
        raise typer.Exit(FAILED)


@exposure_app.command("rebuild")
def rebuild(*, by: _By = None) -> None:
    """Make the rows of every partner with a cap anew; tills wait while the open window is summed."""
    from partners.people.audit import audited
    from settlement import exposure_rows

    with acting("checker", "admin", by=by) as (_, database, who), database.begin() as connection:
        exposure_rows.stop_tills(connection)
        before = len(exposure_rows.differences(connection))
        capped = exposure_rows.rebuild(connection)
        after = {"partners": capped, "differences": before}
        audited(connection, by=who, action="exposure.rebuilt", subject="exposure", after=after)
    typer.echo(f"{capped} partners have a cap; {before} rows were not what they had to be")


def _shown(code: str, one: "Exposure") -> str:
    cap = "no cap now" if one.limit is None else f"limit {one.limit.normalize():f} ({one.at_cap})"
    parts = (("owed", one.owed), ("holds", one.held), ("points", one.points_cost))
    of = ", ".join(f"{name} {amount.normalize():f}" for name, amount in parts)
    unvalued = f"; no fixing of {', '.join(one.unvalued)}" if one.unvalued else ""
    level = _LEVELS[one.level]
    return f"{code}  {one.amount.normalize():f} {one.currency}  {cap}  {level}  ({of}{unvalued})"
