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
    owed = period.owed
    points = period.points
    outstanding = int(points["outstanding"].iloc[-1])
    peak = points["outstanding"].idxmax()
    ranked = sorted(
        (one for one in period.partners if one.issued),
        key=lambda one: one.redemption_rate or 0.0,
        reverse=True,
    )
    sums = period.nightly.sum().sort_values()
    most, least = int(sums.index[-1]), int(sums.index[0])
    rates = (
        f"{ranked[0].participant.name} saw the largest part of its points redeemed, "
        f"{ranked[-1].participant.name} the smallest. Points count for the partner that issued them, "
        "wherever they were spent."
        if ranked
        else "No points were issued."
    )
    return [
        Picture(
            title="Who owes whom",
            source=_embed(pictures.obligation_matrix(period)),
            says=f"Over the period {cents(owed.gross.total)} {period.currency} were owed one by one; set off "
            f"pair by pair {cents(owed.bilateral.total)} remain, and with the hub between all of them "
            f"{cents(owed.multilateral)}. Rows owe, columns are owed; what a partner owes itself lies on the "
            "diagonal and is in no total; fees are left out. Amounts from 10 up are rounded to whole units.",
        ),
        Picture(
            title="Net position per participant, night by night",
            source=_embed(pictures.net_positions(period)),
            says="Blue is received, orange is paid, after fees; each panel has its own scale, and in its "
            f"title the sum over the period in {period.currency}. "
            f"{period.participants[most].name} received most ({money(period.major(int(sums.iloc[-1])))}), "
            f"{period.participants[least].name} paid most ({money(period.major(-int(sums.iloc[0])))}). "
            "Every night's positions sum to 0.00.",
        ),
        Picture(
            title="Points issued, redeemed, expired and outstanding",
            source=_embed(pictures.points_over_time(period)),
            says=f"{whole(outstanding)} points are outstanding at the end; the most was "
            f"{whole(int(points['outstanding'].max()))} on {peak}. Points expire at the end of a month, "
            "all at once, so expiry comes in steps. Each panel has its own scale.",
        ),
        Picture(
            title="Redemption rate per partner",
            source=_embed(pictures.redemption_rates(period.partners)),
            says=rates,
        ),
    ]


def _sums(period: Period) -> dict[str, int]:
    names = ("sales_minor", "accruals", "issued", "redeemed", "lapsed", "outstanding", "accepted")
    return {name: sum(getattr(one, name) for one in period.partners) for name in names}


def _embed(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
