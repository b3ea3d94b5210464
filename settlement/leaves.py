"""The leaves of a window's seal: its postings as canonical bytes, streamed in order, and hashed by blocks.

A leaf is one posting together with the facts of its entry, as canonical JSON (settlement.canonical): numbers
are whole, days and instants are texts. It must stay valid for ever, after a member has been erased as well.
So it says who only by the member's internal number, which is in the entry's id anyway and names
nobody once the person behind it is gone; card and public member id are left out, because erasing unlinks
them, and so are the partner's reference and outlet, because a partner may have put a person's data there.

The database writes the text: no value of four million postings becomes a Python object. One statement streams
them through a cursor of the server, and what is hashed is dropped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network import ids
from settlement.merkle import leaf_hash, root_of

BLOCK = 1024
"""Leaves of a block, a power of two: the subtree whose root is kept with the seal."""
MARK_BYTES = 4
"""What is kept of each leaf hash: enough to tell which of a block's postings changed, too little to vouch."""
_FETCH = 8 * BLOCK
_Portion = TypeVar("_Portion")


def _number(column: str) -> str:
    return column


def _or_null(shown: str) -> str:
    return f"coalesce({shown}, 'null')"


def _number_or_null(column: str) -> str:
    return _or_null(f"{column}::text")


def _day(column: str) -> str:
    return f"'\"', {column}, '\"'"


def _instant(column: str) -> str:
    return f"""'"', to_char({column}, 'YYYY-MM-DD"T"HH24:MI:SS.US'), '+00:00"'"""


def _text_or_null(column: str) -> str:
    return _or_null(f"to_json({column})::text")


def _entry(column: str) -> str:
    return f"'\"ent_', encode(uuid_send({column}), 'hex'), '\"'"


def _entry_or_null(column: str) -> str:
    return _or_null(f"'\"ent_' || encode(uuid_send({column}), 'hex') || '\"'")


_FIELDS: Mapping[str, tuple[str, str]] = {
    "acceptor": ("p.acceptor_id", "number or null"),
    "acceptor_terms": ("p.acceptor_terms", "number or null"),
    "amount_minor": ("e.amount_minor", "number"),
    "balance_after": ("e.balance_after", "number"),
    "category": ("p.category", "number"),
    "contributor": ("p.contributor_id", "number or null"),
    "counterpart": ("e.counterpart_id", "number or null"),
    "credit": ("p.credit", "number"),
    "currency": ("e.currency", "text or null"),
    "debit": ("p.debit", "number"),
    "entry": ("p.entry_id", "entry"),
    "expires_on": ("p.expires_on", "day"),
    "hold": ("e.hold_id", "entry or null"),
    "issuer": ("p.issuer_id", "number"),
    "issuer_terms": ("p.issuer_terms", "number"),
    "kind": ("e.kind", "number"),
    "line": ("p.line", "number"),
    "member": ("p.member_id", "number"),
    "occurred_at": ("e.occurred_at", "instant"),
    "parent": ("e.parent_id", "entry or null"),
    "partner": ("e.partner_id", "number"),
    "points": ("p.points", "number"),
    "programme": ("e.programme_version", "number"),
    "recorded_at": ("e.recorded_at", "instant"),
    "reversed_window": ("p.reversed_window_id", "number or null"),
    "reverses": ("e.reverses", "entry or null"),
    "spendable_on": ("p.spendable_on", "day"),
    "unit": ("p.unit", "number"),
    "window": ("p.window_id", "number"),
}
_NOT_IN_FIRST = ("contributor", "counterpart", "parent")
FIELDS: Mapping[int, Mapping[str, tuple[str, str]]] = {
    1: {name: field for name, field in _FIELDS.items() if name not in _NOT_IN_FIRST},
    2: _FIELDS,
}
"""The fields of a leaf by version, in order, each with its column (p: posting, e: its entry) and its form.

They stand for good: another field makes other bytes of windows that are sealed. A new fact needs a new
version of leaves (seal.VERSIONS): windows that are sealed keep theirs, which their seals name.
"""

_FORMS: Mapping[str, Callable[[str], str]] = {
    "number": _number,
    "number or null": _number_or_null,
    "day": _day,
    "instant": _instant,
    "entry": _entry,
    "entry or null": _entry_or_null,
    "text or null": _text_or_null,
}


def _leaf_sql(version: int) -> str:
    """The text of a leaf, over rows whose columns are named like its fields."""
    parts = ", ".join(
        f"""'{"," if number else "{"}"{name}":', """ + _FORMS[form](f'"{name}"')
        for number, (name, (_, form)) in enumerate(FIELDS[version].items())
    )
    return f"concat({parts}, '}}')"


