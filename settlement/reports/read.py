"""What the tables say, as frames: exact numbers in object columns, never coerced to floats."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pandas as pd
from sqlalchemy import Connection, Row, TextClause, text

from network.model import AccountKind, EntryKind
from partners.model import Participant
from settlement.model import NETTED_STATES, Obligation, Position
from settlement.money import from_minor, minor_digits
from settlement.reports.errors import NothingToReport

OWED, CURED = "not taken back: owed as a deficit", "deficit cured"
MOVEMENTS = {
    (AccountKind.ISSUED, AccountKind.MEMBER): "issued",
    (AccountKind.ISSUED, AccountKind.PENDING): "issued, waiting for an event",
    (AccountKind.PENDING, AccountKind.MEMBER): "released by its event",
    (AccountKind.PENDING, AccountKind.TRANSIT): "released by its event",
    (AccountKind.MEMBER, AccountKind.ISSUED): "issue reversed",
    (AccountKind.PENDING, AccountKind.ISSUED): "issue reversed",
    (AccountKind.TRANSIT, AccountKind.ISSUED): "issue reversed",
    (AccountKind.DEFICIT, AccountKind.ISSUED): OWED,
    (AccountKind.ISSUED, AccountKind.DEFICIT): CURED,
    (AccountKind.MEMBER, AccountKind.ACCEPTED): "redeemed",
    (AccountKind.HELD, AccountKind.ACCEPTED): "redeemed",
    (AccountKind.TRANSIT, AccountKind.ACCEPTED): "redeemed",
    (AccountKind.ACCEPTED, AccountKind.MEMBER): "redemption reversed",
    (AccountKind.ACCEPTED, AccountKind.TRANSIT): "redemption reversed",
    (AccountKind.MEMBER, AccountKind.LAPSED): "lapsed",
    (AccountKind.MEMBER, AccountKind.HELD): "held",
    (AccountKind.TRANSIT, AccountKind.HELD): "held",
    (AccountKind.HELD, AccountKind.MEMBER): "hold released",
    (AccountKind.HELD, AccountKind.TRANSIT): "hold released",
    (AccountKind.MEMBER, AccountKind.TRANSIT): "passed to another member",
    (AccountKind.TRANSIT, AccountKind.MEMBER): "came from another member",
}
"""What a posting from one account to another means."""
CURING, DONATED, DONATION_REVERSED = "redeemed to cure a deficit", "donated", "donation reversed"
"""What the accounts do not tell from a redemption at a till and its return, but the entries do."""
ACCEPTED = ("redeemed", CURING, DONATED, "redemption reversed", DONATION_REVERSED)
"""The movements by which an acceptor's points become more, or fewer."""
_BEFORE_ACCEPTED = list(MOVEMENTS.values()).index("redeemed")
_RANK = {
    name: rank
    for rank, name in enumerate(
        dict.fromkeys([*list(MOVEMENTS.values())[:_BEFORE_ACCEPTED], *ACCEPTED, *MOVEMENTS.values()])
    )
}
EVENTS = {
    EntryKind.ENROLMENT: "enrolments",
    EntryKind.ACCRUAL: "accruals",
    EntryKind.REDEMPTION: "redemptions",
    EntryKind.REVERSAL: "reversals",
    EntryKind.EXPIRY: "lapses",
    EntryKind.HOLD: "holds",
    EntryKind.CAPTURE: "captures",
    EntryKind.VOID: "holds voided",
    EntryKind.HOLD_LAPSE: "holds lapsed",
    EntryKind.RELEASE: "points released by their event",
    EntryKind.GIFT: "gifts",
    EntryKind.TRANSFER: "transfers with another member",
    EntryKind.DONATION: "donations",
    EntryKind.POOL_INVITATION: "invitations into a pool",
    EntryKind.POOL_JOIN: "pools joined",
    EntryKind.POOL_LEAVE: "pools left",
    EntryKind.MERGE: "accounts merged",
    EntryKind.UNMERGE: "merges undone",
    EntryKind.ADJUSTMENT: "adjustments",
    EntryKind.TIER: "tiers set",
}
"""Entry kinds as statements call them."""


