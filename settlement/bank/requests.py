"""Requests to pay in as a file: one line each, with what a payer's system needs to pay it (pure)."""

import csv
import io
from collections.abc import Sequence

from settlement.bank.model import PayInRequest
from settlement.bank.pain import amount_text

COLUMNS = (
    *("participant_id", "name", "currency", "amount", "due_on", "iban", "account_name", "bic"),
    *("reference", "end_to_end_id"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(requests: Sequence[PayInRequest]) -> bytes:
    """Requests as CSV, UTF-8; `amount` is what is missing. A spreadsheet takes no text for a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in requests:
        writer.writerow(
            [
                one.participant_id,
                _plain(one.name),
                one.currency,
                amount_text(one.rest_minor, one.currency),
                one.due_on.isoformat(),
                one.to.iban,
                _plain(one.to.name),
                one.to.bic or "",
                one.reference,
                one.end_to_end_id,
            ]
        )
    return out.getvalue().encode()


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
