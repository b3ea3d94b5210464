"""The record of what operators did: a chain that nobody writes beside, and nobody mends unseen."""

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from hashlib import sha256

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from partners.errors import RecordUnfit
from partners.people.audit import audited, chain_faults, head_of, read_page
from tests.conftest import as_owner
from tests.people import faults_of, join


def write(database: Engine, count: int, by: str = "anna") -> None:
    """Rows of the record, each in a transaction of its own."""
    for number in range(count):
        with database.begin() as connection:
            audited(
                connection,
                by=by,
                action="rate.set",
                subject=f"rate:{number}",
                before={"rate": Decimal("0.0080")},
                after={"rate": Decimal("0.0085"), "number": number},
            )


def test_what_is_written_can_be_checked_with_sha256_alone(database: Engine) -> None:
    """Each row's hash is that of the one before and its own text; the text says who did what, and when."""
    write(database, 3)
    previous = bytes(32)
    with database.connect() as connection:
        rows = list(reversed(read_page(connection, limit=10)))
        assert head_of(connection) == (3, rows[-1].hash)
    for number, row in enumerate(rows, start=1):
        assert row.hash == sha256(previous + row.record.encode()).digest()
        previous = row.hash
        assert json.loads(row.record) == {
            "seq": number,
            "at": row.at.isoformat(timespec="microseconds"),
            "by": "anna",
            "action": "rate.set",
            "subject": f"rate:{number - 1}",
            "before": {"rate": "0.0080"},
            "after": {"number": number - 1, "rate": "0.0085"},
        }
    assert faults_of(database) == []


def test_no_action_without_its_record_and_no_record_without_its_action(database: Engine) -> None:
    """What is rolled back leaves neither; a record that cannot be written takes the action with it."""
    write(database, 1)
    with database.connect() as connection:
        audited(connection, by="anna", action="a", subject="b")
        connection.rollback()
    with database.connect() as connection:
        connection.execute(text("INSERT INTO operator VALUES ('max', 'maker', 'active', 'host', now())"))
        with pytest.raises(RecordUnfit):
            audited(connection, by="anna", action="a", subject="b", after={"share": 0.1})
    with database.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM operator")) == 0
    write(database, 1)
    assert faults_of(database) == []


