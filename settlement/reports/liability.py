"""What points that are out cost: the plain total, and what is expected to be redeemed, with its error.

Per issuer and terms version: outstanding x issue price; of that the issuer owes the part 1 - s, and the pool
holds the part s. Three statements, each one scan that groups in the database.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text

from partners.model import Participant
from settlement.money import ZERO, exactly
from settlement.reports.cohorts import Cohorts, read_cohorts
from settlement.reports.errors import NothingToReport
from settlement.reports.flows import CAUSE, FROM_OUT, IN_OUT, days_left
from settlement.reports.read import read_participants
from settlement.survival import (
    ENOUGH_REDEMPTIONS,
    GROUPS,
    OPEN_ENDED,
    SPANS,
    Cause,
    Curve,
    Estimate,
    Flow,
    Forecast,
    History,
    choose,
    entering,
    fit,
    forecasts,
    judge,
    learn,
    missed_by,
    spread,
)

AGES = ((0, "today"), (30, "30 days"), (60, "60 days"), (90, "90 days"), (180, "180 days"), (365, "a year"))
"""The bounds of ageing: days to the expiry, both ends of a band included."""

_AS_OF = text(
    """
    SELECT w.business_date, w.closed_at, n.name, n.currency FROM clearing_window w, network n
    WHERE CAST(:on AS date) IS NULL OR w.business_date <= :on ORDER BY w.window_id DESC LIMIT 1
    """
)
_FLOWS = text(
    f"""
    SELECT p.issuer_id, (p.member_id % {GROUPS})::int AS member_group, {days_left("w.business_date")} AS
    left_days,
        {CAUSE} AS cause, sum(p.points)::bigint AS points, count(*) AS postings
    FROM posting p JOIN clearing_window w USING (window_id)
    WHERE w.business_date BETWEEN :since AND :on AND p.unit = 1 AND {IN_OUT} <> {FROM_OUT} GROUP BY 1, 2, 3, 4
    """
)
_OUTSTANDING = text(
    f"""
    SELECT p.issuer_id, p.issuer_terms, (p.member_id % {GROUPS})::int AS member_group,
        {days_left("CAST(:on AS date)")} AS left_days,
        sum(CASE WHEN {IN_OUT} THEN p.points ELSE -p.points END)::bigint AS points
    FROM posting p JOIN clearing_window w USING (window_id)
    WHERE w.business_date <= :on AND p.unit = 1 AND {IN_OUT} <> {FROM_OUT} GROUP BY 1, 2, 3, 4
    """
)
_TERMS = text(
    """
    SELECT partner_id, terms_version, currency,
        CASE WHEN rate IS NULL THEN issue_price
            ELSE issue_price * funding_share + rate * (1 - funding_share) END AS issue_price,
        CASE WHEN rate IS NULL THEN funding_share ELSE 1 END AS funding_share
    FROM contract_terms LEFT JOIN (
        SELECT b.* FROM bought_out b JOIN stand_in s USING (partner_id)
        JOIN clearing_window w ON w.window_id = s.from_window_id WHERE w.business_date <= :on
    ) b USING (partner_id, terms_version)
    ORDER BY partner_id, terms_version
    """
)

_Out = dict[int, int]
_Key = tuple[int, int]


class Liability(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one issuer and terms version that are out, and what they cost, exact, in major units."""

    issuer_id: int
    terms_version: int
    currency: str
    price: Decimal
    funding_share: Decimal
    estimate: Estimate
    by_own_history: bool

    @property
    def plain(self) -> Decimal:
        """What they cost if all are redeemed."""
        return self.estimate.outstanding * self.price

    @property
    def of_issuer(self) -> Decimal:
        """The issuer's part of the plain total."""
        return self.plain * (1 - self.funding_share)

    @property
    def of_pool(self) -> Decimal:
        """The pool's part of the plain total: what it must hold."""
        return self.plain * self.funding_share

    @property
    def expected(self) -> Decimal:
        """What they cost if those are redeemed that are expected to be."""
        return self.estimate.expected * self.price


