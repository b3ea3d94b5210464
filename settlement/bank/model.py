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
    `done_minor` what statements brought of it so far, returns taken off. `refuses`: why nothing can be
    booked on it now (its window is settled, say); what names it is then left to people.
    """

    kind: Kind
    participant_id: int
    currency: str
    amount_minor: int
    end_to_end_id: str
    reference: str
    group_id: str = ""
    done_minor: int = 0
    refuses: str = ""

    @property
    def rest_minor(self) -> int:
        """What is still to come of it, or to go."""
        return self.amount_minor - self.done_minor


class ReadStatement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that was read before: how the next one must open, and how it is known again."""

    statement_no: int
    statement_id: str
    page: int
    closing_minor: int
    closing_on: date
    sha256: bytes


Problem = Literal["partial", "surplus", "unknown", "returned"]
"""What is wrong with a transaction: less than expected, more, nobody's, or money that came back."""

WayOut = Literal["chase", "refund", "allocate", "instruct_again", "deposit", "guarantee", "charge"]
"""What can be done: ask for the rest, send it back, say which payment it is, pay once more, keep it as a
partner's deposit or guarantee, or take it as the bank's own charge or interest, which is the operator's."""


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


class BankException(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it is kept."""

    exception_id: int
    statement_no: int
    entry: int
    detail: int
    problem: Problem
    end_to_end_id: str | None
    currency: str
    amount_minor: int
    why: str
    found_at: datetime


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """A way out that somebody proposed for an exception, and who decided.

    `end_to_end_id`: of the payment that the money is allocated to. `account`: where a refund goes.
    `participant_id`: whose deposit or guarantee it is.
    """

    resolution_id: int
    exception_id: int
    way: WayOut
    amount_minor: int
    end_to_end_id: str | None = None
    account: Account | None = None
    participant_id: int | None = None
    note: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Payments of a file, by end-to-end id, that the bank did not carry out, and who decided so.

    Approved, they are to be paid anew: pay-outs as another attempt, refunds by another way out.
    """

    rejection_id: int
    message_id: str
    payments: tuple[str, ...]
    note: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    approved: bool | None = None


ExceptionState = Literal["open", "proposed", "chased", "resolved", "completed"]
"""Nobody acted; a second person is to decide; somebody was asked for the rest; a way out was approved for all
of it; the payment was completed by itself."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An exception and how it stands: what is left to decide on, which ways there are, what was proposed."""

    exception: BankException
    transaction: Transaction
    iban: str
    statement_id: str
    kind: Kind | None
    state: ExceptionState
    left_minor: int
    ways: tuple[WayOut, ...]
    resolutions: tuple[Resolution, ...]

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done or waited for."""
        return self.state not in {"resolved", "completed"}


class PayInRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a participant is asked to pay: how much, by when, where to, with which reference."""

    end_to_end_id: str
    reference: str
    participant_id: int
    name: str
    currency: str
    amount_minor: int
    rest_minor: int
    due_on: date
    to: Account


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """A pay-out file that left, or leaves now; the same call gives the same bytes again."""

    message_id: str
    content: bytes
    payments: int
    is_new: bool


class StatementRead(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one statement: nothing where it was read before. `windows`: whose payments it booked."""

    statement_id: str
    page: int
    iban: str
    currency: str
    read_before: bool
    transactions: int
    matched: int
    exceptions: tuple[BankException, ...] = ()
    windows: tuple[int, ...] = ()
