"""Laws of the journal: any text survives beancount's parser, names never meet, transactions balance."""

from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from urllib.parse import unquote
from uuid import UUID

from beancount.core import account, data
from beancount.parser import parser
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from network.journal import FORMATS, Movement, Names, Record, transaction
from network.model import AccountKind, Entry, EntryKind, Posting, Unit
from partners.model import Participant
from tests.journal_readers import read_hledger, read_transaction

ON = date(2017, 6, 1)
NAMES = Names([Participant(partner_id=number, code=f"p{number}", name="A partner") for number in (11, 12)])
ENTRY = Entry(
    entry_id=UUID(int=1),
    member_id=42,
    kind=EntryKind.ACCRUAL,
    partner_id=11,
    reference="r",
    window_id=20170601,
    programme_version=1,
    points=0,
    balance_after=0,
    amount_minor=1,
    currency="USD",
    outlet_code="main",
    occurred_at=datetime(2017, 6, 1, tzinfo=UTC),
    recorded_at=datetime(2017, 6, 1, tzinfo=UTC),
)

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
"""All that a reference or an outlet's code may be made of, and spaces."""
codes = st.one_of(
    st.text("abAB1-_", min_size=1, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
)
kinds = st.sampled_from(AccountKind)


@st.composite
def postings(draw: st.DrawFn) -> Posting:
    """Any movement between two different kinds of account."""
    debit, credit = draw(st.tuples(kinds, kinds).filter(lambda pair: pair[0] is not pair[1]))
    return Posting(
        line=1,
        debit=debit,
        credit=credit,
        points=draw(st.integers(1, 2**53)),
        issuer_id=draw(st.sampled_from([11, 12])),
        issuer_terms=1,
        spendable_on=draw(st.sampled_from([date(1970, 1, 1), ON])),
        expires_on=draw(st.sampled_from([date(2017, 8, 31), date(9999, 12, 31)])),
        acceptor_id=12,
        acceptor_terms=1,
        window_id=20170601,
    )


def record(entry: Entry, *moved: Posting) -> Record:
    """An entry of 1 June."""
    return Record(entry=entry, business_date=ON, movements=[Movement(one, Unit.POINTS) for one in moved])


@given(reference=printable, outlet=printable)
def test_any_text_survives_beancount(reference: str, outlet: str) -> None:
    """Quotes, semicolons, backslashes, pipes and all: the parser gives back what the till sent."""
    given_entry = replace(ENTRY, reference=reference, outlet_code=outlet)
    written = FORMATS["beancount"].transaction(transaction(record(given_entry), NAMES))
    entries, errors, _ = parser.parse_string(written)
    assert errors == []
    [read] = entries
    assert (read.meta["reference"], read.meta["outlet"]) == (reference, outlet)


@settings(max_examples=20, deadline=None)  # each starts a program
@given(st.lists(st.tuples(printable, printable), min_size=1, max_size=100))
def test_any_text_survives_hledger(texts: list[tuple[str, str]]) -> None:
    """The same for hledger, once the percent-encoding is undone."""
    moved = postings_of_one_point()
    written = "".join(
        FORMATS["hledger"].transaction(
            transaction(record(replace(ENTRY, reference=reference, outlet_code=outlet), moved), NAMES)
        )
        for reference, outlet in texts
    )
    with TemporaryDirectory() as folder:
        rows = read_hledger(written, Path(folder)).rows("print")[::2]
    assert [unquote(row["code"]) for row in rows] == [reference for reference, _ in texts]
    outlets = [row["comment"].partition("outlet:")[2].partition(",")[0] for row in rows]
    assert [unquote(one) for one in outlets] == [outlet for _, outlet in texts]


def postings_of_one_point() -> Posting:
    """One point from issuer to member."""
    return Posting(
        line=1,
        debit=AccountKind.ISSUED,
        credit=AccountKind.MEMBER,
        points=1,
        issuer_id=11,
        issuer_terms=1,
        spendable_on=date(1970, 1, 1),
        expires_on=date(2017, 8, 31),
        window_id=20170601,
    )


@given(st.lists(codes, unique=True, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_participants_never_share_a_name(different: list[str], chance: Random) -> None:
    """However alike their codes are, their parts of account names differ, and beancount takes them."""
    numbers = chance.sample(range(1, 1000), len(different))
    names = Names(
        Participant(partner_id=number, code=code, name="n")
        for number, code in zip(numbers, different, strict=True)
    )
    parts = [names.part(number) for number in numbers]
    assert len(set(parts)) == len(parts)
    assert all(account.is_valid(f"Income:Accepted:{part}") for part in parts)


@given(st.lists(postings(), max_size=6))
def test_every_transaction_balances(moved: list[Posting]) -> None:
    """Each posting is two lines that cancel out; parsed again, nothing has changed."""
    neutral = transaction(record(ENTRY, *moved), NAMES)
    assert [line.points for line in neutral.lines[::2]] == [one.points for one in moved]
    assert [line.points for line in neutral.lines[1::2]] == [-one.points for one in moved]
    entries, errors, _ = parser.parse_string(FORMATS["beancount"].transaction(neutral))
    assert errors == []
    [read] = entries
    assert isinstance(read, data.Transaction)
    assert [(line.account, line.points) for line in read_transaction(read).lines] == [
        (line.account, line.points) for line in neutral.lines
    ]
