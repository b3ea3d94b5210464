"""`tessera bank`: accounts, pay-outs and statements, and what to do when the bank says something else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from api.composition import BAD_INPUT, FAILED, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from partners.people.model import Role
    from settlement.bank.model import Resolution, WayOut, WrittenFile

bank_app = typer.Typer(
    no_args_is_help=True,
    help="""Pay-outs to the bank, statements from it, and what to do when the two differ.

    A night that was instructed is paid in first (pay-ins), then paid out (pay-outs); what the bank booked is
    read from its statements (read). What is not exactly what was expected becomes an exception (exceptions),
    and each has its ways out (resolve), which a second person approves.
    """,
)
account_app = typer.Typer(
    no_args_is_help=True,
    help="""Where participants are paid to. An account changes only by two, and is used after three days.

    Until then the account before it is paid; nothing is overwritten.
    """,
)
bank_app.add_typer(account_app, name="account")

_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Partner = Annotated[
    str, typer.Option("--partner", help="Its code; 'hub' is the account that all payments pass through.")
]
_Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As the list shows it.")]
_Window = Annotated[
    datetime, typer.Option("--window", formats=["%Y-%m-%d"], help="The business date, as 2017-05-31.")
]


@account_app.command("propose")
def propose_account(
    *,
    partner: _Partner,
    currency: Annotated[str, typer.Option(help="EUR, USD, ...")],
    name: Annotated[str, typer.Option(help="Whose account it is, as the bank has the name.")],
    iban: Annotated[str, typer.Option(help="Its number; its check digits are checked.")],
    bic: Annotated[str | None, typer.Option(help="The bank's code, where it asks for one.")] = None,
    evidence: Annotated[
        str, typer.Option(help="What shows that the partner wants it, and how that was made sure of.")
    ],
    by: _By = None,
) -> None:
    """Propose where a participant is to be paid; another must approve it."""
    from settlement.bank import changing
    from settlement.bank.model import Account

    with acting_there("maker", by=by) as (database, who), database.begin() as connection:
        found = changing.propose_account(
            connection,
            participant_id=_participant(connection, partner),
            currency=currency,
            account=Account(name=name, iban=iban, bic=bic),
            evidence=evidence,
            by=who,
        )
    typer.echo(f"account {found.account_id} is proposed; another must approve it:")
    typer.echo(f"  tessera bank account approve {found.account_id}")


@account_app.command("approve")
def approve_account(number: _Number, *, by: _By = None) -> None:
    """Approve an account that another has proposed; its cooling-off time begins."""
    from settlement.bank import changing

    with acting_there("checker", by=by) as (database, who), database.begin() as connection:
        found = changing.decide_account(connection, number, by=who, approve=True)
    typer.echo(f"account {number} is approved; it is used from {found.in_use_from:%Y-%m-%d %H:%M %Z} on")
    typer.echo(f"  if it is wrong: tessera bank account withdraw {number}")


@account_app.command("reject")
def reject_account(number: _Number, *, by: _By = None) -> None:
    """Reject a proposed account; who has proposed it may do so too."""
    from settlement.bank import changing

    with acting_there("maker", "checker", by=by) as (database, who), database.begin() as connection:
        changing.decide_account(connection, number, by=who, approve=False)
    typer.echo(f"account {number} is rejected")


@account_app.command("withdraw")
def withdraw_account(number: _Number, *, by: _By = None) -> None:
    """Stop an approved account before it is used; one person is enough."""
    from settlement.bank import changing

    with acting_there("maker", "checker", by=by) as (database, who), database.begin() as connection:
        changing.withdraw_account(connection, number, by=who)
    typer.echo(f"account {number} will not be used")


@account_app.command("list")
def list_accounts(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those of the past too.")] = False,
) -> None:
    """Accounts: in use, cooling off, and waiting for a second person."""
    from api.cli_bank_text import account_text
    from settlement.bank import changing, store

    with opened(reader_role) as (_, database), database.connect() as connection:
        codes = {who: code for who, (code, _) in store.load_names(connection).items()}
        found = changing.list_accounts(connection)
    shown = [(one, state) for one, state in found if everything or state in {"in_use", "cooling", "waits"}]
    for one, state in shown:
        typer.echo(account_text(one, state, codes))
    typer.echo(f"{len(shown)} accounts")


@bank_app.command("pay-ins")
def pay_ins(
    *,
    window: _Window,
    out: Annotated[Path | None, typer.Option(help="Write them as a CSV file.")] = None,
) -> None:
    """What participants are to pay in for a window: how much is missing, by when, with which reference."""
    from api.cli_bank_text import request_text
    from network.service import window_id_of
    from settlement.bank import paying
    from settlement.bank.requests import as_csv

    with known_refusals(), opened(reader_role) as (_, database), database.connect() as connection:
        found = paying.pay_in_requests(connection, window_id_of(window.date()))
    if out is not None:
        out.write_bytes(as_csv(found))
    for one in found:
        typer.echo(request_text(one))
    typer.echo(f"{len(found)} are to pay in")


@bank_app.command("pay-outs")
def pay_outs(
    *,
    window: Annotated[
        datetime | None,
        typer.Option("--window", formats=["%Y-%m-%d"], help="The business date, as 2017-05-31."),
    ] = None,
    refunds: Annotated[
        bool, typer.Option("--refunds", help="Instead: the refunds that were approved.")
    ] = False,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path(),
    by: _By = None,
) -> None:
    """Write a window's pay-outs as pain.001 files; asking again writes the same files again."""
    from network.service import window_id_of
    from settlement.bank import paying

    if (window is None) is not refunds:
        raise typer.BadParameter("give a window, or --refunds", param_hint="--window")
    with acting_there("maker", by=by) as (database, who), database.begin() as connection:
        if window is None:
            files = paying.refund_files(connection, by=who)
        else:
            files = paying.pay_out_files(connection, window_id_of(window.date()), by=who)
    # Only what is committed leaves: a file that is on the disk is in the database too.
    for one in files:
        typer.echo(_written(one, out))
    typer.echo(f"{len(files)} files")


