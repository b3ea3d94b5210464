"""Rows of the benchmark: what was measured, round by round, beside its goal; as JSON and as a table."""

import statistics
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.table import Table

_WIDTH = 118
Rounds = Sequence[dict[str, float]]


def make_console() -> Console:
    """The terminal; where it goes to a file, wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


class Row(msgspec.Struct, frozen=True):
    """One figure with its goal; `value` names the figure in each round, `beside` a rate that is shown too."""

    title: str
    value: str
    form: str = ".2f"
    goal: float | None = None
    better: Literal["more", "less"] = "more"
    beside: str | None = None
    beside_form: str = ",.0f"
    beside_unit: str = "/s"

    def reached(self, median: float) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return median >= self.goal if self.better == "more" else median <= self.goal

    @property
    def goal_text(self) -> str:
        """`≥ 1.5`, or nothing."""
        return "" if self.goal is None else f"{'≥' if self.better == 'more' else '≤'} {self.goal:g}"


def summary(rows: Sequence[Row], rounds: Rounds) -> list[dict[str, Any]]:
    """Each row with its rounds, their median and spread, and the verdict."""
    told = []
    for row in rows:
        values = [one[row.value] for one in rounds if row.value in one]
        if not values:
            continue
        median = statistics.median(values)
        told.append(
            {
                "measure": row.title,
                "name": row.value,
                "goal": row.goal_text,
                "rounds": values,
                "median": median,
                "least": min(values),
                "most": max(values),
                "reached": row.reached(median),
            }
        )
    return told


def print_table(console: Console, title: str, rows: Sequence[Row], rounds: Rounds) -> None:
    """The table: figure, its spread over the rounds, goal and verdict."""
    table = Table(title=title, title_justify="left")
    for heading in ("measure", "rate", "ratio or figure", "least to most", "goal", ""):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for row in rows:
        values = [one[row.value] for one in rounds if row.value in one]
        if not values:
            continue
        median = statistics.median(values)
        rates = [one[row.beside] for one in rounds if row.beside is not None and row.beside in one]
        reached = row.reached(median)
        table.add_row(
            row.title,
            f"{format(statistics.median(rates), row.beside_form)}{row.beside_unit}" if rates else "",
            format(median, row.form),
            f"{format(min(values), row.form)} to {format(max(values), row.form)}",
            row.goal_text,
            "" if reached is None else "[green]reached[/]" if reached else "[red]missed[/]",
        )
    console.print(table)