def _query(version: int, condition: str) -> str:
    """Leaves in the order of the tree. Rows are sorted before their texts are made: texts are long."""
    columns = ", ".join(f'{column} AS "{name}"' for name, (column, _) in FIELDS[version].items())
    return (
        f"SELECT {_leaf_sql(version)} FROM (SELECT {columns} FROM posting p"
        " JOIN entry e ON (e.member_id, e.entry_id) = (p.member_id, p.entry_id)"
        f" WHERE p.window_id = :window_id {condition}"
        " ORDER BY p.member_id, p.entry_id, p.line OFFSET 0) AS leaf"
    )


_KEY = "(p.member_id, p.entry_id, p.line)"
_ALL = {version: text(_query(version, "")) for version in FIELDS}
_OWN = {version: text(_query(version, "AND e.window_id = :window_id")) for version in FIELDS}
"""The same where each posting's entry is of the window too: so the entries of all others are not read."""
# Counted, not asked whether one exists: for that the planner would look up each entry by itself.
_FOREIGN = text(
    "SELECT count(*) FROM posting p WHERE p.window_id = :window_id AND NOT EXISTS (SELECT FROM entry e"
    " WHERE e.member_id = p.member_id AND e.entry_id = p.entry_id AND e.window_id = :window_id)"
)
_FROM = {
    version: text(
        _query(version, f"AND p.member_id >= :member AND {_KEY} >= (:member, CAST(:entry AS uuid), :line)")
    )
    for version in FIELDS
}
_BETWEEN = {
    version: text(
        _query(
            version,
            "AND p.member_id BETWEEN :member AND :end_member"
            f" AND {_KEY} >= (:member, CAST(:entry AS uuid), :line)"
            f" AND {_KEY} < (:end_member, CAST(:end_entry AS uuid), :end_line)",
        )
    )
    for version in FIELDS
}
# A cursor is planned for its first tenth unless told otherwise, and that plan takes twice as long to the end.
_SESSION = text(
    "SELECT set_config('work_mem', '64MB', true), set_config('cursor_tuple_fraction', '1', true),"
    " set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true)"
)


class Key(NamedTuple):
    """Where a posting stands in its window."""

    member: int
    entry: UUID
    line: int


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The subtree over up to BLOCK leaves that follow one another."""

    block: int
    first: Key
    root: bytes
    marks: bytes

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self.marks) // MARK_BYTES


class _LeafKey(msgspec.Struct):
    member: int
    entry: str
    line: int


def key_of(leaf: bytes) -> Key:
    """The key of a leaf."""
    key = msgspec.json.decode(leaf, type=_LeafKey)
    return Key(key.member, UUID(hex=key.entry.removeprefix("ent_")), key.line)


def where(window_id: int, key: Key) -> str:
    """A posting as messages name it."""
    return f"window {window_id}, entry {ids.show('ent', key.entry)} of member {key.member}, line {key.line}"


def stream_leaves(connection: Connection, window_id: int, version: int) -> Iterator[list[bytes]]:
    """A window's leaves in the order of the tree, BLOCK at a time; only the last list is shorter.

    Rows of a window that is closed do not change: that any transaction sees the same is the seal's ground.
    """
    connection.execute(_SESSION)
    window = {"window_id": window_id}
    foreign = connection.execute(_FOREIGN, window).scalar_one()
    query = (_ALL if foreign else _OWN)[version]
    with connection.execute(query, window, execution_options={"yield_per": _FETCH}) as result:
        for rows in _read_ahead(result.partitions(_FETCH)):
            for start in range(0, len(rows), BLOCK):
                yield [leaf.encode() for (leaf,) in rows[start : start + BLOCK]]


def _read_ahead(portions: Iterator[_Portion]) -> Iterator[_Portion]:
    """The same portions, each read while the one before it is in use: the database writes, we hash."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, portions, None)
        while (portion := coming.result()) is not None:
            coming = reader.submit(next, portions, None)
            yield portion


def load_leaves(
    connection: Connection, window_id: int, version: int, first: Key, end: Key | None
) -> list[bytes]:
    """The leaves from one key up to, not including, another; to the end of the window where there is none."""
    connection.execute(_SESSION)
    wanted: dict[str, object] = {"window_id": window_id, **first._asdict()}
    if end is None:
        rows = connection.execute(_FROM[version], wanted)
    else:
        ends = {f"end_{name}": value for name, value in end._asdict().items()}
        rows = connection.execute(_BETWEEN[version], {**wanted, **ends})
    return [leaf.encode() for leaf in rows.scalars()]


def block_of(number: int, leaves: Sequence[bytes]) -> Block:
    """The block over some leaves, at least one."""
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return Block(block=number, first=key_of(leaves[0]), root=root_of(hashes), marks=marks_of(hashes))


def marks_of(hashes: Sequence[bytes]) -> bytes:
    """The marks of leaf hashes, one after another."""
    return b"".join([one[:MARK_BYTES] for one in hashes])


def stream_blocks(connection: Connection, window_id: int, version: int) -> Iterator[Block]:
    """A window's blocks, hashed as they come."""
    for number, leaves in enumerate(stream_leaves(connection, window_id, version)):
        yield block_of(number, leaves)
