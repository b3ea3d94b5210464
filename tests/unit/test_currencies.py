"""Nights in several currencies, VAT on flows, minima, breakage: worked by hand, literals in and out."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest

from partners.model import FxRate, Terms, VatRate
from partners.rates import Fixing, latest_fixing, rates_between
from settlement.clearing import Night, adjusted, fee_bases, obligations, price
from settlement.errors import RateMissing
from settlement.fees import VatToDate, vat_rounded
from settlement.ledger import netted
from settlement.model import Before, Charge, FeeBasis, Obligation, Position, Transactions, WindowTotal
from settlement.money import half_even
from settlement.money_model import Adjustment
from settlement.positions import Netted, charges, net_positions, require_balance, settling, terms_in_force
from tests.factories import OPERATOR, POOL, A, B, C, D, by_version, contract, owed, row, total

ON = date(2017, 5, 1)
MONTH_END = date(2017, 5, 31)
FX = 3

STANDARD = {"STD": [VatRate(vat_code="STD", effective_on=date(2017, 1, 1), rate_bps=2000)]}


def fixing(
    base: str, quote: str, rate: str, *, on: date = ON, revision: int = 1, source: str = "ECB"
) -> FxRate:
    """One unit of `base` is `rate` of `quote`."""
    return FxRate(source=source, base=base, quote=quote, fixed_on=on, revision=revision, rate=Decimal(rate))


FIXINGS = [fixing("EUR", "JPY", "160"), fixing("EUR", "KWD", "0.32"), fixing("EUR", "USD", "1.25")]


def fixing_of(party: int, base: str, quote: str) -> Fixing:
    """The fixing that a night of 1 May 2017 uses."""
    found = latest_fixing(FIXINGS, base, quote, ON)
    if found is None:
        raise RateMissing(f"{party} {base} {quote}")
    return found


def taxed(terms: Terms, *codes: tuple[str, str]) -> Terms:
    """A version with VAT codes."""
    return msgspec.structs.replace(terms, vat_codes=codes)


def night_of(
    totals: Sequence[WindowTotal],
    versions: Sequence[Terms],
    transactions: Sequence[Transactions] = (),
    before: Mapping[tuple[int, str], Before] | None = None,
    *,
    on: date = ON,
) -> tuple[tuple[Obligation, ...], Netted]:
    """A network in EUR, priced and netted as a night does it."""
    terms = by_version(*versions)
    night = Night(on=on, vat=STANDARD)
    lines = price(totals, terms, night)
    debts = vat_rounded(obligations(lines), {})
    in_force = terms_in_force(terms, on)
    charged = charges(
        fee_bases(totals, lines, transactions, terms), terms, in_force, before or {}, on, vat=STANDARD
    )
    result = net_positions(
        [OPERATOR, POOL, *in_force],
        debts,
        charged,
        before or {},
        currency="EUR",
        settles=settling(in_force, on, {}),
        fixing_of=fixing_of,
    )
    require_balance(20170501, result.positions)
    return debts, result


def finals(result: Netted) -> dict[tuple[int, str], int]:
    """Positions in minor units that are not zero."""
    return {
        (one.participant_id, one.currency): one.final_minor for one in result.positions if one.final_minor
    }


def test_yen_have_no_minor_unit_and_dinars_three_digits() -> None:
    """A in EUR owes 1201.2 JPY and 1.2525 KWD: -7.5075 and -3.9140625 EUR, by largest remainder -11.42.

    The FX account stands between: it owes the yen and the dinars, and gets the euros.
    """
    _, result = night_of(
        [total("redemption", 1001, A, B), total("redemption", 501, A, C)],
        [contract(A), contract(B, currency="JPY", rate="1.2"), contract(C, currency="KWD", rate="0.0025")],
    )
    assert finals(result) == {
        (FX, "EUR"): 1142,
        (A, "EUR"): -1142,
        (FX, "JPY"): -1201,
        (B, "JPY"): 1201,
        (FX, "KWD"): -1252,
        (C, "KWD"): 1252,
    }
    exact = {(one.participant_id, one.currency): one.exact for one in result.positions if one.exact}
    assert exact == {
        (FX, "EUR"): Decimal("11.4215625"),
        (A, "EUR"): Decimal("-11.4215625"),
        (FX, "JPY"): Decimal("-1201.2"),
        (B, "JPY"): Decimal("1201.2"),
        (FX, "KWD"): Decimal("-1.2525"),
        (C, "KWD"): Decimal("1.2525"),
    }
    carried = {
        (one.participant_id, one.currency): one.carried_out for one in result.positions if one.carried_out
    }
    assert carried[B, "JPY"] == Decimal("0.2")
    assert carried[C, "KWD"] == Decimal("0.0005")
    assert [
        (one.participant_id, one.from_currency, one.from_amount, one.rate, one.to_amount)
        for one in result.conversions
    ] == [
        (A, "JPY", Decimal("-1201.2"), Decimal("0.00625"), Decimal("-7.5075")),
        (A, "KWD", Decimal("-1.2525"), Decimal("3.125"), Decimal("-3.9140625")),
    ]


def test_a_margin_between_currencies_is_the_operators() -> None:
    """With a share of 1 the pool pays the issue price in EUR, and the operator pays the hotel in JPY."""
    versions = [contract(A, share="1", price="0.0100"), contract(B, currency="JPY", rate="1.2")]
    debts, result = night_of([total("redemption", 1001, A, B)], versions)
    assert [(*row(debt), debt.currency) for debt in debts] == [
        (*owed("margin", POOL, OPERATOR, 1001, "10.01"), "EUR"),
        (*owed("redemption", OPERATOR, B, 1001, "1201.2"), "JPY"),
    ]
    assert finals(result) == {
        (OPERATOR, "EUR"): 250,
        (POOL, "EUR"): -1001,
        (FX, "EUR"): 751,
        (FX, "JPY"): -1201,
        (B, "JPY"): 1201,
    }


def test_fees_are_in_the_contracts_currency_and_the_operator_converts_them() -> None:
    """Three transactions at .001 KWD are .003 KWD, which are .009375 EUR for the operator."""
    versions = [contract(A), contract(C, currency="KWD", per_transaction="0.001")]
    _, result = night_of([], versions, [Transactions(partner_id=C, occurred_on=ON, entries=3)])
    assert finals(result) == {(FX, "KWD"): 3, (C, "KWD"): -3, (OPERATOR, "EUR"): 1, (FX, "EUR"): -1}
    [one] = result.conversions
    assert (one.participant_id, one.from_amount, one.to_amount) == (
        OPERATOR,
        Decimal("0.003"),
        Decimal("0.009375"),
    )


def test_what_was_carried_in_an_old_currency_is_converted() -> None:
    """A partner that changed from JPY to EUR takes its fraction of a yen along."""
    before = {
        (A, "JPY"): Before(carried_out=Decimal("0.4")),
        (FX, "JPY"): Before(carried_out=Decimal("-0.4")),
    }
    _, result = night_of([], [contract(A)], before=before)
    [one] = result.conversions
    assert (one.from_amount, one.to_amount) == (Decimal("0.4"), Decimal("0.0025"))
    assert {(p.participant_id, p.currency): p.carried_out for p in result.positions if p.carried_out} == {
        (A, "EUR"): Decimal("0.0025"),
        (FX, "EUR"): Decimal("-0.0025"),
    }


def test_without_a_fixing_the_night_stops() -> None:
    """Money that cannot be converted is named; a night of one currency asks for no fixing."""
    with pytest.raises(RateMissing):
        night_of([total("redemption", 1000, A, B)], [contract(A), contract(B, currency="CHF")])


def test_the_money_ledger_takes_several_currencies() -> None:
    """A night of three currencies balances in each; the FX account's claims stand against fx."""
    debts, result = night_of(
        [total("redemption", 1001, A, B), total("issue", 500, A), total("redemption", 501, A, C)],
        [
            contract(A, share="0.5"),
            contract(B, currency="JPY", rate="1.2"),
            contract(C, currency="KWD", rate="0.0025", per_transaction="0.001"),
        ],
        [Transactions(partner_id=C, occurred_on=ON, entries=3)],
    )
    entry = netted(20170501, 1, ON, result.positions, debts)
    sums: dict[str, Decimal] = {}
    for line in entry.lines:
        sums[line.currency] = sums.get(line.currency, Decimal(0)) + line.amount
    assert set(sums) == {"EUR", "JPY", "KWD"}
    assert not any(sums.values())


