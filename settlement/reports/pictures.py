"""Pictures of a period, as SVG: drawn from exact figures, in colours that the colour-blind tell apart.

Text becomes outlines, so that a picture looks alike wherever it is opened. Floats are for drawing alone.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from settlement.reports.matrix import Matrix
from settlement.reports.period import PartnerPeriod, Period

BLUE, ORANGE, GREEN, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#6b7480"
"""Okabe and Ito's colours, and a grey."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "tessera",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.parse_math": False,  # names are text: a dollar sign in one begins no formula
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e7eb",
    "xtick.color": "#3a424b",
    "ytick.color": "#3a424b",
}
MINUS = "\N{MINUS SIGN}"


def obligation_matrix(period: Period) -> bytes:
    """Who owes whom over the period, gross beside net, in whole units of the currency."""
    with drawing((15, 7.6)) as figure:
        left, right = figure.subplots(1, 2)
        codes = [period.participants[party].code for party in period.owed.parties]
        largest = max((abs(float(one)) for one in period.owed.gross.cells.values()), default=1.0)
        for axes, matrix, title in (
            (left, period.owed.gross, "Gross"),
            (right, period.owed.bilateral, "Net, pair by pair"),
        ):
            _draw_matrix(axes, matrix, period.owed.parties, codes, largest or 1.0)
            axes.set_title(f"{title}: {matrix.total:,.2f} {period.currency}", pad=12)
        return as_svg(figure)


def net_positions(period: Period) -> bytes:
    """What each participant has received (+) or paid (-) since the first night, a panel and a scale each."""
    columns = 5
    nights = as_numbers(period.nightly.index)
    shown = sorted(period.participants.keys() & set(period.nightly.columns))
    rows = -(-len(shown) // columns)
    with drawing((15, 2.4 * rows)) as figure:
        panels = figure.subplots(rows, columns, sharex=True, squeeze=False).ravel()
        for axes, participant_id in zip(panels, shown, strict=False):
            added = [float(period.major(int(minor))) for minor in period.nightly[participant_id].cumsum()]
            _draw_course(axes, nights, added)
            axes.set_title(f"{period.participants[participant_id].name}: {_signed(added[-1])}")
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        for place, axes in enumerate(panels[: len(shown)]):
            if place % columns == 0:
                axes.set_ylabel(period.currency)
            # the lowest panel of each column carries the dates
            axes.tick_params(labelbottom=place + columns >= len(shown))
        return as_svg(figure)


def points_over_time(period: Period) -> bytes:
    """What became of the points: outstanding at each night's end, and what moved in each night."""
    nights = as_numbers(period.points.index)
    with drawing((15, 9)) as figure:
        axes = figure.subplots(4, 1, sharex=True, height_ratios=[2.2, 1, 1, 1])
        axes[0].fill_between(nights, period.points["outstanding"].tolist(), color=BLUE, alpha=0.25, lw=0)
        axes[0].plot(nights, period.points["outstanding"].tolist(), color=BLUE, lw=2)
        axes[0].set_title("Outstanding at the end of each night")
        for panel, name, colour in zip(
            axes[1:], ("issued", "redeemed", "lapsed"), (GREEN, ORANGE, GREY), strict=True
        ):
            moved = period.points[name]
            panel.bar(nights, moved.tolist(), width=1.0, color=colour)
            title = "expired" if name == "lapsed" else name
            panel.set_title(f"{title.capitalize()} per night: {int(moved.sum()):,} in all")
        for panel in axes:
            panel.set_ylabel("points")
            from_zero(panel)
            panel.yaxis.set_major_formatter(thousands())
        date_axis(axes[-1])
        figure.align_ylabels()
        return as_svg(figure)


def redemption_rates(partners: Sequence[PartnerPeriod]) -> bytes:
    """How much of each partner's issued points was redeemed, anywhere in the network, in per cent."""
    drawn = sorted(
        ((100 * one.redeemed / one.issued, one) for one in partners if one.issued),
        key=lambda pair: (pair[0], -pair[1].participant.partner_id),
    )
    with drawing((15, 0.42 * len(drawn) + 1)) as figure:
        axes = figure.subplots()
        names = [one.participant.name for _, one in drawn]
        bars = axes.barh(names, [rate for rate, _ in drawn], color=BLUE, height=0.65)
        labels = [f" {rate:.1f} %  ({one.redeemed:,} of {one.issued:,})" for rate, one in drawn]
        axes.bar_label(bars, labels, color="#3a424b")
        least, most = (
            min((rate for rate, _ in drawn), default=0.0),
            max((rate for rate, _ in drawn), default=0.0),
        )
        # room for the labels; more returned than redeemed is a bar to the left
        axes.set_xlim(min(0.0, least * 1.25), max(1.0, most * 1.25))
        axes.set_xlabel("points redeemed, % of the points the partner issued")
        axes.grid(visible=False, axis="y")
        return as_svg(figure)


def _draw_matrix(
    axes: Axes, matrix: Matrix, parties: Sequence[int], codes: Sequence[str], largest: float
) -> None:
    """Debtors in rows, creditors in columns. Colour goes by the square root, so that small debts show too."""
    place = {party: index for index, party in enumerate(parties)}
    shades = np.full((len(parties), len(parties)), np.nan)
    for (debtor, creditor), amount in matrix.cells.items():
        if amount:
            shades[place[debtor], place[creditor]] = (abs(float(amount)) / largest) ** 0.5
    axes.imshow(shades, cmap="Blues", vmin=0, vmax=1.25)
    for (debtor, creditor), amount in matrix.cells.items():
        if amount:
            row, column = place[debtor], place[creditor]
            text = f"{amount:,.0f}" if abs(amount) >= 10 else f"{amount:,.2f}"
            ink = "white" if shades[row, column] > 0.8 else "#1b1f24"
            axes.text(column, row, text.replace("-", MINUS), ha="center", va="center", size=8.5, color=ink)
    axes.set_xticks(range(len(codes)), list(codes), rotation=45, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(codes)), list(codes))
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_ylabel("owes")
    axes.set_xlabel("is owed")
    axes.xaxis.set_label_position("top")
    axes.grid(visible=False)
    for edge in np.arange(-0.5, len(parties)):
        axes.axhline(edge, color="#e3e7eb", lw=0.7)
        axes.axvline(edge, color="#e3e7eb", lw=0.7)
    axes.spines[:].set_visible(False)


