"""`tessera report` and `tessera reconcile`: what nights, months and years come to, and for whom."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.composition import BAD_INPUT, FAILED, day_of, opened
from config.roles import reader_role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from settlement.reports.spans import Asked

report_app = typer.Typer(
    no_args_is_help=True,
    help="""What nights, months and years come to: statements, reconciliation files, the operator's reports.

    Reports are drawn from the ledger as one moment has it, and change nothing in it.
    """,
    epilog="Example: tessera report statement grocer --month 2017-05",
)

_Code = Annotated[str, typer.Argument(metavar="PARTNER", help="The participant's code.")]
_Out = Annotated[Path, typer.Option(help="The folder to write into.")]
_Date = Annotated[str | None, typer.Option("--date", help="One business date, as 2017-05-31.")]
_Month = Annotated[str | None, typer.Option("--month", help="A month, as 2017-05.")]
_Year = Annotated[str | None, typer.Option("--year", help="A year, as 2017.")]
_AsOf = Annotated[
    str | None, typer.Option("--date", help="The last business date to count; by default the open one.")
]
_Postings = Annotated[
    bool | None,
    typer.Option(help="Down to each posting; by default for spans of up to a month."),
]
_REPORTS = Path("build/reports")


@report_app.command("statement")
def statement(
    partner: _Code,
    *,
    on: _Date = None,
    month: _Month = None,
    year: _Year = None,
    out: _Out = _REPORTS,
    form: Annotated[
        list[str] | None, typer.Option("--format", help="html, csv or xlsx; may be repeated. All by default.")
    ] = None,
    postings: _Postings = None,
) -> None:
    """Write a participant's statement of a night, a month or a year as page, CSV and XLSX."""
    from settlement.reports.account import FORMATS, PROVED_NIGHTS, write_account
    from settlement.reports.read import read_span

    for one in form or []:
        if one not in FORMATS:
            raise typer.BadParameter(f"{one!r} is none of {', '.join(FORMATS)}", param_hint="--format")
    asked = _span(on, month, year)
    with _reading() as connection:
        span = read_span(connection, asked.first, asked.last)
        wanted = span.nights <= PROVED_NIGHTS if postings is None else postings
        files = write_account(
            connection, span, partner, out, label=asked.label, formats=form or FORMATS, postings=wanted
        )
    for file in files:
        typer.echo(file)


@report_app.command("reconciliation")
def reconciliation(
    partner: _Code, *, on: _Date = None, month: _Month = None, year: _Year = None, out: _Out = _REPORTS
) -> None:
    """Write a partner's own entries, a line each, for `tessera reconcile` or the partner's system."""
    from settlement.reports.read import read_span
    from settlement.reports.reconciliation import write_reconciliation

    asked = _span(on, month, year)
    with _reading() as connection:
        span = read_span(connection, asked.first, asked.last)
        typer.echo(write_reconciliation(connection, span, partner, out, label=asked.label))


@report_app.command("proofs")
def proofs(
    file: Annotated[Path, typer.Argument(help="A statement's -proofs.ndjson: a proof on each line.")],
    *,
    key: Annotated[Path | None, typer.Option(help="The network's public key, PEM.")] = None,
) -> None:
    """Check every proof of a statement, without any database; exit status 1 if one does not hold."""
    from api.proofs import UnusableFile, check_lines

    try:
        checked, faults = check_lines(file, key)
    except UnusableFile as error:
        typer.echo(f"tessera report: {error}", err=True)
        raise typer.Exit(BAD_INPUT) from error
    for fault in faults:
        typer.echo(fault, err=True)
    typer.echo(
        f"{checked - len(faults)} of {checked} proofs hold" + ("" if key else ", by the key in the file")
    )
    raise typer.Exit(FAILED if faults or not checked else 0)


