"""Values of the bank. Amounts are whole minor units of their currency.

Signs: a payment's amount is above zero, its kind says which way it goes; what a statement reports is positive
where money came to us, negative where it went.
"""

from datetime import date, datetime
from typing import Literal

import msgspec

Kind = Literal["in", "out", "refund"]
"""What a payment is to us: asked of a participant, sent to one, or sent back because it was nobody's."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a bank and whose it is; a bank knows itself by the IBAN where there is no `bic`."""

    name: str
    iban: str
    bic: str | None = None


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """One payment, as it is written into a file or asked for; `amount_minor` > 0."""

    end_to_end_id: str
    reference: str
    participant_id: int
    currency: str
    amount_minor: int
    account: Account


class PaymentGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Payments of one currency that leave one account of ours on one day."""

    group_id: str
    currency: str
    execute_on: date
    debtor: Account
    payments: tuple[Payment, ...]


class PaymentFile(msgspec.Struct, frozen=True, kw_only=True):
    """What one pain.001 file says; `created_at` is the business instant that it stands for."""

    message_id: str
    created_at: datetime
    initiator: str
    groups: tuple[PaymentGroup, ...]


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One movement on our account, as a statement reports it.

    `entry` and `detail` count from 1 within the statement; the details of one entry are parts of one booking.
    `references` are structured creditor references with right check digits. `batch_id` and `batch_count` are
    set where the bank booked a whole group of ours in one sum. `returned`: the bank says that it undoes an
    earlier payment, `reason` why, as the bank's code.
    """

    entry: int
    detail: int
    amount_minor: int
    currency: str
    booked_on: date
    value_on: date
    bank_reference: str = ""
    end_to_end_id: str = ""
    references: tuple[str, ...] = ()
    batch_id: str = ""
    batch_count: int = 0
    other_name: str = ""
    other_iban: str = ""
    returned: bool = False
    reason: str = ""
    text: str = ""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """One statement, or one page of one: opening + all transactions = closing, as read and checked."""

    statement_id: str
    page: int
    iban: str
    currency: str
    created_at: datetime | None
    opening_minor: int
    opening_on: date
    closing_minor: int
    closing_on: date
    transactions: tuple[Transaction, ...]


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that we wait for on a statement: ours to a participant, or a participant's to us.

    `amount_minor` is what is to move under this id (what another attempt took over is taken off),
    `done_minor` what statements brought of it so far, returns taken off.
    """

    kind: Kind
    participant_id: int
    currency: str
    amount_minor: int
    end_to_end_id: str
    reference: str
    group_id: str = ""
    done_minor: int = 0

    @property
    def rest_minor(self) -> int:
        """What is still to come of it, or to go."""
        return self.amount_minor - self.done_minor


Problem = Literal["partial", "surplus", "unknown", "returned"]
"""What is wrong with a transaction: less than expected, more, nobody's, or money that came back."""

WayOut = Literal["chase", "refund", "allocate", "instruct_again", "charge"]
"""What can be done: ask for the rest, send it back, say whose it is, pay once more, or take it as the bank's
own charge or interest, which is the operator's."""


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a transaction and where it belongs: to a payment, or to nobody yet (suspense).

    `amount_minor` has the sign of the transaction.
    """

    entry: int
    detail: int
    end_to_end_id: str | None
    amount_minor: int


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a transaction that somebody must look at; `amount_minor` > 0 is what it is about."""

    problem: Problem
    entry: int
    detail: int
    end_to_end_id: str | None
    amount_minor: int
    why: str


class Matched(msgspec.Struct, frozen=True):
    """What a statement's transactions came to: bookings that sum to them, and what is wrong with some."""

    bookings: tuple[Booking, ...]
    findings: tuple[Finding, ...]


AccountState = Literal["waits", "rejected", "cooling", "in_use", "superseded", "withdrawn"]


class AccountVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's account for one currency, as it was proposed, and what became of the proposal.

    `in_use_from` is set where it was approved: the end of its cooling-off time. Until then the one before it
    is paid to.
    """

    account_id: int
    participant_id: int
    currency: str
    account: Account
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None
    in_use_from: datetime | None = None
    withdrawn_by: str | None = None
    withdrawn_at: datetime | None = None
