"""What a closed window holds, summed by the database: postings by what prices them, entries by kind and day.

A closed window's rows never change, so these may be counted whenever they are asked for.
"""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Connection, text

from network.model import MONEY, PLAN_KINDS, EntryKind
from network.service import date_of_window
from partners.model import SAFEGUARD_ID
from settlement.model import Transactions, ValueTotal, WindowActivity, WindowTotal

# No bound on entry_id, though partitions go by it: ids carry the database's clock, opened_at and closed_at
# come from whoever closed, and a clock that was set back must not cost a posting. The index on window_id
# answers for each partition that has none. A SELECT, because PostgreSQL sums for no INSERT in parallel.
_SUM_POSTINGS = text(
    """
    SELECT debit, credit, issuer_id, issuer_terms, acceptor_id, acceptor_terms, category,
        reversed_window_id, sum(points)::bigint AS points, count(*) AS postings
    FROM posting WHERE window_id = :window_id AND unit = 1 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    """
)
_SAFEGUARDS = text("SELECT EXISTS (SELECT FROM partner WHERE partner_id = :safeguard)")
_SUM_VALUES = text(
    f"""
    SELECT unit, debit, credit, issuer_id, issuer_terms, acceptor_id, sum(points)::bigint AS minor,
        count(*) AS postings
    FROM posting WHERE window_id = :window_id AND unit IN ({", ".join(str(int(one)) for one in MONEY)})
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
    """
)
# Between these instants it is the window's date whatever clocks do at midnight.
_DAY = text(
    """
    SELECT time_zone, (CAST(:on AS timestamp) AT TIME ZONE time_zone) + interval '2 hours' AS first,
        (CAST(:on AS timestamp) + interval '1 day') AT TIME ZONE time_zone - interval '2 hours' AS last
    FROM network
    """
)
# One pass. Grouping by a date that is computed would make the planner expect as many groups as entries, and
# sum without workers; whether it is the window's date it takes for two groups. The other entries (late ones,
# those near midnight, and captures, whose day is their hold's) are few, and are gathered on the way.
_COUNT_ENTRIES = text(
    f"""
    WITH counted AS MATERIALIZED (
        SELECT partner_id, kind, occurred_at >= :first AND occurred_at < :last AS ordinary,
            count(*) AS entries, sum(points) AS points, sum(amount_minor) AS amount_minor,
            array_agg(occurred_at) FILTER (WHERE occurred_at < :first OR occurred_at >= :last) AS others,
            array_agg(member_id) FILTER (WHERE kind = {int(EntryKind.CAPTURE)}) AS members,
            array_agg(hold_id) FILTER (WHERE kind = {int(EntryKind.CAPTURE)}) AS holds
        FROM entry WHERE window_id = :window_id GROUP BY 1, 2, 3
    )
    SELECT partner_id, kind, NULL AS occurred_on, sum(entries)::bigint AS entries,
        sum(points)::bigint AS points, sum(amount_minor)::bigint AS amount_minor
    FROM counted GROUP BY 1, 2
    UNION ALL
    SELECT partner_id, kind, CAST(:on AS date), entries, 0, 0
    FROM counted WHERE ordinary AND kind IN ({int(EntryKind.ACCRUAL)}, {int(EntryKind.REDEMPTION)})
    UNION ALL
    SELECT partner_id, kind, (occurred_at AT TIME ZONE :time_zone)::date, count(*), 0, 0
    FROM counted, unnest(others) occurred_at
    WHERE kind IN ({int(EntryKind.ACCRUAL)}, {int(EntryKind.REDEMPTION)}) GROUP BY 1, 2, 3
    UNION ALL
    SELECT c.partner_id, c.kind, (h.occurred_at AT TIME ZONE :time_zone)::date, count(*), 0, 0
    FROM counted c, unnest(members, holds) AS capture (member_id, hold_id)
        JOIN entry h ON h.member_id = capture.member_id AND h.entry_id = capture.hold_id
    GROUP BY 1, 2, 3
    """
)
# A capture is a transaction of the day its hold was made on, whose terms its points have too.
_TRANSACTIONS = text(
    f"""
    SELECT window_id, partner_id, (occurred_at AT TIME ZONE n.time_zone)::date AS occurred_on,
        count(*) AS entries
    FROM network n, (
        SELECT window_id, partner_id, occurred_at FROM entry
        WHERE window_id = ANY(:window_ids)
            AND kind IN ({int(EntryKind.ACCRUAL)}, {int(EntryKind.REDEMPTION)})
        UNION ALL
        SELECT e.window_id, e.partner_id, h.occurred_at
        FROM entry e JOIN entry h ON h.member_id = e.member_id AND h.entry_id = e.hold_id
        WHERE e.window_id = ANY(:window_ids) AND e.kind = {int(EntryKind.CAPTURE)}
    ) e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
)


def sum_postings(connection: Connection, window_id: int) -> list[WindowTotal]:
    """A closed window's postings, summed by what prices them; in no order."""
    rows = connection.execute(_SUM_POSTINGS, {"window_id": window_id})
    return [WindowTotal(**row._asdict()) for row in rows]


def sum_values(
    connection: Connection, window_id: int, activity: Sequence[WindowActivity] | None = None
) -> list[ValueTotal]:
    """A window's postings that count money, summed; in order.

    Not looked for where there can be none: no network without a safeguarding account has stored value, and
    without an entry of one in `activity`, if it is known, there is no paid plan. So a night of points alone
    takes no time for it.
    """
    if activity is not None and not any(one.kind in PLAN_KINDS for one in activity):
        known = connection.execute(_SAFEGUARDS, {"safeguard": SAFEGUARD_ID}).scalar_one()
        if not known:
            return []
    return [ValueTotal(**row._asdict()) for row in connection.execute(_SUM_VALUES, {"window_id": window_id})]


def count_entries(connection: Connection, window_id: int) -> tuple[list[WindowActivity], list[Transactions]]:
    """A closed window's entries by partner and kind, and its transactions by the day they occurred.

    One pass over the entries; in no order. The transactions are those that `load_transactions` counts.
    """
    on = date_of_window(window_id)
    day = connection.execute(_DAY, {"on": on}).one()
    activity: list[WindowActivity] = []
    counted: dict[tuple[int, date], int] = {}
    for row in connection.execute(_COUNT_ENTRIES, {"window_id": window_id, "on": on, **day._asdict()}):
        if row.occurred_on is None:
            activity.append(
                WindowActivity(
                    partner_id=row.partner_id,
                    kind=row.kind,
                    entries=row.entries,
                    points=row.points,
                    amount_minor=row.amount_minor,
                )
            )
        else:
            key = (row.partner_id, row.occurred_on)
            counted[key] = counted.get(key, 0) + row.entries
    return activity, [
        Transactions(partner_id=partner_id, occurred_on=occurred_on, entries=entries)
        for (partner_id, occurred_on), entries in counted.items()
    ]


def load_transactions(connection: Connection, window_ids: Sequence[int]) -> dict[int, list[Transactions]]:
    """What partners are charged for by the piece in some windows, by the day it occurred.

    Counted from the entries whenever it is asked for: a closed window's never change.
    """
    found: dict[int, list[Transactions]] = {window_id: [] for window_id in window_ids}
    for row in connection.execute(_TRANSACTIONS, {"window_ids": list(window_ids)}):
        found[row.window_id].append(
            Transactions(partner_id=row.partner_id, occurred_on=row.occurred_on, entries=row.entries)
        )
    return found
