"""A participant's statement of a night, as CSV and as a page."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pandas as pd
from sqlalchemy import Connection

from settlement.model import Obligation, Position
from settlement.money import ZERO, exactly
from settlement.reports import read
from settlement.reports.errors import FiguresDisagree
from settlement.reports.read import ACCEPTED, Span, as_frame, major
from settlement.reports.show import PAGES, csv_bytes, write_whole
from settlement.reports.workbook import Column, Sheet, workbook

ACTIVITY, ISSUER, ACCEPTOR = "at your tills", "points you issued", "points you accepted"
OBLIGATIONS, POSITION = "obligations", "position"
SECTIONS = (ACTIVITY, ISSUER, ACCEPTOR, OBLIGATIONS, POSITION)


class Line(msgspec.Struct, frozen=True):
    """A line of a statement. `amount` is in major units of `currency`: + to the participant, - from it."""

    section: str
    line: str
    counterparty: str | None
    terms: int | None
    entries: int | None
    points: int | None
    amount: Decimal | None
    currency: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One participant's night: its lines in order, and what it comes to, by currency, in major units."""

    participant_id: int
    code: str
    name: str
    lines: Sequence[Line]
    nets: Sequence[tuple[str, Decimal]]

    @property
    def file_name(self) -> str:
        """The code, or where that is more than letters, digits and hyphens, the number."""
        return file_name_of(self.code, self.participant_id)


def file_name_of(code: str, participant_id: int) -> str:
    """The code, or where that is more than letters, digits and hyphens, the number."""
    return code if _FILE_NAME.fullmatch(code) else f"participant-{participant_id}"


_LINE_COLUMNS = (
    Column("Section", width=20),
    Column("Line", width=38),
    Column("With", width=16),
    Column("Terms", "count", 8),
    Column("Entries", "count", 10),
    Column("Points", "count", 12),
    Column("Amount", "exact", 18),
    Column("Currency", width=9),
)
_SUMS = ("exact position", "net tonight", "paid for tonight")
_FILE_NAME = re.compile("[a-z0-9][a-z0-9-]*")
_COLUMNS = Line.__struct_fields__
_ROW = ("participant_id", *_COLUMNS)


def as_sheet(statement: Statement) -> Sheet:
    """A statement's lines as a sheet."""
    lines = [msgspec.structs.astuple(line) for line in statement.lines]
    sums = frozenset(place for place, line in enumerate(statement.lines) if line.line in _SUMS)
    return Sheet("Statement", _LINE_COLUMNS, lines, sums)


def write_statements(
    connection: Connection, window_id: int, directory: Path, *, workbooks: bool = False
) -> list[Path]:
    """Write each participant's statement of a cleared window; the same window gives the same bytes.

    Args:
        connection: Read from only.
        window_id: A window that has been cleared.
        directory: Gets a folder named after the business date, in it `<code>.csv` and `<code>.html`.
        workbooks: Write `<code>.xlsx` as well: four times the time.
    Returns:
        The files written.
    Raises:
        NothingToReport: the night is not settled.
        FiguresDisagree: a stored position is not the sum of its parts.
    """
    night = read.read_night(connection, window_id)
    folder = directory / night.business_date.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    page = PAGES.get_template("statement.html.j2")
    files = []
    for statement in read_statements(connection, night.span):
        rows = [
            (night.business_date, statement.code, *msgspec.structs.astuple(line)) for line in statement.lines
        ]
        content = csv_bytes(("business_date", "participant", *_COLUMNS), rows)
        files.append(write_whole(folder / f"{statement.file_name}.csv", content))
        sections = {
            section: [line for line in statement.lines if line.section == section] for section in SECTIONS
        }
        html = page.render(night=night, statement=statement, sections=sections)
        files.append(write_whole(folder / f"{statement.file_name}.html", html.encode()))
        if workbooks:
            title = f"Statement of {statement.name}, {night.business_date}"
            content = workbook(title, night.closed_at, [as_sheet(statement)])
            files.append(write_whole(folder / f"{statement.file_name}.xlsx", content))
    return files


@exactly
def read_statements(connection: Connection, span: Span) -> list[Statement]:
    """The statements of a night or several, by participant id; operator and pool have theirs too."""
    participants = read.read_participants(connection)
    positions = read.read_positions(connection, span)
    codes = {one.partner_id: one.code for one in participants.values()}
    lines = pd.concat(
        [
            _activity(read.read_activity(connection, span), span.currency),
            *_points(read.read_totals(connection, span), codes),
            *_obligations(
                as_frame(read.read_obligations(connection, span), Obligation),
                codes,
                read.read_categories(connection),
            ),
            _positions(positions),
        ],
        ignore_index=True,
    )
    of_participant: dict[int, list[Line]] = {position.participant_id: [] for position in positions}
    for participant_id, *columns in zip(*(lines[name] for name in _ROW), strict=True):
        columns[-1] = columns[-1] or span.currency
        of_participant[participant_id].append(Line(*columns))
    return [
        Statement(
            participant_id=participant_id,
            code=codes[participant_id],
            name=participants[participant_id].name,
            lines=of_participant[participant_id],
            nets=[
                (one.currency, major(one.final_minor, one.currency))
                for one in positions
                if one.participant_id == participant_id
            ],
        )
        for participant_id in of_participant
    ]


