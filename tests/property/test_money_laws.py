"""Laws of the money ledger and of payments, for any figures."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from settlement import ledger
from settlement.calendars import value_date
from settlement.instructions import dues, instruction, targets
from settlement.model import Position
from settlement.money import ZERO, exactly, from_minor, minor_digits
from settlement.money_model import MoneyEntry
from settlement.netting import round_positions
from tests.factories import OPERATOR, POOL, A, B, C

FX = 3
ON = date(2017, 5, 1)
PARTIES = (OPERATOR, POOL, FX, A, B, C)
amounts = st.decimals(min_value=-10_000, max_value=10_000, places=6)


@st.composite
def positions(draw: st.DrawFn) -> list[Position]:
    """A night's positions in one to three currencies, with what nights before carried and deferred."""
    found: list[Position] = []
    for currency in draw(st.lists(st.sampled_from(["EUR", "JPY", "KWD"]), min_size=1, unique=True)):
        digits = minor_digits(currency)
        tonight = _to_zero({party: draw(amounts) for party in PARTIES})
        carried = _to_zero(
            {
                party: draw(st.integers(-400_000, 400_000)) * Decimal(1).scaleb(-digits - 6)
                for party in PARTIES
            }
        )
        fees = {party: draw(st.integers(-500, 5_000)) for party in (A, B, C)}
        fees[OPERATOR] = -sum(fees.values())
        for party, rounded in round_positions(tonight, digits, carried).items():
            brought = draw(st.integers(-300, 300))
            found.append(
                Position(
                    participant_id=party,
                    currency=currency,
                    credits=ZERO,
                    debits=ZERO,
                    fee_minor=fees.get(party, 0),
                    vat_minor=0,
                    fee_base=ZERO,
                    vat_base=ZERO,
                    carried_in=carried[party],
                    exact=tonight[party] + carried[party],
                    final_minor=rounded.final_minor,
                    carried_out=rounded.carried_out,
                    converted=draw(amounts),
                    deferred_in_minor=brought,
                    deferred_out_minor=draw(st.sampled_from([0, brought + rounded.final_minor])),
                )
            )
    return found


@exactly
def _to_zero(of: dict[int, Decimal]) -> dict[int, Decimal]:
    return {**of, C: -sum((amount for party, amount in of.items() if party != C), ZERO)}


@exactly
def balance_of(entry: MoneyEntry, *accounts: str) -> dict[tuple[int, str], Decimal]:
    """What an entry moves on some accounts together, by participant and currency."""
    found: dict[tuple[int, str], Decimal] = {}
    for line in entry.lines:
        if line.account in accounts:
            key = (line.participant_id, line.currency)
            found[key] = found.get(key, ZERO) + line.amount
    return found


@given(positions())
def test_a_night_balances_whatever_it_carries(night: list[Position]) -> None:
    """Per currency nothing is left over; everybody's payment and carried amounts are what tonight gave it."""
    entry = ledger.netted(20170501, 1, ON, night, [])
    for currency in {one.currency for one in night}:
        assert sum((line.amount for line in entry.lines if line.currency == currency), ZERO) == 0
    left = balance_of(entry, "receivable", "payable", "carried", "rounding")
    claims = balance_of(entry, "claim")
    for one in night:
        key = (one.participant_id, one.currency)
        assert left.get(key, ZERO) == -(one.exact - one.carried_in)
        if one.participant_id in ledger.OURS:
            assert claims.get(key, ZERO) == one.exact - one.carried_in


@given(
    st.integers(-1_000, 1_000),
    st.lists(st.tuples(st.integers(1, 500), st.booleans()), max_size=6),
)
def test_dues_come_to_the_target_however_often_payments_come_back(
    payment: int, returned: list[tuple[int, bool]]
) -> None:
    """Parts come back and are sent again: what is due on all attempts together stays the payment."""
    pays, gets = targets(payment, 0, 0)
    target = pays or gets
    if not target:
        return
    known = [instruction(20170501, 1, A, "EUR", "in", target, ON)]
    booked = {known[0].end_to_end_id: target}
    for part, again in returned:
        last = known[-1]
        back = min(part, booked[last.end_to_end_id])
        booked[last.end_to_end_id] -= back
        if again and back:
            missing = target - sum(booked.values())
            known.append(instruction(20170501, 1, A, "EUR", "in", missing, ON, attempt=len(known) + 1))
            booked[known[-1].end_to_end_id] = missing
        due = dues(known, target, booked)
        assert sum(due.values()) == target
        assert sum(due[one.end_to_end_id] - booked[one.end_to_end_id] for one in known) == target - sum(
            booked.values()
        )
        assert all(due[one.end_to_end_id] >= booked[one.end_to_end_id] for one in known)


@given(st.integers(-1_000, 1_000), st.integers(-1_000, 1_000), st.integers(0, 1_000))
def test_what_a_default_changes_is_neither_lost_nor_doubled(payment: int, relief: int, paid: int) -> None:
    """What is to be got less what is to be paid is the position with its relief, whatever came before."""
    pays, gets = targets(payment, relief, paid if payment < 0 else 0)
    assert gets - pays == payment + relief
    assert pays >= 0 <= gets


@given(
    st.dates(date(2017, 1, 1), date(2017, 12, 31)), st.integers(0, 10), st.sets(st.integers(0, 6), max_size=5)
)
def test_value_dates_are_so_many_business_days_later(start: date, days: int, closed: set[int]) -> None:
    """The value date is a business day; between it and the start lie exactly so many."""

    def works(day: date) -> bool:
        return day.weekday() not in closed

    found = value_date(start, days, works)
    assert works(found)
    between = [start + timedelta(days=number) for number in range(1, (found - start).days + 1)]
    counted = sum(works(day) for day in between)
    assert counted == days or (days == 0 and counted == 1 and not works(start))


def test_minor_units_are_each_currencys_own() -> None:
    """A yen has no decimals, a dinar three."""
    assert [from_minor(1_234, minor_digits(currency)) for currency in ("JPY", "EUR", "KWD")] == [
        Decimal("1234"),
        Decimal("12.34"),
        Decimal("1.234"),
    ]
