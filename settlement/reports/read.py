"""What the tables say, as frames: exact numbers in object columns, never coerced to floats."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec
import pandas as pd
from sqlalchemy import Connection, TextClause, text

from network.model import AccountKind, EntryKind
from partners.model import Participant
from settlement.model import Obligation, Position
from settlement.money import from_minor, minor_digits
from settlement.reports.errors import NothingToReport

_ISSUED, _MEMBER = int(AccountKind.ISSUED), int(AccountKind.MEMBER)
_ACCEPTED, _LAPSED = int(AccountKind.ACCEPTED), int(AccountKind.LAPSED)
_HELD = int(AccountKind.HELD)

MOVEMENTS = {
    (_ISSUED, _MEMBER): "issued",
    (_MEMBER, _ISSUED): "issue reversed",
    (_MEMBER, _ACCEPTED): "redeemed",
    (_HELD, _ACCEPTED): "redeemed",
    (_ACCEPTED, _MEMBER): "redemption reversed",
    (_MEMBER, _LAPSED): "lapsed",
    (_MEMBER, _HELD): "held",
    (_HELD, _MEMBER): "hold released",
}
"""What a posting from one account to another means."""
ACCEPTED = ("redeemed", "redemption reversed")
"""The movements by which an acceptor's points become more, or fewer."""
_RANK = {name: rank for rank, name in enumerate(MOVEMENTS.values())}
EVENTS = {
    int(EntryKind.ENROLMENT): "enrolments",
    int(EntryKind.ACCRUAL): "accruals",
    int(EntryKind.REDEMPTION): "redemptions",
    int(EntryKind.REVERSAL): "reversals",
    int(EntryKind.EXPIRY): "lapses",
    int(EntryKind.HOLD): "holds",
    int(EntryKind.CAPTURE): "captures",
    int(EntryKind.VOID): "holds voided",
    int(EntryKind.HOLD_LAPSE): "holds lapsed",
}
"""Entry kinds as statements call them."""


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
    if row.state != "netted":
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
    """Points of a night by movement (MOVEMENTS), issuer and terms, acceptor and terms."""
    totals = frame(connection, _TOTALS, {"window_id": night.window_id})
    names = [MOVEMENTS[pair] for pair in zip(totals["debit"], totals["credit"], strict=True)]
    totals = totals.assign(movement=pd.Series(names, dtype=object))
    return totals.sort_values("movement", key=lambda column: column.map(_RANK), kind="stable")


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
