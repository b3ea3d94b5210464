"""The operator's report as of a business date: one page that needs nothing else, and a workbook."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from partners.model import OPERATOR_ID
from settlement.money import ZERO, exactly
from settlement.reports import finance_pictures as pictures
from settlement.reports import read
from settlement.reports.errors import NothingToReport
from settlement.reports.figures import Figures, read_figures
from settlement.reports.liability import Outstanding, ageing, read_outstanding
from settlement.reports.network import Picture, embed
from settlement.reports.night import Attention, find_exceptions
from settlement.reports.open_matters import find_open_matters
from settlement.reports.period import Period, read_period
from settlement.reports.read import Span, read_span
from settlement.reports.rollforward import RollForwards, read_roll_forwards
from settlement.reports.show import PAGES, cents, whole, write_whole
from settlement.reports.tables import MOVEMENTS, signed
from settlement.reports.workbook import Cell, Column, Sheet, workbook

_LAST_NETTED = text(
    f"""
    SELECT max(w.business_date) FROM clearing_window w JOIN {read.RUNS} r USING (window_id)
    WHERE CAST(:on AS date) IS NULL OR w.business_date <= :on
    """
)
_UNDONE = text(
    f"""
    SELECT w.business_date, coalesce(r.state, 'not closed') AS state, w.closed_at IS NOT NULL AS closed,
        s.window_id IS NOT NULL AS sealed, r.state IN ({read.NETTED}) AS netted
    FROM clearing_window w
    LEFT JOIN settlement_run r ON r.window_id = w.window_id AND r.state <> 'aborted'
    LEFT JOIN window_seal s ON s.window_id = w.window_id
    WHERE w.business_date <= :on AND w.closed_at IS NOT NULL
        AND (s.window_id IS NULL OR r.state IS NULL OR r.state NOT IN ({read.NETTED}))
    ORDER BY 1
    """
)
_ABORTED = text(
    """
    SELECT w.business_date, count(*) AS runs FROM settlement_run r JOIN clearing_window w USING (window_id)
    WHERE r.state = 'aborted' AND w.business_date BETWEEN :first AND :on GROUP BY 1 ORDER BY 1
    """
)
_SHOWN_NIGHTS = 5


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that the operator's report says."""

    span: Span
    period: Period
    figures: Figures
    outstanding: Outstanding
    lines: RollForwards
    attention: list[Attention]


def write_operator_pages(connection: Connection, on: date | None, directory: Path) -> list[Path]:
    """Write `_operator-<date>.html` and `.xlsx`: month and year to date as of the last netted night.

    Args:
        connection: Read from only, as one snapshot.
        on: The last business date to count; by default the last that was netted.
        directory: Where to.
    Raises:
        NothingToReport: no night was netted up to that date.
    """
    report = read_report(connection, on)
    directory.mkdir(parents=True, exist_ok=True)
    base = f"_operator-{report.span.last}"  # no participant's code begins so
    return [
        write_whole(directory / f"{base}.html", _page(report)),
        write_whole(directory / f"{base}.xlsx", _workbook(report)),
    ]


def read_report(connection: Connection, on: date | None) -> Report:
    """Read what the report says."""
    last = connection.execute(_LAST_NETTED, {"on": on}).scalar_one()
    if last is None:
        raise NothingToReport("no night has been cleared: run `tessera clear` first")
    first = last.replace(month=1, day=1)
    span = read_span(connection, first, last)
    outstanding = read_outstanding(connection, last)
    return Report(
        span=span,
        period=read_period(connection, first, last),
        figures=read_figures(connection, span, outstanding),
        outstanding=outstanding,
        lines=read_roll_forwards(connection, outstanding.cohorts),
        attention=list(_attention(connection, span)),
    )