def test_the_last_fixing_on_or_before_the_day_counts() -> None:
    """Of a day the highest revision; none of a later day; direct before turned round before crossed."""
    rates = [
        fixing("EUR", "USD", "1.10", on=date(2017, 4, 27)),
        fixing("EUR", "USD", "1.20", on=date(2017, 4, 28)),
        fixing("EUR", "USD", "1.21", on=date(2017, 4, 28), revision=2),
        fixing("EUR", "USD", "1.30", on=date(2017, 5, 2)),
    ]
    assert latest_fixing(rates, "EUR", "USD", date(2017, 5, 1)) == Fixing(
        Decimal("1.21"), "ECB", date(2017, 4, 28)
    )
    assert latest_fixing(rates, "USD", "EUR", date(2017, 5, 1)) == Fixing(
        Decimal("0.8264462810"), "ECB", date(2017, 4, 28)
    )
    assert latest_fixing(rates, "EUR", "USD", date(2017, 4, 1)) is None
    assert latest_fixing(rates, "EUR", "CHF", date(2017, 5, 1)) is None


def test_rates_are_crossed_through_the_sources_base() -> None:
    """1.25 USD and 160 JPY a euro make 128 JPY a dollar; a cross is of one day alone."""
    assert list(rates_between(FIXINGS, "USD", "JPY")) == [Decimal("128.0000000000")]
    assert list(rates_between(FIXINGS, "JPY", "KWD")) == [Decimal("0.0020000000")]
    apart = [fixing("EUR", "JPY", "160"), fixing("EUR", "USD", "1.25", on=date(2017, 4, 28))]
    assert latest_fixing(apart, "USD", "JPY", ON) is None


