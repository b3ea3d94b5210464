"""Sealing: a step of its own after the night, in order of windows, and the proofs that seals give.

A night is settled whether or not it is sealed: without a key, or with one that cannot be read, only seals
wait. Whoever seals next goes on at the first window without a seal; each seal is one transaction.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from network import ids
from network.bulk import insert_from_arrays, insert_rows
from settlement import store, tables
from settlement.errors import NightOutOfOrder, NothingToProve, NotSealed, SealBroken
from settlement.leaves import BLOCK, Block, Key, key_of, load_leaves, stream_blocks, where
from settlement.merkle import Frontier, leaf_hash, path_of, root_of
from settlement.proof import FORMATS, Leaf, PostingProof, Proof, seal_body
from settlement.seal import NO_SEAL, VERSION, Seal, Signer

_BLOCKS_AT_A_TIME = 64
"""Blocks that are written together: a quarter of a megabyte."""
_INSERT_BLOCKS = insert_from_arrays(
    tables.window_seal_block,
    ("window_id", "block", "first_member", "first_entry", "first_line", "root", "marks"),
)
_IS_NETTED = text("SELECT count(*) FROM settlement_step WHERE window_id = :window_id AND step = 'netted'")
_BEFORE = text(
    "SELECT w.window_id, s.seal_hash FROM clearing_window w LEFT JOIN window_seal s USING (window_id)"
    " WHERE w.window_id < :window_id ORDER BY w.window_id DESC LIMIT 1"
)
# The seal is over postings, which no revision changes: that any was netted is enough.
_NEXT = text(
    "SELECT DISTINCT w.window_id FROM clearing_window w"
    " JOIN settlement_step r ON r.window_id = w.window_id AND r.step = 'netted'"
    " WHERE w.window_id > coalesce((SELECT max(window_id) FROM window_seal), 0) ORDER BY 1 LIMIT 1"
)
_UNSEALED = text(
    "SELECT window_id FROM clearing_window w WHERE closed_at IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM window_seal s WHERE s.window_id = w.window_id) ORDER BY 1"
)
_POSTINGS = text(
    "SELECT p.member_id, p.entry_id, p.line, p.window_id FROM posting p"
    " WHERE p.member_id = :member AND p.entry_id = :entry ORDER BY p.line"
)
_BLOCK_OF = text(
    """
    WITH held AS (
        SELECT max(block) AS block FROM window_seal_block WHERE window_id = :window_id
            AND (first_member, first_entry, first_line) <= (:member, CAST(:entry AS uuid), :line)
    )
    SELECT b.block, b.first_member, b.first_entry, b.first_line FROM window_seal_block b, held
    WHERE b.window_id = :window_id AND b.block IN (held.block, held.block + 1) ORDER BY b.block
    """
)
"""The block that holds a posting, and the one after it, where that begins."""


def seal_due(
    database: Engine, signer: Signer, at: datetime, *, stop: Callable[[], bool] = lambda: False
) -> list[Seal]:
    """Seal every window that is netted and not sealed, in order.

    Args:
        database: Where ledger and settlement are.
        signer: The network's key.
        at: The network's time, which the seals show.
        stop: Asked between windows; true ends the work early, and the next call goes on from there.
    Returns:
        The seals that were missing.
    """
    seals: list[Seal] = []
    while not stop():
        with database.connect() as connection:
            window_id = connection.execute(_NEXT).scalar_one_or_none()
        if window_id is None:
            break
        with database.begin() as connection:
            seals.append(seal_window(connection, window_id, signer, at))
    return seals


def seal_window(connection: Connection, window_id: int, signer: Signer, at: datetime) -> Seal:
    """Seal one window, once: who comes second waits, and gets the seal that is there.

    Memory stays flat whatever the window holds: one block of postings, and of the tree its right edge.

    Raises:
        NightOutOfOrder: the window is not netted, or the one before it is not sealed.
    """
    store.lock_run(connection, window_id)
    sealed = load_seals(connection, [window_id])
    if sealed:
        return sealed[0]
    if not connection.execute(_IS_NETTED, {"window_id": window_id}).scalar_one():
        raise NightOutOfOrder(f"window {window_id} is not settled: clear its date before it is sealed")
    before = connection.execute(_BEFORE, {"window_id": window_id}).one_or_none()
    if before is not None and before.seal_hash is None:
        raise NightOutOfOrder(f"window {before.window_id} is not sealed: seal it before {window_id}")
    root, size = _save_blocks(connection, window_id)
    seal = signer.seal(
        window_id,
        tree_size=size,
        root=root,
        previous_hash=NO_SEAL if before is None else bytes(before.seal_hash),
        at=at,
    )
    key = {"key_id": seal.key_id, "public_key": signer.public_key, "added_at": at}
    connection.execute(insert(tables.network_key).on_conflict_do_nothing(), key)
    connection.execute(
        tables.window_seal.insert(), {name: getattr(seal, name) for name in Seal.__struct_fields__}
    )
    return seal


def _save_blocks(connection: Connection, window_id: int) -> tuple[bytes, int]:
    """Hash a window's postings and keep the blocks; root and size of the tree."""
    tree = Frontier()
    size = 0
    waiting: list[Block] = []
    for block in stream_blocks(connection, window_id, VERSION):
        tree.add(block.root)
        size += block.size
        waiting.append(block)
        if len(waiting) == _BLOCKS_AT_A_TIME:
            _insert_blocks(connection, window_id, waiting)
            waiting.clear()
    if waiting:
        _insert_blocks(connection, window_id, waiting)
    return tree.root(), size