def _lines(rows: pd.DataFrame, **columns: object) -> pd.DataFrame:
    """Rows as statement lines: columns given here, those of the same name, and nothing elsewhere."""
    named: dict[str, object] = {name: rows.get(name) for name in _ROW}
    return pd.DataFrame({**named, **columns}, index=rows.index, dtype=object)


def _activity(activity: pd.DataFrame, currency: str) -> pd.DataFrame:
    """What happened at the participant's own tills; sales are told, not owed."""
    return _lines(
        activity,
        participant_id=activity["partner_id"],
        section=ACTIVITY,
        line=activity["event"],
        amount=[major(minor, currency) for minor in activity["amount_minor"]],
    )


def _points(totals: pd.DataFrame, codes: Mapping[int, str]) -> list[pd.DataFrame]:
    """Points seen by who issued them and by who accepted them, each under the terms that price them.

    A hold names its acceptor, and nothing is accepted before the capture.
    """
    accepted = totals[totals["movement"].isin(ACCEPTED)]
    return [
        _lines(
            totals,
            participant_id=totals["issuer_id"],
            section=ISSUER,
            line=totals["movement"],
            counterparty=_codes(totals["acceptor_id"], codes),
            terms=totals["issuer_terms"],
            entries=None,
        ),
        _lines(
            accepted,
            participant_id=accepted["acceptor_id"],
            section=ACCEPTOR,
            line=accepted["movement"],
            counterparty=_codes(accepted["issuer_id"], codes),
            terms=accepted["acceptor_terms"],
        ),
    ]


def _codes(ids: "pd.Series[int]", codes: Mapping[int, str]) -> list[str | None]:
    """Codes of participants; None where there is none (Series.map would make it a float)."""
    return [codes.get(one) for one in ids]


def _obligations(
    obligations: pd.DataFrame, codes: Mapping[int, str], categories: Mapping[int, str]
) -> list[pd.DataFrame]:
    """Each gross debt twice: to the creditor's good, and at the debtor's cost."""
    flows = [
        f"{flow}: {categories.get(category, category)}" if category else flow
        for flow, category in zip(obligations["flow"], obligations["category"], strict=True)
    ]
    return [
        _lines(
            obligations,
            participant_id=obligations[mine],
            section=OBLIGATIONS,
            line=flows,
            counterparty=_codes(obligations[other], codes),
            amount=obligations["amount"] * sign,
        )
        for mine, other, sign in (("creditor_id", "debtor_id", 1), ("debtor_id", "creditor_id", -1))
    ]


def _positions(positions: Sequence[Position]) -> pd.DataFrame:
    """How each participant's net comes about, from what is carried in to what is carried out."""
    rows: list[tuple[int, str, str, Decimal, str]] = []
    for position in positions:
        parts = {
            "carried in from the night before": position.carried_in,
            "obligations, to receive": position.credits,
            "obligations, to pay": -position.debits,
            **(
                {"exchanged into or out of another currency": position.converted}
                if position.converted
                else {}
            ),
            "fees": -major(position.fee_minor, position.currency),
            "VAT on fees": -major(position.vat_minor, position.currency),
        }
        net = major(position.final_minor, position.currency)
        if sum(parts.values(), ZERO) != position.exact or position.exact - net != position.carried_out:
            raise FiguresDisagree(
                f"net position of participant {position.participant_id}: {parts} do not come to "
                f"{position.exact}, or that less {position.carried_out} is not {net}"
            )
        parts |= {
            "exact position": position.exact,
            "carried out to the next night (rounding)": -position.carried_out,
            "net tonight": net,
        }
        if position.deferred_in_minor or position.deferred_out_minor:
            parts |= {
                "not paid by earlier nights, too little": major(
                    position.deferred_in_minor, position.currency
                ),
                "left to a later night, too little": -major(position.deferred_out_minor, position.currency),
                "paid for tonight": major(position.payment_minor, position.currency),
            }
        rows.extend(
            (position.participant_id, POSITION, line, amount, position.currency)
            for line, amount in parts.items()
        )
    columns = ["participant_id", "section", "line", "amount", "currency"]
    return _lines(pd.DataFrame(rows, columns=columns, dtype=object))