def test_converted_amounts_are_rounded_half_even() -> None:
    """To twelve decimals: a half goes to the even digit."""
    assert half_even(Decimal("0.0000000000005"), 12) == 0
    assert half_even(Decimal("0.0000000000015"), 12) == Decimal("0.000000000002")
    assert half_even(Decimal("-0.0000000000025"), 12) == Decimal("-0.000000000002")


def test_vat_on_flows_goes_with_the_price_and_not_through_the_pool() -> None:
    """20 % on points accepted and on points issued; the operator stands in for the pool."""
    versions = [
        taxed(contract(A, share="0.25", price="0.0100"), ("issue", "STD"), ("margin", "STD")),
        taxed(contract(B, rate="0.0080"), ("redemption", "STD")),
    ]
    debts, _ = night_of([total("issue", 1000, A), total("redemption", 1000, A, B)], versions)
    assert [row(debt) for debt in debts if debt.flow == "vat"] == [
        owed("vat", OPERATOR, B, 0, "0.40"),
        owed("vat", A, OPERATOR, 0, "0.50"),
        owed("vat", A, B, 0, "1.20"),
    ]


def test_vat_on_flows_is_rounded_on_the_month_to_date() -> None:
    """Of .004 a night a cent is charged in the second; what was charged too much is given back."""
    tonight = [
        Obligation(flow="vat", debtor_id=A, creditor_id=B, points=0, amount=Decimal("0.004"), currency="EUR")
    ]
    charged = []
    before = VatToDate()
    for _ in range(5):
        [debt] = vat_rounded(tonight, {(A, B, "EUR"): before})
        charged.append(debt.amount)
        assert debt.vat_base == Decimal("0.004")
        before = VatToDate(before.base + debt.vat_base, before.amount + debt.amount)
    assert charged == [Decimal(cents) for cents in ("0.00", "0.01", "0.00", "0.01", "0.00")]


def test_a_reversal_is_taxed_at_its_originals_rate() -> None:
    """The rate rose on 1 May; a return of April gives back April's VAT."""
    risen = {"STD": [*STANDARD["STD"], VatRate(vat_code="STD", effective_on=ON, rate_bps=2100)]}
    terms = by_version(contract(A), taxed(contract(B, rate="0.0080"), ("redemption", "STD")))
    lines = price(
        [
            total("redemption", 1000, A, B),
            total("redemption reversed", 1000, A, B, reversed_window=20170430),
        ],
        terms,
        Night(on=ON, vat=risen),
    )
    assert [line.amount for line in lines if line.flow == "vat"] == [Decimal("1.68"), Decimal("-1.60")]


def test_an_adjustment_of_credits_bears_their_vat() -> None:
    """What a dispute takes back of an acceptor's credit takes its VAT back too."""
    terms = by_version(contract(A), taxed(contract(B), ("redemption", "STD")))
    one = Adjustment(
        adjustment_id=UUID(int=1),
        origin="dispute",
        origin_reference="1",
        debtor_id=B,
        creditor_id=A,
        currency="EUR",
        amount=Decimal("10.00"),
        credited_id=B,
        credited_terms=1,
        credited_amount=Decimal("-10.00"),
        reason="never accepted",
    )
    assert [row(debt) for debt in obligations(adjusted([one], terms, Night(on=ON, vat=STANDARD)))] == [
        owed("adjustment", B, A, 0, "10.00"),
        owed("vat", B, A, 0, "2.00"),
    ]


def test_a_vat_code_of_fees_replaces_the_plain_rate() -> None:
    """The code's rate on the date counts, not vat_bps; without a rate the night stops."""
    terms = by_version(taxed(contract(A, per_transaction="1", vat_bps=700), ("fee", "STD")))
    bases = {(A, 1): FeeBasis(transactions=10)}
    in_force = terms_in_force(terms, ON)
    assert charges(bases, terms, in_force, {}, ON, vat=STANDARD)[A, "EUR"].vat_minor == 200
    with pytest.raises(RateMissing, match="VAT code STD has no rate on 2017-05-01"):
        charges(bases, terms, in_force, {}, ON)


