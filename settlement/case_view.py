"""How a default case and an exit look in a terminal."""

from collections.abc import Mapping
from fractions import Fraction

from rich.console import Group
from rich.table import Table
from rich.text import Text

from settlement.default_case import Simulation
from settlement.exit_statement import ExitStatement
from settlement.money import from_minor, minor_digits

Names = Mapping[int, str]
"""Participants' codes by their numbers."""

_RUNGS = {
    "deposit": "its deposit",
    "guarantee": "guarantee fund",
    "carry": "carried, owed on",
    "loss": "loss shared",
    "unwind": "unwound",
}


def render_case(one: Simulation, names: Names) -> Group:
    """The rungs, what its creditors get, and everybody's payment before and after."""
    debtor = _name(one.debtor_id, names)
    head = f"{debtor} does not pay: {_money(one.missing_minor, one.currency)} {one.currency} are missing"
    notes = []
    if one.suspends:
        notes.append(f"{debtor} is suspended: it neither issues nor accepts; its members' points stay good")
    if one.to_operator:
        notes.append("it was suspended, and its contract says that the operator bears what its points cost")
    if one.outside:
        notes.append(
            f"{len(one.outside)} debts from and to {debtor} go back to the pairs, outside of the hub"
        )
    return Group(
        Text(head, style="bold"),
        _rungs(one, names),
        _vector(one, names),
        _payments(one, names),
        *map(Text, notes),
    )


def render_exit(one: ExitStatement) -> Group:
    """Days, points, what they cost, and what is still open."""
    leaving = one.leaving
    table = _table(f"{one.code} leaves ({leaving.mode.replace('_', '-')}); it is {one.status}", "", "")
    for name, value in (
        ("notice given on", f"{leaving.notice_on}"),
        ("last day to earn", f"{leaving.last_earn_on}"),
        ("last day to burn", f"{leaving.last_burn_on}"),
        ("run-off until", f"{leaving.run_off_until}"),
        ("points issued", f"{one.issued:,}"),
        ("redeemed", f"{one.redeemed:,}"),
        ("lapsed", f"{one.lapsed:,}"),
        ("outstanding", f"{sum(part.points for part in one.outstanding):,}"),
        *(
            (
                f"{'buy-out today' if one.bought_out is None else 'bought out for'}, {currency}",
                f"{amount:,.4f}",
            )
            for currency, amount in (one.buy_out if one.bought_out is None else one.bought_out)
        ),
        *((f"{account} held, {currency}", f"{amount:,}") for account, currency, amount in one.cover),
    ):
        table.add_row(name, value)
    todo = [f"still open: {text}" for text in one.open] or ["nothing is open: this is its final statement"]
    return Group(table, *map(Text, todo))


def _rungs(one: Simulation, names: Names) -> Table:
    table = _table("The ladder", "rung", "who", one.currency, "still missing")
    left = one.missing_minor
    for line in one.lines:
        left -= line.amount_minor
        table.add_row(
            _RUNGS[line.rung],
            Text(_name(line.participant_id, names)),
            _money(line.amount_minor, one.currency),
            _money(left, one.currency),
        )
    return table


def _vector(one: Simulation, names: Names) -> Table:
    table = _table("What its creditors get of what they are owed", "creditor", "owed", "gets", "")
    digits = minor_digits(one.currency) + 2
    for paid in one.vector:
        owed, gets = Fraction(paid.owed), Fraction(paid.gets)
        first = " (fees, first)" if paid.first else ""
        figures = (f"{from_minor(int(amount * 10**digits), digits):,}" for amount in (owed, gets))
        table.add_row(
            Text(_name(paid.creditor_id, names) + first),
            *figures,
            f"{int(gets * 100 / owed)} %" if owed else "",
        )
    return table


def _payments(one: Simulation, names: Names) -> Table:
    table = _table("Payments (+ receives, - pays)", "participant", "before", "after")
    for party, before in one.before.items():
        after = one.after[party]
        if before or after:
            table.add_row(
                Text(_name(party, names)), _money(before, one.currency, "+"), _money(after, one.currency, "+")
            )
    return table


def _name(participant_id: int, names: Names) -> str:
    return names.get(participant_id, f"participant {participant_id}")


def _money(minor: int, currency: str, sign: str = "") -> str:
    digits = minor_digits(currency)
    return f"{from_minor(minor, digits):{sign},.{digits}f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="", min_width=60)
    for place, name in enumerate(columns):
        left = name in ("rung", "who", "creditor", "participant") or (place == 0 and not name)
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    return table
