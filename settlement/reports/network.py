"""The network report: a period of nights in figures and pictures, one page that needs nothing else."""

import base64
from datetime import date
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from settlement.reports import pictures
from settlement.reports.period import Period, read_period
from settlement.reports.show import PAGES, cents, money, whole, write_whole


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A picture on the page: SVG inside an address, and a plain sentence that says what it shows."""

    title: str
    source: str
    says: str


def write_network_report(connection: Connection, first: date, last: date, path: Path) -> Period:
    """Write the report of business dates first to last (both included) as one self-contained HTML page.

    Returns:
        What it was made from.
    Raises:
        NothingToReport: no night of the period has been cleared.
    """
    period = read_period(connection, first, last)
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = {one.partner_id: one.code for one in period.participants.values()}
    page = PAGES.get_template("network.html.j2").render(
        period=period, codes=codes, pictures=draw(period), **_sums(period)
    )
    write_whole(path, page.encode())
    return period


def draw(period: Period) -> list[Picture]:
    """The report's pictures, each with its sentence."""
    return [
        Picture(
            title="Who owes whom",
            source=embed(pictures.obligation_matrix(period)),
            says=_say_owed(period),
        ),
        Picture(
            title="Net position per participant over the nights",
            source=embed(pictures.net_positions(period)),
            says=_say_positions(period),
        ),
        Picture(
            title="Points issued, redeemed, expired and outstanding",
            source=embed(pictures.points_over_time(period)),
            says=_say_points(period),
        ),
        Picture(
            title="Redemption rate per partner",
            source=embed(pictures.redemption_rates(period.partners)),
            says=_say_rates(period),
        ),
    ]


def _say_owed(period: Period) -> str:
    owed = period.owed
    return (
        f"Over the period {cents(owed.gross.total)} {period.currency} were owed. If netted once over the "
        f"period, {cents(owed.bilateral.total)} would remain pair by pair, and "
        f"{cents(owed.multilateral)} with the hub between all of them; every night was netted by itself. "
        "Rows owe, columns are owed. What a partner owes itself lies on the "
        "diagonal and is in no total; fees are left out. Amounts from 10 up are rounded to whole units."
    )


def _say_positions(period: Period) -> str:
    sums = period.nightly.sum().sort_values()
    least, most = (period.participants[int(sums.index[place])].name for place in (0, -1))
    unbalanced = int((period.nightly.sum(axis="columns") != 0).sum())
    return (
        "Each panel adds up what a participant has received (above zero) or paid (below) since the first "
        f"night, fees included, in {period.currency} and on a scale of its own; the sum stands in its title. "
        f"{most} received most, {money(period.major(int(sums.iloc[-1])))}; "
        f"{least} paid most, {money(period.major(-int(sums.iloc[0])))}. "
        + (
            f"On {unbalanced} nights the positions do not sum to 0.00."
            if unbalanced
            else "Every night's positions sum to 0.00."
        )
    )


def _say_points(period: Period) -> str:
    points = period.points
    outstanding, lapsed = points["outstanding"], points["lapsed"]
    expired = (
        f"Most points expired on {lapsed.idxmax()}: {whole(int(lapsed.max()))}."
        if lapsed.any()
        else "No points expired."
    )
    return (
        f"{whole(int(outstanding.iloc[-1]))} points are outstanding at the end; the most was "
        f"{whole(int(outstanding.max()))} on {outstanding.idxmax()}. {expired} "
        "Each panel has a scale of its own, from zero."
    )


def _say_rates(period: Period) -> str:
    rated = [(one.redeemed / one.issued, one.participant.name) for one in period.partners if one.issued]
    if not rated:
        return "No points were issued."
    return (
        f"Of the points of {max(rated)[1]} the largest part was redeemed, of those of {min(rated)[1]} the "
        "smallest. Points count for the partner that issued them, wherever they were spent; those issued "
        "late in the period have had little time."
    )


def _sums(period: Period) -> dict[str, int]:
    names = ("sales_minor", "accruals", "issued", "redeemed", "lapsed", "outstanding", "accepted")
    return {name: sum(getattr(one, name) for one in period.partners) for name in names}


def embed(svg: bytes) -> str:
    """A picture as an address, so that a page needs nothing else."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
