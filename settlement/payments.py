"""Money that the bank booked, or that somebody put down: on instructions, in suspense, as cover.

Every function takes a connection and never commits. A payment's reference counts once: booking it again with
the same content changes nothing, with other content it is refused. What is on a run is booked under its lock.
What a person decided in all this is put on record by the caller, who knows why.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection, text

from partners.model import HUB_ID, OPERATOR_ID
from settlement import ledger, payment_store, store
from settlement.errors import PaymentRefused, RunNotReady
from settlement.instructions import instruction, standing
from settlement.ledger_store import balances, book, book_all, booked_entries, booked_entry
from settlement.model import STEPS
from settlement.money import ZERO, from_minor, minor_digits
from settlement.money_model import Account, Booked, EntryKind, Instruction, InstructionPayment, MoneyEntry
from settlement.store import LiveRun

Cover = Literal["deposit", "guarantee"]
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7266, hashtext(current_schema()))")


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """How a payment was booked: on its instruction, and what was more than is due, in suspense."""

    end_to_end_id: str
    booked_minor: int
    surplus_minor: int
    left_minor: int


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """What the bank reports on an instruction; below zero: it came back. `payment_reference` counts once."""

    end_to_end_id: str
    amount_minor: int
    payment_reference: str
    booked_on: date


def record_payment(
    connection: Connection,
    *,
    end_to_end_id: str,
    amount_minor: int,
    payment_reference: str,
    booked_on: date,
    by: str,
    at: datetime,
) -> Recorded:
    """Book what the bank reports on one instruction: see `record_payments`."""
    booking = Booking(
        end_to_end_id=end_to_end_id,
        amount_minor=amount_minor,
        payment_reference=payment_reference,
        booked_on=booked_on,
    )
    [recorded] = record_payments(connection, [booking], by=by, at=at)
    return recorded


def record_payments(
    connection: Connection, bookings: Sequence[Booking], *, by: str, at: datetime
) -> list[Recorded]:
    """Book what the bank reports on instructions, in order; runs are locked in order of their windows.

    What is more than is due goes to the participant's suspense, of this run, which is not final before that
    is sent back or used.

    Raises:
        PaymentRefused: an instruction is not known, more comes back than was booked, or a reference was used
            for another payment.
        RunNotReady: a pay-out before all pay-ins are booked, or the run is settled.
    """
    runs = _lock_runs(connection, [one.end_to_end_id for one in bookings])
    references = {one.payment_reference for one in bookings}
    fold = _Fold(
        runs=runs,
        progress={
            run.window_id: payment_store.load_progress(
                connection, run, store.load_positions(connection, run.window_id)
            )
            for run in {run.window_id: run for run in runs.values()}.values()
        },
        entries=booked_entries(connection, _KINDS.values(), references),
        payments=payment_store.load_payments(connection, references),
    )
    recorded = [fold.take(one) for one in bookings]
    book_all(connection, fold.new_entries, by=by, at=at)
    if fold.new_payments:
        payment_store.add_payments(connection, fold.new_payments, by=by, at=at)
    return recorded


def _lock_runs(connection: Connection, ids: Sequence[str]) -> dict[str, LiveRun]:
    """The locked run of each instruction."""
    windows = payment_store.windows_of(connection, set(ids))
    unknown = next((one for one in ids if one not in windows), None)
    if unknown is not None:
        raise PaymentRefused(f"no instruction is called {unknown}: put the money into suspense")
    runs = {window_id: store.lock_run(connection, window_id) for window_id in sorted(set(windows.values()))}
    return {end_to_end_id: runs[window_id] for end_to_end_id, window_id in windows.items()}


class _Fold:
    """Payments of locked runs, each booked as the ones before it left them."""

    def __init__(
        self,
        *,
        runs: Mapping[str, LiveRun],
        progress: Mapping[int, payment_store.Progress],
        entries: dict[tuple[EntryKind, str], MoneyEntry],
        payments: dict[str, InstructionPayment],
    ) -> None:
        self._runs = runs
        self._progress = progress
        self._entries = entries
        self._payments = payments
        self._of_party: dict[tuple[int, int, str], list[Instruction]] = {}
        self._party_of: dict[str, tuple[int, int, str]] = {}
        for window_id, one in progress.items():
            for each in one.instructions:
                party = (window_id, each.participant_id, each.currency)
                self._of_party.setdefault(party, []).append(each)
                self._party_of[each.end_to_end_id] = party
        self.new_entries: list[MoneyEntry] = []
        self.new_payments: list[InstructionPayment] = []

    def take(self, booking: Booking) -> Recorded:
        """Book one payment on its instruction, as that stands now."""
        run = self._runs[booking.end_to_end_id]
        now = self._now(booking.end_to_end_id, run)
        reference, amount_minor = booking.payment_reference, booking.amount_minor
        known = self._entries.get((_KINDS[now.direction], reference))
        before = self._payments.get(reference)
        if known is not None or before is not None:
            return _again(run, now, known, before, reference, amount_minor)
        _require_bookable(run, now, booking)
        part = (
            min(amount_minor, max(0, now.due_minor - now.booked_minor)) if amount_minor > 0 else amount_minor
        )
        entry = ledger.payment(
            now.direction,
            reference,
            booking.booked_on,
            participant_id=now.participant_id,
            currency=now.currency,
            minor=part,
            surplus_minor=amount_minor - part,
            run=(run.window_id, run.revision),
        )
        self._keep(entry, booking, part)
        return Recorded(
            end_to_end_id=now.end_to_end_id,
            booked_minor=part,
            surplus_minor=amount_minor - part,
            left_minor=now.due_minor - now.booked_minor - part,
        )

    def _now(self, end_to_end_id: str, run: LiveRun) -> Booked:
        """How far an instruction is; what is due on it depends on its participant's others."""
        progress = self._progress[run.window_id]
        of = self._of_party[self._party_of[end_to_end_id]]
        found = standing(of, progress.payments, progress.relief, progress.booked)
        return next(one for one in found if one.end_to_end_id == end_to_end_id)

    def _keep(self, entry: MoneyEntry, booking: Booking, part: int) -> None:
        self.new_entries.append(entry)
        self._entries[entry.kind, entry.reference] = entry
        if not part:
            return
        payment = InstructionPayment(
            payment_reference=booking.payment_reference,
            end_to_end_id=booking.end_to_end_id,
            amount_minor=part,
            booked_on=booking.booked_on,
        )
        self.new_payments.append(payment)
        self._payments[payment.payment_reference] = payment
        booked = self._progress[self._runs[booking.end_to_end_id].window_id].booked
        booked[booking.end_to_end_id] = booked.get(booking.end_to_end_id, 0) + part


