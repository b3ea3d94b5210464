"""Seals on a real PostgreSQL: what they are over, that nights never wait for them, and that nothing hides."""

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError

from network.ids import show, sibling
from network.tables import entry as entries
from network.tables import posting as postings
from network.verify import Problem
from settlement import tables, verify
from settlement.errors import NightOutOfOrder, NothingToProve, NotSealed, SealBroken
from settlement.leaves import BLOCK, FIELDS, key_of, load_leaves, stream_blocks, stream_leaves
from settlement.merkle import EMPTY_ROOT, leaf_hash, root_of
from settlement.proof import check, to_json
from settlement.seal import NO_SEAL, VERSION, Seal, Signer, is_signed
from settlement.sealing import (
    _insert_blocks,
    load_keys,
    load_seals,
    read_proof,
    seal_due,
    seal_window,
    unsealed_windows,
)
from settlement.service import clear, clear_due, close_step, price_step
from settlement.verify_seals import seal_problems
from tests import coalition
from tests.coalition import START, burn, new_card, run, sale, undo
from tests.conftest import as_owner
from tests.factories import A, B
from tests.integration import test_night
from tests.integration.test_night import FIRST, OVER, POOLED_TERMS, Movement, post
from tests.whole import live_through

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
LATER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
DAY = timedelta(days=1)
PROGRAMME = 1


def settle(database: Engine, days: int = 1) -> datetime:
    """Settle the first days; the instant at which the last one ended."""
    now = START.replace(hour=0) + days * DAY
    clear_due(database, now, programme_version=PROGRAMME)
    return now


def busy(database: Engine) -> list[str]:
    """Two days of sales, redemptions over two lots, and returns, settled and sealed; a third is open.

    Returns:
        The ids of entries that moved points, as the API shows them.
    """
    live = coalition.set_up(database)
    shown = []
    for day in range(3):
        at = START + day * DAY
        card = new_card(database, live, f"enrol {day}")
        first = run(database, live, sale(card, 12_345, f"sale 1 {day}", at=at))
        second = run(database, live, sale(card, 5_050, f"sale 2 {day}", partner_id=coalition.HOTEL, at=at))
        spent = run(database, live, burn(card, 200, f"burn {day}", at=at))
        back = run(database, live, undo(spent, f"undo {day}", at=at))
        shown += [show("ent", one.entry_id) for one in (first, second, spent, back)]
        with database.begin() as connection:
            connection.execute(text("UPDATE network SET clock = :at"), {"at": START + (day + 1) * DAY})
        if day < 2:
            seal_due(database, SIGNER, settle(database, day + 1))
    return shown


def many(database: Engine, count: int) -> None:
    """A settled and sealed first day of so many sales."""
    test_night.set_up(database, POOLED_TERMS)
    sales: Sequence[Movement] = [test_night.sale(A if number % 2 else B, 10) for number in range(count)]
    post(database, sales)
    clear(database, FIRST, at=OVER, programme_version=PROGRAMME)
    seal_due(database, SIGNER, OVER)


def seals(database: Engine) -> list[Seal]:
    """All seals."""
    with database.connect() as connection:
        return load_seals(connection)


def problems(database: Engine) -> list[Problem]:
    """What the checks of the seals find."""
    with database.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return list(seal_problems(connection))