class Summed(msgspec.Struct, frozen=True, kw_only=True):
    """Liabilities of one currency together. Errors are of sums: what two issuers share does not cancel."""

    outstanding: int
    plain: Decimal
    of_issuers: Decimal
    of_pool: Decimal
    expected_points: Decimal
    points_error: Decimal
    expected: Decimal
    error: Decimal
    unseen: Decimal

    @property
    def released(self) -> Decimal:
        """What is not expected to be redeemed: breakage, in money."""
        return self.plain - self.expected


class Outstanding(msgspec.Struct, frozen=True, kw_only=True):
    """All points that are out at the end of a business date (of the open one: now).

    `left` has points by (issuer, days left after that date); `histories` what was learnt, by issuer, and of
    the network as a whole under None, from `since` on (None: from all). `forecasts` are those that were made
    from as much, by the month in which they begin.
    """

    network: str
    currency: str
    on: date
    is_open: bool
    participants: Mapping[int, Participant]
    liabilities: Sequence[Liability]
    left: Mapping[_Key, int]
    histories: Mapping[int | None, History]
    cohorts: Cohorts
    forecasts: Mapping[date, Forecast]
    since: date | None

    @property
    def missed(self) -> Decimal:
        """What forecasts of earlier months missed by, as a part of what they expected."""
        return missed_by(self.forecasts.values())

    @property
    def currencies(self) -> list[str]:
        """The currencies that liabilities are in, in order."""
        return sorted({one.currency for one in self.liabilities})

    def total(self, currency: str) -> Summed:
        """The liabilities in one currency."""
        return sum_up([one for one in self.liabilities if one.currency == currency])


@exactly
def sum_up(liabilities: Sequence[Liability]) -> Summed:
    """Liabilities as one. They must be in one currency, and from one reading."""
    points = [
        sum(column, ZERO) for column in zip(*(one.estimate.replicates for one in liabilities), strict=True)
    ]
    money = [
        sum(column, ZERO)
        for column in zip(
            *([point * one.price for point in one.estimate.replicates] for one in liabilities), strict=True
        )
    ]
    return Summed(
        outstanding=sum(one.estimate.outstanding for one in liabilities),
        plain=sum((one.plain for one in liabilities), ZERO),
        of_issuers=sum((one.of_issuer for one in liabilities), ZERO),
        of_pool=sum((one.of_pool for one in liabilities), ZERO),
        expected_points=sum((one.estimate.expected for one in liabilities), ZERO),
        points_error=spread(points),
        expected=sum((one.expected for one in liabilities), ZERO),
        error=spread(money),
        unseen=sum((one.estimate.unseen for one in liabilities), ZERO),
    )


@exactly
def read_outstanding(connection: Connection, on: date | None = None) -> Outstanding:
    """Read what is out, and judge how much of it will be redeemed.

    Args:
        connection: Read from only; one snapshot of it (REPEATABLE READ) makes all figures of one moment.
        on: The last business date to count; by default the open one, that is everything.
    Raises:
        NothingToReport: there is no window up to that date.
    """
    head = _head(connection, on)
    cohorts = read_cohorts(connection, head.business_date)
    periods = cohorts.periods()
    forecast = {span: forecasts(periods, span=span) for span in SPANS}
    span = choose(forecast)
    since = cohorts.first_of(span)
    flows, redemptions = _read_flows(connection, since, head.business_date)
    out, by_group = _read_out(connection, head.business_date)
    earlier = {} if since is None else {key: fit(*one) for key, one in cohorts.history().items()}
    histories = _learn(flows, by_group, redemptions, earlier)
    terms = {
        (row.partner_id, row.terms_version): row
        for row in connection.execute(_TERMS, {"on": head.business_date})
    }
    liabilities = [
        Liability(
            issuer_id=issuer_id,
            terms_version=version,
            currency=terms[issuer_id, version].currency,
            price=terms[issuer_id, version].issue_price,
            funding_share=terms[issuer_id, version].funding_share,
            estimate=judge(histories.get(issuer_id, histories[None]), left),
            by_own_history=issuer_id in histories,
        )
        for (issuer_id, version), left in sorted(out.items())
    ]
    return Outstanding(
        network=head.name,
        currency=head.currency,
        on=head.business_date,
        is_open=head.closed_at is None,
        participants=read_participants(connection),
        liabilities=liabilities,
        left=_by_issuer(out),
        histories=histories,
        cohorts=cohorts,
        forecasts={
            month: made
            for month, made in zip(cohorts.months, forecast[span], strict=False)
            if made is not None
        },
        since=since,
    )


