"""What a journal looks like, to the byte, and how accounts are named; literals in, literals out."""

import re
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from beancount.core import account
from beancount.core.amount import CURRENCY_RE
from msgspec.structs import replace

from network.errors import InvariantBroken
from network.journal import (
    FORMATS,
    Movement,
    Names,
    Owner,
    Record,
    Side,
    Total,
    commodity,
    place,
    transaction,
)
from network.model import AccountKind, Entry, EntryKind, Posting, Unit
from partners.model import Participant

ON, LAST = date(2017, 6, 1), date(2017, 6, 30)
NAMES = Names(
    [
        Participant(partner_id=11, code="grocer", name="The grocer"),
        Participant(partner_id=12, code="Petrol & more", name="The petrol chain"),
    ]
)


def posting(line: int, debit: AccountKind, credit: AccountKind, points: int) -> Posting:
    """A movement of the petrol chain's points at the grocer."""
    return Posting(
        line=line,
        debit=debit,
        credit=credit,
        points=points,
        issuer_id=12,
        issuer_terms=3,
        spendable_on=date(1970, 1, 1),
        expires_on=date(2017, 8, 31),
        acceptor_id=11,
        acceptor_terms=2,
        category=5,
        window_id=20170601,
        reversed_window_id=20170531,
    )


def record(*postings: Posting, reference: str = 'x"1;\\', reverses: UUID | None = None) -> Record:
    """An entry of member 42 at the grocer."""
    entry = Entry(
        entry_id=UUID(int=0x015C1),
        member_id=42,
        kind=EntryKind.REVERSAL,
        partner_id=11,
        reference=reference,
        window_id=20170601,
        programme_version=1,
        points=0,
        balance_after=7,
        amount_minor=1299,
        currency="USD",
        outlet_code="main,1",
        occurred_at=datetime(2017, 6, 1, 9, tzinfo=UTC),
        recorded_at=datetime(2017, 6, 1, 9, 0, 1, 5000, tzinfo=UTC),
        reverses=reverses,
    )
    return Record(entry=entry, business_date=ON, movements=[Movement(one, Unit.POINTS) for one in postings])


GIVEN_BACK = record(posting(1, AccountKind.ACCEPTED, AccountKind.MEMBER, 10), reverses=UUID(int=0x015C0))


THIS, UNDONE = "ent_000000000000000000000000000015c1", "ent_000000000000000000000000000015c0"


def test_a_transaction_as_beancount_reads_it() -> None:
    """Two lines with opposite signs, both with their lot; text escaped; the reversed entry as a link."""
    lot = [
        '    lot: "12-Petrol---more/3/2017-08-31"',
        "    expires: 2017-08-31",
        "    acceptor-terms: 2",
        "    category: 5",
        "    reversed-window: 20170531",
    ]
    assert FORMATS["beancount"].transaction(transaction(GIVEN_BACK, NAMES)).split("\n") == [
        "",
        f'2017-06-01 * "grocer" "reversal" #reversal ^{THIS} ^{UNDONE}',
        r'  reference: "x\"1;\\"',
        '  member: "M42"',
        '  outlet: "main,1"',
        "  amount-minor: 1299",
        '  currency: "USD"',
        "  balance: 7",
        "  programme: 1",
        '  occurred: "2017-06-01T09:00:00Z"',
        '  recorded: "2017-06-01T09:00:01.005000Z"',
        "  Income:Accepted:12-Petrol---more:Grocer  10 PTS",
        *lot,
        "  Liabilities:Members:12-Petrol---more:M42  -10 PTS",
        *lot,
        "",
    ]


def test_a_transaction_as_hledger_reads_it() -> None:
    """The same; what hledger would misread is percent-encoded, in the code and in tags."""
    lot = (
        "  ; lot:12-Petrol---more/3/2017-08-31, expires:2017-08-31, acceptor-terms:2, category:5,"
        " reversed-window:20170531"
    )
    tags = (
        "    ; member:M42, outlet:main%2C1, amount-minor:1299, currency:USD, balance:7, programme:1,"
        " occurred:2017-06-01T09:00:00Z, recorded:2017-06-01T09:00:01.005000Z"
    )
    assert FORMATS["hledger"].transaction(transaction(GIVEN_BACK, NAMES)).split("\n") == [
        "",
        '2017-06-01 * (x"1%3B\\) grocer | reversal',
        f"    ; entry:{THIS}, kind:reversal, reverses:{UNDONE}",
        tags,
        f"    Income:Accepted:12-Petrol---more:Grocer  10 PTS{lot}",
        f"    Liabilities:Members:12-Petrol---more:M42  -10 PTS{lot}",
        "",
    ]


