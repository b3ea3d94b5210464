"""What each event writes into the money ledger: read as ledgers, before and after, by hand."""

from datetime import date
from decimal import Decimal

import pytest

from settlement import ledger
from settlement.errors import LedgerUnbalanced, NotFinal
from settlement.instructions import dues, finals, instruction, targets
from settlement.model import Obligation, Position
from settlement.money_model import Booked, MoneyEntry
from tests.factories import OPERATOR, POOL, A, B

FX = 3
ON = date(2017, 5, 1)


def position(
    party: int,
    currency: str = "EUR",
    *,
    tonight: str,
    final: int,
    carried: tuple[str, str] = ("0", "0"),
    deferred: tuple[int, int] = (0, 0),
    fee: int = 0,
    vat: int = 0,
    converted: str = "0",
) -> Position:
    """A position by what the ledger reads of it; `tonight`: its exact amount without what was carried in."""
    carried_in, carried_out = map(Decimal, carried)
    return Position(
        participant_id=party,
        currency=currency,
        credits=Decimal(0),
        debits=Decimal(0),
        fee_minor=fee,
        vat_minor=vat,
        fee_base=Decimal(0),
        vat_base=Decimal(0),
        carried_in=carried_in,
        exact=Decimal(tonight) + carried_in,
        final_minor=final,
        carried_out=carried_out,
        converted=Decimal(converted),
        deferred_in_minor=deferred[0],
        deferred_out_minor=deferred[1],
    )


def read(entry: MoneyEntry) -> list[str]:
    """An entry as a page of a ledger."""
    return [
        f"{line.account} {line.participant_id} {line.currency} {line.amount.normalize():f}"
        for line in entry.lines
    ]


def test_fractions_and_small_amounts_are_carried() -> None:
    """A owes 0.40 and pays nothing, B gets its 1.204 as 1.20, the operator bears the gap of both."""
    entry = ledger.netted(
        20170501,
        1,
        ON,
        [
            position(OPERATOR, tonight="-0.803", final=-80, carried=("0", "-0.003")),
            position(A, tonight="-0.401", final=-40, carried=("0", "-0.001"), deferred=(0, -40)),
            position(B, tonight="1.204", final=120, carried=("0", "0.004")),
        ],
        [],
    )
    assert read(entry) == [
        "carried 11 EUR 0.4",
        "claim 1 EUR -0.803",
        "margin 1 EUR 0.803",
        "payable 12 EUR -1.2",
        "receivable 1 EUR 0.8",
        "rounding 1 EUR 0.003",
        "rounding 11 EUR 0.001",
        "rounding 12 EUR -0.004",
    ]


def test_what_was_deferred_is_paid_when_it_is_enough() -> None:
    """The 0.40 of last night and 0.70 of tonight are paid together: 1.10."""
    entry = ledger.netted(
        20170502,
        1,
        ON,
        [
            position(A, tonight="-0.70", final=-70, deferred=(-40, 0)),
            position(B, tonight="0.70", final=70),
        ],
        [],
    )
    assert read(entry) == [
        "carried 11 EUR -0.4",
        "payable 12 EUR -0.7",
        "receivable 11 EUR 1.1",
    ]


def test_charges_breakage_and_margin_are_told_apart() -> None:
    """A pays 10.00 fee and 2.00 VAT; 3.00 lapsed and 1.50 margin come from the pool."""
    entry = ledger.netted(
        20170501,
        1,
        ON,
        [
            position(OPERATOR, tonight="16.50", final=1650, fee=-1000, vat=-200),
            position(POOL, tonight="-4.50", final=-450),
            position(A, tonight="-12.00", final=-1200, fee=1000, vat=200),
        ],
        [
            Obligation(
                flow="lapse",
                debtor_id=POOL,
                creditor_id=OPERATOR,
                points=1,
                amount=Decimal(3),
                currency="EUR",
            ),
            Obligation(
                flow="margin",
                debtor_id=POOL,
                creditor_id=OPERATOR,
                points=1,
                amount=Decimal("1.5"),
                currency="EUR",
            ),
        ],
    )
    assert read(entry) == [
        "breakage 1 EUR -3",
        "claim 1 EUR 16.5",
        "claim 2 EUR -4.5",
        "fees 11 EUR -10",
        "margin 1 EUR -1.5",
        "payable 1 EUR -16.5",
        "pool 2 EUR 4.5",
        "receivable 2 EUR 4.5",
        "receivable 11 EUR 12",
        "vat 11 EUR -2",
    ]


def test_two_currencies_meet_in_the_fx_account() -> None:
    """A owes 110 USD for what B gets as 100 EUR: each currency balances with the hub's FX account."""
    entry = ledger.netted(
        20170501,
        1,
        ON,
        [
            position(FX, "EUR", tonight="-100", final=-10000),
            position(FX, "USD", tonight="110", final=11000),
            position(A, "USD", tonight="-110", final=-11000, converted="-110"),
            position(B, "EUR", tonight="100", final=10000),
        ],
        [],
    )
    assert read(entry) == [
        "claim 3 EUR -100",
        "claim 3 USD 110",
        "fx 3 EUR 100",
        "fx 3 USD -110",
        "payable 3 USD -110",
        "payable 12 EUR -100",
        "receivable 3 EUR 100",
        "receivable 11 USD 110",
    ]


