"""`tessera default` and `tessera exit`: a partner that does not pay, and one that leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console

from api.composition import BAD_INPUT, FAILED, day_of, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from settlement.default_case import Simulation, Way
    from settlement.defaults import KeptCase

default_app = typer.Typer(
    no_args_is_help=True,
    help="""A partner's pay-in is missing: what is to be done, simulated before it is decided.

    Between instructed and paid. First its deposit pays, then the guarantee fund, then what the hub lends
    until the next night (--carry), then its creditors lose, in proportion to their gross claims on it; fees
    and VAT rank first. --unwind nets the night without it instead, the last resort. One person proposes, with
    the simulation; another approves it by its hash, and all of it is booked at once. Where its own deposit
    was not enough it is suspended.
    """,
    epilog="Example: tessera default simulate --date 2017-05-01 --debtor grocer --carry 100.00",
)
exit_app = typer.Typer(
    no_args_is_help=True,
    help="""A partner leaves: notice, last days, run-off of its points, buy-out, final statement.

    Its days are proposed here and approved by another: tessera proposal approve. After them tills are told
    partner_issues_no_more and partner_accepts_no_more; its points stay good. `buy-out` proposes what it pays
    for points outstanding; from then on the operator stands in for it. `leave` when nothing is open.
    """,
    epilog="Example: tessera exit propose grocer --notice 2017-05-01 --last-earn 2017-07-31"
    " --last-burn 2017-08-31 --run-off 2018-08-31 --reason 'letter of 1 May'",
)

_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Date = Annotated[str, typer.Option("--date", help="The business date, as 2017-05-31.")]
_Debtor = Annotated[str, typer.Option("--debtor", help="Who does not pay: a partner's code.")]
_Currency = Annotated[
    str | None, typer.Option(help="Of the payment; the network's, if none is named.", metavar="CODE")
]
_Carry = Annotated[
    str, typer.Option(help="The most that the hub lends until the next night, as 100.00.", metavar="AMOUNT")
]
_Unwind = Annotated[bool, typer.Option("--unwind", help="Net the night without the debtor.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, the text that is hashed.")]
_Case = Annotated[str, typer.Argument(metavar="CASE", help="The case, as `propose` and `list` show it.")]
_Sha = Annotated[str, typer.Option("--sha256", help="The simulation's hash, as `show` showed it to you.")]
_Code = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner's code.")]


@default_app.command("simulate")
def simulate(
    *,
    on: _Date,
    debtor: _Debtor,
    currency: _Currency = None,
    carry: _Carry = "0",
    unwind: _Unwind = False,
    as_json: _Json = False,
) -> None:
    """Show what a case would do now; nothing is written."""
    from partners.people.canonical import canonical
    from settlement import defaults

    with _told(), opened(reader_role) as (_, database), database.connect() as connection:
        names = _names(connection)
        money = _currency(connection, currency)
        found = defaults.simulate(
            connection,
            day_of(on, "--date"),
            _number(names, debtor),
            currency=money,
            way=_way(unwind=unwind),
            carry_minor=_minor(carry, money),
        )
    if as_json:
        typer.echo(canonical(found))
    else:
        _show(found, names)


@default_app.command("propose")
def propose(
    *,
    on: _Date,
    debtor: _Debtor,
    reason: Annotated[str, typer.Option(help="Why; whoever approves, or audits, reads it.")],
    currency: _Currency = None,
    carry: _Carry = "0",
    unwind: _Unwind = False,
    by: _By = None,
) -> None:
    """Propose a case, with its simulation; another person decides."""
    from network.service import network_now
    from settlement import defaults

    with _told(), acting("maker", by=by) as (_, database, who):
        with database.connect() as connection:
            names, at = _names(connection), network_now(connection)
            money = _currency(connection, currency)
        kept = defaults.propose(
            database,
            day_of(on, "--date"),
            _number(names, debtor),
            currency=money,
            way=_way(unwind=unwind),
            carry_minor=_minor(carry, money),
            reason=reason,
            by=who,
            at=at,
        )
    _show(kept.simulation, names)
    typer.echo(f"case {kept.case.case_id} waits for another person:")
    typer.echo(f"  tessera default approve {kept.case.case_id} --sha256 {kept.sha256.hex()}")


@default_app.command("list")
def list_cases(
    *, waiting: Annotated[bool, typer.Option("--open", help="Only those that wait.")] = False
) -> None:
    """Cases in the order they were proposed."""
    from settlement import defaults

    with opened(reader_role) as (_, database), database.connect() as connection:
        names = _names(connection)
        found = defaults.load_cases(connection, undecided=waiting)
    for kept in found:
        typer.echo(_line(kept, names))
    typer.echo(f"{len(found)} {'wait' if waiting else 'cases'}")


@default_app.command("show")
def show(case: _Case, *, as_json: _Json = False) -> None:
    """A case with its simulation, as it was proposed, and the hash that is approved."""
    from settlement import defaults

    with opened(reader_role) as (_, database), database.connect() as connection:
        names = _names(connection)
        found = defaults.load_cases(connection, case_id=_uuid(case))
    if not found:
        raise typer.BadParameter(f"there is no case {case}", param_hint="CASE")
    [kept] = found
    if as_json:
        typer.echo(kept.body)
        return
    typer.echo(_line(kept, names))
    typer.echo(f"reason: {kept.case.reason!a}")
    _show(kept.simulation, names)
    typer.echo(f"sha256 {kept.sha256.hex()}")


@default_app.command("approve")
def approve(case: _Case, *, sha256: _Sha, by: _By = None) -> None:
    """Approve a case that another has proposed; all its effects are booked at once."""
    _decide(case, sha256, by, approved=True)


@default_app.command("refuse")
def refuse(case: _Case, *, sha256: _Sha, by: _By = None) -> None:
    """Refuse a case that another has proposed."""
    _decide(case, sha256, by, approved=False)


@exit_app.command("propose")
def propose_exit(
    code: _Code,
    *,
    notice: Annotated[str, typer.Option(help="The day its notice was given, as 2017-05-31.")],
    last_earn: Annotated[str, typer.Option(help="The last day on which it issues points.")],
    last_burn: Annotated[str, typer.Option(help="The last day on which it accepts points.")],
    run_off: Annotated[str, typer.Option(help="Until when its points run off.")],
    reason: Annotated[str, typer.Option(help="Why, and by which letter.")],
    buy_out: Annotated[
        bool, typer.Option("--buy-out", help="Its points are bought out when it accepts no more.")
    ] = False,
    agreed: Annotated[
        bool, typer.Option("--agreed", help="Both sides agreed on less time than the contract has.")
    ] = False,
    by: _By = None,
) -> None:
    """Propose the days on which a partner leaves; another approves: tessera proposal approve."""
    from settlement import exits

    with _told(), acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = exits.propose_exit(
            connection,
            code,
            notice_on=day_of(notice, "--notice"),
            last_earn_on=day_of(last_earn, "--last-earn"),
            last_burn_on=day_of(last_burn, "--last-burn"),
            run_off_until=day_of(run_off, "--run-off"),
            mode="buy_out" if buy_out else "run_off",
            reason=reason,
            by=who,
            agreed=agreed,
        )
    typer.echo(f"proposal {made.proposal_id} waits for another person:")
    typer.echo(f"  tessera proposal approve {made.proposal_id} --sha256 {made.sha256.hex()}")


@exit_app.command("buy-out")
def propose_buy_out(code: _Code, *, by: _By = None) -> None:
    """Propose that it pays for its outstanding points, and that the operator stands in for it."""
    from partners.people.approvals import content_of
    from settlement import exits

    with _told(), acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = exits.propose_buy_out(connection, code, by=who)
        content = content_of(made)
    typer.echo(f"{code} pays {content['currency']} {content['amount']} for its points outstanding")
    typer.echo(f"proposal {made.proposal_id} waits for another person:")
    typer.echo(f"  tessera proposal approve {made.proposal_id} --sha256 {made.sha256.hex()}")


@exit_app.command("show")
def show_exit(code: _Code, *, as_json: _Json = False) -> None:
    """How an exit stands; with nothing open it is the final statement."""
    from partners.people.canonical import canonical
    from settlement.case_view import render_exit
    from settlement.exit_statement import statement

    with _told(), opened(reader_role) as (_, database), database.connect() as connection:
        found = statement(connection, code)
    if as_json:
        typer.echo(canonical(found))
    else:
        Console().print(render_exit(found))


@exit_app.command("leave")
def leave(code: _Code, *, by: _By = None) -> None:
    """Say that a partner has left, once nothing of it is open; its cover may then go back."""
    from settlement import exits
    from settlement.case_view import render_exit

    with _told(), acting("maker", by=by) as (_, database, who), database.begin() as connection:
        found = exits.leave(connection, code, by=who)
    Console().print(render_exit(found))


@contextmanager
def _told() -> Iterator[None]:
    """What the rooms refuse ends the command with its text and status 1; what names nothing, with 2."""
    from partners.errors import PartnerUnknown
    from settlement.errors import SettlementError

    try:
        yield
    except PartnerUnknown as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    except SettlementError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(FAILED) from error


def _decide(case: str, sha256: str, by: str | None, *, approved: bool) -> None:
    from network.service import network_now
    from settlement import defaults

    with _told(), acting("checker", by=by) as (_, database, who):
        with database.connect() as connection:
            at = network_now(connection)
        decided = defaults.decide(
            database, _uuid(case), sha256=_hash(sha256), approve=approved, by=who, at=at
        )
    typer.echo(f"case {case} is {'approved and booked' if approved else 'refused'}")
    for one in decided.added:
        minor = f"{one.amount_minor} {one.currency} minor units"
        typer.echo(f"  one payment more: {one.end_to_end_id}, {one.direction}, {minor}")
    if decided.suspended:
        typer.echo("  the debtor is suspended: tessera partner reactivate takes it back")


def _show(found: "Simulation", names: dict[int, str]) -> None:
    from settlement.case_view import render_case

    Console().print(render_case(found, names))


def _line(kept: "KeptCase", names: dict[int, str]) -> str:
    case = kept.case
    state = "waits" if case.approved is None else "approved" if case.approved else "refused"
    decided = "" if case.decided_by is None else f" by {case.decided_by}"
    debtor = names.get(case.debtor_id, str(case.debtor_id))
    missing = f"{case.missing_minor} {case.currency} minor units"
    return (
        f"{case.case_id}  window {case.window_id}/{case.revision}, {debtor}: {missing},"
        f" {kept.simulation.way}, by {case.proposed_by}: {state}{decided}"
    )


def _names(connection: "Connection") -> dict[int, str]:
    from partners.service import participants

    return {one.partner_id: one.code for one in participants(connection)}


def _number(names: dict[int, str], code: str) -> int:
    found = [number for number, name in names.items() if name == code]
    if not found:
        known = ", ".join(names.values())
        raise typer.BadParameter(
            f"no partner has the code {code!r}; there are {known}", param_hint="--debtor"
        )
    return found[0]


def _way(*, unwind: bool) -> "Way":
    return "unwind" if unwind else "ladder"


def _currency(connection: "Connection", given: str | None) -> str:
    from network.service import read_network

    return given or read_network(connection).currency


def _minor(given: str, currency: str) -> int:
    from settlement.money import minor_digits
    from settlement.table_file import amount_fault

    digits = minor_digits(currency)
    wrong = amount_fault("amount", given, decimals=digits, zero=None, below="leave it out")
    if wrong is not None:
        raise typer.BadParameter(wrong, param_hint="--carry")
    return int(Decimal(given).scaleb(digits))


def _uuid(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is no id of a case", param_hint="CASE") from None


def _hash(given: str) -> bytes:
    try:
        found = bytes.fromhex(given)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise typer.BadParameter("give the 64 hexadecimal digits that `show` shows", param_hint="--sha256")
    return found
