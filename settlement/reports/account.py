"""A partner's statement of a night, a month or any span: page, CSV and XLSX, down to each posting.

The three say the same: what a page shows rounded to nothing, CSV has as exact decimals and XLSX as numbers.
"""

from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
from sqlalchemy import Connection, text

from network import ids
from partners.model import OPERATOR_ID, Participant
from settlement.leaves import Key
from settlement.money import ZERO, exactly
from settlement.proof import Proof
from settlement.reports import read
from settlement.reports.errors import NothingToReport
from settlement.reports.postings import Line as Posted
from settlement.reports.postings import Sums, read_lines
from settlement.reports.proofs import Sealed, proofs_of, seal_places
from settlement.reports.read import Span, major
from settlement.reports.show import PAGES, csv_bytes, write_whole
from settlement.reports.statements import SECTIONS, Line, Statement, as_sheet, read_statements
from settlement.reports.workbook import Cell, Column, Sheet, workbook
from settlement.seal import Seal

FORMATS = ("html", "csv", "xlsx")
PROVED_NIGHTS = 31
"""Spans up to so many nights show each posting with its place under the seal."""
MOST_ON_PAGE = 3_000
"""Postings that a page shows; the files beside it have all."""

_NIGHTS = text(
    f"""
    SELECT w.business_date, p.currency, p.credits, p.debits, p.converted, p.fee_minor, p.vat_minor,
        p.carried_in, p.final_minor, p.carried_out, s.root, s.key_id
    FROM net_position p JOIN {read.RUNS} r USING (window_id, revision)
    JOIN clearing_window w USING (window_id) LEFT JOIN window_seal s USING (window_id)
    WHERE p.participant_id = :partner AND window_id BETWEEN :first_window AND :last_window
    ORDER BY 1, 2
    """
)
_NIGHT_COLUMNS = (
    Column("Business date", "date", 13),
    Column("To receive", "exact"),
    Column("To pay", "exact"),
    Column("Exchanged", "exact"),
    Column("Fees", "amount", 11),
    Column("VAT", "amount", 11),
    Column("Net", "amount", 13),
    Column("Currency", width=9),
    Column("Root of the seal", width=68),
)
_POSTING_COLUMNS = (
    Column("Business date", "date", 13),
    Column("Occurred at (UTC)", "instant", 19),
    Column("Your reference", width=24),
    Column("Outlet", width=12),
    Column("Entry", width=38),
    Column("Posting", "count", 8),
    Column("Event", width=18),
    Column("Movement", width=24),
    Column("With", width=16),
    Column("Terms", "count", 7),
    Column("Points", "count", 10),
    Column("Amount", "exact", 16),
    Column("Currency", width=9),
    Column("Place under the seal", "count", 10),
    Column("Leaf hash", width=68),
)


class NightLine(msgspec.Struct, frozen=True, kw_only=True):
    """One night of a statement in one currency."""

    business_date: date
    currency: str
    credits: Decimal
    debits: Decimal
    converted: Decimal
    fee_minor: int
    vat_minor: int
    carried_in: Decimal
    final_minor: int
    carried_out: Decimal
    root: bytes | None
    key_id: str | None

    @property
    def net(self) -> Decimal:
        """What was received or paid, in major units."""
        return major(self.final_minor, self.currency)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """As files show it."""
        return (
            *(self.business_date, self.credits, -self.debits, self.converted),
            *(-major(self.fee_minor, self.currency), -major(self.vat_minor, self.currency), self.net),
            *(self.currency, None if self.root is None else self.root.hex()),
        )


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """Fees and VAT of a calendar month as a document: an invoice, or a credit note where below zero.

    The number follows from month, participant and currency: one a month, the same whenever it is written.
    """

    number: str
    month: str
    currency: str
    fees: Decimal
    vat: Decimal

    @property
    def total(self) -> Decimal:
        """What it comes to."""
        return self.fees + self.vat

    @property
    def is_credit_note(self) -> bool:
        """Whether the operator owes it."""
        return self.total < 0


