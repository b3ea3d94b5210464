"""The evaluation as a page that needs nothing else, with pictures, and as a workbook."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from sqlalchemy import Connection

from settlement.reports.evaluation import Evaluation, read_evaluation
from settlement.reports.network import Picture, embed
from settlement.reports.pictures import BLUE, GREEN, GREY, ORANGE, SKY, as_svg, drawing, thousands
from settlement.reports.show import PAGES, write_whole
from settlement.reports.workbook import Cell, Column, Sheet, workbook

UNKNOWN = "\N{EN DASH}"


def write_evaluation(connection: Connection, on: date | None, directory: Path) -> list[Path]:
    """Write `_evaluation-<date>.html` and `.xlsx`.

    Args:
        connection: Read from only, as one snapshot.
        on: The last business date to count; by default the last that is closed.
        directory: Where to.
    Raises:
        NothingToReport: nothing was bought until then.
    """
    found = read_evaluation(connection, on)
    directory.mkdir(parents=True, exist_ok=True)
    base = f"_evaluation-{found.on}"  # no participant's code begins so
    return [
        write_whole(directory / f"{base}.html", _page(found)),
        write_whole(directory / f"{base}.xlsx", _workbook(found)),
    ]


def percent(part: Fraction | Decimal | None) -> str:
    """A part as per cent with one decimal; a dash where it is not known."""
    return UNKNOWN if part is None else f"{100 * float(part):.1f} %"


def _page(found: Evaluation) -> bytes:
    template = PAGES.get_template("evaluation.html.j2")
    pictures = {
        "months": Picture(
            title="Members who buy",
            source=embed(draw_months(found)),
            says="Who bought in each month: for the first time, and again; and what they spent.",
        ),
        "retention": Picture(
            title="Who comes back",
            source=embed(draw_retention(found)),
            says="Of the members who first bought in a month, the part that bought so many months later.",
        ),
        "tenths": Picture(
            title="Where spending comes from",
            source=embed(draw_tenths(found)),
            says="Members by what they spent in the last twelve months, a tenth of them each.",
        ),
    }
    return template.render(found=found, pictures=pictures, percent=percent).encode()


def draw_months(found: Evaluation) -> bytes:
    """New members and those who came back, month by month, above what they spent."""
    places = list(range(len(found.months)))
    with drawing((15, 6)) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.4, 1])
        again = [one.members - one.new for one in found.months]
        above.bar(places, again, color=BLUE, label="bought before", width=0.65)
        above.bar(
            places,
            [one.new for one in found.months],
            bottom=again,
            color=SKY,
            label="for the first time",
            width=0.65,
        )
        above.set_ylabel("members")
        above.yaxis.set_major_formatter(thousands())
        above.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
        below.bar(
            places, [float(found.major(one.spent_minor)) for one in found.months], color=GREEN, width=0.65
        )
        below.set_xticks(places, [f"{one.month:%Y-%m}" for one in found.months])
        below.set_ylabel(f"spent, {found.currency}")
        below.yaxis.set_major_formatter(thousands())
        for axes in (above, below):
            axes.grid(visible=False, axis="x")
        return as_svg(figure)


def draw_retention(found: Evaluation) -> bytes:
    """Cohorts in rows, months since in columns, the part that bought in colour and in figures."""
    cohorts = found.cohorts
    columns = max((len(one.stayed) for one in cohorts), default=1)
    with drawing((15, 0.42 * max(len(cohorts), 1) + 1.4)) as figure:
        axes = figure.subplots()
        shades = np.full((max(len(cohorts), 1), columns), np.nan)
        for row, one in enumerate(cohorts):
            for column, part in enumerate(one.stayed):
                shades[row, column] = float(part)
        axes.imshow(shades, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
        for row, one in enumerate(cohorts):
            for column, part in enumerate(one.stayed):
                ink = "white" if float(part) > 0.7 else "#1b1f24"
                axes.text(
                    column, row, f"{100 * float(part):.0f}", ha="center", va="center", size=9, color=ink
                )
        axes.set_yticks(range(len(cohorts)), [f"{one.first:%Y-%m}  ({one.members:,})" for one in cohorts])
        _name_months(axes, columns)
        return as_svg(figure)


def _name_months(axes: Axes, columns: int) -> None:
    axes.set_xticks(range(columns), [str(column) for column in range(columns)])
    axes.set_xlabel("months after the first purchase; figures are %")
    axes.set_ylabel("first bought in (members)")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def draw_tenths(found: Evaluation) -> bytes:
    """The part of all spending that each tenth of the members makes up."""
    total = sum(one.spent_minor for one in found.tenths) or 1
    with drawing((15, 3.6)) as figure:
        axes = figure.subplots()
        parts = [100 * one.spent_minor / total for one in found.tenths]
        bars = axes.bar([one.tenth for one in found.tenths], parts, color=ORANGE, width=0.7)
        axes.bar_label(bars, [f"{part:.0f} %" for part in parts], color="#3a424b", size=9)
        axes.set_xticks([one.tenth for one in found.tenths])
        axes.axhline(10, color=GREY, lw=1, ls="--")
        axes.set_xlabel("tenths of the members: the first spent the most")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        axes.set_ylabel("of all spending")
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.15)
        return as_svg(figure)


def _workbook(found: Evaluation) -> bytes:
    """The figures as a workbook."""
    return workbook(
        f"Evaluation of {found.network}, {found.on}",
        datetime.combine(found.on, time(), UTC),
        [_months(found), _retention(found), _tenths(found), _surveys(found), _effects(found)],
    )


def _months(found: Evaluation) -> Sheet:
    lost = {one.month: one for one in found.lost}
    columns = [Column("Month", "date"), *(Column(t, "count") for t in ("Members", "New", "Purchases"))]
    columns += [Column(f"{t}, {found.currency}", "amount", 20) for t in ("Spent", "A purchase", "A member")]
    columns += [Column("Lost after it", "count")]
    rows: list[tuple[Cell, ...]] = [
        (
            *(one.month, one.members, one.new, one.purchases, found.major(one.spent_minor)),
            *(found.major(one.per_purchase), found.major(one.per_member)),
            lost[one.month].lost if one.month in lost else None,
        )
        for one in found.months
    ]
    return Sheet("Months", columns, rows)


def _retention(found: Evaluation) -> Sheet:
    widest = max((len(one.stayed) for one in found.cohorts), default=0)
    columns = [Column("First bought", "date"), Column("Members", "count")]
    columns += [Column(f"After {age}", "share", 9) for age in range(widest)]
    rows: list[list[Cell]] = []
    for one in found.cohorts:
        stayed: list[Cell] = [_rounded(part) for part in one.stayed]
        rows.append([one.first, one.members, *stayed, *[None] * (widest - len(stayed))])
    return Sheet("Retention", columns, rows)


def _rounded(part: Fraction) -> Decimal:
    return Decimal(round(part * 10_000)) / 10_000


def _tenths(found: Evaluation) -> Sheet:
    columns = [Column("Tenth", "count"), Column("Members", "count"), Column("Spent", "amount")]
    columns.append(Column("The least of it", "amount"))
    rows: list[tuple[Cell, ...]] = [
        (one.tenth, one.members, found.major(one.spent_minor), found.major(one.least)) for one in found.tenths
    ]
    return Sheet("Tenths", columns, rows)


def _surveys(found: Evaluation) -> Sheet:
    columns = [Column("Survey", width=24), Column("First answer", "date"), Column("Last", "date")]
    columns += [Column(t, "count") for t in ("Answers", "Promoters", "Passives", "Detractors")]
    columns += [Column("Score", "amount"), Column("Standard error", "amount")]
    rows: list[tuple[Cell, ...]] = [
        (
            *(one.name, one.first, one.last, one.promoter.answers.asked),
            *(one.promoter.answers.promoters, one.promoter.answers.passives),
            *(one.promoter.answers.detractors, one.promoter.score, one.promoter.error),
        )
        for one in found.surveys
    ]
    return Sheet("Surveys", columns, rows)


def _effects(found: Evaluation) -> Sheet:
    columns = [Column("Experiment", width=24), Column("From", "date"), Column("Days", "count")]
    columns += [Column(t, "count") for t in ("Members with it", "Members without")]
    columns += [Column(f"{t}, a member", "amount", 22) for t in ("Changed by", "At least", "At most")]
    rows: list[tuple[Cell, ...]] = [
        (
            *(one.experiment.name, one.experiment.starts_on, one.days),
            *(one.effect.treated.members, one.effect.control.members),
            *(found.major(each) for each in (one.effect.change, one.effect.low, one.effect.high)),
        )
        for one in found.compared
        if one.effect is not None
    ]
    return Sheet("Effects", columns, rows)
