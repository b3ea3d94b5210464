"""Pledges as they are kept at night, set by set; and what causes have raised, which is public."""

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Engine, text

from network.commands import KeepPledge
from network.model import AccountKind, EntryKind, Unit
from network.service import date_of_window, network_now
from network.sets import carry_out_due
from partners.model import OPERATOR_ID

_MEMBER, _ISSUED = int(AccountKind.MEMBER), int(AccountKind.ISSUED)
_ACCEPTED, _PENDING = int(AccountKind.ACCEPTED), int(AccountKind.PENDING)
_EARNING = f"{int(EntryKind.ACCRUAL)}, {int(EntryKind.RELEASE)}, {int(EntryKind.REVERSAL)}"
_DONATION, _REVERSAL = int(EntryKind.DONATION), int(EntryKind.REVERSAL)

EARNED = f"""
    SELECT g.member_id, g.entry_id, p.window_id,
        sum(CASE p.credit WHEN {_MEMBER} THEN p.points ELSE -p.points END)::bigint AS points
    FROM pledge g JOIN posting p ON p.member_id = g.member_id AND p.unit = {int(Unit.POINTS)}
        AND p.window_id >= g.from_window AND (g.ended_window IS NULL OR p.window_id < g.ended_window)
        AND (cardinality(g.issuers) = 0 OR p.issuer_id = ANY(g.issuers))
    JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id
    WHERE e.kind IN ({_EARNING}) AND ((p.credit = {_MEMBER} AND p.debit IN ({_ISSUED}, {_PENDING}))
        OR (p.debit = {_MEMBER} AND p.credit = {_ISSUED})) AND {{}}
    GROUP BY 1, 2, 3
"""
"""SQL: what was earned under each pledge, by window: by sales and what they had waiting, less returns."""

_ANY_PLEDGE = text("SELECT EXISTS (SELECT FROM pledge)")
_ANY_CAUSE = text("SELECT EXISTS (SELECT FROM cause_total)")
_COUNT = text(
    f"""
    UPDATE pledge d SET through = :window, earned = d.earned + coalesce(w.points, 0)
    FROM pledge o LEFT JOIN ({EARNED.format("p.window_id = :window AND g.through < :window")}) w
        USING (member_id, entry_id)
    WHERE d.member_id = o.member_id AND d.entry_id = o.entry_id
        AND o.through < :window AND o.from_window <= :window
        AND (o.ended_window IS NULL OR o.ended_window > :window)
    """
)
_DUE = text(
    "SELECT d.member_id, d.entry_id, d.cause_id, (d.earned * d.per_cent / 100 - d.given)::bigint AS points"
    " FROM pledge d JOIN account a ON a.member_id = d.member_id AND a.unit = :unit"
    " WHERE d.through = :window AND d.earned * d.per_cent / 100 > d.given"
    " AND a.balance > 0 AND a.merged_into IS NULL"
    " AND (d.member_id, d.entry_id) > (:member, CAST(:entry AS uuid))"
    " ORDER BY d.member_id, d.entry_id LIMIT :limit"
)
GIVEN = f"""
    SELECT p.acceptor_id AS cause_id, p.window_id, t.currency,
        sum(CASE p.credit WHEN {_ACCEPTED} THEN p.points ELSE -p.points END)::bigint AS points,
        sum(CASE p.credit WHEN {_ACCEPTED} THEN p.points ELSE -p.points END * t.reimbursement_rate) AS amount
    FROM posting p JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id
    JOIN contract_terms t ON t.partner_id = p.acceptor_id AND t.terms_version = p.acceptor_terms
    LEFT JOIN entry o ON o.member_id = e.member_id AND o.entry_id = e.reverses
    WHERE p.unit = {int(Unit.POINTS)} AND {{}}
        AND ((e.kind = {_DONATION} AND p.credit = {_ACCEPTED})
            OR (e.kind = {_REVERSAL} AND o.kind = {_DONATION} AND p.debit = {_ACCEPTED}))
    GROUP BY 1, 2, 3
"""
"""SQL: what causes were given, by window."""

_TOTAL = text(
    "INSERT INTO cause_total (cause_id, window_id, currency, points, amount)"
    f" SELECT cause_id, window_id, currency, points, amount FROM ({GIVEN.format('p.window_id = :window')}) g"
    " ON CONFLICT DO NOTHING"
)
_RAISED = text(
    "SELECT p.code, p.name, t.currency, coalesce(sum(t.points), 0)::bigint AS points,"
    " coalesce(sum(t.amount), 0) AS amount,"
    " (SELECT max(window_id) FROM clearing_window WHERE closed_at IS NOT NULL) AS through"
    " FROM partner p LEFT JOIN cause_total t ON t.cause_id = p.partner_id"
    " WHERE (CAST(:code AS text) IS NULL OR p.code = :code) AND (t.cause_id IS NOT NULL OR EXISTS"
    " (SELECT FROM contract_terms c WHERE c.partner_id = p.partner_id AND c.accepts_donations))"
    " GROUP BY 1, 2, 3 ORDER BY 1, 3"
)


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """What a cause has raised through a business date: points, and money by currency, exact major units."""

    code: str
    name: str
    points: int
    amounts: dict[str, Decimal]
    through: date | None


def keep_pledges(database: Engine, window_id: int) -> int:
    """Give what pledges come to after a window was closed; resumable.

    What is given is recorded in the window that is open now, as lapses are. Each pledge is counted once for
    each window, and a donation has the pledge and the window in its reference.

    Args:
        database: Where the ledger is.
        window_id: A closed window; those before it were counted.
    Returns:
        How many donations were made now.
    """
    with database.begin() as connection:
        if not connection.execute(_ANY_PLEDGE).scalar_one():
            return 0
        connection.execute(_COUNT, {"window": window_id})

    def due(connection: Connection, last: KeepPledge | None, limit: int) -> list[KeepPledge]:
        member, entry = (0, UUID(int=0)) if last is None else (last.member_id, last.pledge_id)
        wanted = {"window": window_id, "unit": int(Unit.POINTS), "member": member, "entry": entry}
        at = network_now(connection)
        return [
            KeepPledge(
                partner_id=OPERATOR_ID,
                reference=f"pledge {row.entry_id.hex} {window_id}",
                occurred_at=at,
                member_id=row.member_id,
                pledge_id=row.entry_id,
                cause_id=row.cause_id,
                points=row.points,
            )
            for row in connection.execute(_DUE, {**wanted, "limit": limit})
        ]

    return carry_out_due(database, due)


def sum_causes(connection: Connection, window_id: int, kinds: Collection[int]) -> None:
    """Sum what causes were given in a closed window, once; with the step that prices it.

    Args:
        connection: That step's transaction.
        window_id: The window.
        kinds: What entries there are in it: where none is a donation or can undo one, nothing is looked for,
            so that a night without causes takes no time for them.
    """
    if _DONATION in kinds or (_REVERSAL in kinds and connection.execute(_ANY_CAUSE).scalar_one()):
        connection.execute(_TOTAL, {"window": window_id})


def raised(connection: Connection, code: str | None = None) -> list[Raised]:
    """What causes have raised through the last closed window; nothing of any member. All, or one."""
    found: dict[str, Raised] = {}
    for row in connection.execute(_RAISED, {"code": code}):
        before = found.get(row.code)
        amounts = {} if before is None else before.amounts
        found[row.code] = Raised(
            code=row.code,
            name=row.name,
            points=row.points + (0 if before is None else before.points),
            amounts=amounts if row.currency is None else {**amounts, row.currency: row.amount},
            through=None if row.through is None else date_of_window(row.through),
        )
    return list(found.values())