class Row(msgspec.Struct, frozen=True):
    """A posting as files and page show it."""

    posted: Posted
    counterparty: str | None
    sealed: Sealed | None

    @property
    def entry(self) -> str:
        """The entry's public id."""
        return ids.show("ent", self.posted.entry_id)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """As files show it."""
        one = self.posted
        return (
            *(one.business_date, one.occurred_at, one.reference, one.outlet, self.entry, one.key.line),
            *(one.event, one.movement, self.counterparty, one.terms, one.points, one.amount, one.currency),
            *((None, None) if self.sealed is None else (self.sealed.index, self.sealed.leaf_hash.hex())),
        )


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All that a statement says. `rows` are empty where postings were not asked for."""

    span: Span
    label: str
    participant: Participant
    statement: Statement
    nights: Sequence[NightLine]
    invoices: Sequence[Invoice]
    rows: Sequence[Row]
    with_postings: bool
    proofs: Sequence[Proof]

    @property
    def file_name(self) -> str:
        """What its files are called, less what says of which kind they are."""
        return f"{self.statement.file_name}-{self.label}"


def write_account(
    connection: Connection,
    span: Span,
    code: str,
    directory: Path,
    *,
    label: str,
    formats: Collection[str] = FORMATS,
    postings: bool = True,
) -> list[Path]:
    """Write a participant's statement; the same nights give the same bytes.

    Args:
        connection: Read from only.
        span: The nights.
        code: Whose statement.
        directory: Gets `<code>-<label>.html`, `.csv`, `.xlsx`; with postings `-postings.csv` and, where
            nights are sealed, `-proofs.ndjson`: the proofs of the participant's own entries, one a line.
        label: 2017-05, say.
        formats: Of FORMATS.
        postings: Down to each posting.
    Returns:
        The files written.
    Raises:
        NothingToReport: nobody of that code takes part.
        FiguresDisagree: figures that must be equal are not; nothing was written.
    """
    account = read_account(connection, span, code, label=label, postings=postings)
    directory.mkdir(parents=True, exist_ok=True)
    base = directory / account.file_name
    files: dict[str, bytes] = {}
    if "html" in formats:
        files[".html"] = _page(account)
    if "csv" in formats:
        files[".csv"] = _lines_csv(account)
        if postings:
            files["-postings.csv"] = _postings_csv(account)
    if "xlsx" in formats:
        files[".xlsx"] = _xlsx(account)
    if account.proofs:
        files["-proofs.ndjson"] = b"".join(msgspec.json.encode(one) + b"\n" for one in account.proofs)
    return [write_whole(base.with_name(base.name + end), content) for end, content in files.items()]


@exactly
def read_account(connection: Connection, span: Span, code: str, *, label: str, postings: bool) -> Account:
    """Read what a statement says."""
    participants = read.read_participants(connection)
    found = next((one for one in participants.values() if one.code == code), None)
    if found is None:
        known = ", ".join(sorted(one.code for one in participants.values()))
        raise NothingToReport(f"nobody with the code {code!r} takes part; there are {known}")
    statements = [one for one in read_statements(connection, span) if one.participant_id == found.partner_id]
    if not statements:
        raise NothingToReport(f"{code} has no position in {label}: it did not take part then")
    nights = _read_nights(connection, span, found.partner_id)
    posted = (
        _read_postings(connection, span, found.partner_id) if postings and found.kind == "partner" else []
    )
    seals = _seal(connection, posted) if span.nights <= PROVED_NIGHTS else {}
    codes = {one.partner_id: one.code for one in participants.values()}
    places = {key: place for _, of_window in seals.values() for key, place in of_window.items()}
    return Account(
        span=span,
        label=label,
        participant=found,
        statement=statements[0],
        nights=nights,
        invoices=_invoices(nights, found.partner_id),
        rows=[Row(one, codes.get(one.counterparty_id or 0), places.get(one.key)) for one in posted],
        with_postings=postings and found.kind == "partner",
        proofs=_prove(connection, posted, seals),
    )


def _read_nights(connection: Connection, span: Span, partner_id: int) -> list[NightLine]:
    rows = connection.execute(_NIGHTS, {**span.windows, "partner": partner_id})
    return [NightLine(**{**row._asdict(), "root": row.root and bytes(row.root)}) for row in rows]


def _read_postings(connection: Connection, span: Span, partner_id: int) -> list[Posted]:
    """A partner's postings, which must be the money of its obligations."""
    sums = Sums()
    posted = []
    for line in read_lines(connection, span, partner_id):
        sums.add(line)
        posted.append(line)
    sums.require_equal(read.read_obligations(connection, span), partner_id)
    return posted


def _seal(connection: Connection, posted: Sequence[Posted]) -> dict[int, tuple[Seal, dict[Key, Sealed]]]:
    """The seals of the windows that postings are in, where they have one, and the postings' places."""
    wanted: dict[int, list[Key]] = {}
    for one in posted:
        wanted.setdefault(one.window_id, []).append(one.key)
    found = {}
    for window_id, keys in wanted.items():
        sealed = seal_places(connection, window_id, keys)
        if sealed is not None:
            found[window_id] = (sealed[0], dict(sealed[1]))
    return found


