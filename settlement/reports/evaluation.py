"""What the scheme is worth: repeat buyers, retention, churn, value, answers, and what a control group shows.

Every figure is grouped in the database: what comes out is months, cohorts, tenths of the members and groups.
A purchase is a sale of more than nothing, in the network's currency and by its local date; spending is less
what was returned. A member who was merged into another is that other one.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from network.experiment import Experiment
from network.model import EntryKind
from settlement.evaluation import (
    QUIET_MONTHS,
    Bought,
    Cohort,
    Effect,
    Group,
    Month,
    NetPromoter,
    NothingToCompare,
    by_month,
    effect,
    expected_spending,
    net_promoter,
    retention,
)
from settlement.money import from_minor, minor_digits
from settlement.reports.cohorts import next_month
from settlement.reports.errors import NothingToReport

MOST_PURCHASES = 10
"""Members with so many purchases or more are counted as one group."""

_NETWORK = text("SELECT name, currency, time_zone FROM network")
_LAST = text("SELECT max(business_date) FROM clearing_window WHERE closed_at IS NOT NULL")
# One line a purchase or return. The partition key bounds nothing here: a report reads all there is.
_SALES = f"""
    SELECT coalesce(a.merged_into, e.member_id) AS member_id,
        timezone(:zone, e.occurred_at)::date AS bought_on,
        CASE WHEN e.kind = {int(EntryKind.ACCRUAL)} THEN 1 ELSE 0 END AS purchases,
        CASE WHEN e.kind = {int(EntryKind.ACCRUAL)} THEN e.amount_minor ELSE -e.amount_minor END AS spent
    FROM entry e JOIN account a ON a.member_id = e.member_id AND a.unit = 1
    LEFT JOIN entry o ON o.member_id = e.member_id AND o.entry_id = e.reverses
    WHERE e.currency = :currency AND e.amount_minor > 0 AND e.window_id <= :window_id
        AND (e.kind = {int(EntryKind.ACCRUAL)}
            OR e.kind = {int(EntryKind.REVERSAL)} AND o.kind = {int(EntryKind.ACCRUAL)})
"""
# A month in which a member only returned something is none in which it bought.
_MONTHLY = f"""
    WITH sale AS ({_SALES}), monthly AS (
        SELECT member_id, date_trunc('month', bought_on)::date AS month,
            sum(purchases)::bigint AS purchases, sum(spent)::bigint AS spent
        FROM sale GROUP BY 1, 2 HAVING sum(purchases) > 0
    )