_ACCEPTED, _DEFICIT = int(AccountKind.ACCEPTED), int(AccountKind.DEFICIT)
_DONATION = int(EntryKind.DONATION)


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """A cleared window: which one, of which network, in which currency; and its seal, where it has one."""

    window_id: int
    business_date: date
    revision: int
    state: str
    opened_at: datetime
    closed_at: datetime
    network: str
    currency: str
    sealed_postings: int | None
    root: bytes | None
    key_id: str | None

    def major(self, minor: int) -> Decimal:
        """Minor units of the night's currency as an exact amount."""
        return from_minor(minor, minor_digits(self.currency))


_NIGHT = text(
    """
    SELECT w.window_id, w.business_date, r.revision, r.state, w.opened_at, w.closed_at, n.name AS network,
        n.currency, s.tree_size AS sealed_postings, s.root, s.key_id
    FROM clearing_window w JOIN settlement_run r USING (window_id) LEFT JOIN window_seal s USING (window_id),
        network n
    WHERE w.window_id = :window_id AND w.closed_at IS NOT NULL ORDER BY r.revision DESC LIMIT 1
    """
)
_PARTICIPANTS = text("SELECT partner_id, code, name, kind, status FROM partner ORDER BY partner_id")
_POSITIONS = text(
    """
    SELECT participant_id, currency, credits, debits, fee_minor, vat_minor, fee_base, vat_base, carried_in,
        exact, final_minor, carried_out
    FROM net_position WHERE window_id = :window_id AND revision = :revision ORDER BY participant_id
    """
)
_OBLIGATIONS = text(
    """
    SELECT flow, debtor_id, creditor_id, points, amount FROM obligation
    WHERE window_id = :window_id AND revision = :revision
    ORDER BY debtor_id, creditor_id, flow COLLATE "C"
    """
)
_TOTALS = text(
    """
    SELECT debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms,
        sum(points)::bigint AS points, sum(postings)::bigint AS postings
    FROM window_total WHERE window_id = :window_id GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    """
)
# Postings of one window beside their entries: what is accepted, and is no redemption at a till; and deficits
# that a merge took from one account to another, which nobody made or cured.
_APART = text(
    f"""
    SELECT p.debit, p.credit, p.issuer_id, p.issuer_terms, p.acceptor_id, p.acceptor_terms,
        CASE WHEN {_DEFICIT} IN (p.debit, p.credit) THEN NULL
            WHEN e.kind = {_DONATION} THEN '{DONATED}'
            WHEN p.debit = {_ACCEPTED} THEN '{DONATION_REVERSED}'
            ELSE '{CURING}' END AS movement,
        sum(p.points)::bigint AS points, count(*) AS postings
    FROM posting p JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id
    LEFT JOIN entry o ON o.member_id = e.member_id AND o.entry_id = e.reverses
    LEFT JOIN entry t ON t.member_id = e.counterpart_id AND t.entry_id = e.parent_id
    WHERE p.window_id = :window_id AND (
        (p.debit, p.credit) = ({int(AccountKind.MEMBER)}, {_ACCEPTED})
            AND e.kind <> {int(EntryKind.REDEMPTION)}
        OR p.debit = {_ACCEPTED} AND o.kind = {_DONATION}
        OR p.debit = {_DEFICIT} AND e.kind = {int(EntryKind.MERGE)}
        OR p.credit = {_DEFICIT} AND t.kind = {int(EntryKind.MERGE)})
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    """
)
_ACTIVITY = text(
    """
    SELECT partner_id, kind, entries, points, amount_minor FROM window_activity
    WHERE window_id = :window_id ORDER BY partner_id, kind
    """
)


