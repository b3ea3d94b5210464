"""The reconciliation file: a partner's own entries, each under the partner's own reference."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, text

from network import ids
from network.model import UNASKED, EntryKind
from settlement.reports.errors import NothingToReport
from settlement.reports.read import EVENTS, Span, major, read_participants
from settlement.reports.show import csv_bytes, write_whole
from settlement.reports.statements import file_name_of

COLUMNS = (
    *("business_date", "reference", "entry", "event", "outlet", "occurred_at"),
    *("points", "amount", "currency"),
)
_ENTRIES = text(
    """
    SELECT w.business_date, e.reference, e.entry_id, e.kind, e.outlet_code, e.occurred_at, e.points,
        e.amount_minor, coalesce(e.currency, n.currency) AS currency
    FROM entry e JOIN clearing_window w USING (window_id), network n
    WHERE e.window_id BETWEEN :first_window AND :last_window AND e.partner_id = :partner
        AND NOT e.kind = ANY(CAST(:unasked AS smallint[]))
    ORDER BY e.window_id, e.occurred_at, e.reference COLLATE "C"
    """
)


def write_reconciliation(
    connection: Connection, span: Span, code: str, directory: Path, *, label: str
) -> Path:
    """Write `<code>-<label>-reconciliation.csv`: what `tessera reconcile` holds against the partner's list.

    Points are signed as they changed the member's balance; the amount is the till's.

    Raises:
        NothingToReport: nobody of that code takes part.
    """
    found = next((one for one in read_participants(connection).values() if one.code == code), None)
    if found is None:
        raise NothingToReport(f"nobody with the code {code!r} takes part")
    directory.mkdir(parents=True, exist_ok=True)
    content = csv_bytes(COLUMNS, _rows(connection, span, found.partner_id))
    name = f"{file_name_of(found.code, found.partner_id)}-{label}-reconciliation.csv"
    return write_whole(directory / name, content)


def _rows(connection: Connection, span: Span, partner_id: int) -> Iterator[tuple[object, ...]]:
    bound = {**span.windows, "partner": partner_id, "unasked": [int(kind) for kind in UNASKED]}
    with connection.execute(_ENTRIES, bound, execution_options={"yield_per": 5_000}) as rows:
        for row in rows:
            yield (
                *(row.business_date, row.reference, ids.show("ent", row.entry_id)),
                *(EVENTS[EntryKind(row.kind)], row.outlet_code, row.occurred_at.isoformat()),
                *(row.points, major(row.amount_minor, row.currency), row.currency),
            )
