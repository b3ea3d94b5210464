"""The roll-forward of deferred revenue, month by month and issuer by issuer (IFRS 15).

What was sold comes from the ledger, how much of a cohort will be redeemed from the history as it was known
at the end of each month. A point's selling price is an input: the issue price, unless another is given.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import msgspec
from sqlalchemy import Connection, text

from partners.model import Participant
from settlement.ifrs15 import (
    Allocation,
    CohortPeriod,
    EstimateImpossible,
    Movement,
    add_up,
    allocate,
    roll_forward,
)
from settlement.money import exactly, from_minor, minor_digits
from settlement.reports.cohorts import Cohort, Cohorts, Moved, left_after
from settlement.reports.read import read_participants
from settlement.survival import (
    ENOUGH_REDEMPTIONS,
    HORIZON,
    SPANS,
    Curve,
    Period,
    choose,
    fit,
    forecasts,
    recent,
)

_TERMS = text("SELECT partner_id, terms_version, currency, issue_price FROM contract_terms")


class RollForward(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer's deferred revenue in one currency: a movement per month."""

    issuer_id: int
    currency: str
    months: Sequence[Movement]

    def major(self, minor: int) -> Decimal:
        """Minor units as an exact amount."""
        return from_minor(minor, minor_digits(self.currency))

    def over(self, first: int, last: int) -> Movement:
        """Several months as one, by their places, both included."""
        return span(self.months[first : last + 1])


class RollForwards(msgspec.Struct, frozen=True, kw_only=True):
    """Every issuer's roll-forward over the same months."""

    participants: Mapping[int, Participant]
    months: Sequence[date]
    issuers: Sequence[RollForward]

    def total(self, currency: str) -> RollForward:
        """All issuers of a currency; issuer_id 0."""
        lines = [one.months for one in self.issuers if one.currency == currency]
        return RollForward(issuer_id=0, currency=currency, months=add_up(lines))


def span(months: Sequence[Movement]) -> Movement:
    """Movements that follow one another as one."""
    if not months:
        return Movement()
    flows = ("allocated", "recognised", "catch_up", "lapsed")
    return Movement(
        opening=months[0].opening,
        closing=months[-1].closing,
        **{name: sum(getattr(one, name) for one in months) for name in flows},
    )


@exactly
def read_roll_forwards(
    connection: Connection, cohorts: Cohorts, selling_price: Decimal | None = None
) -> RollForwards:
    """Roll deferred revenue forward over all months of a history.

    Args:
        connection: Read from only.
        cohorts: The history.
        selling_price: What a point sells for by itself, in major units; by default its issue price.
    """
    terms = {(row.partner_id, row.terms_version): row for row in connection.execute(_TERMS)}
    curves = _curves(cohorts)
    lives: dict[tuple[int, str], dict[tuple[int, int], list[_Life]]] = {}
    for cohort, moved in cohorts.moved.items():
        version = terms[cohort.issuer_id, cohort.terms_version]
        scale = Decimal(1).scaleb(minor_digits(version.currency))
        price = Fraction((selling_price if selling_price is not None else version.issue_price) * scale)
        of_issuer = lives.setdefault((cohort.issuer_id, version.currency), {})
        life = _live(cohorts, cohort, moved, curves)
        of_issuer.setdefault((cohort.issuer_id, cohort.terms_version), []).append(_Life(price, life))
    return RollForwards(
        participants=read_participants(connection),
        months=cohorts.months,
        issuers=[
            RollForward(
                issuer_id=issuer_id,
                currency=currency,
                months=add_up([line for alike in by_terms.values() for line in _roll(alike)]),
            )
            for (issuer_id, currency), by_terms in sorted(lives.items())
        ],
    )


class _Month(msgspec.Struct, frozen=True):
    """A cohort's month: what moved, and what is expected of those out at its end."""

    moved: Moved
    expected_later: Fraction


class _Life(msgspec.Struct, frozen=True):
    """A cohort's months, and what one of its points sells for, in minor units."""

    price: Fraction
    months: Sequence[_Month]


