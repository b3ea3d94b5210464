"""`tessera proposal`, `audit`, `partner` and `key`: what waits for a second person, and what was done."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.composition import BAD_INPUT, FAILED, now, opened
from api.identity import acting
from config.roles import reader_role

if TYPE_CHECKING:
    from partners.people.model import Proposal

proposal_app = typer.Typer(no_args_is_help=True, help="What one has prepared and another must decide.")
audit_app = typer.Typer(no_args_is_help=True, help="The record of what operators did.")
partner_app = typer.Typer(no_args_is_help=True, help="Partners: suspended and reactivated by two.")
key_app = typer.Typer(no_args_is_help=True, help="Partners' signing keys: registered by two, revoked by one.")

By = Annotated[
    str | None, typer.Option("--by", help="Whose session, where several operators have signed in here.")
]
_Proposal = Annotated[str, typer.Argument(metavar="ID", help="The proposal, from `tessera proposal list`.")]
_Code = Annotated[str, typer.Argument(metavar="PARTNER", help="The partner's code.")]
_MOST = 100


def add_desk(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for name, group in (
        ("proposal", proposal_app),
        ("audit", audit_app),
        ("partner", partner_app),
        ("key", key_app),
    ):
        app.add_typer(group, name=name)


@proposal_app.command("list")
def list_proposals(
    *, waiting: Annotated[bool, typer.Option("--open", help="Only those that wait.")] = False
) -> None:
    """Proposals, the newest first."""
    from partners.people.approvals import read_page

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = read_page(connection, undecided=waiting, limit=_MOST)
    for one in found:
        state = "waits" if one.approved is None else "approved" if one.approved else "rejected"
        who = "" if one.decided_by is None else f" by {one.decided_by}"
        typer.echo(f"{one.proposal_id}  {one.kind} of {one.subject}, by {one.prepared_by}: {state}{who}")
    typer.echo(f"{len(found)} {'wait' if waiting else 'proposals'}")


@proposal_app.command("show")
def show_proposal(proposal: _Proposal) -> None:
    """A proposal in full, with the hash that is approved."""
    from partners.errors import ProposalUnknown
    from partners.people.approvals import content_of, read

    try:
        with opened(reader_role) as (_, database), database.connect() as connection:
            found = read(connection, _uuid(proposal))
    except ProposalUnknown as error:
        raise _refused(error) from error
    typer.echo(f"{found.kind} of {found.subject}")
    typer.echo(json.dumps(content_of(found), indent=2, ensure_ascii=False))
    typer.echo(f"prepared by {found.prepared_by}, {found.prepared_at:%Y-%m-%d %H:%M %Z}")
    if found.decided_at is not None:
        word = "approved" if found.approved else "rejected"
        typer.echo(f"{word} by {found.decided_by}, {found.decided_at:%Y-%m-%d %H:%M %Z}")
    typer.echo(f"sha256 {found.sha256.hex()}")


@proposal_app.command("approve")
def approve(
    proposal: _Proposal,
    *,
    sha256: Annotated[str, typer.Option(help="The hash that `tessera proposal show` showed you.")],
    by: By = None,
) -> None:
    """Approve exactly what was proposed; it is carried out at once."""
    _decide(proposal, sha256, by, approved=True)


@proposal_app.command("reject")
def reject(
    proposal: _Proposal,
    *,
    sha256: Annotated[str, typer.Option(help="The hash that `tessera proposal show` showed you.")],
    by: By = None,
) -> None:
    """Reject it, or withdraw your own."""
    _decide(proposal, sha256, by, approved=False)


@audit_app.command("list")
def list_audit(
    *,
    subject: Annotated[str | None, typer.Option(help="Of one subject: partner:grocer, say.")] = None,
    operator: Annotated[str | None, typer.Option(help="Of one operator.")] = None,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest.")] = 50,
    records: Annotated[bool, typer.Option("--records", help="Whole records, with before and after.")] = False,
) -> None:
    """What operators did, the newest last."""
    from partners.people.audit import read_page

    with opened(reader_role) as (_, database), database.connect() as connection:
        found = read_page(connection, limit=last, subject=subject, done_by=operator)
    for row in reversed(found):
        typer.echo(
            row.record
            if records
            else f"{row.seq:>6}  {row.at:%Y-%m-%d %H:%M:%S}  {row.done_by:<16} {row.action} {row.subject}"
        )


@audit_app.command("check")
def check_audit(
    *,
    row: Annotated[int | None, typer.Option(min=1, help="A row's number that was noted before,")] = None,
    sha256: Annotated[str | None, typer.Option(help="and its hash.")] = None,
) -> None:
    """Say whether the record is a whole chain. Note the last row's number and hash: later they must fit."""
    from partners.people.audit import chain_faults, head_of

    if (row is None) != (sha256 is None):
        raise typer.BadParameter("give --row and --sha256, or neither", param_hint="--row")
    noted = None if row is None or sha256 is None else (row, _sha256(sha256))
    with opened(reader_role) as (_, database):
        snapshot = database.connect().execution_options(isolation_level="REPEATABLE READ")
        with snapshot as connection:
            rows, head = head_of(connection)
            faults = chain_faults(connection, noted)
    for fault in faults:
        typer.echo(f"{fault.where}: {fault.detail}", err=True)
    typer.echo(f"{rows} rows, the last {head.hex()}: {'broken' if faults else 'whole'}")
    raise typer.Exit(FAILED if faults else 0)


