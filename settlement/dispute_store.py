"""The rows of disputes: what was raised, what became of it, what was attached, and the lines they are about.

Every function takes a connection and never commits.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from network.ids import member_of
from partners.model import OPERATOR_ID
from settlement.model import WindowTotal
from settlement.money import from_minor, minor_digits
from settlement.money_model import Dispute, DisputedFlow, DisputeEvent, Evidence
from settlement.money_tables import dispute, dispute_event, dispute_evidence


class Disputed(Protocol):
    """What tells whose line of which window is disputed."""

    @property
    def raised_by_id(self) -> int: ...  # noqa: D102

    @property
    def against_id(self) -> int: ...  # noqa: D102

    @property
    def flow(self) -> DisputedFlow: ...  # noqa: D102

    @property
    def window_id(self) -> int: ...  # noqa: D102


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A dispute with all that became of it, and what was attached; the last event is where it stands."""

    dispute: Dispute
    events: tuple[DisputeEvent, ...]
    evidence: tuple[Evidence, ...] = ()
    paid_in_window: int | None = None

    @property
    def last(self) -> DisputeEvent:
        """Where it stands."""
        return self.events[-1]


_PRICED_ALIKE = (
    "debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category, reversed_window_id"
)
_COLUMNS = ", ".join(Dispute.__struct_fields__)
_EVENT_COLUMNS = ", ".join(DisputeEvent.__struct_fields__)

# A partner raises one at a time, and one at a time moves a dispute: the second sees what the first did.
_LOCK_RAISER = text("SELECT pg_advisory_xact_lock(7267, hashtext(current_schema() || :partner_id))")
_LOCK_DISPUTE = text("SELECT pg_advisory_xact_lock(7268, hashtext(current_schema() || :dispute_id))")
_BY_REFERENCE = text(
    f"SELECT {_COLUMNS} FROM dispute WHERE raised_by_id = :raised_by_id AND reference = :reference"
)
_BY_ID = text(f"SELECT {_COLUMNS} FROM dispute WHERE dispute_id = ANY(:ids) ORDER BY dispute_id")
_EVENTS = text(
    f"SELECT {_EVENT_COLUMNS} FROM dispute_event WHERE dispute_id = ANY(:ids) ORDER BY dispute_id, sequence"
)
_EVIDENCE = text(
    "SELECT dispute_id, sha256, name, media_type, octet_length(content) AS size, attached_by, attached_at"
    " FROM dispute_evidence WHERE dispute_id = ANY(:ids) ORDER BY dispute_id, attached_at, sha256"
)
_PAID_IN = text(
    "SELECT CAST(origin_reference AS uuid) AS dispute_id, window_id FROM money_adjustment"
    " WHERE origin = 'dispute' AND origin_reference = ANY(:names)"
)
_OPEN = "l.state NOT IN ('accepted', 'decided')"
_LAST = (
    "JOIN LATERAL (SELECT state, answer_until FROM dispute_event e WHERE e.dispute_id = d.dispute_id"
    " ORDER BY sequence DESC LIMIT 1) l ON true"
)
_PAGE = text(
    f"SELECT d.dispute_id FROM dispute d {_LAST}"
    " WHERE (CAST(:party AS integer) IS NULL OR :party IN (d.raised_by_id, d.against_id))"
    f" AND (NOT :undecided OR {_OPEN})"
    " AND (CAST(:before AS uuid) IS NULL OR d.dispute_id < :before)"
    " ORDER BY d.dispute_id DESC LIMIT :limit"
)
_DUE = text(
    "SELECT e.dispute_id FROM dispute_event e WHERE e.answer_until <= :now AND NOT EXISTS ("
    " SELECT FROM dispute_event n WHERE n.dispute_id = e.dispute_id AND n.sequence > e.sequence)"
    " ORDER BY e.answer_until, e.dispute_id LIMIT :limit"
)
_DISPUTED = text(
    "SELECT coalesce(sum(amount), 0) FROM dispute WHERE window_id = :window_id AND flow = :flow"
    " AND raised_by_id = :by AND against_id = :to AND credited_id = :credited_id"
    " AND (NOT :entries_only OR entry_id IS NOT NULL)"
)
_IS_DISPUTED = text(
    "SELECT EXISTS (SELECT FROM dispute WHERE window_id = :window_id AND flow = :flow AND raised_by_id = :by"
    " AND against_id = :to AND entry_id IS NOT DISTINCT FROM CAST(:entry_id AS uuid))"
)
_WINDOW = text(
    "SELECT w.closed_at, r.state FROM clearing_window w LEFT JOIN settlement_run r"
    " ON r.window_id = w.window_id AND r.state <> 'aborted' WHERE w.window_id = :window_id"
)
_ENTRY_TOTALS = text(
    f"SELECT e.entry_id = :entry_id AS own, e.window_id, {_PRICED_ALIKE}, sum(p.points)::bigint AS points,"
    " count(*) AS postings FROM ("
    "   SELECT member_id, entry_id, window_id FROM entry"
    "   WHERE member_id = :member_id AND (entry_id = :entry_id OR reverses = :entry_id)"
    f" ) e JOIN posting p USING (member_id, entry_id) WHERE p.unit = 1 GROUP BY 1, 2, {_PRICED_ALIKE}"
)
# What is summed already stands in window_total; of the windows that are not, the postings are read.
_WINDOW_TOTALS = text(
    f"SELECT {_PRICED_ALIKE}, sum(points)::bigint AS points, sum(postings)::bigint AS postings FROM ("
    f"   SELECT {_PRICED_ALIKE}, points, postings FROM window_total"
    "   WHERE window_id = :window_id AND reversed_window_id IS NULL OR reversed_window_id = :window_id"
    f"   UNION ALL SELECT {_PRICED_ALIKE}, points, 1 FROM posting"
    "   WHERE unit = 1 AND reversed_window_id = :window_id AND window_id IN ("
    "     SELECT window_id FROM clearing_window EXCEPT SELECT window_id FROM window_total)"
    f" ) t WHERE issuer_id = :by AND acceptor_id = :to GROUP BY {_PRICED_ALIKE}"
)
_ISSUE_TOTALS = text(
    _WINDOW_TOTALS.text.replace(
        "issuer_id = :by AND acceptor_id = :to", "issuer_id = :by AND acceptor_id IS NULL"
    )
)
_LIVE = "JOIN settlement_run USING (window_id, revision) WHERE state <> 'aborted' AND window_id = :window_id"
_CHARGES = text(f"SELECT currency, fee_minor, vat_minor FROM net_position {_LIVE} AND participant_id = :by")
_VAT = text(
    "SELECT currency, sum(CASE WHEN debtor_id = :by THEN amount ELSE -amount END) AS amount"
    f" FROM obligation {_LIVE} AND flow = 'vat' AND debtor_id IN (:by, :to) AND creditor_id IN (:by, :to)"
    " AND debtor_id <> creditor_id GROUP BY 1"
)
_IS_WINDOW = text("SELECT EXISTS (SELECT FROM clearing_window WHERE window_id = :window_id)")
_CONTENT = text(
    "SELECT name, media_type, content FROM dispute_evidence"
    " WHERE dispute_id = :dispute_id AND sha256 = :sha256"
)


