"""Values of the settlement room. Points are whole; amounts are exact Decimals in major units of the currency.

Signs: an obligation is positive where the debtor owes; a position is positive where the participant receives.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from network.model import AccountKind
from settlement.money_model import (
    Adjustment,
    Approved,
    Booked,
    DefaultOverlay,
    Final,
    FxConversion,
    Instruction,
)

OUTSTANDING = (
    AccountKind.MEMBER,
    AccountKind.HELD,
    AccountKind.PENDING,
    AccountKind.STAKED,
    AccountKind.TRANSIT,
    AccountKind.VOUCHER,
)
"""Accounts whose points are out: issued, neither redeemed nor lapsed. For these the pool holds its share."""

Flow = Literal["issue", "redemption", "margin", "lapse", "vat", "adjustment", "load", "value", "plan"]
"""Why money moves: points issued into the pool, points accepted (owed by the issuer, the pool, or both), the
pool's margin between issue price and reimbursement rate, points that lapsed, VAT on one of these where a
contract names a code, debts that no posting makes; stored value loaded, and spent or refunded, by way of the
safeguarding account; the fee of a paid plan (settlement.values)."""

Step = Literal["closed", "priced", "netted", "approved", "instructed", "funded", "paid", "settled"]
STEPS: tuple[Step, ...] = (
    *("closed", "priced", "netted", "approved", "instructed", "funded", "paid", "settled"),
)
"""The steps of a night, in order; each is one transaction. The worker does the first three by itself."""

RunState = Step | Literal["aborted"]
NETTED_STATES: tuple[Step, ...] = STEPS[2:]
"""States of a run whose positions are there."""


class WindowTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Postings of one window that are priced alike, summed.

    `debit` and `credit` are network.model.AccountKind. Issuer terms fix funding share and issue price,
    acceptor terms the reimbursement rate. `reversed_window_id` is set on reversals.
    """

    debit: int
    credit: int
    issuer_id: int
    issuer_terms: int
    acceptor_id: int | None
    acceptor_terms: int | None
    category: int
    reversed_window_id: int | None
    points: int
    postings: int


class ValueTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Postings of one window that count money, not points, and are alike, summed; see settlement.values.

    `unit`, `debit` and `credit` are network.model's. `minor`: in minor units of the issuer terms' currency.
    """

    unit: int
    debit: int
    credit: int
    issuer_id: int
    issuer_terms: int
    acceptor_id: int | None
    minor: int
    postings: int


class WindowActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of one window by partner and kind (network.model.EntryKind)."""

    partner_id: int
    kind: int
    entries: int
    points: int
    amount_minor: int


class Transactions(msgspec.Struct, frozen=True, kw_only=True):
    """What a partner is charged for by the piece: its sales and redemptions of one window.

    `occurred_on` is their date in the network's time zone (of a capture, its hold's): the contract version of
    that date has their fee.
    """

    partner_id: int
    occurred_on: date
    entries: int


class PricedLine(msgspec.Struct, frozen=True):
    """One money flow of one window total, before lines are summed to obligations.

    `points` and `amount` are negative on a reversal. `creditor_terms`: the creditor's contract version by
    which this credit bears basis points; None for operator and pool, who pay no fees.
    """

    flow: Flow
    debtor_id: int
    creditor_id: int
    points: int
    amount: Decimal
    creditor_terms: int | None = None
    currency: str = ""
    category: int = 0


class Obligation(msgspec.Struct, frozen=True, kw_only=True):
    """A gross debt of one participant to another; negative where reversals outweigh.

    Debtor and creditor are one where a partner accepts points that it funds itself: it is on the statement
    and nets to nothing. `category` is of redemptions alone. `vat_base`: of VAT, tonight's before rounding;
    `amount` is then the month to date rounded to minor units, less what was charged before.
    """

    flow: Flow
    debtor_id: int
    creditor_id: int
    points: int
    amount: Decimal
    currency: str = ""
    category: int = 0
    vat_base: Decimal = Decimal(0)


