"""How `tessera net` looks in a terminal."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settlement.default import FEES, Ladder
from settlement.money import from_minor
from settlement.net_json import rounded_down
from settlement.net_report import CurrencyNet, DefaultNet
from settlement.set_off import SetOff
from settlement.table_file import Faults

SHOWN = 200
"""Rows of a table that are drawn: nobody reads more, and drawing thousands takes long."""

_RUNGS = ("deposit", "guarantee fund", "carry", "loss share")


def render(nets: Sequence[CurrencyNet], defaults: Sequence[DefaultNet] = ()) -> Group:
    """Gross, nets, positions, payments, circles and what a default does, for each currency."""
    by_currency = {one.currency: one for one in defaults}
    parts: list[RenderableType] = []
    for net in nets:
        parts += _currency(net)
        if net.currency in by_currency:
            parts += _default(by_currency[net.currency])
    return Group(*parts)


def render_faults(faults: Mapping[str, Faults]) -> Group:
    """Every bad line, as `file:line: problem`; print it with soft_wrap, so that lines stay whole."""
    lines = [
        Text(f"{name}:{one.line}: {one.problem}") for name, found in faults.items() for one in found.faults
    ]
    count = len(lines)
    return Group(*lines, Text(f"{count} problem{'' if count == 1 else 's'}: nothing was netted"))


def _currency(net: CurrencyNet) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(f"\n{net.currency}: {net.lines} debts", style="bold"),
        _totals(net),
        _nets(net),
        _positions(net),
        _payments(net),
    ]
    return parts if net.set_off is None else [*parts, *_circles(net, net.set_off)]


def _totals(net: CurrencyNet) -> Table:
    table = _table(
        "What is to be paid",
        *(("", "left"), (net.currency, "right"), ("of gross", "right"), ("payments", "right")),
    )
    rows = [
        ("gross, debt by debt", net.gross, net.pairs),
        ("bilateral, pair by pair", net.bilateral, len(net.nets)),
        (
            "multilateral, through the hub",
            net.multilateral,
            len(net.pay_in) + len(net.pay_out)
            if not net.fees
            else sum(1 for one in net.positions if one.claims),
        ),
    ]
    if net.set_off is not None:
        left = sum(net.set_off.left.values(), Decimal(0))
        rows.insert(2, ("set off in circles, no hub", left, len(net.set_off.left)))
    for name, amount, payments in rows:
        table.add_row(name, _money(amount, net.scale), _share(amount, net.gross), f"{payments:,}")
    if net.fees:
        table.add_section()
        table.add_row("fees and VAT", _money(net.fees, net.scale), "", "")
    return table


def _nets(net: CurrencyNet) -> Table:
    table = _table("Bilateral nets", ("debtor", "left"), ("creditor", "left"), (net.currency, "right"))
    for debtor, creditor, amount in net.nets[:SHOWN]:
        table.add_row(Text(debtor), Text(creditor), _money(amount, net.scale))
    return _cut(table, len(net.nets))


def _positions(net: CurrencyNet) -> Table:
    """With a column of their own for claims, where fees come on top."""
    columns = [("participant", "left"), ("exact", "right"), ("rounded", "right")]
    if net.fees:
        columns[1:2] = [("of claims", "right"), ("with fees", "right")]
    table = _table("Positions (+ receives, - pays)", *columns)
    for one in net.positions[:SHOWN]:
        claims = [_signed(one.claims, net.scale)] if net.fees else []
        figures = [*claims, _signed(one.exact, net.scale), _signed(one.final, net.minor_digits)]
        table.add_row(Text(one.participant), *figures)
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


def _circles(net: CurrencyNet, off: SetOff[str]) -> list[RenderableType]:
    struck = _table("Struck out, each owes the next", ("circle", "left"), (net.currency, "right"))
    for circle in off.circles[:SHOWN]:
        names = " > ".join((*circle.debtors, circle.debtors[0]))
        struck.add_row(Text(names), _money(circle.amount, net.scale))
    _cut(struck, len(off.circles))
    if not off.circles:
        struck.add_row("no circle is there", "")
    left = _table(
        "Left: every position as before, no debt larger, and no way to leave less",
        *(("debtor", "left"), ("creditor", "left"), ("before", "right"), ("left", "right")),
    )
    for (debtor, creditor), amount in list(off.left.items())[:SHOWN]:
        before = _money(off.before[debtor, creditor], net.scale)
        left.add_row(Text(debtor), Text(creditor), before, _money(amount, net.scale))
    return [struck, _cut(left, len(off.left))]


def _default(one: DefaultNet) -> list[RenderableType]:
    names = ", ".join(one.ladder.debtors)
    do = "does" if len(one.ladder.debtors) == 1 else "do"
    return [
        Text(f"\n{one.currency}: {names} {do} not pay", style="bold"),
        _ladder(one),
        _vector(one),
        _after(one),
        _unwinding(one),
    ]


def _ladder(one: DefaultNet) -> Table:
    ladder, digits = one.ladder, one.minor_digits
    table = _table(
        "The ladder", ("rung", "left"), ("who", "left"), (one.currency, "right"), ("still missing", "right")
    )
    left = ladder.missing_minor + _reached(ladder)
    table.add_row("to be paid in", Text(", ".join(ladder.debtors)), "", _minor(ladder.missing_minor, digits))
    if _reached(ladder):
        table.add_row("more, by one another's losses", "", "", _minor(left, digits))
    parts = (ladder.deposits, ladder.guarantee, ladder.carried, ladder.losses)
    for name, shares in zip(_RUNGS, parts, strict=True):
        left -= sum(shares.values())
        rows = list(shares.items())
        table.add_section()
        for place, (party, share) in enumerate(rows[:SHOWN]):
            last = place == len(rows[:SHOWN]) - 1
            table.add_row(
                name if place == 0 else "",
                Text(party),
                _minor(share, digits),
                _minor(left, digits) if last else "",
            )
        _cut(table, len(rows))
        if not rows:
            table.add_row(name, "", _minor(0, digits), _minor(left, digits))
    return table


def _reached(ladder: Ladder[str]) -> int:
    """What debtors need beyond their own positions, because other debtors do not pay them."""
    parts = (ladder.deposits, ladder.guarantee, ladder.carried, ladder.losses)
    return sum(sum(shares.values()) for shares in parts) - ladder.missing_minor


def _vector(one: DefaultNet) -> Table:
    table = _table(
        "What creditors get: the greatest Eisenberg-Noe clearing vector",
        *(("debtor", "left"), ("creditor", "left"), ("owed", "right"), ("gets", "right"), ("", "right")),
    )
    rows = [payment for payment in one.ladder.payments if payment.debtor in one.ladder.debtors]
    for payment in rows[:SHOWN]:
        first = " (fees, first)" if payment.rank == FEES else ""
        table.add_row(
            Text(payment.debtor),
            Text(payment.creditor + first),
            rounded_down(payment.owed, one.scale),
            rounded_down(payment.paid, one.scale),
            f"{int(payment.paid * 100 / payment.owed)} %",
        )
    return _cut(table, len(rows))


def _after(one: DefaultNet) -> Table:
    """Positions before, after the ladder, and the other way out; what covers is below the line."""
    digits, ladder, unwound = one.minor_digits, one.ladder, one.unwound.ladder
    table = _table(
        "Positions (+ receives, - pays)",
        *(("participant", "left"), ("before", "right"), ("after", "right"), ("if unwound", "right")),
    )
    for party, before in list(one.before.items())[:SHOWN]:
        figures = (before, ladder.finals[party], unwound.finals.get(party, 0))
        table.add_row(Text(party), *(_signed(from_minor(minor, digits), digits) for minor in figures))
    _cut(table, len(one.before))
    table.add_section()
    for name, here, there in (
        ("deposits", ladder.deposits, unwound.deposits),
        ("guarantee fund", ladder.guarantee, unwound.guarantee),
        ("carried by the hub", ladder.carried, unwound.carried),
    ):
        if here or there:
            figures = (0, -sum(here.values()), -sum(there.values()))
            table.add_row(name, *(_signed(from_minor(minor, digits), digits) for minor in figures))
    return table


def _unwinding(one: DefaultNet) -> Table:
    names = ", ".join(one.ladder.debtors)
    table = _table(
        f"Unwinding, the last resort: netted without {names}",
        *(("participant", "left"), ("before fees", "right")),
    )
    for party, amount in list(one.unwound.positions.items())[:SHOWN]:
        table.add_row(Text(party), _signed(amount, one.scale))
    _cut(table, len(one.unwound.positions))
    table.add_section()
    outside = sum((amount for _, _, amount in one.unwound.outside), Decimal(0))
    table.add_row("goes back to the pairs, to be paid outside", _money(outside, one.scale))
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


def _minor(minor: int, digits: int) -> str:
    return _money(from_minor(minor, digits), digits)


def _signed(amount: Decimal, scale: int) -> str:
    return f"{amount:+,.{scale}f}" if amount else f"{Decimal(0):.{scale}f}"


def _share(amount: Decimal, gross: Decimal) -> str:
    """A share for the eye only, in whole percent."""
    return f"{amount * 100 / gross:.0f} %" if gross else ""
