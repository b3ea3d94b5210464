"""What the demo's ledger holds beside what the data says it must, and how that looks in the terminal.

The ledger's figures are read back from the database; none is counted by who sent it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from api.demo.dataset import COUPON_MINOR, MAY, SPRING, YEAR, Control, Shopping
from network.model import EntryKind
from network.service import load_rules
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
_MEMBERS = text("SELECT count(*) FROM member JOIN card USING (member_id)")
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
    """What came of a run: controls (the data's figure, the ledger's), and the refusals remembered."""

    controls: Sequence[Control]
    refusals: Mapping[str, int]
    pool_holds: Decimal
    pool_must_hold: Decimal

    def mismatches(self) -> list[str]:
        """Every figure that is not what it must be, named."""
        found = [
            f"{one.name}: the ledger has {shown(one.counted, is_money=one.is_money)}, "
            f"and it must be {shown(one.published, is_money=one.is_money)}"
            for one in self.controls
            if one.counted != one.published
        ]
        if self.pool_holds != self.pool_must_hold:
            found.append(f"the pool holds {self.pool_holds}, and it must hold {self.pool_must_hold}")
        return found


def read_outcome(
    connection: Connection,
    shopping: Shopping,
    dates: Sequence[date],
    refused_by_answers: Counter[str],
    period: Period,
) -> Outcome:
    """Compare the ledger with the data.

    Args:
        connection: Of the demo's schema, after the last night.
        shopping: The data.
        dates: Business dates that were replayed.
        refused_by_answers: Refusals as the partners were answered, by code.
        period: The nights as the reports see them.
    """
    refusals: dict[str, int] = {row.refusal: row.times for row in connection.execute(_REFUSALS)}
    nights = connection.execute(_NIGHTS).one()
    controls = [
        Control("members with a card", len(shopping.households), connection.execute(_MEMBERS).scalar_one()),
        *_entry_controls(connection, shopping, dates, sum(refusals.values())),
        Control("points issued", _points_due(connection, shopping, dates), _sum(period, "issued")),
        Control("refusals as partners were told", refused_by_answers.total(), sum(refusals.values())),
        Control("nights cleared", len(dates), nights.nights),
        Control("nights whose positions sum to 0.00", len(dates), nights.balanced),
    ]
    return Outcome(
        controls=controls,
        refusals=refusals,
        pool_holds=period.pool_holds,
        pool_must_hold=period.pool_must_hold,
    )


def _entry_controls(
    connection: Connection, shopping: Shopping, dates: Sequence[date], refused: int
) -> Iterable[Control]:
    """Accruals by how they were sent, and redemptions."""
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
    redemptions = connection.execute(_ENTRIES, {"kind": int(EntryKind.REDEMPTION)}).all()
    accepted = sum(row.entries for row in redemptions)
    coupons = sum(len(shopping.days[on].coupons) for on in dates)
    paid_minor = sum(row.amount_minor for row in redemptions)
    yield Control("coupons, accepted or refused", coupons, accepted + refused)
    yield Control("paid with points", accepted * COUPON_MINOR, paid_minor, is_money=True)


def _points_due(connection: Connection, shopping: Shopping, dates: Sequence[date]) -> int:
    """What the programme gives for the data's sales, added up without the ledger."""
    programme = load_rules(connection).programme
    return sum(
        programme.earn_rule(sale.partner_id).points_for(sale.amount_minor, on)
        for on in dates
        for sale in shopping.days[on].sales
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
    """The partners' table: points by their issuer, fees, and the sum of their nightly positions."""
    table = Table(
        title=f"Partners, {period.first} to {period.last}, {period.currency}",
        title_justify="left",
        title_style="bold",
        show_footer=True,
    )
    counts = {"issued": "issued", "redeemed": "redeemed", "expired": "lapsed"}
    amounts = {"fees": "fees_minor", "net position": "net_minor"}
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
