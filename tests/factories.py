"""Values for tests, as short as they can be said."""

from datetime import date
from decimal import Decimal
from typing import Literal

from network.model import AccountKind
from partners.model import BreakageRecipient, Terms
from settlement.model import Obligation, WindowTotal

OPERATOR, POOL = 1, 2
A, B, C, D = 11, 12, 13, 14
"""Four partners, as worked examples call them."""

ISSUED, MEMBER, ACCEPTED, LAPSED, HELD, PENDING, DEFICIT, TRANSIT, VOUCHER = (
    AccountKind.ISSUED,
    AccountKind.MEMBER,
    AccountKind.ACCEPTED,
    AccountKind.LAPSED,
    AccountKind.HELD,
    AccountKind.PENDING,
    AccountKind.DEFICIT,
    AccountKind.TRANSIT,
    AccountKind.VOUCHER,
)
Event = Literal["issue", "redemption", "lapse", "issue reversed", "redemption reversed"]
_ACCOUNTS: dict[Event, tuple[AccountKind, AccountKind]] = {
    "issue": (ISSUED, MEMBER),
    "redemption": (MEMBER, ACCEPTED),
    "lapse": (MEMBER, LAPSED),
    "issue reversed": (MEMBER, ISSUED),
    "redemption reversed": (ACCEPTED, MEMBER),
}


def contract(
    partner_id: int,
    *,
    version: int = 1,
    effective_on: date = date(2016, 1, 1),
    currency: str = "EUR",
    share: str = "0",
    price: str = "0.0100",
    rate: str = "0.0080",
    per_point: str = "0",
    per_transaction: str = "0",
    bps: str = "0",
    vat_bps: int = 0,
    breakage_to: BreakageRecipient = "operator",
    suspended_cost_to: Literal["issuer", "operator"] = "issuer",
) -> Terms:
    """One version of a partner's contract; figures as text, because they are exact."""
    return Terms(
        partner_id=partner_id,
        terms_version=version,
        effective_on=effective_on,
        currency=currency,
        funding_share=Decimal(share),
        issue_price=Decimal(price),
        reimbursement_rate=Decimal(rate),
        fee_per_issued_point=Decimal(per_point),
        fee_per_transaction=Decimal(per_transaction),
        fee_bps_of_credits=Decimal(bps),
        vat_bps=vat_bps,
        breakage_to=breakage_to,
        suspended_cost_to=suspended_cost_to,
    )


def by_version(*versions: Terms) -> dict[tuple[int, int], Terms]:
    """Contract terms as pricing looks them up."""
    return {(version.partner_id, version.terms_version): version for version in versions}


def total(
    event: Event | tuple[AccountKind, AccountKind],
    points: int,
    issuer: int,
    acceptor: int | None = None,
    *,
    issuer_terms: int = 1,
    acceptor_terms: int = 1,
    reversed_window: int | None = None,
) -> WindowTotal:
    """Postings of one window that are priced alike: a simple event, or from one account to another."""
    debit, credit = event if isinstance(event, tuple) else _ACCOUNTS[event]
    return WindowTotal(
        debit=debit,
        credit=credit,
        issuer_id=issuer,
        issuer_terms=issuer_terms,
        acceptor_id=acceptor,
        acceptor_terms=None if acceptor is None else acceptor_terms,
        category=0,
        reversed_window_id=reversed_window,
        points=points,
        postings=1,
    )


def owed(
    flow: str, debtor: int, creditor: int, points: int, amount: str
) -> tuple[str, int, int, int, Decimal]:
    """An obligation as a row of a test's table, to compare with `row`."""
    return flow, debtor, creditor, points, Decimal(amount)


def row(obligation: Obligation) -> tuple[str, int, int, int, Decimal]:
    """An obligation as `owed` says it."""
    return (
        obligation.flow,
        obligation.debtor_id,
        obligation.creditor_id,
        obligation.points,
        obligation.amount,
    )