@report_app.command("operator")
def operator(*, on: _AsOf = None, out: _Out = _REPORTS) -> None:
    """Write the operator's report: positions, exposure, liability, breakage, ageing, exceptions, pictures."""
    from settlement.reports.operator import write_operator_pages

    with _reading() as connection:
        files = write_operator_pages(connection, None if on is None else day_of(on), out)
    for file in files:
        typer.echo(file)


@report_app.command("evaluation")
def evaluation(*, on: _AsOf = None, out: _Out = _REPORTS) -> None:
    """Write what the scheme is worth: repeat rate, retention, churn, value, net promoter score, effects."""
    from settlement.reports.evaluation_page import write_evaluation

    with _reading() as connection:
        files = write_evaluation(connection, None if on is None else day_of(on), out)
    for file in files:
        typer.echo(file)


@report_app.command("liability")
def liability(*, on: _AsOf = None) -> None:
    """Show what points that are out cost: plainly, and as far as they are expected to be redeemed."""
    from rich.console import Console

    from settlement.reports.liability import read_outstanding
    from settlement.reports.tables import show_liability

    with _reading() as connection:
        outstanding = read_outstanding(connection, None if on is None else day_of(on))
    Console().print(show_liability(outstanding))


@report_app.command("roll-forward")
def roll_forward(
    *,
    on: _AsOf = None,
    partner: Annotated[str | None, typer.Option(help="One issuer; by default all together.")] = None,
    selling_price: Annotated[
        str | None, typer.Option(help="What a point sells for by itself; by default its issue price.")
    ] = None,
) -> None:
    """Show deferred revenue month by month (IFRS 15): opening, allocated, recognised, lapsed, closing."""
    from decimal import Decimal, InvalidOperation

    from rich.console import Console

    from settlement.reports.cohorts import read_cohorts
    from settlement.reports.liability import as_of
    from settlement.reports.rollforward import read_roll_forwards
    from settlement.reports.tables import show_roll_forward

    try:
        price = None if selling_price is None else Decimal(selling_price)
    except InvalidOperation:
        price = Decimal("NaN")
    if price is not None and not (price.is_finite() and price >= 0):
        raise typer.BadParameter(f"{selling_price!r} is no price: write 0.01", param_hint="--selling-price")
    with _reading() as connection:
        day = as_of(connection, None if on is None else day_of(on))
        lines = read_roll_forwards(connection, read_cohorts(connection, day), price)
    Console().print(show_roll_forward(lines, partner))


def reconcile(
    ours: Annotated[Path, typer.Argument(help="Our reconciliation file.")],
    theirs: Annotated[Path, typer.Argument(help="The partner's list: CSV with a column `reference`.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Hold a partner's own list against ours, line by line; exit status 1 if anything differs."""
    from rich.console import Console

    from settlement import reconcile as rules
    from settlement import reconcile_view as view

    lists = []
    for path in (ours, theirs):
        try:
            items = rules.read(path.read_bytes(), str(path))
        except OSError as error:
            typer.echo(f"tessera reconcile: cannot read {path}: {error.strerror}", err=True)
            raise typer.Exit(BAD_INPUT) from error
        if isinstance(items, rules.Faults):
            for fault in items.faults:
                typer.echo(f"tessera reconcile: {items.where}: {fault}", err=True)
            raise typer.Exit(BAD_INPUT)
        lists.append(items)
    found = rules.reconcile(*lists)
    if as_json:
        typer.echo(view.as_json(found))
    else:
        Console().print(view.render(found))
    raise typer.Exit(FAILED if found.differences else 0)


@contextmanager
def _reading() -> "Iterator[Connection]":
    """One moment of the ledger, under the role that reads and nothing else."""
    with (
        opened(reader_role) as (_, database),
        database.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
    ):
        yield connection


def _span(on: str | None, month: str | None, year: str | None) -> "Asked":
    """The dates that were asked for, and what files are called."""
    from settlement.reports.errors import SpanUnclear
    from settlement.reports.spans import span_of

    try:
        return span_of(on, month, year)
    except SpanUnclear as error:
        raise typer.BadParameter(str(error), param_hint="--date, --month or --year") from None
