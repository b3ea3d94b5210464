"""The ledger as plain-text accounting, for beancount and hledger (pure).

Each posting becomes two lines of one transaction: the debit account gets its points, the credit account loses
them, so that every transaction balances. Accounts are named `<root>:<kind>:<issuer>[:<owner>]`, which makes
totals per kind and issuer the third level of the tree. What a point was born with (issuer, terms, expiry) is
its lot; both lines carry it. Transactions are dated by business date, so that a day's totals are a window's.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from enum import Enum
from typing import Protocol
from urllib.parse import quote

import msgspec

from network import ids
from network.errors import InvariantBroken
from network.model import IMMEDIATELY, AccountKind, Entry, EntryKind, Posting, Unit
from partners.model import Participant

Tags = Sequence[tuple[str, str | int | date]]


class Owner(Enum):
    """Whose an account is, below its issuer."""

    NOBODY = 0
    ACCEPTOR = 1
    MEMBER = 2


class Place(msgspec.Struct, frozen=True):
    """Where a kind of account stands in the chart."""

    root: str
    name: str
    owner: Owner


_CHART = {
    AccountKind.ISSUED: Place("Expenses", "Issued", Owner.NOBODY),
    AccountKind.MEMBER: Place("Liabilities", "Members", Owner.MEMBER),
    AccountKind.ACCEPTED: Place("Income", "Accepted", Owner.ACCEPTOR),
    AccountKind.LAPSED: Place("Income", "Lapsed", Owner.NOBODY),
    AccountKind.HELD: Place("Liabilities", "Held", Owner.MEMBER),
    AccountKind.VOUCHER: Place("Liabilities", "Vouchers", Owner.MEMBER),
    AccountKind.PENDING: Place("Liabilities", "Pending", Owner.MEMBER),
    AccountKind.STAKED: Place("Liabilities", "Staked", Owner.NOBODY),
    AccountKind.DEFICIT: Place("Assets", "Deficit", Owner.MEMBER),
    AccountKind.TRANSIT: Place("Liabilities", "Transit", Owner.NOBODY),
}
"""Two members' entries are the two sides of TRANSIT: it is at zero for both together, so it is nobody's."""
_COMMODITIES = {Unit.POINTS: "PTS", Unit.BONUS: "VALUE-BONUS", Unit.FEE: "PLAN-FEE"}


def place(kind: AccountKind) -> Place:
    """A kind's place."""
    return _CHART[kind]


def commodity(unit: Unit) -> str:
    """What a unit is called."""
    return _COMMODITIES.get(unit) or unit.name.replace("_", "-")


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What names an account. `owner_id`: the member or the acceptor; None where the account has neither."""

    kind: AccountKind
    issuer_id: int
    owner_id: int | None = None


class Movement(msgspec.Struct, frozen=True):
    """A posting and what it counts."""

    posting: Posting
    unit: Unit


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as it is exported, with all its postings and the business date of its window."""

    entry: Entry
    business_date: date
    movements: Sequence[Movement]


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says an issuer's accounts of one kind hold together; debits less credits."""

    kind: AccountKind
    issuer_id: int
    unit: Unit
    points: int


class Line(msgspec.Struct, frozen=True):
    """Half of a posting: an account and what is added to it."""

    account: str
    points: int
    commodity: str
    tags: Tags


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """A record in neither format yet. `links`: public ids of the other entries it is about, and how."""

    on: date
    entry_id: str
    links: Sequence[tuple[str, str]]
    kind: str
    payee: str
    reference: str
    tags: Tags
    lines: Sequence[Line]


class Names:
    """Participants as parts of account names: a letter or digit first, then letters, digits and hyphens."""

    def __init__(self, participants: Iterable[Participant]) -> None:
        self._codes = {one.partner_id: one.code for one in participants}
        self._parts = {partner_id: _part(partner_id, code) for partner_id, code in self._codes.items()}

    def part(self, partner_id: int) -> str:
        """A participant's part of an account's name.

        Raises:
            InvariantBroken: the ledger names a participant that there is not.
        """
        return self._of(self._parts, partner_id)

    def code(self, partner_id: int) -> str:
        """A participant's code as it is.

        Raises:
            InvariantBroken: the ledger names a participant that there is not.
        """
        return self._of(self._codes, partner_id)

    def legend(self) -> list[tuple[str, int, str]]:
        """Part, number and code of all participants, by number."""
        return [(self._parts[number], number, self._codes[number]) for number in sorted(self._codes)]

    def account(self, side: Side) -> str:
        """The full name of an account."""
        group = self.group(side)
        if side.owner_id is None:
            return group
        owner = place(side.kind).owner
        return f"{group}:M{side.owner_id}" if owner is Owner.MEMBER else f"{group}:{self.part(side.owner_id)}"

    def group(self, side: Side | Total) -> str:
        """The account above all accounts of a kind and issuer."""
        at = place(side.kind)
        return f"{at.root}:{at.name}:{self.part(side.issuer_id)}"

    @staticmethod
    def _of(table: Mapping[int, str], partner_id: int) -> str:
        found = table.get(partner_id)
        if found is None:
            raise InvariantBroken(
                f"the ledger names participant {partner_id}, and there is none: run `tessera verify`"
            )
        return found