def test_payments_by_the_book() -> None:
    """In with a surplus, out to the pool with its own account, and both turned round."""
    paid = ledger.payment(
        "in", "b1", ON, participant_id=A, currency="EUR", minor=1000, surplus_minor=5, run=(20170501, 1)
    )
    assert read(paid) == ["cash 0 EUR 10.05", "receivable 11 EUR -10", "suspense 11 EUR -0.05"]
    pooled = ledger.payment("out", "b2", ON, participant_id=POOL, currency="JPY", minor=7, run=(20170501, 1))
    assert read(pooled) == ["cash 0 JPY -7", "cash 2 JPY 7", "claim 2 JPY -7", "payable 2 JPY 7"]
    back = ledger.payment("out", "b3", ON, participant_id=POOL, currency="JPY", minor=-7, run=(20170501, 1))
    assert [line.amount + other.amount for line, other in zip(pooled.lines, back.lines, strict=True)] == [
        0
    ] * 4
    assert ledger.turned_round(paid, "aborted", "b1", ON).lines[0].amount == Decimal("-10.05")


def test_an_entry_that_does_not_balance_is_none() -> None:
    """It is refused before it comes to the database, which would refuse it too."""
    with pytest.raises(LedgerUnbalanced, match=r"0\.01 EUR over"):
        ledger.entry("cover_in", "x", ON, {("cash", 0, "EUR"): Decimal("0.01")})


@pytest.mark.parametrize(
    ("payment", "relief", "paid", "expected"),
    [
        (-100, 0, 0, (100, 0)),
        (100, 0, 0, (0, 100)),
        (-100, 70, 30, (30, 0)),  # a debtor that paid 30 is relieved of the rest
        (-100, -20, 0, (120, 0)),
        (100, -30, 0, (0, 70)),
        (100, -130, 0, (30, 0)),
        (-100, 150, 100, (100, 150)),  # it paid, and unwinding turns its position: it gets its money back
    ],
)
def test_what_is_to_be_paid_after_a_default(
    payment: int, relief: int, paid: int, expected: tuple[int, int]
) -> None:
    """A case relieves its debtor and lets others bear; what was paid in before is never forgotten."""
    assert targets(payment, relief, paid) == expected


@pytest.mark.parametrize(
    ("amounts", "booked", "target", "expected"),
    [
        ((100,), (0,), 100, [100]),
        ((100,), (0,), 70, [70]),
        ((100, 100), (0, 0), 100, [0, 100]),  # the first came back, and was sent again
        ((100, 60), (40, 0), 100, [40, 60]),  # sixty of it came back
        ((100, 29), (0, 0), 129, [100, 29]),  # a loss to bear besides
        ((2, 1, 1), (1, 0, 1), 2, [1, 0, 1]),  # what was sent again came back once more
        ((100, 20), (100, 20), 90, [90, 0]),  # too much was booked: the later is what is over
    ],
)
def test_what_is_due_on_each_attempt(
    amounts: tuple[int, ...], booked: tuple[int, ...], target: int, expected: list[int]
) -> None:
    """Later attempts come first, whether they replace earlier ones or add to them."""
    known = [
        instruction(20170501, 1, A, "EUR", "in", amount, ON, attempt=attempt)
        for attempt, amount in enumerate(amounts, start=1)
    ]
    ids = [one.end_to_end_id for one in known]
    found = dues(known, target, dict(zip(ids, booked, strict=True)))
    assert [found[one.end_to_end_id] for one in known] == expected


def test_a_night_is_final_when_payments_and_what_is_carried_sum_to_zero() -> None:
    """0.40 deferred by A are the gap between 0.80 in and 1.20 out; a cent less and it is not final."""
    positions = [
        position(OPERATOR, tonight="-0.8", final=-80),
        position(A, tonight="-0.4", final=-40, deferred=(0, -40)),
        position(B, tonight="1.2", final=120),
    ]

    def booked(way: str, party: int, minor: int, due: int | None = None) -> Booked:
        return Booked(
            end_to_end_id=f"{party}",
            participant_id=party,
            currency="EUR",
            direction="in" if way == "in" else "out",
            due_minor=minor if due is None else due,
            booked_minor=minor,
        )

    paid = [booked("in", OPERATOR, 80), booked("out", B, 120)]
    [final] = finals(positions, paid, {})
    assert (final.paid_in_minor, final.paid_out_minor, final.deferred_out_minor) == (80, 120, -40)
    with pytest.raises(NotFinal, match="is due with 120 EUR minor units, and 119 were booked"):
        finals(positions, [paid[0], booked("out", B, 119, 120)], {})
    with pytest.raises(NotFinal, match="leave -1 EUR minor units over"):
        finals(positions, [paid[0], booked("out", B, 119)], {})
