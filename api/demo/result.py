"""What the demo's ledger holds beside what the purchases make it hold, and how that looks in the terminal.

Expected figures come from the data alone (api.demo.expected), the ledger's from its own tables by SQL.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec
from rich.box import SIMPLE_HEAVY
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from api.demo.dataset import COUPON_MINOR, MAY, SPRING, YEAR, Control, Shopping, enrolment_reference
from api.demo.expected import Expected
from network.model import AccountKind, EntryKind
from settlement.reports.period import Period

_ENTRIES = text(
    """
    SELECT w.business_date, count(*) AS entries, sum(e.amount_minor)::bigint AS amount_minor
    FROM entry e JOIN clearing_window w USING (window_id) WHERE e.kind = :kind GROUP BY 1
    """
)
_PARTS = {"January to April": SPRING, "May": MAY, "June and later": (MAY[1], YEAR[1])}
_REFUSALS = text(
    "SELECT refusal, count(*) AS times FROM idempotency WHERE refusal IS NOT NULL GROUP BY 1 ORDER BY 1"
)
_WANT_OF_POINTS = "insufficient_points"
"""The one refusal that the data brings about: a coupon of a household whose points do not last."""
_MEMBERS = text("SELECT count(*) FROM member JOIN card USING (member_id)")
_MOVED = text("SELECT debit, credit, sum(points)::bigint AS points FROM posting GROUP BY 1, 2 ORDER BY 1, 2")
_OUTSTANDING = text("SELECT coalesce(sum(remaining), 0)::bigint FROM lot")
_BALANCES = text(
    """
    SELECT e.reference, coalesce(a.balance, 0)::bigint AS balance
    FROM entry e LEFT JOIN account a USING (member_id) WHERE e.kind = :enrolment
    """
)
_NIGHTS = text(
    """
    SELECT count(*) AS nights, count(*) FILTER (WHERE total = 0) AS balanced FROM (
        SELECT window_id, sum(final_minor) AS total FROM net_position p
        WHERE revision = (SELECT max(revision) FROM settlement_run r WHERE r.window_id = p.window_id)
        GROUP BY window_id
    ) n
    """
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run: controls (the expected figure, the ledger's), and refusals by code.

    `refusals` are those the ledger remembers, `told` those that partners were answered; `report` are totals
    as the report states them.
    """

    controls: Sequence[Control]
    refusals: Mapping[str, int]
    told: Mapping[str, int]
    report: Sequence[Control]
    pool_holds: Decimal
    pool_must_hold: Decimal

    @property
    def refused(self) -> Mapping[str, int]:
        """Refusals by code, told or remembered: one that is not final is told, and then forgotten."""
        return dict(sorted((Counter(self.told) | Counter(self.refusals)).items()))

    def mismatches(self) -> list[str]:
        """Every figure that is not what it must be, named."""
        found = [
            f"{one.name}: the {source} has {shown(one.counted, is_money=one.is_money)}, "
            f"and it must be {shown(one.published, is_money=one.is_money)}"
            for source, controls in (("ledger", self.controls), ("report", self.report))
            for one in controls
            if one.counted != one.published
        ]
        found += [
            f"refused as {code}: {count:,}, and no purchase can be"
            for code, count in self.refused.items()
            if code != _WANT_OF_POINTS
        ]
        told, kept = (one.get(_WANT_OF_POINTS, 0) for one in (self.told, self.refusals))
        if told != kept:
            found.append(f"{told:,} coupons were answered with {_WANT_OF_POINTS}, the ledger has {kept:,}")
        if self.pool_holds != self.pool_must_hold:
            found.append(f"the pool holds {self.pool_holds}, and it must hold {self.pool_must_hold}")
        return found


def read_outcome(
    connection: Connection,
    shopping: Shopping,
    dates: Sequence[date],
    expected: Expected,
    told: Counter[str],
    period: Period,
) -> Outcome:
    """Compare the ledger with what the purchases make it.

    Args:
        connection: Of the demo's schema, after the last night.
        shopping: The data.
        dates: Business dates that were replayed.
        expected: What they must come to.
        told: Refusals as the partners were answered, by code.
        period: The nights as the reports see them.
    """
    refusals: dict[str, int] = {row.refusal: row.times for row in connection.execute(_REFUSALS)}
    nights = connection.execute(_NIGHTS).one()
    controls = [
        Control("members with a card", len(shopping.households), connection.execute(_MEMBERS).scalar_one()),
        *_accrual_controls(connection, shopping, dates),
        *_coupon_controls(connection, expected, refusals),
        *_point_controls(connection, expected),
        Control("nights cleared", len(dates), nights.nights),
        Control("nights whose positions sum to 0.00", len(dates), nights.balanced),
    ]
    return Outcome(
        controls=controls,
        refusals=refusals,
        told=told,
        report=[
            Control("points issued", expected.issued, _sum(period, "issued")),
            Control("points redeemed", expected.redeemed, _sum(period, "redeemed")),
            Control("points accepted", expected.redeemed, _sum(period, "accepted")),
            Control("points expired", expected.expired - expected.expired_last, _sum(period, "lapsed")),
            Control(
                "points outstanding",
                expected.outstanding + expected.expired_last,
                _sum(period, "outstanding"),
            ),
        ],
        pool_holds=period.pool_holds,
        pool_must_hold=period.pool_must_hold,
    )