def _curves(cohorts: Cohorts) -> dict[date, dict[int | None, Curve]]:
    """What was known at the end of each month: of issuers with enough redemptions, and of all under None.

    Then, too, as much of the past spoke as had forecast best until then.
    """
    everybody = cohorts.periods()
    by_issuer = _periods_by_issuer(cohorts)
    made = {span: forecasts(everybody, span=span) for span in SPANS}
    found = {}
    for place, month in enumerate(cohorts.months, start=1):
        # a forecast is held against what came once all of its months are over
        best = choose({one: made[one][: max(0, place - HORIZON + 1)] for one in SPANS})
        span = cohorts.reach(place, best)
        curves: dict[int | None, Curve] = {None: _curve(everybody[:place], span)}
        first = 0 if span is None else max(0, place - span)
        for issuer_id, periods in by_issuer.items():
            counted = sum(
                cohorts.redemptions.get(one, {}).get(issuer_id, 0) for one in cohorts.months[first:place]
            )
            if counted >= ENOUGH_REDEMPTIONS:
                curves[issuer_id] = _curve(periods[:place], span)
        found[month] = curves
    return found


def _periods_by_issuer(cohorts: Cohorts) -> dict[int, list[Period]]:
    out = [cohorts.out(month) for month in cohorts.months]
    issuers = sorted({issuer for of_month in cohorts.flows.values() for issuer in of_month})
    return {
        issuer: [
            Period(flows=cohorts.flows.get(month, {}).get(issuer, ()), out=left.get(issuer, {}))
            for month, left in zip(cohorts.months, out, strict=True)
        ]
        for issuer in issuers
    }


def _curve(periods: Sequence[Period], span: int | None) -> Curve:
    all_of_it = fit(*recent(periods, None))
    return all_of_it if span is None else fit(*recent(periods, span), all_of_it)


def _live(
    cohorts: Cohorts,
    cohort: Cohort,
    moved: Mapping[date, Moved],
    curves: Mapping[date, Mapping[int | None, Curve]],
) -> list[_Month]:
    out = 0
    months = []
    for month in cohorts.months:
        of_month = moved.get(month, Moved())
        out += of_month.change
        known = curves[month]
        chance = known.get(cohort.issuer_id, known[None]).chance(
            left_after(cohort.expires_on, cohorts.end_of(month))
        )
        months.append(_Month(of_month, max(0, out) * _rounded(chance)))
    return months


def _roll(alike: Sequence[_Life]) -> list[list[Movement]]:
    """The cohorts of an issuer's terms, each for itself; or together, where one for itself makes no sense.

    Points that come back from a hold after their expiry go on under a later one: then fewer were issued in
    that cohort than were redeemed. Together they are right.
    """
    try:
        return [_roll_one(life) for life in alike]
    except EstimateImpossible:
        together = [
            _Month(
                Moved(
                    **{
                        name: sum(getattr(one.moved, name) for one in months)
                        for name in ("issued", "redeemed", "lapsed", "sales_minor")
                    }
                ),
                sum((one.expected_later for one in months), Fraction(0)),
            )
            for months in zip(*(life.months for life in alike), strict=True)
        ]
        return [_roll_one(_Life(alike[0].price, together))]


def _roll_one(life: _Life) -> list[Movement]:
    issued = redeemed = 0
    periods = []
    for month in life.months:
        issued, redeemed = issued + month.moved.issued, redeemed + month.moved.redeemed
        rate = (redeemed + month.expected_later) / issued if issued else Fraction(0)
        worth = month.moved.issued * rate * life.price
        periods.append(
            CohortPeriod(
                issued=month.moved.issued,
                redeemed=month.moved.redeemed,
                lapsed=month.moved.lapsed,
                allocated_minor=_allocate(month.moved.sales_minor, worth).points_minor,
                expected_later=month.expected_later,
            )
        )
    return roll_forward(periods)


def _allocate(sales_minor: int, worth: Fraction) -> Allocation:
    """As allocate; a month in which more came back than was sold takes the same part back."""
    if sales_minor < 0 and worth < 0:
        back = allocate(-sales_minor, -worth)
        return Allocation(-back.goods_minor, -back.points_minor)
    return allocate(max(0, sales_minor), max(Fraction(0), worth))


def _rounded(chance: Decimal) -> Fraction:
    """Six decimals are more than any history can tell of a chance, and keep fractions small."""
    return Fraction(int(chance.scaleb(6).to_integral_value()), 10**6)
