"""Statements are read to the letter, and what contradicts itself, or means harm, is refused as a whole."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from settlement.bank.camt import read_statements
from settlement.bank.errors import StatementRefused
from settlement.bank.model import Transaction
from settlement.bank.tree import MOST_BYTES
from tests.pretend_bank import Entry, Part, PretendBank, camt_schema, file_text, statement_text

IBAN = "DE89370400440532013000"
OTHER = "FR1420041010050500013M02606"
ON = date(2017, 5, 4)


def statement(*entries: Entry, opening: str = "100.00", closing: str | None = None, **given: str) -> str:
    """A statement of our euro account; it closes with what it should, where nothing else is said."""
    total = Decimal(opening) + sum((one.amount for one in entries if one.status == "BOOK"), Decimal(0))
    return statement_text(
        statement_id=given.get("statement_id", "S1"),
        iban=given.get("iban", IBAN),
        currency=given.get("currency", "EUR"),
        opening=Decimal(opening),
        closing=total if closing is None else Decimal(closing),
        entries=list(entries),
        page=given.get("page", ""),
    )


def valid(*statements: str) -> bytes:
    """A file that the standard's schema finds valid."""
    data = file_text(*statements)
    camt_schema().validate(data.decode())
    return data


def test_a_statement_is_read_whole() -> None:
    """Balances, dates, who paid, what for, and why something came back."""
    data = valid(
        statement(
            Entry(
                amount=Decimal("154.32"),
                bank_reference="B-1",
                parts=(
                    Part(
                        amount=Decimal("154.32"),
                        end_to_end_id="NOTPROVIDED",
                        reference="RF18539007547034",
                        text="May & <June>",
                        name="A grocer",
                        iban=OTHER,
                    ),
                ),
            ),
            Entry(
                amount=Decimal("404.52"),
                parts=(Part(amount=Decimal("404.52"), end_to_end_id="W1", returned="AC04"),),
            ),
        )
    )
    [read] = read_statements(data)
    assert (read.statement_id, read.page, read.iban, read.currency) == ("S1", 1, IBAN, "EUR")
    assert (read.opening_minor, read.opening_on) == (10000, ON)
    assert (read.closing_minor, read.closing_on) == (65884, ON)
    assert read.created_at == datetime(2017, 5, 4, 4, tzinfo=UTC)
    assert read.transactions == (
        Transaction(
            entry=1,
            detail=1,
            amount_minor=15432,
            currency="EUR",
            booked_on=ON,
            value_on=ON,
            bank_reference="B-1",
            references=("RF18539007547034",),
            other_name="A grocer",
            other_iban=OTHER,
            text="May & <June>",
        ),
        Transaction(
            entry=2,
            detail=1,
            amount_minor=40452,
            currency="EUR",
            booked_on=ON,
            value_on=ON,
            end_to_end_id="W1",
            returned=True,
            reason="AC04",
        ),
    )


def test_an_entry_is_split_into_its_parts() -> None:
    """A batch with details is one transaction each; a single detail may leave its amount to the entry."""
    parts = (Part(amount=Decimal("1.50"), end_to_end_id="A"), Part(amount=Decimal("2.25"), end_to_end_id="B"))
    tx_amount = Part(amount=None, tx_amount=Decimal("7.00"), end_to_end_id="D")
    data = valid(
        statement(
            Entry(amount=Decimal("-3.75"), parts=parts),
            Entry(amount=Decimal("-9.00"), parts=(Part(amount=None, end_to_end_id="C"),)),
            Entry(
                amount=Decimal("-8.00"), parts=(tx_amount, Part(amount=Decimal("1.00"), end_to_end_id="E"))
            ),
        )
    )
    [read] = read_statements(data)
    assert [(one.entry, one.detail, one.amount_minor, one.end_to_end_id) for one in read.transactions] == [
        (1, 1, -150, "A"),
        (1, 2, -225, "B"),
        (2, 1, -900, "C"),
        (3, 1, -700, "D"),
        (3, 2, -100, "E"),
    ]


def test_a_group_booked_in_one_sum_keeps_its_name() -> None:
    """Without details, the group that the bank names is all that is known."""
    [read] = read_statements(valid(statement(Entry(amount=Decimal("-9.00"), batch=("GROUP-1", 3)))))
    [one] = read.transactions
    assert (one.amount_minor, one.batch_id, one.batch_count, one.end_to_end_id) == (-900, "GROUP-1", 3, "")