@bank_app.command("read")
def read(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="camt.053.001.08")],
    *,
    by: _By = None,
) -> None:
    """Read statements of the bank, in their order; one that was read before books nothing.

    Exit status 1 says that something on them is to be looked at.
    """
    from api.cli_bank_text import result_text
    from settlement.bank import reading
    from settlement.bank.tree import MOST_BYTES

    left = 0
    windows: set[int] = set()
    with acting_there("maker", by=by) as (database, who):
        for path in files:
            with path.open("rb") as source:
                data = source.read(MOST_BYTES + 1)
            with database.begin() as connection:
                results = reading.read_file(connection, data, by=who)
            for one in results:
                typer.echo(result_text(one, path))
                left += len(one.exceptions)
                windows.update(one.windows)
        _advance(database, windows)
    if left:
        typer.echo(f"{left} are to be looked at: tessera bank exceptions", err=True)
        raise typer.Exit(FAILED)


@bank_app.command("exceptions")
def exceptions(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are resolved too.")] = False,
) -> None:
    """What on the statements is not what was expected, and which ways out there are."""
    from api.cli_bank_text import exception_text
    from settlement.bank.resolving import standings

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = standings(connection, only_open=not everything)
    for one in found:
        typer.echo(exception_text(one))
    typer.echo(f"{len(found)} exceptions{'' if everything else ' are open'}")