@partner_app.command("list")
def list_partners() -> None:
    """Who takes part, and how each stands."""
    from partners.service import participants

    with opened(reader_role) as (_, database), database.connect() as connection:
        for one in participants(connection):
            typer.echo(f"{one.partner_id:>6}  {one.code:<24} {one.kind:<8} {one.status:<9} {one.name}")


@partner_app.command("suspend")
def suspend(code: _Code, *, reason: Annotated[str, typer.Option(help="Why.")], by: By = None) -> None:
    """Propose to suspend a partner: it neither issues nor accepts; its members' points stay good."""
    _propose_status(code, reason, by, "partner.suspend")


@partner_app.command("reactivate")
def reactivate(code: _Code, *, reason: Annotated[str, typer.Option(help="Why.")], by: By = None) -> None:
    """Propose to let a suspended partner take part again."""
    _propose_status(code, reason, by, "partner.reactivate")


@key_app.command("list")
def list_keys() -> None:
    """All keys that partners ever had."""
    from partners.store import load_keys

    with opened(reader_role) as (_, database), database.connect() as connection:
        for key in sorted(load_keys(connection).values(), key=lambda key: (key.partner_id, key.key_id)):
            ends = "" if key.not_after is None else f" until {key.not_after:%Y-%m-%d %H:%M}"
            gone = "" if key.revoked_at is None else f", revoked {key.revoked_at:%Y-%m-%d %H:%M:%S}"
            typer.echo(f"{key.partner_id:>6}  {key.key_id}  from {key.not_before:%Y-%m-%d %H:%M}{ends}{gone}")


@key_app.command("register")
def register_key(
    code: _Code,
    file: Annotated[
        Path,
        typer.Argument(help="JSON of key_id, public_key, not_before, not_after and proof; bytes in base64."),
    ],
    *,
    by: By = None,
) -> None:
    """Propose a partner's key, with its proof that it holds the private half."""
    from base64 import b64decode

    from partners.model import PartnerKey
    from partners.service import partner_of, propose_key

    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        until = said.get("not_after")
        fields: dict[str, Any] = {
            "key_id": said["key_id"],
            "public_key": b64decode(said["public_key"], validate=True),
            "not_before": datetime.fromisoformat(said["not_before"]),
            "not_after": None if until is None else datetime.fromisoformat(until),
        }
        proof = b64decode(said["proof"], validate=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        typer.echo(f"tessera: {file} is no key with its proof: {error!r}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        key = PartnerKey(partner_id=partner_of(connection, code).partner_id, **fields)
        made = propose_key(connection, code, key, proof, by=who)
    say_proposed(made)


@key_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")], *, by: By = None
) -> None:
    """Revoke a key at once: requests under it are refused within five seconds."""
    from partners.service import revoke

    with (
        acting("maker", "checker", "admin", by=by) as (_, database, who),
        database.begin() as connection,
    ):
        revoke(connection, key_id, at=now(), by=who)
    typer.echo(f"{key_id} is revoked")


def _propose_status(code: str, reason: str, by: str | None, kind: str) -> None:
    from partners.service import propose_status

    with acting("maker", by=by) as (_, database, who), database.begin() as connection:
        made = propose_status(connection, code, kind, reason=reason, by=who)
    say_proposed(made)


def _decide(proposal: str, sha256: str, by: str | None, *, approved: bool) -> None:
    from api.deciding import decide_proposal
    from api.identity import identify
    from partners.errors import PartnersError

    proposal_id, seen = _uuid(proposal), _sha256(sha256)
    try:
        with opened() as (settings, database):
            who = identify(settings, database, by)
            with database.begin() as connection:
                decided, half = decide_proposal(
                    connection, proposal_id, sha256=seen, who=who, approve=approved, now=now()
                )
    except PartnersError as error:
        raise _refused(error) from error
    typer.echo(f"{decided.kind} of {decided.subject} is {'approved' if approved else 'rejected'}")
    if half is not None:
        typer.echo(f"your half of the secret, the second: {half}")
        typer.echo("  give it to the operator; it is not shown again")


def say_proposed(made: "Proposal", half: str | None = None) -> None:
    """Say what waits, what its approver is to run, and a half of a secret, shown this once."""
    typer.echo(f"proposed: {made.kind} of {made.subject}; another must approve it:")
    typer.echo(f"  tessera proposal approve {made.proposal_id} --sha256 {made.sha256.hex()}")
    if half is not None:
        typer.echo(f"your half of the secret, the first: {half}")
        typer.echo("  give it to the operator once it is approved; it is not shown again")


def _refused(error: Exception) -> typer.Exit:
    typer.echo(f"tessera: {error}", err=True)
    return typer.Exit(BAD_INPUT)


def _uuid(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise typer.BadParameter(f"{given!r} is no proposal's id", param_hint="ID") from None


def _sha256(given: str) -> bytes:
    try:
        return bytes.fromhex(given)
    except ValueError:
        raise typer.BadParameter("64 hexadecimal digits", param_hint="--sha256") from None