def passed_on() -> Record:
    """Member 42's side of another member's redemption."""
    given = record(replace(posting(1, AccountKind.MEMBER, AccountKind.TRANSIT, 10), contributor_id=43))
    entry = replace(
        given.entry,
        kind=EntryKind.TRANSFER,
        reference="transfer 15c0",
        amount_minor=0,
        currency=None,
        outlet_code=None,
        parent_id=UUID(int=0x015C0),
        counterpart_id=43,
    )
    return replace(given, entry=entry)


def test_what_passes_between_members_says_with_whom() -> None:
    """The transfer's parent is a link, its counterpart a tag, and so is whose points a line moved."""
    written = FORMATS["beancount"].transaction(transaction(passed_on(), NAMES))
    assert f'"transfer" #transfer ^{THIS} ^{UNDONE}\n' in written
    assert '  counterpart: "M43"\n' in written
    assert "  Liabilities:Transit:12-Petrol---more  -10 PTS\n" in written
    assert '    contributor: "M43"\n' in written
    written = FORMATS["hledger"].transaction(transaction(passed_on(), NAMES))
    assert f"; entry:{THIS}, kind:transfer, parent:{UNDONE}\n" in written
    assert "; member:M42, counterpart:M43, balance:7" in written
    assert "Liabilities:Transit:12-Petrol---more  -10 PTS" in written
    assert ", contributor:M43\n" in written


def test_a_release_names_its_accrual_and_a_capture_its_hold() -> None:
    """One field in the ledger, two names for readers."""
    for kind, name in ((EntryKind.RELEASE, "accrual"), (EntryKind.CAPTURE, "hold")):
        given = record(posting(1, AccountKind.PENDING, AccountKind.MEMBER, 10))
        given = replace(given, entry=replace(given.entry, kind=kind, hold_id=UUID(int=0x015C0)))
        assert transaction(given, NAMES).links == [(name, UNDONE)]


def test_what_members_owe_is_an_asset() -> None:
    """So that all under Liabilities is what is outstanding."""
    given = record(posting(1, AccountKind.DEFICIT, AccountKind.ISSUED, 10))
    assert [(line.account, line.points) for line in transaction(given, NAMES).lines] == [
        ("Assets:Deficit:12-Petrol---more:M42", 10),
        ("Expenses:Issued:12-Petrol---more", -10),
    ]


def test_totals_are_stated_after_the_last_day() -> None:
    """Beancount's balance holds from the beginning of its day; hledger's assertion at the end of the file."""
    totals = [Total(kind=AccountKind.MEMBER, issuer_id=11, unit=Unit.POINTS, points=-70)]
    assert FORMATS["beancount"].totals(totals, NAMES, LAST) == (
        "\n2017-07-01 balance Liabilities:Members:Grocer  -70 PTS\n"
    )
    assert FORMATS["hledger"].totals(totals, NAMES, LAST) == (
        "\n2017-06-30 * totals of this file, summed by the database\n"
        "    Liabilities:Members:Grocer  0 PTS =* -70 PTS\n"
    )


def test_points_that_were_pending_say_since_when_they_are_not() -> None:
    """Two lots that differ only in when they could be spent are two lots."""
    pending = replace(posting(1, AccountKind.ISSUED, AccountKind.MEMBER, 10), spendable_on=date(2017, 6, 15))
    [line, _] = transaction(record(pending), NAMES).lines
    assert dict(line.tags)["lot"] == "12-Petrol---more/3/2017-08-31/2017-06-15"


@pytest.mark.parametrize("kind", AccountKind)
def test_every_kind_of_account_has_a_name_that_beancount_takes(kind: AccountKind) -> None:
    """All of them; no two are called the same."""
    owner_id = {Owner.NOBODY: None, Owner.ACCEPTOR: 12, Owner.MEMBER: 42}[place(kind).owner]
    assert account.is_valid(NAMES.account(Side(kind=kind, issuer_id=12, owner_id=owner_id)))
    assert [place(other).name for other in AccountKind].count(place(kind).name) == 1


@pytest.mark.parametrize("unit", Unit)
def test_every_unit_is_a_commodity_that_beancount_takes(unit: Unit) -> None:
    """Points are PTS; others are called as we call them."""
    assert re.fullmatch(CURRENCY_RE, commodity(unit))


def test_a_ledger_that_cannot_be_named_is_not_exported() -> None:
    """A participant that there is not, or points accepted by nobody: broken, and named."""
    accepted = posting(1, AccountKind.MEMBER, AccountKind.ACCEPTED, 10)
    with pytest.raises(InvariantBroken, match="names participant 99"):
        transaction(record(replace(accepted, issuer_id=99)), NAMES)
    with pytest.raises(InvariantBroken, match="member 42 names ACCEPTED, but no acceptor"):
        transaction(record(replace(accepted, acceptor_id=None)), NAMES)
