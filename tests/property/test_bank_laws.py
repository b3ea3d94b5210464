"""Laws of the bank: what we write comes back and matches, no cent is lost, no file breaks the reader."""

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.bank.camt import read_statements
from settlement.bank.errors import BankError, StatementRefused
from settlement.bank.letters import ALLOWED, bank_text
from settlement.bank.match import match
from settlement.bank.model import (
    Account,
    Expected,
    Payment,
    PaymentFile,
    PaymentGroup,
    Transaction,
)
from settlement.bank.numbers import read_iban
from settlement.bank.pain import amount_text, payment_file
from settlement.money import minor_digits
from settlement.references import creditor_reference, end_to_end_id, read_reference, references_in
from tests.pretend_bank import Entry, Part, PretendBank, file_text

HUBS = {"EUR": "DE89370400440532013000", "JPY": "GB29NWBK60161331926819", "KWD": "NO9386011117947"}
THERE = "FR1420041010050500013M02606"
CLOSED_AT = datetime(2017, 5, 4, tzinfo=UTC)
NAMES = st.text(min_size=1, max_size=90).filter(
    lambda name: any(sign.isalnum() for sign in bank_text(name, 70))
)


@st.composite
def payments(draw: st.DrawFn) -> list[Payment]:
    """Pay-outs of one window to a few participants in a few currencies."""
    keys = draw(
        st.sets(st.tuples(st.integers(1, 99999), st.sampled_from(sorted(HUBS))), min_size=1, max_size=8)
    )
    window = draw(st.integers(0, 10**8 - 1))
    return [
        Payment(
            end_to_end_id=end_to_end_id(
                window_id=window, revision=1, participant_id=who, currency=currency, direction="out"
            ),
            reference=creditor_reference(
                window_id=window, revision=1, participant_id=who, currency=currency, direction="out"
            ),
            participant_id=who,
            currency=currency,
            amount_minor=draw(st.integers(1, 10**12)),
            account=Account(name=draw(NAMES), iban=THERE),
        )
        for who, currency in sorted(keys)
    ]


def pain(wanted: list[Payment]) -> bytes:
    """The pay-out file of payments."""
    groups = defaultdict(list)
    for one in wanted:
        groups[one.currency].append(one)
    return payment_file(
        PaymentFile(
            message_id="FILE",
            created_at=CLOSED_AT,
            initiator="Hub",
            groups=tuple(
                PaymentGroup(
                    group_id=f"GROUP-{currency}",
                    currency=currency,
                    execute_on=date(2017, 5, 5),
                    debtor=Account(name="Hub", iban=HUBS[currency]),
                    payments=tuple(group),
                )
                for currency, group in groups.items()
            ),
        )
    )


def waiting(one: Payment) -> Expected:
    """A payment that we wait for on a statement."""
    return Expected(
        kind="out",
        participant_id=one.participant_id,
        currency=one.currency,
        amount_minor=one.amount_minor,
        end_to_end_id=one.end_to_end_id,
        reference=one.reference,
        group_id=f"GROUP-{one.currency}",
    )


@given(wanted=payments(), way=st.sampled_from(["one by one", "in parts", "in one sum"]))
@settings(max_examples=60, deadline=None)
def test_what_is_written_comes_back_and_matches(wanted: list[Payment], way: str) -> None:
    """A bank that carries out our file and answers leaves nothing unmatched, however it books."""
    data = pain(wanted)
    banks = [PretendBank(iban, currency) for currency, iban in HUBS.items()]
    for bank in banks:
        bank.pay(data, in_parts=way == "in parts", in_one_sum=way == "in one sum")
    statements = read_statements(file_text(*(bank.statement() for bank in banks)))
    transactions = [one for statement in statements for one in statement.transactions]
    result = match(transactions, [waiting(one) for one in wanted])
    assert result.findings == ()
    assert sorted((one.end_to_end_id, -one.amount_minor) for one in result.bookings) == sorted(
        (one.end_to_end_id, one.amount_minor) for one in wanted
    )
    for statement in statements:
        paid = sum(one.amount_minor for one in wanted if one.currency == statement.currency)
        assert statement.opening_minor - statement.closing_minor == paid


@given(wanted=payments(), order=st.randoms())
@settings(max_examples=30, deadline=None)
def test_files_do_not_depend_on_order(wanted: list[Payment], order: st.DataObject) -> None:
    """Shuffled payments are the same bytes."""
    shuffled = list(wanted)
    order.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis' randoms() is typed by its data
    assert pain(shuffled) == pain(wanted)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[list[Expected], list[Transaction]]:
    """A few payments, and any transactions about them or about nobody."""
    ids = ["A", "B", "C", "D"][: draw(st.integers(1, 4))]
    amounts = st.integers(1, 20)
    expected = [
        Expected(
            kind=draw(st.sampled_from(["in", "out", "refund"])),
            participant_id=11,
            currency=draw(st.sampled_from(["EUR", "EUR", "JPY"])),
            amount_minor=draw(amounts),
            end_to_end_id=one,
            reference=f"R{one}",
            group_id=draw(st.sampled_from(["", "G"])),
        )
        for one in ids
    ]
    transactions = [
        Transaction(
            entry=number,
            detail=1,
            amount_minor=draw(amounts) * draw(st.sampled_from([1, -1])),
            currency=draw(st.sampled_from(["EUR", "EUR", "JPY"])),
            booked_on=date(2017, 5, 4),
            value_on=date(2017, 5, 4),
            end_to_end_id=draw(st.sampled_from(["", "X", *ids])),
            references=tuple(draw(st.sets(st.sampled_from(["RX", *(f"R{one}" for one in ids)]), max_size=2))),
            batch_id=draw(st.sampled_from(["", "G"])),
        )
        for number in range(1, draw(st.integers(0, 8)) + 1)
    ]
    return expected, transactions