def lock_raiser(connection: Connection, partner_id: int) -> None:
    """Be the only one who raises disputes for a partner, until the transaction ends."""
    connection.execute(_LOCK_RAISER, {"partner_id": str(partner_id)})


def lock_dispute(connection: Connection, dispute_id: UUID) -> None:
    """Be the only one who moves a dispute, until the transaction ends."""
    connection.execute(_LOCK_DISPUTE, {"dispute_id": str(dispute_id)})


def add_dispute(connection: Connection, one: Dispute) -> None:
    """Write a dispute; its first event follows."""
    connection.execute(dispute.insert(), msgspec.structs.asdict(one))


def add_event(connection: Connection, event: DisputeEvent) -> None:
    """Write what became of a dispute.

    Raises:
        sqlalchemy.exc.IntegrityError: somebody else made this move.
    """
    connection.execute(dispute_event.insert(), msgspec.structs.asdict(event))


def add_evidence(connection: Connection, one: Evidence, content: bytes) -> None:
    """Write a file of a dispute."""
    row = {**msgspec.structs.asdict(one), "content": content}
    del row["size"]
    connection.execute(dispute_evidence.insert(), row)


def find_by_reference(connection: Connection, raised_by_id: int, reference: str) -> Dispute | None:
    """The dispute that a partner raised under its own reference."""
    row = connection.execute(
        _BY_REFERENCE, {"raised_by_id": raised_by_id, "reference": reference}
    ).one_or_none()
    return None if row is None else Dispute(**row._asdict())


def load_cases(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Case]:
    """Disputes with their events and what was attached; unknown ids are missing."""
    wanted = {"ids": list(ids)}
    events: dict[UUID, list[DisputeEvent]] = {}
    for row in connection.execute(_EVENTS, wanted):
        events.setdefault(row.dispute_id, []).append(DisputeEvent(**row._asdict()))
    files: dict[UUID, list[Evidence]] = {}
    for row in connection.execute(_EVIDENCE, wanted):
        held = {**row._asdict(), "sha256": bytes(row.sha256)}
        files.setdefault(row.dispute_id, []).append(Evidence(**held))
    paid = {
        row.dispute_id: row.window_id
        for row in connection.execute(_PAID_IN, {"names": [str(one) for one in ids]})
    }
    return {
        row.dispute_id: Case(
            dispute=Dispute(**row._asdict()),
            events=tuple(events[row.dispute_id]),
            evidence=tuple(files.get(row.dispute_id, ())),
            paid_in_window=paid.get(row.dispute_id),
        )
        for row in connection.execute(_BY_ID, wanted)
    }


