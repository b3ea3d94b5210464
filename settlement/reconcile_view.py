"""How `tessera reconcile` looks in a terminal, and as JSON."""

import json

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from settlement.reconcile import Difference, Reconciled

SHOWN = 200
"""Differences that are drawn; JSON has all."""


def render(found: Reconciled) -> Group:
    """What both lists come to, and what differs."""
    table = Table(title="The two lists", title_justify="left")
    for name in ("", "lines", "points", "amount"):
        table.add_column(name, justify="left" if not name else "right")
    for name, side in (("ours", found.ours), ("theirs", found.theirs)):
        table.add_row(name, f"{side.lines:,}", f"{side.points:,}", f"{side.amount:,}")
    parts: list[RenderableType] = [table]
    compared = ", ".join(found.compared) or "nothing but the reference"
    if found.differences:
        parts.append(_differences(found.differences[:SHOWN]))
    if len(found.differences) > SHOWN:
        parts.append(Text(f"and {len(found.differences) - SHOWN:,} more; --json has all"))
    parts.append(Text(f"{found.same:,} lines are the same in both; compared: {compared}"))
    parts.append(
        Text(f"{len(found.differences):,} differences", style="red" if found.differences else "green")
    )
    return Group(*parts)


def _differences(differences: list[Difference]) -> Table:
    table = Table(title="Differences", title_justify="left")
    for name in ("reference", "what", "ours", "theirs", "our line", "their line"):
        table.add_column(name, justify="right" if name.endswith("line") else "left", overflow="fold")
    for one in differences:
        what = f"{one.column} differs" if one.column else one.what
        lines = ("" if line is None else str(line) for line in (one.our_line, one.their_line))
        table.add_row(
            *(Text(cell) for cell in (one.reference, what, one.ours or "", one.theirs or "")), *lines
        )
    return table


def as_json(found: Reconciled) -> str:
    """Everything, amounts as exact texts."""
    return json.dumps(msgspec.to_builtins(found), indent=2)
