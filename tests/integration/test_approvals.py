"""Four eyes on the real PostgreSQL, and what partners' proposals do once they are approved."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from partners import service
from partners.errors import (
    KeyNotAccepted,
    KeyNotFound,
    NotNow,
    PartnerUnknown,
    ProposalChanged,
    ProposalDecided,
    ProposalOpen,
    ProposalUnknown,
    SecondPersonNeeded,
)
from partners.keys import possession_statement
from partners.model import PartnerKey
from partners.people import approvals
from partners.people.approvals import decide, propose
from partners.people.audit import read_page
from partners.people.model import Proposal
from partners.store import load_directory, load_keys
from tests.coalition import GROCER, set_up
from tests.people import faults_of

KINDS = ("rate.set",)
START = datetime(2017, 5, 1, tzinfo=UTC)


def proposed(database: Engine, subject: str = "rate:1", by: str = "max") -> Proposal:
    """A proposal of max's."""
    with database.begin() as connection:
        return propose(connection, kind="rate.set", subject=subject, content={"rate": "0.0080"}, by=by)


def decided(
    database: Engine, made: Proposal, by: str, *, approve: bool = True, sha256: bytes | None = None
) -> Proposal:
    """The same, decided."""
    with database.begin() as connection:
        return decide(
            connection,
            made.proposal_id,
            sha256=made.sha256 if sha256 is None else sha256,
            by=by,
            approve=approve,
            of=KINDS,
        )


def test_another_approves_exactly_what_was_proposed(database: Engine) -> None:
    """Not who proposed it, not another hash, not twice; the proposer may withdraw."""
    made = proposed(database)
    with pytest.raises(SecondPersonNeeded):
        decided(database, made, "max")
    with pytest.raises(ProposalChanged):
        decided(database, made, "cleo", sha256=bytes(32))
    done = decided(database, made, "cleo")
    assert (done.decided_by, done.approved, done.content) == ("cleo", True, '{"rate":"0.0080"}')
    for approve in (True, False):
        with pytest.raises(ProposalDecided, match="cleo approved it"):
            decided(database, made, "carl", approve=approve)
    withdrawn = decided(database, proposed(database), "max", approve=False)
    assert withdrawn.approved is False
    assert faults_of(database) == []


def test_four_eyes_are_the_databases_law(database: Engine) -> None:
    """Whatever sends the UPDATE; and the content cannot be exchanged under a hash."""
    made = proposed(database)
    own = text(
        "UPDATE proposal SET decided_by = 'max', decided_at = now(), approved = true WHERE proposal_id = :id"
    )
    with pytest.raises(IntegrityError, match="proposal_four_eyes"), database.begin() as connection:
        connection.execute(own, {"id": made.proposal_id})
    with pytest.raises(IntegrityError, match="proposal_hash"), database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO proposal (proposal_id, kind, subject, content, sha256, prepared_by, prepared_at)"
                " VALUES (gen_random_uuid(), 'a', 'b', '{}', sha256('{ }'), 'max', now())"
            )
        )


def test_one_of_a_kind_waits_at_a_time(database: Engine) -> None:
    """A second for the same subject is refused until the first is decided; an unknown one is unknown."""
    made = proposed(database)
    with pytest.raises(ProposalOpen):
        proposed(database, by="mia")
    proposed(database, "rate:2")
    decided(database, made, "cleo", approve=False)
    proposed(database, by="mia")
    with database.connect() as connection:
        waiting = approvals.read_page(connection, undecided=True, limit=10)
        assert [(one.subject, one.prepared_by) for one in waiting] == [("rate:1", "mia"), ("rate:2", "max")]
        assert approvals.read_page(connection, undecided=True, limit=10, before=waiting[0]) == waiting[1:]
        assert len(approvals.read_page(connection, undecided=False, limit=10)) == 3
        assert approvals.read(connection, made.proposal_id).decided_by == "cleo"
    for unknown in (UUID(int=7), UUID(int=0)):
        with pytest.raises(ProposalUnknown), database.begin() as connection:
            decide(connection, unknown, sha256=bytes(32), by="cleo", approve=True, of=KINDS)
    with pytest.raises(ProposalUnknown), database.begin() as connection:
        decide(
            connection,
            waiting[0].proposal_id,
            sha256=waiting[0].sha256,
            by="cleo",
            approve=True,
            of=("other",),
        )