def _part(partner_id: int, code: str) -> str:
    # A plain code only gets a capital. Any other gets its number first, so that no two become the same.
    if re.fullmatch("[a-z][a-z0-9-]*", code):
        return code.capitalize()
    return f"{partner_id}-{re.sub('[^A-Za-z0-9-]', '-', code)}"


def side_of(kind: AccountKind, member_id: int, posting: Posting) -> Side:
    """One of the two accounts a posting moves points between.

    Raises:
        InvariantBroken: points were accepted, and the posting does not say by whom.
    """
    owner = place(kind).owner
    if owner is Owner.ACCEPTOR and posting.acceptor_id is None:
        raise InvariantBroken(
            f"a posting of member {member_id} names {kind.name}, but no acceptor: run `tessera verify`"
        )
    owner_id = {Owner.NOBODY: None, Owner.ACCEPTOR: posting.acceptor_id, Owner.MEMBER: member_id}[owner]
    return Side(kind=kind, issuer_id=posting.issuer_id, owner_id=owner_id)


def transaction(record: Record, names: Names) -> Transaction:
    """A record with its accounts named and its lines in order: each posting's debit, then its credit."""
    entry = record.entry
    return Transaction(
        on=record.business_date,
        entry_id=ids.show("ent", entry.entry_id),
        links=[
            (name, ids.show("ent", other))
            for name, other in (
                ("reverses", entry.reverses),
                ("accrual" if entry.kind is EntryKind.RELEASE else "hold", entry.hold_id),
                ("parent", entry.parent_id),
            )
            if other is not None
        ],
        kind=_word(entry.kind.name),
        payee=names.code(entry.partner_id),
        reference=entry.reference,
        tags=_entry_tags(entry),
        lines=[
            Line(
                names.account(side_of(kind, entry.member_id, one.posting)), points, commodity(one.unit), tags
            )
            for one in record.movements
            for tags in (_lot_tags(one.posting, names),)
            for kind, points in (
                (one.posting.debit, one.posting.points),
                (one.posting.credit, -one.posting.points),
            )
        ],
    )


def _entry_tags(entry: Entry) -> Tags:
    tags: list[tuple[str, str | int | date]] = [("member", f"M{entry.member_id}")]
    if entry.counterpart_id is not None:
        tags.append(("counterpart", f"M{entry.counterpart_id}"))
    if entry.outlet_code is not None:
        tags.append(("outlet", entry.outlet_code))
    if entry.currency is not None:
        tags += [("amount-minor", entry.amount_minor), ("currency", entry.currency)]
    return [
        *tags,
        ("balance", entry.balance_after),
        ("programme", entry.programme_version),
        ("occurred", _instant(entry.occurred_at)),
        ("recorded", _instant(entry.recorded_at)),
    ]


def lot_name(posting: Posting, names: Names) -> str:
    """A lot: issuer, terms version and expiry; and for points that were pending, since when they are not."""
    lot = f"{names.part(posting.issuer_id)}/{posting.issuer_terms}/{posting.expires_on}"
    return lot if posting.spendable_on == IMMEDIATELY else f"{lot}/{posting.spendable_on}"


def _lot_tags(posting: Posting, names: Names) -> Tags:
    tags: list[tuple[str, str | int | date]] = [
        ("lot", lot_name(posting, names)),
        ("expires", posting.expires_on),
    ]
    if posting.acceptor_terms is not None:
        tags.append(("acceptor-terms", posting.acceptor_terms))
    if posting.category:
        tags.append(("category", posting.category))
    if posting.reversed_window_id is not None:
        tags.append(("reversed-window", posting.reversed_window_id))
    if posting.contributor_id is not None:
        tags.append(("contributor", f"M{posting.contributor_id}"))
    return tags


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _word(name: str) -> str:
    return name.lower().replace("_", "-")


class Format(Protocol):
    """How a tool wants it written. Each text ends with a line feed, and no text depends on another."""

    def opening(self, names: Names, first: date, last: date) -> str:
        """What a file begins with; its business dates run from `first` to `last`."""

    def account(self, name: str, first: date) -> str:
        """Declare an account."""

    def transaction(self, given: Transaction) -> str:
        """Write a transaction; without lines it has no effect, and is there so that nothing is lost."""

    def totals(self, totals: Sequence[Total], names: Names, last: date) -> str:
        """State what the accounts hold at the end, for the tool to check."""


