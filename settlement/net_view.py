"""How `tessera net` looks in a terminal."""

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settlement.net_file import CurrencyNet, Faults

SHOWN = 200
"""Rows of a table that are drawn: nobody reads more, and drawing thousands takes long."""


def render(nets: Sequence[CurrencyNet]) -> Group:
    """Gross, bilateral nets, multilateral positions and payments, for each currency."""
    return Group(*(part for net in nets for part in _currency(net)))


def render_faults(faults: Faults, name: str) -> Group:
    """Every bad line, as `name:line: problem`; print it with soft_wrap, so that lines stay whole."""
    lines = [Text(f"{name}:{one.line}: {one.problem}") for one in faults.faults]
    count = len(lines)
    return Group(*lines, Text(f"{count} problem{'' if count == 1 else 's'}: nothing was netted"))


def _currency(net: CurrencyNet) -> list[RenderableType]:
    return [
        Text(f"\n{net.currency}: {net.lines} debts", style="bold"),
        _totals(net),
        _nets(net),
        _positions(net),
        _payments(net),
    ]


def _totals(net: CurrencyNet) -> Table:
    table = _table("What is to be paid", ("", "left"), (net.currency, "right"), ("of gross", "right"))
    for name, amount in (
        ("gross, debt by debt", net.gross),
        ("bilateral, pair by pair", net.bilateral),
        ("multilateral, through the hub", net.multilateral),
    ):
        table.add_row(name, _money(amount, net.scale), _share(amount, net.gross))
    return table


def _nets(net: CurrencyNet) -> Table:
    table = _table("Bilateral nets", ("debtor", "left"), ("creditor", "left"), (net.currency, "right"))
    for debtor, creditor, amount in net.nets[:SHOWN]:
        table.add_row(Text(debtor), Text(creditor), _money(amount, net.scale))
    return _cut(table, len(net.nets))


def _positions(net: CurrencyNet) -> Table:
    table = _table(
        "Positions (+ receives, - pays)", ("participant", "left"), ("exact", "right"), ("rounded", "right")
    )
    for one in net.positions[:SHOWN]:
        table.add_row(
            Text(one.participant), _signed(one.exact, net.scale), _signed(one.final, net.minor_digits)
        )
    return _cut(table, len(net.positions))


def _payments(net: CurrencyNet) -> Table:
    table = _table("Payments", ("from", "left"), ("to", "left"), (net.currency, "right"))
    for party, amount in net.pay_in[:SHOWN]:
        table.add_row(Text(party), "the hub", _money(amount, net.minor_digits))
    for party, amount in net.pay_out[:SHOWN]:
        table.add_row("the hub", Text(party), _money(amount, net.minor_digits))
    _cut(table, len(net.pay_in), "to the hub")
    _cut(table, len(net.pay_out), "from the hub")
    if not net.pay_in:
        table.add_row("nobody pays", "", "")
    else:
        table.add_section()
        table.add_row("paid in, and so out", "", _money(net.paid, net.minor_digits))
    return table


def _cut(table: Table, rows: int, which: str = "") -> Table:
    """Say how many rows of a long table are not shown."""
    if rows > SHOWN:
        table.add_row(f"and {rows - SHOWN:,} more {which}".rstrip() + ": --json has all")
    return table


def _table(title: str, *columns: tuple[str, str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="", min_width=60)
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    return table


def _money(amount: Decimal, scale: int) -> str:
    return f"{amount:,.{scale}f}"


def _signed(amount: Decimal, scale: int) -> str:
    return f"{amount:+,.{scale}f}" if amount else f"{Decimal(0):.{scale}f}"


def _share(amount: Decimal, gross: Decimal) -> str:
    """A share for the eye only, in whole percent."""
    return f"{amount * 100 / gross:.0f} %" if gross else ""