"""
_COHORTS = text(
    f"""
    {_MONTHLY}, known AS (
        SELECT member_id, month, purchases, spent, min(month) OVER (PARTITION BY member_id) AS first
        FROM monthly
    )
    SELECT first, month, count(*) AS members, sum(purchases)::bigint AS purchases,
        sum(spent)::bigint AS spent_minor
    FROM known GROUP BY 1, 2 ORDER BY 1, 2
    """
)
_LOST = text(
    f"""
    {_MONTHLY}, followed AS (
        SELECT month, lead(month) OVER (PARTITION BY member_id ORDER BY month) AS next FROM monthly
    )
    SELECT month, count(*) AS members,
        count(*) FILTER (
            WHERE next IS NULL OR next > month + make_interval(months => {QUIET_MONTHS})
        ) AS lost
    FROM followed WHERE month + make_interval(months => {QUIET_MONTHS}) <= :through
    GROUP BY 1 ORDER BY 1
    """
)
_OFTEN = text(
    f"""
    WITH sale AS ({_SALES}), member AS (
        SELECT member_id, sum(purchases) AS purchases FROM sale
        WHERE bought_on >= :since AND purchases > 0 GROUP BY 1
    )
    SELECT least(purchases, {MOST_PURCHASES})::int AS purchases, count(*) AS members
    FROM member GROUP BY 1 ORDER BY 1
    """
)
_TENTHS = text(
    f"""
    WITH sale AS ({_SALES}), member AS (
        SELECT member_id, sum(spent)::bigint AS spent FROM sale WHERE bought_on >= :since
        GROUP BY 1 HAVING sum(purchases) > 0
    ), ranked AS (SELECT spent, ntile(10) OVER (ORDER BY spent DESC, member_id) AS tenth FROM member)
    SELECT tenth, count(*) AS members, sum(spent)::bigint AS spent_minor, min(spent) AS least
    FROM ranked GROUP BY 1 ORDER BY 1
    """
)
_SCORES = text(
    """
    SELECT survey, score, count(*) AS members, min(answered_on) AS first, max(answered_on) AS last
    FROM survey_answer WHERE answered_on <= :on GROUP BY 1, 2 ORDER BY 1, 2
    """
)
_EXPERIMENTS = text(
    "SELECT name, control_bps, starts_on, ends_on FROM experiment WHERE starts_on <= :on"
    " ORDER BY starts_on, name"
)
# The same draw as network.experiment makes; who was no member at the beginning is in neither group.
_GROUPS = text(
    f"""
    WITH sale AS ({_SALES}), changed AS (
        SELECT m.member_id,
            coalesce(sum(s.spent) FILTER (WHERE s.bought_on >= :starts_on), 0)::bigint AS after,
            coalesce(sum(s.spent) FILTER (WHERE s.bought_on < :starts_on), 0)::bigint AS before
        FROM member m JOIN account a ON a.member_id = m.member_id AND a.unit = 1 AND a.merged_into IS NULL
        LEFT JOIN sale s ON s.member_id = m.member_id
            AND s.bought_on BETWEEN :starts_on - :days AND :starts_on + :days - 1
        WHERE timezone(:zone, m.enrolled_at)::date < :starts_on
        GROUP BY 1
    )
    SELECT ('x' || left(encode(sha256(convert_to(:name || ':' || member_id, 'UTF8')), 'hex'), 8))
            ::bit(32)::bigint % 10000 < :control_bps AS control,
        count(*) AS members, sum(after - before)::bigint AS changed,
        sum((after - before)::numeric * (after - before)) AS squares, sum(before)::bigint AS before_minor
    FROM changed GROUP BY 1
    """
)


class Tenth(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the members, by what they spent in the last twelve months: 1 spent the most."""

    tenth: int
    members: int
    spent_minor: int
    least: int


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Of the members who bought in a month, how many bought nothing in the three months after it."""

    month: date
    members: int
    lost: int


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """A survey: when it was answered, how, and what it comes to."""

    name: str
    first: date
    last: date
    promoter: NetPromoter


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment so far: over how many days before and after, and what it shows, or why nothing."""

    experiment: Experiment
    days: int
    effect: Effect | None
    why_not: str = ""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All that the evaluation says, as of the last business date that counts."""

    network: str
    currency: str
    on: date
    through: date
    months: Sequence[Month]
    cohorts: Sequence[Cohort]
    lost: Sequence[Lost]
    often: Mapping[int, int]
    tenths: Sequence[Tenth]
    surveys: Sequence[Survey]
    compared: Sequence[Compared]

    def major(self, minor: int | Fraction | Decimal) -> Decimal:
        """Minor units as an amount, half-up to the currency's digits."""
        exact = Fraction(minor)
        return from_minor((2 * exact.numerator + exact.denominator) // (2 * exact.denominator), self.digits)

    @property
    def digits(self) -> int:
        """Decimals of the currency."""
        return minor_digits(self.currency)

    @property
    def members(self) -> int:
        """Who bought in the last twelve months."""
        return sum(self.often.values())

    @property
    def repeat_rate(self) -> Fraction:
        """The part of them that bought more than once."""
        if not self.members:
            return Fraction(0)
        return Fraction(sum(count for times, count in self.often.items() if times > 1), self.members)

    @property
    def churn(self) -> Fraction | None:
        """The part of a month's members that is lost, over the last twelve months that are known."""
        known = self.lost[-12:]
        members = sum(one.members for one in known)
        return Fraction(sum(one.lost for one in known), members) if members else None

    @property
    def expected(self) -> Fraction | None:
        """What a member who buys now is expected to spend, in minor units; None where it is not known."""
        whole = [one for one in self.months if one.month <= self.through][-12:]
        members = sum(one.members for one in whole)
        if self.churn is None or not members:
            return None
        monthly = Fraction(sum(one.spent_minor for one in whole), members)
        return expected_spending(1 - self.churn, monthly)


def read_evaluation(connection: Connection, on: date | None) -> Evaluation:
    """Read what the scheme is worth.

    Args:
        connection: Read from only, as one snapshot.
        on: The last business date to count; by default the last that is closed.
    Raises:
        NothingToReport: nothing was bought until then.
    """
    network = connection.execute(_NETWORK).one()
    last = connection.execute(_LAST).scalar_one()
    day: date | None = last if on is None else on
    if day is None:
        raise NothingToReport("no night has been cleared: run `tessera clear` first")
    given = {
        "zone": network.time_zone,
        "currency": network.currency,
        "window_id": int(f"{day:%Y%m%d}"),
        "since": _year_before(day),
    }
    cohorts = [Bought(**row._asdict()) for row in connection.execute(_COHORTS, given)]
    if not cohorts:
        raise NothingToReport(f"nothing was bought in {network.currency} up to {day}")
    through = _last_whole_month(day)
    return Evaluation(
        network=network.name,
        currency=network.currency,
        on=day,
        through=through,
        months=by_month(cohorts),
        cohorts=retention(cohorts, through),
        lost=[Lost(**row._asdict()) for row in connection.execute(_LOST, {**given, "through": through})],
        often={row.purchases: row.members for row in connection.execute(_OFTEN, given)},
        tenths=[Tenth(**row._asdict()) for row in connection.execute(_TENTHS, given)],
        surveys=_surveys(connection, day),
        compared=[
            _compare(connection, Experiment(**row._asdict()), day, given)
            for row in connection.execute(_EXPERIMENTS, {"on": day})
        ],
    )


def _year_before(day: date) -> date:
    """The first of the twelve months that end on a day."""
    return day - timedelta(days=364)


def _last_whole_month(day: date) -> date:
    """The first day of the last month that is over on a day."""
    month = day.replace(day=1)
    return (
        month if next_month(month) == day + timedelta(days=1) else (month - timedelta(days=1)).replace(day=1)
    )


def _surveys(connection: Connection, on: date) -> list[Survey]:
    found: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(_SCORES, {"on": on}):
        found.setdefault(row.survey, []).append(row)
    surveys = []
    for name, rows in found.items():
        promoter = net_promoter({row.score: row.members for row in rows})
        if promoter is not None:
            first, last = min(row.first for row in rows), max(row.last for row in rows)
            surveys.append(Survey(name=name, first=first, last=last, promoter=promoter))
    return surveys


def _compare(connection: Connection, made: Experiment, on: date, given: Mapping[str, object]) -> Compared:
    """An experiment over as many days before its beginning as have passed since."""
    days = (min(on, made.ends_on or on) - made.starts_on).days + 1
    wanted = {**given, "name": made.name, "control_bps": made.control_bps}
    rows = connection.execute(_GROUPS, {**wanted, "starts_on": made.starts_on, "days": days})
    nobody = Group(members=0, changed=0, squares=0, before_minor=0)
    groups = {
        row.control: Group(
            members=row.members,
            changed=row.changed,
            squares=int(row.squares),
            before_minor=row.before_minor,
        )
        for row in rows
    }
    try:
        shown = effect(groups.get(False, nobody), groups.get(True, nobody))
    except NothingToCompare as error:
        return Compared(experiment=made, days=days, effect=None, why_not=str(error))
    return Compared(experiment=made, days=days, effect=shown)