def read_night(connection: Connection, window_id: int) -> Night:
    """A settled window, by its latest run.

    Raises:
        NothingToReport: the window is not closed, or its night is under way: it has no positions yet.
    """
    row = connection.execute(_NIGHT, {"window_id": window_id}).one_or_none()
    if row is None:
        raise NothingToReport(f"window {window_id} has not been cleared: run `tessera clear` first")
    if row.state not in NETTED_STATES:
        raise NothingToReport(
            f"window {window_id} is {row.state} and not netted: run `tessera clear` to finish its night"
        )
    return Night(**row._asdict())


def read_participants(connection: Connection) -> dict[int, Participant]:
    """Every participant by id, in order of ids."""
    return {row.partner_id: Participant(**row._asdict()) for row in connection.execute(_PARTICIPANTS)}


def read_positions(connection: Connection, night: Night) -> list[Position]:
    """Net positions of a night, by participant id."""
    return [Position(**row._asdict()) for row in connection.execute(_POSITIONS, _run(night))]


def read_obligations(connection: Connection, night: Night) -> list[Obligation]:
    """Gross debts of a night, by debtor, creditor and flow."""
    return [Obligation(**row._asdict()) for row in connection.execute(_OBLIGATIONS, _run(night))]


def read_totals(connection: Connection, night: Night) -> pd.DataFrame:
    """Points of a night by movement (MOVEMENTS, ACCEPTED), issuer and terms, acceptor and terms."""
    window = {"window_id": night.window_id}
    sums: dict[_Moved, tuple[int, int]] = {}

    def add(movement: str, row: Row[Any], sign: int = 1) -> None:
        key = _Moved(movement, row.issuer_id, row.issuer_terms, row.acceptor_id, row.acceptor_terms)
        points, postings = sums.get(key, (0, 0))
        sums[key] = (points + sign * row.points, postings + sign * row.postings)

    for row in connection.execute(_TOTALS, window):
        add(MOVEMENTS[row.debit, row.credit], row)
    for row in connection.execute(_APART, window):
        add(MOVEMENTS[row.debit, row.credit], row, -1)
        if row.movement is not None:
            add(row.movement, row)
    rows = [(*key, *sums[key]) for key in sorted(sums, key=_Moved.order) if sums[key] != (0, 0)]
    return pd.DataFrame(rows, columns=[*_Moved._fields, "points", "postings"], dtype=object)


class _Moved(NamedTuple):
    """What one line of a statement sums."""

    movement: str
    issuer_id: int
    issuer_terms: int
    acceptor_id: int | None
    acceptor_terms: int | None

    def order(self) -> tuple[int, ...]:
        """Where it stands: by movement, then by number."""
        return _RANK[self.movement], *(one or 0 for one in self[1:])


def read_activity(connection: Connection, night: Night) -> pd.DataFrame:
    """Entries of a night by partner and event (EVENTS), with points and sales in minor units."""
    activity = frame(connection, _ACTIVITY, {"window_id": night.window_id})
    return activity.assign(event=activity["kind"].map(EVENTS).astype(object))


def frame(
    connection: Connection, query: TextClause, parameters: Mapping[str, object] | None = None
) -> pd.DataFrame:
    """Rows of a query as a frame of objects, so that Decimals stay Decimals and None stays None."""
    result = connection.execute(query, parameters or {})
    columns = list(result.keys())
    return pd.DataFrame([tuple(row) for row in result], columns=columns, dtype=object)


def as_frame(values: Sequence[msgspec.Struct], kind: type[msgspec.Struct]) -> pd.DataFrame:
    """Values of one kind as a frame of objects, a column per field."""
    return pd.DataFrame(
        [msgspec.structs.astuple(one) for one in values], columns=list(kind.__struct_fields__), dtype=object
    )


def _run(night: Night) -> dict[str, object]:
    return {"window_id": night.window_id, "revision": night.revision}