def _attention(connection: Connection, span: Span) -> Iterator[Attention]:
    """What is undone or was done again, and last night's exceptions."""
    undone = connection.execute(_UNDONE, {"on": span.last}).all()
    for row in [one for one in undone if not one.netted]:
        yield Attention(str(row.business_date), f"is {row.state}, and not netted", wrong=True)
    unsealed = [row.business_date for row in undone if not row.sealed]
    if unsealed:
        which = f"{unsealed[0]}" if len(unsealed) == 1 else f"{unsealed[0]} to {unsealed[-1]}"
        yield Attention("seals", f"{len(unsealed)} nights are not sealed: {which}")
    for row in connection.execute(_ABORTED, {"first": span.first, "on": span.last}):
        yield Attention(str(row.business_date), f"was aborted and done again, {row.runs} times")
    night = read.read_night(connection, span.last_window)
    participants = read.read_participants(connection)
    yield from find_open_matters(connection, span.last, participants)
    yield from find_exceptions(
        connection,
        night,
        participants,
        read.read_positions(connection, night.span),
        read.read_obligations(connection, night.span),
    )


def _pictures(report: Report) -> dict[str, Picture]:
    outstanding, period = report.outstanding, report.period
    months = [f"{one.month:%Y-%m}" for one in report.figures.months]
    line = report.lines.total(period.currency)
    total = outstanding.total(period.currency)
    return {
        "netting": Picture(
            title="Gross against net",
            source=embed(
                pictures.netting(
                    months,
                    [one.owed.gross.total + one.charged for one in report.figures.months],
                    [one.paid for one in report.figures.months],
                    period.currency,
                )
            ),
            says="What participants would have paid one another each month, debt by debt, and what they paid"
            " with the hub between them; fees and VAT are in both.",
        ),
        "liabilities": Picture(
            title="What is outstanding costs",
            source=embed(pictures.liabilities(outstanding, period.currency)),
            says=f"If all of it is redeemed {cents(total.plain)} {period.currency}; as expected"
            f" {cents(total.expected)}. The error adds what the curve does not know and what forecasts"
            " of earlier months missed by.",
        ),
        "chances": Picture(
            title="How likely a point is redeemed",
            source=embed(pictures.chances(outstanding)),
            says="Of points with so many days left, the part that will be redeemed if they go as others did."
            f" {_unseen(total.unseen)}",
        ),
        "ages": Picture(
            title="When what is outstanding expires",
            source=embed(pictures.ages(outstanding)),
            says="Each issuer's outstanding points by the time left to them.",
        ),
        "deferred": Picture(
            title="Deferred revenue (IFRS 15)",
            source=embed(pictures.deferred(line, [f"{month:%Y-%m}" for month in report.lines.months])),
            says="Above zero what sales allocated to points, below it what became revenue, and the"
            " liability at each month's end.",
        ),
    }


def _unseen(points: Decimal) -> str:
    if not points:
        return "Every day of a point's life has been observed."
    return f"{whole(round(points))} outstanding points count as redeemed only because no lot is that old yet."


def _page(report: Report) -> bytes:
    currency = report.period.currency
    bands = _bands(report.outstanding)
    return (
        PAGES.get_template("operator.html.j2")
        .render(
            report=report,
            period=report.period,
            figures=report.figures,
            levels=("within", "near the cap", "close to the cap", "over the limit"),
            outstanding=report.outstanding,
            total=report.outstanding.total(currency),
            pictures=_pictures(report),
            bands=bands,
            band_names=[
                (place, name)
                for place, name in enumerate(pictures.BANDS)
                if any(row[place] for _, row in bands)
            ],
            line=report.lines.total(currency),
            months=[f"{month:%Y-%m}" for month in report.lines.months],
            movements=MOVEMENTS,
            signed=signed,
            operator=OPERATOR_ID,
        )
        .encode()
    )


def _bands(outstanding: Outstanding) -> list[tuple[int, list[int]]]:
    found = ageing(outstanding)
    issuers = sorted({issuer for issuer, _ in found})
    rows = [(issuer, [found.get((issuer, band), 0) for band in pictures.BANDS]) for issuer in issuers]
    return [row for row in rows if any(row[1])]


@exactly
def _workbook(report: Report) -> bytes:
    """The figures as a workbook; each sheet's last row of a currency is its sum."""
    return workbook(
        f"Operator's report of {report.span.network}, {report.span.last}",
        report.span.closed_at,
        [_positions(report), _liabilities(report), _ageing(report), _deferred(report), _debts(report)],
    )