def tamper(connection: Connection, sql: str) -> int:
    """Change rows as the owner of the tables can who takes the triggers away; how many were changed."""
    for table in ("posting", "entry", "window_seal", "window_seal_block", "network_key"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    return connection.execute(text(sql)).rowcount


def naive_leaves(connection: Connection, window_id: int) -> list[bytes]:
    """A window's leaves, written by Python from the rows."""
    query = (
        select(
            postings,
            *(entries.c[name].label(f"entry_{name}") for name in entries.c.keys()),  # noqa: SIM118 - columns
        )
        .join(
            entries,
            (entries.c.member_id == postings.c.member_id) & (entries.c.entry_id == postings.c.entry_id),
        )
        .where(postings.c.window_id == window_id)
        .order_by(postings.c.member_id, postings.c.entry_id, postings.c.line)
    )
    leaves = []
    for row in connection.execute(query):
        leaf = {
            "acceptor": row.acceptor_id,
            "acceptor_terms": row.acceptor_terms,
            "amount_minor": row.entry_amount_minor,
            "balance_after": row.entry_balance_after,
            "category": row.category,
            "contributor": row.contributor_id,
            "counterpart": row.entry_counterpart_id,
            "credit": row.credit,
            "currency": row.entry_currency,
            "debit": row.debit,
            "entry": f"ent_{row.entry_id.hex}",
            "expires_on": row.expires_on.isoformat(),
            "hold": None if row.entry_hold_id is None else f"ent_{row.entry_hold_id.hex}",
            "issuer": row.issuer_id,
            "issuer_terms": row.issuer_terms,
            "kind": row.entry_kind,
            "line": row.line,
            "member": row.member_id,
            "occurred_at": row.entry_occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "parent": None if row.entry_parent_id is None else f"ent_{row.entry_parent_id.hex}",
            "partner": row.entry_partner_id,
            "points": row.points,
            "programme": row.entry_programme_version,
            "recorded_at": row.entry_recorded_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "reversed_window": row.reversed_window_id,
            "reverses": None if row.entry_reverses is None else f"ent_{row.entry_reverses.hex}",
            "spendable_on": row.spendable_on.isoformat(),
            "unit": row.unit,
            "window": row.window_id,
        }
        text_of = json.dumps(leaf, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        leaves.append(text_of.encode())
    return leaves


def test_every_column_is_sealed_or_left_out_on_purpose() -> None:
    """A column that is added to postings or entries is noticed here, before a window is sealed without it."""
    sealed = {column for column, _ in FIELDS[VERSION].values()}
    in_tables = {f"p.{name}" for name in postings.c.keys()} | {f"e.{name}" for name in entries.c.keys()}  # noqa: SIM118 - columns
    assert sealed <= in_tables
    assert in_tables - sealed == {
        *("e.member_id", "e.entry_id"),  # the posting's own
        *("e.points", "e.window_id"),  # follow from the postings
        *("e.outlet_code", "e.reference"),  # may hold a person's data
    }


def test_leaves_are_the_canonical_json_of_the_rows(database: Engine) -> None:
    """What the database writes is, byte for byte, what Python writes; whatever session and currency say."""
    busy(database)
    with as_owner(database) as connection:
        tamper(connection, "UPDATE entry SET currency = 'a\"\\é' WHERE kind = 2 AND points = 123")
        connection.execute(text("SET LOCAL TimeZone = 'Asia/Kathmandu'"))
        connection.execute(text("SET LOCAL DateStyle = 'SQL, DMY'"))
        streamed = [leaf for leaves in stream_leaves(connection, 20170501, VERSION) for leaf in leaves]
        assert streamed == naive_leaves(connection, 20170501)
    assert len(streamed) == 6  # two sales, a redemption of two lots, and its return


def test_seals_are_over_all_postings_and_chained(database: Engine) -> None:
    """Root and size as the definition has them from the rows; each names the one before; all are signed."""
    busy(database)
    first, second = seals(database)
    with database.connect() as connection:
        for seal in (first, second):
            leaves = naive_leaves(connection, seal.window_id)
            assert (seal.tree_size, seal.root) == (6, root_of([leaf_hash(leaf) for leaf in leaves]))
        keys = load_keys(connection)
    assert first.previous_hash == NO_SEAL
    assert second.previous_hash == first.seal_hash == first.statement.hash()
    assert keys == {SIGNER.key_id: SIGNER.public_key}
    assert all(is_signed(seal.statement, seal.signature, SIGNER.public_key) for seal in (first, second))
    assert problems(database) == []


def test_empty_windows_are_sealed_too(database: Engine) -> None:
    """Three nights without a posting: three seals over the empty tree, a chain like any other."""
    coalition.set_up(database)
    made = seal_due(database, SIGNER, settle(database, 3))
    assert [(seal.window_id, seal.tree_size) for seal in made] == [
        (20170501, 0),
        (20170502, 0),
        (20170503, 0),
    ]
    assert {seal.root for seal in made} == {EMPTY_ROOT}
    assert made == seals(database)
    assert problems(database) == []


def test_nights_go_on_without_a_key_and_are_sealed_later(database: Engine) -> None:
    """Settled nights are told as unsealed, which is no fault; with the key they are sealed in order, once."""
    coalition.set_up(database)
    now = settle(database, 2)
    with database.connect() as connection:
        assert unsealed_windows(connection) == [20170501, 20170502]
        assert verify.problems(connection) == []
    assert seal_due(database, SIGNER, now, stop=lambda: True) == []
    assert len(seal_due(database, SIGNER, now)) == 2
    assert seal_due(database, SIGNER, now) == []
    with database.connect() as connection:
        assert unsealed_windows(connection) == []


def test_a_window_is_sealed_after_its_night_and_in_its_turn(database: Engine) -> None:
    """Not before it is netted, and not before the one in front of it: each is refused by name."""
    coalition.set_up(database)
    close_step(database, START.date(), at=OVER)
    price_step(database, START.date(), at=OVER)
    assert seal_due(database, SIGNER, OVER) == []
    with pytest.raises(NightOutOfOrder, match="20170501 is not settled"), database.begin() as connection:
        seal_window(connection, 20170501, SIGNER, OVER)
    settle(database, 2)
    with pytest.raises(NightOutOfOrder, match="20170501 is not sealed"), database.begin() as connection:
        seal_window(connection, 20170502, SIGNER, OVER)


def test_workers_that_race_make_one_chain(database: Engine) -> None:
    """Four seal the same ten windows at once: each window has one seal, and the chain is whole."""
    coalition.set_up(database)
    now = settle(database, 10)
    made: list[Seal] = []
    workers = [
        threading.Thread(target=lambda: made.extend(seal_due(database, SIGNER, now))) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    kept = seals(database)
    assert len(kept) == 10
    assert all(seal in kept for seal in made)
    assert problems(database) == []


def test_old_seals_hold_after_a_new_key(database: Engine) -> None:
    """The second night is sealed with another key: both public keys are kept, and both seals hold."""
    coalition.set_up(database)
    seal_due(database, SIGNER, settle(database, 1))
    seal_due(database, LATER, settle(database, 2))
    assert [seal.key_id for seal in seals(database)] == [SIGNER.key_id, LATER.key_id]
    assert problems(database) == []


def seal_as_before(database: Engine) -> Seal:
    """Seal the first window over leaves of the first version, as windows were before there was a second."""
    with database.begin() as connection:
        blocks = list(stream_blocks(connection, 20170501, 1))
        seal = SIGNER.seal(
            20170501,
            tree_size=sum(one.size for one in blocks),
            root=root_of([one.root for one in blocks]),
            previous_hash=NO_SEAL,
            at=OVER,
            version=1,
        )
        key = {"key_id": SIGNER.key_id, "public_key": SIGNER.public_key, "added_at": OVER}
        connection.execute(tables.network_key.insert(), key)
        sealed = {name: getattr(seal, name) for name in Seal.__struct_fields__}
        connection.execute(tables.window_seal.insert(), sealed)
        _insert_blocks(connection, 20170501, blocks)
    return seal


def test_windows_sealed_over_earlier_leaves_hold_for_good(database: Engine) -> None:
    """One window of the first version and one of today's: one chain, both whole, both proven by a file."""
    live = coalition.set_up(database)
    card = new_card(database, live)
    before = run(database, live, sale(card, 12_300, "before"))
    settle(database)
    first = seal_as_before(database)
    with database.begin() as connection:
        connection.execute(text("UPDATE network SET clock = :at"), {"at": START + DAY})
    after = run(database, live, sale(card, 4_500, "after", at=START + DAY))
    [second] = seal_due(database, SIGNER, settle(database, 2))
    assert (first.version, second.version) == (1, 2)
    assert problems(database) == []
    with database.connect() as connection:
        files = [read_proof(connection, one.entry_id) for one in (before, after)]
    assert [one.format for one in files] == ["tessera-proof-1", "tessera-proof-2"]
    assert [check(to_json(one), SIGNER.public_key).faults for one in files] == [[], []]
    assert set(files[1].postings[0].leaf) - set(files[0].postings[0].leaf) == {
        *("contributor", "counterpart", "parent"),
    }
    with as_owner(database) as connection:
        tamper(connection, f"UPDATE posting SET points = 124 WHERE entry_id = '{before.entry_id}'")
    [told] = problems(database)
    assert told.where.startswith(f"window 20170501, entry {show('ent', before.entry_id)}")


def test_every_posting_is_proven_by_a_file_that_stands_alone(database: Engine) -> None:
    """Each entry of the sealed days, a redemption of two lots among them: one proof for each posting."""
    shown = busy(database)
    from_ids = [one.removeprefix("ent_") for one in shown]
    lines = []
    with database.connect() as connection:
        query = text("SELECT entry_id FROM entry WHERE window_id < 20170503 AND points <> 0")
        for entry_id in connection.execute(query).scalars():
            proof = read_proof(connection, entry_id)
            assert check(to_json(proof), SIGNER.public_key).faults == []
            assert entry_id.hex in from_ids
            lines.append(len(proof.postings))
    assert sorted(lines) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_what_passes_between_members_is_sealed_too(database: Engine) -> None:
    """A ledger in which everything happened: the seals hold, and each entry that moved points is proven."""
    story = live_through(database)
    seal_due(database, SIGNER, START + 2 * DAY)
    assert problems(database) == []
    with database.connect() as connection:
        for window_id in (20170501, 20170502):
            streamed = [leaf for part in stream_leaves(connection, window_id, VERSION) for leaf in part]
            assert streamed == naive_leaves(connection, window_id)
        query = text("SELECT DISTINCT entry_id FROM posting WHERE window_id < 20170503")
        for entry_id in connection.execute(query).scalars():
            assert check(to_json(read_proof(connection, entry_id)), SIGNER.public_key).faults == []
        gift = story.entries["gift"]
        [told] = read_proof(connection, sibling(gift.entry_id, 4)).postings
    assert (told.leaf["counterpart"], told.leaf["parent"]) == (3, show("ent", gift.entry_id))


def test_what_cannot_be_proven_is_told(database: Engine) -> None:
    """An entry of today, one that moved no points, and one that is not there."""
    live = coalition.set_up(database)
    card = new_card(database, live)
    sold = run(database, live, sale(card, 5_000, "sale"))
    nothing = run(database, live, sale(card, 10, "a dime"))
    with database.connect() as connection:
        with pytest.raises(NotSealed, match="window 20170501"):
            read_proof(connection, sold.entry_id)
        with pytest.raises(NothingToProve, match="moved no points"):
            read_proof(connection, nothing.entry_id)
    seal_due(database, SIGNER, settle(database))
    with as_owner(database) as connection:
        assert len(read_proof(connection, sold.entry_id).postings) == 1
        tamper(connection, "UPDATE entry SET amount_minor = 4999 WHERE amount_minor = 5000")
        with pytest.raises(SealBroken, match=r"is not what was sealed: run tessera verify"):
            read_proof(connection, sold.entry_id)


def test_windows_of_many_blocks_are_proven_by_reading_one(database: Engine) -> None:
    """First, last and the edges of blocks of 2,500 postings: numbers and paths are right, and all hold."""
    many(database, 2 * BLOCK + 452)
    with database.connect() as connection:
        [seal] = load_seals(connection)
        leaves = [leaf for part in stream_leaves(connection, seal.window_id, VERSION) for leaf in part]
        assert seal.tree_size == len(leaves) == 2_500
        assert seal.root == root_of([leaf_hash(leaf) for leaf in leaves])
        rows = connection.execute(text("SELECT entry_id FROM posting ORDER BY member_id")).scalars().all()
        for index in (0, 1, 1023, 1024, 2047, 2048, 2499):
            proof = read_proof(connection, rows[index])
            assert proof.postings[0].index == index
            assert check(to_json(proof), SIGNER.public_key).faults == []
            assert len(proof.postings[0].path) == 12 or index >= 2048
        assert load_leaves(connection, seal.window_id, VERSION, key_of(leaves[2048]), None) == leaves[2048:]
    assert problems(database) == []


ONE = "SELECT entry_id FROM posting WHERE window_id = 20170501 AND debit = 2 ORDER BY entry_id LIMIT 1"
A_POSTING = f"UPDATE posting SET {{}} WHERE entry_id = ({ONE})"
ITS_ENTRY = f"UPDATE entry SET {{}} WHERE entry_id = ({ONE})"
CHANGED = ("window 20170501, entry {one} of member 1, line 1", "it was changed after it was sealed")
THE_SEAL = "window 20170501, its seal"
NEXT_SEAL = "window 20170502, its seal"
ANY = "window, tree_size, root, previous or signed_at was changed"
FAULTS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "a point more": (A_POSTING.format("points = points + 1"), [CHANGED]),
    "a later expiry": (A_POSTING.format("expires_on = expires_on + 1"), [CHANGED]),
    "another issuer": (A_POSTING.format("issuer_id = 12"), [CHANGED]),
    "a reversed window": (A_POSTING.format("reversed_window_id = 20170430"), [CHANGED]),
    "a cent more": (ITS_ENTRY.format("amount_minor = amount_minor + 1"), [CHANGED]),
    "a microsecond": (ITS_ENTRY.format("occurred_at = occurred_at + interval '1 microsecond'"), [CHANGED]),
    "another balance": (ITS_ENTRY.format("balance_after = balance_after + 1"), [CHANGED]),
    "a posting taken away": (
        f"DELETE FROM posting WHERE entry_id = ({ONE})",
        [(THE_SEAL, "1 of its postings")],
    ),
    "a posting put in": (
        """
        INSERT INTO posting SELECT member_id, entry_id, 9, debit, credit, points, issuer_id, issuer_terms,
            acceptor_id, acceptor_terms, category, unit, window_id, reversed_window_id, spendable_on,
            expires_on
        FROM posting WHERE window_id = 20170501 AND debit = 2 ORDER BY entry_id LIMIT 1
        """,
        [("window 20170501, entry {one} of member 1, line 9", "it was changed or added after the seal")],
    ),
    "a posting put in at the end": (
        """
        INSERT INTO posting SELECT member_id, entry_id, 99, debit, credit, points, issuer_id, issuer_terms,
            acceptor_id, acceptor_terms, category, unit, window_id, reversed_window_id, spendable_on,
            expires_on
        FROM posting WHERE window_id = 20170501 ORDER BY entry_id DESC LIMIT 1
        """,
        [("window 20170501, entry ent_", "it was changed or added after the seal")],
    ),
    "a posting of another night": (
        A_POSTING.format("window_id = 20170502"),
        [(THE_SEAL, "1 of its postings are gone"), ("window 20170502, entry {one}", "changed or added")],
    ),
    "another version": (
        "UPDATE window_seal SET version = 1 WHERE window_id = 20170501",
        [(THE_SEAL, "version says 1, and 2 was signed: version was changed")],
    ),
    "a version that is none": (
        "UPDATE window_seal SET version = 9 WHERE window_id = 20170501",
        [(THE_SEAL, "version says 9, and 2 was signed: version was changed")],
    ),
    "another contributor": (A_POSTING.format("contributor_id = 2"), [CHANGED]),
    "another parent": (ITS_ENTRY.format("parent_id = entry_id"), [CHANGED]),
    "another counterpart": (ITS_ENTRY.format("counterpart_id = 2"), [CHANGED]),
    "another root": (
        "UPDATE window_seal SET root = sha256(root) WHERE window_id = 20170501",
        [(THE_SEAL, "was signed: root was changed")],
    ),
    "another size": (
        "UPDATE window_seal SET tree_size = 7 WHERE window_id = 20170501",
        [(THE_SEAL, "tree_size says 7, and 6 was signed: tree_size was changed")],
    ),
    "another seal before": (
        "UPDATE window_seal SET previous_hash = sha256('') WHERE window_id = 20170502",
        [(NEXT_SEAL, "was signed: previous was changed")],
    ),
    "another hash": (
        "UPDATE window_seal SET seal_hash = sha256('') WHERE window_id = 20170501",
        [(THE_SEAL, "the hash was changed")],
    ),
    "another instant": (
        "UPDATE window_seal SET signed_at = signed_at + interval '1 microsecond' WHERE window_id = 20170502",
        [(NEXT_SEAL, ANY)],
    ),
    "another signature": (
        """
        UPDATE window_seal SET signature = set_byte(signature, 0, get_byte(signature, 0) # 1)
        WHERE window_id = 20170502
        """,
        [(NEXT_SEAL, "the signature was changed")],
    ),
    "a key of others": (
        "UPDATE network_key SET public_key = sha256('')",
        [(THE_SEAL, "the name or the key was changed"), (NEXT_SEAL, "the name or the key was changed")],
    ),
    "a seal taken away": (
        "DELETE FROM window_seal WHERE window_id = 20170501",
        [(THE_SEAL, "the seal was taken away")],
    ),
    "a block's root": (
        "UPDATE window_seal_block SET root = sha256('') WHERE window_id = 20170501",
        [(THE_SEAL, "of block 0 its first key, root or marks were changed; its postings hold")],
    ),
    "a block's marks": (
        """
        UPDATE window_seal_block SET marks = set_byte(marks, 5, get_byte(marks, 5) # 1)
        WHERE window_id = 20170501
        """,
        [(THE_SEAL, "of block 0 its first key, root or marks were changed; its postings hold")],
    ),
    "a block's place": (
        "UPDATE window_seal_block SET first_line = 7 WHERE window_id = 20170501",
        [(THE_SEAL, "of block 0 its first key, root or marks were changed; its postings hold")],
    ),
    "a block taken away": (
        "DELETE FROM window_seal_block WHERE window_id = 20170501",
        [(THE_SEAL, "blocks were changed, taken away or added")],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_changed_byte_is_found_and_named(database: Engine, fault: str) -> None:
    """Each change is told where it is and what it is, and nothing else is blamed."""
    busy(database)
    assert problems(database) == []
    sql, expected = FAULTS[fault]
    with as_owner(database) as connection:
        one = show("ent", connection.execute(text(ONE)).scalar_one())
        assert tamper(connection, sql) > 0
    told = problems(database)
    assert len(told) == len(expected), told
    for problem, (where, detail) in zip(told, expected, strict=True):
        assert problem.check == "seals_hold"
        assert problem.where.startswith(where.format(one=one))
        assert detail in problem.detail


def test_a_posting_changed_with_the_block_that_names_it_is_found(database: Engine) -> None:
    """Whoever mends block and root after the change cannot mend the signature: the window is named."""
    busy(database)
    with as_owner(database) as connection:
        tamper(connection, A_POSTING.format("points = points + 1"))
        leaves = [leaf_hash(leaf) for leaf in naive_leaves(connection, 20170501)]
        mended = {"root": root_of(leaves), "marks": b"".join(leaf[:4] for leaf in leaves)}
        block = text("UPDATE window_seal_block SET root = :root, marks = :marks WHERE window_id = 20170501")
        connection.execute(block, mended)
    [told] = problems(database)
    assert told.where == THE_SEAL
    assert "postings were changed, and the blocks that would name them are gone or changed too" in told.detail
    with as_owner(database) as connection:
        root = text("UPDATE window_seal SET root = :root WHERE window_id = 20170501")
        connection.execute(root, {"root": mended["root"]})
    [told] = problems(database)
    assert (told.where, told.detail) == (THE_SEAL, f"hash and signature do not fit: {ANY}")


def test_a_posting_added_to_an_empty_window_is_found(database: Engine) -> None:
    """A window that was sealed empty stays empty."""
    busy(database)
    seal_due(database, SIGNER, settle(database, 5))
    with as_owner(database) as connection:
        tamper(connection, A_POSTING.format("window_id = 20170504"))
    told = problems(database)
    assert [problem.where for problem in told] == [THE_SEAL, "window 20170504, its seal"]
    assert "its 1 postings hash to" in told[1].detail


def test_one_change_among_blocks_blames_that_posting_alone(database: Engine) -> None:
    """One posting less in the first block, one changed in the second, one more in the third, of 2,500."""
    many(database, 2_500)
    rows = "(SELECT entry_id FROM posting ORDER BY member_id OFFSET {} LIMIT 1)"
    with as_owner(database) as connection:
        ids = [
            show("ent", connection.execute(text(rows.format(place))).scalar_one())
            for place in (7, 1500, 2200)
        ]
        tamper(connection, f"UPDATE posting SET points = 11 WHERE entry_id = {rows.format(1500)}")
        connection.execute(
            text(
                f"""
                INSERT INTO posting SELECT member_id, entry_id, 9, debit, credit, points, issuer_id,
                    issuer_terms, acceptor_id, acceptor_terms, category, unit, window_id,
                    reversed_window_id, spendable_on, expires_on
                FROM posting WHERE entry_id = {rows.format(2200)}
                """
            )
        )
        connection.execute(text(f"DELETE FROM posting WHERE entry_id = {rows.format(7)}"))
    gone, changed, added = problems(database)
    assert "1 of its postings are gone, of those numbered 7," in gone.detail
    assert (changed.where, changed.detail) == (
        f"window 20170501, entry {ids[1]} of member 1501, line 1",
        "it was changed after it was sealed",
    )
    assert added.where == f"window 20170501, entry {ids[2]} of member 2201, line 9"


def test_seals_and_keys_never_change(database: Engine) -> None:
    """Updates, deletes and truncation are refused by the database itself."""
    busy(database)
    for table in ("window_seal", "window_seal_block", "network_key"):
        column = "added_at = now()" if table == "network_key" else "window_id = 1"
        for statement in (
            f"UPDATE {table} SET {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(IntegrityError, match="never changed"), as_owner(database) as connection:
                connection.execute(text(statement))


def test_proofs_and_seals_outlive_a_member(database: Engine) -> None:
    """Member, cards and public id are gone, references and outlets blanked: every seal still holds."""
    shown = busy(database)
    with as_owner(database) as connection:
        tamper(connection, "UPDATE entry SET reference = 'erased ' || entry_id, outlet_code = NULL")
        for table in ("card", "account", "lot", "member"):
            connection.execute(text(f"DELETE FROM {table} WHERE member_id = 1"))
    assert problems(database) == []
    with database.connect() as connection:
        entry_id = connection.execute(text(ONE)).scalar_one()
        assert show("ent", entry_id) in shown
        assert check(to_json(read_proof(connection, entry_id))).faults == []