def test_a_partner_is_suspended_and_reactivated_by_two(database: Engine) -> None:
    """The record says what it was and is; a proposal that time has overtaken is refused."""
    set_up(database)
    with database.begin() as connection:
        made = service.propose_status(connection, "grocer", service.SUSPEND, reason="no deposit", by="max")
        with pytest.raises(NotNow):
            service.propose_status(connection, "grocer", service.REACTIVATE, reason="why not", by="max")
        with pytest.raises(NotNow, match="reason"):
            service.propose_status(connection, "petrol", service.SUSPEND, reason=" ", by="max")
        for unknown in ("nobody", "pool", "operator"):
            with pytest.raises(PartnerUnknown):
                service.propose_status(connection, unknown, service.SUSPEND, reason="why", by="max")
    with database.begin() as connection:
        service.decide(connection, made.proposal_id, sha256=made.sha256, by="cleo", approve=True)
    with database.connect() as connection:
        assert load_directory(connection).participants[GROCER].status == "suspended"
        [row, *_] = read_page(connection, limit=1)
    assert (row.done_by, row.action, row.subject) == ("cleo", "partner.suspended", "partner:grocer")
    assert '"after":{"reason":"no deposit","status":"suspended"}' in row.record
    assert '"before":{"status":"active"}' in row.record
    with database.begin() as connection:
        made = service.propose_status(connection, "grocer", service.REACTIVATE, reason="paid", by="max")
        connection.execute(text("UPDATE partner SET status = 'left' WHERE code = 'grocer'"))
    with pytest.raises(ProposalChanged), database.begin() as connection:
        service.decide(connection, made.proposal_id, sha256=made.sha256, by="cleo", approve=True)
    with database.begin() as connection:
        rejected = service.decide(connection, made.proposal_id, sha256=made.sha256, by="cleo", approve=False)
    assert rejected.approved is False
    assert faults_of(database) == []


def test_a_key_is_registered_by_two_and_revoked_by_one(database: Engine) -> None:
    """Its owner has proven to hold it; it names its own partner; revoking it says since when."""
    set_up(database)
    private = Ed25519PrivateKey.generate()
    key = PartnerKey(
        key_id="grocer-2",
        partner_id=GROCER,
        public_key=private.public_key().public_bytes_raw(),
        not_before=START,
        not_after=START + timedelta(days=365),
    )
    proof = private.sign(possession_statement(key))
    with database.begin() as connection:
        with pytest.raises(KeyNotAccepted):
            service.propose_key(connection, "grocer", key, bytes(64), by="max")
        with pytest.raises(NotNow, match="names partner 11"):
            service.propose_key(connection, "petrol", key, proof, by="max")
        made = service.propose_key(connection, "grocer", key, proof, by="max")
    with database.begin() as connection:
        assert load_keys(connection) == {}
        service.decide(connection, made.proposal_id, sha256=made.sha256, by="cleo", approve=True)
    with database.begin() as connection:
        assert load_keys(connection) == {"grocer-2": key}
        with pytest.raises(KeyNotAccepted, match="key_id_taken"):
            service.propose_key(connection, "grocer", key, proof, by="max")
        with pytest.raises(KeyNotFound):
            service.revoke(connection, "grocer-3", at=START, by="max")
        service.revoke(connection, "grocer-2", at=START + timedelta(days=1), by="max")
    with database.connect() as connection:
        assert load_keys(connection)["grocer-2"].revoked_at == START + timedelta(days=1)
        [row, *_] = read_page(connection, limit=1)
    assert (row.action, row.subject, row.done_by) == ("partner.key_revoked", "key:grocer-2", "max")
    assert faults_of(database) == []
