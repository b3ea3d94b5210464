"""`tessera dispute`: what partners dispute with each other, and what the operator decides of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.composition import BAD_INPUT, FAILED, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from api.bodies.disputes import DisputeBody

dispute_app = typer.Typer(
    no_args_is_help=True,
    help="""Lines of statements that partners dispute with each other.

    The other partner answers in time, or has accepted; what it rejects can be escalated in time, or is over.
    What is escalated is decided here: one person proposes what is paid back, another approves it, by
    `tessera proposal approve`. It is then a debt in the window that is open; members' points stay. What a
    partner disputes with the operator itself (points issued, fees, VAT) is answered here, by two as well.
    """,
    epilog="Example: tessera dispute decide dsp_0190... --award 93.75 --reason 'no receipt for it'",
)

_By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The dispute, dsp_..., as `list` shows it.")]
_MOST = 100


@dispute_app.command("list")
def list_disputes(
    *,
    undecided: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many, the newest.")] = _MOST,
) -> None:
    """Show disputes, the newest first: between whom, how much, where they stand, who is to move."""
    from api.bodies.disputes import show_case
    from settlement import dispute_store

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = dispute_store.page_of(connection, party=None, undecided=undecided, limit=most)
        cases = dispute_store.load_cases(connection, found)
        codes = _codes(connection)
    for each in found:
        one = show_case(cases[each], codes, names=True)
        typer.echo(
            f"{one.id}  {one.business_date}  {one.raised_by} against {one.against}  "
            f"{one.amount} {one.currency}  {_standing(one)}"
        )
    typer.echo(f"{len(found)} {'open' if undecided else 'disputes'}")


@dispute_app.command("show")
def show(dispute: _Id) -> None:
    """Show a dispute in full: what each said, until when, what is attached, what came of it."""
    from api.bodies.disputes import show_case
    from settlement.disputes import case_of

    with _told(), opened(reader_role) as (_, database), database.connect() as connection:
        one = show_case(case_of(connection, _id(dispute)), _codes(connection), names=True)
    lines = {
        "redemption": f"all points of {one.raised_by} at {one.against}",
        "issue": f"points that {one.raised_by} issued",
        "fee": f"the fee of {one.raised_by}",
        "vat": f"VAT that {one.raised_by} owed {one.against}",
    }
    line = f"entry {one.entry}" if one.entry else lines[one.line]
    typer.echo(f"{one.id}  {_standing(one)}")
    typer.echo(f"  {one.raised_by} against {one.against}, {one.amount} {one.currency}")
    typer.echo(f"  {line}, {one.business_date}")
    for event in one.events:
        typer.echo(f"  {event.at:%Y-%m-%d %H:%M %Z}  {event.state} by {event.by}: {event.text}")
    for file in one.evidence:
        typer.echo(f"  {file.name}  {file.media_type}, {file.size} bytes, by {file.attached_by}")
        typer.echo(f"    {file.sha256}")


@dispute_app.command("evidence")
def write_evidence(
    dispute: _Id,
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="The file, as `show` names it.")],
    *,
    out: Annotated[Path, typer.Option(help="Where it is written; no file may be there.")],
) -> None:
    """Write an attached file to disk, as it came. It is a stranger's: open it with care."""
    from api.bodies.disputes import hash_of
    from settlement.dispute_store import load_content

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = load_content(connection, _id(dispute), hash_of(sha256))
    if found is None:
        typer.echo(f"tessera: no such file is attached to {dispute}", err=True)
        raise typer.Exit(FAILED)
    try:
        with out.open("xb") as file:
            file.write(found[2])
    except OSError as error:
        typer.echo(f"tessera: {out} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(FAILED) from error
    typer.echo(f"{out}: {found[0]}, {found[1]}, {len(found[2])} bytes")


@dispute_app.command("decide")
def decide(
    dispute: _Id,
    *,
    award: Annotated[str, typer.Option(help="What is paid back, as 93.75; 0 for nothing.", metavar="AMOUNT")],
    reason: Annotated[str, typer.Option(help="Why; both partners read it.")],
    by: _By = None,
) -> None:
    """Propose what is decided of an escalated dispute; another approves it, and then it is."""
    from settlement.dispute_decisions import propose_decision

    dispute_id, awarded = _id(dispute), _amount(award)
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with _told(), acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = propose_decision(connection, dispute_id, awarded=awarded, reason=reason, by=who)
    typer.echo(f"{made.proposal_id}  proposed: {award} is paid back; another must approve it")
    typer.echo(f"  tessera proposal approve {made.proposal_id} --sha256 {made.sha256.hex()}")


@dispute_app.command("answer")
def answer(
    dispute: _Id,
    *,
    accepted: Annotated[
        bool, typer.Option("--accept/--reject", help="Pay it back, or not; then it can be escalated.")
    ],
    reason: Annotated[str, typer.Option(help="Why; the partner reads it.")],
    by: _By = None,
) -> None:
    """Propose the answer to a dispute with the operator itself; another approves it. Silence accepts it."""
    from settlement.dispute_decisions import propose_answer

    dispute_id = _id(dispute)
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with _told(), acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = propose_answer(
            connection, dispute_id, answer="accept" if accepted else "reject", reason=reason, by=who
        )
    typer.echo(
        f"{made.proposal_id}  proposed: to {'accept' if accepted else 'reject'}; another must approve it"
    )
    typer.echo(f"  tessera proposal approve {made.proposal_id} --sha256 {made.sha256.hex()}")


def _standing(one: "DisputeBody") -> str:
    """Where a dispute stands, in a few words."""
    if one.awarded is not None:
        paid = "" if one.paid_on is None else f" on {one.paid_on}"
        return f"{one.state}: {one.awarded} {one.currency} paid back{paid}"
    until = "" if one.answer_until is None else f" until {one.answer_until:%Y-%m-%d %H:%M %Z}"
    return f"{one.state}, waits for {one.waits_for}{until}"


@contextmanager
def _told() -> Iterator[None]:
    """What a dispute refuses ends the command with its words."""
    from api.problems import DISPUTE_PROBLEMS
    from settlement.errors import DisputeRefused

    try:
        yield
    except DisputeRefused as error:
        detail = f" ({error})" if str(error) else ""
        typer.echo(f"tessera: {DISPUTE_PROBLEMS[error.code][1]}{detail}", err=True)
        raise typer.Exit(BAD_INPUT if error.code == "dispute_unknown" else FAILED) from error


def _codes(connection: "Connection") -> dict[int, str]:
    from partners.store import load_directory

    return {one.partner_id: one.code for one in load_directory(connection).participants.values()}


def _id(shown: str) -> UUID:
    from network import ids

    dispute_id = ids.read("dsp", shown)
    if dispute_id is None:
        raise typer.BadParameter(f"{shown!r} is no dispute: dsp_ and 32 hexadecimal digits", param_hint="ID")
    return dispute_id


def _amount(given: str) -> Decimal:
    try:
        amount = Decimal(given)
    except InvalidOperation as error:
        raise typer.BadParameter(f"{given!r} is no amount: 93.75", param_hint="--award") from error
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{given!r} is no amount of 0 or more", param_hint="--award")
    return amount