def _positions(report: Report) -> Sheet:
    columns = [Column("Participant", width=18), Column("Currency", width=9)]
    names = ("night_minor", "month_minor", "year_minor", "month_charged_minor", "year_charged_minor")
    titles = ("Last night", "Month to date", "Year to date", "Fees and VAT, month", "Fees and VAT, year")
    columns += [Column(title, "amount") for title in titles]
    figures = report.figures
    rows: list[tuple[Cell, ...]] = [
        (
            figures.participants[one.participant_id].code,
            one.currency,
            *(one.major(getattr(one, name)) for name in names),
        )
        for one in figures.to_date
    ]
    rows += [
        ("all", currency, *(read.major(figures.total(currency, name), currency) for name in names))
        for currency in dict.fromkeys(one.currency for one in figures.to_date)
    ]
    return Sheet("Positions", columns, rows, frozenset(range(len(figures.to_date), len(rows))))


def _liabilities(report: Report) -> Sheet:
    columns = [Column("Issuer", width=18), Column("Terms", "count", 7), Column("Currency", width=9)]
    columns += [Column(title, "count") for title in ("Points out", "Expected", "Standard error", "Unseen")]
    columns += [Column("Price", "exact", 9), Column("Funding share", "exact", 9)]
    columns += [Column(title, "exact") for title in ("Plain", "Issuer's", "Pool's", "Expected cost")]
    out = report.outstanding
    rows: list[tuple[Cell, ...]] = [
        (
            *(
                out.participants[one.issuer_id].code,
                one.terms_version,
                one.currency,
                one.estimate.outstanding,
            ),
            *(round(one.estimate.expected), round(one.estimate.clustered), round(one.estimate.unseen)),
            *(one.price, one.funding_share, one.plain, one.of_issuer, one.of_pool, one.expected),
        )
        for one in out.liabilities
    ]
    first = len(rows)
    for currency in out.currencies:
        total = out.total(currency)
        rows.append(
            (
                *("all", None, currency, total.outstanding, round(total.expected_points)),
                *(round(total.points_error), round(total.unseen), None, None, total.plain),
                *(total.of_issuers, total.of_pool, total.expected),
            )
        )
    return Sheet("Liability", columns, rows, frozenset(range(first, len(rows))))


def _ageing(report: Report) -> Sheet:
    columns = [Column("Issuer", width=18), *(Column(band, "count", 12) for band in pictures.BANDS)]
    columns.append(Column("all", "count", 12))
    rows: list[tuple[Cell, ...]] = []
    sums = [0] * len(pictures.BANDS)
    for issuer, points in _bands(report.outstanding):
        sums = [one + more for one, more in zip(sums, points, strict=True)]
        rows.append((report.figures.participants[issuer].code, *points, sum(points)))
    rows.append(("all", *sums, sum(sums)))
    return Sheet("Ageing", columns, rows, frozenset({len(rows) - 1}))


def _deferred(report: Report) -> Sheet:
    columns = [Column("Issuer", width=18), Column("Currency", width=9), Column("Month", width=9)]
    columns += [Column(title, "amount") for title in MOVEMENTS]
    rows: list[tuple[Cell, ...]] = [
        (
            *(report.figures.participants[one.issuer_id].code, one.currency, f"{month:%Y-%m}"),
            *(one.major(minor) for minor in signed(movement)),
        )
        for one in report.lines.issuers
        for month, movement in zip(report.lines.months, one.months, strict=True)
    ]
    return Sheet("Deferred revenue", columns, rows)


def _debts(report: Report) -> Sheet:
    columns = [Column("Month", width=9), Column("Debtor", width=18), Column("Creditor", width=18)]
    columns += [Column("Gross", "exact"), Column("Net, pair by pair", "exact")]
    codes = {one.partner_id: one.code for one in report.figures.participants.values()}
    rows: list[tuple[Cell, ...]] = []
    for one in report.figures.months:
        pairs = sorted({*one.owed.gross.cells, *one.owed.bilateral.cells})
        rows += [
            (
                *(f"{one.month:%Y-%m}", codes[pair[0]], codes[pair[1]]),
                *(one.owed.gross.cells.get(pair, ZERO), one.owed.bilateral.cells.get(pair, ZERO)),
            )
            for pair in pairs
        ]
    return Sheet("Obligations", columns, rows)
