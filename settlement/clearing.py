"""What a window's postings cost, and whom they make debtor of whom (pure).

Per point, with the issuer's funding share s and issue price, and the acceptor's rate:

    issue       issuer → pool        price * s
    redemption  issuer → acceptor    rate * (1 - s)
                pool → acceptor      rate * s
                pool → operator      (price - rate) * s; the other way round where that is below zero
                between two currencies the operator stands between: pool → operator price * s, in the
                issuer's, and operator → acceptor rate * s, in the acceptor's
    lapse       pool → recipients    price * s, shared by the issuer's contract (settlement.breakage)
    VAT         on each of these for which the contract that sets the price names a code, at the code's rate
                on the business date; a reversal at its original's. The operator stands in for the pool,
                whose money is for points alone
    reversal    the same flows with the sign turned, at the terms on the posting: the original's
    hold        nothing; its capture is a redemption, in the capture's window, at the hold's terms
    release     nothing: points that wait for an event were paid for when they were issued
    transfer    nothing: between members points keep issuer and terms. Points that were another member's go
                through TRANSIT, and are redeemed, reversed or taken back from there as from their owner
    deficit     nothing: only points really taken refund their price. What cures it is a redemption of the
                curing points, accepted by the deficit's issuer
    donation    a redemption whose acceptor is the cause
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from network.model import AccountKind
from partners.model import OPERATOR_ID, POOL_ID, Terms
from partners.rates import VatRates, vat_bps
from partners.terms import terms_on
from settlement.breakage import share_breakage
from settlement.errors import FlowUnknown, RateMissing, TermsMissing
from settlement.model import FeeBasis, Flow, Obligation, PricedLine, Transactions, WindowTotal
from settlement.money import ONE_BPS, ZERO, exactly, minor_digits
from settlement.money_model import Adjustment

TermsByVersion = Mapping[tuple[int, int], Terms]
"""Contract terms by (partner_id, terms_version)."""
_Debt = tuple[Flow, int, int, str, int]
"""Flow, debtor, creditor, currency, category."""


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """What prices a window besides its totals and contracts.

    `on`: its business date. `vat`: rates by code. `accepted`: points that each acceptor took in the calendar
    month before, by issuer, which breakage is shared by.
    """

    on: date = date.max
    vat: VatRates = {}
    accepted: Mapping[int, Mapping[int, int]] = {}


_NO_NIGHT = Night()


def price(
    totals: Iterable[WindowTotal], terms: TermsByVersion, night: Night | None = None
) -> tuple[PricedLine, ...]:
    """The money flows of a window's totals, exact, one line per total and flow that is not nothing.

    Args:
        totals: Postings that are priced alike, summed.
        terms: Every version of every contract.
        night: Which night; without it there is no VAT, and the operator has what acceptors would share.
    Raises:
        FlowUnknown: accounts between which no money flow is agreed.
        TermsMissing: a total names terms that are not in `terms`.
        RateMissing: a contract names a VAT code that has no rate yet.
    """
    lines: list[PricedLine] = []
    for total in totals:
        lines.extend(_price_total(total, terms, night))
    return tuple(lines)


@exactly
def adjusted(
    adjustments: Iterable[Adjustment], terms: TermsByVersion, night: Night
) -> tuple[PricedLine, ...]:
    """The money flows of a window's adjustments: debts that no posting makes.

    VAT goes with them as it came with what they correct, by the contract version that they name: of a
    redemption between its parties, but for the part that came through the pool, in whose VAT the operator
    stands in; of points issued and of fees between partner and operator; on VAT there is none.
    """
    lines: list[PricedLine] = []
    for one in adjustments:
        parties = (one.debtor_id, one.creditor_id)
        lines.append(PricedLine("adjustment", *parties, 0, one.amount, None, one.currency))
        if one.credited_id is not None and one.credited_terms is not None:
            version = _terms(terms, one.credited_id, one.credited_terms)
            lines.extend(_vat_of(one, lines[-1], version, night.vat, one.vat_on or night.on))
    return tuple(lines)


def _vat_of(
    one: Adjustment, line: PricedLine, version: Terms, rates: VatRates, on: date
) -> Iterator[PricedLine]:
    """VAT on an adjustment, which is `line`."""
    if one.taxed_as == "fee":
        amount = one.amount * fee_vat_bps(version, on, rates) * ONE_BPS
        if amount:
            yield PricedLine("vat", one.debtor_id, one.creditor_id, 0, amount, None, one.currency)
    elif one.taxed_as == "issue":
        yield from _vat_on("issue", line, version, rates, on)
    elif not one.taxed_as:
        direct = msgspec.structs.replace(line, amount=one.amount - one.pooled_amount)
        yield from _vat_on("redemption", direct, version, rates, on)
        pooled = msgspec.structs.replace(
            line,
            amount=one.pooled_amount,
            debtor_id=one.debtor_id if one.debtor_id == one.credited_id else OPERATOR_ID,
            creditor_id=one.creditor_id if one.creditor_id == one.credited_id else OPERATOR_ID,
        )
        yield from _vat_on("redemption", pooled, version, rates, on)


def fee_vat_bps(version: Terms, on: date, rates: VatRates) -> int:
    """The rate of VAT on fees by a contract version on a day, basis points.

    Raises:
        RateMissing: its VAT code of fees has no rate yet.
    """
    code = dict(version.vat_codes).get("fee")
    if code is None:
        return version.vat_bps
    found = vat_bps(rates, code, on)
    if found is None:
        raise RateMissing(
            f"VAT code {code} has no rate on {on}, and the contract of partner {version.partner_id} names it "
            "for fees: add one"
        )
    return found


@exactly
def obligations(lines: Iterable[PricedLine]) -> tuple[Obligation, ...]:
    """Gross debts: lines summed by flow, parties, currency and category; sorted. Debts of nothing stay."""
    points: dict[_Debt, int] = {}
    amounts: dict[_Debt, Decimal] = {}
    for line in lines:
        key = (line.flow, line.debtor_id, line.creditor_id, line.currency, line.category)
        points[key] = points.get(key, 0) + line.points
        amounts[key] = amounts.get(key, ZERO) + line.amount
    return tuple(
        Obligation(
            flow=key[0],
            debtor_id=key[1],
            creditor_id=key[2],
            points=points[key],
            amount=amounts[key],
            currency=key[3],
            category=key[4],
        )
        for key in sorted(points)
    )


@exactly
def fee_bases(
    totals: Iterable[WindowTotal],
    lines: Iterable[PricedLine],
    transactions: Iterable[Transactions],
    terms: TermsByVersion,
    adjustments: Iterable[Adjustment] = (),
) -> dict[tuple[int, int], FeeBasis]:
    """What each contract version is charged fees on, by (partner_id, terms_version).

    Points issued and credits count under the version on their postings, so that a reversal takes back what
    its original was charged. Transactions (sales and redemptions, those without points too) count under the
    version in force on the day they occurred, as their points do; reversals are no transactions and take none
    back, and donations, gifts and whatever else passes between members are none either. Credits for points
    that the creditor funds itself bear no basis points, whether they pass through the pool or not.

    Args:
        totals: As they were priced.
        lines: What `price` made of them.
        transactions: By partner and the day they occurred.
        terms: Every version of every contract.
        adjustments: Of the window; each adds to the credits that it names.
    Raises:
        TermsMissing: a partner had transactions and has no terms.
    """
    issued: dict[tuple[int, int], int] = {}
    credited: dict[tuple[int, int], Decimal] = {}
    counted: dict[tuple[int, int], int] = {}
    for total in totals:
        event, sign = _EVENTS[total.debit, total.credit]
        if event == "issue":
            key = (total.issuer_id, total.issuer_terms)
            issued[key] = issued.get(key, 0) + sign * total.points
    for line in lines:
        if line.creditor_terms is not None:
            key = (line.creditor_id, line.creditor_terms)
            credited[key] = credited.get(key, ZERO) + line.amount
    for one in adjustments:
        if one.credited_id is not None and one.credited_terms is not None:
            key = (one.credited_id, one.credited_terms)
            credited[key] = credited.get(key, ZERO) + one.credited_amount
    versions = versions_by_partner(terms)
    for row in transactions:
        key = (row.partner_id, _in_force(versions, row.partner_id, row.occurred_on).terms_version)
        counted[key] = counted.get(key, 0) + row.entries
    return {
        key: FeeBasis(
            issued_points=issued.get(key, 0),
            transactions=counted.get(key, 0),
            credits=credited.get(key, ZERO),
        )
        for key in sorted(issued.keys() | credited.keys() | counted.keys())
    }


Event = Callable[[WindowTotal, int, Terms, TermsByVersion, Night], Sequence[PricedLine]]


@exactly
def _price_total(total: WindowTotal, terms: TermsByVersion, night: Night | None) -> list[PricedLine]:
    event = _EVENTS.get((total.debit, total.credit))
    if event is None:
        raise FlowUnknown(
            f"points moved from account kind {total.debit} to {total.credit} (issuer {total.issuer_id}): "
            "no money flow is agreed for that"
        )
    name, sign = event
    issuer = _terms(terms, total.issuer_id, total.issuer_terms)
    lines = _PRICES[name](total, sign * total.points, issuer, terms, night or _NO_NIGHT)
    vat = () if night is None else _vat(total, lines, issuer, terms, night)
    return [*(line for line in lines if line.amount != 0), *vat]


def _issue(
    total: WindowTotal, points: int, issuer: Terms, terms: TermsByVersion, night: Night
) -> Sequence[PricedLine]:
    del terms, night
    amount = points * issuer.issue_price * issuer.funding_share
    return [PricedLine("issue", total.issuer_id, POOL_ID, points, amount, None, issuer.currency)]


def _redemption(
    total: WindowTotal, points: int, issuer: Terms, terms: TermsByVersion, night: Night
) -> Sequence[PricedLine]:
    del night
    if total.acceptor_id is None or total.acceptor_terms is None:
        raise TermsMissing(f"points of issuer {total.issuer_id} were redeemed, and no acceptor is on them")
    acceptor = _terms(terms, total.acceptor_id, total.acceptor_terms)
    share, rate = issuer.funding_share, rate_of(acceptor, total.category)
    version = None if total.acceptor_id == total.issuer_id else acceptor.terms_version
    accepted = (total.acceptor_id, points)
    currency, category = acceptor.currency, total.category
    direct = PricedLine(
        "redemption", total.issuer_id, *accepted, points * rate * (1 - share), version, currency, category
    )
    funded = points * rate * share
    if issuer.currency != currency:
        held = points * issuer.issue_price * share
        return [
            direct,
            PricedLine("redemption", OPERATOR_ID, *accepted, funded, version, currency, category),
            PricedLine("margin", POOL_ID, OPERATOR_ID, points, held, None, issuer.currency),
        ]
    margin = (issuer.issue_price - rate) * share
    payer, receiver = (POOL_ID, OPERATOR_ID) if margin >= 0 else (OPERATOR_ID, POOL_ID)
    return [
        direct,
        PricedLine("redemption", POOL_ID, *accepted, funded, version, currency, category),
        PricedLine("margin", payer, receiver, points, points * abs(margin), None, issuer.currency),
    ]


def rate_of(acceptor: Terms, category: int) -> Decimal:
    """What an acceptor is paid for a point of a category, exclusive of VAT."""
    return dict(acceptor.category_rates).get(category, acceptor.reimbursement_rate)


def _lapse(
    total: WindowTotal, points: int, issuer: Terms, terms: TermsByVersion, night: Night
) -> Sequence[PricedLine]:
    del terms
    shares = share_breakage(
        points * issuer.issue_price * issuer.funding_share,
        points,
        issuer_id=total.issuer_id,
        rest_to=issuer.breakage_to,
        operator_share=issuer.breakage_operator_share,
        accepted=night.accepted.get(total.issuer_id, {}),
        digits=minor_digits(issuer.currency),
    )
    return [
        PricedLine("lapse", POOL_ID, one.recipient_id, one.points, one.amount, None, issuer.currency)
        for one in shares
    ]


def _vat(
    total: WindowTotal, lines: Sequence[PricedLine], issuer: Terms, terms: TermsByVersion, night: Night
) -> Iterator[PricedLine]:
    """VAT on flows, by the contract that sets their price; none on what somebody owes itself."""
    taxed = total.reversed_window_id
    on = night.on if taxed is None else _date(taxed)
    for line in lines:
        version = issuer
        if line.flow == "redemption" and total.acceptor_id is not None and total.acceptor_terms is not None:
            version = _terms(terms, total.acceptor_id, total.acceptor_terms)
        yield from _vat_on(line.flow, line, version, night.vat, on)


def _vat_on(flow: Flow, line: PricedLine, version: Terms, rates: VatRates, on: date) -> Iterator[PricedLine]:
    """VAT on a line as on a flow; the operator stands in for the pool."""
    debtor, creditor = (
        OPERATOR_ID if party == POOL_ID else party for party in (line.debtor_id, line.creditor_id)
    )
    code = next((code for taxed, code in version.vat_codes if taxed == flow), None)
    if code is None or line.amount == 0 or debtor == creditor:
        return
    amount = line.amount * _vat_bps(rates, code, on) * ONE_BPS
    if amount != 0:
        yield PricedLine("vat", debtor, creditor, 0, amount, None, line.currency)


def _date(window_id: int) -> date:
    return date(window_id // 10_000, window_id // 100 % 100, window_id % 100)


def _vat_bps(rates: VatRates, code: str, on: date) -> int:
    found = vat_bps(rates, code, on)
    if found is None:
        raise RateMissing(f"VAT code {code} has no rate on {on}, and a contract names it: add one")
    return found


def _terms(terms: TermsByVersion, partner_id: int, version: int) -> Terms:
    try:
        return terms[partner_id, version]
    except KeyError:
        raise TermsMissing(
            f"postings name terms {version} of partner {partner_id}, and there are none: "
            "`tessera verify` lists such postings"
        ) from None


def versions_by_partner(terms: TermsByVersion) -> dict[int, list[Terms]]:
    """Each partner's versions, by the date from which they are in force."""
    versions: dict[int, list[Terms]] = {}
    for version in sorted(terms.values(), key=lambda version: (version.partner_id, version.effective_on)):
        versions.setdefault(version.partner_id, []).append(version)
    return versions