def _insert_blocks(connection: Connection, window_id: int, blocks: Sequence[Block]) -> None:
    insert_rows(
        connection,
        _INSERT_BLOCKS,
        {
            "window_id": [window_id] * len(blocks),
            "block": [one.block for one in blocks],
            "first_member": [one.first.member for one in blocks],
            "first_entry": [one.first.entry for one in blocks],
            "first_line": [one.first.line for one in blocks],
            "root": [one.root for one in blocks],
            "marks": [one.marks for one in blocks],
        },
    )


def load_seals(connection: Connection, window_ids: Sequence[int] | None = None) -> list[Seal]:
    """Seals in order of windows; all of them by default."""
    table = tables.window_seal
    query = select(*(table.c[name] for name in Seal.__struct_fields__)).order_by(table.c.window_id)
    if window_ids is not None:
        query = query.where(table.c.window_id.in_(window_ids))
    return [Seal(**row._asdict()) for row in connection.execute(query)]


def load_keys(connection: Connection) -> dict[str, bytes]:
    """Public keys that the network has sealed with, by their ids."""
    rows = connection.execute(select(tables.network_key.c.key_id, tables.network_key.c.public_key))
    return {row.key_id: bytes(row.public_key) for row in rows}


def load_blocks(connection: Connection, window_id: int) -> list[Block]:
    """The blocks that are kept of a window, in order. Of four million postings they are 16 MB."""
    table = tables.window_seal_block
    rows = connection.execute(select(table).where(table.c.window_id == window_id).order_by(table.c.block))
    return [
        Block(
            block=row.block,
            first=Key(row.first_member, row.first_entry, row.first_line),
            root=bytes(row.root),
            marks=bytes(row.marks),
        )
        for row in rows
    ]


def unsealed_windows(connection: Connection) -> list[int]:
    """Closed windows without a seal."""
    return list(connection.execute(_UNSEALED).scalars())


def read_proof(connection: Connection, entry_id: UUID) -> Proof:
    """The proof of an entry's postings, drawn from their blocks: nothing else of the window is read.

    Raises:
        NothingToProve: there is no such entry, or it moved no points.
        NotSealed: its window has no seal yet.
        SealBroken: what is in the database is not what was sealed.
    """
    wanted = {"member": ids.member_of(entry_id), "entry": entry_id}
    shown = ids.show("ent", entry_id)
    postings = connection.execute(_POSTINGS, wanted).all()
    if not postings:
        raise NothingToProve(f"no posting of entry {shown} is there: an entry that moved no points has none")
    window_id = postings[0].window_id
    seals = load_seals(connection, [window_id])
    if not seals:
        raise NotSealed(f"window {window_id} of entry {shown} is not sealed yet: ask again after its night")
    table = tables.window_seal_block
    roots = select(table.c.root).where(table.c.window_id == window_id).order_by(table.c.block)
    tree = [bytes(root) for root in connection.execute(roots).scalars()]
    if root_of(tree) != seals[0].root:
        raise SealBroken(
            f"window {window_id}: its seal is not over the blocks that are kept: run tessera verify"
        )
    keys = [Key(row.member_id, row.entry_id, row.line) for row in postings]
    raw_public_key = load_keys(connection)[seals[0].key_id]
    return Proof(
        format=FORMATS[seals[0].version],
        entry=shown,
        seal=seal_body(seals[0], raw_public_key),
        postings=[_prove(connection, seals[0], key, tree) for key in keys],
    )


def _prove(connection: Connection, seal: Seal, key: Key, tree: Sequence[bytes]) -> PostingProof:
    """One posting's proof: its path in its block, and the block's path to the root."""
    window_id = seal.window_id
    held = connection.execute(_BLOCK_OF, {"window_id": window_id, **key._asdict()}).all()
    if not held:
        raise SealBroken(f"{where(window_id, key)}: it was not there when its window was sealed")
    number = held[0].block
    first, *later = [Key(row.first_member, row.first_entry, row.first_line) for row in held]
    leaves = load_leaves(connection, window_id, seal.version, first, later[0] if later else None)
    hashes = [leaf_hash(leaf) for leaf in leaves]
    if root_of(hashes) != tree[number]:
        raise SealBroken(
            f"{where(window_id, key)}: it or one near it is not what was sealed: run tessera verify"
        )
    index = next(place for place, leaf in enumerate(leaves) if key_of(leaf) == key)
    path = [*path_of(hashes, index), *path_of(tree, number)]
    return PostingProof(
        index=number * BLOCK + index,
        leaf=msgspec.json.decode(leaves[index], type=Leaf),
        leaf_hash=hashes[index].hex(),
        path=[one.hex() for one in path],
    )
