"""The partners' register on a real PostgreSQL: what is added comes back, and what must not be is not."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from partners import store
from partners.errors import KeyNotAccepted, KeyNotFound, PartnersError, TermsNotAccepted
from partners.keys import KeyRefused, possession_statement
from partners.model import Participant, PartnerKey, Terms

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BEGIN = datetime(2017, 1, 1, tzinfo=UTC)
OPERATOR = Participant(partner_id=1, code="operator", name="The network", kind="operator")
POOL = Participant(partner_id=2, code="pool", name="The pool", kind="pool")
SUPERMARKET = Participant(partner_id=11, code="supermarket", name="A supermarket")
PETROL = Participant(partner_id=12, code="petrol", name="A petrol chain", status="suspended")
EVERYBODY = [OPERATOR, POOL, SUPERMARKET, PETROL]
KEY = PartnerKey(
    key_id="petrol-1",
    partner_id=12,
    public_key=PRIVATE.public_key().public_bytes_raw(),
    not_before=BEGIN,
    not_after=datetime(2018, 1, 1, tzinfo=UTC),
)


def terms(partner_id: int, version: int, effective_on: date) -> Terms:
    """Terms with a figure in every field."""
    return Terms(
        partner_id=partner_id,
        terms_version=version,
        effective_on=effective_on,
        currency="USD",
        funding_share=Decimal("0.2500"),
        issue_price=Decimal("0.01000000"),
        reimbursement_rate=Decimal("0.00812345"),
        fee_per_issued_point=Decimal("0.00040000"),
        fee_per_transaction=Decimal("0.01500000"),
        fee_bps_of_credits=Decimal("125.0000"),
        vat_bps=2000,
        breakage_to="issuer",
    )


def test_a_directory_comes_back_as_it_was_added(database: Engine) -> None:
    """Participants, outlets and terms to the last decimal; terms by date, however they were handed over."""
    january, may = terms(11, 1, date(2017, 1, 1)), terms(11, 2, date(2017, 5, 1))
    petrol = terms(12, 7, date(2016, 7, 1))
    with database.begin() as connection:
        store.add_participants(connection, EVERYBODY)
        store.add_outlets(connection, [(11, "367", "Store 367"), (12, "367", "Pump 367"), (11, "0", "")])
        store.add_terms(connection, [may, petrol, january], prepared_by="maker", activated_by="checker")
    with database.connect() as connection:
        directory = store.load_directory(connection)
    assert directory.participants == {participant.partner_id: participant for participant in EVERYBODY}
    assert directory.outlets == {(11, "0"), (11, "367"), (12, "367")}
    assert directory.terms == {11: [january, may], 12: [petrol]}


def test_an_empty_register_is_an_empty_directory(database: Engine) -> None:
    """Loading before anything was set up is no error, and adding nothing does nothing."""
    with database.begin() as connection:
        store.add_participants(connection, [])
        store.add_outlets(connection, [])
        store.add_terms(connection, [], prepared_by="maker", activated_by="checker")
        directory = store.load_directory(connection)
        assert (directory.participants, directory.outlets, directory.terms) == ({}, frozenset(), {})
        assert store.load_keys(connection) == {}


def test_however_many_rows_one_statement_carries_them(database: Engine) -> None:
    """30,000 outlets are more values than a statement has parameters, and still go in at once."""
    statements: list[str] = []
    event.listen(database, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    with database.begin() as connection:
        store.add_participants(connection, [SUPERMARKET])
        statements.clear()
        store.add_outlets(connection, [(11, f"{number}", "Store") for number in range(30_000)])
        assert len(statements) == 1
        assert len(store.load_directory(connection).outlets) == 30_000


def test_the_caller_owns_the_transaction(database: Engine) -> None:
    """Nothing is committed here: what the caller rolls back is gone."""
    with database.connect() as connection:
        store.add_participants(connection, EVERYBODY)
        connection.rollback()
    with database.connect() as connection:
        assert store.load_directory(connection).participants == {}


def test_terms_are_only_superseded(database: Engine) -> None:
    """A stored version keeps later ones from slipping in before it, one that is there twice, and one hand."""
    with database.begin() as connection:
        store.add_participants(connection, EVERYBODY)
        store.add_terms(
            connection, [terms(11, 2, date(2017, 5, 1))], prepared_by="maker", activated_by="checker"
        )
    for version, day in ((1, date(2017, 1, 1)), (3, date(2017, 5, 1)), (2, date(2017, 6, 1))):
        with database.connect() as connection, pytest.raises(TermsNotAccepted, match="partner 11"):
            store.add_terms(
                connection, [terms(11, version, day)], prepared_by="maker", activated_by="checker"
            )
    with database.connect() as connection, pytest.raises(IntegrityError, match="four_eyes"):
        store.add_terms(connection, [terms(11, 3, date(2017, 6, 1))], prepared_by="me", activated_by="me")


def test_a_key_comes_back_and_is_revoked(database: Engine) -> None:
    """Revoking sets the instant; a second revocation can only bring it forward."""
    first, second = BEGIN + timedelta(days=10), BEGIN + timedelta(days=20)
    with database.begin() as connection:
        store.add_participants(connection, EVERYBODY)
        store.add_key(connection, KEY)
        assert store.load_keys(connection) == {"petrol-1": KEY}
        for at, revoked_at in ((second, second), (first, first), (second, first)):
            store.revoke_key(connection, "petrol-1", at)
            assert store.load_keys(connection)["petrol-1"].revoked_at == revoked_at


def test_an_unknown_key_cannot_be_revoked(database: Engine) -> None:
    """The error names the id."""
    with database.begin() as connection, pytest.raises(KeyNotFound, match="petrol-9"):
        store.revoke_key(connection, "petrol-9", BEGIN)


def test_a_weak_key_is_not_stored(database: Engine) -> None:
    """Not even by the operator; the error has the room's one root."""
    weak = PartnerKey(key_id="weak", partner_id=12, public_key=bytes(32), not_before=BEGIN)
    with database.begin() as connection:
        store.add_participants(connection, EVERYBODY)
        with pytest.raises(PartnersError, match="weak_key") as caught:
            store.add_key(connection, weak)
        assert isinstance(caught.value, KeyNotAccepted)
        assert caught.value.code == "weak_key"
        assert store.load_keys(connection) == {}


def test_a_partner_registers_a_key_by_proving_that_it_has_it(database: Engine) -> None:
    """With the key's own signature it is stored, once; without, or for a weak point, it is not."""
    proof = PRIVATE.sign(possession_statement(KEY))
    weak = PartnerKey(key_id="weak", partner_id=12, public_key=bytes(32), not_before=BEGIN)
    with database.begin() as connection:
        store.add_participants(connection, EVERYBODY)
        answers = [
            store.register_key(connection, KEY, bytes(64)),
            store.register_key(connection, weak, bytes(64)),
            store.register_key(connection, KEY, proof),
            store.register_key(connection, KEY, proof),
        ]
        assert [answer.code if isinstance(answer, KeyRefused) else None for answer in answers] == [
            "possession_not_proven",
            "weak_key",
            None,
            "key_id_taken",
        ]
        assert store.load_keys(connection) == {"petrol-1": KEY}