def test_a_reversal_is_known_and_its_side_is_the_entry_s() -> None:
    """An entry that undoes another says so; its own side is which way the money went."""
    data = valid(
        statement(Entry(amount=Decimal("-5.00"), reversal=True, parts=(Part(amount=Decimal("5.00")),)))
    )
    [read] = read_statements(data)
    assert [(one.amount_minor, one.returned) for one in read.transactions] == [(-500, True)]


def test_what_is_not_booked_is_not_read() -> None:
    """Entries that are pending or for information move nothing; nor do entries of nothing."""
    data = valid(
        statement(
            Entry(amount=Decimal("5.00"), status="PDNG"),
            Entry(amount=Decimal("5.00"), status="INFO"),
            Entry(amount=Decimal(0)),
        )
    )
    [read] = read_statements(data)
    assert read.transactions == ()
    assert read.opening_minor == read.closing_minor == 10000


def test_a_file_may_have_several_statements_and_pages() -> None:
    """Accounts, days and pages each have their own statement; the same one twice is refused."""
    page = "<StmtPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>"
    data = valid(
        statement(),
        statement(page=page),
        statement(currency="JPY", opening="50", iban=OTHER),
        statement(opening="-3.25", statement_id="S2"),
    )
    assert [
        (one.statement_id, one.page, one.iban, one.currency, one.opening_minor)
        for one in read_statements(data)
    ] == [
        ("S1", 1, IBAN, "EUR", 10000),
        ("S1", 2, IBAN, "EUR", 10000),
        ("S1", 1, OTHER, "JPY", 50),
        ("S2", 1, IBAN, "EUR", -325),
    ]
    with pytest.raises(StatementRefused, match="twice"):
        read_statements(file_text(statement(), statement()))


def test_references_in_free_text_are_found() -> None:
    """A payer without a field for references types it into the text."""
    part = Part(amount=Decimal("1.00"), text="for RF18 5390 0754 7034 thanks")
    [read] = read_statements(valid(statement(Entry(amount=Decimal("1.00"), parts=(part,)))))
    assert read.transactions[0].references == ("RF18539007547034",)


GOOD = statement(
    Entry(amount=Decimal("10.00"), parts=(Part(amount=Decimal("4.00")), Part(amount=Decimal("6.00")))),
    Entry(amount=Decimal("-2.50")),
)
FOREIGN = (Part(amount=Decimal("4.00"), currency="USD"), Part(amount=Decimal("6.00")))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (statement(Entry(amount=Decimal("5.00")), closing="105.01"), "does not add up"),
        (GOOD.replace(">4.00<", ">4.01<"), "entry 1: its parts come to 10.01, the entry to 10.00"),
        (GOOD.replace(">10.00<", ">-10.00<", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">+10.00<", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">1e1<", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">10,00<", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">NaN<", 1), "is no amount"),
        (GOOD.replace(">10.00<", "><", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">\u0661\u0660.00<", 1), "is no amount"),
        (GOOD.replace(">10.00<", ">10.005<", 1), "more decimals than EUR"),
        (GOOD.replace(">10.00<", ">99999999999999.99<", 1), "more than any account"),
        (GOOD.replace("<Cd>BOOK</Cd>", "<Cd>XXXX</Cd>", 1), "status is 'XXXX'"),
        (GOOD.replace("<CdtDbtInd>DBIT</CdtDbtInd>", "<CdtDbtInd>BOTH</CdtDbtInd>"), "neither CRDT nor DBIT"),
        (GOOD.replace("OPBD", "XPCD"), "no balance OPBD or PRCD"),
        (GOOD.replace("CLBD", "CLAV"), "no balance CLBD"),
        (GOOD.replace("CLBD", "OPBD"), "2 times"),
        (GOOD.replace(IBAN, "DE89370400440532013001"), "not named by an IBAN"),
        (GOOD.replace("<IBAN>" + IBAN + "</IBAN>", "<Othr><Id>12</Id></Othr>"), "not named by an IBAN"),
        (GOOD.replace("<Dt>2017-05-04</Dt></BookgDt>", "<Dt>2017-05-34</Dt></BookgDt>"), "is no date"),
        (GOOD.replace("<CreDtTm>2017-05-04T04", "<CreDtTm>2017-05-04T44"), "is no time"),
        (GOOD.replace("<Id>S1</Id>", ""), "has no Id"),
        (statement(Entry(amount=Decimal("10.00"), currency="USD")), "is in USD, its account in EUR"),
        (statement(Entry(amount=Decimal("10.00"), parts=FOREIGN)), "part 1 is in USD, its account in EUR"),
        (GOOD.replace('<Amt Ccy="EUR">4.00</Amt>', ""), "part 1 has no amount"),
        (GOOD.replace(' Ccy="EUR">10.00', ">10.00"), "is no currency"),
    ],
)
def test_a_statement_that_is_not_true_is_refused(broken: str, said: str) -> None:
    """Whatever is wrong is named with its place, and nothing of the file is taken."""
    assert broken != GOOD
    with pytest.raises(StatementRefused, match=said):
        read_statements(file_text(statement(statement_id="S0"), broken))


