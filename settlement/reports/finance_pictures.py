"""Pictures of what is out, as SVG: what it costs, when it ends, how much is redeemed, what netting saves.

Drawn from exact figures; floats are for drawing alone.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from matplotlib.ticker import FuncFormatter

from settlement.ifrs15 import Movement
from settlement.reports.liability import AGES, Outstanding, ageing
from settlement.reports.pictures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    SKY,
    as_svg,
    drawing,
    thousands,
)
from settlement.reports.rollforward import RollForward
from settlement.survival import spread

BANDS = (*(name for _, name in AGES), "later", "no expiry")
"""The bands of ageing, in order."""
_SHADES = ("#8a1c0b", ORANGE, "#e69f00", "#f0d264", SKY, BLUE, "#0b3d63", GREY)


def chances(outstanding: Outstanding) -> bytes:
    """The chance that a point is redeemed, by the days left to it, with two standard errors about it."""
    history = outstanding.histories[None]
    days = list(range(len(history.curve.chances)))
    line = [100 * float(one) for one in history.curve.chances]
    errors = [
        200 * float(spread([curve.chance(day) for curve in history.without])) if history.without else 0.0
        for day in days
    ]
    unseen = [day for day in days if history.curve.unseen(day)]
    with drawing((15, 4.6)) as figure:
        axes = figure.subplots()
        axes.fill_between(
            days,
            [max(0.0, at - error) for at, error in zip(line, errors, strict=True)],
            [min(100.0, at + error) for at, error in zip(line, errors, strict=True)],
            color=BLUE,
            alpha=0.2,
            lw=0,
            label="two standard errors",
        )
        axes.plot(days, line, color=BLUE, lw=2, label="chance to be redeemed")
        if unseen:
            axes.axvspan(unseen[0], days[-1], color=GREY, alpha=0.15, lw=0, label="never observed so far")
        axes.set_xlim(max(days[-1], 1), 0)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("days left until the point expires")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} %"))
        axes.legend(frameon=False, loc="upper right")
        return as_svg(figure)


def liabilities(outstanding: Outstanding, currency: str) -> bytes:
    """What each issuer's points cost if all are redeemed, and if those are that are expected to be."""
    plain: dict[int, Decimal] = {}
    expected: dict[int, Decimal] = {}
    errors: dict[int, float] = {}
    for one in outstanding.liabilities:
        if one.currency == currency and one.estimate.outstanding:
            plain[one.issuer_id] = plain.get(one.issuer_id, Decimal(0)) + one.plain
            expected[one.issuer_id] = expected.get(one.issuer_id, Decimal(0)) + one.expected
            of_curve, missed = (
                float(one.estimate.clustered * one.price),
                float(one.expected * outstanding.missed),
            )
            errors[one.issuer_id] = errors.get(one.issuer_id, 0.0) + (of_curve**2 + missed**2) ** 0.5
    drawn = sorted(plain, key=lambda issuer: plain[issuer])
    names = [outstanding.participants[issuer].name for issuer in drawn]
    with drawing((15, 0.55 * len(drawn) + 1.2)) as figure:
        axes = figure.subplots()
        places = range(len(drawn))
        bars = axes.barh(
            [place + 0.2 for place in places],
            [float(plain[issuer]) for issuer in drawn],
            height=0.36,
            color=SKY,
            label="if all are redeemed",
        )
        axes.bar_label(bars, [f" {plain[issuer]:,.2f}" for issuer in drawn], color="#3a424b", size=9)
        axes.barh(
            [place - 0.2 for place in places],
            [float(expected[issuer]) for issuer in drawn],
            height=0.36,
            color=BLUE,
            label="as expected, with one standard error",
            xerr=[
                [min(errors[issuer], float(expected[issuer])) for issuer in drawn],
                [errors[issuer] for issuer in drawn],
            ],
            ecolor=ORANGE,
            capsize=3,
        )
        axes.set_yticks(list(places), names)
        axes.set_xlabel(currency)
        axes.margins(x=0.12)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(thousands())
        axes.grid(visible=False, axis="y")
        axes.legend(frameon=False, loc="lower right")
        return as_svg(figure)