class FeeBasis(msgspec.Struct, frozen=True, kw_only=True):
    """What one contract version of a partner is charged fees on, for one window."""

    issued_points: int = 0
    transactions: int = 0
    credits: Decimal = Decimal(0)


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """Fee and VAT of one window: unrounded, and as charged in minor units."""

    fee_base: Decimal = Decimal(0)
    vat_base: Decimal = Decimal(0)
    fee_minor: int = 0
    vat_minor: int = 0


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What earlier nights left to a participant in a currency.

    This month's charges, the fraction of a minor unit, and what was too little to pay.
    """

    month_to_date: Charge = Charge()
    carried_out: Decimal = Decimal(0)
    deferred_out_minor: int = 0


class Rounded(msgspec.Struct, frozen=True):
    """A position in minor units, and the fraction of a minor unit (in major units) that it leaves over."""

    final_minor: int
    carried_out: Decimal


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """A participant against the hub for one night: it receives (+) or pays (-) `final_minor`.

    exact = carried_in + credits - debits + converted - (fee_minor + vat_minor) in major units
    = final + carried_out. What is paid is `payment_minor`.
    `credits` and `debits` are what others owe it and it owes others, self-dealing left out. The operator
    receives fees and VAT: its fee_minor and vat_minor are minus the sum of everybody's, so that every column
    sums to zero over the participants (credits to debits). `fee_base` and `vat_base` are the unrounded fee
    and VAT of this window, zero for operator and pool.
    """

    participant_id: int
    currency: str
    credits: Decimal
    debits: Decimal
    fee_minor: int
    vat_minor: int
    fee_base: Decimal
    vat_base: Decimal
    carried_in: Decimal
    exact: Decimal
    final_minor: int
    carried_out: Decimal
    converted: Decimal = Decimal(0)
    deferred_in_minor: int = 0
    deferred_out_minor: int = 0

    @property
    def payment_minor(self) -> int:
        """What is paid for it (below zero: to the hub); what is too little to pay is deferred."""
        return self.deferred_in_minor + self.final_minor - self.deferred_out_minor


class ClosedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window as it was closed; nothing of it changes after."""

    window_id: int
    business_date: date
    opened_at: datetime
    closed_at: datetime
    lapsed_through: date


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps of a night put out, table by table; empty where a step is not done.

    `currency` is the network's. Hashes leave it out of obligations, and leave out tables and fields that a
    network does without, so that a night of one currency keeps the bytes it always had.
    """

    currency: str = ""
    window: Sequence[ClosedWindow] = ()
    totals: Sequence[WindowTotal] = ()
    activity: Sequence[WindowActivity] = ()
    obligations: Sequence[Obligation] = ()
    positions: Sequence[Position] = ()
    adjustments: Sequence[Adjustment] = ()
    conversions: Sequence[FxConversion] = ()
    values: Sequence[ValueTotal] = ()
    approvals: Sequence[Approved] = ()
    instructions: Sequence[Instruction] = ()
    booked: Sequence[Booked] = ()
    overlays: Sequence[DefaultOverlay] = ()
    finals: Sequence[Final] = ()

    def of(self, step: Step) -> Mapping[str, Sequence[msgspec.Struct]]:
        """The tables of one step: what its hash is of."""
        if step == "closed":
            return {"window": self.window}
        if step == "priced":
            foreign = [
                msgspec.structs.replace(debt, currency="") if debt.currency == self.currency else debt
                for debt in self.obligations
            ]
            tables: dict[str, Sequence[msgspec.Struct]] = {}
            tables |= {"totals": self.totals, "activity": self.activity, "obligations": foreign}
            tables |= {"adjustments": self.adjustments} if self.adjustments else {}
            return tables | ({"values": self.values} if self.values else {})
        if step == "netted":
            positions = {"positions": self.positions}
            return {**positions, "conversions": self.conversions} if self.conversions else positions
        if step == "approved":
            return {"approvals": self.approvals}
        if step == "instructed":
            return {"instructions": self.instructions}
        booked = {"booked": self.booked, **({"overlays": self.overlays} if self.overlays else {})}
        return {**booked, "finals": self.finals} if step == "settled" else booked


class NightResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a night came to. Reading it again gives an equal value.

    Obligations and positions are of all currencies; the four sums are of the network's own.
    `gross`, `bilateral` and `multilateral` are what would be paid one by one, pair by pair, and through the
    hub before fees; `payment_minor` is what is paid in, and so out, after fees and rounding.
    `hashes` holds the SHA-256 of each step's output.
    """

    window_id: int
    business_date: date
    revision: int
    currency: str
    minor_digits: int
    gross: Decimal
    bilateral: Decimal
    multilateral: Decimal
    payment_minor: int
    obligations: tuple[Obligation, ...]
    positions: tuple[Position, ...]
    hashes: Mapping[Step, bytes]
