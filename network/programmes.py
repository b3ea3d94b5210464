"""The life of a programme: proposed by one, approved by another, in force from a day on; and its history."""

from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, text

from network.errors import ProgrammeInvalid
from network.programme.compiled import compile_programme
from network.programme.spec import ProgrammeSpec, read_programme
from network.service import apply_programme, live_programme_version, network_now, read_network
from partners.errors import ProposalChanged
from partners.people import approvals
from partners.people.approvals import content_of
from partners.people.audit import audited
from partners.people.model import Proposal
from partners.store import load_directory

APPLY = "programme.apply"
KINDS = (APPLY,)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was applied; `live` is the one that judges now."""

    programme_version: int
    name: str
    effective_on: date
    applied_at: datetime
    applied_by: str
    live: bool


def checked(connection: Connection | None, source: str, name: str) -> ProgrammeSpec:
    """Read a file and hold it against the network's partners and outlets.

    Args:
        connection: The network; None where there is none to hold it against.
        source: The file's text.
        name: What to call it in errors.
    Raises:
        ProgrammeInvalid: with every fault, a line each.
    """
    spec = read_programme(source, name)
    if connection is None:
        return spec
    directory = load_directory(connection)
    compile_programme(spec, 0, {one.code: one.partner_id for one in directory.participants.values()})
    known = {(directory.participants[number].code, outlet) for number, outlet in directory.outlets}
    missing = [
        f"{owner} names outlet {outlet}" for owner, outlet in _outlets(spec) if _pair(outlet) not in known
    ]
    if missing:
        raise ProgrammeInvalid(f"{name}: " + "; ".join(missing) + ": the network has no such outlet")
    return spec


def _outlets(spec: ProgrammeSpec) -> list[tuple[str, str]]:
    named = [(f"rule {one.id}", outlet) for one in spec.rule for outlet in one.when.outlets or ()]
    return named + [
        (f"counter {one.id}", outlet) for one in spec.counter for outlet in one.when.outlets or ()
    ]


def _pair(outlet: str) -> tuple[str, str]:
    code, _, name = outlet.partition("/")
    return code, name


def live_source(connection: Connection) -> str:
    """The text of the file that judges now."""
    source: str = connection.execute(
        text("SELECT source FROM programme_version WHERE programme_version = :version"),
        {"version": live_programme_version(connection)},
    ).scalar_one()
    return source


def propose(connection: Connection, source: str, *, effective_on: date, by: str) -> Proposal:
    """Propose a file for a day to come; another approves exactly this text.

    Args:
        connection: A transaction.
        source: The file's text.
        effective_on: The first local day on which it is to judge, today at the earliest.
        by: Who prepares it.
    Raises:
        ProgrammeInvalid: it is no programme for this network, or its day is past.
        ProposalOpen: one is proposed already.
    """
    spec = checked(connection, source, "programme")
    _not_past(connection, effective_on)
    content = {
        "name": spec.name,
        "source": source,
        "effective_on": effective_on.isoformat(),
        "before": live_programme_version(connection),
    }
    return approvals.propose(connection, kind=APPLY, subject="programme", content=content, by=by)


def decide(connection: Connection, proposal_id: UUID, *, sha256: bytes, by: str, approve: bool) -> Proposal:
    """Approve a proposed file, so that it judges from its day on; or reject it.

    Raises:
        ProposalChanged: another version is live than when it was proposed, or its day has passed.
        ProposalUnknown, ProposalDecided, SecondPersonNeeded: see approvals.decide.
    """
    content = content_of(approvals.read(connection, proposal_id))
    decided = approvals.decide(connection, proposal_id, sha256=sha256, by=by, approve=approve, of=KINDS)
    if approve:
        _apply(connection, content, by)
    return decided


def _apply(connection: Connection, content: dict[str, Any], by: str) -> None:
    live = live_programme_version(connection)
    if live != content["before"]:
        raise ProposalChanged(
            f"version {live} is live now: look at the difference again, and propose it anew"
        )
    effective_on = date.fromisoformat(content["effective_on"])
    try:
        _not_past(connection, effective_on)
    except ProgrammeInvalid as error:
        raise ProposalChanged(str(error)) from error
    version = apply_programme(
        connection,
        content["source"],
        at=network_now(connection),
        applied_by=by,
        effective_on=effective_on,
    )
    audited(
        connection,
        by=by,
        action="programme.applied",
        subject=f"programme:{version}",
        before={"programme_version": live},
        after={"programme_version": version, "effective_on": content["effective_on"]},
    )


def _not_past(connection: Connection, effective_on: date) -> None:
    today = network_now(connection).astimezone(ZoneInfo(read_network(connection).time_zone)).date()
    if effective_on < today:
        raise ProgrammeInvalid(f"{effective_on} has passed: a programme takes effect today at the earliest")


def history(connection: Connection) -> list[Version]:
    """Every version, in the order in which they take effect."""
    live = live_programme_version(connection)
    rows = connection.execute(
        text(
            "SELECT programme_version, source, effective_on, applied_at, applied_by FROM programme_version"
            " ORDER BY effective_on, programme_version"
        )
    )
    return [
        Version(
            programme_version=row.programme_version,
            name=read_programme(row.source).name,
            effective_on=row.effective_on,
            applied_at=row.applied_at,
            applied_by=row.applied_by,
            live=row.programme_version == live,
        )
        for row in rows
    ]