@bank_app.command("resolve")
def resolve(
    number: _Number,
    way: Annotated[
        str,
        typer.Argument(help="chase, refund, allocate, instruct_again, deposit, guarantee or charge."),
    ],
    *,
    note: Annotated[str, typer.Option(help="Why, and what shows it.")],
    amount: Annotated[
        str | None, typer.Option(help="How much of it, as 12.50; else all that is left.")
    ] = None,
    payment: Annotated[
        str | None, typer.Option(help="To allocate: the end-to-end id of the payment it was for.")
    ] = None,
    partner: Annotated[
        str | None, typer.Option(help="For a deposit or guarantee: whose it is, by its code.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="To refund: whose account; else the sender's.")] = None,
    iban: Annotated[str | None, typer.Option(help="To refund: its number.")] = None,
    bic: Annotated[
        str | None, typer.Option(help="To refund: the bank's code, where it asks for one.")
    ] = None,
    by: _By = None,
) -> None:
    """Propose a way out of an exception. All but chase move money: another must approve them."""
    from settlement.bank import resolving
    from settlement.bank.model import Account
    from settlement.bank.model import WayOut as Ways

    if way not in get_args(Ways):
        raise typer.BadParameter(f"{way!r} is none of {', '.join(get_args(Ways))}", param_hint="WAY")
    if (name is None) is not (iban is None):
        raise typer.BadParameter("give both, name and IBAN, or neither", param_hint="--iban")
    account = Account(name=name, iban=iban, bic=bic) if name and iban else None
    chosen: WayOut = way  # type: ignore[assignment]  # it is one of them, as was just seen
    with acting_there("maker", by=by) as (database, who), database.begin() as connection:
        proposed = resolving.propose_way_out(
            connection,
            number,
            chosen,
            note=note,
            by=who,
            amount_minor=None if amount is None else _minor(connection, number, amount),
            end_to_end_id=payment,
            account=account,
            participant_id=None if partner is None else _participant(connection, partner),
        )
    _say_resolution(proposed)


@bank_app.command("approve")
def approve_way_out(number: _Number, *, by: _By = None) -> None:
    """Approve a way out that another has proposed; it is carried out at once."""
    _decide(number, by, approve=True)


@bank_app.command("reject")
def reject_way_out(number: _Number, *, by: _By = None) -> None:
    """Reject a proposed way out; who has proposed it may do so too."""
    _decide(number, by, approve=False)


def _decide(number: int, by: str | None, *, approve: bool) -> None:
    from settlement.bank import resolving, store

    roles: tuple[Role, ...] = ("checker",) if approve else ("maker", "checker")
    with acting_there(*roles, by=by) as (database, who):
        with database.begin() as connection:
            decided = resolving.decide_way_out(connection, number, by=who, approve=approve)
            windows = store.load_windows(connection, [decided.end_to_end_id or ""])
        _say_resolution(decided)
        _advance(database, windows.values())


def _advance(database: "Engine", window_ids: Iterable[int]) -> None:
    """Take windows as far as what is booked allows, and say where they are."""
    from settlement.bank.finishing import advance_windows

    for one in advance_windows(database, window_ids):
        typer.echo(f"{one.business_date} is {one.state}")
        if one.objection:
            typer.echo(f"it is not settled: {one.objection}", err=True)


@contextmanager
def acting_there(*roles: "Role", by: str | None) -> Iterator[tuple["Engine", str]]:
    """The database, and who acts; what is refused ends the command with its text."""
    with acting(*roles, by=by) as (_, database, who), known_refusals():
        yield database, who


@contextmanager
def known_refusals() -> Iterator[None]:
    """What settlement refuses ends the command with its text."""
    from settlement.errors import SettlementError

    try:
        yield
    except SettlementError as error:
        typer.echo(f"tessera: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error


def _participant(connection: "Connection", code: str) -> int:
    from settlement.bank.store import load_names

    names = load_names(connection)
    for participant_id, (known, _) in names.items():
        if known == code:
            return participant_id
    known_codes = ", ".join(sorted(known for known, _ in names.values()))
    raise typer.BadParameter(f"nobody has the code {code!r}: {known_codes}", param_hint="--partner")


def _minor(connection: "Connection", number: int, amount: str) -> int:
    from settlement.bank.resolving import standings
    from settlement.money import minor_digits

    currencies = [
        one.exception.currency for one in standings(connection) if one.exception.exception_id == number
    ]
    digits = minor_digits(currencies[0]) if currencies else 2
    try:
        minor = Decimal(amount).scaleb(digits)
        whole = minor == minor.to_integral_value()
    except InvalidOperation:
        whole = False
    if not whole or abs(minor) > 10**15:
        raise typer.BadParameter(
            f"{amount!r} is no amount with at most {digits} decimals", param_hint="--amount"
        )
    return int(minor)


def _written(one: "WrittenFile", folder: Path) -> str:
    """Write a file, and say so."""
    from hashlib import sha256

    path = folder / f"{one.message_id}.xml"
    path.write_bytes(one.content)
    word = "new" if one.is_new else "as it left before"
    return f"{path}  {one.payments} payments, {word}, sha256 {sha256(one.content).hexdigest()}"


def _say_resolution(one: "Resolution") -> None:
    if one.approved is None:
        typer.echo(f"way out {one.resolution_id} is proposed; another must approve it:")
        typer.echo(f"  tessera bank approve {one.resolution_id}")
    elif not one.approved:
        typer.echo(f"way out {one.resolution_id} is rejected")
    elif one.way == "refund":
        typer.echo(
            f"way out {one.resolution_id} is approved; it leaves with: tessera bank pay-outs --refunds"
        )
    elif one.way == "instruct_again":
        typer.echo(f"way out {one.resolution_id} is approved; it leaves with the window's next pay-outs")
    else:
        typer.echo(f"way out {one.resolution_id} is done")
