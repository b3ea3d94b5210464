"""A contract in plain language: what its terms say, and what they cost or bring in an example (pure).

The example is priced by the rules that price the night. Amounts are rounded half-up line by line; over a
month they are rounded once.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from network.model import AccountKind
from partners.model import OPERATOR_ID, POOL_ID, Category, Terms
from partners.rates import Fixing, VatRates, vat_bps
from settlement.clearing import Night, TermsByVersion, price
from settlement.fees import unrounded_fee
from settlement.model import FeeBasis, PricedLine, WindowTotal
from settlement.money import ONE_BPS, ZERO, exactly, from_minor, half_up_minor, minor_digits

EXAMPLE_POINTS = 10_000


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A partner with the version of its contract that the example is by."""

    code: str
    terms: Terms


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What a preview needs besides two contracts.

    `fixing`: of the other's currency in ours, where they differ and there is one. `accepted`: nothing yet.
    """

    on: date
    vat: VatRates = {}
    categories: Sequence[Category] = ()
    fixing: Fixing | None = None
    points: int = EXAMPLE_POINTS


class _Line(msgspec.Struct, frozen=True):
    """One amount of an example, above zero where it costs."""

    cost: Decimal
    currency: str
    what: str


@exactly
def preview(ours: Side, other: Side | None, around: Around) -> str:
    """What a contract says and does, as text.

    Args:
        ours: Whose contract it is.
        other: Another partner, for the example in both directions; None for none.
        around: Day, rates and points of the example.
    """
    parts = [_head(ours), *_terms(ours.terms, around)]
    if other is not None:
        parts += ["", *_example(ours, other, around, ours_issued=True)]
        parts += ["", *_example(ours, other, around, ours_issued=False)]
    parts += ["", *_own(ours, around)]
    if ours.terms.funding_share:
        parts += ["", *_lapsed(ours, around)]
    return "\n".join(parts) + "\n"


def _head(ours: Side) -> str:
    terms = ours.terms
    return f"{ours.code}, version {terms.terms_version}, from {terms.effective_on}, in {terms.currency}"


def _terms(terms: Terms, around: Around) -> Iterator[str]:
    unit, share = terms.currency, terms.funding_share
    way = {Decimal(0): "when they are redeemed", Decimal(1): "when they are issued, into the pool"}.get(
        share, f"{_percent(share)} when they are issued, into the pool, the rest when they are redeemed"
    )
    yield f"  Points you issue are paid for {way}."
    if share:
        part = "" if share == 1 else f" x {share.normalize():f}"
        price_text = f"{terms.issue_price.normalize():f} {unit}{part}"
        yield f"  You pay {price_text} for a point you issue."
    yield f"  You are paid {terms.reimbursement_rate.normalize():f} {unit} for a point you accept."
    names = {one.category: one.code for one in around.categories}
    for category, rate in terms.category_rates:
        yield f"    {rate.normalize():f} {unit} for one of category {names.get(category, category)}."
    yield from _fees(terms, around)
    yield from _cover(terms)
    for flow, code in terms.vat_codes:
        yield f"  VAT on {_FLOWS[flow]}: {code}, {_rate(around, code)} on {around.on}."
    if share:
        rest = {"operator": "the operator", "issuer": "you", "acceptors": "those who accepted your points"}
        first = terms.breakage_operator_share
        part = f"{_percent(first)} to the operator, the rest to " if first else "all to "
        yield f"  Money of points that lapse: {part}{rest[terms.breakage_to]}."
    yield (
        f"  A line may be disputed for {terms.dispute_days} days; tills may report {terms.late_days} days "
        "late; "
        f"notice {terms.notice_days} days, run-off {terms.run_off_days} days."
    )
    if terms.offline_floor_points:
        floor = terms.offline_floor_points
        yield f"  Tills may accept {floor} points without a line; what is not there you bear."


_FLOWS = {
    "fee": "fees",
    "issue": "points issued",
    "redemption": "points accepted",
    "margin": "the margin",
    "lapse": "points that lapse",
}


def _fees(terms: Terms, around: Around) -> Iterator[str]:
    unit = terms.currency
    parts = [
        f"{terms.fee_per_issued_point.normalize():f} {unit} a point issued"
        * bool(terms.fee_per_issued_point),
        f"{terms.fee_per_transaction.normalize():f} {unit} a transaction" * bool(terms.fee_per_transaction),
        f"{_percent(terms.fee_bps_of_credits * ONE_BPS)} of what you are paid"
        * bool(terms.fee_bps_of_credits),
    ]
    said = ", ".join(part for part in parts if part) or "none"
    if terms.monthly_minimum:
        said += f"; at least {_money(terms.monthly_minimum, unit)} a month"
    vat = "" if dict(terms.vat_codes).get("fee") else f", VAT {_percent(terms.vat_bps * ONE_BPS)}"
    yield f"  Fees: {said}{vat if said != 'none' else ''}."


def _cover(terms: Terms) -> Iterator[str]:
    unit, digits = terms.currency, minor_digits(terms.currency)
    asked = [
        f"deposit {_money(terms.deposit, unit)}" * bool(terms.deposit),
        f"guarantee {_money(terms.guarantee, unit)}" * bool(terms.guarantee),
    ]
    if any(asked):
        yield f"  You leave as cover: {', '.join(one for one in asked if one)}."
    if terms.net_debit_cap is not None:
        at_cap = "sales earn no points" if terms.at_cap == "refuse" else "the operator is told"
        most = _money(terms.net_debit_cap, unit)
        yield f"  You may come to owe {most} and your deposit; at that, {at_cap}."
    if terms.minimum_payment_minor:
        least = from_minor(terms.minimum_payment_minor, digits)
        yield f"  Less than {_money(least, unit)} is not paid, but carried into the next night."


def _example(ours: Side, other: Side, around: Around, *, ours_issued: bool) -> Iterator[str]:
    """Points issued by one and redeemed at the other, as our side sees it."""
    issuer, acceptor = (ours, other) if ours_issued else (other, ours)
    points = f"{around.points:,} points"
    place = (
        f"{points} issued and redeemed at {other.code}"
        if ours_issued
        else (f"{points} of {other.code} redeemed at yours")
    )
    categories = [0]
    if not ours_issued:
        categories += [number for number, _ in ours.terms.category_rates]
    else:
        categories += [number for number, _ in other.terms.category_rates]
    names = {one.category: one.code for one in around.categories}
    for category in categories:
        lines = list(_lines(ours, issuer, acceptor, around, category=category, issued=ours_issued))
        suffix = f" in category {names.get(category, category)}" if category else ""
        yield from _told(place + suffix, lines, ours.terms.currency, around)


def _own(ours: Side, around: Around) -> Iterator[str]:
    lines = list(_lines(ours, ours, ours, around, category=0, issued=True))
    yield from _told(
        f"{around.points:,} points issued and redeemed at yours", lines, ours.terms.currency, around
    )


def _lapsed(ours: Side, around: Around) -> Iterator[str]:
    total = _total(AccountKind.MEMBER, AccountKind.LAPSED, around.points, ours.terms, None, 0)
    priced = price([total], _known(ours.terms), Night(on=around.on, vat=around.vat))
    lines = [one for line in priced for one in _of_line(line, ours, ours, around)]
    yield from _told(f"{around.points:,} points that lapse", lines, ours.terms.currency, around)


def _lines(
    ours: Side, issuer: Side, acceptor: Side, around: Around, *, category: int, issued: bool
) -> Iterator[_Line]:
    """What an example costs us: flows and their VAT, fees and theirs."""
    terms = _known(issuer.terms, acceptor.terms)
    night = Night(on=around.on, vat=around.vat)
    totals = [
        _total(AccountKind.ISSUED, AccountKind.MEMBER, around.points, issuer.terms, None, 0),
        _total(
            AccountKind.MEMBER, AccountKind.ACCEPTED, around.points, issuer.terms, acceptor.terms, category
        ),
    ]
    priced = [line for total in totals for line in price([total], terms, night)]
    credited = sum((line.amount for line in priced if _is_credit(line, ours)), ZERO)
    for line in priced:
        yield from _of_line(line, ours, acceptor if issuer is ours else issuer, around)
    accepts = acceptor is ours
    basis = FeeBasis(
        issued_points=around.points if issued else 0,
        transactions=int(issued) + int(accepts),
        credits=credited,
    )
    fee = unrounded_fee(basis, ours.terms)
    if fee:
        count = "one transaction" if basis.transactions == 1 else "two transactions"
        yield _Line(fee, ours.terms.currency, f"fees, for {count}")
        code = dict(ours.terms.vat_codes).get("fee")
        bps = ours.terms.vat_bps if code is None else vat_bps(around.vat, code, around.on) or 0
        charged = from_minor(
            half_up_minor(fee, minor_digits(ours.terms.currency)), minor_digits(ours.terms.currency)
        )
        if bps:
            yield _Line(
                charged * bps * ONE_BPS, ours.terms.currency, f"VAT on fees, {_percent(bps * ONE_BPS)}"
            )


def _is_credit(line: PricedLine, ours: Side) -> bool:
    return line.creditor_id == ours.terms.partner_id and line.creditor_terms is not None


def _of_line(line: PricedLine, ours: Side, other: Side, around: Around) -> Iterator[_Line]:
    """A flow as our side sees it; nothing where it is between others, or from us to us."""
    us = ours.terms.partner_id
    if us not in (line.debtor_id, line.creditor_id) or line.debtor_id == line.creditor_id:
        return
    pays = line.debtor_id == us
    party = line.creditor_id if pays else line.debtor_id
    named = {OPERATOR_ID: "the operator", POOL_ID: "the pool"}.get(party, other.code)
    what = {
        "issue": "for points issued",
        "redemption": "for points redeemed",
        "lapse": "for points that lapsed",
        "vat": "VAT",
    }.get(line.flow, line.flow)
    yield _Line(
        line.amount if pays else -line.amount, line.currency, f"{'to' if pays else 'from'} {named}, {what}"
    )


def _told(what: str, lines: Sequence[_Line], currency: str, around: Around) -> Iterator[str]:
    """A sentence with the sum, and each of its amounts."""
    shown = [(one, *_in_ours(one, currency, around)) for one in lines]
    sums: dict[str, Decimal] = {}
    for _, amount, of, _ in shown:
        sums[of] = sums.get(of, ZERO) + amount
    said = " and ".join(
        f"{'cost' if total > 0 else 'bring'} you {_money(abs(total), of)}"
        for of, total in sorted(sums.items())
        if total
    )
    yield f"{what} {said or 'cost you nothing'}{':' if lines else '.'}"
    width = max((len(_money(amount, of)) for _, amount, of, _ in shown), default=0)
    for one, amount, of, note in shown:
        yield f"  {_money(amount, of):>{width}}  {one.what}{note}"


def _in_ours(line: _Line, currency: str, around: Around) -> tuple[Decimal, str, str]:
    """A line's amount in minor units of our currency, where there is a fixing; and where it is from."""
    if line.currency == currency:
        return _rounded(line.cost, currency), currency, ""
    theirs = f"{_money(_rounded(line.cost, line.currency), line.currency)}"
    if around.fixing is None:
        return _rounded(line.cost, line.currency), line.currency, " (converted at the night's fixing)"
    rate = around.fixing
    note = f" ({theirs} at {rate.rate.normalize():f}, {rate.source} of {rate.fixed_on})"
    return _rounded(line.cost * rate.rate, currency), currency, note


def _rounded(amount: Decimal, currency: str) -> Decimal:
    digits = minor_digits(currency)
    return from_minor(half_up_minor(amount, digits), digits)


def _money(amount: Decimal, currency: str) -> str:
    return f"{_rounded(amount, currency):,f} {currency}"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"


def _rate(around: Around, code: str) -> str:
    found = vat_bps(around.vat, code, around.on)
    return "no rate yet" if found is None else _percent(found * ONE_BPS)


def _known(*terms: Terms) -> TermsByVersion:
    return {(one.partner_id, one.terms_version): one for one in terms}


def _total(
    debit: AccountKind, credit: AccountKind, points: int, issuer: Terms, acceptor: Terms | None, category: int
) -> WindowTotal:
    return WindowTotal(
        debit=debit,
        credit=credit,
        issuer_id=issuer.partner_id,
        issuer_terms=issuer.terms_version,
        acceptor_id=None if acceptor is None else acceptor.partner_id,
        acceptor_terms=None if acceptor is None else acceptor.terms_version,
        category=category,
        reversed_window_id=None,
        points=points,
        postings=1,
    )