def ages(outstanding: Outstanding) -> bytes:
    """When points expire, issuer by issuer, as parts of what each has out."""
    bands = ageing(outstanding)
    issuers = sorted({issuer for issuer, _ in bands if sum(_of(bands, issuer)) > 0}, reverse=True)
    with drawing((15, 0.42 * len(issuers) + 1.4)) as figure:
        axes = figure.subplots()
        names = [outstanding.participants[issuer].name for issuer in issuers]
        left = [0.0] * len(issuers)
        for band, shade in zip(BANDS, _SHADES, strict=True):
            parts = [
                100 * bands.get((issuer, band), 0) / (sum(_of(bands, issuer)) or 1) for issuer in issuers
            ]
            if any(parts):
                axes.barh(names, parts, left=left, color=shade, height=0.7, label=_title(band))
            left = [at + part for at, part in zip(left, parts, strict=True)]
        axes.set_xlim(0, 100)
        axes.set_xlabel("% of the issuer's outstanding points")
        axes.grid(visible=False, axis="y")
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(BANDS))
        return as_svg(figure)


def _of(bands: Mapping[tuple[int, str], int], issuer: int) -> list[int]:
    return [points for (of, _), points in bands.items() if of == issuer]


def _title(band: str) -> str:
    return band if band in {"today", "later", "no expiry"} else f"within {band}"


def netting(months: Sequence[str], gross: Sequence[Decimal], paid: Sequence[Decimal], currency: str) -> bytes:
    """What was owed one by one each month, and what was paid with the hub between; both with charges."""
    with drawing((15, 4)) as figure:
        axes = figure.subplots()
        places = list(range(len(months)))
        for shift, amounts, colour, name in (
            (-0.2, gross, SKY, "owed one by one"),
            (0.2, paid, BLUE, "paid, netted every night"),
        ):
            bars = axes.bar(
                [place + shift for place in places],
                [float(one) for one in amounts],
                width=0.38,
                color=colour,
                label=name,
            )
            axes.bar_label(bars, [f"{one:,.0f}" for one in amounts], color="#3a424b", size=8.5)
        axes.set_xticks(places, list(months))
        axes.set_ylabel(currency)
        axes.yaxis.set_major_formatter(thousands())
        axes.grid(visible=False, axis="x")
        axes.set_xlim(-0.6, max(len(months), 6) - 0.4)  # a single month is no wall
        axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
        axes.margins(y=0.1)
        return as_svg(figure)


def deferred(line: RollForward, months: Sequence[str]) -> bytes:
    """Deferred revenue: what was allocated, what became revenue and why, what is left at a month's end."""
    parts: tuple[tuple[str, str, int, str], ...] = (
        ("allocated", "allocated to points", 1, SKY),
        ("recognised", "redeemed", -1, BLUE),
        ("lapsed", "lapsed", -1, GREY),
        ("catch_up", "new estimate", -1, ORANGE),
    )
    with drawing((15, 4.6)) as figure:
        axes = figure.subplots()
        places = list(range(len(months)))
        above, below = [0.0] * len(months), [0.0] * len(months)
        for name, title, sign, colour in parts:
            amounts = [sign * float(line.major(_field(one, name))) for one in line.months]
            starts = [above[place] if amount >= 0 else below[place] for place, amount in enumerate(amounts)]
            axes.bar(places, amounts, bottom=starts, width=0.6, color=colour, label=title)
            for place, amount in enumerate(amounts):
                if amount >= 0:
                    above[place] += amount
                else:
                    below[place] += amount
        closing = [float(line.major(one.closing)) for one in line.months]
        axes.plot(places, closing, color=GREEN, lw=2, marker="o", ms=4, label="liability at the end")
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set_xticks(places, list(months))
        axes.set_xlim(-0.6, max(len(months), 6) - 0.4)
        axes.set_ylabel(line.currency)
        axes.yaxis.set_major_formatter(thousands())
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return as_svg(figure)


def _field(movement: Movement, name: str) -> int:
    value: int = getattr(movement, name)
    return value
