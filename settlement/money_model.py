"""Values of the money ledger and of a run's later steps. `…_minor` are whole minor units of `currency`."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

Account = Literal[
    "cash",
    "receivable",
    "payable",
    "carried",
    "rounding",
    "claim",
    "pool",
    "fees",
    "vat",
    "margin",
    "breakage",
    "fx",
    "safeguarded",
    "deposit",
    "guarantee",
    "suspense",
    "loss",
]
"""Accounts of the money ledger; docs/night.md says what each stands for."""

EntryKind = Literal[
    "netted",
    "aborted",
    "pay_in",
    "pay_out",
    "suspense_in",
    "suspense_out",
    "cover_in",
    "cover_out",
    "overlay",
]
"""Events that the money ledger knows."""

Direction = Literal["in", "out"]
Rung = Literal["deposit", "guarantee", "carry", "loss", "unwind"]
DisputeState = Literal["raised", "accepted", "rejected", "escalated", "decided"]
AdjustmentOrigin = Literal["dispute", "default", "exit", "correction"]
DisputedFlow = Literal["redemption", "issue", "fee", "vat"]
"""What of a statement can be disputed: everything that a partner pays."""


class MoneyLine(msgspec.Struct, frozen=True):
    """One line: exact major units, a debit above zero, a credit below."""

    account: Account
    participant_id: int
    currency: str
    amount: Decimal


class MoneyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One event; its lines sum to zero per currency. (kind, reference) is booked once, whoever tries."""

    kind: EntryKind
    reference: str
    window_id: int | None = None
    revision: int | None = None
    value_on: date
    lines: tuple[MoneyLine, ...]


class FxConversion(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's amount in a currency that it does not settle in, taken over by the hub's FX account.

    Amounts are signed as positions are: `from_amount` leaves the participant's position in one currency,
    `to_amount` = from_amount * rate, rounded half-even to twelve decimals, comes to it in the other.
    """

    participant_id: int
    from_currency: str
    to_currency: str
    from_amount: Decimal
    to_amount: Decimal
    rate: Decimal
    source: str
    fixed_on: date


class RunApproval(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to have a run approved. `sha256` binds what was netted (settlement.canonical.bound)."""

    window_id: int
    revision: int
    attempt: int
    sha256: bytes
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None
    reason: str = ""


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What the step `approved` puts out: the hash that was bound, and the two people."""

    sha256: bytes
    proposed_by: str
    decided_by: str


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that discharges a position: into the hub's account, or out of it."""

    end_to_end_id: str
    window_id: int
    revision: int
    participant_id: int
    currency: str
    direction: Direction
    attempt: int = 1
    amount_minor: int
    value_on: date
    reference: str


class InstructionPayment(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank booked on an instruction; below zero where it came back."""

    payment_reference: str
    end_to_end_id: str
    amount_minor: int
    booked_on: date


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """How far an instruction is: what is due on it, overlays taken off, and what the bank booked."""

    end_to_end_id: str
    participant_id: int
    currency: str
    direction: Direction
    due_minor: int
    booked_minor: int


class Final(msgspec.Struct, frozen=True, kw_only=True):
    """A run's money in one currency: in + deferred_out = out + deferred_in + covered by overlays."""

    currency: str
    paid_in_minor: int
    paid_out_minor: int
    deferred_in_minor: int
    deferred_out_minor: int
    covered_minor: int


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """A debt that no posting makes. `credited_amount` adds to a contract version's credits, for fees.

    `taxed_as`: whose VAT it bears by that version: '' a redemption's, `none` none. `vat_on`: the day whose
    rate counts, None: the night's. `pooled_amount`: the part of it that had come through the pool, whose VAT
    is between the one who is credited and the operator.
    """

    adjustment_id: UUID
    origin: AdjustmentOrigin
    origin_reference: str
    origin_window_id: int | None = None
    debtor_id: int
    creditor_id: int
    currency: str
    amount: Decimal
    credited_id: int | None = None
    credited_terms: int | None = None
    credited_amount: Decimal = Decimal(0)
    reason: str
    taxed_as: Literal["", "issue", "fee", "none"] = ""
    pooled_amount: Decimal = Decimal(0)
    vat_on: date | None = None


class DefaultCase(msgspec.Struct, frozen=True, kw_only=True):
    """A decision on a debtor whose pay-in is missing; `sha256` is of its lines."""

    case_id: UUID
    window_id: int
    revision: int
    debtor_id: int
    currency: str
    missing_minor: int
    sha256: bytes
    reason: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None


class DefaultOverlay(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a default case: what a participant bears on one rung of the ladder, minor units."""

    line: int
    rung: Rung
    participant_id: int
    amount_minor: int


class Dispute(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement that a partner does not accept: an entry, or what flowed in a window.

    `raised_by_id` paid `amount` on it to `against_id`, and wants it back. `credited_*`: by which contract
    version the line was credited, so that fees follow. `reference` is the partner's own.
    """

    dispute_id: UUID
    raised_by_id: int
    against_id: int
    window_id: int
    member_id: int | None = None
    entry_id: UUID | None = None
    flow: DisputedFlow = "redemption"
    currency: str
    amount: Decimal
    reason: str
    raised_at: datetime
    reference: str
    credited_id: int
    credited_terms: int


class DisputeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a dispute; `answer_until` is the deadline of the state it is in then.

    `awarded`: what is paid back, None as long as it goes on; above 0 `adjustment_id` pays it.
    """

    dispute_id: UUID
    sequence: int
    state: DisputeState
    text: str
    answer_until: datetime | None
    by: str
    at: datetime
    adjustment_id: UUID | None = None
    awarded: Decimal | None = None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was attached to a dispute, without its content; `size` in bytes."""

    dispute_id: UUID
    sha256: bytes
    name: str
    media_type: str
    size: int
    attached_by: str
    attached_at: datetime


class CurrencyCalendar(msgspec.Struct, frozen=True, kw_only=True):
    """Whose holidays a currency keeps, and how many business days a payment takes."""

    currency: str
    calendar: str = ""
    value_days: int = 1