def _require_bookable(run: LiveRun, now: Booked, booking: Booking) -> None:
    if run.state == "settled":
        raise RunNotReady(
            f"{now.end_to_end_id} is of a run that is settled: book {booking.payment_reference} in suspense"
        )
    if now.direction == "out" and STEPS.index(run.state) < STEPS.index("funded"):
        raise RunNotReady(f"{now.end_to_end_id} pays out, and the run is {run.state}: pay-ins come first")
    if now.booked_minor + booking.amount_minor < 0:
        raise PaymentRefused(
            f"{-booking.amount_minor} minor units of {now.end_to_end_id} came back, "
            f"and {now.booked_minor} were booked"
        )


class Unplaced(msgspec.Struct, frozen=True, kw_only=True):
    """Money that nobody can place; below zero: money that went, and nobody knows why.

    `participant_id`: in whose suspense it is to be, 0 the hub's. `payment_reference` counts once.
    """

    amount_minor: int
    currency: str
    payment_reference: str
    booked_on: date
    participant_id: int = HUB_ID


def suspend_payments(connection: Connection, found: Sequence[Unplaced], *, by: str, at: datetime) -> int:
    """Put money that nobody can place into suspense; returns how much of it was not booked before."""
    entries = [
        ledger.moved(
            "suspense_in",
            one.payment_reference,
            one.booked_on,
            ("cash", HUB_ID),
            ("suspense", one.participant_id),
            currency=one.currency,
            minor=one.amount_minor,
        )
        for one in found
    ]
    return book_all(connection, entries, by=by, at=at)


def release_suspense(
    connection: Connection,
    *,
    amount_minor: int,
    currency: str,
    to: str,
    payment_reference: str,
    booked_on: date,
    by: str,
    at: datetime,
    participant_id: int = HUB_ID,
    run: tuple[int, int] | None = None,
) -> bool:
    """Take money out of suspense; below zero: what went unexplained is explained.

    Args:
        to: `back` to whom it came from; `charge`: the bank's own fees and interest, which are the operator's;
            or the end-to-end id of the instruction that it was for.
        run: Window and revision of the run whose surplus it is.
    Returns:
        Whether it was booked now.
    Raises:
        PaymentRefused: there is less in suspense; or see `record_payment`.
    """
    if booked_entry(connection, "suspense_out", payment_reference) is not None:
        return False
    amount = from_minor(amount_minor, minor_digits(currency))
    held = -balances(connection, "suspense").get(("suspense", participant_id, currency), ZERO)
    if not (0 < amount <= held or held <= amount < 0):
        raise PaymentRefused(
            f"{amount} {currency} of participant {participant_id} are not in suspense: {held} are"
        )
    credit: tuple[Account, int] = ("loss", OPERATOR_ID) if to == "charge" else ("cash", HUB_ID)
    entry = ledger.moved(
        "suspense_out",
        payment_reference,
        booked_on,
        ("suspense", participant_id),
        credit,
        currency=currency,
        minor=amount_minor,
        run=run,
    )
    book(connection, entry, by=by, at=at)
    if to not in ("back", "charge"):
        record_payment(
            connection,
            end_to_end_id=to,
            amount_minor=amount_minor,
            payment_reference=payment_reference,
            booked_on=booked_on,
            by=by,
            at=at,
        )
    return True


