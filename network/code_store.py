"""What a batch reads and writes of vouchers and of codes on packs.

Packs are claimed after the requests and before the accounts, in order; what a refused command claimed is
released. Vouchers change under the lock of their member's account.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from network import code_tables as tables
from network.bulk import insert_from_arrays, integers, texts, uuids
from network.commands import Accrue, Command
from network.ids import member_of
from network.model import EntryKind
from network.outcomes import Decision
from network.pipeline import Pipeline

_VOUCHER_COLUMNS = ("member_id", "entry_id", "name", "starts_on", "ends_on")
_INSERT_VOUCHERS = insert_from_arrays(tables.voucher, _VOUCHER_COLUMNS)
_END_VOUCHERS = text(
    "UPDATE voucher v SET ended_as = u.ended_as, ended_by = u.ended_by"
    " FROM unnest(CAST(:members AS bigint[]), CAST(:vouchers AS uuid[]), CAST(:ended_as AS text[]),"
    " CAST(:ended_by AS uuid[])) AS u (member_id, entry_id, ended_as, ended_by)"
    " WHERE v.member_id = ANY(CAST(:members AS bigint[])) AND v.member_id = u.member_id"
    " AND v.entry_id = u.entry_id AND v.ended_by IS NULL"
)
_CLAIM = insert_from_arrays(
    tables.pack_use, ("pack", "member_id", "entry_id"), "ORDER BY pack ON CONFLICT (pack) DO NOTHING"
)
_CLAIMED = text("SELECT pack, entry_id FROM pack_use WHERE pack = ANY(CAST(:packs AS bigint[]))")
_RELEASE = text("DELETE FROM pack_use WHERE pack = ANY(CAST(:packs AS bigint[]))")


def pack_named(command: Command) -> int | None:
    """The pack whose code a command uses up, if its code was opened."""
    if not isinstance(command, Accrue) or not command.code or command.details is None:
        return None
    return command.details.pack


def claim_packs(connection: Connection, packs: Mapping[int, UUID]) -> frozenset[int]:
    """Claim packs for the entries that are to use them up; one that is in flight elsewhere is waited for.

    Returns:
        Those that were used before.
    """
    if not packs:
        return frozenset()
    arrays: dict[str, Sequence[Any]] = {
        "pack": list(packs),
        "member_id": [member_of(entry_id) for entry_id in packs.values()],
        "entry_id": list(packs.values()),
    }
    with Pipeline(connection) as pipeline:
        pipeline.ask(_CLAIM.statement, _CLAIM.bound(arrays))
        claimed = pipeline.ask(_CLAIMED, {"packs": integers(packs)})
        return frozenset(pack for pack, entry_id in claimed if entry_id != packs[pack])


def release_packs(connection: Connection, packs: Collection[int]) -> None:
    """Release packs that were claimed for commands which were refused."""
    if packs:
        with Pipeline(connection) as pipeline:
            pipeline.change(_RELEASE, {"packs": integers(packs)}, len(packs), "packs released")


def save(pipeline: Pipeline, decisions: Sequence[Decision]) -> None:
    """Write which vouchers decisions made, and which they ended."""
    made = [
        (d.entry.member_id, d.entry.entry_id, d.voucher.name, d.voucher.starts_on, d.voucher.ends_on)
        for d in decisions
        if d.voucher is not None and d.entry.kind is EntryKind.VOUCHER
    ]
    if made:
        columns = zip(_VOUCHER_COLUMNS, zip(*made, strict=True), strict=True)
        bound = _INSERT_VOUCHERS.bound({name: list(column) for name, column in columns})
        pipeline.change(_INSERT_VOUCHERS.statement, bound, len(made), "vouchers made")
    ended = [
        (d.entry.member_id, d.entry.hold_id, d.voucher.ended_as, d.entry.entry_id)
        for d in decisions
        if d.voucher is not None and d.voucher.ended_as and d.entry.hold_id is not None
    ]
    if ended:
        members, vouchers, ways, entries = zip(*ended, strict=True)
        arrays = {
            "members": integers(members),
            "vouchers": uuids(vouchers),
            "ended_as": texts(ways),
            "ended_by": uuids(entries),
        }
        pipeline.change(_END_VOUCHERS, arrays, len(ended), "vouchers ended")
