"""Points by cohort and month: those of one issuer, terms version and expiry share a life, and an estimate.

Two statements group the whole history in the database; what they give is small: cohorts x months, and days of
life x months.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, text

from network.model import WITH_ACTIVITY, AccountKind, EntryKind
from settlement.reports.flows import CAUSE, FROM_OUT, IN_OUT, days_left
from settlement.survival import OPEN_ENDED, Cause, Flow, Period

_COHORTS = text(
    f"""
    SELECT p.issuer_id, p.issuer_terms, p.expires_on, date_trunc('month', w.business_date)::date AS month,
        {CAUSE} AS cause,
        sum(CASE WHEN p.debit = {int(AccountKind.ACCEPTED)} THEN 0 ELSE p.points END)::bigint AS points,
        sum(CASE WHEN p.debit = {int(AccountKind.ACCEPTED)} THEN p.points ELSE 0 END)::bigint AS came_back,
        sum(CASE WHEN p.line = 1 AND e.partner_id = p.issuer_id AND e.kind = {int(EntryKind.ACCRUAL)}
                THEN e.amount_minor
            WHEN p.line = 1 AND e.kind = {int(EntryKind.REVERSAL)} AND p.credit = {int(AccountKind.ISSUED)}
                THEN -e.amount_minor
            ELSE 0 END)::bigint AS sales_minor
    FROM posting p JOIN clearing_window w USING (window_id)
    JOIN entry e ON e.member_id = p.member_id AND e.entry_id = p.entry_id
    WHERE w.business_date <= :on AND p.unit = 1 AND {IN_OUT} <> {FROM_OUT}
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    """
)
_FLOWS = text(
    f"""
    SELECT date_trunc('month', w.business_date)::date AS month, p.issuer_id,
        {days_left("w.business_date")} AS left_days, {CAUSE} AS cause,
        sum(p.points)::bigint AS points, count(*) AS postings
    FROM posting p JOIN clearing_window w USING (window_id)
    WHERE w.business_date <= :on AND p.unit = 1 AND {IN_OUT} <> {FROM_OUT} GROUP BY 1, 2, 3, 4
    """
)


class Cohort(NamedTuple):
    """Points that were issued under the same terms and end on the same day."""

    issuer_id: int
    terms_version: int
    expires_on: date


class Moved(msgspec.Struct, kw_only=True):
    """What happened to a cohort in a month: issued and sold less what was taken back; redeemed less
    returns."""

    issued: int = 0
    redeemed: int = 0
    lapsed: int = 0
    sales_minor: int = 0

    @property
    def change(self) -> int:
        """Of the points that are out."""
        return self.issued - self.redeemed - self.lapsed


class Cohorts(msgspec.Struct, frozen=True, kw_only=True):
    """A history by months, the first with anything to the one that `on` is in, without gaps.

    `moved` and `flows` go by month (its first day); flows by issuer, too. `redemptions` counts postings.
    """

    on: date
    months: Sequence[date]
    moved: Mapping[Cohort, Mapping[date, Moved]]
    flows: Mapping[date, Mapping[int, Sequence[Flow]]]
    redemptions: Mapping[date, Mapping[int, int]]

    def end_of(self, month: date) -> date:
        """The last day of a month that counts."""
        return min(self.on, next_month(month) - date.resolution)

    def out(self, month: date) -> dict[int, dict[int, int]]:
        """Points out at the end of a month, by issuer and days left after it."""
        found: dict[int, dict[int, int]] = {}
        for cohort, moved in self.moved.items():
            points = sum(one.change for at, one in moved.items() if at <= month)
            if points:
                left = left_after(cohort.expires_on, self.end_of(month))
                of_issuer = found.setdefault(cohort.issuer_id, {})
                of_issuer[left] = of_issuer.get(left, 0) + points
        return found

    def reach(self, place: int, span: int | None) -> int | None:
        """How many of the first `place` months the last `span` whole ones are; the one under way comes to
        them."""
        if span is None:
            return None
        under_way = place == len(self.months) and self.on < next_month(self.months[-1]) - date.resolution
        return span + under_way

    def first_of(self, span: int | None) -> date | None:
        """The first day of the last `span` whole months; None of all months there are."""
        reach = self.reach(len(self.months), span)
        return None if reach is None or reach >= len(self.months) else self.months[-reach]

    def history(self) -> dict[int | None, tuple[list[Flow], dict[int, int]]]:
        """All that ever happened and what is out now: by issuer, and of all under None."""
        last = self.out(self.months[-1])
        found: dict[int | None, tuple[list[Flow], dict[int, int]]] = {None: ([], merged(last.values()))}
        for of_month in self.flows.values():
            for issuer_id, flows in of_month.items():
                found.setdefault(issuer_id, ([], last.get(issuer_id, {})))[0].extend(flows)
                found[None][0].extend(flows)
        return found

    def periods(self) -> list[Period]:
        """The months as periods of the whole network."""
        return [
            Period(
                flows=[flow for of_issuer in self.flows.get(month, {}).values() for flow in of_issuer],
                out=merged(self.out(month).values()),
            )
            for month in self.months
        ]


def read_cohorts(connection: Connection, on: date) -> Cohorts:
    """Read the history up to a business date."""
    moved: dict[Cohort, dict[date, Moved]] = {}
    for row in connection.execute(_COHORTS, {"on": on}):
        of_cohort = moved.setdefault(Cohort(row.issuer_id, row.issuer_terms, row.expires_on), {})
        _add(of_cohort.setdefault(row.month, Moved()), row.cause, row.points, row.came_back)
        of_cohort[row.month].sales_minor += row.sales_minor
    flows: dict[date, dict[int, list[Flow]]] = {}
    redemptions: dict[date, dict[int, int]] = {}
    for row in connection.execute(_FLOWS, {"on": on}):
        of_issuer = flows.setdefault(row.month, {}).setdefault(row.issuer_id, [])
        of_issuer.append(Flow(row.left_days, row.cause, row.points))
        if row.cause == "redeemed":
            counted = redemptions.setdefault(row.month, {})
            counted[row.issuer_id] = counted.get(row.issuer_id, 0) + row.postings
    return Cohorts(
        on=on, months=_months(min(flows, default=on), on), moved=moved, flows=flows, redemptions=redemptions
    )


def _add(moved: Moved, cause: Cause, points: int, came_back: int) -> None:
    moved.redeemed -= came_back
    if cause == "issued":
        moved.issued += points
    elif cause == "taken_back":
        moved.issued -= points
    elif cause == "redeemed":
        moved.redeemed += points
    else:
        moved.lapsed += points


def left_after(expires_on: date, on: date) -> int:
    """Days that points have left after a date; OPEN_ENDED without an expiry."""
    return OPEN_ENDED if expires_on >= WITH_ACTIVITY else max(0, (expires_on - on).days)


def merged(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Several counts by the same keys as one."""
    found: dict[int, int] = {}
    for one in counts:
        for key, count in one.items():
            found[key] = found.get(key, 0) + count
    return found


def next_month(month: date) -> date:
    """The first day of the month after."""
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def _months(first: date, last: date) -> list[date]:
    months = [first.replace(day=1)]
    while next_month(months[-1]) <= last:
        months.append(next_month(months[-1]))
    return months