def from_zero(axes: Axes) -> None:
    """A scale from zero; where more was returned than moved, bars hang below it and are seen."""
    low, _ = axes.get_ylim()
    if axes.dataLim.ymin < 0:
        axes.axhline(0, color=GREY, lw=0.8)
    axes.set_ylim(bottom=low if axes.dataLim.ymin < 0 else 0)


def _draw_course(axes: Axes, nights: list[float], added: list[float]) -> None:
    """A line from night to night: blue above zero, orange below."""
    axes.fill_between(nights, [max(one, 0.0) for one in added], color=BLUE, alpha=0.3, lw=0, step="post")
    axes.fill_between(nights, [min(one, 0.0) for one in added], color=ORANGE, alpha=0.3, lw=0, step="post")
    axes.step(nights, added, where="post", color=BLUE if added[-1] >= 0 else ORANGE, lw=1.6)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(thousands())
    date_axis(axes, most=5)


def date_axis(axes: Axes, most: int = 12) -> None:
    """Few dates, without overlap."""
    locator = AutoDateLocator(minticks=3, maxticks=most)  # type: ignore[no-untyped-call] # matplotlib has no types here
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    axes.margins(x=0.01)


def as_numbers(dates: Iterable[date]) -> list[float]:
    """Dates as matplotlib counts them: days since 1970."""
    return [float(day) for day in np.array(list(dates), dtype="datetime64[D]").astype("int64")]


def thousands() -> FuncFormatter:
    """1,234 with a true minus sign."""
    return FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", MINUS))


def _signed(amount: float) -> str:
    return f"{amount:+,.2f}".replace("-", MINUS)


@contextmanager
def drawing(inches: tuple[float, float]) -> Iterator[Figure]:
    """A figure in the house style, for the length of a block."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=inches, layout="constrained")


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG; without a date, the same figures give the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