def _prove(
    connection: Connection,
    posted: Sequence[Posted],
    seals: dict[int, tuple[Seal, dict[Key, Sealed]]],
) -> list[Proof]:
    """Proofs of the participant's own entries: a leaf tells of a till what only its owner should know."""
    own: dict[int, list[Key]] = {}
    for one in posted:
        if one.own and one.window_id in seals:
            own.setdefault(one.window_id, []).append(one.key)
    return [
        proof for window_id, keys in own.items() for proof in proofs_of(connection, *seals[window_id], keys)
    ]


def _invoices(nights: Sequence[NightLine], partner_id: int) -> list[Invoice]:
    if partner_id == OPERATOR_ID:
        return []
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for night in nights:
        key = (f"{night.business_date:%Y%m}", night.currency)
        fees, vat = sums.get(key, (0, 0))
        sums[key] = (fees + night.fee_minor, vat + night.vat_minor)
    return [
        Invoice(
            number=f"{'C' if fees + vat < 0 else 'I'}-{month}-{partner_id:05}-{currency}",
            month=f"{month[:4]}-{month[4:]}",
            currency=currency,
            fees=major(fees, currency),
            vat=major(vat, currency),
        )
        for (month, currency), (fees, vat) in sums.items()
        if fees or vat
    ]


def _lines_csv(account: Account) -> bytes:
    header = ("from", "to", "participant", *Line.__struct_fields__)
    rows = [
        (account.span.first, account.span.last, account.participant.code, *msgspec.structs.astuple(line))
        for line in account.statement.lines
    ]
    return csv_bytes(header, rows)


def _postings_csv(account: Account) -> bytes:
    header = [column.title.lower().replace(" ", "_").replace("_(utc)", "") for column in _POSTING_COLUMNS]
    return csv_bytes(header, ([_instant(cell) for cell in row.cells] for row in account.rows))


def _instant(cell: Cell) -> Cell:
    return cell.isoformat() if isinstance(cell, date) else cell


@exactly
def _xlsx(account: Account) -> bytes:
    nights = [night.cells for night in account.nights]
    totals: list[tuple[Cell, ...]] = []
    for currency in dict.fromkeys(night.currency for night in account.nights):
        own = [night for night in account.nights if night.currency == currency]
        totals.append(
            (
                None,
                sum((one.credits for one in own), ZERO),
                -sum((one.debits for one in own), ZERO),
                sum((one.converted for one in own), ZERO),
                -major(sum(one.fee_minor for one in own), currency),
                -major(sum(one.vat_minor for one in own), currency),
                major(sum(one.final_minor for one in own), currency),
                currency,
                None,
            )
        )
    sheets = [
        as_sheet(account.statement),
        Sheet(
            "Nights",
            _NIGHT_COLUMNS,
            [*nights, *totals],
            frozenset(range(len(nights), len(nights) + len(totals))),
        ),
    ]
    if account.with_postings:
        sheets.append(Sheet("Postings", _POSTING_COLUMNS, (row.cells for row in account.rows)))
    return workbook(
        f"Statement of {account.participant.name}, {account.label}", account.span.closed_at, sheets
    )


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Postings of one movement with one counterparty, and what they come to."""

    movement: str
    counterparty: str | None
    rows: Sequence[Row]
    points: int
    amount: Decimal
    currency: str


@exactly
def _groups(rows: Sequence[Row]) -> list[Group]:
    groups: dict[tuple[str, str | None], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.posted.movement, row.counterparty), []).append(row)
    return [
        Group(
            movement=movement,
            counterparty=counterparty,
            rows=of_group,
            points=sum(row.posted.points for row in of_group),
            amount=sum((row.posted.amount for row in of_group), ZERO),
            currency=of_group[0].posted.currency,
        )
        for (movement, counterparty), of_group in groups.items()
    ]


def _page(account: Account) -> bytes:
    # floats are for drawing alone: how long a night's bar is
    largest = max((abs(night.net) for night in account.nights), default=ZERO)
    page = PAGES.get_template("account.html.j2").render(
        account=account,
        span=account.span,
        statement=account.statement,
        sections={
            section: [line for line in account.statement.lines if line.section == section]
            for section in SECTIONS
        },
        nights=[
            (night, night.cells, f"{100 * float(abs(night.net)) / float(largest or 1):.1f}")
            for night in account.nights
        ],
        groups=_groups(account.rows),
        shown=len(account.rows) <= MOST_ON_PAGE,
    )
    return page.encode()
