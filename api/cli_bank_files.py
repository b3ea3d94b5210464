"""`tessera bank files`, `statements`, `rejection`: what went, what came, what was not carried out."""

from typing import Annotated

import typer

from api.cli_bank import acting_there, known_refusals
from api.composition import opened
from config.roles import reader_role

rejection_app = typer.Typer(
    no_args_is_help=True,
    help="""Files, or payments of them, that the bank did not carry out: said by one, approved by another.

    What is approved is paid anew: pay-outs leave with the window's next file, to the account that is in use
    then; a refund's exception is open again.
    """,
)
_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Number = Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As the list shows it.")]
_Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")]


def add_to(bank_app: typer.Typer) -> None:
    """Add these commands to those of the bank."""
    bank_app.add_typer(rejection_app, name="rejection")
    bank_app.command("files")(files)
    bank_app.command("statements")(statements)


def files(*, limit: _Limit = 50) -> None:
    """Pay-out files that left, and how many of their payments the bank has booked."""
    from settlement.bank import history

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = history.files(connection, limit=limit)
    for one in found:
        of = f"of {one.business_date}" if one.business_date else "refunds"
        typer.echo(
            f"{one.message_id}  {of}: {one.booked} of {one.payments} payments booked;"
            f" written by {one.made_by}, {one.made_at:%Y-%m-%d %H:%M %Z}, sha256 {one.sha256.hex()}"
        )
    typer.echo(f"{len(found)} files")


def statements(*, limit: _Limit = 50) -> None:
    """Statements of the bank that were read and booked."""
    from settlement.bank import history
    from settlement.bank.numbers import show_iban
    from settlement.bank.pain import amount_text

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = history.statements(connection, limit=limit)
    for one in found:
        opening = amount_text(one.opening_minor, one.currency)
        closing = amount_text(one.closing_minor, one.currency)
        typer.echo(
            f"{one.statement_no}  {one.statement_id} of {show_iban(one.iban)}, {one.closing_on}:"
            f" {one.currency} {opening} to {closing}, {one.transactions} transactions,"
            f" {one.exceptions} not as expected; read by {one.read_by}, {one.read_at:%Y-%m-%d %H:%M %Z}"
        )
    typer.echo(f"{len(found)} statements")


@rejection_app.command("propose")
def propose(
    file: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="As `tessera bank files` shows it.")],
    *,
    note: Annotated[str, typer.Option(help="What the bank said, its reason's code included, and when.")],
    payment: Annotated[
        list[str] | None,
        typer.Option(help="The end-to-end id of one payment; may be repeated. All not booked by default."),
    ] = None,
    by: _By = None,
) -> None:
    """Say that the bank did not carry out a file, or payments of it; another must approve it."""
    from settlement.bank import rejecting

    with acting_there("maker", by=by) as (database, who), database.begin() as connection:
        found = rejecting.propose_rejection(connection, file, note=note, by=who, only=payment or ())
    typer.echo(f"rejection {found.rejection_id} of {len(found.payments)} payments; another must approve it:")
    typer.echo(f"  tessera bank rejection approve {found.rejection_id}")


@rejection_app.command("approve")
def approve(number: _Number, *, by: _By = None) -> None:
    """Approve what another has said: its payments are paid anew."""
    from settlement.bank import rejecting

    with acting_there("checker", by=by) as (database, who), database.begin() as connection:
        found = rejecting.decide_rejection(connection, number, by=who, approve=True)
    typer.echo(
        f"rejection {number} is approved: {len(found.payments)} payments are paid anew."
        " Pay-outs leave with `tessera bank pay-outs`; refunds are open again: `tessera bank exceptions`"
    )


@rejection_app.command("reject")
def reject(number: _Number, *, by: _By = None) -> None:
    """Reject what was said; who said it may do so too."""
    from settlement.bank import rejecting

    with acting_there("maker", "checker", by=by) as (database, who), database.begin() as connection:
        rejecting.decide_rejection(connection, number, by=who, approve=False)
    typer.echo(f"rejection {number} is rejected: the file stands")


@rejection_app.command("list")
def list_rejections() -> None:
    """Every rejection that was said, and who decided."""
    from settlement.bank import rejecting

    with known_refusals(), opened(reader_role) as (_, database), database.connect() as connection:
        found = rejecting.list_rejections(connection)
    for one in found:
        decided = (
            "waits for a second person"
            if one.decided_by is None
            else f"{'approved' if one.approved else 'rejected'} by {one.decided_by}"
        )
        typer.echo(f"{one.rejection_id}  {one.message_id}, by {one.proposed_by}: {decided}")
        typer.echo(f"  {one.note}")
        typer.echo(f"  {', '.join(one.payments)}")
    typer.echo(f"{len(found)} rejections")