def move_cover(
    connection: Connection,
    *,
    account: Cover,
    participant_id: int,
    currency: str,
    amount_minor: int,
    reference: str,
    booked_on: date,
    by: str,
    at: datetime,
) -> bool:
    """Book cash that a partner leaves as cover (above zero) or gets back (below).

    Returns:
        Whether it was booked now.
    Raises:
        PaymentRefused: more is to go back than is held.
    """
    kind: Literal["cover_in", "cover_out"] = "cover_in" if amount_minor > 0 else "cover_out"
    if booked_entry(connection, kind, reference) is not None:
        return False
    held = held_cover(connection, account, participant_id, currency)
    if amount_minor < 0 and held < -amount_minor:
        raise PaymentRefused(
            f"the {account} of participant {participant_id} holds {held} {currency} minor units: "
            f"{-amount_minor} cannot go back"
        )
    entry = ledger.moved(
        kind,
        reference,
        booked_on,
        ("cash", HUB_ID),
        (account, participant_id),
        currency=currency,
        minor=amount_minor,
    )
    book(connection, entry, by=by, at=at)
    return True


def held_cover(connection: Connection, account: Cover, participant_id: int, currency: str) -> int:
    """What a participant has left as cover, minor units; nobody else moves any before this commits."""
    connection.execute(_ONE_AT_A_TIME)
    amount = -balances(connection, account).get((account, participant_id, currency), ZERO)
    return int(amount.scaleb(minor_digits(currency)))


def lock_windows(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Lock the runs of those of the payments that are instructions, in order; the window of each."""
    windows = payment_store.windows_of(connection, ids)
    for window_id in sorted(set(windows.values())):
        store.lock_run(connection, window_id)
    return windows


def instruct_again(
    connection: Connection, end_to_end_id: str, *, by: str, at: datetime, rejected: bool = False
) -> Instruction:
    """Instruct once more what came back of a payment, as its next attempt.

    Args:
        connection: A transaction; the caller commits it.
        end_to_end_id: The payment.
        by: Who decided so.
        at: The network's time.
        rejected: The bank did not carry it out, so that nothing could come back.
    Raises:
        PaymentRefused: the instruction is not known, or nothing of it came back, or is missing.
        RunNotReady: the run is settled.
    """
    run = _lock_runs(connection, [end_to_end_id])[end_to_end_id]
    if run.state == "settled":
        raise RunNotReady(f"{end_to_end_id} is of a run that is settled")
    known = payment_store.load_instructions(connection, run)
    [old] = [one for one in known if one.end_to_end_id == end_to_end_id]
    of = [
        one
        for one in known
        if (one.participant_id, one.currency, one.direction)
        == (old.participant_id, old.currency, old.direction)
    ]
    ids = {one.end_to_end_id for one in of}
    left = sum(
        one.due_minor - one.booked_minor for one in _booked(connection, run) if one.end_to_end_id in ids
    )
    newest = max(of, key=lambda one: one.attempt).end_to_end_id
    failed = newest == end_to_end_id if rejected else payment_store.came_back(connection, newest)
    if left <= 0 or not failed:
        raise PaymentRefused(f"nothing came back of {end_to_end_id}: it is not instructed twice")
    again = instruction(
        run.window_id,
        run.revision,
        old.participant_id,
        old.currency,
        old.direction,
        left,
        payment_store.next_value_date(connection, old.currency, at),
        attempt=max(one.attempt for one in of) + 1,
    )
    payment_store.add_instructions(connection, [again], by=by, at=at)
    return again


def due_of(connection: Connection, window_id: int) -> list[Booked]:
    """Each instruction of a window's run with what is due on it now, and what was booked.

    Raises:
        NightOutOfOrder: the window has no run.
    """
    return _booked(connection, store.live_run(connection, window_id))


_KINDS: dict[str, Literal["pay_in", "pay_out"]] = {"in": "pay_in", "out": "pay_out"}


def _booked(connection: Connection, run: LiveRun) -> list[Booked]:
    positions = store.load_positions(connection, run.window_id)
    return payment_store.load_booked(connection, run, positions)


def _again(
    run: LiveRun,
    now: Booked,
    known: MoneyEntry | None,
    before: InstructionPayment | None,
    reference: str,
    amount_minor: int,
) -> Recorded:
    """What a reference was booked as, if it was this very payment."""
    part = 0 if before is None else before.amount_minor
    moved = [
        line.amount
        for line in (() if known is None else known.lines)
        if (line.account, line.participant_id, line.currency) == ("cash", HUB_ID, now.currency)
    ]
    expected = from_minor(amount_minor, minor_digits(now.currency)) * (1 if now.direction == "in" else -1)
    same_run = known is not None and (known.window_id, known.revision) == (run.window_id, run.revision)
    same = before is None or before.end_to_end_id == now.end_to_end_id
    if moved != [expected] or not same_run or not same:
        raise PaymentRefused(f"the reference {reference} was used for another payment")
    return Recorded(
        end_to_end_id=now.end_to_end_id,
        booked_minor=part,
        surplus_minor=amount_minor - part,
        left_minor=now.due_minor - now.booked_minor,
    )