def page_of(
    connection: Connection,
    *,
    party: int | None,
    undecided: bool,
    limit: int,
    before: UUID | None = None,
) -> list[UUID]:
    """Disputes of one partner or of all, the newest first."""
    wanted = {"party": party, "undecided": undecided, "limit": limit, "before": before}
    return list(connection.execute(_PAGE, wanted).scalars())


def due(connection: Connection, now: datetime, limit: int) -> list[UUID]:
    """Disputes whose deadline has passed, those that wait longest first."""
    return list(connection.execute(_DUE, {"now": now, "limit": limit}).scalars())


def is_disputed(connection: Connection, one: Dispute) -> bool:
    """Whether the line of a dispute has been disputed before."""
    wanted = {
        "window_id": one.window_id,
        "flow": one.flow,
        "by": one.raised_by_id,
        "to": one.against_id,
        "entry_id": one.entry_id,
    }
    return bool(connection.execute(_IS_DISPUTED, wanted).scalar_one())


def disputed_so_far(
    connection: Connection, one: Disputed, *, credited_id: int, entries_only: bool = False
) -> Decimal:
    """Sum of what was disputed before between two partners about one window and one side's credits."""
    wanted = {
        "window_id": one.window_id,
        "flow": one.flow,
        "by": one.raised_by_id,
        "to": one.against_id,
        "credited_id": credited_id,
        "entries_only": entries_only,
    }
    found: Decimal = connection.execute(_DISPUTED, wanted).scalar_one()
    return found


def window_state(connection: Connection, window_id: int) -> tuple[datetime, str] | None:
    """When a window closed, and how far its run is; None where it is not closed or is none."""
    row = connection.execute(_WINDOW, {"window_id": window_id}).one_or_none()
    return None if row is None or row.closed_at is None or row.state is None else (row.closed_at, row.state)


def entry_totals(connection: Connection, entry_id: UUID) -> tuple[int | None, list[WindowTotal]]:
    """An entry's window, None where there is no such entry with postings; its postings and its returns'."""
    rows = connection.execute(_ENTRY_TOTALS, {"entry_id": entry_id, "member_id": member_of(entry_id)})
    window_id: int | None = None
    totals: list[WindowTotal] = []
    for row in rows:
        values = row._asdict()
        own, of = values.pop("own"), values.pop("window_id")
        window_id = of if own else window_id
        totals.append(WindowTotal(**values))
    return window_id, totals


def window_totals(connection: Connection, window_id: int, *, by: int, to: int) -> list[WindowTotal]:
    """What a window's redemptions of one partner's points at another were, and what of them was returned."""
    rows = connection.execute(_WINDOW_TOTALS, {"window_id": window_id, "by": by, "to": to})
    return [WindowTotal(**row._asdict()) for row in rows]


def issue_totals(connection: Connection, window_id: int, *, by: int) -> list[WindowTotal]:
    """What a partner issued in a window, and what of it was taken back; and whatever else has no acceptor."""
    rows = connection.execute(_ISSUE_TOTALS, {"window_id": window_id, "by": by})
    return [WindowTotal(**row._asdict()) for row in rows]


def charged(
    connection: Connection, window_id: int, flow: DisputedFlow, *, by: int, to: int
) -> list[tuple[str, Decimal]]:
    """What a netted window charged a partner as fee, or as VAT that it owed another, by currency; not zeros.

    VAT that it owes the operator is that on its fee, and that on flows between them.
    """
    found: dict[str, Decimal] = {}
    wanted = {"window_id": window_id, "by": by}
    if to == OPERATOR_ID:
        for row in connection.execute(_CHARGES, wanted):
            minor = row.fee_minor if flow == "fee" else row.vat_minor
            found[row.currency] = from_minor(minor, minor_digits(row.currency))
    if flow == "vat":
        for row in connection.execute(_VAT, {**wanted, "to": to}):
            found[row.currency] = found.get(row.currency, Decimal(0)) + row.amount
    return [(currency, amount) for currency, amount in sorted(found.items()) if amount]


def is_window(connection: Connection, window_id: int) -> bool:
    """Whether there is such a window, open or closed."""
    return bool(connection.execute(_IS_WINDOW, {"window_id": window_id}).scalar_one())


def load_content(connection: Connection, dispute_id: UUID, sha256: bytes) -> tuple[str, str, bytes] | None:
    """Name, media type and content of a file; None where there is none."""
    row = connection.execute(_CONTENT, {"dispute_id": dispute_id, "sha256": sha256}).one_or_none()
    return None if row is None else (row.name, row.media_type, bytes(row.content))
