"""The operator's figures to date: positions, debts, breakage and exposure of last night, month and year."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

import msgspec
from sqlalchemy import Connection, text

from network.caps import Exposure
from network.exposure_store import Move, read_exposures, read_moves
from network.service import load_rules, network_now
from partners.model import OPERATOR_ID, Participant
from settlement.model import Obligation
from settlement.money import ZERO, exactly
from settlement.reports import read
from settlement.reports.liability import Outstanding
from settlement.reports.matrix import Obligations, net_obligations
from settlement.reports.read import Span, major

_BY_DATE = text(
    f"""
    SELECT p.participant_id, p.currency, date_trunc('month', w.business_date)::date AS month,
        sum(p.final_minor)::bigint AS final_minor,
        sum(p.final_minor) FILTER (WHERE w.business_date = :on)::bigint AS last_minor,
        sum(p.fee_minor)::bigint AS fee_minor, sum(p.vat_minor)::bigint AS vat_minor,
        sum(greatest(p.final_minor, 0))::bigint AS paid_minor
    FROM net_position p JOIN {read.RUNS} r USING (window_id, revision)
    JOIN clearing_window w ON w.window_id = p.window_id
    WHERE w.business_date BETWEEN :first AND :on GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    """
)
_DEBTS = text(
    f"""
    SELECT date_trunc('month', w.business_date)::date AS month, o.flow, o.debtor_id, o.creditor_id,
        o.currency, o.category, sum(o.points)::bigint AS points, sum(o.amount) AS amount
    FROM obligation o JOIN {read.RUNS} r USING (window_id, revision)
    JOIN clearing_window w ON w.window_id = o.window_id
    WHERE w.business_date BETWEEN :first AND :on GROUP BY 1, 2, 3, 4, 5, 6
    """
)


_MOST_MOVES = 100


class ToDate(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's net in one currency, in minor units: last night, month to date, year to date."""

    participant_id: int
    currency: str
    night_minor: int = 0
    month_minor: int = 0
    year_minor: int = 0
    month_charged_minor: int = 0
    year_charged_minor: int = 0

    def major(self, minor: int) -> Decimal:
        """Minor units as an exact amount."""
        return major(minor, self.currency)


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """A month's debts in the network's currency: gross, netted once, and paid as every night was netted.

    `charged`: fees and VAT of all but the operator, which are no debts of points, and are paid with them.
    """

    month: date
    owed: Obligations
    charged: Decimal
    paid: Decimal


class Breakage(msgspec.Struct, frozen=True, kw_only=True):
    """What lapsed of an issuer's points: points, and the pool's money for them."""

    issuer_id: int
    month_points: int
    year_points: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as of a business date; `lapses` are the debts of lapsed points, month and year.

    `exposures` are as tills are tested against them now, at `exposed_at`; `warnings` the last moves up.
    """

    on: date
    participants: Mapping[int, Participant]
    to_date: Sequence[ToDate]
    months: Sequence[Month]
    breakage: Sequence[Breakage]
    lapses: Sequence[tuple[int, str, Decimal, Decimal]]
    exposures: Sequence[Exposure]
    warnings: Sequence[Move]
    exposed_at: datetime

    def total(self, currency: str, name: str) -> int:
        """A column's sum in one currency, minor units; of nets it is zero."""
        return sum(getattr(one, name) for one in self.to_date if one.currency == currency)


@exactly
def read_figures(connection: Connection, span: Span, outstanding: Outstanding) -> Figures:
    """Read figures to date.

    Args:
        connection: Read from only.
        span: The cleared nights of the year up to the date.
        outstanding: What is out after that date.
    """
    participants = read.read_participants(connection)
    wanted = {"first": span.first, "on": span.last}
    this_month = span.last.replace(day=1)
    sums: dict[tuple[int, str], ToDate] = {}
    paid: dict[date, int] = {}
    charges: dict[date, int] = {}
    for row in connection.execute(_BY_DATE, wanted):
        key = (row.participant_id, row.currency)
        before = sums.get(key, ToDate(participant_id=key[0], currency=key[1]))
        now = row.month == this_month
        charged = row.fee_minor + row.vat_minor
        sums[key] = ToDate(
            participant_id=key[0],
            currency=key[1],
            night_minor=before.night_minor + (row.last_minor or 0),
            month_minor=before.month_minor + (row.final_minor if now else 0),
            year_minor=before.year_minor + row.final_minor,
            month_charged_minor=before.month_charged_minor + (charged if now else 0),
            year_charged_minor=before.year_charged_minor + charged,
        )
        if row.currency == span.currency:
            paid[row.month] = paid.get(row.month, 0) + row.paid_minor
            # the operator's own row is the other side of everybody's
            charges[row.month] = charges.get(row.month, 0) + (0 if key[0] == OPERATOR_ID else charged)
    debts = list(connection.execute(_DEBTS, wanted))
    by_month: dict[date, list[Obligation]] = {}
    lapses: dict[tuple[int, str], list[Decimal]] = {}
    for row in debts:
        values = row._asdict()
        month = values.pop("month")
        if row.currency == span.currency:
            by_month.setdefault(month, []).append(Obligation(**values))
        if row.flow == "lapse":
            both = lapses.setdefault((row.creditor_id, row.currency), [ZERO, ZERO])
            both[1] += row.amount
            both[0] += row.amount if month == this_month else ZERO
    parties = sorted(participants)
    rules, now = load_rules(connection), network_now(connection)
    return Figures(
        on=span.last,
        participants=participants,
        to_date=list(sums.values()),
        months=[
            Month(
                month=month,
                owed=net_obligations(own, parties),
                charged=major(charges.get(month, 0), span.currency),
                paid=major(paid.get(month, 0), span.currency),
            )
            for month, own in sorted(by_month.items())
        ],
        breakage=_breakage(outstanding, span),
        lapses=[(party, currency, both[0], both[1]) for (party, currency), both in sorted(lapses.items())],
        exposures=read_exposures(connection, rules, rules.local_date(now)),
        warnings=[one for one in read_moves(connection, limit=_MOST_MOVES) if one.is_warning],
        exposed_at=now,
    )


def _breakage(outstanding: Outstanding, span: Span) -> list[Breakage]:
    month = span.last.replace(day=1)
    lapsed: dict[int, tuple[int, int]] = {}
    for cohort, moved in outstanding.cohorts.moved.items():
        of_month, of_year = lapsed.get(cohort.issuer_id, (0, 0))
        of_month += moved[month].lapsed if month in moved else 0
        of_year += sum(one.lapsed for at, one in moved.items() if span.first.replace(day=1) <= at <= month)
        lapsed[cohort.issuer_id] = (of_month, of_year)
    return [
        Breakage(issuer_id=issuer, month_points=both[0], year_points=both[1])
        for issuer, both in sorted(lapsed.items())
        if both[1]
    ]