def test_many_at_once_make_one_chain(database: Engine) -> None:
    """Four threads of fifteen rows each: numbered without a gap, and whole."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda by: write(database, 15, by), ["a", "b", "c", "d"]))
    with database.connect() as connection:
        assert head_of(connection)[0] == 60
        assert len(read_page(connection, limit=100, done_by="c")) == 15
        assert len(read_page(connection, limit=100, subject="rate:7")) == 4
        assert [row.seq for row in read_page(connection, before=5, limit=2)] == [4, 3]
    assert faults_of(database) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operator_audit SET record = record",
        "DELETE FROM operator_audit",
        "TRUNCATE operator_audit",
        "UPDATE operator_audit_head SET seq = 0",
        "INSERT INTO operator_audit_head VALUES (1, 9, sha256(''))",
        "ALTER TABLE operator_audit DISABLE TRIGGER ALL",
        "SELECT chain_operator_audit()",
    ],
)
def test_the_application_can_only_add_to_it(database: Engine, statement: str) -> None:
    """It is denied, whatever it sends."""
    write(database, 1)
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), database.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operator_audit SET done_by = 'bert'",
        "DELETE FROM operator_audit WHERE seq = 1",
        "TRUNCATE operator_audit",
        "DELETE FROM operator_audit_head",
        "UPDATE proposal SET approved = NOT approved",
        "DELETE FROM operator",
    ],
)
def test_its_owner_is_stopped_too(database: Engine, statement: str) -> None:
    """Short of disabling triggers, which `verify` then shows."""
    write(database, 1)
    join(database, "anna", "maker")
    with database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO proposal SELECT gen_random_uuid(), 'a', 'b', '{}', sha256('{}'),"
                " 'x', now(), 'y', now(), true"
            )
        )
    with pytest.raises(IntegrityError, match="never changed"), as_owner(database) as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("seq", "previous", "record", "complaint"),
    [
        (3, "hash", "{}", "does not follow"),
        (5, "hash", "{}", "does not follow"),
        (4, "previous_hash", "{}", "does not follow"),
        (4, "hash", "{other}", "does not hash"),
    ],
)
def test_a_row_beside_the_chain_is_refused(
    database: Engine, seq: int, previous: str, record: str, complaint: str
) -> None:
    """Under another number, after another row, or with another text than was hashed."""
    write(database, 3)
    forged = text(
        "INSERT INTO operator_audit SELECT :seq, now(), 'anna', 'a', 's', :record,"
        f" {previous}, sha256({previous} || convert_to('{{}}', 'UTF8')) FROM operator_audit WHERE seq = 3"
    )
    with pytest.raises(DBAPIError, match=complaint), database.begin() as connection:
        connection.execute(forged, {"seq": seq, "record": record})
    assert faults_of(database) == []


def plant(database: Engine, *statements: str) -> None:
    """What only an owner who disables triggers can do."""
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE operator_audit DISABLE TRIGGER USER"))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount > 0
        connection.execute(text("ALTER TABLE operator_audit ENABLE TRIGGER USER"))


_SWAP = (
    "UPDATE operator_audit SET seq = -seq WHERE seq IN (2, 4)",
    "UPDATE operator_audit SET seq = 6 + seq WHERE seq IN (-2, -4)",
)


@pytest.mark.parametrize(
    ("statements", "shown"),
    [
        (
            ("UPDATE operator_audit SET record = replace(record, '0.0085', '0.0095') WHERE seq = 3",),
            [("row 3", "was changed: its hash is not that of what it says")],
        ),
        (
            ("UPDATE operator_audit SET done_by = 'bert' WHERE seq = 3",),
            [("row 3", "was changed: its columns are not what its record says")],
        ),
        (
            ("UPDATE operator_audit SET at = at - interval '1 day' WHERE seq = 3",),
            [("row 3", "was changed: its columns are not what its record says")],
        ),
        (
            (
                "UPDATE operator_audit SET record = replace(record, '0.0085', '0.0095') WHERE seq = 3",
                "UPDATE operator_audit SET hash = sha256(previous_hash || record::bytea) WHERE seq = 3",
            ),
            [("row 4", "does not follow the row before it: rows were removed, added or moved")],
        ),
        (
            ("DELETE FROM operator_audit WHERE seq = 3",),
            [("row 4", "row 3 should come here: rows were removed or moved")],
        ),
        (
            ("DELETE FROM operator_audit WHERE seq = 1",),
            [("row 2", "row 1 should come here: rows were removed or moved")],
        ),
        (
            ("DELETE FROM operator_audit WHERE seq >= 4",),
            [("row 4", "the record ends here, and 5 rows were written")],
        ),
        (
            _SWAP,
            [
                ("row 2", "does not follow the row before it: rows were removed, added or moved"),
                ("row 2", "was changed: its columns are not what its record says"),
                ("row 3", "does not follow the row before it: rows were removed, added or moved"),
                ("row 4", "does not follow the row before it: rows were removed, added or moved"),
                ("row 4", "was changed: its columns are not what its record says"),
                ("row 5", "does not follow the row before it: rows were removed, added or moved"),
            ],
        ),
    ],
    ids=["text", "who", "when", "text and hash", "one removed", "first removed", "last removed", "swapped"],
)
def test_whatever_is_done_to_the_chain_shows(
    database: Engine, statements: tuple[str, ...], shown: list[tuple[str, str]]
) -> None:
    """A row changed, removed or moved: where, and how one sees it."""
    write(database, 5)
    plant(database, *statements)
    assert faults_of(database) == shown


def test_a_chain_made_anew_shows_against_a_noted_hash(database: Engine) -> None:
    """Who owns the database can forge a whole chain and its head; what was noted elsewhere tells."""
    write(database, 5)

    def check(connection: Connection, noted: tuple[int, bytes]) -> list[tuple[str, str]]:
        return [(fault.where, fault.detail) for fault in chain_faults(connection, noted)]

    with database.connect() as connection:
        noted = head_of(connection)
        assert check(connection, noted) == []
    plant(database, "DELETE FROM operator_audit WHERE seq > 3")
    with as_owner(database) as connection:
        connection.execute(
            text(
                "UPDATE operator_audit_head h SET seq = a.seq, hash = a.hash"
                " FROM operator_audit a WHERE a.seq = 3"
            )
        )
    assert faults_of(database) == []
    write(database, 4)
    assert faults_of(database) == []
    with database.connect() as connection:
        assert check(connection, noted) == [("row 5", "is not the row whose hash was noted")]


def test_an_operator_made_beside_the_record_shows(database: Engine) -> None:
    """The application may add operators; one that no record speaks of is named."""
    join(database, "anna", "admin")
    with database.begin() as connection:
        connection.execute(text("INSERT INTO operator VALUES ('max', 'admin', 'active', 'anna', now())"))
    assert faults_of(database) == [("operator max", "is active as admin, which the record does not say")]


def test_a_decision_made_beside_the_record_shows(database: Engine) -> None:
    """So does a proposal that was decided by an UPDATE alone."""
    with database.begin() as connection:
        made = connection.scalar(
            text(
                "INSERT INTO proposal SELECT gen_random_uuid(), 'a', 'b', '{}', sha256('{}'), 'x', now()"
                " RETURNING proposal_id"
            )
        )
        connection.execute(text("UPDATE proposal SET decided_by = 'y', decided_at = now(), approved = true"))
    assert faults_of(database) == [(f"proposal {made}", "was decided, which the record does not say")]


def test_no_single_change_goes_unseen(database: Engine) -> None:
    """Every column of every row, every row removed, every two neighbours swapped: each is found."""
    write(database, 4)
    changes = [
        f"UPDATE operator_audit SET {column} = {changed} WHERE seq = {seq}"
        for seq in range(1, 5)
        for column, changed in {
            "seq": "seq + 100",
            "at": "at + interval '1 microsecond'",
            "done_by": "done_by || 'a'",
            "action": "upper(action)",
            "subject": "subject || ' '",
            "record": "record || ' '",
            "previous_hash": "sha256(previous_hash)",
            "hash": "sha256(hash)",
        }.items()
    ]
    changes += [f"DELETE FROM operator_audit WHERE seq = {seq}" for seq in range(1, 5)]
    swaps = [
        f"UPDATE operator_audit SET seq = {2 * seq + 1} - seq WHERE seq IN ({seq}, {seq + 1})"
        for seq in (1, 2, 3)
    ]
    unseen = []
    with as_owner(database) as connection:
        connection.execute(text("ALTER TABLE operator_audit DISABLE TRIGGER USER"))
        connection.execute(text("ALTER TABLE operator_audit DROP CONSTRAINT operator_audit_pkey"))
        for statement in (*changes, *swaps):
            changed = connection.begin_nested()
            assert connection.execute(text(statement)).rowcount > 0
            if not chain_faults(connection):
                unseen.append(statement)
            changed.rollback()
        assert chain_faults(connection) == []
    assert unseen == []
