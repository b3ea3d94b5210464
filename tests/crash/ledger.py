"""What the ledger holds of what clients asked for, as answers would show it."""

from sqlalchemy import Connection, text

from network import ids
from network.model import AccountKind, EntryKind
from network.service import date_of_window
from tests.crash.compare import Row, Transfer

_ACCOUNTS = {kind.name.lower(): int(kind) for kind in AccountKind}
_ENTRIES = text(
    """
    SELECT e.*, m.* FROM entry e CROSS JOIN LATERAL (
        SELECT sum(CASE :transit WHEN p.credit THEN p.points WHEN p.debit THEN -p.points END)
                FILTER (WHERE p.contributor_id IS NOT NULL)::bigint AS pooled,
            sum(CASE :pending WHEN p.credit THEN p.points WHEN p.debit THEN -p.points END)::bigint AS pending,
            sum(p.points) FILTER (WHERE p.credit = :deficit)::bigint AS cured,
            sum(p.points) FILTER (WHERE p.debit = :deficit)::bigint AS owed
        FROM posting p WHERE p.member_id = e.member_id AND p.entry_id = e.entry_id
    ) m WHERE e.reference LIKE 'client-%'
    """
)
# What passes between two members under an entry that nobody asked for (a hold's lapse) is left to `verify`.
_TRANSFERS = text(
    """
    SELECT t.partner_id, t.parent_id, m.moved
    FROM entry t LEFT JOIN entry e ON e.entry_id = t.parent_id AND e.member_id = t.counterpart_id
    CROSS JOIN LATERAL (
        SELECT sum(CASE :transit WHEN p.debit THEN p.points WHEN p.credit THEN -p.points END)::bigint AS moved
        FROM posting p WHERE p.member_id = t.member_id AND p.entry_id = t.entry_id
    ) m WHERE t.kind = :transfer AND (e.entry_id IS NULL OR e.kind <> :hold_lapse)
    """
)


_ASIDE = {
    EntryKind.RELEASE: "accrual",
    **dict.fromkeys((EntryKind.CAPTURE, EntryKind.VOID, EntryKind.HOLD_LAPSE), "hold"),
}


def read_rows(connection: Connection) -> list[Row]:
    """Every entry that a client asked for."""
    return [
        Row(
            row.partner_id,
            {
                "id": ids.show("ent", row.entry_id),
                "kind": EntryKind(row.kind).name.lower(),
                "reference": row.reference,
                "points": row.points,
                "balance": row.balance_after,
                "business_date": date_of_window(row.window_id).isoformat(),
                "amount_minor": row.amount_minor if row.currency else None,
                "reverses": ids.show("ent", row.reverses) if row.reverses else None,
                # whose voucher was used, or has ended, its answer does not say
                _ASIDE.get(EntryKind(row.kind), "of_voucher"): (
                    ids.show("ent", row.hold_id) if row.hold_id else None
                ),
                "invitation": ids.show("ent", row.parent_id) if row.parent_id else None,
                "pooled": row.pooled or None,
                "pending": row.pending or None,
                "cured": row.cured or None,
                "owed": row.owed or None,
            },
        )
        for row in connection.execute(_ENTRIES, _ACCOUNTS)
    ]


def read_transfers(connection: Connection) -> list[Transfer]:
    """Every entry of another member that one of them made."""
    wanted = {
        "transit": int(AccountKind.TRANSIT),
        "transfer": int(EntryKind.TRANSFER),
        "hold_lapse": int(EntryKind.HOLD_LAPSE),
    }
    return [
        Transfer(row.partner_id, ids.show("ent", row.parent_id), row.moved or 0)
        for row in connection.execute(_TRANSFERS, wanted)
    ]