_TITLE = "Points ledger, business dates {first} to {last}"
_EXPLAINED = (
    "; Points in PTS: + is debit, - is credit. Accounts are <root>:<kind>:<issuer>[:<member or acceptor>].\n"
    "; A lot is <issuer>/<its terms version>/<expiry>[/<spendable from>].\n"
    "; Expiry 9999-12-31 is never, 9999-12-30 as long as its account is active.\n"
)


def _legend(names: Names) -> str:
    return _EXPLAINED + "".join(
        f"; {part} is participant {number}, code {_percent(code)}\n" for part, number, code in names.legend()
    )


class Beancount:
    """The language of beancount 2 and 3."""

    def opening(self, names: Names, first: date, last: date) -> str:
        """Title, legend and commodities."""
        lines = [f'option "title" "{_TITLE.format(first=first, last=last)}"\n']
        lines += [f'option "operating_currency" "{commodity(Unit.POINTS)}"\n', _legend(names)]
        lines += [f"{first} commodity {commodity(unit)}\n" for unit in Unit]
        return "".join(lines)

    def account(self, name: str, first: date) -> str:
        """An account opens on the first date of the file."""
        return f"{first} open {name}\n"

    def transaction(self, given: Transaction) -> str:
        """The entry's id is a link; what reverses, captures or releases it has it too, and its transfers."""
        links = "".join(f" ^{other}" for _, other in given.links)
        head = (
            f'\n{given.on} * {_string(given.payee)} "{given.kind}" #{given.kind} ^{given.entry_id}{links}\n'
        )
        return "".join(
            [
                head,
                f"  reference: {_string(given.reference)}\n",
                *(f"  {name}: {_value(value)}\n" for name, value in given.tags),
                *(
                    f"  {line.account}  {line.points} {line.commodity}\n"
                    + "".join(f"    {name}: {_value(value)}\n" for name, value in line.tags)
                    for line in given.lines
                ),
            ]
        )

    def totals(self, totals: Sequence[Total], names: Names, last: date) -> str:
        """A balance holds from the beginning of its day, and with the accounts below."""
        after = date.fromordinal(last.toordinal() + 1)
        return "\n" + "".join(
            f"{after} balance {names.group(one)}  {one.points} {commodity(one.unit)}\n" for one in totals
        )


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(value: str | int | date) -> str:
    return _string(value) if isinstance(value, str) else str(value)


class Hledger:
    """The language of hledger 1. It cannot quote, so what it would misread in texts is percent-encoded."""

    def opening(self, names: Names, first: date, last: date) -> str:
        """Title, legend and commodities."""
        commodities = "".join(f"commodity 1000. {_symbol(commodity(unit))}\n" for unit in Unit)
        return f"; {_TITLE.format(first=first, last=last)}\n{_legend(names)}{commodities}"

    def account(self, name: str, first: date) -> str:
        """Declared, so that `hledger check --strict` passes."""
        return f"account {name}\n"

    def transaction(self, given: Transaction) -> str:
        """The reference is the transaction's code; all else is tags."""
        links = "".join(f", {name}:{other}" for name, other in given.links)
        code = f"({_percent(given.reference)}) " if given.reference else ""
        return "".join(
            [
                f"\n{given.on} * {code}{_percent(given.payee)} | {given.kind}\n",
                f"    ; entry:{given.entry_id}, kind:{given.kind}{links}\n",
                f"    ; {_tags(given.tags)}\n",
                *(
                    f"    {line.account}  {line.points} {_symbol(line.commodity)}  ; {_tags(line.tags)}\n"
                    for line in given.lines
                ),
            ]
        )

    def totals(self, totals: Sequence[Total], names: Names, last: date) -> str:
        """Assertions (=* counts the accounts below in) on a transaction that moves nothing."""
        lines = (
            f"    {names.group(one)}  0 {symbol} =* {one.points} {symbol}\n"
            for one in totals
            for symbol in (_symbol(commodity(one.unit)),)
        )
        return f"\n{last} * totals of this file, summed by the database\n" + "".join(lines)


_KEPT = " !\"#$&'*+-./:<=>?@\\^_`{|}~"
"""Kept as they are, as letters and digits are. Not %, nor what ends a code or a tag or begins a comment."""


def _percent(text: str) -> str:
    kept = _KEPT if text == text.strip() else _KEPT.replace(" ", "")
    return quote(text, safe=kept)


def _tags(tags: Tags) -> str:
    return ", ".join(f"{name}:{_percent(value) if isinstance(value, str) else value}" for name, value in tags)


def _symbol(name: str) -> str:
    return name if name.isalpha() else f'"{name}"'


FORMATS: Mapping[str, Format] = {"beancount": Beancount(), "hledger": Hledger()}