@given(ledgers())
@settings(max_examples=300, deadline=None)
def test_every_cent_is_booked_once(ledger: tuple[list[Expected], list[Transaction]]) -> None:
    """Bookings sum to each transaction; no payment is overpaid; all that is not exact is found."""
    expected, transactions = ledger
    result = match(transactions, expected)
    for one in transactions:
        parts = [booking for booking in result.bookings if booking.entry == one.entry]
        assert sum(part.amount_minor for part in parts) == one.amount_minor
        assert all(part.amount_minor * one.amount_minor > 0 for part in parts)
        named = {one.end_to_end_id, *one.references}
        for part in parts:
            if part.end_to_end_id is None:
                about = [two for two in result.findings if two.entry == one.entry]
                assert [two.amount_minor for two in about] == [abs(part.amount_minor)]
            else:
                assert named & {part.end_to_end_id, f"R{part.end_to_end_id}"} or one.batch_id == "G"
    for payment in expected:
        forth = 1 if payment.kind == "in" else -1
        done = 0
        for booking in result.bookings:
            if booking.end_to_end_id == payment.end_to_end_id:
                done += forth * booking.amount_minor
                assert 0 <= done <= payment.amount_minor


@given(ledgers(), st.integers(0, 8))
@settings(max_examples=100, deadline=None)
def test_two_statements_are_one(ledger: tuple[list[Expected], list[Transaction]], cut: int) -> None:
    """Where a bank ends a statement changes nothing, groups in one sum included."""
    expected, transactions = ledger
    whole = match(transactions, expected)
    first = match(transactions[:cut], expected)
    done: dict[str | None, int] = defaultdict(int)
    for one in first.bookings:
        done[one.end_to_end_id] += one.amount_minor
    later = [
        msgspec.structs.replace(
            one, done_minor=done[one.end_to_end_id] if one.kind == "in" else -done[one.end_to_end_id]
        )
        for one in expected
    ]
    second = match(transactions[cut:], later)
    assert (*first.bookings, *second.bookings) == whole.bookings
    assert (*first.findings, *second.findings) == whole.findings


@given(st.integers(0, 10**12), st.sampled_from(["EUR", "JPY", "KWD", "UYW"]))
def test_an_amount_is_read_as_it_was_written(amount_minor: int, currency: str) -> None:
    """Every currency's decimals, both ways."""
    bank = PretendBank("DE89370400440532013000", currency)
    amount = Decimal(amount_text(amount_minor, currency))
    assert amount.as_tuple().exponent == -minor_digits(currency)
    bank.book(Entry(amount=amount, parts=(Part(amount=amount),)))
    [read] = read_statements(bank.file())
    assert read.closing_minor == sum(one.amount_minor for one in read.transactions) == amount_minor


@given(st.text(max_size=200), st.integers(1, 140))
def test_bank_text_is_what_banks_take(text: str, longest: int) -> None:
    """Any text becomes allowed letters within its length, and stays as it is when turned again."""
    turned = bank_text(text, longest)
    assert set(turned) <= ALLOWED
    assert len(turned) <= longest
    assert "//" not in turned
    assert turned == turned.strip("/ ")
    assert bank_text(turned, longest) == turned


@given(
    st.integers(0, 10**8 - 1),
    st.integers(0, 99),
    st.integers(0, 99999),
    st.from_regex(r"[A-Z]{3}", fullmatch=True),
    st.sampled_from(["in", "out"]),
    st.integers(0, 99),
    st.integers(4, 24),
    st.integers(1, 9),
)
def test_one_wrong_sign_in_a_reference_is_noticed(
    window: int, revision: int, who: int, currency: str, way: str, attempt: int, at: int, by: int
) -> None:
    """References are valid, found within texts, and one wrong digit or letter in them is always noticed."""
    reference = creditor_reference(
        window_id=window,
        revision=revision,
        participant_id=who,
        currency=currency,
        direction="in" if way == "in" else "out",
        attempt=attempt,
    )
    assert len(reference) == 25
    assert read_reference(reference) == reference
    assert references_in(f"pays {reference}.") == (reference,)
    signs = "0123456789" if reference[at].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    other = signs[(signs.index(reference[at]) + by) % len(signs)]
    assert read_reference(reference[:at] + other + reference[at + 1 :]) is None


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_read_never_worse(data: st.DataObject) -> None:
    """Whatever happens to a file's bytes, the answer is a statement that adds up, or a refusal."""
    bank = PretendBank("DE89370400440532013000", "EUR")
    bank.book(Entry(amount=Decimal("-3.75"), parts=(Part(amount=Decimal("3.75"), end_to_end_id="A"),)))
    whole = bytearray(bank.file())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            whole[at] = data.draw(st.integers(0, 255))
        else:
            del whole[at : at + data.draw(st.integers(1, 40))]
        if not whole:
            break
    try:
        statements = read_statements(bytes(whole))
    except StatementRefused:
        return
    for one in statements:
        assert one.opening_minor + sum(part.amount_minor for part in one.transactions) == one.closing_minor


@given(st.text(max_size=80))
def test_no_text_breaks_the_account_check(text: str) -> None:
    """Any text is an IBAN, upper case and short, or refused as the bank's errors are."""
    try:
        iban = read_iban(text)
    except BankError:
        return
    assert iban.isascii()
    assert iban.isalnum()
    assert iban == iban.upper()
    assert 15 <= len(iban) <= 34
