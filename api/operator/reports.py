"""Statements, reconciliation files and the operator's report, drawn from the ledger as one moment has it.

One is drawn at a time, because it takes processor and memory that requests of tills want too.
"""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from sqlalchemy import Connection

from api.operator.desk import EVERYBODY, desk_of, guarded, make_router
from api.problems import ProblemError
from partners.service import partner_of

router = make_router("Reports")

Part = Literal["html", "csv", "xlsx", "postings.csv", "proofs.ndjson"]
Form = Literal["html", "xlsx"]
First = Annotated[date, Query(description="The first business date.")]
Last = Annotated[date, Query(description="The last business date.")]
_MEDIA: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".ndjson": "application/x-ndjson",
}
_ENDS: Mapping[Part, str] = {"postings.csv": "-postings.csv", "proofs.ndjson": "-proofs.ndjson"}
_SAFE = {
    "cache-control": "no-store",
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "x-content-type-options": "nosniff",
}
"""A page that is drawn here runs nothing and fetches nothing, wherever it is opened."""
_WAIT_SECONDS = 20.0
TYPES = ()


@router.get("/partners/{code}/statement/{part}", **guarded(*EVERYBODY, gives=tuple(_MEDIA.values())))
def statement(code: str, part: Part, request: Request, first: First, last: Last) -> Response:
    """A partner's statement of a night, a month or any span: page, CSV, workbook, postings or proofs."""
    from settlement.reports.account import write_account  # noqa: PLC0415 - pandas, only where it is asked for
    from settlement.reports.read import read_span  # noqa: PLC0415

    form = part if part in {"html", "csv", "xlsx"} else "csv"
    wanted = _ENDS.get(part, f".{part}")

    def draw(connection: Connection, folder: Path) -> list[Path]:
        partner_of(connection, code)
        span = read_span(connection, first, last)
        label = f"{first}" if first == last else f"{first}-{last}"
        return write_account(
            connection, span, code, folder, label=label, formats=[form], postings=part != "csv"
        )

    return _drawn(request, draw, wanted)


@router.get("/partners/{code}/reconciliation", **guarded(*EVERYBODY, gives=(_MEDIA[".csv"],)))
def reconciliation(code: str, request: Request, first: First, last: Last) -> Response:
    """A partner's own entries, a line each, to hold against its own list."""
    from settlement.reports.read import read_span  # noqa: PLC0415 - pandas, only where it is asked for
    from settlement.reports.reconciliation import write_reconciliation  # noqa: PLC0415

    def draw(connection: Connection, folder: Path) -> list[Path]:
        partner_of(connection, code)
        span = read_span(connection, first, last)
        return [write_reconciliation(connection, span, code, folder, label=f"{first}-{last}")]

    return _drawn(request, draw, ".csv")


@router.get("/reports/operator/{form}", **guarded(*EVERYBODY, gives=(_MEDIA[".html"], _MEDIA[".xlsx"])))
def operator_report(
    form: Form,
    request: Request,
    last: Annotated[date | None, Query(description="The last business date; else the last netted.")] = None,
) -> Response:
    """Positions, exposure, liability, breakage, ageing and exceptions, with pictures."""
    from settlement.reports.operator import write_operator_pages  # noqa: PLC0415 - pandas, only when asked for

    return _drawn(
        request, lambda connection, folder: write_operator_pages(connection, last, folder), f".{form}"
    )


def _drawn(request: Request, draw: Callable[[Connection, Path], list[Path]], wanted: str) -> Response:
    """The file that ends so among those that are drawn.

    Raises:
        ProblemError: overloaded, where another is drawn for long; report_unknown, where there is none.
    """
    desk = desk_of(request)
    if not desk.drawing.acquire(timeout=_WAIT_SECONDS):
        raise ProblemError("overloaded", "another report is being drawn")
    try:
        with TemporaryDirectory() as folder, desk.database.connect() as plain:
            connection = plain.execution_options(isolation_level="REPEATABLE READ")
            files = [file for file in draw(connection, Path(folder)) if file.name.endswith(wanted)]
            if not files:
                raise ProblemError("report_unknown")
            name, content = files[0].name, files[0].read_bytes()
    finally:
        desk.drawing.release()
    ascii_name = name.encode("ascii", "replace").decode().replace('"', "_")
    return Response(
        content,
        media_type=_MEDIA[Path(name).suffix],
        headers={**_SAFE, "content-disposition": f'attachment; filename="{ascii_name}"'},
    )
