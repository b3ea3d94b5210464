"""How the operator's figures look in a terminal."""

from collections.abc import Sequence
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settlement.ifrs15 import Movement
from settlement.reports.errors import NothingToReport
from settlement.reports.liability import Liability, Outstanding, Summed
from settlement.reports.rollforward import RollForward, RollForwards
from settlement.reports.show import cents, whole


def show_liability(outstanding: Outstanding) -> Group:
    """Issuers and terms versions with points out, and the sum of each currency."""
    parts: list[RenderableType] = []
    for currency in outstanding.currencies:
        when = f"{outstanding.on}{', still open' if outstanding.is_open else ''}"
        table = _table(
            f"Points outstanding after {when}, {currency}",
            ("issuer, terms",),
            ("points", "plain", "issuer's", "pool's", "expected", "±"),
        )
        for one in outstanding.liabilities:
            if one.currency == currency and one.estimate.outstanding:
                table.add_row(*_liability(outstanding, one))
        table.add_section()
        table.add_row(*_summed(outstanding.total(currency)), style="bold")
        parts += [table, Text(_said(outstanding, currency))]
    return Group(*parts)


def _liability(outstanding: Outstanding, one: Liability) -> Sequence[str]:
    estimate = one.estimate
    name = f"{outstanding.participants[one.issuer_id].code} {one.terms_version}"
    return (
        *(
            name + ("" if one.by_own_history else " *"),
            whole(estimate.outstanding),
            cents(one.plain),
            cents(one.of_issuer),
        ),
        *(cents(one.of_pool), whole(round(estimate.expected)), whole(round(estimate.clustered))),
    )


def _summed(total: Summed) -> Sequence[str]:
    return (
        *("all", whole(total.outstanding), cents(total.plain), cents(total.of_issuers)),
        *(cents(total.of_pool), whole(round(total.expected_points)), whole(round(total.points_error))),
    )


def _said(outstanding: Outstanding, currency: str) -> str:
    total = outstanding.total(currency)
    said = (
        f"Those expected to be redeemed cost {currency} {cents(total.expected)} ± {cents(total.error)}: one"
        " standard error of the curve, members being independent."
    )
    if outstanding.missed:
        missed = total.expected * outstanding.missed
        since = f", learnt from {outstanding.since} on," if outstanding.since else ""
        said += (
            f" Forecasts of three months{since} missed by {outstanding.missed:.0%} so far:"
            f" {currency} {cents(missed)} more."
        )
    if total.unseen:
        said += f" {whole(round(total.unseen))} points count as redeemed only because no lot is that old yet."
    if any(not one.by_own_history for one in outstanding.liabilities):
        said += " * by the history of all: its own is short."
    return said


def show_roll_forward(lines: RollForwards, partner: str | None) -> Group:
    """Deferred revenue month by month: of one issuer, or of all together, by currency.

    Raises:
        NothingToReport: the issuer has none.
    """
    return Group(*(_roll_forward(lines, one) for one in chosen(lines, partner)))


def chosen(lines: RollForwards, partner: str | None) -> list[RollForward]:
    """One issuer's roll-forwards, or those of all issuers of each currency together.

    Raises:
        NothingToReport: the issuer has none.
    """
    if partner is None:
        return [lines.total(currency) for currency in sorted({one.currency for one in lines.issuers})]
    found = [one for one in lines.issuers if lines.participants[one.issuer_id].code == partner]
    if not found:
        raise NothingToReport(f"{partner!r} never issued a point")
    return found


def _roll_forward(lines: RollForwards, one: RollForward) -> Table:
    of = lines.participants[one.issuer_id].code if one.issuer_id else "all issuers"
    table = _table(f"Deferred revenue of {of}, {one.currency}", ("month",), MOVEMENTS)
    for month, movement in zip(lines.months, one.months, strict=True):
        table.add_row(f"{month:%Y-%m}", *_movement(one, movement))
    table.add_section()
    table.add_row("all", *_movement(one, one.over(0, len(one.months) - 1)), style="bold")
    return table


MOVEMENTS = ("opening", "allocated", "recognised", "catch-up", "lapsed", "closing")
"""The columns of a roll-forward; those that make the liability smaller are shown below zero."""


def signed(movement: Movement) -> tuple[int, ...]:
    """A movement as it adds up: opening and what follows come to closing."""
    return (
        *(movement.opening, movement.allocated, -movement.recognised, -movement.catch_up),
        *(-movement.lapsed, movement.closing),
    )


def _movement(one: RollForward, movement: Movement) -> list[str]:
    return [cents(one.major(minor)) for minor in signed(movement)]


def _table(title: str, words: Sequence[str], figures: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def part_of(part: Decimal, whole_of_it: Decimal) -> str:
    """A part in per cent; nothing of nothing."""
    return f"{part / whole_of_it:.1%}" if whole_of_it else ""