def as_of(connection: Connection, on: date | None) -> date:
    """The last business date that has a window, up to a date; the open one by default.

    Raises:
        NothingToReport: there is none.
    """
    day: date = _head(connection, on).business_date
    return day


def _head(connection: Connection, on: date | None) -> Row[Any]:
    head = connection.execute(_AS_OF, {"on": on}).one_or_none()
    if head is None:
        raise NothingToReport(f"there is no window up to {on}: nothing was ever issued")
    return head


def _read_flows(
    connection: Connection, since: date | None, on: date
) -> tuple[dict[int, list[Flow]], dict[int, int]]:
    """What happened to points from a date on, by issuer; and how many redemptions there were.

    What was out before that comes in on the date.
    """
    flows: dict[int, list[Flow]] = {}
    redemptions: dict[int, int] = {}
    if since is not None:
        _, before = _read_out(connection, since - date.resolution)
        for issuer_id, by_group in before.items():
            flows[issuer_id] = [flow for group, left in by_group.items() for flow in entering(left, group)]
    for row in connection.execute(_FLOWS, {"since": since or date.min, "on": on}):
        cause: Cause = row.cause
        flows.setdefault(row.issuer_id, []).append(Flow(row.left_days, cause, row.points, row.member_group))
        if cause == "redeemed":
            redemptions[row.issuer_id] = redemptions.get(row.issuer_id, 0) + row.postings
    return flows, redemptions


def _read_out(connection: Connection, on: date) -> tuple[dict[_Key, _Out], dict[int, dict[int, _Out]]]:
    """Points out after a date by (issuer, terms) and days left; and by issuer, group and days left."""
    out: dict[_Key, _Out] = {}
    by_group: dict[int, dict[int, _Out]] = {}
    for row in connection.execute(_OUTSTANDING, {"on": on}):
        left = out.setdefault((row.issuer_id, row.issuer_terms), {})
        left[row.left_days] = left.get(row.left_days, 0) + row.points
        of_group = by_group.setdefault(row.issuer_id, {}).setdefault(row.member_group, {})
        of_group[row.left_days] = of_group.get(row.left_days, 0) + row.points
    return out, by_group


def _learn(
    flows: Mapping[int, Sequence[Flow]],
    by_group: Mapping[int, Mapping[int, Mapping[int, int]]],
    redemptions: Mapping[int, int],
    earlier: Mapping[int | None, Curve],
) -> dict[int | None, History]:
    """Histories of the issuers that have one of their own, and the network's under None."""
    groups = sorted({flow.group for of_issuer in flows.values() for flow in of_issuer})
    everybody: dict[int, _Out] = {}
    for of_issuer in by_group.values():
        for group, left in of_issuer.items():
            summed = everybody.setdefault(group, {})
            for days, points in left.items():
                summed[days] = summed.get(days, 0) + points
    everything = [flow for of_issuer in flows.values() for flow in of_issuer]
    histories: dict[int | None, History] = {None: learn(everything, everybody, groups, earlier.get(None))}
    for issuer_id in sorted(flows):
        if redemptions.get(issuer_id, 0) >= ENOUGH_REDEMPTIONS:
            histories[issuer_id] = learn(
                flows[issuer_id], by_group.get(issuer_id, {}), groups, earlier.get(issuer_id)
            )
    return histories


def _by_issuer(out: Mapping[_Key, Mapping[int, int]]) -> dict[_Key, int]:
    left: dict[_Key, int] = {}
    for (issuer_id, _), days in out.items():
        for number, points in days.items():
            left[issuer_id, number] = left.get((issuer_id, number), 0) + points
    return {key: points for key, points in left.items() if points}


def ageing(outstanding: Outstanding) -> dict[tuple[int, str], int]:
    """Points out by issuer and band of AGES: how long they have to live. Without expiry: "no expiry"."""
    bands: dict[tuple[int, str], int] = {}
    for (issuer_id, left), points in outstanding.left.items():
        band = (
            "no expiry"
            if left == OPEN_ENDED
            else next((name for most, name in AGES if left <= most), "later")
        )
        bands[issuer_id, band] = bands.get((issuer_id, band), 0) + points
    return bands
