"""What the tables say, as frames: exact numbers in object columns, never coerced to floats."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from unicodedata import category

import msgspec
import pandas as pd
from sqlalchemy import Connection, Row, TextClause, text

from network.model import AccountKind, EntryKind
from partners.model import Participant
from settlement.model import NETTED_STATES, Obligation, Position
from settlement.money import from_minor, minor_digits
from settlement.reports.errors import NothingToReport

UNREADABLE = "\N{REPLACEMENT CHARACTER}"
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
    (AccountKind.STAKED, AccountKind.ACCEPTED): "redeemed",
    (AccountKind.ACCEPTED, AccountKind.MEMBER): "redemption reversed",
    (AccountKind.ACCEPTED, AccountKind.TRANSIT): "redemption reversed",
    (AccountKind.MEMBER, AccountKind.LAPSED): "lapsed",
    (AccountKind.VOUCHER, AccountKind.ACCEPTED): "redeemed",
    (AccountKind.VOUCHER, AccountKind.LAPSED): "lapsed",
    (AccountKind.MEMBER, AccountKind.VOUCHER): "turned into vouchers",
    (AccountKind.VOUCHER, AccountKind.MEMBER): "vouchers given back",
    (AccountKind.VOUCHER, AccountKind.TRANSIT): "vouchers given back",
    (AccountKind.MEMBER, AccountKind.HELD): "held",
    (AccountKind.TRANSIT, AccountKind.HELD): "held",
    (AccountKind.HELD, AccountKind.MEMBER): "hold released",
    (AccountKind.HELD, AccountKind.TRANSIT): "hold released",
    (AccountKind.MEMBER, AccountKind.STAKED): "staked",
    (AccountKind.STAKED, AccountKind.MEMBER): "stakes returned or won",
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
    EntryKind.AWARD: "awards",
    EntryKind.REFERRAL: "referrals",
    EntryKind.STAKE: "stakes",
    EntryKind.PAYOUT: "payouts of stakes",
    EntryKind.PLEDGE: "pledges made or ended",
    EntryKind.LOAD: "stored value loaded",
    EntryKind.SPEND: "stored value spent",
    EntryKind.REFUND: "stored value paid back",
    EntryKind.PLAN_MEMBERSHIP: "paid plans bought",
    EntryKind.PLAN_REFUND: "paid plans ended",
    EntryKind.VOUCHER: "vouchers made",
    EntryKind.VOUCHER_END: "vouchers ended unused",
}
"""Entry kinds as statements call them."""


NETTED = ", ".join(f"'{state}'" for state in NETTED_STATES)
_ACCEPTED, _DEFICIT = int(AccountKind.ACCEPTED), int(AccountKind.DEFICIT)
_DONATION = int(EntryKind.DONATION)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Cleared nights that follow one another, of one network. One night is the shortest of them."""

    first_window: int
    last_window: int
    first: date
    last: date
    nights: int
    closed_at: datetime
    network: str
    currency: str

    @property
    def windows(self) -> dict[str, object]:
        """The parameters by which queries are bound to it."""
        return {"first_window": self.first_window, "last_window": self.last_window}


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """A cleared window: which one, of which network and its currency; and its seal, where it has one."""

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

    @property
    def span(self) -> Span:
        """This night alone."""
        return Span(
            first_window=self.window_id,
            last_window=self.window_id,
            first=self.business_date,
            last=self.business_date,
            nights=1,
            closed_at=self.closed_at,
            network=self.network,
            currency=self.currency,
        )

    def major(self, minor: int) -> Decimal:
        """Minor units of the network's currency as an exact amount."""
        return major(minor, self.currency)


def major(minor: int, currency: str) -> Decimal:
    """Minor units of a currency as an exact amount."""
    return from_minor(minor, minor_digits(currency))