def test_the_summary_must_agree() -> None:
    """A bank's own totals, where it sends them, are held against its entries."""
    bank = PretendBank(IBAN, "EUR")
    bank.book(Entry(amount=Decimal("5.00")))
    bank.book(Entry(amount=Decimal("-3.00")))
    text = bank.statement()
    [read] = read_statements(valid(text))
    assert len(read.transactions) == 2
    for wrong in (
        text.replace("<Sum>5.00</Sum>", "<Sum>5.01</Sum>"),
        text.replace("<NbOfNtries>1<", "<NbOfNtries>2<", 1),
    ):
        assert wrong != text
        with pytest.raises(StatementRefused, match="its summary says TtlCdtNtries"):
            read_statements(file_text(wrong))


BILLION_LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol2 "&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;">
<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&lol3;</Document>"""
READS_FILES = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">&x;</Document>"""
GOOD_FILE = file_text(GOOD)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no whole XML"),
        (b"\x00", "no whole XML"),
        (b"not XML", "no whole XML"),
        (b"<a/>", "ask the bank for statements as camt.053.001.08"),
        (GOOD_FILE.replace(b"camt.053.001.08", b"camt.053.001.02"), "ask the bank for statements"),
        (GOOD_FILE[:-1], "no whole XML"),
        (GOOD_FILE[: len(GOOD_FILE) // 2], "no whole XML"),
        (GOOD_FILE + b"<x/>", "no whole XML"),
        (GOOD_FILE.replace(b"Stmt>", b"Stnt>"), "no BkToCstmrStmt|no statement"),
        (BILLION_LAUGHS, "document type"),
        (READS_FILES, "document type"),
        (b'<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><a/>', "document type"),
        (b"<a>&b;</a>", "no whole XML"),
        (GOOD_FILE.decode().encode("utf-16"), "no UTF-8"),
        (GOOD_FILE.replace(b"S1", b"S\xe4"), "no UTF-8"),
        (GOOD_FILE.replace(b"S1", b"S\xed\xa0\x80"), "no UTF-8"),
        (b"<a>" * 65, "levels"),
        (b"<a>" + b"<b/>" * 1_000_000, "elements"),
        (b" " * (MOST_BYTES + 1), "up to 16,777,216 are read"),
    ],
    ids=lambda given: repr(given[:24]),
)
def test_files_that_mean_harm_are_refused(data: bytes, said: str) -> None:
    """Bombs, foreign encodings, torn and other files end in one clear refusal, never in anything else."""
    with pytest.raises(StatementRefused, match=said):
        read_statements(data)


def test_a_byte_order_mark_and_another_named_encoding_do_no_harm() -> None:
    """The bytes are UTF-8, whatever a file says of itself."""
    expected = read_statements(GOOD_FILE)
    assert read_statements(b"\xef\xbb\xbf" + GOOD_FILE) == expected
    for named in (b"UTF-16", b"ISO-8859-1", b"utf-7", b"klingon"):
        assert read_statements(GOOD_FILE.replace(b'encoding="UTF-8"', b'encoding="%s"' % named)) == expected


def test_ten_megabytes_are_read() -> None:
    """A statement of tens of thousands of entries is read like a small one."""
    part = Part(amount=Decimal("0.01"), end_to_end_id="W00000012-R01-P00011-EUR-O-01", text="x" * 100)
    one = Entry(amount=Decimal("0.01"), parts=(replace(part, reference="RF18539007547034"),))
    data = file_text(statement(*[one] * 17_500, opening="0.00"))
    assert len(data) > 10**7
    [read] = read_statements(data)
    assert read.closing_minor == sum(one.amount_minor for one in read.transactions) == 17_500