def _accrual_controls(connection: Connection, shopping: Shopping, dates: Sequence[date]) -> Iterable[Control]:
    """Accruals and their sales, by how they were sent."""
    accruals = connection.execute(_ENTRIES, {"kind": int(EntryKind.ACCRUAL)}).all()
    for name, (first, end) in _PARTS.items():
        sales = [sale for on in dates if first <= on < end for sale in shopping.days[on].sales]
        found = [row for row in accruals if first <= row.business_date < end]
        if sales or found:
            yield Control(f"{name}, accruals", len(sales), sum(row.entries for row in found))
            yield Control(
                f"{name}, sales",
                sum(sale.amount_minor for sale in sales),
                sum(row.amount_minor for row in found),
                is_money=True,
            )


def _coupon_controls(
    connection: Connection, expected: Expected, refusals: Mapping[str, int]
) -> Iterable[Control]:
    """Coupons that a household had the points for, those it had not, and what was paid with them."""
    redemptions = connection.execute(_ENTRIES, {"kind": int(EntryKind.REDEMPTION)}).all()
    yield Control("coupons accepted", expected.accepted, sum(row.entries for row in redemptions))
    yield Control("coupons refused for want of points", expected.refused, refusals.get(_WANT_OF_POINTS, 0))
    yield Control(
        "paid with points",
        expected.accepted * COUPON_MINOR,
        sum(row.amount_minor for row in redemptions),
        is_money=True,
    )


def _point_controls(connection: Connection, expected: Expected) -> Iterable[Control]:
    """Points by what became of them, and household by household what is left."""
    moved = {(row.debit, row.credit): row.points for row in connection.execute(_MOVED)}
    member = AccountKind.MEMBER
    yield Control("points issued", expected.issued, moved.get((AccountKind.ISSUED, member), 0))
    yield Control("points redeemed", expected.redeemed, moved.get((member, AccountKind.ACCEPTED), 0))
    yield Control("points expired", expected.expired, moved.get((member, AccountKind.LAPSED), 0))
    yield Control("points outstanding", expected.outstanding, connection.execute(_OUTSTANDING).scalar_one())
    enrolled = connection.execute(_BALANCES, {"enrolment": int(EntryKind.ENROLMENT)})
    balances = {row.reference: row.balance for row in enrolled}
    yield Control(
        "households with the balance expected",
        len(expected.balances),
        sum(
            balances.get(enrolment_reference(household)) == points
            for household, points in expected.balances.items()
        ),
    )


def _sum(period: Period, name: str) -> int:
    return sum(getattr(one, name) for one in period.partners)


def print_controls(console: Console, title: str, headings: tuple[str, str], rows: Iterable[Control]) -> None:
    """A table of two figures side by side, and whether they are equal."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("total")
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_column("equal")
    for row in rows:
        table.add_row(
            row.name,
            shown(row.published, is_money=row.is_money),
            shown(row.counted, is_money=row.is_money),
            "[green]yes[/]" if row.published == row.counted else "[bold red]NO[/]",
        )
    console.print(table)


def print_partners(console: Console, period: Period) -> None:
    """The partners' table: points by their issuer (accepted: by who took them), fees, nets."""
    table = Table(
        title=f"Partners, {period.first} to {period.last}, {period.currency}",
        title_justify="left",
        title_style="bold",
        show_footer=True,
        box=SIMPLE_HEAVY,
        collapse_padding=True,
        pad_edge=False,  # so that a year fits a terminal of 80 columns
    )
    counts = {"issued": "issued", "redeemed": "redeemed", "expired": "lapsed", "accepted": "accepted"}
    amounts = {"fees": "fees_minor", "net": "net_minor"}
    table.add_column("partner", "all")
    for heading, name in counts.items():
        table.add_column(heading, shown(_sum(period, name)), justify="right")
    for heading, name in amounts.items():
        table.add_column(heading, shown(_sum(period, name), is_money=True), justify="right")
    for one in period.partners:
        table.add_row(
            one.participant.code,
            *(shown(getattr(one, name)) for name in counts.values()),
            *(shown(getattr(one, name), is_money=True) for name in amounts.values()),
        )
    console.print(table)


def shown(figure: int, *, is_money: bool = False) -> str:
    """A count, or minor units as an amount."""
    return f"{Decimal(figure).scaleb(-2):,.2f}" if is_money else f"{figure:,}"