def minimum(terms: Terms, amount: str) -> Terms:
    """A version with a monthly minimum."""
    return msgspec.structs.replace(terms, monthly_minimum=Decimal(amount))


@pytest.mark.parametrize(
    ("before", "tonight", "on", "fee_minor"),
    [
        ("30.004", 3, MONTH_END, 2000),
        ("30.004", 3, date(2017, 5, 30), 300),
        ("60", 3, MONTH_END, 300),
        ("0", 0, MONTH_END, 5000),
        ("48", 3, MONTH_END, 300),
    ],
)
def test_the_monthly_minimum_is_charged_in_the_months_last_window(
    before: str, tonight: int, on: date, fee_minor: int
) -> None:
    """50.00 a month: on the 31st what the month's fees fall short, on other days nothing; VAT follows."""
    terms = by_version(minimum(contract(A, per_transaction="1", vat_bps=2000), "50"))
    charged = Decimal(before)
    so_far = Charge(
        fee_base=charged,
        fee_minor=int(charged * 100),
        vat_base=charged / 5,
        vat_minor=int(charged * 20),
    )
    found = charges(
        {(A, 1): FeeBasis(transactions=tonight)},
        terms,
        terms_in_force(terms, on),
        {(A, "EUR"): Before(month_to_date=so_far)},
        on,
    )[A, "EUR"]
    assert found.fee_minor == fee_minor


def test_nobody_pays_a_minimum_before_its_contract_or_after_its_last_day() -> None:
    """A contract of June owes nothing for May, and who accepts no more owes nothing for the month."""
    terms = by_version(
        minimum(contract(A, effective_on=date(2017, 6, 1)), "50"), minimum(contract(B), "50"), contract(C)
    )
    in_force = terms_in_force(terms, MONTH_END)
    found = charges({}, terms, in_force, {}, MONTH_END, last_days={B: date(2017, 5, 30)})
    assert [one.fee_minor for one in found.values()] == [0, 0, 0]
    assert charges({}, terms, in_force, {}, MONTH_END)[B, "EUR"].fee_minor == 5000


def _deferring(amount: int) -> Terms:
    return msgspec.structs.replace(contract(A), minimum_payment_minor=amount)


def _position(result: Netted, party: int) -> Position:
    [one] = [one for one in result.positions if one.participant_id == party]
    return one


def test_what_is_less_than_the_minimum_payment_is_carried_on() -> None:
    """4.00 a night against a minimum of 5.00: nothing the first night, 8.00 the second."""
    burned = [total("redemption", 500, A, B)]
    _, first = night_of(burned, [_deferring(500), contract(B)])
    one = _position(first, A)
    assert (one.final_minor, one.deferred_out_minor, one.payment_minor) == (-400, -400, 0)
    assert _position(first, B).payment_minor == 400
    before = {(A, "EUR"): Before(deferred_out_minor=-400)}
    _, second = night_of(burned, [_deferring(500), contract(B)], before=before)
    one = _position(second, A)
    assert (one.deferred_in_minor, one.final_minor, one.deferred_out_minor) == (-400, -400, 0)
    assert one.payment_minor == -800


def test_who_had_its_last_day_is_paid_every_amount() -> None:
    """A partner that leaves has no minimum payment any more."""
    found = settling({A: _deferring(500), D: _deferring(500)}, ON, {A: date(2017, 4, 30)})
    assert (found[A].minimum_payment_minor, found[D].minimum_payment_minor) == (0, 500)


def test_breakage_is_shared_by_contract() -> None:
    """50,000 lapse at .0080: 400.00; operator 60 %, and 160.00 over 30,000 / 12,345 / 7,655 points."""
    terms = by_version(
        msgspec.structs.replace(
            contract(A, share="1", price="0.0080", breakage_to="acceptors"),
            breakage_operator_share=Decimal("0.6"),
        )
    )
    night = Night(on=ON, accepted={A: {B: 30_000, C: 12_345, D: 7_655}})
    found = obligations(price([total("lapse", 50_000, A)], terms, night))
    assert [(debt.creditor_id, debt.amount) for debt in found] == [
        (OPERATOR, Decimal("240.00")),
        (B, Decimal("96.00")),
        (C, Decimal("39.50")),
        (D, Decimal("24.50")),
    ]


def test_a_category_has_its_own_rate() -> None:
    """Flights are paid .0120 a point, everything else .0080; they are debts of their own."""
    acceptor = msgspec.structs.replace(contract(B, rate="0.0080"), category_rates=((1, Decimal("0.0120")),))
    flight = msgspec.structs.replace(total("redemption", 1000, A, B), category=1)
    other = msgspec.structs.replace(flight, category=2)
    found = obligations(price([flight, other], by_version(contract(A), acceptor)))
    assert [(debt.category, debt.amount) for debt in found] == [(1, Decimal("12.00")), (2, Decimal("8.00"))]