def version_on(versions: Sequence[Terms], on: date) -> Terms:
    """The version of one partner in force on a date; before its first version, that one.

    A till's clock may run a few minutes ahead, over midnight into a contract's first day: its sale is then
    recorded in the window of the day before.
    """
    return terms_on(versions, on) or versions[0]


def _in_force(versions: Mapping[int, Sequence[Terms]], partner_id: int, on: date) -> Terms:
    try:
        return version_on(versions[partner_id], on)
    except KeyError:
        raise TermsMissing(f"partner {partner_id} had transactions and has no contract terms") from None


def _nothing(
    total: WindowTotal, points: int, issuer: Terms, terms: TermsByVersion, night: Night
) -> Sequence[PricedLine]:
    del total, points, issuer, terms, night  # points change their place, and nobody owes anything for that
    return []


_PRICES: dict[str, Event] = {
    "issue": _issue,
    "redemption": _redemption,
    "lapse": _lapse,
    "nothing": _nothing,
}
_EVENTS: dict[tuple[int, int], tuple[str, int]] = {
    (AccountKind.ISSUED, AccountKind.MEMBER): ("issue", 1),
    (AccountKind.ISSUED, AccountKind.PENDING): ("issue", 1),
    (AccountKind.MEMBER, AccountKind.ISSUED): ("issue", -1),
    (AccountKind.PENDING, AccountKind.ISSUED): ("issue", -1),
    (AccountKind.TRANSIT, AccountKind.ISSUED): ("issue", -1),
    (AccountKind.MEMBER, AccountKind.ACCEPTED): ("redemption", 1),
    (AccountKind.HELD, AccountKind.ACCEPTED): ("redemption", 1),
    (AccountKind.TRANSIT, AccountKind.ACCEPTED): ("redemption", 1),
    (AccountKind.ACCEPTED, AccountKind.MEMBER): ("redemption", -1),
    (AccountKind.ACCEPTED, AccountKind.TRANSIT): ("redemption", -1),
    (AccountKind.MEMBER, AccountKind.LAPSED): ("lapse", 1),
    (AccountKind.VOUCHER, AccountKind.ACCEPTED): ("redemption", 1),
    (AccountKind.VOUCHER, AccountKind.LAPSED): ("lapse", 1),
    (AccountKind.MEMBER, AccountKind.VOUCHER): ("nothing", 1),
    (AccountKind.VOUCHER, AccountKind.MEMBER): ("nothing", 1),
    (AccountKind.VOUCHER, AccountKind.TRANSIT): ("nothing", 1),
    (AccountKind.MEMBER, AccountKind.HELD): ("nothing", 1),
    (AccountKind.TRANSIT, AccountKind.HELD): ("nothing", 1),
    (AccountKind.HELD, AccountKind.MEMBER): ("nothing", 1),
    (AccountKind.HELD, AccountKind.TRANSIT): ("nothing", 1),
    (AccountKind.MEMBER, AccountKind.STAKED): ("nothing", 1),
    (AccountKind.STAKED, AccountKind.MEMBER): ("nothing", 1),
    (AccountKind.STAKED, AccountKind.ACCEPTED): ("redemption", 1),
    (AccountKind.PENDING, AccountKind.MEMBER): ("nothing", 1),
    (AccountKind.PENDING, AccountKind.TRANSIT): ("nothing", 1),
    (AccountKind.MEMBER, AccountKind.TRANSIT): ("nothing", 1),
    (AccountKind.TRANSIT, AccountKind.MEMBER): ("nothing", 1),
    (AccountKind.DEFICIT, AccountKind.ISSUED): ("nothing", 1),
    (AccountKind.ISSUED, AccountKind.DEFICIT): ("nothing", 1),
}
"""What a posting means by (debit, credit), and the sign of its money."""