_NIGHT = text(
    """
    SELECT w.window_id, w.business_date, r.revision, r.state, w.opened_at, w.closed_at, n.name AS network,
        n.currency, s.tree_size AS sealed_postings, s.root, s.key_id
    FROM clearing_window w JOIN settlement_run r USING (window_id) LEFT JOIN window_seal s USING (window_id),
        network n
    WHERE w.window_id = :window_id AND w.closed_at IS NOT NULL AND r.state <> 'aborted'
    """
)
_WITHIN = "BETWEEN :first_window AND :last_window"
_SPAN = text(
    f"""
    SELECT min(w.window_id) AS first_window, max(w.window_id) AS last_window, min(w.business_date) AS first,
        max(w.business_date) AS last, count(*) AS nights, max(w.closed_at) AS closed_at, n.name AS network,
        n.currency
    FROM clearing_window w JOIN settlement_run r USING (window_id), network n
    WHERE r.state IN ({NETTED}) AND w.business_date BETWEEN :first AND :last
    GROUP BY n.name, n.currency
    """
)
_CATEGORIES = text("SELECT category, name FROM redemption_category")
_PARTICIPANTS = text("SELECT partner_id, code, name, kind, status FROM partner ORDER BY partner_id")
RUNS = f"(SELECT window_id, revision FROM settlement_run WHERE state IN ({NETTED}))"
"""Runs that live and are netted: at most one of each window."""
_POSITIONS = text(
    f"""
    SELECT participant_id, currency, sum(credits) AS credits, sum(debits) AS debits,
        sum(fee_minor)::bigint AS fee_minor, sum(vat_minor)::bigint AS vat_minor, sum(fee_base) AS fee_base,
        sum(vat_base) AS vat_base, (array_agg(carried_in ORDER BY window_id))[1] AS carried_in,
        sum(exact - carried_in) + (array_agg(carried_in ORDER BY window_id))[1] AS exact,
        sum(final_minor)::bigint AS final_minor,
        (array_agg(carried_out ORDER BY window_id DESC))[1] AS carried_out, sum(converted) AS converted,
        (array_agg(deferred_in_minor ORDER BY window_id))[1] AS deferred_in_minor,
        (array_agg(deferred_out_minor ORDER BY window_id DESC))[1] AS deferred_out_minor
    FROM net_position JOIN {RUNS} r USING (window_id, revision) WHERE window_id {_WITHIN}
    GROUP BY 1, 2 ORDER BY 1, 2
    """
)
_OBLIGATIONS = text(
    f"""
    SELECT flow, debtor_id, creditor_id, sum(points)::bigint AS points, sum(amount) AS amount, currency,
        category
    FROM obligation JOIN {RUNS} r USING (window_id, revision) WHERE window_id {_WITHIN}
    GROUP BY flow, debtor_id, creditor_id, currency, category
    ORDER BY debtor_id, creditor_id, flow COLLATE "C", currency, category
    """
)
_TOTALS = text(
    f"""
    SELECT debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms,
        sum(points)::bigint AS points, sum(postings)::bigint AS postings
    FROM window_total WHERE window_id {_WITHIN} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    """
)
# Postings of windows beside their entries: what is accepted, and is no redemption at a till; and deficits
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
    WHERE p.unit = 1 AND p.window_id {_WITHIN} AND (
        (p.debit, p.credit) = ({int(AccountKind.MEMBER)}, {_ACCEPTED})
            AND e.kind <> {int(EntryKind.REDEMPTION)}
        OR p.debit = {_ACCEPTED} AND o.kind = {_DONATION}
        OR p.debit = {_DEFICIT} AND e.kind = {int(EntryKind.MERGE)}
        OR p.credit = {_DEFICIT} AND t.kind = {int(EntryKind.MERGE)})
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    """
)
_ACTIVITY = text(
    f"""
    SELECT partner_id, kind, sum(entries)::bigint AS entries, sum(points)::bigint AS points,
        sum(amount_minor)::bigint AS amount_minor
    FROM window_activity WHERE window_id {_WITHIN} GROUP BY 1, 2 ORDER BY 1, 2
    """
)


def read_night(connection: Connection, window_id: int) -> Night:
    """A settled window, by its run that lives; those that were aborted have no part in any report.

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
    return {
        row.partner_id: Participant(**{**row._asdict(), "name": readable(row.name)})
        for row in connection.execute(_PARTICIPANTS)
    }


def readable(text: str) -> str:
    """A text as it looks: what would be unseen, or turn what stands beside it, is shown as a mark."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(UNREADABLE if category(one) in {"Cc", "Cf", "Co", "Cs"} else one for one in text)


def read_categories(connection: Connection) -> dict[int, str]:
    """Names of redemption categories; 0, for none, is not among them."""
    return {row.category: row.name for row in connection.execute(_CATEGORIES)}


def read_span(connection: Connection, first: date, last: date) -> Span:
    """The cleared nights of business dates from one to another, both included.

    Raises:
        NothingToReport: none of them has been cleared.
    """
    row = connection.execute(_SPAN, {"first": first, "last": last}).one_or_none()
    if row is None:
        raise NothingToReport(f"no night from {first} to {last} has been cleared: run `tessera clear` first")
    return Span(**row._asdict())


def read_positions(connection: Connection, span: Span) -> list[Position]:
    """Net positions, by participant id and currency: of several nights what they come to.

    What is carried or deferred in is the first night's, what goes out the last one's.
    """
    return [Position(**row._asdict()) for row in connection.execute(_POSITIONS, span.windows)]


def read_obligations(connection: Connection, span: Span) -> list[Obligation]:
    """Gross debts, by debtor, creditor, flow, currency and category."""
    return [Obligation(**row._asdict()) for row in connection.execute(_OBLIGATIONS, span.windows)]


def read_totals(connection: Connection, span: Span) -> pd.DataFrame:
    """Points by movement (MOVEMENTS, ACCEPTED), issuer and terms, acceptor and terms."""
    window = span.windows
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


def read_activity(connection: Connection, span: Span) -> pd.DataFrame:
    """Entries by partner and event (EVENTS), with points and sales in minor units."""
    activity = frame(connection, _ACTIVITY, span.windows)
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
